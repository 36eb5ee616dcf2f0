package archive

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// A Claim is the right to write an archive, held before its layout is known: by the lock
// on its journal, so that it ends with the process at the latest.
type Claim struct {
	path    string
	journal *journal // nil: taken over by a Writer, or released
}

// Reserve claims the archive path against other processes (*LockedError), and finds out
// whether files can be made beside it. What an earlier run left stays as it is.
func Reserve(path string) (_ *Claim, err error) {
	defer func() {
		if _, busy := errors.AsType[*LockedError](err); err != nil && !busy {
			err = fmt.Errorf("create %s: %w", path, err)
		}
	}()
	// Only a file is replaced: as root, a rename would take the place of /dev/null.
	if st, err := os.Stat(path); err == nil && !st.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "replace", Path: path, Err: errors.New("not a regular file")}
	}
	j, err := openJournal(path + journalSuffix)
	if err != nil {
		return nil, err
	}
	c := &Claim{path, j}
	// A full disk is told of by Create, which knows how much is missing.
	if err := j.own(); err != nil && !noSpace(err) {
		return nil, errors.Join(err, c.Release())
	}
	return c, nil
}

// Release gives the archive up. The journal goes where there is no unfinished archive that
// it speaks of. After a Create with this claim, it does nothing.
func (c *Claim) Release() error {
	j := c.journal
	if c.journal = nil; j == nil {
		return nil
	}
	var err error
	if _, missing := os.Lstat(c.path + partSuffix); j.made || errors.Is(missing, fs.ErrNotExist) {
		err = j.remove()
	}
	return errors.Join(err, j.f.Close())
}

// take hands the journal of c to a Writer, or that of a claim made now where c is nil.
func (c *Claim) take(path string) (_ *journal, err error) {
	if c == nil {
		if c, err = Reserve(path); err != nil {
			return nil, err
		}
	}
	if c.journal == nil || c.path != path {
		return nil, fmt.Errorf("create %s: the claim is not, or no more, on it", path)
	}
	j := c.journal
	c.journal = nil
	return j, nil
}
