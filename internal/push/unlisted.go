package push

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/manifest"
)

// rebuildTask is what makes the metadata of a yum repository anew, in the words of Nexus.
const rebuildTask = `"Repair - Rebuild Yum repository metadata (repodata)" (repository.yum.rebuild.metadata)`

// different is the record of a package that is listed with another checksum.
func different(h held, sum rpm.Checksum) report.Record {
	h.rec.State, h.rec.Class = report.Different, report.ClassContent
	h.rec.Reason = fmt.Sprintf("the served yum metadata lists it with %s, the bundle has %s: clients would refuse it", sum.Digest(), h.item.Digest)
	h.rec.Next = fmt.Sprintf("find out who else writes to %s, then push again, with --overwrite if the content there is not yours", h.item.Place.Repository)
	return h.rec
}

// giveUp records what is not listed at the end of the wait, and which end that was.
func (r *run) giveUp(ctx context.Context, h held, w *watch, waited time.Duration) {
	waited = waited.Round(time.Second)
	rec := h.rec
	rec.State, rec.Class = report.Missing, report.ClassIncomplete
	switch {
	case ctx.Err() != nil:
		rec.Reason = fmt.Sprintf("it is there, but whether the metadata lists it was not waited for: %v", context.Cause(ctx))
	case h.item.Kind == manifest.KindChart:
		rec.Reason = fmt.Sprintf("uploaded, but the served index.yaml does not list it after %s", waited)
		rec.Next = "push again or rebuild the repository's metadata"
		if w.err != nil {
			rec.Reason += ": " + w.err.Error()
		}
	default:
		if sum, listed := w.packages()[h.item.Place.Path]; listed && (w.moved() || !r.o.Overwrite) {
			if rec = different(h, sum); !w.moved() {
				rec.Reason += fmt.Sprintf("; it was not rebuilt in %s", waited)
			}
			break
		}
		rec.Reason = "it is there, but clients do not find it: " + w.state(h, waited)
		rec.Next = r.rebuildAdvice(h, w)
	}
	r.add(rec)
}

func (w *watch) packages() map[string]rpm.Checksum {
	if w.listing == nil {
		return nil
	}
	return w.listing.Packages
}

// state says what is the matter with metadata that does not list a package.
func (w *watch) state(h held, waited time.Duration) string {
	repo := h.item.Place.Repository
	trouble := ""
	if w.err != nil && !errors.Is(w.err, errdef.ErrNotFound) {
		trouble = "; the last look at it failed: " + w.err.Error()
	}
	switch {
	case w.listing == nil && trouble == "":
		return fmt.Sprintf("metadata not rebuilt: %s has no repodata for %s after %s", repo, path.Dir(h.item.Place.Path), waited)
	case w.listing == nil:
		return "the yum metadata cannot be read" + trouble
	case !w.moved():
		return fmt.Sprintf("metadata not rebuilt: %s has the same revision (%s) as before the push, and had it for %s after that%s", path.Join(repo, w.listing.Base, rpm.RepomdPath), w.listing.Revision, waited, trouble)
	}
	before := "there was none"
	if w.first != "" {
		before = "was " + w.from
	}
	return fmt.Sprintf("the yum metadata was rebuilt (revision %s, %s) without it, and not again with it in %s%s", w.listing.Revision, before, waited, trouble)
}

// rebuildAdvice says what to do about metadata that does not follow the uploads.
func (r *run) rebuildAdvice(h held, w *watch) string {
	repo := h.item.Place.Repository
	var b strings.Builder
	if r.makesNoMetadata() {
		fmt.Fprintf(&b, "Nexus %s makes no yum metadata: upgrade to 3.76.1 or push with --rpm-layout raw; otherwise ", r.to.Version)
	}
	if w.moved() {
		b.WriteString("push again, which waits for the rest; if it does not come, ")
	}
	fmt.Fprintf(&b, "have an administrator run the task %s for %s (Settings, System, Tasks, Create task)", rebuildTask, repo)
	if !w.moved() {
		fmt.Fprintf(&b, ", and look for \"Invalid RPM\" in nexus.log: one package in %s that the server cannot read, whoever put it there, keeps all others from being listed", repo)
	}
	b.WriteString("; then push again")
	return b.String()
}
