package httpx

import (
	"bufio"
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// fast returns a transport whose waits are short.
func fast(t *testing.T, o Options) *Transport {
	t.Helper()
	if o.Backoff == nil {
		o.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	tr := NewTransport(o)
	t.Cleanup(tr.CloseIdleConnections)
	return tr
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// serveRaw answers each connection with answer, which gets the first request of
// the connection and its number from 1, and closes the connection afterwards.
func serveRaw(t *testing.T, answer func(n int, conn *net.TCPConn, req *http.Request)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		wg.Wait()
	})
	wg.Go(func() {
		for n := 1; ; n++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					answer(n, conn.(*net.TCPConn), req)
				}
			})
		}
	})
	return "http://" + l.Addr().String()
}

func newRequest(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func get(t *testing.T, tr http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	return tr.RoundTrip(newRequest(t, http.MethodGet, url, nil))
}

// fetch gets url and reads its body.
func fetch(t *testing.T, tr http.RoundTripper, url string) ([]byte, error) {
	t.Helper()
	resp, err := get(t, tr, url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func wantUnavailable(t *testing.T, err error) *UnavailableError {
	t.Helper()
	ua, ok := errors.AsType[*UnavailableError](err)
	if !ok {
		t.Fatalf("got error %v (%T), want *UnavailableError", err, err)
	}
	if errors.Is(err, io.EOF) {
		t.Errorf("error %v is io.EOF, which a reader takes for the good end", err)
	}
	return ua
}

func TestRequestHeaders(t *testing.T) {
	tests := []struct {
		name string
		set  string // User-Agent of the request
		want string
	}{
		{"default", "", "airbundle/1"},
		{"own", "other/2", "other/2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got http.Header
			s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got = r.Header.Clone() })
			req := newRequest(t, http.MethodGet, s.URL, nil)
			if tt.set != "" {
				req.Header.Set("User-Agent", tt.set)
			}
			before := req.Header.Clone()
			resp, err := fast(t, Options{UserAgent: "airbundle/1"}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if diff := cmp.Diff(http.Header{"User-Agent": {tt.want}}, got); diff != "" {
				t.Errorf("headers sent (-want +got), Accept-Encoding must not be among them:\n%s", diff)
			}
			if diff := cmp.Diff(before, req.Header); diff != "" {
				t.Errorf("RoundTrip changed its request (-before +after):\n%s", diff)
			}
			if resp.Request != req {
				t.Error("resp.Request is not the caller's request")
			}
		})
	}
}

func TestRequestWithoutHeaderMap(t *testing.T) {
	s := serve(t, func(http.ResponseWriter, *http.Request) {})
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	req := (&http.Request{Method: http.MethodGet, URL: u}).WithContext(t.Context())
	resp, err := fast(t, Options{UserAgent: "airbundle/1"}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
}

func TestEncodedContentArrivesAsStored(t *testing.T) {
	stored := []byte("\x1f\x8b these bytes are the artifact")
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = w.Write(stored)
	})
	got, err := fetch(t, fast(t, Options{}), s.URL)
	if err != nil || !bytes.Equal(got, stored) {
		t.Errorf("got %q, %v; want the bytes untouched", got, err)
	}
}

// closeCounter is a request body that knows whether it was closed.
type closeCounter struct {
	io.Reader
	mu     sync.Mutex
	closes int
}

func (c *closeCounter) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closes++
	return nil
}

func TestRefusedRequests(t *testing.T) {
	for _, raw := range []string{"ftp://host/x", "http:///path", "host/path", "file:///etc/passwd"} {
		u, err := url.Parse(raw)
		if err != nil {
			t.Fatal(err)
		}
		body := &closeCounter{Reader: strings.NewReader("x")}
		req := (&http.Request{Method: http.MethodPut, URL: u, Body: body}).WithContext(t.Context())
		resp, err := fast(t, Options{}).RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
			t.Errorf("%s: no error", raw)
			continue
		}
		if errors.As(err, new(*UnavailableError)) {
			t.Errorf("%s: %v must not look like an unavailable host", raw, err)
		}
		if body.closes != 1 {
			t.Errorf("%s: request body closed %d times, want 1", raw, body.closes)
		}
	}
}

func TestTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto)
	}))
	t.Cleanup(s.Close)
	pool := x509.NewCertPool()
	pool.AddCert(s.Certificate())

	got, err := fetch(t, fast(t, Options{RootCAs: pool}), s.URL)
	if err != nil || string(got) != "HTTP/1.1" {
		t.Errorf("with the server's CA: got %q, %v; want HTTP/1.1", got, err)
	}

	_, err = fetch(t, fast(t, Options{}), s.URL)
	if ua := wantUnavailable(t, err); ua.Attempts != 1 || !strings.Contains(err.Error(), "x509") {
		t.Errorf("unknown CA: got %v after %d attempts, want x509 and 1 attempt", err, ua.Attempts)
	}

	plain := serve(t, func(http.ResponseWriter, *http.Request) {})
	_, err = fetch(t, fast(t, Options{}), "https"+strings.TrimPrefix(plain.URL, "http"))
	if ua := wantUnavailable(t, err); ua.Attempts != 1 || !errors.Is(err, http.ErrSchemeMismatch) {
		t.Errorf("plain server at an https URL: %d attempts, want 1 and http.ErrSchemeMismatch (%v)", ua.Attempts, err)
	}
}

// TestProxy: net/http reads the environment once in a process and never sends
// loopback to a proxy, so this shows only that a good answer passes.
func TestProxy(t *testing.T) {
	u, err := proxy(newRequest(t, http.MethodGet, "http://127.0.0.1/", nil))
	if err != nil || u != nil {
		t.Errorf("proxy for loopback: got %v, %v; want none", u, err)
	}
}

func TestEndlessHeaders(t *testing.T) {
	addr := serveRaw(t, func(_ int, conn *net.TCPConn, _ *http.Request) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		line := []byte("X-Filler: " + strings.Repeat("x", 1000) + "\r\n")
		for range 4096 {
			if _, err := conn.Write(line); err != nil {
				return
			}
		}
	})
	_, err := fetch(t, fast(t, Options{Attempts: 1}), addr)
	wantUnavailable(t, err)
}

// Contract 3.8.
func TestExpectContinueSparesTheBody(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	src := &countingReader{r: strings.NewReader("large")}
	req := newRequest(t, http.MethodPut, s.URL, src)
	req.ContentLength = 5
	req.Header.Set("Expect", "100-continue")
	resp, err := fast(t, Options{}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden || src.count() != 0 {
		t.Errorf("got %d after %d bytes read, want 403 after none", resp.StatusCode, src.count())
	}
}

type countingReader struct {
	r  io.Reader
	mu sync.Mutex
	n  int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
	return n, err
}

func (c *countingReader) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}

func TestCancel(t *testing.T) {
	why := errors.New("operator pressed ^C")
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/storm":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/pause":
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/headers":
			<-r.Context().Done()
		case "/known":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "/unknown":
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
	})
	for _, path := range []string{"/storm", "/pause", "/headers", "/known", "/unknown"} {
		t.Run(path[1:], func(t *testing.T) {
			slow := func(int) time.Duration { return time.Hour }
			if path == "/pause" {
				slow = func(int) time.Duration { return 0 }
			}
			tr := fast(t, Options{Backoff: slow})
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
			req := newRequest(t, http.MethodGet, s.URL+path, nil).WithContext(ctx)
			began := time.Now()
			resp, err := tr.RoundTrip(req)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
			}
			if !errors.Is(err, why) || errors.As(err, new(*UnavailableError)) {
				t.Errorf("got %v (%T), want the cause of the cancellation alone", err, err)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v to stop", d)
			}
			wantFreeSlots(t, tr)
		})
	}
}
