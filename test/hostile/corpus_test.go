package hostile

import (
	"os"
	"slices"
	"testing"
)

// A sample is one hostile, or unusual, file.
type sample struct {
	row   string // of the fault matrix
	name  string // unique in its row
	wrong string // what is wrong with it
	want  []int  // exit codes that are right; 4 where it is empty
	says  string // regular expression that the text must match beside what all must say
	large bool   // takes long to make or read: in full mode only
	woven bool   // not the small layout with a fault, but another one
	write func(f *os.File) error
}

func (s sample) String() string { return s.row + " " + s.name }

func (s sample) codes() []int {
	if len(s.want) == 0 {
		return []int{4}
	}
	return s.want
}

// either is for samples that a reader may take or refuse, as long as it does it well.
var either = []int{0, 4}

// text is a layout with changed texts and digests that hold.
func text(row, name, wrong string, e edits) sample {
	return sample{row: row, name: name, wrong: wrong, write: func(f *os.File) error {
		return tarball{members: compose(e).members()}.write(f)
	}}
}

// packed is a layout whose tar is changed.
func packed(row, name, wrong string, change func(l *layout, m []member) []member) sample {
	return sample{row: row, name: name, wrong: wrong, write: func(f *os.File) error {
		l := compose(nil)
		return tarball{members: change(l, l.members())}.write(f)
	}}
}

// bytesOf is a layout's tar with changed bytes.
func bytesOf(row, name, wrong string, change func(raw []byte) []byte) sample {
	return sample{row: row, name: name, wrong: wrong, write: func(f *os.File) error {
		_, err := f.Write(change(tarball{members: compose(nil).members()}.bytes()))
		return err
	}}
}

func (s sample) exits(codes ...int) sample { s.want = codes; return s }
func (s sample) saying(re string) sample   { s.says = re; return s }
func (s sample) onlyFull() sample          { s.large = true; return s }

// malformed is the whole corpus of plain layouts that are wrong.
func malformed() []sample {
	return slices.Concat(flips(), cuts(), strangers(), volumes(), exchanged(), duplicates(), names(), types(), sizesInHeaders(), longHeaders(), disputed(), trailing(), smuggled(),
		algorithms(), digests(), sizes(), cycles(), depths(), crowds(), giants(), keys(), encodings(), values(), confusions(), embedded(),
		refNames(), titles(), ambiguous(), platforms(), empties(), versions(), compressed(), orders(), specified())
}

// chosen leaves out the larger samples, and two in three of those that break JSON texts,
// unless all are asked for.
func chosen(all []sample) []sample {
	if full {
		return all
	}
	kept, json := []sample(nil), 0
	for _, s := range all {
		if s.row == "A29" {
			json++
		}
		if !s.large && (s.row != "A29" || json%3 == 0) {
			kept = append(kept, s)
		}
	}
	return kept
}

// TestCorpus says how large the corpus is, and that its names are unique.
func TestCorpus(t *testing.T) {
	seen, rows := map[string]bool{}, map[string]int{}
	for _, s := range malformed() {
		if seen[s.String()] {
			t.Errorf("two samples are %s", s)
		}
		seen[s.String()] = true
		rows[s.row]++
	}
	if len(seen) < 200 {
		t.Errorf("the corpus has %d samples, want at least 200", len(seen))
	}
	t.Logf("%d samples: %v", len(seen), rows)
}
