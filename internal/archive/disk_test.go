package archive

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestSpace(t *testing.T) {
	s := mixed(t)
	full := roomy()
	full.statfs = func(_ int, st *unix.Statfs_t) error {
		*st = unix.Statfs_t{Blocks: 100, Bavail: 3, Bsize: 4096}
		return nil
	}
	quota := roomy()
	quota.fallocate = func(int, uint32, int64, int64) error { return unix.EDQUOT }
	unknown := full
	unknown.statfs = func(int, *unix.Statfs_t) error { return unix.ENOSYS }
	unknown.fallocate = func(int, uint32, int64, int64) error { return unix.ENOSPC }
	fat := roomy()
	fat.fallocate = func(int, uint32, int64, int64) error { return unix.EFBIG }
	limited := roomy()
	limited.getrlimit = func(_ int, lim *unix.Rlimit) error { lim.Cur = 1000; return nil }
	broken := roomy()
	broken.fallocate = func(int, uint32, int64, int64) error { return unix.EIO }
	size := s.layout.Size()
	for name, test := range map[string]struct {
		disk  disk
		is    error
		space *SpaceError
		text  string
	}{
		"full":    {full, unix.ENOSPC, &SpaceError{Need: size, Have: 3 * 4096, Err: unix.ENOSPC}, "12288 are free"},
		"quota":   {quota, unix.ENOSPC, &SpaceError{Need: size, Have: 1 << 62, Err: unix.EDQUOT}, "quota"},
		"unknown": {unknown, unix.ENOSPC, &SpaceError{Need: size, Have: -1, Err: unix.ENOSPC}, "no space left"},
		"fat":     {fat, unix.EFBIG, nil, "another one"},
		"limited": {limited, unix.EFBIG, nil, "another one"},
		"broken":  {broken, unix.EIO, nil, "a.tar.part"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			_, err := Create(t.Context(), path, s.layout, CreateOptions{disk: test.disk})
			if !errors.Is(err, test.is) || !strings.Contains(fmt.Sprint(err), test.text) {
				t.Errorf("error %v, want %v that says %q", err, test.is, test.text)
			}
			got, _ := errors.AsType[*SpaceError](err)
			if test.space != nil {
				test.space.Path = path + partSuffix
			}
			if diff := cmp.Diff(test.space, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if names := dirNames(t, filepath.Dir(path)); len(names) > 0 {
				t.Errorf("left: %v", names)
			}

			// What an earlier run had finished survives the refusal.
			filled := half(t, s, path)
			if name == "full" {
				test.disk.statfs = func(_ int, st *unix.Statfs_t) error {
					*st = unix.Statfs_t{Blocks: 100, Bavail: 0, Bsize: 4096}
					return nil
				}
				if err := os.Truncate(path+partSuffix, size-2*blockSize-bufferSize); err != nil {
					t.Fatal(err)
				}
				filled = 0 // depends on where the cut fell
			}
			if _, err := Create(t.Context(), path, s.layout, CreateOptions{disk: test.disk}); !errors.Is(err, test.is) {
				t.Errorf("second time: error %v, want %v", err, test.is)
			}
			w, err := Create(t.Context(), path, s.layout, CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if w.Kept() < filled {
				t.Errorf("kept %d bytes, want %d", w.Kept(), filled)
			}
		})
	}
}

// A refused Create does not touch the unfinished archive of another layout.
func TestNoSpaceSparesOther(t *testing.T) {
	first, second := mixed(t), newSample(t, "large", 8*bufferSize)
	path := filepath.Join(t.TempDir(), "a.tar")
	filled := half(t, first, path)
	full := roomy()
	full.getrlimit = func(_ int, lim *unix.Rlimit) error { lim.Cur = 10; return nil }
	if _, err := Create(t.Context(), path, second.layout, CreateOptions{disk: full}); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("error %v, want EFBIG", err)
	}
	w, err := Create(t.Context(), path, first.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Kept() != filled {
		t.Errorf("kept %d bytes, want %d", w.Kept(), filled)
	}
}

// Space is asked for only as far as the unfinished file does not occupy it already.
func TestSpaceCountsWhatIsThere(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	half(t, s, path)
	d := systemDisk
	d.statfs = func(_ int, st *unix.Statfs_t) error {
		*st = unix.Statfs_t{Blocks: 100, Bavail: 1, Bsize: 4096}
		return nil
	}
	w, err := Create(t.Context(), path, s.layout, CreateOptions{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}

func TestInterruptedFallocateIsTriedAgain(t *testing.T) {
	s := newSample(t, "eintr", 10)
	calls := 0
	d := roomy()
	d.fallocate = func(int, uint32, int64, int64) error {
		if calls++; calls < 4 {
			return unix.EINTR
		}
		return nil
	}
	w, err := Create(t.Context(), filepath.Join(t.TempDir(), "a.tar"), s.layout, CreateOptions{disk: d})
	if err != nil || calls != 4 {
		t.Fatalf("%d calls, %v", calls, err)
	}
	w.Close()
}

// Without fallocate the archive comes out the same.
func TestWithoutFallocate(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	w, err := Create(t.Context(), path, s.layout, CreateOptions{disk: roomy()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s.fill(t, w, w.Missing(), 2)
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, path), s.reference(t)) {
		t.Error("other bytes")
	}
}

// Where nothing can be written, Create says so at once and names the place.
func TestCreateNowhere(t *testing.T) {
	s := newSample(t, "nowhere", 10)
	path := filepath.Join(t.TempDir(), "missing", "a.tar")
	_, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// The data is on the disk before the name is; when it may not be, nothing of it is
// trusted again.
func TestSealSyncs(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	d := systemDisk
	d.fsync = func(f *os.File) error {
		if exists(path) {
			t.Error("renamed before the data was synced")
		}
		return &os.PathError{Op: "sync", Path: f.Name(), Err: syscall.ENOSPC}
	}
	w, err := Create(t.Context(), path, s.layout, CreateOptions{disk: d})
	if err != nil {
		t.Fatal(err)
	}
	s.fill(t, w, w.Missing(), 1)
	err = w.Seal()
	if space, ok := errors.AsType[*SpaceError](err); !ok || space.Path != path+partSuffix || exists(path) {
		t.Fatalf("error %v, want a *SpaceError", err)
	}
	if w, err = Create(t.Context(), path, s.layout, CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Kept() != 0 {
		t.Errorf("kept %d bytes that may not be on the disk", w.Kept())
	}
}

func TestExplain(t *testing.T) {
	s := mixed(t)
	w, err := Create(t.Context(), filepath.Join(t.TempDir(), "a.tar"), s.layout, CreateOptions{disk: roomy()})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, test := range []struct {
		errno syscall.Errno
		space bool
		text  string
	}{
		{syscall.ENOSPC, true, "more bytes needed"},
		{syscall.EDQUOT, true, "quota"},
		{syscall.EFBIG, false, "another one"},
		{syscall.EIO, false, "input/output"},
	} {
		err := w.explain(&os.PathError{Op: "write", Path: "x", Err: test.errno})
		if _, ok := errors.AsType[*SpaceError](err); ok != test.space || !errors.Is(err, test.errno) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%v: %v", test.errno, err)
		}
	}
}

// FAT32 has room for 5 GB, and no file so large: that is told before the download.
func TestFileTooLargeForFAT(t *testing.T) {
	stick := roomy()
	stick.statfs = func(_ int, st *unix.Statfs_t) error {
		*st = unix.Statfs_t{Type: unix.MSDOS_SUPER_MAGIC, Blocks: 1 << 30, Bavail: 1 << 30, Bsize: 4096}
		return nil
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "a.tar.part"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := stick.check(f, 1<<32-1); err != nil {
		t.Errorf("the largest file: %v", err)
	}
	err = stick.check(f, 1<<32)
	if !errors.Is(err, unix.EFBIG) || !strings.Contains(err.Error(), "exFAT") || !strings.Contains(err.Error(), "--arch") {
		t.Errorf("4 GiB: %v", err)
	}
}
