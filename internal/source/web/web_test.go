package web

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

func newSource(t *testing.T, dir string) *Source {
	t.Helper()
	tr := httpx.NewTransport(httpx.Options{Attempts: 3, Backoff: func(int) time.Duration { return time.Millisecond }})
	t.Cleanup(tr.CloseIdleConnections)
	return New(httpx.NewClient(tr), dir)
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func descriptor(content []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestOpenFromServer(t *testing.T) {
	content := []byte("socat-1.7.3.2-2.el7.x86_64.rpm")
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/known":
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(content)
		case "/flaky":
			if n.Add(1) == 1 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = w.Write(content)
		case "/moved":
			http.Redirect(w, r, "/known", http.StatusFound)
		}
	})
	src := newSource(t, t.TempDir())
	for _, path := range []string{"/known", "/chunked", "/flaky", "/moved"} {
		rc, err := src.Open(t.Context(), s.URL+path, descriptor(content))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		got, err := digestio.ReadAll(rc, descriptor(content), 1<<20)
		if err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
		if err := rc.Close(); err != nil {
			t.Errorf("%s: Close: %v", path, err)
		}
	}
}

// TestWrongSizeIsNotDownloaded: the server counts what it gets rid of.
func TestWrongSizeIsNotDownloaded(t *testing.T) {
	const size = 256 << 20
	sent := make(chan int64, 1)
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "268435456")
		n, _ := io.CopyN(w, zeros{}, size)
		sent <- n
	})
	want := ocispec.Descriptor{Digest: digest.FromString("other"), Size: size - 1}
	rc, err := newSource(t, t.TempDir()).Open(t.Context(), s.URL+"/f.tgz?token=s3cr3t", want)
	if err == nil {
		_ = rc.Close()
	}
	mm, ok := errors.AsType[*digestio.MismatchError](err)
	if !ok || mm.GotBytes != size || mm.Want.Digest != want.Digest {
		t.Fatalf("got %v, want a *digestio.MismatchError with both sizes", err)
	}
	if text := err.Error(); !strings.Contains(text, s.URL+"/f.tgz?token=REDACTED") || strings.Contains(text, "s3cr3t") {
		t.Errorf("got %q, want the redacted URL in it", text)
	}
	if n := <-sent; n > size/8 {
		t.Errorf("the server could send %d bytes", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestOpenErrors(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/part" {
			w.WriteHeader(http.StatusPartialContent)
			return
		}
		http.Error(w, "gone for ever", http.StatusNotFound)
	})
	tests := []struct {
		name, url string
		status    int
		text      string
	}{
		{"404", s.URL + "/f?sig=s3cr3t", 404, "gone for ever"},
		{"206 unasked", s.URL + "/part?sig=s3cr3t", 206, "206"},
		{"other scheme", "ftp://user:s3cr3t@host/f", 0, "neither http, https nor file"},
		{"no scheme", "host/f?s3cr3t", 0, "neither http, https nor file"},
		{"malformed", "http://user:s3cr3t@host/%zz", 0, "malformed URL"},
		{"no host", "http:///f?s3cr3t", 0, ""},
		{"file on another host", "file://host/f", 0, "another host"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rc, err := newSource(t, t.TempDir()).Open(t.Context(), tt.url, ocispec.Descriptor{})
			if err == nil {
				_ = rc.Close()
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "s3cr3t") || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %v, want %q in it and no secret", err, tt.text)
			}
			if se, _ := errors.AsType[*httpx.StatusError](err); tt.status != 0 && (se == nil || se.Code != tt.status) {
				t.Errorf("got %v, want status %d", err, tt.status)
			}
		})
	}
}

func TestOpenCancelled(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	rc, err := newSource(t, t.TempDir()).Open(ctx, s.URL, ocispec.Descriptor{})
	if err == nil {
		_ = rc.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the cancellation", err)
	}
}

func TestSize(t *testing.T) {
	var heads, gets atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			heads.Add(1)
		} else {
			gets.Add(1)
		}
		switch r.URL.Path {
		case "/known":
			w.Header().Set("Content-Length", "268435456")
		case "/get-only":
			if r.Method == http.MethodHead {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			w.Header().Set("Content-Length", "268435456")
			_, _ = io.CopyN(w, zeros{}, 256<<20)
		case "/head-says-0":
			if r.Method == http.MethodHead {
				w.Header().Set("Content-Length", "0")
				return
			}
			_, _ = w.Write([]byte("content"))
		case "/unknown":
			_ = http.NewResponseController(w).Flush()
		case "/empty":
		case "/broken":
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	s.Config.SetKeepAlivesEnabled(false) // net/http repeats by itself on used connections
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), []byte("content"))
	tests := []struct {
		url         string
		size        int64
		heads, gets int32
		fails       bool
	}{
		{s.URL + "/known", 256 << 20, 1, 0, false},
		{s.URL + "/get-only", 256 << 20, 1, 1, false},
		{s.URL + "/head-says-0", 7, 1, 1, false},
		{s.URL + "/unknown", -1, 1, 1, false},
		{s.URL + "/empty", 0, 1, 1, false},
		{"file:f", 7, 0, 0, false},
		{s.URL + "/absent", 0, 1, 1, true},
		{s.URL + "/broken", 0, 3, 0, true}, // the tries of one request
		{"file:absent", 0, 0, 0, true},
		{"ftp://host/f", 0, 0, 0, true},
		{"http://host/%zz", 0, 0, 0, true},
	}
	src := newSource(t, dir)
	for _, tt := range tests {
		heads.Store(0)
		gets.Store(0)
		got, err := src.Size(t.Context(), tt.url)
		if got != tt.size || (err != nil) != tt.fails {
			t.Errorf("%s: got %d, %v; want %d, error %v", tt.url, got, err, tt.size, tt.fails)
		}
		if heads.Load() != tt.heads || gets.Load() != tt.gets {
			t.Errorf("%s: %d HEAD and %d GET, want %d and %d", tt.url, heads.Load(), gets.Load(), tt.heads, tt.gets)
		}
	}
}

func TestPin(t *testing.T) {
	content := bytes.Repeat([]byte("etcd"), 50_000)
	sum := sha256.Sum256(content)
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/cut": // resumed below
			w.Header().Set("ETag", `"v1"`)
			if n.Add(1) == 1 {
				w.Header().Set("Content-Length", "200000")
				_, _ = w.Write(content[:1000])
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(content)
		case "/chunked-cut":
			_, _ = w.Write(content[:1000])
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/empty":
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "local.tgz"), content)
	none := sha256.Sum256(nil)
	tests := []struct {
		url  string
		size int64
		sum  []byte // nil: an error
	}{
		{s.URL + "/cut", 200_000, sum[:]},
		{s.URL + "/chunked", 200_000, sum[:]},
		{s.URL + "/empty", 0, none[:]},
		{"file:local.tgz", 200_000, sum[:]},
		{s.URL + "/chunked-cut", 0, nil},
		{s.URL + "/absent", 0, nil},
		{"file:absent", 0, nil},
	}
	for _, tt := range tests {
		size, got, err := newSource(t, dir).Pin(t.Context(), tt.url, "")
		if tt.sum == nil {
			if err == nil || got != "" || size != 0 {
				t.Errorf("%s: got %d %q, %v; want an error alone", tt.url, size, got, err)
			}
			continue
		}
		if want := digest.Digest("sha256:" + hex.EncodeToString(tt.sum)); err != nil || size != tt.size || got != want {
			t.Errorf("%s: got %d %s, %v; want %d %s", tt.url, size, got, err, tt.size, want)
		}
	}
}

// serveUntilClose answers as HTTP/1.0 does: the content ends where the connection
// does, so that nobody can tell the whole from a part.
func serveUntilClose(t *testing.T, content string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096))
			_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\n"+content)
			_ = conn.Close()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestContentWithoutAnEnd(t *testing.T) {
	content := strings.Repeat("a", 64) + "  f\n"
	url := serveUntilClose(t, content)
	src := newSource(t, t.TempDir())
	if _, _, err := src.Pin(t.Context(), url, ""); err == nil {
		t.Error("Pin: no error: a cut download would be pinned")
	}
	if _, err := src.Checksums(t.Context(), url); err == nil {
		t.Error("Checksums: no error")
	}
	rc, err := src.Open(t.Context(), url, descriptor([]byte(content)))
	if err != nil {
		t.Fatalf("Open: %v: a pinned content can be told from its part", err)
	}
	defer rc.Close()
	if _, err := digestio.ReadAll(rc, descriptor([]byte(content)), 1<<20); err != nil {
		t.Error(err)
	}
}
