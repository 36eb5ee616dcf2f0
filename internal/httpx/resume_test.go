package httpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var oldDate = time.Date(2024, 5, 1, 10, 0, 0, 0, time.UTC)

// contentHandler serves content as a good server does.
func contentHandler(content []byte, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "", oldDate, bytes.NewReader(content))
	}
}

// cut sends headers for total bytes, then some of them, and leaves.
func cut(w http.ResponseWriter, some []byte, total int) {
	w.Header().Set("Content-Length", fmt.Sprint(total))
	_, _ = w.Write(some)
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// TestResumeAfterReset counts what the server sends: no byte twice.
func TestResumeAfterReset(t *testing.T) {
	content := randomBytes(300_000)
	const first = 100_000
	reset := make(chan struct{})
	var mu sync.Mutex
	var served int
	var ranges []string
	addr := serveRaw(t, func(n int, conn *net.TCPConn, req *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		ranges = append(ranges, strings.TrimSpace(req.Header.Get("Range")+" "+req.Header.Get("If-Range")))
		if n == 1 {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nETag: \"v1\"\r\n\r\n", len(content))
			k, _ := conn.Write(content[:first])
			served += k
			<-reset
			_ = conn.SetLinger(0)
			return
		}
		var from int
		_, _ = fmt.Sscanf(req.Header.Get("Range"), "bytes=%d-", &from)
		fmt.Fprintf(conn, "HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\nContent-Range: bytes %d-%d/%d\r\nETag: \"v1\"\r\n\r\n",
			len(content)-from, from, len(content)-1, len(content))
		k, _ := conn.Write(content[from:])
		served += k
	})
	resp, err := get(t, fast(t, Options{}), addr)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got := make([]byte, first)
	if _, err := io.ReadFull(resp.Body, got); err != nil {
		t.Fatal(err)
	}
	close(reset)
	rest, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(append(got, rest...), content) {
		t.Errorf("got %d bytes, %v; want the content", len(got)+len(rest), err)
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff([]string{"", `bytes=100000- "v1"`}, ranges); diff != "" {
		t.Errorf("Range and If-Range (-want +got):\n%s", diff)
	}
	if served != len(content) {
		t.Errorf("server sent %d bytes for a content of %d", served, len(content))
	}
}

// TestResumeInManyParts: the tries are counted anew after each new byte, also when
// a server sends less than it was asked for.
func TestResumeInManyParts(t *testing.T) {
	content := randomBytes(20_000)
	for _, name := range []string{"cut", "short parts"} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n.Add(1)
				from, to := 0, 1000
				if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-", &from); err == nil {
					to = min(from+1000, len(content))
				}
				w.Header().Set("ETag", `"v1"`)
				if from == 0 {
					cut(w, content[:to], len(content))
				}
				last := len(content) - 1
				if name == "short parts" {
					last = to - 1
				}
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, last, len(content)))
				w.Header().Set("Content-Length", fmt.Sprint(last-from+1))
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(content[from:to])
			})
			got, err := fetch(t, fast(t, Options{Attempts: 1}), s.URL)
			if err != nil || !bytes.Equal(got, content) || n.Load() != 20 {
				t.Errorf("got %d bytes in %d requests, %v; want %d in 20", len(got), n.Load(), err, len(content))
			}
		})
	}
}

// TestResumeThroughTrouble: what can pass is tried again; the tries are bounded.
func TestResumeThroughTrouble(t *testing.T) {
	content := randomBytes(1000)
	tests := []struct {
		name    string
		trouble []string
		ok      bool
	}{
		{"storm", []string{"503", "502", "500", "429"}, true},
		{"connection", []string{"abort", "abort"}, true},
		{"cut before the first new byte", []string{"empty", "empty"}, true},
		{"cut while skipping", []string{"whole, cut", "whole, cut"}, true},
		{"too much", []string{"503", "abort", "empty", "503", "abort"}, false},
		{"too much at the end", []string{"503", "503", "503", "503", "abort"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("ETag", `"v1"`)
				i := int(n.Add(1)) - 2
				if i < 0 {
					cut(w, content[:400], len(content))
				}
				if i < len(tt.trouble) {
					makeTrouble(w, tt.trouble[i], content)
					return
				}
				contentHandler(content, `"v1"`)(w, r)
			})
			// On a connection that was used before, net/http repeats a GET by itself.
			s.Config.SetKeepAlivesEnabled(false)
			tr := fast(t, Options{Attempts: 5})
			got, err := fetch(t, tr, s.URL)
			if tt.ok && (err != nil || !bytes.Equal(got, content)) {
				t.Errorf("got %d bytes, %v; want all", len(got), err)
			}
			if !tt.ok {
				if ua := wantUnavailable(t, err); ua.Attempts != 5 || n.Load() != 6 || len(got) != 400 {
					t.Errorf("got %v after %d requests and %d bytes, want 5 attempts, 6 requests, 400 bytes", err, n.Load(), len(got))
				}
			}
			wantFreeSlots(t, tr)
		})
	}
}

func makeTrouble(w http.ResponseWriter, kind string, content []byte) {
	switch kind {
	case "abort":
		panic(http.ErrAbortHandler)
	case "whole, cut":
		cut(w, content[:200], len(content))
	case "empty":
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 400-999/%d", len(content)))
		w.Header().Set("Content-Length", "600")
		w.WriteHeader(http.StatusPartialContent)
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		var code int
		_, _ = fmt.Sscan(kind, &code)
		w.WriteHeader(code)
	}
}

// TestTruncatedSilently: a short body with a good end, again and again.
func TestTruncatedSilently(t *testing.T) {
	content := randomBytes(1000)
	addr := serveRaw(t, func(_ int, conn *net.TCPConn, _ *http.Request) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n")
		_, _ = conn.Write(content[:600])
	})
	got, err := fetch(t, fast(t, Options{Attempts: 2}), addr)
	wantUnavailable(t, err)
	if !errors.Is(err, io.ErrUnexpectedEOF) || !bytes.Equal(got, content[:600]) {
		t.Errorf("got %d bytes, %v; want 600 and io.ErrUnexpectedEOF", len(got), err)
	}
}

// TestNotResumed: bodies of which nothing can be proven break at once.
func TestNotResumed(t *testing.T) {
	tests := []struct {
		name   string
		method string
		header string // Range of the request
		serve  func(http.ResponseWriter)
	}{
		{"chunked", http.MethodGet, "", func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
		{"POST", http.MethodPost, "", func(w http.ResponseWriter) { cut(w, []byte("begin"), 100) }},
		{"caller's own Range, which part is not said", http.MethodGet, "bytes=0-99", func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "100")
			w.WriteHeader(http.StatusPartialContent)
			cut(w, []byte("begin"), 100)
		}},
		{"caller's own Range, chunked", http.MethodGet, "bytes=0-99", func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, "begin")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n.Add(1)
				_, _ = io.Copy(io.Discard, r.Body)
				tt.serve(w)
			})
			req := newRequest(t, tt.method, s.URL, nil)
			if tt.header != "" {
				req.Header.Set("Range", tt.header)
			}
			resp, err := fast(t, Options{}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			wantUnavailable(t, err)
			if !errors.Is(err, io.ErrUnexpectedEOF) || string(got) != "begin" || n.Load() != 1 {
				t.Errorf("got %q, %v after %d requests; want the beginning, io.ErrUnexpectedEOF, 1", got, err, n.Load())
			}
			if _, again := resp.Body.Read(make([]byte, 1)); !errors.Is(again, err) {
				t.Errorf("next Read: %v, want the same error", again)
			}
		})
	}
}

// TestBodyIsAGoodReader also reads it in odd pieces.
func TestBodyIsAGoodReader(t *testing.T) {
	content := randomBytes(5000)
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		if n.Add(1)%2 == 1 && r.Header.Get("Range") == "" {
			cut(w, content[:1234], len(content))
		}
		contentHandler(content, `"v1"`)(w, r)
	})
	tr := fast(t, Options{})
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as it is": func(r io.Reader) io.Reader { return r },
		"one byte": iotest.OneByteReader,
		"half":     iotest.HalfReader,
	} {
		t.Run(name, func(t *testing.T) {
			n.Store(0)
			resp, err := get(t, tr, s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if err := iotest.TestReader(wrap(resp.Body), content); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestCloseWhileReading: Close ends a Read that waits for bytes, for a new attempt
// or for the next try.
func TestCloseWhileReading(t *testing.T) {
	for _, path := range []string{"/stalls", "/reopens", "/backs-off"} {
		t.Run(path[1:], func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) > 1 {
					<-r.Context().Done()
				}
				w.Header().Set("ETag", `"v1"`)
				if path != "/stalls" {
					cut(w, []byte("begin"), 100)
				}
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, "begin")
				_ = http.NewResponseController(w).Flush()
				<-r.Context().Done()
			})
			wait := time.Millisecond
			if path == "/backs-off" {
				wait = time.Hour
			}
			tr := fast(t, Options{Backoff: func(int) time.Duration { return wait }})
			resp, err := get(t, tr, s.URL)
			if err != nil {
				t.Fatal(err)
			}
			done := make(chan error)
			go func() {
				_, err := io.ReadAll(resp.Body)
				done <- err
			}()
			time.Sleep(50 * time.Millisecond)
			_ = resp.Body.Close()
			select {
			case err := <-done:
				if err == nil || errors.As(err, new(*UnavailableError)) {
					t.Errorf("Read ended with %v, want that it is closed", err)
				}
			case <-time.After(5 * time.Second):
				t.Fatal("Read still waits")
			}
			wantFreeSlots(t, tr)
		})
	}
}

// TestCloseBeforeInstall: an attempt that comes after Close is closed at once.
func TestCloseBeforeInstall(t *testing.T) {
	cur, late := &trackedBody{}, &trackedBody{}
	resp := &http.Response{Body: cur, ContentLength: 1}
	b := newResumer(fast(t, Options{}), newRequest(t, http.MethodGet, "http://host/", nil), resp)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.install(late); !errors.Is(err, errBodyClosed) || !cur.closed || !late.closed {
		t.Errorf("install: %v; closed: first %v, late %v", err, cur.closed, late.closed)
	}
}

func TestResumeStopsWithItsContext(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { cut(w, []byte("begin"), 100) })
	ctx, cancel := context.WithCancel(t.Context())
	tr := fast(t, Options{Backoff: func(int) time.Duration { cancel(); return time.Hour }})
	resp, err := tr.RoundTrip(newRequest(t, http.MethodGet, s.URL, nil).WithContext(ctx))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) || errors.As(err, new(*UnavailableError)) {
		t.Errorf("got %v, want the cancellation alone", err)
	}
	wantFreeSlots(t, tr)
}

func BenchmarkBody(b *testing.B) {
	content := randomBytes(16 << 20)
	s := httptest.NewServer(contentHandler(content, `"v1"`))
	defer s.Close()
	tr := NewTransport(Options{})
	defer tr.CloseIdleConnections()
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.URL, nil)
		if err != nil {
			b.Fatal(err)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, resp.Body); err != nil || n != int64(len(content)) {
			b.Fatal(n, err)
		}
		_ = resp.Body.Close()
	}
}
