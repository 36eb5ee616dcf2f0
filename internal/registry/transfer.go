package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// Retry says how often the transfer of one body is begun, and how long to wait
// in between. The zero value is 6 times, waiting 1 s, 2 s, 4 s ... 30 s.
type Retry struct {
	Attempts int
	// Backoff returns the wait after the given attempt, which counts from 1.
	Backoff func(attempt int) time.Duration
}

func (r Retry) attempts() int {
	if r.Attempts > 0 {
		return r.Attempts
	}
	return httpx.DefaultAttempts
}

func (r Retry) wait(attempt int, asked time.Duration) time.Duration {
	if r.Backoff != nil {
		return max(r.Backoff(attempt), asked)
	}
	return max(httpx.Backoff(attempt), asked)
}

// A Transfer sends content that can be opened again. A streamed request cannot be
// repeated by the transport, so the retry is here, where a fresh body comes from.
type Transfer struct {
	Desc  ocispec.Descriptor
	Open  func(context.Context) (io.ReadCloser, error)
	Retry Retry
	// Arrived is asked before each further attempt: an answer may have been lost
	// although the server has everything. Nil: never asked.
	Arrived func(context.Context) (bool, error)
}

// Run calls try with a fresh body until it succeeds, or until its error is one
// that no repetition changes. It returns how many bytes were sent in all.
func (t *Transfer) Run(ctx context.Context, try func(context.Context, *Body) error) (sent int64, err error) {
	for attempt := 1; ; attempt++ {
		n, err := t.once(ctx, try)
		sent += n
		if err == nil || ctx.Err() != nil {
			return sent, err
		}
		after, again := retryable(err)
		if !again {
			return sent, err
		}
		if attempt >= t.Retry.attempts() || attempt >= garbledAttempts && as[*garbledError](err) {
			return sent, exhausted(err, attempt)
		}
		if !as[*againError](err) {
			if err := httpx.Sleep(ctx, t.Retry.wait(attempt, after)); err != nil {
				return sent, err
			}
		}
		if t.Arrived == nil {
			continue
		}
		if there, err := t.Arrived(ctx); there || err != nil {
			return sent, err
		}
	}
}

func (t *Transfer) once(ctx context.Context, try func(context.Context, *Body) error) (int64, error) {
	rc, err := t.Open(ctx)
	if err != nil {
		return 0, &sourceError{fmt.Errorf("open %s: %w", t.Desc.Digest, err)}
	}
	b := newBody(rc, t.Desc)
	defer func() { _ = b.Close() }() // what matters was read, or err says why not
	err = try(ctx, b)
	sent, src := b.outcome()
	if src != nil {
		err = &sourceError{src} // what the network says to a body that broke off is not the cause
	}
	return sent, err
}

// A sourceError is a failure of what is to be sent.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// An againError asks for another attempt at once: the server wants the same
// content in another way, or under a fresh token.
type againError struct{ err error }

func (e *againError) Error() string { return e.err.Error() }
func (e *againError) Unwrap() error { return e.err }

// A damagedError says that the server received other bytes than were sent.
type damagedError struct{ err error }

func (e *damagedError) Error() string { return e.err.Error() }
func (e *damagedError) Unwrap() error { return e.err }

// A garbledError says that a server could not read the request, or that what it says of
// the request is lost. Once or twice that is the way between; then it is the server.
type garbledError struct{ err error }

func (e *garbledError) Error() string { return e.err.Error() }
func (e *garbledError) Unwrap() error { return e.err }

// garbledAttempts is how often is tried what a server cannot read.
const garbledAttempts = 3

// retryable says whether another attempt may help, and how long the server asks
// to wait.
func retryable(err error) (time.Duration, bool) {
	if as[*againError](err) || as[*damagedError](err) || as[*garbledError](err) {
		return 0, true
	}
	if as[*sourceError](err) || as[*refusedError](err) || as[*digestio.MismatchError](err) {
		return 0, false
	}
	if errors.Is(err, ErrReadOnly) || httpx.Permanent(err) {
		return 0, false
	}
	se, ok := errors.AsType[*httpx.StatusError](err)
	if !ok {
		return 0, true // of the connection
	}
	return se.RetryAfter, se.Transient()
}

func as[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

// exhausted notes how often it was tried. A failure of the connection keeps its
// type, an answer of the server is kept as it is.
func exhausted(err error, attempts int) error {
	if ua, ok := errors.AsType[*httpx.UnavailableError](err); ok {
		return &httpx.UnavailableError{Host: ua.Host, Attempts: attempts, Down: ua.Down, Err: ua.Err}
	}
	return fmt.Errorf("after %d attempts: %w", attempts, err)
}
