package yum

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/rpm"
)

func TestDerivedForms(t *testing.T) {
	o, log := logged(t)
	s := New(o)
	write := func(text string) func(io.Writer) error {
		return func(w io.Writer) error { _, err := io.WriteString(w, text); return err }
	}
	read := func(key string) string {
		rc, ok := New(o).Cached(key)
		if !ok {
			return "(none)"
		}
		defer rc.Close()
		data, _ := io.ReadAll(rc)
		return string(data)
	}
	if got := read("a"); got != "(none)" {
		t.Errorf("before: %q", got)
	}
	for _, key := range []string{"a", "../../b", strings.Repeat("long", 100)} {
		if err := s.Cache(key, write("form of "+key)); err != nil {
			t.Error(err)
		}
		if got := read(key); got != "form of "+key {
			t.Errorf("%q: %q", key, got)
		}
	}
	broken := errors.New("broken")
	if err := s.Cache("a", func(io.Writer) error { return broken }); !errors.Is(err, broken) || read("a") != "form of a" {
		t.Errorf("%v, then %q", err, read("a"))
	}
	if left, _ := filepath.Glob(filepath.Join(o.Cache, "derived", ".*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}

	// What cannot be written is told and does no harm.
	file := filepath.Join(t.TempDir(), "file")
	put(t, file, nil)
	o.Cache = file
	if err := New(o).Cache("a", write("x")); err != nil || !strings.Contains(log.String(), "cache not written") {
		t.Errorf("%v, log %s", err, log)
	}
	if _, ok := New(o).Cached("a"); ok || !strings.Contains(log.String(), "cache not used") {
		t.Errorf("log %s", log)
	}
	o.Cache = ""
	if err := New(o).Cache("a", write("x")); err != nil || read("a") != "(none)" {
		t.Errorf("without a cache: %v, %q", err, read("a"))
	}
}

// A FIFO or a directory under a name of the cache is not waited for.
func TestOddCacheEntry(t *testing.T) {
	o := options(t)
	s := New(o)
	sum, _ := parseChecksum(sumOf(nil))
	if err := os.MkdirAll(s.cache.content(sum), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, ok := s.cache.verified(sum); ok {
		t.Error("a directory is a file")
	}
}

// What the cache cannot take is read all the same, and nothing of it stays behind.
func TestUnwritableEntry(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dir := t.TempDir()
	const content = "<metadata/>"
	if err := os.WriteFile(filepath.Join(dir, "primary.xml"), []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	o := options(t)
	s := New(o)
	sum, _ := parseChecksum(sumOf([]byte(content)))
	if err := os.MkdirAll(s.cache.content(sum), 0o755); err != nil {
		t.Fatal(err)
	}
	r := &Repository{s: s, name: "repository r", mirrors: []mirror{{url: "file://" + dir}}}
	f, err := r.File(t.Context(), "primary.xml", string(sum.Digest()), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != content {
		t.Errorf("%q, %v", got, err)
	}
	if left, _ := os.ReadDir(os.TempDir()); len(left) > 0 {
		t.Errorf("left in the directory for temporary files: %v", left)
	}
}

// Without a cache the place is below TMPDIR, and an error says so.
func TestPlaceWithoutTMPDIR(t *testing.T) {
	t.Setenv("TMPDIR", "/does/not/exist")
	if _, _, err := (cache{}).place(rpm.Checksum{Type: "sha256", Value: "ab"}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "TMPDIR") {
		t.Errorf("%v", err)
	}
}
