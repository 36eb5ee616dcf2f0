package report

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"syscall"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// A Class is the kind of a failure; its value is the exit code (docs/operations.md).
type Class int

// The classes, and the exit codes of all commands.
const (
	ClassOK          Class = 0
	ClassInternal    Class = 1
	ClassUsage       Class = 2
	ClassIncomplete  Class = 3 // part is missing, a rerun resumes
	ClassContent     Class = 4 // content is not what it should be
	ClassTrust       Class = 5 // signature, rollback, not the locked set
	ClassUnavailable Class = 6 // remote unavailable after retries
	ClassRefused     Class = 7 // remote refused: login, read-only, full, conflict
	ClassLocked      Class = 8 // another process holds the lock
	ClassLocal       Class = 9 // local resources: space, files, permissions
)

// rank orders the classes where several apply, worst first.
var rank = []Class{ClassTrust, ClassContent, ClassRefused, ClassUnavailable, ClassLocal, ClassIncomplete}

// Worst returns the class that decides the exit code: 5 > 4 > 7 > 6 > 9 > 3; any
// other class that is not 0 comes before all of them.
func Worst(classes ...Class) Class {
	worst, at := ClassOK, len(rank)
	for _, c := range classes {
		if c == ClassOK {
			continue
		}
		i := slices.Index(rank, c)
		if i < 0 {
			return c
		}
		if i < at {
			worst, at = c, i
		}
	}
	return worst
}

// A Classified error knows its exit code; error types of all packages may have the
// method without importing this one.
type Classified interface {
	error
	ExitCode() int
}

// WithClass gives err a class; nil stays nil.
func WithClass(c Class, err error) error {
	if err == nil {
		return nil
	}
	return &classed{err, c}
}

type classed struct {
	error
	class Class
}

func (c *classed) ExitCode() int { return int(c.class) }
func (c *classed) Unwrap() error { return c.error }

// Classify tells the class of an error by what caused it. An error that knows its exit
// code decides for all that it wraps; of joined errors the worst class counts. What
// cannot be told is internal.
func Classify(err error) Class {
	if err == nil {
		return ClassOK
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		//nolint:errorlint // the walk is by hand, because the outermost class wins
		switch e := e.(type) {
		case Classified:
			return Class(e.ExitCode())
		case interface{ Unwrap() []error }:
			var all []Class
			for _, part := range e.Unwrap() {
				all = append(all, Classify(part))
			}
			if worst := Worst(all...); worst != ClassOK {
				return worst
			}
		}
	}
	if _, ok := errors.AsType[*digestio.MismatchError](err); ok {
		return ClassContent
	}
	if s, ok := errors.AsType[*httpx.StatusError](err); ok {
		if s.LoginBlocked() || s.ReadOnly() || s.Offline() || s.Full() {
			return ClassRefused // though the status alone means that it may be tried again
		}
		return statusClass(s.Code)
	}
	return systemClass(err)
}

// Advice is what to do about a cause that has one remedy, wherever it comes up; empty for
// all others.
func Advice(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE):
		return "let it open more files at once: ulimit -n 1024, or more"
	case errors.Is(err, syscall.ENFILE):
		return "too many files are open on the whole machine: end what holds them, or raise fs.file-max"
	case errors.Is(err, fs.ErrNotExist):
		return "check the path: nothing is there"
	}
	return ""
}

func statusClass(code int) Class {
	switch {
	case code == http.StatusInsufficientStorage:
		return ClassRefused
	case code == http.StatusNotFound, code == http.StatusGone, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return ClassUnavailable
	default:
		return ClassRefused
	}
}

// systemClass judges errors of the network and of the operating system.
func systemClass(err error) Class {
	switch {
	case errors.Is(err, context.Canceled):
		return ClassIncomplete
	case errors.Is(err, io.ErrUnexpectedEOF):
		return ClassUnavailable
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return ClassLocal // also where a network error holds them
	}
	if remote(err) {
		return ClassUnavailable
	}
	// After the network, whose errors hold such numbers, too.
	if _, ok := errors.AsType[syscall.Errno](err); ok {
		return ClassLocal
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return ClassLocal
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ClassUnavailable
	}
	return ClassInternal
}

// remote says whether an error came from the network.
func remote(err error) bool {
	if _, ok := errors.AsType[*httpx.UnavailableError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return true
	}
	_, ok := errors.AsType[*url.Error](err)
	return ok
}
