package image

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

func TestForeignLayer(t *testing.T) {
	asked := 0
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer elsewhere.Close()
	reg := registrytest.Start(t, registrytest.Options{})
	s := New(Options{PlainHTTP: []string{reg.Host, strings.TrimPrefix(elsewhere.URL, "http://")}})
	desc := ocispec.Descriptor{MediaType: string(types.DockerForeignLayer), Digest: someDigest, Size: 3, URLs: []string{elsewhere.URL + "/layer"}}
	_, err := s.Blob(t.Context(), reg.Host+"/a/b:v1", desc)
	wantError(t, err, "foreign layer", "never contacted", "404")
	if asked != 0 {
		t.Error("the url of a foreign layer was contacted")
	}
}

func TestTLS(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{TLS: true})
	source := push(t, reg, "a/b:v1", newImage(t, types.OCIManifestSchema1))
	if m, b := readWhole(t, New(Options{Transport: reg.Server.Client().Transport}), source); m != 1 || b != 3 {
		t.Errorf("%d manifests, %d blobs", m, b)
	}
	_, err := New(Options{}).Resolve(t.Context(), source)
	wantError(t, err, "x509")
}

// go-containerregistry would speak plain HTTP to a loopback address unasked.
func TestPlainHTTPOnlyWhenNamed(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	source := push(t, reg, "a/b:v1", newImage(t, types.OCIManifestSchema1))
	for _, named := range [][]string{nil, {"127.0.0.1"}, {"other:5000"}} {
		_, err := New(Options{PlainHTTP: named}).Resolve(t.Context(), source)
		wantError(t, err, "plain HTTP to "+reg.Host+" refused", "--plain-http")
	}
	if got := reg.Requests(); len(got) != 0 {
		t.Errorf("plain HTTP was spoken: %v", got)
	}
}

func TestCanceled(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(http.Handler) http.Handler {
		return http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	}})
	s := sourceFor(reg)
	ctx, cancel := contextWithCause(t)
	done := make(chan error)
	go func() {
		_, err := s.Resolve(ctx, reg.Host+"/a/b:v1")
		done <- err
	}()
	cancel()
	if err := <-done; report.Classify(err) != report.ClassIncomplete {
		t.Errorf("%v is not told from a failure", err)
	}
}

func TestStatusErrorText(t *testing.T) {
	for name, tt := range map[string]struct{ body, want string }{
		"known form":   {`{"errors":[{"code":"A","message":"b"},{"code":"C","message":"d\u001b[31m"}]}`, "A: b; C: d [31m"},
		"unknown form": {"{\"details\":\n\"no\"}\x07", `{"details": "no"}`},
		"a web page":   {" <html>log in</html>", ""},
		"nothing":      {"", ""},
		"much":         {strings.Repeat("é", 1000), strings.Repeat("é", 500) + "…"},
	} {
		req := httptest.NewRequest(http.MethodGet, "https://joe:secret@host/token?scope=a", nil)
		err := transport.CheckError(&http.Response{StatusCode: http.StatusForbidden, Request: req, Body: io.NopCloser(strings.NewReader(tt.body))}, http.StatusOK)
		got, _ := errors.AsType[*httpx.StatusError](translate(fmt.Errorf("log in: %w", err)))
		want := &httpx.StatusError{Method: "GET", URL: "https://host/token?scope=REDACTED", Code: http.StatusForbidden, Reason: "Forbidden", Body: tt.want}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Over the project's own transport, an image arrives in spite of a busy server and of broken transfers.
func TestOverHTTPX(t *testing.T) {
	tokens := &tokenServer{}
	var mu sync.Mutex
	asked := map[string]int{}
	reg := registrytest.Start(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		next = tokens.wrap(next)
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			mu.Lock()
			asked[req.URL.Path]++
			n := asked[req.URL.Path]
			mu.Unlock()
			switch {
			case req.Method != http.MethodGet || req.Header.Get("Authorization") == "" || n > 1:
				next.ServeHTTP(w, req)
			case strings.Contains(req.URL.Path, "/manifests/"):
				http.Error(w, "busy", http.StatusServiceUnavailable)
			case strings.Contains(req.URL.Path, "/blobs/"):
				next.ServeHTTP(&cutWriter{ResponseWriter: w, left: 100}, req)
			default:
				next.ServeHTTP(w, req)
			}
		})
	}})
	source := push(t, reg, "a/b:v1", newImage(t, types.OCIManifestSchema1))
	clear(asked)
	rt := httpx.NewTransport(httpx.Options{Backoff: func(int) time.Duration { return time.Millisecond }})
	defer rt.CloseIdleConnections()
	if m, b := readWhole(t, New(Options{Transport: rt, PlainHTTP: []string{reg.Host}}), source); m != 1 || b != 3 {
		t.Errorf("%d manifests, %d blobs", m, b)
	}
	for path, n := range asked {
		if strings.Contains(path, "/a/b/") && n < 2 {
			t.Errorf("%s was asked for %d times: its fault did not happen", path, n)
		}
	}
}

// A cutWriter breaks the connection after some bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}
