package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCreate(t *testing.T) {
	dir := t.TempDir()
	for _, mask := range []int{0, 0o022, 0o777} {
		path := filepath.Join(dir, "key")
		old := syscall.Umask(mask)
		err := Create(path, []byte("content"), 0o600)
		syscall.Umask(old)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode() != 0o600 {
			t.Errorf("umask %o: %v, %v", mask, st.Mode(), err)
		}
		if got, err := os.ReadFile(path); string(got) != "content" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		os.Remove(path)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), []byte("old"), 0o600), os.Mkdir(at("dir"), 0o700), syscall.Mkfifo(at("fifo"), 0o600),
		os.Symlink("file", at("link")), os.Symlink("nowhere", at("dangling"))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"file", "dir", "fifo", "link", "dangling"} {
		if err := Create(at(name), []byte("new"), 0o600); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := os.Lstat(at("nowhere")); err == nil {
		t.Error("a link was followed")
	}
	if got, err := os.ReadFile(at("file")); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 5 {
		t.Errorf("%d files", len(left))
	}
	if err := Create(at("absent/key"), nil, 0o600); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
