package httpx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A meter counts the requests that a server has in its hands, by path.
type meter struct {
	mu   sync.Mutex
	now  map[string]int
	most map[string]int
}

func newMeter() *meter { return &meter{now: map[string]int{}, most: map[string]int{}} }

func (m *meter) enter(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		m.now[name]++
		m.most[name] = max(m.most[name], m.now[name])
	}
}

func (m *meter) leave(names ...string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		m.now[name]--
	}
}

// peak returns the most that were in at once since it was asked last.
func (m *meter) peak(name string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.most[name]
	m.most[name] = m.now[name]
	return n
}

func surface(r *http.Request) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return name
}

// The bounds hold over two ports of one machine, as for the main port and a docker
// connector, and each is reached: whoever waits for a full surface holds nobody up.
func TestTotalAndSurfaces(t *testing.T) {
	m := newMeter()
	handler := func(_ http.ResponseWriter, r *http.Request) {
		m.enter("all", surface(r))
		time.Sleep(3 * time.Millisecond)
		m.leave("all", surface(r))
	}
	main, connector := serve(t, handler), serve(t, handler)
	tr := fast(t, Options{PerHost: 100, Total: 9, Surface: surface, Surfaces: map[string]int{"docker": 3, "rest": 1}, Adapt: true})
	var wg sync.WaitGroup
	for i := range 120 {
		base := []string{main.URL, connector.URL}[i%2]
		// All of docker comes first: a queue without regard to surfaces would let 3 in.
		path := "docker"
		if i >= 40 {
			path = []string{"content", "rest"}[i/2%2]
		}
		wg.Go(func() {
			if _, err := fetch(t, tr, base+"/"+path); err != nil {
				t.Error(err)
			}
		})
		if i == 39 {
			time.Sleep(time.Millisecond)
		}
	}
	wg.Wait()
	for name, want := range map[string]int{"all": 9, "docker": 3, "rest": 1} {
		if got := m.peak(name); got != want {
			t.Errorf("%s: %d in flight at most, want %d", name, got, want)
		}
	}
	if got := m.peak("content"); got < 5 {
		t.Errorf("content: %d in flight at most, want the 5 that the others leave, or more", got)
	}
	if got := tr.Requests(); got != 120 {
		t.Errorf("%d requests counted, want 120", got)
	}
	wantFreeSlots(t, tr)
}

// A waiter that gives up leaves the queue to the others and holds no place.
func TestGateGivesUp(t *testing.T) {
	var g gate
	only := []*limit{{max: 1}}
	if err := g.enter(t.Context(), only); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if err := g.enter(ctx, only); !errors.Is(err, cause) {
		t.Errorf("got %v, want the cause", err)
	}
	next := make(chan error)
	go func() { next <- g.enter(t.Context(), only) }()
	g.leave(only)
	if err := <-next; err != nil || only[0].busy != 1 || len(g.waiting) != 0 {
		t.Errorf("got %v, %d busy, %d waiting; want nil, 1, 0", err, only[0].busy, len(g.waiting))
	}
}

// What becomes known while requests wait for a slot, or for their next try, keeps them
// from leaving.
func TestWithStop(t *testing.T) {
	refused := errors.New("the login was refused")
	var known atomic.Bool
	var served atomic.Int32
	begun, hold := make(chan struct{}), make(chan struct{})
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if served.Add(1) == 1 {
			close(begun)
			<-hold
		}
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	tr := fast(t, Options{PerHost: 1})
	ctx := WithStop(t.Context(), func() error {
		if known.Load() {
			return refused
		}
		return nil
	})
	errs := make(chan error, 5)
	for range cap(errs) {
		go func() {
			resp, err := tr.RoundTrip(newRequest(t, http.MethodGet, s.URL, nil).WithContext(ctx))
			if err == nil {
				err = fmt.Errorf("status %d", resp.StatusCode)
				_ = resp.Body.Close()
			}
			errs <- err
		}()
	}
	<-begun
	known.Store(true)
	close(hold)
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, refused) {
			t.Errorf("got %v, want what stop says", err)
		}
	}
	if got := served.Load(); got != 1 || tr.Requests() != 1 {
		t.Errorf("%d requests arrived, %d counted; want the one that was in flight", got, tr.Requests())
	}
	wantFreeSlots(t, tr)
}
