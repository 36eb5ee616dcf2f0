package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
	"airbundle/internal/report"
)

// A journal that a crash tore at any byte costs what its lost lines named, no more,
// and the next run writes lines of its own behind it.
func TestJournalTornAnywhere(t *testing.T) {
	s := newSample(t, "torn", 0, 10, 600)
	path := filepath.Join(t.TempDir(), "a.tar")
	w := create(t, s, path)
	s.fill(t, w, w.Missing(), 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	part, journal := readFile(t, path+partSuffix), readFile(t, path+journalSuffix)
	for size := range len(journal) + 1 {
		torn := journal[:size]
		writeFile(t, filepath.Dir(path), "a.tar"+partSuffix, part)
		writeFile(t, filepath.Dir(path), "a.tar"+journalSuffix, torn)
		w := create(t, s, path)
		if got, want := len(s.layout.Blobs())-len(w.Missing()), namedIn(torn, s); got != want {
			t.Fatalf("torn at %d of %d: %d blobs are taken over, want %d", size, len(journal), got, want)
		}
		if pid, _ := w.journal.owner(); pid != os.Getpid() {
			t.Fatalf("torn at %d: process %d is said to write", size, pid)
		}
		s.fill(t, w, w.Missing(), 1)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if again := create(t, s, path); len(again.Missing()) > 0 {
			t.Fatalf("torn at %d: the run after that lost %d blobs", size, len(again.Missing()))
		} else if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// namedIn counts the blobs that lines of a journal name, the last one also without its end.
func namedIn(journal []byte, s *sample) (n int) {
	whole := string(journal) + "\n" // which a claim writes
	for _, d := range s.layout.Blobs() {
		if strings.Contains(whole, "\nfilled "+d.Digest.String()+"\n") {
			n++
		}
	}
	return n
}

// A journal with any one byte changed never makes wrong content pass.
func TestJournalWithOneByteChanged(t *testing.T) {
	s := newSample(t, "changed", 10, 600)
	path := filepath.Join(t.TempDir(), "a.tar")
	half(t, s, path)
	part, journal := readFile(t, path+partSuffix), readFile(t, path+journalSuffix)
	want := s.reference(t)
	for at := range journal {
		writeFile(t, filepath.Dir(path), "a.tar"+partSuffix, part)
		writeFile(t, filepath.Dir(path), "a.tar"+journalSuffix, flipped(journal, int64(at)))
		w := create(t, s, path)
		s.fill(t, w, w.Missing(), 1)
		if err := w.Seal(); err != nil {
			t.Fatalf("byte %d: %v", at, err)
		}
		if !bytes.Equal(readFile(t, path), want) {
			t.Fatalf("byte %d: other bytes", at)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// FuzzJournal: whatever stands in a journal, it names only blobs of the layout, each once.
func FuzzJournal(f *testing.F) {
	s := newSample(f, "journal", 10, 600)
	head := journalHead(s.layout) + "\n"
	d := s.layout.entries[2].digest.String()
	f.Add([]byte(head + "\nowner 1 host\nfilled " + d + "\nfilled " + d + "\n"))
	f.Add([]byte(head + "filled " + digest.FromString("stranger").String() + "\n"))
	f.Add([]byte("filled " + d + "\n" + head))
	f.Add([]byte(strings.Repeat("owner ", 1000)))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		path := writeFile(t, t.TempDir(), "a.tar"+journalSuffix, data)
		j, err := openJournal(path)
		if err != nil {
			t.Fatal(err)
		}
		defer j.f.Close()
		entries, same, err := j.filled(s.layout)
		if err != nil || len(entries) > len(s.layout.order) {
			t.Errorf("%d entries, %v", len(entries), err)
		}
		if !same && len(entries) > 0 {
			t.Error("entries of a journal that is of another layout")
		}
		for _, i := range entries {
			if s.layout.entries[i].digest == "" {
				t.Errorf("entry %d is no blob", i)
			}
		}
		if pid, host := j.owner(); pid != 0 && host == "" {
			t.Errorf("process %d of no host", pid)
		}
	})
}

// A released claim takes away what a run left that was killed at its very end, and nothing else.
func TestRelease(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []string
		left  []string
	}{
		{"journal alone", []string{"a.tar", "a.tar.part.journal"}, []string{"a.tar"}},
		{"unfinished", []string{"a.tar.part", "a.tar.part.journal"}, []string{"a.tar.part", "a.tar.part.journal"}},
		{"nothing", []string{"a.tar"}, []string{"a.tar"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range test.files {
				writeFile(t, dir, name, []byte("something"))
			}
			c, err := Reserve(filepath.Join(dir, "a.tar"))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.Release(), c.Release()); err != nil {
				t.Fatal(err)
			}
			if got := dirNames(t, dir); strings.Join(got, " ") != strings.Join(test.left, " ") {
				t.Errorf("left %v, want %v", got, test.left)
			}
		})
	}
	t.Run("another at work", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "a.tar")
		c, err := Reserve(path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Release()
		_, err = Reserve(path)
		if locked, ok := errors.AsType[*LockedError](err); !ok || locked.PID != os.Getpid() || locked.Host == "" || !exists(path+journalSuffix) {
			t.Errorf("the claim of another: %v", err)
		}
	})
	t.Run("not a file", func(t *testing.T) {
		if _, err := Reserve(t.TempDir()); report.Classify(err) != report.ClassLocal {
			t.Errorf("a directory: %v", err)
		}
	})
}

// A claim is held from before the layout is known until the archive has its name.
func TestClaimPassesOn(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	for range 2 { // a fresh archive and one that is continued
		c, err := Reserve(path)
		if err != nil {
			t.Fatal(err)
		}
		w, err := Create(t.Context(), path, s.layout, CreateOptions{Claim: c})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Release(); err != nil {
			t.Error(err)
		}
		if _, err := Reserve(path); report.Classify(err) != report.ClassLocked {
			t.Errorf("a second claim: %v", err)
		}
		if n := strings.Count(string(readFile(t, path+journalSuffix)), journalOwner); n < 1 {
			t.Errorf("the journal names %d owners", n)
		}
		if _, err := Create(t.Context(), path, s.layout, CreateOptions{Claim: c}); err == nil {
			t.Error("a claim was used twice")
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	w := create(t, s, path)
	s.fill(t, w, w.Missing(), 1)
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if got := dirNames(t, filepath.Dir(path)); len(got) != 1 {
		t.Errorf("left %v", got)
	}
}
