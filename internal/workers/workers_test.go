package workers

import (
	"context"
	"errors"
	"strings"
	"testing"

	"airbundle/internal/report"
)

// caught runs f and returns the panic that it ended with.
func caught(f func()) (p *PanicError) {
	defer func() {
		if v := recover(); v != nil {
			p = Recovered(v)
		}
	}()
	f()
	return nil
}

func outOfRange(list []int) int { return list[len(list)] }

func TestPanicPassesOn(t *testing.T) {
	for name, c := range map[string]struct {
		boom      func()
		want, not string
	}{
		"runtime": {func() { outOfRange([]int{1, 2}) }, "index out of range [2] with length 2 at airbundle/internal/workers.outOfRange (workers_test.go:", "goroutine"},
		"secret":  {func() { panic("password s3cr3t") }, "a value of type string at ", "s3cr3t"},
		"error":   {func() { panic(errors.New("token s3cr3t")) }, "a value of type *errors.errorString", "s3cr3t"},
	} {
		t.Run(name, func(t *testing.T) {
			g, ctx := WithContext(t.Context())
			g.SetLimit(2)
			done := false
			p := caught(func() {
				g.Go(func() error { <-ctx.Done(); done = true; return nil })
				g.Go(func() error { c.boom(); return nil })
				_ = g.Wait()
			})
			if p == nil {
				t.Fatal("Wait returned")
			}
			if got := p.Error(); !strings.Contains(got, c.want) || strings.Contains(got, c.not) || strings.Contains(got, "\n") {
				t.Errorf("%q, want %q without %q", got, c.want, c.not)
			}
			if !done || report.Classify(p) != report.ClassInternal {
				t.Errorf("waited for the others: %v; class %v", done, report.Classify(p))
			}
			// A group in a group passes it on as it is.
			outer := New()
			outer.Go(func() error { _ = g.Wait(); return nil })
			if got := caught(func() { _ = outer.Wait() }); got != p {
				t.Errorf("through another group: %v", got)
			}
		})
	}
}

func TestGroupIsAnErrgroup(t *testing.T) {
	broken := errors.New("broken")
	g, ctx := WithContext(t.Context())
	g.Go(func() error { return broken })
	if err := g.Wait(); !errors.Is(err, broken) || !errors.Is(context.Cause(ctx), broken) {
		t.Errorf("%v, %v", err, context.Cause(ctx))
	}
}
