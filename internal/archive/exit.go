package archive

import (
	"errors"
	"io/fs"
	"syscall"
)

// Exit codes (docs/operations.md).
const (
	incompleteCode = 3
	contentCode    = 4
	lockedCode     = 8
	localCode      = 9
)

// ErrNotBundle says that a file is a tar archive, perhaps an OCI layout, but not
// one in the form of this package. OpenLayout may be able to read it.
var ErrNotBundle error = notBundle{}

type notBundle struct{}

func (notBundle) Error() string { return "not an airbundle archive" }

// Advice says what to do, for reports.
func (notBundle) Advice() string {
	return "name an archive that bundler build has made; seeder verify says what this one is"
}

// ExitCode says that the content is not what it should be.
func (notBundle) ExitCode() int { return contentCode }

// ExitCode tells a file with wrong content from one that the system cannot read.
func (e *FormatError) ExitCode() int {
	if ofSystem(e.Err) {
		return localCode
	}
	return contentCode
}

// ofSystem says that an error is the operating system's: what the file holds is not known.
func ofSystem(err error) bool {
	_, path := errors.AsType[*fs.PathError](err)
	_, number := errors.AsType[syscall.Errno](err)
	return path || number
}

// ExitCode says that another process is at work.
func (e *LockedError) ExitCode() int { return lockedCode }

// ExitCode says that a further run can go on.
func (e *IncompleteError) ExitCode() int { return incompleteCode }
