// Package atomicfile writes small files that appear under their name only when
// they are whole: a temporary file beside the target, fsync, rename, fsync of
// the directory. An existing file stays untouched until the rename. What a killed
// process leaves, the next one that writes the same name removes.
package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes data to path with the permissions perm, whatever the
// umask. Links are followed. Anything but a regular file at path is refused: a rename
// would take the place of a device. On error nothing is left beside path.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return Write(path, perm, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// Write is WriteFile for content that is written piece by piece. An error of write
// leaves path as it was and is returned wrapped.
func Write(path string, perm fs.FileMode, write func(io.Writer) error) (err error) {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return &fs.PathError{Op: "write", Path: path, Err: errors.New("not a regular file")}
	}
	if err := replace(path, perm, write, os.Rename); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

// replace fills a temporary file, makes it durable and gives it its name.
func replace(path string, perm fs.FileMode, write func(io.Writer) error, name func(from, to string) error) error {
	t, err := makeTemporary(path)
	if err != nil {
		return err
	}
	defer t.lock.Close()
	if err = t.fill(perm, write); err == nil {
		err = name(t.Name(), path)
	}
	if err != nil {
		os.Remove(t.Name())
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir makes the names in dir durable: after it returns, a rename into dir
// survives a power cut.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
