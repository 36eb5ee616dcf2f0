package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, data := range []string{"first", "second, longer", ""} {
		if err := WriteFile(path, []byte(data), 0o640); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != data {
			t.Errorf("read %q, %v; want %q", got, err, data)
		}
		if st, _ := os.Stat(path); st.Mode().Perm() != 0o640 {
			t.Errorf("mode %v", st.Mode())
		}
	}
}

func TestWriteFileReplacesFilesOnly(t *testing.T) {
	dir := t.TempDir()
	fifo, link, file := filepath.Join(dir, "fifo"), filepath.Join(dir, "link"), filepath.Join(dir, "file")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(fifo, nil, 0o600); err == nil {
		t.Error("a FIFO was replaced")
	}
	for _, target := range []string{"fifo", "file"} {
		_ = os.Remove(link)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte("old"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(link, []byte("new"), 0o600); (err == nil) != (target == "file") {
			t.Errorf("link to %s: %v", target, err)
		}
		if st, err := os.Lstat(link); err != nil || st.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link was replaced: %v, %v", st, err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "new" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestWriteFileFailsClean(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "taken")
	if err := os.MkdirAll(filepath.Join(path, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path, []byte("x"), 0o600); err == nil {
		t.Error("a directory was replaced by a file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	if err := WriteFile(filepath.Join(dir, "missing", "f"), nil, 0o600); err == nil {
		t.Error("no error without the directory")
	}
}

func TestWritePieces(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	pieces := func(fail error) func(io.Writer) error {
		return func(w io.Writer) error {
			for _, p := range []string{"one ", "two"} {
				if _, err := io.WriteString(w, p); err != nil {
					return err
				}
			}
			if _, err := os.Stat(path); fail == nil && err == nil {
				t.Error("the name is there before the content is")
			}
			return fail
		}
	}
	if err := Write(path, 0o640, pieces(nil)); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if err := Write(path, 0o600, pieces(broken)); !errors.Is(err, broken) {
		t.Errorf("got %v, want the error of the writer", err)
	}
	data, err := os.ReadFile(path)
	entries, _ := os.ReadDir(dir)
	info, _ := os.Stat(path)
	if string(data) != "one two" || err != nil || len(entries) != 1 || info.Mode() != 0o640 {
		t.Errorf("%q, %v, %d files, mode %v", data, err, len(entries), info.Mode())
	}
}
