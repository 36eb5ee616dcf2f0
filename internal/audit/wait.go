package audit

import (
	"context"
	"errors"
	"time"

	"airbundle/internal/target"
)

// A lateError says that a file is there, and the metadata that the server makes does not
// list it, or not yet: it may come.
type lateError struct{ err error }

func (e *lateError) Error() string { return e.err.Error() }

// Unwrap returns what is wrong with the metadata.
func (e *lateError) Unwrap() error { return e.err }

// await gives the server time to list what it has just been given, and judges again what
// was late.
func (r *run) await(ctx context.Context, items []target.Item, verdicts []verdict) {
	var late []int
	for i := range verdicts {
		if _, ok := errors.AsType[*lateError](verdicts[i].err); ok {
			late = append(late, i)
		}
	}
	if len(late) == 0 || r.o.Wait <= 0 || context.Cause(ctx) != nil {
		return
	}
	start := time.Now()
	pause := min(time.Second, r.o.Wait/8)
	served := r.metadata()
	for waiting := len(late); waiting > 0 && time.Since(start)+pause <= r.o.Wait; pause = min(2*pause, 5*time.Second) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		served, waiting = r.metadata(), 0
		for _, i := range late {
			if _, _, err := r.named(ctx, items[i], served); err != nil {
				waiting++
			}
		}
	}
	r.each(len(late), func(n int) { verdicts[late[n]] = r.asset(ctx, items[late[n]], served) })
	r.note("waited %s for the metadata that the server makes: it did not list %d of what is there", time.Since(start).Round(100*time.Millisecond), len(late))
}
