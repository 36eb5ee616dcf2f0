package httpx

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestHostOf(t *testing.T) {
	tests := []struct{ url, want string }{
		{"http://Mirror.Example/a", "mirror.example:80"},
		{"https://mirror.example/a", "mirror.example:443"},
		{"https://mirror.example:443/b", "mirror.example:443"},
		{"http://user:pw@mirror.example:8081/b", "mirror.example:8081"},
		{"http://[::1]:5000/", "[::1]:5000"},
		{"http://[::1]/", "[::1]:80"},
	}
	for _, tt := range tests {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		if got := HostPort(u); got != tt.want {
			t.Errorf("HostPort(%s) = %s, want %s", tt.url, got, tt.want)
		}
	}
}

// Contract 8.
func TestRetryAfterHeader(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
	tests := []struct {
		name, value, date string
		want              time.Duration
	}{
		{"absent", "", "", 0},
		{"zero", "0", "", 0},
		{"seconds", "7", "", 7 * time.Second},
		{"spaces", " 7 ", "", 7 * time.Second},
		{"at the cap", "120", "", 120 * time.Second},
		{"capped", "3600", "", 120 * time.Second},
		{"digits beyond an int", "99999999999999999999999", "", 120 * time.Second},
		{"negative", "-5", "", 0},
		{"fraction", "1.5", "", 0},
		{"words", "soon", "", 0},
		{"date", at(30 * time.Second), "", 30 * time.Second},
		{"past date", at(-time.Minute), "", 0},
		{"far date", at(24 * time.Hour), "", 120 * time.Second},
		{"server's clock is an hour ahead", at(time.Hour + 10*time.Second), at(time.Hour), 10 * time.Second},
		{"server's clock is an hour behind", at(-time.Hour + 10*time.Second), at(-time.Hour), 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			h.Set("Retry-After", tt.value)
			if tt.date != "" {
				h.Set("Date", tt.date)
			}
			if got := retryAfter(h, now); got != tt.want {
				t.Errorf("retryAfter(%q) = %v, want %v", tt.value, got, tt.want)
			}
		})
	}
}

// TestPerHost counts on the server's side: the handler leaves before it sends its
// last byte, so a client that keeps its slot until then never shows more.
func TestPerHost(t *testing.T) {
	const limit = 3
	var now, most, served atomic.Int32
	handler := func(w http.ResponseWriter, _ *http.Request) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(2 * time.Millisecond)
		first := served.Add(1)%4 == 0
		now.Add(-1)
		if first { // retries must be counted too
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok")
	}
	s := serve(t, handler)
	tr := fast(t, Options{PerHost: limit, Attempts: 50})
	client := NewClient(tr)
	var wg sync.WaitGroup
	for i := range 40 {
		wg.Go(func() {
			method := []string{http.MethodGet, http.MethodHead}[i%2]
			var resp *http.Response
			var err error
			if i%3 == 0 { // two users of one transport share the limit
				resp, err = client.Do(newRequest(t, method, s.URL, nil))
			} else {
				resp, err = tr.RoundTrip(newRequest(t, method, s.URL, nil))
			}
			if err != nil {
				t.Error(err)
				return
			}
			if i%5 == 0 {
				_, _ = io.ReadAll(resp.Body)
			}
			_ = resp.Body.Close()
		})
	}
	wg.Wait()
	if got := most.Load(); got > limit || got < 2 {
		t.Errorf("%d requests at once, want 2 to %d", got, limit)
	}
	wantFreeSlots(t, tr)
}

// wantFreeSlots waits a moment for the slots: they are freed right after, not
// before, a body's end has been seen.
func wantFreeSlots(t *testing.T, tr *Transport) {
	t.Helper()
	held := func() (n int) {
		tr.hosts.mu.Lock()
		tr.gate.mu.Lock()
		defer tr.hosts.mu.Unlock()
		defer tr.gate.mu.Unlock()
		for _, h := range tr.hosts.m {
			n += h.port.busy
		}
		for _, w := range tr.hosts.machines {
			n += w.busy
		}
		for _, l := range tr.surfaces {
			n += l.busy
		}
		return n + tr.total.busy
	}
	for i := 0; held() > 0; i++ {
		if i == 1000 {
			t.Fatalf("%d slots are still held", held())
		}
		time.Sleep(time.Millisecond)
	}
}

// TestSlotIsFreed ends a request in each possible way and then needs the only slot.
func TestSlotIsFreed(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/known":
			_, _ = w.Write(make([]byte, 1<<20))
		case "/chunked":
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(make([]byte, 1<<20))
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/empty":
			w.WriteHeader(http.StatusNoContent)
		case "/storm":
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write(make([]byte, 1<<20)) // more than is worth discarding
		}
	})
	readAll := func(_ *testing.T, resp *http.Response) { _, _ = io.ReadAll(resp.Body) }
	closeOnly := func(t *testing.T, resp *http.Response) {
		if err := resp.Body.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("Read after Close: %v, want an error", err)
		}
	}
	tests := []struct {
		name, method, path string
		use                func(*testing.T, *http.Response)
	}{
		{"read to the end, never closed", http.MethodGet, "/known", readAll},
		{"chunked, never closed", http.MethodGet, "/chunked", readAll},
		{"closed unread", http.MethodGet, "/known", closeOnly},
		{"chunked, closed unread", http.MethodGet, "/chunked", closeOnly},
		{"HEAD, never closed", http.MethodHead, "/known", func(*testing.T, *http.Response) {}},
		{"no content, never closed", http.MethodGet, "/empty", func(*testing.T, *http.Response) {}},
		{"broken for good", http.MethodGet, "/cut", readAll},
		{"no answer", http.MethodGet, "/abort", nil},
		{"storm", http.MethodGet, "/storm", closeOnlyStatus},
		{"closed twice", http.MethodGet, "/known", func(_ *testing.T, resp *http.Response) {
			_ = resp.Body.Close()
			_ = resp.Body.Close()
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tr := fast(t, Options{PerHost: 1, Attempts: 2})
			for range 3 {
				resp, err := tr.RoundTrip(newRequest(t, tt.method, s.URL+tt.path, nil))
				if (err != nil) != (tt.use == nil) {
					t.Fatalf("got error %v", err)
				}
				if err == nil {
					tt.use(t, resp)
				}
			}
			wantFreeSlots(t, tr)
		})
	}
}

func closeOnlyStatus(t *testing.T, resp *http.Response) {
	if resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got status %d, want the last answer, 502", resp.StatusCode)
	}
	_ = resp.Body.Close()
}

// TestNeverRead: a caller that neither reads nor closes holds its slot, but waiting
// for it ends with the waiter's context, and ending its own context frees it.
func TestNeverRead(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 8<<20)) })
	tr := fast(t, Options{PerHost: 1})
	holder, leave := context.WithCancel(t.Context())
	resp, err := tr.RoundTrip(newRequest(t, http.MethodGet, s.URL, nil).WithContext(holder))
	if err != nil {
		t.Fatal(err)
	}

	waiter, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	body := &closeCounter{Reader: http.NoBody}
	_, err = tr.RoundTrip(newRequest(t, http.MethodPut, s.URL, body).WithContext(waiter))
	if !errors.Is(err, context.DeadlineExceeded) || body.closes != 1 {
		t.Errorf("second request: got %v, body closed %d times; want its deadline and 1", err, body.closes)
	}

	leave()
	if got, err := fetch(t, tr, s.URL); err != nil || len(got) != 8<<20 {
		t.Errorf("third request: got %d bytes, %v", len(got), err)
	}
	if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
		t.Errorf("body of the first request: got %v, want its cancellation", err)
	}
}

// TestUnreadBodyLendsItsSlot: after ResponseWait without a Read, others may go; the
// body is resumed when it is read at last.
func TestUnreadBodyLendsItsSlot(t *testing.T) {
	content := randomBytes(8 << 20) // more than the sockets' buffers hold
	s := serve(t, contentHandler(content, `"v1"`))
	tr := fast(t, Options{PerHost: 1, ResponseWait: 100 * time.Millisecond})
	first, err := get(t, tr, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Body.Close()
	head := make([]byte, 1000)
	if _, err := io.ReadFull(first.Body, head); err != nil {
		t.Fatal(err)
	}
	if got, err := fetch(t, tr, s.URL); err != nil || len(got) != len(content) {
		t.Fatalf("second request: got %d bytes, %v", len(got), err)
	}
	rest, err := io.ReadAll(first.Body)
	if err != nil || string(head)+string(rest) != string(content) {
		t.Errorf("first body after the pause: %d+%d bytes, %v; want all %d", len(head), len(rest), err, len(content))
	}
	wantFreeSlots(t, tr)
}

// Contract 8.
func TestRetryAfterPausesTheHost(t *testing.T) {
	forms := map[string]func(http.Header){
		"seconds": func(h http.Header) { h.Set("Retry-After", "1") },
		"date": func(h http.Header) {
			now := time.Now().UTC()
			h.Set("Date", now.Format(http.TimeFormat))
			h.Set("Retry-After", now.Add(time.Second).Format(http.TimeFormat))
		},
	}
	for name, set := range forms {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			var refused time.Time
			limited := make(chan struct{})
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				if refused.IsZero() {
					refused = time.Now()
					set(w.Header())
					w.WriteHeader(http.StatusTooManyRequests)
					close(limited)
					return
				}
				w.Header().Set("Waited-Ms", strconv.FormatInt(time.Since(refused).Milliseconds(), 10))
			})
			other := serve(t, func(http.ResponseWriter, *http.Request) {})
			tr := fast(t, Options{})
			waited := func() int {
				resp, err := get(t, tr, s.URL)
				if err != nil {
					t.Error(err)
					return 0
				}
				defer resp.Body.Close()
				ms, _ := strconv.Atoi(resp.Header.Get("Waited-Ms"))
				return ms
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if ms := waited(); ms < 950 {
					t.Errorf("the refused request came back after %d ms, want 1 s", ms)
				}
			})
			<-limited
			time.Sleep(100 * time.Millisecond) // the answer is on its way to the client
			began := time.Now()
			if _, err := fetch(t, tr, other.URL); err != nil || time.Since(began) > 700*time.Millisecond {
				t.Errorf("a request to another host: %v after %v", err, time.Since(began))
			}
			if ms := waited(); ms < 950 {
				t.Errorf("another request to the host went after %d ms, want 1 s", ms)
			}
			wg.Wait()
		})
	}
}
