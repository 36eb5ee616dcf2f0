package httpx

import (
	"context"
	"slices"
	"sync"
)

// A gate admits attempts in the order of their coming, each as soon as every bound
// that counts it has room. One that waits for its own surface does not hold up those
// behind it that are for another.
type gate struct {
	mu      sync.Mutex
	waiting []*waiter
}

// A limit bounds how many attempts are in at once; the gate's lock guards it.
type limit struct {
	max  int // 0: no bound
	busy int
}

func (l *limit) room() bool { return l.max <= 0 || l.busy < l.max }

type waiter struct {
	limits   []*limit
	admitted chan struct{}
}

// enter waits until all limits have room, and takes its place in each of them.
func (g *gate) enter(ctx context.Context, limits []*limit) error {
	w := &waiter{limits, make(chan struct{})}
	g.mu.Lock()
	g.waiting = append(g.waiting, w)
	g.admit()
	g.mu.Unlock()
	select {
	case <-w.admitted:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.admitted: // at the same moment
		free(limits)
	default:
		g.waiting = slices.DeleteFunc(g.waiting, func(other *waiter) bool { return other == w })
	}
	g.admit()
	return context.Cause(ctx)
}

// leave gives the places back.
func (g *gate) leave(limits []*limit) {
	g.mu.Lock()
	defer g.mu.Unlock()
	free(limits)
	g.admit()
}

func free(limits []*limit) {
	for _, l := range limits {
		l.busy--
	}
}

// admit lets in whoever fits, the longest waiting first. The caller holds the lock.
func (g *gate) admit() {
	g.waiting = slices.DeleteFunc(g.waiting, func(w *waiter) bool {
		if slices.ContainsFunc(w.limits, func(l *limit) bool { return !l.room() }) {
			return false
		}
		for _, l := range w.limits {
			l.busy++
		}
		close(w.admitted)
		return true
	})
}
