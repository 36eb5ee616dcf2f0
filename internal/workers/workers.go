// Package workers runs goroutines in groups, as errgroup does, so that a panic in one of
// them ends as a panic of whoever waits for them, with everything closed on the way, and
// not as the end of the process with a dump of its memory.
package workers

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A Group is an errgroup.Group whose Wait passes on a panic of its goroutines.
type Group struct {
	*errgroup.Group

	mu       sync.Mutex
	panicked *PanicError
}

// New makes a group without a context.
func New() *Group { return &Group{Group: new(errgroup.Group)} }

// WithContext makes a group whose context ends with the first error or panic.
func WithContext(ctx context.Context) (*Group, context.Context) {
	g, ctx := errgroup.WithContext(ctx)
	return &Group{Group: g}, ctx
}

// Go runs f in a goroutine of the group.
func (g *Group) Go(f func() error) {
	g.Group.Go(func() (err error) {
		defer func() {
			if v := recover(); v != nil {
				p := Recovered(v)
				g.mu.Lock()
				defer g.mu.Unlock()
				if g.panicked == nil {
					g.panicked = p
				}
				err = p
			}
		}()
		return f()
	})
}

// Wait waits for all goroutines and returns the first error. Where one has panicked, it
// panics with a *PanicError.
func (g *Group) Wait() error {
	err := g.Group.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.panicked != nil {
		panic(g.panicked)
	}
	return err
}

// A PanicError is a panic that was recovered, a fault of the program. Its text says where
// it happened; of the value only what the runtime says itself, for another may be content or
// a secret.
type PanicError struct {
	what  string
	where []string // innermost first
}

// Recovered makes an error of the value that recover has returned; it must be called by
// the deferred function itself.
func Recovered(v any) *PanicError {
	if p, ok := v.(*PanicError); ok {
		return p
	}
	p := &PanicError{what: fmt.Sprintf("a value of type %T", v)}
	if r, ok := v.(runtime.Error); ok {
		p.what = r.Error()
	}
	pcs := make([]uintptr, 64)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs)])
	for thrown := false; ; {
		f, more := frames.Next()
		switch {
		case f.Function == "runtime.gopanic":
			thrown = true
		case thrown && !strings.HasPrefix(f.Function, "runtime."):
			p.where = append(p.where, fmt.Sprintf("%s (%s:%d)", f.Function, filepath.Base(f.File), f.Line))
		}
		if !more || len(p.where) == 12 {
			return p
		}
	}
}

// Error implements error, on one line.
func (p *PanicError) Error() string {
	return fmt.Sprintf("internal error, please report it: panic: %s at %s", p.what, strings.Join(p.where, " < "))
}

// ExitCode says that it is a fault of the program.
func (p *PanicError) ExitCode() int { return 1 }
