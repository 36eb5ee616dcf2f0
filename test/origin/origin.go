// Package origin stands for the connected side of a test: one HTTP server that gives
// the images of a fixture as a registry does and its RPMs and files as a mirror does,
// and a lock that names this server. It counts what it gave, and can be slow or hold its
// answers back. It takes no uploads and knows no logins.
package origin

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
)

// Options tune Start. The zero value is a server as fast as it can be.
type Options struct {
	// Rate is how many bytes a second each body gets at most; 0 means no limit.
	Rate int
	// Close ends each connection after one answer.
	Close bool
}

// A Server is a running origin. It ends with its test.
type Server struct {
	URL  string // of the mirror, without a trailing slash
	Host string // of the registry, as references want it
	Lock *lockfile.Lock

	fixture *bundletest.Fixture
	files   map[string][]byte        // by path
	tags    map[string]digest.Digest // by repository:tag
	rate    int
	close   bool

	sent atomic.Int64 // bytes of large bodies

	mu   sync.Mutex
	log  []string
	gate chan struct{} // closed: bodies flow
}

// Start serves the content of a fixture and rewrites a copy of its lock, so that it
// names this server.
func Start(t testing.TB, f *bundletest.Fixture, o Options) *Server {
	t.Helper()
	s := &Server{fixture: f, files: map[string][]byte{}, tags: map[string]digest.Digest{}, rate: o.Rate, close: o.Close, gate: make(chan struct{})}
	close(s.gate)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	t.Cleanup(s.Release) // first: a held body would hold Close
	s.URL, s.Host = srv.URL, strings.TrimPrefix(srv.URL, "http://")
	if err := s.adopt(f); err != nil {
		t.Fatal(err)
	}
	return s
}

// adopt makes the lock and the paths of this server out of the fixture's.
func (s *Server) adopt(f *bundletest.Fixture) error {
	raw, err := f.Lock.Encode()
	if err != nil {
		return err
	}
	text := string(raw)
	for from, body := range f.URLs {
		u, err := url.Parse(from)
		if err != nil {
			return err
		}
		s.files[u.Path] = body
		text = strings.ReplaceAll(text, from, s.URL+u.Path)
	}
	for _, img := range f.Lock.Images {
		_, name, _ := strings.Cut(img.Source, "/")
		s.tags[name] = img.Digest
		text = strings.ReplaceAll(text, img.Source, s.Host+"/"+name)
	}
	s.Lock, err = lockfile.DecodeLock("origin", []byte(text))
	return err
}

// Hold makes the server keep back the bodies of layers and files until Release; headers
// are sent.
func (s *Server) Hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = make(chan struct{})
}

// Release ends Hold.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.gate:
	default:
		close(s.gate)
	}
}

// Log returns one line for each request that was answered: method, path, status. A client
// that has seen an answer finds it here.
func (s *Server) Log() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.log...)
}

// Forget empties the log and the counters.
func (s *Server) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.log = nil
	s.sent.Store(0)
}

// Sent returns how many bytes of layers and files went out; the small JSON, which a
// build asks for each time, does not count.
func (s *Server) Sent() int64 { return s.sent.Load() }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	body := &body{ResponseWriter: w, s: s, method: r.Method, path: r.URL.Path, gate: s.gate}
	s.mu.Unlock()
	if s.close {
		w.Header().Set("Connection", "close")
	}
	rest, image := strings.CutPrefix(r.URL.Path, "/v2/")
	raw, mediaType := s.files[r.URL.Path], "application/octet-stream"
	switch {
	case image && rest == "":
		body.WriteHeader(http.StatusOK)
		return
	case image:
		raw, mediaType = s.image(rest)
		body.small = len(raw) < smallest
	}
	if raw == nil || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(body, r)
		return
	}
	body.Header().Set("Content-Type", mediaType)
	body.Header().Set("ETag", `"`+digest.FromBytes(raw).Encoded()+`"`)
	http.ServeContent(body, r, "", time.Time{}, bytes.NewReader(raw))
}

// image finds <repository>/manifests/<tag or digest> or <repository>/blobs/<digest>. All
// content is in all repositories.
func (s *Server) image(rest string) (raw []byte, mediaType string) {
	dir, reference := path.Split(rest)
	d := digest.Digest(reference)
	if repository, ok := strings.CutSuffix(dir, "/manifests/"); ok && d.Validate() != nil {
		d = s.tags[repository+":"+reference]
	}
	if mediaType = s.fixture.Types[d]; strings.HasSuffix(dir, "/blobs/") {
		mediaType = "application/octet-stream"
	}
	return s.fixture.Blobs[d], mediaType
}

// smallest is the size of the smallest layer: what is smaller in an image is JSON.
const smallest = 8 << 10

// A body is an answer that is counted, and slowed down where it is large.
type body struct {
	http.ResponseWriter
	s      *Server
	method string
	path   string
	gate   <-chan struct{}
	small  bool
	status int
}

// WriteHeader implements http.ResponseWriter.
func (b *body) WriteHeader(code int) {
	b.status = code
	b.s.mu.Lock()
	b.s.log = append(b.s.log, fmt.Sprintf("%s %s %d", b.method, b.path, code))
	b.s.mu.Unlock()
	b.ResponseWriter.WriteHeader(code)
}

// piece is how much is written between two pauses.
const piece = 16 << 10

// Write implements http.ResponseWriter.
func (b *body) Write(p []byte) (n int, err error) {
	if b.small || b.status >= http.StatusBadRequest {
		return b.ResponseWriter.Write(p)
	}
	select {
	case <-b.gate:
	default:
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		<-b.gate
	}
	for n < len(p) && err == nil {
		next := p[n:min(n+piece, len(p))]
		b.s.sent.Add(int64(len(next))) // before the client can have seen it
		var m int
		m, err = b.ResponseWriter.Write(next)
		n += m
		if b.s.rate > 0 {
			_ = http.NewResponseController(b.ResponseWriter).Flush()
			time.Sleep(time.Duration(m) * time.Second / time.Duration(b.s.rate))
		}
	}
	return n, err
}
