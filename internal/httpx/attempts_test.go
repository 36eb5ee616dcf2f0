package httpx

import (
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// Who has another place to ask does not wait for all the attempts, neither at an answer
// nor in a body.
func TestWithAttempts(t *testing.T) {
	for n, want := range map[int]int32{1: 1, 2: 2, 99: DefaultAttempts} {
		var tries, cuts atomic.Int32
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/cut" {
				cuts.Add(1)
				w.Header().Set("Content-Length", "10")
				return
			}
			tries.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		ctx := WithAttempts(t.Context(), n)
		client := NewClient(fast(t, Options{}))
		resp, err := client.Do(newRequest(t, http.MethodGet, s.URL, nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusServiceUnavailable || tries.Load() != want {
			t.Errorf("%d attempts: %d after %d tries, want %d", n, resp.StatusCode, tries.Load(), want)
		}
		resp, err = client.Do(newRequest(t, http.MethodGet, s.URL+"/cut", nil).WithContext(ctx))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil || cuts.Load() != want+1 {
			t.Errorf("%d attempts: %v after %d answers, want %d", n, err, cuts.Load(), want+1)
		}
		resp.Body.Close()
	}
}

func TestRepeatable(t *testing.T) {
	for _, repeatable := range []bool{false, true} {
		var asked atomic.Int32
		s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) < 3 {
				w.WriteHeader(http.StatusBadGateway)
			}
		})
		ctx, want := t.Context(), int32(1)
		if repeatable {
			ctx, want = Repeatable(ctx), 3
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		transport := NewTransport(Options{Backoff: func(int) time.Duration { return 0 }})
		defer transport.CloseIdleConnections()
		resp, err := NewClient(transport).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if asked.Load() != want {
			t.Errorf("repeatable %v: asked %d times, want %d", repeatable, asked.Load(), want)
		}
	}
}
