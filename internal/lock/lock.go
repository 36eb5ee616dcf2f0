// Package lock resolves a request into a lock: which digests the images' references
// name now, with the platforms the request wants; the sha256 and size of files and charts;
// and the packages that close each set over its dependencies, for each arch. It can
// do so for a part of a lock only, and tells in words what is different from an older lock.
// It knows no protocol; sources come from outside.
package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm/depsolve"
	"airbundle/internal/workers"
)

// Options tune Resolve. The zero value is ready to use.
type Options struct {
	Jobs int    // sources asked at once; default 8
	File string // the request's, for messages

	// Old is the lock that the new one takes the place of, or nil. What people wrote into
	// it is kept; a package whose bytes changed under the same name is refused.
	Old *lockfile.Lock
	// Update names what is resolved; everything else stays as it is in Old. Images are
	// named by source, package sets by into, packages by name, files by path, charts by
	// name. Empty: everything is resolved.
	Update []string
	// Check says that the new lock is only compared with Old: a package whose bytes changed
	// is a difference like any other.
	Check bool
	// TrustChecksums takes the word of checksum lists for files, without a download.
	TrustChecksums bool
	// Side is the directory for slices of metadata, relative to the lock. Empty: there is
	// no place for them, and the lock has none.
	Side string

	Done func(Pinned) // told of each pin, from several goroutines
	Read func(Read)   // told of each repository that was read, from several goroutines
}

// A Pinned is one wish that was resolved.
type Pinned struct {
	Name string
	Took time.Duration
}

// A Read is one repository that was read.
type Read struct {
	Repo, Arch string // Arch is empty where the repository is the same for all
	Packages   int
	Mirrors    int      // that are used
	Skipped    []string // mirrors that are not, "URL: reason"
	Took       time.Duration
}

// A Result is what Resolve made.
type Result struct {
	Lock    *lockfile.Lock
	Files   map[string][]byte // side files, by path relative to the lock
	Notes   []string          // what the operator should know
	Changes []string          // against Options.Old, in words
}

// A WishError is a wish that cannot be pinned.
type WishError struct {
	File string // of the request
	Line int    // 0: not of the request
	Name string
	Err  error
}

func (e *WishError) Error() string {
	place := e.File
	if e.Line > 0 {
		place += ":" + strconv.Itoa(e.Line)
	}
	return fmt.Sprintf("%s: %s: %s", place, e.Name, oneLine(e.Err.Error()))
}

// oneLine joins the lines of a message, for each line is printed on its own.
func oneLine(msg string) string {
	var b strings.Builder
	for line := range strings.Lines(msg) {
		switch line = strings.TrimSpace(line); {
		case b.Len() == 0:
		case strings.HasSuffix(b.String(), ":"):
			b.WriteByte(' ')
		default:
			b.WriteString("; ")
		}
		b.WriteString(line)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *WishError) Unwrap() error { return e.Err }

// ExitCode implements report.Classified: what has no class of its own is a wish that
// the sources cannot fulfil.
func (e *WishError) ExitCode() int {
	if c := report.Classify(e.Err); c != report.ClassInternal {
		return int(c)
	}
	return int(report.ClassContent)
}

// Resolve pins everything a request wants, or what Options.Update names. Problems of all
// wishes are joined, each a *WishError; then there is no result.
func Resolve(ctx context.Context, req *lockfile.Request, src Sources, o Options) (*Result, error) {
	r := &resolver{req: req, src: src, o: o, solve: depsolve.Solve}
	return r.run(ctx)
}

type resolver struct {
	req   *lockfile.Request
	src   Sources
	o     Options
	solve func(context.Context, depsolve.Request) (*depsolve.Solution, error)

	named   *selection               // nil: everything is resolved
	signers map[digest.Digest]string // of the old lock's packages
	result  Result
	errs    []error

	mu    sync.Mutex // guards notes while several goroutines run
	notes map[string]bool
}

func (r *resolver) run(ctx context.Context) (*Result, error) {
	r.o.Jobs = cmp.Or(r.o.Jobs, 8)
	r.notes = map[string]bool{}
	if len(r.o.Update) > 0 {
		var err error
		if r.named, err = selectNamed(r.req, r.o.Old, r.o.Update); err != nil {
			return nil, err
		}
		r.req = r.named.req
	}
	lock := &lockfile.Lock{Name: r.req.Name, Arches: r.req.Arches, Absent: slices.Clone(r.req.Absent), Accept: slices.Clone(r.req.Accept)}
	r.result = Result{Lock: lock, Files: map[string][]byte{}}
	r.lockPackages(ctx, lock)
	r.lockImages(ctx, lock)
	r.lockFiles(ctx, lock)
	r.lockCharts(ctx, lock)
	if err := context.Cause(ctx); err != nil {
		return nil, fmt.Errorf("lock stopped: %w", err)
	}
	r.compare()
	if err := errors.Join(r.errs...); err != nil {
		return nil, err
	}
	r.result.Notes = sortedKeys(r.notes)
	return &r.result, nil
}

func (r *resolver) fail(line int, name string, err error) {
	r.errs = append(r.errs, &WishError{r.o.File, line, name, err})
}

// note keeps something that the operator should know; it may be called by several
// goroutines.
func (r *resolver) note(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notes[fmt.Sprintf(format, args...)] = true
}

// each runs f for 0..n-1, Jobs at once, and tells of each that succeeded; of none where
// name is nil.
func (r *resolver) each(ctx context.Context, n int, name func(int) string, f func(int) error) []error {
	failed := make([]error, n)
	g := workers.New()
	g.SetLimit(r.o.Jobs)
	for i := range n {
		g.Go(func() error {
			start := time.Now()
			if failed[i] = context.Cause(ctx); failed[i] == nil {
				failed[i] = f(i)
			}
			if failed[i] == nil && name != nil && r.o.Done != nil {
				r.o.Done(Pinned{name(i), time.Since(start)})
			}
			return nil
		})
	}
	_ = g.Wait()
	return failed
}
