package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

// Both ways of writing remove what dead processes left for the same name, and nothing else.
func TestLeftoversGo(t *testing.T) {
	for what, write := range map[string]func(path string) error{
		"write":  func(path string) error { return WriteFile(path, []byte("new"), 0o600) },
		"create": func(path string) error { return Create(path, []byte("new"), 0o600) },
	} {
		dir := t.TempDir()
		at := func(name string) string { return filepath.Join(dir, name) }
		left := []string{".f.1.airbundle", ".f.4294967295.airbundle"}
		others := []string{
			".f..airbundle", ".f.12a.airbundle", ".f.x.1.airbundle", ".f.1.airbundle.1.airbundle", ".f.1.tmp", ".f.airbundle",
			".g.1.airbundle", "f.1.airbundle", ".f.-1.airbundle",
		}
		for _, name := range append(slices.Clone(left), others...) {
			if err := os.WriteFile(at(name), []byte("half"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Mkdir(at(".f.5.airbundle"), 0o700), syscall.Mkfifo(at(".f.6.airbundle"), 0o600), os.Symlink(".g.1.airbundle", at(".f.7.airbundle"))); err != nil {
			t.Fatal(err)
		}
		if err := write(at("f")); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		want := append(others, "f", ".f.5.airbundle", ".f.6.airbundle", ".f.7.airbundle")
		slices.Sort(want)
		if got := names(t, dir); !slices.Equal(got, want) {
			t.Errorf("%s: %q\nwant %q", what, got, want)
		}
	}
}

// In a directory of ours alone, those of all names go.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	stay := []string{"f", ".airbundle", "..1.airbundle", ".f.1.airbundlex", ".f.1", "a.1.airbundle", ".1.airbundle"}
	for _, name := range append([]string{".a.1.airbundle", ".f.22.airbundle", ".a.b.3.airbundle"}, stay...) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := Write(path, 0o600, func(io.Writer) error {
		Sweep(dir)
		return nil
	})
	if err != nil {
		t.Errorf("what is being written went, too: %v", err)
	}
	slices.Sort(stay)
	if got := names(t, dir); !slices.Equal(got, stay) {
		t.Errorf("%q\nwant %q", got, stay)
	}
	Sweep(filepath.Join(dir, "absent"))
}

// What another process is writing stays: its lock says so, until it has given the name.
func TestFilesInTheMakingStay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := Write(path, 0o600, func(w io.Writer) error {
		_, err := io.WriteString(w, "outer")
		return errors.Join(err, WriteFile(path, []byte("inner"), 0o600))
	})
	if err != nil {
		t.Fatalf("it was removed while it was written: %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "outer" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("%q are left", got)
	}
	named := ""
	err = replace(path, 0o600, func(io.Writer) error { return nil }, func(from, to string) error {
		sweep(dir, "f") // after the Close, before the name
		named = from
		return os.Rename(from, to)
	})
	if err != nil || !strings.HasSuffix(named, suffix) {
		t.Errorf("it was removed before it had its name: %q, %v", named, err)
	}
}

// A file that was removed or locked by others, before its maker had the lock, is made again.
func TestTakenForDead(t *testing.T) {
	for what, meddle := range map[string]func(f *os.File) error{
		"removed": func(f *os.File) error { return os.Remove(f.Name()) },
		"locked": func(f *os.File) error {
			other, err := os.OpenFile(f.Name(), os.O_RDWR, 0)
			if err != nil {
				return err
			}
			t.Cleanup(func() { other.Close() })
			return unix.Flock(int(other.Fd()), unix.LOCK_EX)
		},
	} {
		f, err := os.CreateTemp(t.TempDir(), "f")
		if err == nil {
			err = meddle(f)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := hold(f); !errors.Is(err, errGone) {
			t.Errorf("%s: %v", what, err)
		}
		f.Close()
	}
}

// Many writers of one name at once, with what dead ones left: each succeeds, one of them wins,
// nothing is left.
func TestWritersAtOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	var wg sync.WaitGroup
	for i := range 16 {
		text := strings.Repeat(string(rune('a'+i)), 1000)
		wg.Go(func() {
			for range 4 {
				if err := WriteFile(path, []byte(text), 0o600); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(path)
	if err != nil || len(got) != 1000 || strings.Trim(string(got), string(got[:1])) != "" {
		t.Errorf("%.100q, %v", got, err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("%q are left", got)
	}
}

// TestPermissionsLast: until the content is whole nobody but its owner may read any of it.
func TestPermissionsLast(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	err := Write(path, 0o644, func(w io.Writer) error {
		if _, err := io.WriteString(w, "part"); err != nil {
			return err
		}
		names, err := os.ReadDir(dir)
		if err != nil || len(names) != 1 {
			t.Fatalf("%v, %v", names, err)
		}
		if st, err := names[0].Info(); err != nil || st.Mode()&0o077 != 0 {
			t.Errorf("while it is written: %v, %v", st.Mode(), err)
		}
		return nil
	})
	if st, _ := os.Stat(path); err != nil || st.Mode() != 0o644 {
		t.Errorf("at the end: %v, %v", st.Mode(), err)
	}
}
