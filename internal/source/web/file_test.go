package web

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"airbundle/internal/digestio"
	"airbundle/internal/report"
)

func TestFileURLs(t *testing.T) {
	top := t.TempDir()
	dir, outside := filepath.Join(top, "lock"), filepath.Join(top, "outside")
	content := []byte("pinned")
	for _, path := range []string{"lock/a.tgz", "lock/sub/b c.tgz", "lock/what?#.tgz", "lock/käse", "outside/secret"} {
		write(t, filepath.Join(top, path), content)
	}
	for link, target := range map[string]string{"inside": "a.tgz", "escapes": "../outside/secret", "dangling": "nowhere", "loop": "loop", "to-dir": "sub"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		url  string
		text string // of the error; empty: opens
	}{
		{"file:a.tgz", ""},
		{"file:./a.tgz", ""},
		{"file:sub/../a.tgz", ""},
		{"file:sub/b%20c.tgz", ""},
		{"file:what%3F%23.tgz", ""},
		{"file:k%C3%A4se", ""},
		{"file:../outside/secret", ""},
		{"file://" + outside + "/secret", ""},
		{"file://localhost" + outside + "/secret", ""},
		{"file:" + outside + "/secret", ""},
		{"file:inside", ""},
		{"file:escapes", ""}, // a plain open: what it is, the digest decides
		{"file:", "names no file"},
		{"file:///", "names no file"},
		{"file:sub", "is a directory"},
		{"file:to-dir", "is a directory"},
		{"file:.", "is a directory"},
		{"file:fifo", "not a regular file"},
		{"file:///dev/null", "not a regular file"},
		{"file:dangling", "no such file"},
		{"file:loop", "too many levels"},
		{"file:absent", "no such file"},
		{"file:a.tgz/x", "not a directory"},
		{"file:a.tgz?x=1", "no query"},
		{"file:a.tgz#x", "no query"},
		{"file:a%zz", "%zz"},
		{"file://other.host/a.tgz", "another host"},
		{"file://user@localhost/a.tgz", "another host"},
	}
	src := newSource(t, dir)
	for _, tt := range tests {
		t.Run(tt.url, func(t *testing.T) {
			rc, err := src.Open(t.Context(), tt.url, descriptor(content))
			if err == nil {
				defer rc.Close()
			}
			if tt.text != "" {
				if err == nil || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("got %v, want %q", err, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got, err := digestio.ReadAll(rc, descriptor(content), 100); err != nil || !bytes.Equal(got, content) {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}

// What is wrong with our own files is a matter of this machine.
func TestClassOfFiles(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{"file:.", "file:fifo", "file:absent", "file:///dev/null"} {
		if _, _, err := newSource(t, dir).Pin(t.Context(), url, ""); report.Classify(err) != report.ClassLocal {
			t.Errorf("%s: class %d of %v", url, report.Classify(err), err)
		}
	}
}

func TestFileOfAnotherSize(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), []byte("longer"))
	want := descriptor([]byte("short"))
	rc, err := newSource(t, dir).Open(t.Context(), "file:f", want)
	if err == nil {
		_ = rc.Close()
	}
	if mm, ok := errors.AsType[*digestio.MismatchError](err); !ok || mm.GotBytes != 6 || mm.Want.Size != 5 {
		t.Errorf("got %v, want a *digestio.MismatchError of 6 bytes for 5", err)
	}
}
