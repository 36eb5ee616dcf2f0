package httpx

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// maxRetryAfter caps what a server may ask for: a wait of hours is a refusal,
// and the retries that follow will say so sooner.
const maxRetryAfter = 120 * time.Second

// hosts holds the state of every host that was ever asked.
type hosts struct {
	perHost int
	adapt   func() *window // makes that of a machine; nil: nothing adapts

	mu       sync.Mutex
	m        map[string]*host
	machines map[string]*window // by name without the port
}

// A host bounds the attempts in flight to one host and port, and knows until when
// it wants to be left alone.
type host struct {
	port   limit
	window *window // of the machine; nil: nothing adapts

	mu       sync.Mutex
	until    time.Time
	silent   time.Time // since when no attempt was answered but with an error; zero: the last one was
	failures int       // attempts since
}

// HostPort returns host:port of a URL in lower case, with the port of the scheme
// when it names none.
func HostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

func (hs *hosts) of(u *url.URL) *host {
	name := HostPort(u)
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h := hs.m[name]
	if h == nil {
		h = &host{port: limit{max: hs.perHost}, window: hs.machine(strings.ToLower(u.Hostname()))}
		hs.m[name] = h
	}
	return h
}

// machine returns the window that all ports of a machine share. The caller holds the
// lock.
func (hs *hosts) machine(name string) *window {
	if hs.adapt == nil {
		return nil
	}
	w := hs.machines[name]
	if w == nil {
		w = hs.adapt()
		hs.machines[name] = w
	}
	return w
}

// acquire waits for room in all limits that count the request, and for the end of a
// pause of its host. The pause is waited for with the places in hand: nobody else may
// go either, and the order is kept. It returns what gives the places back.
func (t *Transport) acquire(req *http.Request, h *host, surface string) (release func(), err error) {
	ctx := req.Context()
	limits := []*limit{&h.port, &t.total}
	if l := t.surfaces[surface]; l != nil {
		limits = append(limits, l)
	}
	if h.window != nil {
		limits = append(limits, &h.window.limit)
	}
	if err := t.gate.enter(ctx, limits); err != nil {
		return nil, err
	}
	release = func() { t.gate.leave(limits) }
	for {
		d := h.paused()
		if d <= 0 && ctx.Err() == nil {
			break
		}
		if err := Sleep(ctx, d); err != nil {
			release()
			return nil, err
		}
	}
	if err := stopped(ctx); err != nil {
		release()
		return nil, err
	}
	return release, nil
}

type stopKey struct{}

// WithStop returns a context for requests that do not leave any more once stop returns
// an error, which is then theirs. It is asked last of all, after the waits for room and
// before each try: what has come to be known in the meantime counts.
func WithStop(ctx context.Context, stop func() error) context.Context {
	return context.WithValue(ctx, stopKey{}, stop)
}

func stopped(ctx context.Context) error {
	if stop, ok := ctx.Value(stopKey{}).(func() error); ok {
		return stop()
	}
	return nil
}

// pause keeps everybody from the host for d; a longer pause is not shortened.
func (h *host) pause(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if until := time.Now().Add(d); until.After(h.until) {
		h.until = until
	}
}

// failed notes that an attempt had no answer but an error, and tells since when that is so,
// and of how many attempts.
func (h *host) failed() (since time.Duration, attempts int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.silent.IsZero() {
		h.silent = time.Now()
	}
	h.failures++
	return time.Since(h.silent), h.failures
}

func (h *host) answered() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.silent, h.failures = time.Time{}, 0
}

func (h *host) paused() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.until)
}

// Sleep waits for d, or for the end of ctx, whose cause is then the error.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// retryAfter reads a Retry-After header, in seconds or as a date. A date counts
// from the server's own Date, so that a wrong clock on either side does no harm.
// It returns 0 when there is nothing to wait for, and at most maxRetryAfter.
func retryAfter(header http.Header, now time.Time) time.Duration {
	value := strings.TrimSpace(header.Get("Retry-After"))
	if value == "" {
		return 0
	}
	if isDigits(value) {
		seconds, err := strconv.ParseInt(value, 10, 32)
		if err != nil || seconds > int64(maxRetryAfter/time.Second) {
			return maxRetryAfter // digits that do not fit are a long wait too
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter)
}

func isDigits(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}
