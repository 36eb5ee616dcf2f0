package httpx

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errBodyClosed ends a Read of a response body that its caller has closed.
var errBodyClosed = errors.New("read of a closed response body")

// A stallError is the cause of an attempt's end when nothing moved for too long.
type stallError struct {
	what  string
	after time.Duration
}

func (e *stallError) Error() string { return fmt.Sprintf("%s %v", e.what, e.after) }

// A watch ends an attempt when the deadline that was set last passes.
type watch struct {
	cancel context.CancelCauseFunc

	mu    sync.Mutex
	timer *time.Timer
	due   time.Time // zero: no deadline
	cause stallError
	reply bool // the answer has begun: what is still sent does not count
	done  bool
}

// set replaces the deadline by one in d.
func (w *watch) set(d time.Duration, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.setLocked(d, what)
}

func (w *watch) setLocked(d time.Duration, what string) {
	if w.done {
		return
	}
	w.due, w.cause = time.Now().Add(d), stallError{what, d}
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.fire)
		return
	}
	w.timer.Reset(d)
}

// sending is set for the request body: it counts only until the answer begins.
// No duration takes the deadline away.
func (w *watch) sending(d time.Duration, what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.reply:
	case d == 0:
		w.due = time.Time{}
	default:
		w.setLocked(d, what)
	}
}

// answered says that the response has begun.
func (w *watch) answered() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reply = true
}

// stop ends the watch for good.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

func (w *watch) fire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The deadline may have moved between the timer's end and this line.
	if w.due.IsZero() || time.Now().Before(w.due) {
		return
	}
	cause := w.cause
	w.cancel(&cause)
}

// A sentBody is a request body on its way. The time that its source takes is not
// the network's fault and is not counted.
type sentBody struct {
	rc     io.ReadCloser
	watch  *watch
	stall  time.Duration
	wait   time.Duration
	source *sourceError // shared by the bodies of one attempt
	closed atomic.Bool
}

// again is the same body from the beginning, which is read from rc.
func (b *sentBody) again(rc io.ReadCloser) *sentBody {
	return &sentBody{rc: rc, watch: b.watch, stall: b.stall, wait: b.wait, source: b.source}
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.sending(0, "")
	n, err := b.rc.Read(p)
	if err == io.EOF {
		b.watch.sending(b.wait, "no answer for")
		return n, err
	}
	b.watch.sending(b.stall, "no byte sent for")
	// net/http closes the body under a Read when the connection breaks: what the
	// Read says then is not the source's fault.
	if err != nil && !b.closed.Load() {
		b.source.set(err)
	}
	return n, err
}

func (b *sentBody) Close() error {
	b.closed.Store(true)
	return b.rc.Close()
}

// A sourceError keeps the error of what is sent. net/http may still read it when
// RoundTrip has returned.
type sourceError struct {
	mu  sync.Mutex
	err error
}

func (e *sourceError) set(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.err = err
}

func (e *sourceError) get() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// An attemptBody is the response body of one attempt. Its end, good or bad, and
// its Close end the attempt.
type attemptBody struct {
	rc     io.ReadCloser
	req    *http.Request
	cause  func() error // of the attempt's end
	broke  func(error)  // is told why the body does not end well
	cancel context.CancelCauseFunc
	watch  *watch
	stall  time.Duration // 0: the deadline that is set stands for the whole body
	idle   time.Duration
	held   bool  // Close gives the slot back, not the end: what it says may keep the next from leaving
	err    error // sticky
}

func (b *attemptBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.stall > 0 {
		b.watch.set(b.stall, "no byte for")
	}
	n, err := b.rc.Read(p)
	if err == nil {
		if b.idle > 0 {
			b.watch.set(b.idle, "body not read for")
		}
		return n, nil
	}
	b.err = io.EOF
	if err != io.EOF {
		b.err = attemptError(b.cause(), b.req, nil, err)
		b.broke(b.err)
	}
	if !b.held || err != io.EOF {
		b.cancel(nil)
	}
	return n, b.err
}

// Close may be called while a Read is waiting and ends it.
func (b *attemptBody) Close() error {
	b.cancel(errBodyClosed)
	return b.rc.Close()
}
