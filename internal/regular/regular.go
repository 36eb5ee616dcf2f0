// Package regular opens regular files and nothing else. A path that somebody wrote
// into a lock or onto a command line may name a FIFO, which an ordinary open would
// wait for, or a device, of which some act when they are opened.
package regular

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// Open opens the regular file at path, over links, for reading. It never waits. What
// is not a regular file, or cannot be opened, is an *fs.PathError; for a directory its
// cause is syscall.EISDIR.
func Open(path string) (*os.File, fs.FileInfo, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if err := check(path, info); err != nil {
		return nil, nil, err
	}
	// The name may have changed hands since: what is opened must not hang either, and
	// is what counts.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	if info, err = f.Stat(); err == nil {
		err = check(path, info)
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// ReadFile reads the regular file at path like os.ReadFile, but not more than limit bytes and
// one: who gets more than limit knows by it that the file is too large.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, _, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

var errNotRegular = errors.New("not a regular file")

func check(path string, info fs.FileInfo) error {
	switch {
	case info.Mode().IsRegular():
		return nil
	case info.IsDir():
		return &fs.PathError{Op: "open", Path: path, Err: syscall.EISDIR}
	}
	return &fs.PathError{Op: "open", Path: path, Err: errNotRegular}
}
