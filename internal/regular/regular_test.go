package regular

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := os.WriteFile(at("file"), []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(at("dir"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"link": "file", "to-dir": "dir", "to-fifo": "fifo", "dangling": "nowhere", "loop": "loop"} {
		if err := os.Symlink(to, at(link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(at("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", at("socket"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tt := range []struct {
		path, text string // no text: it opens
		is         error
	}{
		{at("file"), "", nil},
		{at("link"), "", nil},
		{at("dir"), "is a directory", syscall.EISDIR},
		{at("to-dir"), "is a directory", syscall.EISDIR},
		{at("fifo"), "not a regular file", nil},
		{at("to-fifo"), "not a regular file", nil},
		{at("socket"), "not a regular file", nil},
		{"/dev/null", "not a regular file", nil},
		{at("absent"), "no such file", fs.ErrNotExist},
		{at("dangling"), "no such file", fs.ErrNotExist},
		{at("loop"), "too many levels", nil},
		{at("file/x"), "not a directory", nil},
	} {
		f, info, err := openInTime(t, tt.path)
		if tt.text != "" {
			pe, ok := errors.AsType[*fs.PathError](err)
			if f != nil || !ok || pe.Path != tt.path || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: %v is no *fs.PathError with %q", tt.path, err, tt.text)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%s: %v is not %v", tt.path, err, tt.is)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.path, err)
			continue
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || string(got) != "content" || info.Size() != 7 {
			t.Errorf("%s: %q of %d bytes, %v", tt.path, got, info.Size(), err)
		}
	}
}

// openInTime fails the test instead of waiting for the other end of a FIFO.
func openInTime(t *testing.T, path string) (f *os.File, info fs.FileInfo, err error) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, info, err = Open(path)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s: waits", path)
	}
	return f, info, err
}

// A name that turns into a FIFO between the look and the opening is refused, too.
func TestOpenOfWhatChangesHands(t *testing.T) {
	dir := t.TempDir()
	file, fifo, name := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "name")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), syscall.Mkfifo(fifo, 0o600), os.Symlink(file, name)); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for to := file; ; {
			select {
			case <-stop:
				return
			default:
			}
			if to == file {
				to = fifo
			} else {
				to = file
			}
			next := filepath.Join(dir, "next")
			_ = os.Symlink(to, next)
			_ = os.Rename(next, name)
		}
	}()
	for range 500 {
		f, info, err := openInTime(t, name)
		if err != nil {
			continue
		}
		if !info.Mode().IsRegular() {
			t.Fatalf("opened %v", info.Mode())
		}
		f.Close()
	}
}

// ReadFile reads no more than asked for, and of what is no regular file nothing.
func TestReadFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{3: "cont", 6: "content", 7: "content", 100: "content"} {
		if got, err := ReadFile(path, limit); err != nil || string(got) != want {
			t.Errorf("limit %d: %q, %v", limit, got, err)
		}
	}
	if _, err := ReadFile("/dev/zero", 7); !errors.Is(err, errNotRegular) {
		t.Errorf("a device: %v", err)
	}
}
