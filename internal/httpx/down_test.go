package httpx

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
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
