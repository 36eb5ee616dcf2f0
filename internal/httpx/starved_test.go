package httpx

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"testing"
	"time"
)

// Where descriptors are lacking for good, not every request waits for one.
func TestStarved(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer srv.Close()
	waits, dials, lacking := 0, 0, true
	tr := NewTransport(Options{Backoff: func(int) time.Duration { waits++; return time.Millisecond }})
	dial := tr.base.DialContext
	tr.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dials++; lacking {
			return nil, &net.OpError{Op: "dial", Net: network, Err: os.NewSyscallError("socket", syscall.EMFILE)}
		}
		return dial(ctx, network, addr)
	}
	for i, step := range []struct {
		lacking      bool
		dials, waits int
	}{{true, 3, 2}, {true, 1, 0}, {true, 1, 0}, {false, 1, 0}, {true, 3, 2}, {true, 1, 0}} {
		waits, dials, lacking = 0, 0, step.lacking
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := Do(NewClient(tr), req)
		if err == nil {
			resp.Body.Close()
		}
		if dials != step.dials || waits != step.waits || step.lacking != errors.Is(err, syscall.EMFILE) {
			t.Errorf("%d: %d dials, %d waits, want %d, %d; %v", i, dials, waits, step.dials, step.waits, err)
		}
	}
}
