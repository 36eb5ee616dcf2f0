package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"airbundle/internal/digestio"
	"airbundle/internal/report"
)

// What the errors of the package mean to the operator, however they are wrapped.
func TestExitCodes(t *testing.T) {
	s := newSample(t, "codes", 600)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.tar")
	s.write(t, path)
	whole := s.reference(t)
	open := func(name string, data []byte) error {
		_, err := Open(writeFile(t, dir, name, data))
		return err
	}
	_, missing := Open(filepath.Join(dir, "nobody"))
	_, directory := Open(dir)
	foreign := open("foreign.tar", hostile(member{name: "x"}))
	if !errors.Is(foreign, ErrNotBundle) {
		t.Errorf("a foreign tar: %v", foreign)
	}
	for name, test := range map[string]struct {
		err  error
		want report.Class
	}{
		"foreign tar":     {foreign, report.ClassContent},
		"text":            {open("text", []byte("text")), report.ClassContent},
		"cut":             {open("cut.tar", whole[:len(whole)-1]), report.ClassContent},
		"more":            {open("more.tar", append(bytes.Clone(whole), 0)), report.ClassContent},
		"table damaged":   {open("table.tar", flipped(whole, s.offsetOf(t, s.bundle.TableDescriptor().Digest))), report.ClassContent},
		"no file":         {missing, report.ClassLocal},
		"directory":       {directory, report.ClassContent},
		"root file":       {rootError(writeFile(t, dir, "root.json", []byte("{}"))), report.ClassContent},
		"bad sector":      {&FormatError{Err: &fs.PathError{Op: "read", Path: path, Err: syscall.EIO}}, report.ClassLocal},
		"stale handle":    {&FormatError{Err: fmt.Errorf("read: %w", syscall.ESTALE)}, report.ClassLocal},
		"mismatch inside": {&FormatError{Err: &digestio.MismatchError{}}, report.ClassContent},
		"locked":          {&LockedError{Path: path}, report.ClassLocked},
		"incomplete":      {&IncompleteError{Path: path}, report.ClassIncomplete},
		"full":            {&SpaceError{Path: path, Err: syscall.EDQUOT}, report.ClassLocal},
	} {
		if test.err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for _, err := range []error{test.err, fmt.Errorf("doing something: %w", test.err), errors.Join(test.err, nil)} {
			if got := report.Classify(err); got != test.want {
				t.Errorf("%s: class %d, want %d: %v", name, got, test.want, err)
			}
		}
	}
}

func flipped(data []byte, at int64) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func rootError(path string) error {
	_, err := OpenRoot(path)
	return err
}

// A layout tar on a sick disk is not called malformed.
func TestForeignTarOnSickDisk(t *testing.T) {
	whole := hostile(member{name: "blobs/x", data: "content"})
	for at := int64(0); at < int64(len(whole)); at += blockSize {
		_, err := readTar("a.tar", sick{bytes.NewReader(whole), at}, int64(len(whole)))
		content := at == 5*blockSize // of blobs/x, which is not read now, but its padding is
		if err == nil && !content || err != nil && (!errors.Is(err, syscall.EIO) || report.Classify(err) != report.ClassLocal) {
			t.Errorf("block at %d: class %d, %v", at, report.Classify(err), err)
		}
	}
}

// What a reader meets below keeps its cause through every layer.
func TestFetchKeepsCause(t *testing.T) {
	s := newSample(t, "cause", 600)
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	r, err := a.Fetch(t.Context(), s.file(0))
	if err == nil {
		_, err = io.Copy(io.Discard, r)
	}
	if !errors.Is(err, os.ErrClosed) || report.Classify(err) != report.ClassLocal {
		t.Errorf("class %d: %v", report.Classify(err), err)
	}
}
