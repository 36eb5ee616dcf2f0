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

type second struct {
	name    string
	headers []string // of the first answer: ETag, Last-Modified, Date
	answer  func(w http.ResponseWriter, r *http.Request, content []byte)
	ask     string // wanted Range and If-Range of the second request
	code    int    // wanted *StatusError
	text    string // wanted in the error; empty with code 0: no error
}

func part(from, to, total int, etag string, content []byte) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, total))
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content)
	}
}

func whole(etag string, change func([]byte) []byte) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, content []byte) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		if change != nil {
			content = change(bytes.Clone(content))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}
}

func seconds() []second {
	const size, at = 1000, 400
	zeros := make([]byte, size)
	v1 := []string{"ETag", `"v1"`}
	weak := []string{"ETag", `W/"v1"`}
	old := oldDate.Format(http.TimeFormat)
	dated := []string{"Last-Modified", old, "Date", oldDate.Add(time.Hour).Format(http.TimeFormat)}
	young := []string{"Last-Modified", old, "Date", old}
	fair := func(headers []string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, r *http.Request, content []byte) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	}
	flip := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[i] ^= 1; return b }
	}
	status := func(code int) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(code) }
	}
	const askETag, askDate = `bytes=400- "v1"`, `bytes=400- Wed, 01 May 2024 10:00:00 GMT`
	return []second{
		{name: "206 by ETag", headers: v1, answer: fair(v1), ask: askETag},
		{name: "206 by Last-Modified", headers: dated, answer: fair(dated), ask: askDate},
		{name: "206 by Last-Modified beside a weak ETag", headers: append(dated, weak...), answer: fair(append(dated, weak...)), ask: askDate},
		{name: "Last-Modified too young to be trusted", headers: young, answer: fair(young), ask: ""},
		{name: "weak ETag alone", headers: weak, answer: fair(weak), ask: ""},
		{name: "no validator", answer: fair(nil), ask: ""},
		{name: "no Range support, same ETag", headers: v1, answer: whole(`"v1"`, nil), ask: askETag},
		{name: "no Range support, no ETag any more", headers: v1, answer: whole("", nil), ask: askETag},
		{name: "other ETag, same length", headers: v1, answer: whole(`"v2"`, nil), ask: askETag, text: "changed"},
		{name: "other ETag, other content", headers: v1, answer: whole(`"v2"`, flip(999)), ask: askETag, text: "changed"},
		{name: "other length", answer: whole("", func(b []byte) []byte { return append(b, 1) }), text: "changed"},
		{name: "shorter", answer: whole("", func(b []byte) []byte { return b[:999] }), text: "changed"},
		{name: "other beginning, nothing says so", answer: whole("", flip(399)), text: "changed"},
		{name: "206 from the wrong byte", headers: v1, answer: part(399, 999, size, `"v1"`, zeros[399:]), ask: askETag, text: "Content-Range"},
		{name: "206 backwards", headers: v1, answer: part(400, 399, size, `"v1"`, zeros[:1]), ask: askETag, text: "Content-Range"},
		{name: "206 of another total", headers: v1, answer: part(400, 1999, 2000, `"v1"`, make([]byte, 1600)), ask: askETag, text: "changed"},
		{name: "206 beyond the total", headers: v1, answer: part(400, 1000, size, `"v1"`, make([]byte, 601)), ask: askETag, text: "changed"},
		{name: "206 of another ETag", headers: v1, answer: part(400, 999, size, `"v2"`, zeros[400:]), ask: askETag, text: "changed"},
		{name: "206 longer than it says", headers: v1, answer: part(400, 999, size, `"v1"`, make([]byte, 601)), ask: askETag, text: "does not agree"},
		{name: "206 without Content-Range", headers: v1, answer: status(206), ask: askETag, text: "Content-Range"},
		{name: "206 unasked", answer: part(400, 999, size, "", zeros[400:]), text: "not asked for"},
		{name: "416", headers: v1, answer: status(416), ask: askETag, text: "changed"},
		{name: "404", headers: v1, answer: status(404), ask: askETag, code: 404},
		{name: "401", headers: v1, answer: status(401), ask: askETag, code: 401},
		{name: "302", headers: v1, answer: status(302), ask: askETag, code: 302},
	}
}

// TestSecondAnswer breaks a body at byte 400 of 1000 and looks at what is made of
// the answer to the second request. What is delivered is always a beginning of the
// first content.
func TestSecondAnswer(t *testing.T) {
	content := randomBytes(1000)
	for _, tt := range seconds() {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			var ask string
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					for i := 0; i < len(tt.headers); i += 2 {
						w.Header().Set(tt.headers[i], tt.headers[i+1])
					}
					cut(w, content[:400], len(content))
				}
				ask = strings.TrimSpace(r.Header.Get("Range") + " " + r.Header.Get("If-Range"))
				tt.answer(w, r, content)
			})
			tr := fast(t, Options{})
			got, err := fetch(t, tr, s.URL+"/f?token=s3cr3t")
			if !bytes.HasPrefix(content, got) {
				t.Fatal("two contents were mixed")
			}
			if ask != tt.ask || n.Load() != 2 {
				t.Errorf("%d requests, the second with %q; want 2 and %q", n.Load(), ask, tt.ask)
			}
			checkResumeError(t, tt, got, err)
			wantFreeSlots(t, tr)
		})
	}
}

func checkResumeError(t *testing.T, tt second, got []byte, err error) {
	t.Helper()
	switch {
	case tt.code != 0:
		se, ok := errors.AsType[*StatusError](err)
		if !ok || se.Code != tt.code || errors.As(err, new(*UnavailableError)) {
			t.Errorf("got %v (%T), want the status %d alone", err, err, tt.code)
		}
	case tt.text != "":
		wantUnavailable(t, err)
		for _, want := range []string{tt.text, "at byte 400 of 1000", "/f?token=REDACTED"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
		}
	case err != nil || len(got) != 1000:
		t.Errorf("got %d bytes, %v; want all", len(got), err)
	}
	if err != nil && strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("error shows the token: %v", err)
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
		{"caller's own Range", http.MethodGet, "bytes=0-99", func(w http.ResponseWriter) {
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
