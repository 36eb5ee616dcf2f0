package fuzztest

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A mutator makes the same mutants each time, of every kind, within its bound.
func TestMutants(t *testing.T) {
	seed := []byte("{\"name\": \"a b\", \"sizes\": [1, 22, 333]}\n<a href='x'/>\n")
	other := []byte("another seed altogether")
	sequence := func() (out [][]byte) {
		m := &mutator{rand: rand.New(rand.NewPCG(7, 0)), others: [][]byte{other}}
		for range 2000 {
			out = append(out, m.bytes(seed))
		}
		return out
	}
	first := sequence()
	if diff := cmp.Diff(first, sequence()); diff != "" {
		t.Errorf("other mutants the second time:\n%s", diff)
	}
	distinct := map[string]bool{}
	shorter, longer, spliced := 0, 0, 0
	for _, b := range first {
		distinct[string(b)] = true
		switch {
		case len(b) < len(seed):
			shorter++
		case len(b) > len(seed):
			longer++
		}
		if bytes.Contains(b, []byte("seed alto")) {
			spliced++
		}
	}
	if len(distinct) < 1800 || shorter < 200 || longer < 200 || spliced == 0 {
		t.Errorf("of 2000 mutants %d distinct, %d shorter, %d longer, %d with another seed", len(distinct), shorter, longer, spliced)
	}
}

func TestMutantsAreBounded(t *testing.T) {
	m := &mutator{rand: rand.New(rand.NewPCG(1, 0))}
	for _, size := range []int{0, 1, 2, maxMutant, 3 * maxMutant} {
		for range 200 {
			if got := m.bytes(make([]byte, size)); got == nil || len(got) > max(size, maxMutant) {
				t.Fatalf("%d bytes became %d", size, len(got))
			}
		}
	}
}

func TestMutantsOfEveryType(t *testing.T) {
	m := &mutator{rand: rand.New(rand.NewPCG(2, 0))}
	for _, v := range []any{[]byte("ab"), "ab", true, 'x', byte(3), int(-4), int8(1), int64(1 << 40), uint(7), uint16(8), uint64(9)} {
		changed := false
		for range 100 {
			got := m.value(reflect.ValueOf(v))
			if got.Type() != reflect.TypeOf(v) {
				t.Fatalf("%T became %s", v, got.Type())
			}
			changed = changed || !reflect.DeepEqual(got.Interface(), v)
		}
		if !changed {
			t.Errorf("%T never changes", v)
		}
	}
}

func everyType() []any {
	return []any{[]byte("a\x00\xff\"\n"), "é\xfe`", true, byte(7), 'ß', -8, uint16(9)}
}

// What Corpus writes is a file that Go reads: this one.
func FuzzCorpus(f *testing.F) {
	f.Fuzz(func(t *testing.T, a []byte, b string, c bool, d byte, e rune, g int, h uint16) {
		if diff := cmp.Diff(everyType(), []any{a, b, c, d, e, g, h}); diff != "" && t.Name() == "FuzzCorpus/every-type" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestCorpus(t *testing.T) {
	var args []reflect.Value
	for _, a := range everyType() {
		args = append(args, reflect.ValueOf(a))
	}
	want, err := os.ReadFile(filepath.Join("testdata", "fuzz", "FuzzCorpus", "every-type"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), corpus(args)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

const broken = "AIRBUNDLE_BROKEN_TARGET" // which way the target below fails

// FuzzBroken fails for what holds no "q" any more, when it is told to.
func FuzzBroken(f *testing.F) {
	f.Add([]byte("a q in a seed"), 1)
	Run(f, func(t *testing.T, b []byte, _ int) {
		if bytes.Contains(b, []byte("q")) {
			return
		}
		switch os.Getenv(broken) {
		case "error":
			t.Error("no q")
		case "panic":
			panic("no q")
		case "fatal":
			t.Fatal("no q")
		case "skip":
			t.Skip("no q")
		}
	})
}

// A failure fails the test whichever way it comes, and says how it can be had again.
func TestFailureIsTold(t *testing.T) {
	for _, way := range []string{"", "error", "panic", "fatal", "skip"} {
		run := func(count string, env ...string) (string, error) {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^FuzzBroken$/^seed#0$")
			cmd.Env = append(append(os.Environ(), broken+"="+way, count), env...)
			out, err := cmd.CombinedOutput()
			return string(out), err
		}
		out, err := run(env + "=300")
		if way == "" {
			if err != nil {
				t.Errorf("nothing is wrong: %v\n%s", err, out)
			}
			continue
		}
		m := regexp.MustCompile(`mutant \d+ of this seed. Again: (AIRBUNDLE_MUTANTS=\d+) go test -run '\^FuzzBroken\$/\^seed#0\$'(?s:.*)testdata/fuzz/FuzzBroken:\s+(go test fuzz v1\s+\[\]byte\(".*"\)\s+int\(-?\d+\))`).FindStringSubmatch(out)
		if err == nil || m == nil {
			t.Errorf("%s: %v\n%s", way, err, out)
			continue
		}
		if again, err := run(m[1]); err == nil || !strings.Contains(again, m[2]) {
			t.Errorf("%s, with %s: %v\n%s\nwant %s", way, m[1], err, again, m[2])
		}
	}
}
