package httpx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestStalledBodyIsResumed(t *testing.T) {
	content := randomBytes(10_000)
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) > 1 {
			contentHandler(content, `"v1"`)(w, r)
			return
		}
		w.Header().Set("ETag", `"v1"`)
		w.Header().Set("Content-Length", "10000")
		_, _ = w.Write(content[:5000])
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	tr := fast(t, Options{Stall: 100 * time.Millisecond})
	got, err := fetch(t, tr, s.URL)
	if err != nil || !bytes.Equal(got, content) || n.Load() != 2 {
		t.Errorf("got %d bytes in %d requests, %v; want all in 2", len(got), n.Load(), err)
	}
	wantFreeSlots(t, tr)
}

func TestStalledForGood(t *testing.T) {
	tests := []struct {
		name, path, want string
		requests         int32
	}{
		{"known length", "/known", "no byte for 50ms", 3},
		{"chunked", "/chunked", "no byte for 50ms", 1},
		{"no answer", "/silent", "no answer for 50ms", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				n.Add(1)
				if tt.path == "/known" {
					w.Header().Set("Content-Length", "100")
				}
				if tt.path != "/silent" {
					_, _ = io.WriteString(w, "begin")
					_ = http.NewResponseController(w).Flush()
				}
				<-r.Context().Done()
			})
			tr := fast(t, Options{Stall: 50 * time.Millisecond, Attempts: 2})
			_, err := fetch(t, tr, s.URL)
			wantUnavailable(t, err)
			if !strings.Contains(err.Error(), tt.want) || n.Load() != tt.requests {
				t.Errorf("got %v after %d requests, want %q after %d", err, n.Load(), tt.want, tt.requests)
			}
			wantFreeSlots(t, tr)
		})
	}
}

// TestDrip: a transfer that takes longer than Stall in all, but never stops for so
// long, is left alone.
func TestDrip(t *testing.T) {
	const bytesSent, stall = 12, 2 * time.Second
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		n.Add(1)
		for range bytesSent {
			_, _ = io.WriteString(w, "x")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(stall / 10)
		}
	})
	began := time.Now()
	got, err := fetch(t, fast(t, Options{Stall: stall}), s.URL)
	if err != nil || len(got) != bytesSent || n.Load() != 1 {
		t.Errorf("got %d bytes in %d requests, %v", len(got), n.Load(), err)
	}
	if d := time.Since(began); d < stall {
		t.Errorf("took %v: the test proves nothing", d)
	}
}

// TestDrippingErrorPage: the body of a refusal gets Stall in all.
func TestDrippingErrorPage(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadGateway)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "<p>")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	tr := fast(t, Options{Stall: 100 * time.Millisecond, Attempts: 2})
	began := time.Now()
	resp, err := get(t, tr, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckStatus(resp); err == nil || time.Since(began) > 5*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	wantFreeSlots(t, tr)
}

func TestSlowReaderIsNoStall(t *testing.T) {
	content := randomBytes(1 << 20)
	var n atomic.Int32
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n.Add(1)
		contentHandler(content, `"v1"`)(w, r)
	})
	resp, err := get(t, fast(t, Options{Stall: 100 * time.Millisecond}), s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got []byte
	buf := make([]byte, 512<<10)
	for range 2 {
		time.Sleep(250 * time.Millisecond)
		k, err := io.ReadFull(resp.Body, buf)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, buf[:k]...)
	}
	if !bytes.Equal(got, content) || n.Load() != 1 {
		t.Errorf("got %d bytes in %d requests, want all in 1", len(got), n.Load())
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestStalledUpload(t *testing.T) {
	released := make(chan struct{})
	addr := serveRaw(t, func(_ int, _ *net.TCPConn, _ *http.Request) { <-released }) // never reads the body
	t.Cleanup(func() { close(released) })
	tr := fast(t, Options{Stall: 200 * time.Millisecond})
	body := &closeCounter{Reader: io.LimitReader(zeros{}, 1<<30)}
	req := newRequest(t, http.MethodPut, addr, body)
	req.ContentLength = 1 << 30
	began := time.Now()
	_, err := tr.RoundTrip(req)
	wantUnavailable(t, err)
	if !strings.Contains(err.Error(), "no byte sent for 200ms") || time.Since(began) > 10*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
	wantFreeSlots(t, tr)
}

// slowSource takes its time between pieces.
type slowSource struct {
	pieces int
	wait   time.Duration
}

func (s *slowSource) Read(p []byte) (int, error) {
	if s.pieces == 0 {
		return 0, io.EOF
	}
	s.pieces--
	time.Sleep(s.wait)
	return copy(p, "piece"), nil
}

func TestSlowSourceIsNoStall(t *testing.T) {
	var got []byte
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) })
	tr := fast(t, Options{Stall: 100 * time.Millisecond})
	resp, err := tr.RoundTrip(newRequest(t, http.MethodPut, s.URL, &slowSource{3, 250 * time.Millisecond}))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if string(got) != "piecepiecepiece" {
		t.Errorf("server got %q", got)
	}
}

// TestSourceErrorIsTheSources: a body that net/http reopened counts like the first,
// and what a Read says under a Close is not the source's fault.
func TestSourceErrorIsTheSources(t *testing.T) {
	damaged := errors.New("damaged")
	first := &sentBody{rc: io.NopCloser(errReader{damaged}), watch: &watch{}, stall: time.Hour, source: new(sourceError)}
	second := first.again(io.NopCloser(errReader{damaged}))
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Read(make([]byte, 1)); !errors.Is(err, damaged) || first.source.get() != nil {
		t.Errorf("read after Close: got %v, kept %v; want nothing kept", err, first.source.get())
	}
	if _, err := second.Read(make([]byte, 1)); !errors.Is(err, damaged) || !errors.Is(first.source.get(), damaged) {
		t.Errorf("reopened body: got %v, kept %v; want it kept for the attempt", err, first.source.get())
	}
	first.watch.stop()
}

// TestResponseWait: a server may think longer than Stall about what it was sent,
// but not for ever.
func TestResponseWait(t *testing.T) {
	s := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-time.After(900 * time.Millisecond):
		case <-r.Context().Done():
		}
	})
	bodies := map[string]func() io.Reader{
		"body":    func() io.Reader { return &slowSource{1, 0} },
		"no body": func() io.Reader { return nil },
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			patient := fast(t, Options{Stall: 300 * time.Millisecond, ResponseWait: 10 * time.Second})
			resp, err := patient.RoundTrip(newRequest(t, http.MethodPut, s.URL, body()))
			if err != nil {
				t.Fatalf("with a wait of 10 s: %v", err)
			}
			_ = resp.Body.Close()
			hasty := fast(t, Options{Stall: 300 * time.Millisecond, ResponseWait: 400 * time.Millisecond})
			_, err = hasty.RoundTrip(newRequest(t, http.MethodPut, s.URL, body()))
			wantUnavailable(t, err)
			if !strings.Contains(err.Error(), "no answer for 400ms") {
				t.Errorf("with a wait of 400 ms: got %v", err)
			}
		})
	}
}

// TestWatchMovedDeadline: a timer that fires for a deadline that has moved is no
// reason to end an attempt.
func TestWatchMovedDeadline(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	w := &watch{cancel: cancel}
	w.set(time.Hour, "nothing for")
	w.fire()
	w.sending(0, "")
	w.fire()
	if ctx.Err() != nil {
		t.Errorf("ended by %v", context.Cause(ctx))
	}
	w.answered()
	w.sending(-time.Second, "nothing sent for")
	w.fire()
	if ctx.Err() != nil {
		t.Errorf("ended by %v: what is still sent does not count once the answer has begun", context.Cause(ctx))
	}
	w.set(-time.Second, "nothing for")
	w.fire()
	if got := context.Cause(ctx); got == nil || got.Error() != "nothing for -1s" {
		t.Errorf("ended by %v, want the stall", got)
	}
	w.stop()
	w.set(time.Nanosecond, "after stop") // must not arm anything
	if w.cause.what == "after stop" {
		t.Error("a stopped watch was armed")
	}
}
