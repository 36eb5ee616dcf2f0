package httpx

import (
	"errors"
	"net/http"
	"time"
)

const (
	// defaultSlowAfter is a quarter of what a short request may lose to strain: four
	// times as much is strain however far away the server is. KubeOperator takes a Nexus
	// for broken that does not answer GET /service/rest/v1/repositories within 2 s; at
	// 1 s lost, half of that is left for the request itself.
	defaultSlowAfter = 250 * time.Millisecond
	// slowFactor is how many times its quickest a short request may lose without being
	// slow: queues, collections of garbage and fsyncs make two to three times of nothing.
	slowFactor = 3
	// driftShare is the part of the difference by which the quickest follows a slower
	// answer, where that was alone in flight: what is slow then is the server itself or
	// others' work, and no fewer requests of ours would make it quicker. With more in
	// flight it must not follow, or it would get used to the strain that we make.
	driftShare = 4
)

// A window bounds the attempts in flight to one machine and adapts to it: one more
// after each round of good answers, half as many at a sign of strain (additive
// increase, multiplicative decrease, as TCP does by RFC 5681), never below 1 and never
// above most. All ports of a machine share it, because one server is behind them.
// The gate's lock guards it.
type window struct {
	limit
	size     float64 // max is its whole part
	most     int
	slow     time.Duration
	cut      time.Time                // of the last decrease
	quickest map[string]time.Duration // short request, by surface
}

func newWindow(most int, slow time.Duration) *window {
	return &window{limit: limit{max: most}, size: float64(most), most: most, slow: slow, quickest: map[string]time.Duration{}}
}

func (w *window) resize(size float64) {
	w.size = min(max(size, 1), float64(w.most))
	w.max = int(w.size)
}

// good notes an answer without strain.
func (w *window) good() { w.resize(w.size + 1/w.size) }

// strained notes a sign of strain by an attempt that began at that time, and says
// whether it has made the window smaller. Attempts that were in flight at the last
// decrease tell nothing of what came of it. It is half of what is in flight that stays:
// half of a bound that was not reached would change nothing.
func (w *window) strained(began time.Time) bool {
	if !began.After(w.cut) {
		return false
	}
	w.cut = time.Now()
	before := w.max
	w.resize(min(w.size, float64(w.busy)) / 2)
	return w.max < before
}

// slowed judges how long a short request took.
func (w *window) slowed(surface string, took time.Duration) bool {
	quickest, known := w.quickest[surface]
	if !known || took <= quickest {
		w.quickest[surface] = took
		return false
	}
	if w.busy <= 1 {
		w.quickest[surface] = quickest + (took-quickest)/driftShare
	}
	return took-quickest > min(max(slowFactor*quickest, w.slow), 4*w.slow)
}

// A sign is what one attempt tells of the strain on its machine.
type sign struct {
	w       *window // nil: nothing adapts
	surface string
	short   bool // its time tells of the server, not of the size of anything
	began   time.Time
}

func (t *Transport) sign(h *host, surface string, req *http.Request) *sign {
	return &sign{w: h.window, surface: surface, short: req.Method == http.MethodHead, began: time.Now()}
}

// answered notes an answer, whose status may ask for less.
func (t *Transport) answered(s *sign, req *http.Request, resp *http.Response) {
	if s.w == nil {
		return
	}
	took := time.Since(s.began)
	cause := ""
	t.gate.mu.Lock()
	switch {
	case tooBusy(req, resp):
		cause = resp.Status
	case s.short && s.w.slowed(s.surface, took):
		cause = "answers take " + took.Round(time.Millisecond).String()
	default:
		s.w.good()
		t.gate.admit()
		t.gate.mu.Unlock()
		return
	}
	t.gate.mu.Unlock()
	t.strained(s, req, cause)
}

// tooBusy tells the answers of a server that has too much to do, or of a proxy before
// it. One that is frozen, or blocks a login, says so in the reason; it is not busy.
func tooBusy(req *http.Request, resp *http.Response) bool {
	return newStatusError(resp, nil).Transient() && !isFinal(req.Context(), resp.StatusCode)
}

// broke notes a broken connection. One that no repetition would mend, or that the
// caller has ended, says nothing of strain.
func (t *Transport) broke(s *sign, req *http.Request, err error) {
	if ua, ok := errors.AsType[*UnavailableError](err); ok && !Permanent(ua.Err) {
		t.strained(s, req, ua.Err.Error())
	}
}

// strained makes the window smaller, and says so.
func (t *Transport) strained(s *sign, req *http.Request, cause string) {
	if s.w == nil {
		return
	}
	t.gate.mu.Lock()
	smaller, now := s.w.strained(s.began), s.w.max
	t.gate.mu.Unlock()
	if smaller {
		t.o.Log.Info("http slows down", "host", HostPort(req.URL), "inFlight", now, "cause", cause)
	}
}
