package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// No error of any kind shows what stands in the login or the query of a URL, be it one
// of the lock or one that a server leads to.
func TestSecretsOfURLsStaySecret(t *testing.T) {
	const canary = "c4nary"
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok":
			_, _ = w.Write([]byte("no checksum"))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("part"))
			panic(http.ErrAbortHandler)
		case "/busy":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/loop":
			w.Header().Set("Location", "/loop?sig="+canary)
			w.WriteHeader(http.StatusFound)
		case "/to-down":
			w.Header().Set("Location", "http://joe:"+canary+"@"+strings.TrimPrefix(down.URL, "http://")+"/?sig="+canary)
			w.WriteHeader(http.StatusFound)
		case "/to-malformed":
			w.Header().Set("Location", "/%zz?sig="+canary)
			w.WriteHeader(http.StatusFound)
		case "/to-ftp":
			w.Header().Set("Location", "ftp://joe:"+canary+"@host/?sig="+canary)
			w.WriteHeader(http.StatusFound)
		case "/to-404":
			w.Header().Set("Location", "/absent?sig="+canary)
			w.WriteHeader(http.StatusFound)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	host := strings.TrimPrefix(s.URL, "http://")
	var urls []string
	for _, path := range []string{"/ok", "/cut", "/busy", "/loop", "/to-down", "/to-malformed", "/to-ftp", "/to-404", "/absent"} {
		urls = append(urls, "http://joe:"+canary+"@"+host+path+"?token="+canary+"#"+canary)
	}
	login, query := "joe:"+canary+"@", "?token="+canary
	urls = append(urls,
		"http://"+login+strings.TrimPrefix(down.URL, "http://")+"/f"+query, "https://"+login+host+"/f"+query,
		"http://"+login+"host/%zz"+query, "http://"+login+query, "http://"+login+"host:port/"+query,
		"ftp://"+login+"host/f"+query, "//"+login+"host/f"+query, "joe:"+canary+"@host/f"+query,
		"file://"+login+"host/f"+query, "file:///nowhere/f"+query, "file:f"+query, "file:///f#"+canary, "http:"+login+"host"+query,
	)
	src := newSource(t, t.TempDir())
	for _, url := range urls {
		for what, ask := range map[string]func() error{
			"Open": func() error {
				rc, err := src.Open(t.Context(), url, ocispec.Descriptor{Size: 1 << 20})
				if err == nil {
					_ = rc.Close()
				}
				return err
			},
			"Pin":       func() error { _, _, err := src.Pin(t.Context(), url, ""); return err },
			"Size":      func() error { _, err := src.Size(t.Context(), url); return err },
			"Checksums": func() error { _, err := src.Checksums(t.Context(), url); return err },
		} {
			err := ask()
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("%s of %s: %v", what, url, err)
			}
			answers := strings.Contains(url, "/ok") || what == "Size" && strings.Contains(url, "/cut")
			if err == nil && !answers {
				t.Errorf("%s of %s: no error", what, url)
			}
		}
	}
}
