package httpx

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"
)

// A host that has answered nobody for long is asked once a request, and no more; one
// answer makes it a host like any other again.
func TestSilentHostIsNotAskedAgainAndAgain(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	addr := srv.Listener.Addr().String()
	srv.Close()
	waits := 0
	tr := NewTransport(Options{Attempts: 3, DownAfter: time.Nanosecond, Backoff: func(int) time.Duration { waits++; return time.Millisecond }})
	client := NewClient(tr)
	get := func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+addr+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Do(client, req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for range 3 {
		err := get()
		ua, ok := errors.AsType[*UnavailableError](err)
		if !ok || ua.Down <= 0 || !Permanent(err) {
			t.Fatalf("%v", err)
		}
	}
	if waits != 0 {
		t.Errorf("it was waited for %d times", waits)
	}
	back := &http.Server{Addr: addr, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), ReadHeaderTimeout: time.Second}
	go func() { _ = back.ListenAndServe() }()
	defer back.Close()
	var err error
	for range 200 {
		if err = get(); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	if err != nil {
		t.Fatalf("the host is back: %v", err)
	}
	u := &url.URL{Scheme: "http", Host: addr}
	if h := tr.hosts.of(u); !h.silent.IsZero() {
		t.Error("the answer was not noted")
	}
}

// Below the limit of time, each request is repeated as always.
func TestHostThatIsDownForShort(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	base := srv.URL
	srv.Close()
	waits := 0
	client := NewClient(NewTransport(Options{Attempts: 3, DownAfter: time.Hour, Backoff: func(int) time.Duration { waits++; return time.Millisecond }}))
	for range 2 {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = Do(client, req)
		if ua, ok := errors.AsType[*UnavailableError](err); !ok || ua.Down != 0 || ua.Attempts != 3 {
			t.Errorf("%v", err)
		}
	}
	if waits != 4 {
		t.Errorf("%d waits, want 4", waits)
	}
}

// A host that has answered everybody with errors for long is asked once a request, too, but
// not before as many attempts have failed as one request has.
func TestHostThatOnlyFailsIsNotAskedAgainAndAgain(t *testing.T) {
	var hits, code atomic.Int32
	var pausing atomic.Bool
	code.Store(http.StatusBadGateway)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		hits.Add(1)
		if pausing.Load() {
			w.Header().Set("Retry-After", "Sun, 29 Nov 2026 00:00:01 GMT")
			w.Header().Set("Date", "Sun, 29 Nov 2026 00:00:00 GMT")
		}
		w.WriteHeader(int(code.Load()))
	}))
	defer srv.Close()
	client := NewClient(NewTransport(Options{Attempts: 4, DownAfter: time.Nanosecond, Backoff: func(int) time.Duration { return time.Millisecond }}))
	asked := func(ctx context.Context) int32 {
		t.Helper()
		hits.Store(0)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Do(client, req)
		if err != nil || resp.StatusCode != int(code.Load()) {
			t.Fatalf("%v, %v", resp, err)
		}
		resp.Body.Close()
		return hits.Load()
	}
	for i, want := range []int32{4, 1, 1} {
		if got := asked(t.Context()); got != want {
			t.Errorf("request %d: %d attempts, want %d", i, got, want)
		}
	}
	// A pause that was asked for is an answer, too: whoever obeys it does not count its end as
	// the end of patience.
	pausing.Store(true)
	for range 2 {
		if got := asked(t.Context()); got != 4 {
			t.Errorf("with Retry-After: %d attempts, want 4", got)
		}
	}
	pausing.Store(false)
	if asked(t.Context()) != 4 {
		t.Error("after a pause the host is still down")
	}
	// What was asked for, and what is no error of the server, counts as an answer.
	for _, c := range []struct {
		code  int32
		final int
		want  int32
	}{{http.StatusOK, 0, 1}, {http.StatusTooManyRequests, 0, 4}, {http.StatusNotFound, 0, 1}, {http.StatusBadGateway, http.StatusBadGateway, 1}} {
		code.Store(c.code)
		if got := asked(FinalStatus(t.Context(), c.final)); got != c.want {
			t.Errorf("%d: %d attempts, want %d", c.code, got, c.want)
		}
		if code.Store(http.StatusBadGateway); asked(t.Context()) != 4 {
			t.Errorf("after %d the host is still down", c.code)
		}
	}
}
