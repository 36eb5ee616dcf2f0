package atomicfile

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// suffix ends the names of temporary files: ".NAME.<digits>.airbundle", beside NAME.
const suffix = ".airbundle"

// errGone says that a temporary file was taken for one of a dead process.
var errGone = errors.New("it was removed by another program")

// A temporary file is one that this process holds: by a lock, which ends with the process,
// and tells others that the file is not left over.
type temporary struct {
	*os.File
	lock *os.File // the same open file again, so that the lock outlasts a Close
}

// makeTemporary makes a temporary file for path, readable by its owner alone, and removes
// those that dead processes left.
func makeTemporary(path string) (*temporary, error) {
	dir, base := filepath.Split(path)
	sweep(filepath.Clean(dir), base)
	for range 100 {
		f, err := os.CreateTemp(filepath.Clean(dir), "."+base+".*"+suffix)
		if err != nil {
			return nil, err
		}
		t, err := hold(f)
		if err == nil {
			return t, nil
		}
		f.Close()
		if !errors.Is(err, errGone) {
			os.Remove(f.Name())
			return nil, err
		}
	}
	return nil, errGone
}

// hold locks a file that was just made. Between the two steps another process may have
// taken it for one that is left over, and removed it.
func hold(f *os.File) (*temporary, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	t := &temporary{f, os.NewFile(uintptr(fd), f.Name())}
	if locked, err := tryLock(f); err != nil {
		return t, nil // a file system without locks: nobody else gets one, and removes it
	} else if locked && stillNamed(f) {
		return t, nil
	}
	t.lock.Close()
	return nil, errGone
}

// fill makes a temporary file whole and durable; only then others may read it, as perm says.
// Some network file systems tell of lost writes when the file is closed, so that it is
// before it gets its name.
func (t *temporary) fill(perm fs.FileMode, write func(io.Writer) error) error {
	err := write(t.File)
	if err == nil {
		err = t.Chmod(perm)
	}
	if err == nil {
		err = t.Sync()
	}
	return cmp.Or(err, t.Close())
}

// Sweep removes what dead processes left in dir, for whatever name: in a directory that is
// ours alone, where names come from contents and are not written again.
func Sweep(dir string) { sweep(dir, "") }

// sweep removes the temporary files for base ("": for any) in dir that no process holds. What
// cannot be read, locked or removed stays: it is in nobody's way.
func sweep(dir, base string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	names, _ := d.Readdirnames(-1) // those before an error do
	d.Close()
	for _, name := range names {
		if of, ok := forWhat(name); ok && (of == base || base == "") {
			removeDead(filepath.Join(dir, name))
		}
	}
}

// forWhat returns the NAME in the name of a temporary file, ".NAME.<digits>.airbundle".
func forWhat(name string) (base string, ok bool) {
	rest, hidden := strings.CutPrefix(name, ".")
	rest, ours := strings.CutSuffix(rest, suffix)
	dot := strings.LastIndexByte(rest, '.')
	if !hidden || !ours || dot < 1 || dot == len(rest)-1 || strings.Trim(rest[dot+1:], "0123456789") != "" {
		return "", false
	}
	return rest[:dot], true
}

// removeDead removes a file unless a process holds it. Only who has the lock removes, and only
// what the name still means then.
func removeDead(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || !st.Mode().IsRegular() {
		return
	}
	if locked, err := tryLock(f); err == nil && locked && stillNamed(f) {
		os.Remove(path)
	}
}

// tryLock locks a file, or says that another process has. The error is that of a file
// system without locks.
func tryLock(f *os.File) (bool, error) {
	for {
		switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		default:
			return err == nil, err
		}
	}
}

// stillNamed says whether the name of an open file still means it.
func stillNamed(f *os.File) bool {
	named, err := os.Lstat(f.Name())
	if err != nil {
		return false
	}
	open, err := f.Stat()
	return err == nil && os.SameFile(open, named)
}
