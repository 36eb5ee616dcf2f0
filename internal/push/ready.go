package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
)

// Waits for a new yum repository. A Nexus makes repomd.xml at depth 0 by itself, shortly
// after the repository was made; how long that takes is not published, so nothing is
// concluded from its absence but that packages may be refused.
const (
	defaultReadyWait = 5 * time.Minute
	unknownDepth     = -1
	// blindShare is the part of the wait where the depth is not known: below depth 0
	// nothing appears before the first package, and that is no reason to wait.
	blindShare = 10
)

// A yumDepth is an Assets that can tell how deep a yum repository has its repodata.
type yumDepth interface {
	// RepodataDepth returns the directories between the root and repodata; known is false
	// where the server does not tell, which is no error.
	RepodataDepth(ctx context.Context, repo string) (depth int, known bool, err error)
}

// A yumRepository is one that makes its metadata itself, and that packages go to.
type yumRepository struct {
	name  string
	dirs  []string      // of the packages
	ready chan struct{} // closed when the first package may go; the rest is set before
	depth int           // of repodata; unknownDepth
	err   error         // of asking: no package goes
}

// yumRepositories finds them.
func (r *run) yumRepositories(items []target.Item) {
	r.yum = map[string]*yumRepository{}
	for _, dir := range target.RPMDirs(items) {
		if dir.Raw || r.to.Assets == nil {
			continue
		}
		y := r.yum[dir.Repository]
		if y == nil {
			y = &yumRepository{name: dir.Repository, ready: make(chan struct{}), depth: unknownDepth}
			r.yum[y.name] = y
		}
		y.dirs = append(y.dirs, dir.Path)
	}
	r.opened = make(chan struct{}, len(r.yum))
}

// prepare finds out the depth of a repository and waits until it has metadata: a package
// that comes before may be refused.
func (r *run) prepare(ctx context.Context, y *yumRepository) {
	defer func() {
		close(y.ready)
		r.opened <- struct{}{}
	}()
	if teller, ok := r.to.Assets.(yumDepth); ok {
		depth, known, err := teller.RepodataDepth(ctx, y.name)
		if y.err = err; err != nil {
			return
		}
		if known {
			y.depth = depth
		}
	}
	if r.o.DryRun {
		return
	}
	if y.err = r.awaitFirst(ctx, y); y.err == nil {
		r.remember(ctx, y)
	}
}

// remember notes what metadata there is before the first package, so that it can be told
// whether it was made anew since.
func (r *run) remember(ctx context.Context, y *yumRepository) {
	for _, dir := range y.dirs {
		at := target.Place{Repository: y.name, Path: y.base(dir)}
		w, known := r.watch(at)
		if known {
			continue
		}
		l, err := repodata.Peek(ctx, r.opener(y.name), at.Path)
		w.see(l, err)
	}
}

// awaitFirst waits for the repomd.xml of an empty repository. Any answer but "there is none"
// ends the wait: what is wrong is for the upload to say.
func (r *run) awaitFirst(ctx context.Context, y *yumRepository) error {
	wait := cmp.Or(r.o.ReadyWait, defaultReadyWait)
	if r.o.MetadataWait > 0 {
		wait = min(wait, r.o.MetadataWait)
	}
	switch {
	case y.depth == unknownDepth:
		wait /= blindShare
	case y.depth > 0:
		return nil
	}
	start := time.Now()
	for poll := r.poll(); ; {
		_, err := repodata.Peek(ctx, r.opener(y.name), "")
		left := wait - time.Since(start)
		if !errors.Is(err, errdef.ErrNotFound) || left <= 0 {
			if !isUnauthorized(err) {
				err = nil
			}
			return err
		}
		r.tell(Wait{Repositories: []string{y.name}, For: time.Since(start)})
		if err := httpx.Sleep(ctx, min(poll, left)); err != nil {
			return context.Cause(ctx)
		}
	}
}

// start starts the tasks in order. Those of a repository that is not ready yet are put
// off, and go next when it is.
func (r *run) start(tasks []task, do func(task)) {
	var waiting []task
	release := func() {
		var open []task
		waiting = slices.DeleteFunc(waiting, func(t task) bool {
			if t.ready() {
				open = append(open, t)
			}
			return t.ready()
		})
		for _, t := range open {
			do(t)
		}
	}
	for _, t := range tasks {
		select {
		case <-r.opened:
			release()
		default:
		}
		if !t.ready() {
			waiting = append(waiting, t)
			continue
		}
		do(t)
	}
	for len(waiting) > 0 {
		<-r.opened
		release()
	}
}

// ready says whether nothing keeps the task from starting.
func (t task) ready() bool {
	if t.yum == nil {
		return true
	}
	select {
	case <-t.yum.ready:
		return true
	default:
		return false
	}
}

// fits says why a package cannot go to its repository, before a byte of it is sent.
func (y *yumRepository) fits(it target.Item) error {
	if y.err != nil {
		return y.err
	}
	depth := it.Place.Depth()
	if y.depth == unknownDepth || depth >= y.depth {
		return nil
	}
	return report.WithClass(report.ClassRefused, report.Advise(fmt.Errorf("it is not sent: it lies %d directories deep, and %s, with Repodata Depth %d, refuses what lies above that", depth, y.name, y.depth),
		fmt.Sprintf("name a repository of depth %d with --yum-repo, or push with --rpm-layout raw", depth)))
}

// yumNotes say what an operator should know of yum repositories beside the records.
func (r *run) yumNotes(items []target.Item) (notes []string) {
	if len(r.yum) == 0 {
		return nil
	}
	notes = target.RawAdvice(r.bundle.Table, items)
	if r.makesNoMetadata() {
		notes = append(notes, "Nexus "+r.to.Version+" makes no yum metadata at all (fixed in 3.76.1): upgrade it, or push with --rpm-layout raw")
	}
	for _, dir := range target.RPMDirs(items) {
		if y := r.yum[dir.Repository]; y != nil && y.depth != unknownDepth && y.base(dir.Path) != dir.Path {
			notes = append(notes, fmt.Sprintf("%s/%s: with Repodata Depth %d the repodata lies in %s, which is the baseurl for clients", y.name, dir.Path, y.depth, path.Join(y.name, y.base(dir.Path))))
		}
	}
	if n := len(r.zstd); n > 0 {
		slices.Sort(r.zstd)
		notes = append(notes, fmt.Sprintf("%d packages have zstd payloads (%s): whether Nexus %s reads them is not known; if the metadata is not rebuilt, take them out or push with --rpm-layout raw", n, some(r.zstd), r.to.Version))
	}
	return notes
}

// base returns the directory that has the repodata for packages in dir; dir itself where the
// depth is not known.
func (y *yumRepository) base(dir string) string {
	parts := strings.Split(dir, "/")
	if y.depth == unknownDepth || len(parts) < y.depth {
		return dir // such packages are refused
	}
	return strings.Join(parts[:y.depth], "/")
}

// makesNoMetadata says whether the server is of the version that never makes yum metadata
// (sonatype/nexus-public issues 551 and 552).
func (r *run) makesNoMetadata() bool { return strings.HasPrefix(r.to.Version, "3.76.0") }

// some is the beginning of a list.
func some(list []string) string {
	const few = 5
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}
