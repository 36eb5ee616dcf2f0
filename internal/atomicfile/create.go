package atomicfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Create is WriteFile for a file that must not be there yet: whatever has the name already,
// a link too, is left as it is, and the error is fs.ErrExist. The content is readable by
// its owner alone until it is whole and has the permissions perm.
func Create(path string, data []byte, perm fs.FileMode) error {
	write := func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}
	if err := replace(path, perm, write, name); err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}

// name renames a file to a name that is free. Where the file system cannot do that in one
// step, which network ones cannot, it gets a second name before it loses the first.
func name(temporary, path string) error {
	err := unix.Renameat2(unix.AT_FDCWD, temporary, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		if err = unix.Link(temporary, path); err == nil {
			err = os.Remove(temporary)
		}
	}
	return err
}
