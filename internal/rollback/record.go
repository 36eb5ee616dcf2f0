package rollback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"airbundle/internal/atomicfile"
)

// patience is how long Record waits for another process, which needs the lock for
// milliseconds; a stopped one may hold it for ever.
const patience, interval = 5 * time.Second, 20 * time.Millisecond

// A LockedError says that another process held the memory all the time.
type LockedError struct{ Path string }

func (e *LockedError) Error() string {
	return e.Path + ": another process holds the lock"
}

// ExitCode is that of locks.
func (*LockedError) ExitCode() int { return 8 }

// Record remembers a bundle in dir, which is made where it is missing, if its serial is the
// highest of its name. A bundle without a serial is not remembered. The file is readable by
// its owner alone, whatever the umask, is replaced in one step, and is not written through
// links; two processes that record at once wait for each other. ctx ends the waiting.
func Record(ctx context.Context, dir string, b Bundle) error {
	if b.Serial == 0 {
		return nil
	}
	if err := makeDir(dir); err != nil {
		return err
	}
	unlock, err := lock(ctx, filepath.Join(dir, lockName), patience)
	if err != nil {
		return err
	}
	defer unlock()
	m, err := Read(dir)
	if err != nil {
		return err
	}
	m.doc.Schema = schema
	if !m.remember(b) {
		return nil
	}
	if err := m.doc.check(); err != nil {
		return fmt.Errorf("%s: %w", m.path, err)
	}
	raw, err := json.MarshalIndent(m.doc, "", " ")
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(m.path, append(raw, '\n'), 0o600)
}

// makeDir makes the directory, with those above it, or says why an existing one will not do:
// where others can write, they could put a link in the place of the memory.
func makeDir(dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	switch err := os.Mkdir(dir, 0o700); {
	case err == nil:
		return os.Chmod(dir, 0o700) // whatever the umask
	case !errors.Is(err, fs.ErrExist):
		return err
	}
	st, err := os.Stat(dir)
	switch {
	case err != nil:
		return err
	case !st.IsDir():
		return &fs.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	case st.Mode().Perm()&0o022 != 0:
		return &fs.PathError{Op: "write", Path: dir, Err: errors.New("others can write in this directory: chmod 700 it, or name another one with --state-dir")}
	}
	return nil
}

// lock takes the lock, which dies with its process, and waits no longer than patience.
func lock(ctx context.Context, path string, patience time.Duration) (unlock func(), err error) {
	f, err := openOwn(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Chmod(0o600); err != nil { // whatever the umask
		f.Close()
		return nil, err
	}
	for end := time.Now().Add(patience); ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK) && time.Now().Before(end):
			select {
			case <-ctx.Done():
				f.Close()
				return nil, context.Cause(ctx)
			case <-time.After(interval):
			}
			continue
		}
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, &LockedError{path}
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
}
