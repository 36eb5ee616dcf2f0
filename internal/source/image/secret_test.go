package image

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

// No error shows what stands in the login or the query of a source, or of a URL that
// a registry leads to.
func TestSecretsOfURLsStaySecret(t *testing.T) {
	const canary = "c4nary"
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()
	gone := strings.TrimPrefix(down.URL, "http://")
	img := newImage(t, types.OCIManifestSchema1)
	for _, to := range []string{
		"http://joe:" + canary + "@" + gone + "/x?sig=" + canary, "/%zz?sig=" + canary, "//joe:" + canary + "@host/%zz", "joe:" + canary + "@host/%zz",
		"http://joe:" + canary + "@host/%zz?sig=" + canary, "ftp://joe:" + canary + "@host/?sig=" + canary,
		"http://localhost:1/?sig=" + canary, "/absent?sig=" + canary,
	} {
		for place, lead := range map[string]func(http.ResponseWriter){
			"realm": func(w http.ResponseWriter) {
				w.Header().Set("WWW-Authenticate", `Bearer realm="`+to+`",service="x"`)
				w.WriteHeader(http.StatusUnauthorized)
			},
			"location": func(w http.ResponseWriter) {
				w.Header().Set("Location", to)
				w.WriteHeader(http.StatusTemporaryRedirect)
			},
		} {
			leading := false
			reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
					if req.URL.Path == "/absent" {
						w.WriteHeader(http.StatusNotFound)
						return
					}
					if leading && (place == "realm" || req.URL.Path != "/v2/") {
						lead(w)
						return
					}
					next.ServeHTTP(w, req)
				})
			}})
			source := push(t, reg, "a/b:v1", img)
			leading = true
			s := New(Options{PlainHTTP: []string{reg.Host, gone}})
			desc := descriptorOf(t, img)
			_, resolved := s.Resolve(t.Context(), source)
			_, _, read := s.Manifest(t.Context(), source, desc.Digest)
			_, opened := s.Blob(t.Context(), source, desc)
			for _, err := range []error{resolved, read, opened} {
				if err == nil || strings.Contains(err.Error(), canary) {
					t.Errorf("%s %s: %v", place, to, err)
				}
			}
		}
	}
	for _, source := range []string{
		"https://joe:" + canary + "@host/a:v1?token=" + canary, "joe:" + canary + "@host/a:v1", "joe:" + canary + "@host:5000/A:v1",
		"host/a:v1?token=" + canary, "host.io/A?token=" + canary, "host/a%zz?token=" + canary, "joe:" + canary + "@host/a@sha256:ab?" + canary,
	} {
		if _, err := New(Options{}).Resolve(t.Context(), source); err == nil || strings.Contains(err.Error(), canary) || report.Classify(err) != report.ClassUsage {
			t.Errorf("%s: class %d of %v", source, report.Classify(err), err)
		}
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		`Get "http://h/x?y=1": EOF`:      `Get "http://h/x?y=REDACTED": EOF`,
		`dial http://a:b@h:80: refused`:  `dial http://h:80: refused`,
		`ask (https://h/t?a=b&c=d), ok?`: `ask (https://h/t?a=REDACTED&c=REDACTED), ok?`,
		`h:5000/a/b@sha256:abcd is gone`: `h:5000/a/b@sha256:abcd is gone`,
		`parse "//a:b@h/%zz": invalid`:   `parse "(malformed URL)": invalid`,
		`dial tcp 127.0.0.1:5000: reset`: `dial tcp 127.0.0.1:5000: reset`,
		`no URL, a/b: c`:                 `no URL, a/b: c`,
	} {
		if got := redact(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}
