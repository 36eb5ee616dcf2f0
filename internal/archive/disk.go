package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A SpaceError says that a file system has no room for the archive.
// It is ENOSPC to errors.Is.
type SpaceError struct {
	Path string
	Need int64 // bytes that the archive still needs
	Have int64 // bytes that are free; -1 when the file system does not say
	Err  error // ENOSPC, or EDQUOT when it is a quota
}

func (e *SpaceError) Error() string {
	if e.Have < 0 {
		return fmt.Sprintf("%s: %d more bytes needed: %v", e.Path, e.Need, e.Err)
	}
	return fmt.Sprintf("%s: %d more bytes needed, %d are free: %v", e.Path, e.Need, e.Have, e.Err)
}

// Is makes every SpaceError an ENOSPC.
func (e *SpaceError) Is(target error) bool { return target == syscall.ENOSPC }

// Unwrap returns the error of the system.
func (e *SpaceError) Unwrap() error { return e.Err }

// noSpace says whether err means that the disk or a quota is full.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// A disk is the system calls that fail when a disk does.
type disk struct {
	statfs    func(fd int, st *unix.Statfs_t) error
	fallocate func(fd int, mode uint32, off, size int64) error
	getrlimit func(which int, lim *unix.Rlimit) error
	fsync     func(f *os.File) error
}

var systemDisk = disk{unix.Fstatfs, unix.Fallocate, unix.Getrlimit, (*os.File).Sync}

// room returns how many bytes a file of the given size still needs, given what f
// occupies already, and how many its file system has; -1 when it does not say.
func (d disk) room(f *os.File, size int64) (need, have int64) {
	need = size
	if st, err := f.Stat(); err == nil {
		if sys, ok := st.Sys().(*syscall.Stat_t); ok {
			need = max(0, size-sys.Blocks*blockSize)
		}
	}
	var st unix.Statfs_t
	// Network and FUSE file systems that do not know report no blocks at all.
	if err := d.statfs(int(f.Fd()), &st); err != nil || st.Blocks == 0 {
		return need, -1
	}
	return need, int64(st.Bavail) * st.Bsize
}

// maxFAT is the largest file of FAT32, whose directory entries have 32 bits for a size
// (Microsoft, FAT32 File System Specification, 1.03, DIR_FileSize).
const maxFAT = 1<<32 - 1

// check refuses a size that cannot fit, before anything is changed.
func (d disk) check(f *os.File, size int64) error {
	var lim unix.Rlimit
	if err := d.getrlimit(unix.RLIMIT_FSIZE, &lim); err == nil && lim.Cur < uint64(size) {
		return tooLarge(f, size)
	}
	var st unix.Statfs_t
	if err := d.statfs(int(f.Fd()), &st); err == nil && st.Type == unix.MSDOS_SUPER_MAGIC && size > maxFAT {
		return tooLarge(f, size)
	}
	if need, have := d.room(f, size); have >= 0 && need > have {
		return &SpaceError{Path: f.Name(), Need: need, Have: have, Err: syscall.ENOSPC}
	}
	return nil
}

// reserve makes f exactly size bytes long and, where the file system can, sets the
// space aside, so that a full disk is found now and not after hours of download.
func (d disk) reserve(f *os.File, size int64) error {
	need, have := d.room(f, size)
	err := d.fallocate(int(f.Fd()), 0, 0, size)
	for range 100 {
		if !errors.Is(err, syscall.EINTR) {
			break
		}
		err = d.fallocate(int(f.Fd()), 0, 0, size)
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		err = nil // the size alone will do
	}
	if err == nil {
		err = f.Truncate(size)
	}
	switch {
	case err == nil:
		return nil
	case noSpace(err):
		return &SpaceError{Path: f.Name(), Need: need, Have: have, Err: err}
	case errors.Is(err, syscall.EFBIG):
		return tooLarge(f, size)
	}
	return fmt.Errorf("reserve %d bytes: %w", size, &fs.PathError{Op: "fallocate", Path: f.Name(), Err: err})
}

func tooLarge(f *os.File, size int64) error {
	return fmt.Errorf("an archive of %d bytes is more than the file system or ulimit allows for one file, write it to another one, such as ext4, xfs, NTFS or exFAT, or carry less at a time with --arch or --group: %w",
		size, &fs.PathError{Op: "reserve", Path: f.Name(), Err: syscall.EFBIG})
}
