package registry_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

// TestRequestThatIsNotUnderstood: a 400 of a server that could not read the request, or
// whose words are lost, comes of the way between and is tried again, three times at most;
// one that a registry gives a reason for stands.
func TestRequestThatIsNotUnderstood(t *testing.T) {
	page := func(kind, body string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", kind)
			w.Header().Set("Connection", "close")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = io.WriteString(w, body)
		}
	}
	kept := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, "400 Bad Request")
	}
	cut := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "200")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"errors":[{"code":"DIGE`)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
	for _, tt := range []struct {
		name   string
		answer func(http.ResponseWriter)
		again  bool
	}{
		{"Go", page("text/plain; charset=utf-8", "400 Bad Request"), true},
		{"Go, with a reason", page("text/plain; charset=utf-8", "400 Bad Request: missing required Host header"), true},
		{"nothing", page("", ""), true},
		{"nginx", page("text/html", "<html>\r\n<head><title>400 Bad Request</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n<hr><center>nginx/1.22.1</center>\r\n</body>\r\n</html>\r\n"), true},
		{"Jetty", page("text/html;charset=iso-8859-1", "<h1>Bad Message 400</h1><pre>reason: Illegal character CNTL=0x0</pre>"), true},
		{"HAProxy", page("text/html", "<html><body><h1>400 Bad request</h1>\nYour browser sent an invalid request.\n</body></html>\n"), true},
		{"Apache", page("text/html", "<html><head>\n<title>400 Bad Request</title>\n</head><body>\n<h1>Bad Request</h1>\n<p>Your browser sent a request that this server could not understand.<br />\n</p>\n</body></html>\n"), true},
		{"cut", cut, true},
		{"on a connection that stays", kept, false},
		{"nginx, that wants TLS", page("text/html", "<html><head><title>400</title></head><body><center><h1>400 Bad Request</h1></center><center>The plain HTTP request was sent to HTTPS port</center><hr><center>nginx</center></body></html>"), false},
		{"a registry", page("application/json", `{"errors":[{"code":"NAME_INVALID","message":"invalid repository name"}]}`), false},
		{"something else", page("text/plain", "the quota of this repository is used up"), false},
	} {
		for _, manifest := range []bool{false, true} {
			for _, times := range []int32{2, 100} {
				t.Run(fmt.Sprintf("%s/%v/%d", tt.name, manifest, times), func(t *testing.T) {
					t.Parallel()
					var n atomic.Int32
					reg := registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, r *http.Request) bool {
						hit := manifest && r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/") || !manifest && isUpload(r)
						if !hit || n.Add(1) > times {
							return false
						}
						_, _ = io.Copy(io.Discard, r.Body)
						tt.answer(w)
						return true
					})})
					r := registry.New(options(t, reg.URL))
					var err error
					if manifest {
						err = r.PushManifest(t.Context(), "a", "1", ocispec.MediaTypeImageIndex, []byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
					} else {
						src := &source{data: content(1000)}
						_, _, err = r.PushBlob(t.Context(), "a", describe(src.data), nil, src.open)
					}
					want := int32(1)
					if tt.again {
						want = 3
					}
					switch {
					case n.Load() != want:
						t.Errorf("%d tries, want %d: %v", n.Load(), want, err)
					case tt.again && times == 2 && err != nil:
						t.Errorf("not mended: %v", err)
					case (!tt.again || times > 2) && (err == nil || report.Classify(err) != report.ClassRefused || !strings.Contains(err.Error(), "400")):
						t.Errorf("class %d: %v", report.Classify(err), err)
					}
				})
			}
		}
	}
}
