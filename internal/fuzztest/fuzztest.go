// Package fuzztest runs fuzz targets. With go test -fuzz it is testing.F.Fuzz. In
// ordinary tests, where Go runs the seeds only, it also tries mutants of every seed: no
// coverage guides it, but there is no instrumented build to wait for either, so that all
// targets together take seconds. The mutants of a seed are the same in every run.
package fuzztest

import (
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The mutants of one seed in ordinary tests: so many, or so long, whichever is less. Many
// small inputs find more than a few large ones.
const (
	mutants = 1000
	spell   = 100 * time.Millisecond
)

// tooLong is what no execution of a target may take: a parser that needs it for a few
// kilobytes has no bound. The machine that runs the tests may be slow, and busy.
const tooLong = 20 * time.Second

// env is how many mutants of each seed are tried instead, without a limit of time.
const env = "AIRBUNDLE_MUTANTS"

// Run is f.Fuzz(fn), and tries mutants in ordinary tests. A failure says which mutant it
// was, how to run it again, and prints it in the form of the files below testdata/fuzz.
// fn must not skip.
func Run(f *testing.F, fn any) {
	f.Helper()
	if g := flag.Lookup("test.fuzz"); g != nil && g.Value.String() != "" {
		f.Fuzz(fn)
		return
	}
	r := &runner{fn: reflect.ValueOf(fn), count: mutants, until: spell}
	if n, err := strconv.Atoi(os.Getenv(env)); err == nil {
		r.count, r.until = n, 0
	}
	f.Fuzz(reflect.MakeFunc(r.fn.Type(), func(args []reflect.Value) []reflect.Value {
		r.fn.Call(args)
		if t, ok := reflect.TypeAssert[*testing.T](args[0]); ok && !t.Failed() {
			r.mutate(t, args)
		}
		return nil
	}).Interface())
}

// A runner tries the mutants of one target's seeds.
type runner struct {
	fn    reflect.Value
	count int
	until time.Duration
	seen  [][]byte // of the seeds so far, for splicing
}

func (r *runner) mutate(t *testing.T, seed []reflect.Value) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(t.Name()))
	m := &mutator{rand: rand.New(rand.NewPCG(h.Sum64(), 0)), others: r.seen}
	end := time.Now().Add(r.until)
	for i := range r.count {
		if r.until > 0 && time.Now().After(end) {
			break
		}
		args := []reflect.Value{seed[0]}
		for _, a := range seed[1:] {
			args = append(args, m.value(a))
		}
		if !r.try(t, i, args) {
			return
		}
	}
	for _, a := range seed[1:] {
		if b, ok := bytesOf(a); ok && len(r.seen) < 64 {
			r.seen = append(r.seen, b)
		}
	}
}

// try runs one mutant; what it did wrong is told however it ends.
func (r *runner) try(t *testing.T, i int, args []reflect.Value) bool {
	t.Helper()
	begin, ended := time.Now(), false
	before := corpus(args[1:]) // the target may change its arguments
	defer func() {
		if took := time.Since(begin); took > tooLong {
			t.Errorf("one execution took %v", took)
		}
		if t.Skipped() {
			t.Error("a target must not skip: it ends the mutants of its seed")
		}
		if !ended || t.Failed() {
			t.Errorf("mutant %d of this seed. Again: %s=%d go test -run '^%s$' in this directory. To keep it as a seed, put this into a file of testdata/fuzz/%s:\n%s",
				i, env, i+1, strings.ReplaceAll(t.Name(), "/", "$/^"), strings.Split(t.Name(), "/")[0], before)
		}
	}()
	r.fn.Call(args)
	ended = true
	return !t.Failed()
}

// corpus encodes arguments as a file below testdata/fuzz.
func corpus(args []reflect.Value) string {
	var b strings.Builder
	b.WriteString("go test fuzz v1\n")
	for _, a := range args {
		switch v := a.Interface().(type) {
		case []byte:
			fmt.Fprintf(&b, "[]byte(%q)\n", v)
		case rune:
			fmt.Fprintf(&b, "rune(%d)\n", v)
		default:
			fmt.Fprintf(&b, "%T(%#v)\n", v, v)
		}
	}
	return b.String()
}

func bytesOf(v reflect.Value) ([]byte, bool) {
	switch x := v.Interface().(type) {
	case []byte:
		return x, true
	case string:
		return []byte(x), true
	}
	return nil, false
}
