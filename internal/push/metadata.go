package push

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/helm"
	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// Looks at served metadata. A server rebuilds it about a minute after the last upload, and
// one on OrientDB then reads every package again; proxies remember that nothing was there.
const (
	defaultMetadataWait = 15 * time.Minute // and a second for each package
	defaultPoll         = 5 * time.Second
	maxPoll             = 30 * time.Second
)

// A Wait says how far the metadata that clients read is.
type Wait struct {
	Repositories []string // that are waited for, sorted
	Listed, Of   int      // RPMs and charts; Of is 0 while a yum repository has no metadata at all yet
	For          time.Duration
}

// A held record is an RPM or a chart that was put, and counts as done when the metadata
// that clients read lists it.
type held struct {
	item target.Item
	rec  report.Record
}

// A watch is the metadata of one directory as it was found while it is waited for.
type watch struct {
	listing *repodata.Listing        // nil: none was read yet, or it is of charts
	charts  map[string]digest.Digest // what index.yaml lists, by path
	seen    bool                     // that there is metadata, or none; before the first package, if that could be asked
	first   digest.Digest            // of the repomd.xml that was seen then, "" without one
	from    string                   // its revision
	err     error                    // of the latest look
}

// moved says whether the metadata was made anew while it was waited for.
func (w *watch) moved() bool { return w.listing != nil && w.listing.Repomd != w.first }

func (r *run) hold(it target.Item, rec report.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, held{it, rec})
}

func (r *run) poll() time.Duration { return cmp.Or(r.o.MetadataPoll, defaultPoll) }

// tell may be called from several goroutines.
func (r *run) tell(w Wait) {
	if r.o.Waiting != nil {
		r.o.Waiting(w)
	}
}

// awaitMetadata waits until the served metadata lists everything held with the right
// checksum. Servers rebuild metadata some time after an upload and say that they are
// done before they are; only what clients would read counts.
func (r *run) awaitMetadata(ctx context.Context) {
	wait, poll, all := cmp.Or(r.o.MetadataWait, defaultMetadataWait+time.Duration(len(r.held))*time.Second), r.poll(), len(r.held)
	start := time.Now()
	for {
		r.look(ctx)
		left := wait - time.Since(start)
		if len(r.held) == 0 || left <= 0 || refused(r.watches) {
			break
		}
		r.tell(Wait{r.heldIn(), all - len(r.held), all, time.Since(start)})
		if httpx.Sleep(ctx, min(poll, left)) != nil {
			break
		}
		poll = min(poll*2, max(maxPoll, poll))
	}
	for _, h := range r.held {
		r.giveUp(ctx, h, r.watches[r.metadataPlace(h.item)], time.Since(start))
	}
	r.held = nil
}

func refused(watches map[target.Place]*watch) bool {
	for _, w := range watches {
		if isUnauthorized(w.err) {
			return true
		}
	}
	return false
}

// heldIn are the repositories that have something to be listed yet.
func (r *run) heldIn() (repos []string) {
	for _, h := range r.held {
		repos = append(repos, h.item.Place.Repository)
	}
	slices.Sort(repos)
	return slices.Compact(repos)
}

// metadataPlace is the directory by whose metadata clients find an artifact.
func (r *run) metadataPlace(it target.Item) target.Place {
	dir := it.Place.Dir()
	if y := r.yumOf(it); y != nil {
		dir.Path = y.base(dir.Path)
	}
	return dir
}

// look reads the metadata once for each directory and releases what it decides.
func (r *run) look(ctx context.Context) {
	looked := map[target.Place]bool{}
	r.held = slices.DeleteFunc(r.held, func(h held) bool {
		dir := r.metadataPlace(h.item)
		w, _ := r.watch(dir)
		if !looked[dir] {
			looked[dir] = true
			w.err = r.readMetadata(ctx, dir, h.item.Kind, w)
		}
		if h.item.Kind == manifest.KindChart {
			return r.settleChart(h, w)
		}
		return r.settleRPM(ctx, h, w)
	})
}

// watch returns the watch of a directory, and whether there was one before.
func (r *run) watch(dir target.Place) (w *watch, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if w, known = r.watches[dir]; !known {
		w = &watch{}
		r.watches[dir] = w
	}
	return w, known
}

// opener opens files of a repository.
func (r *run) opener(repo string) repodata.OpenFunc {
	return func(ctx context.Context, path string) (io.ReadCloser, error) {
		rc, _, err := r.to.Assets.Open(ctx, repo, path)
		return rc, err
	}
}

// see notes what was seen, if it is the first.
func (w *watch) see(l *repodata.Listing, err error) {
	switch {
	case w.seen:
	case err == nil:
		w.seen, w.first, w.from = true, l.Repomd, l.Revision
	case errors.Is(err, errdef.ErrNotFound):
		w.seen = true
	}
}

// readMetadata fills a watch with what is served now.
func (r *run) readMetadata(ctx context.Context, dir target.Place, kind manifest.Kind, w *watch) (err error) {
	if kind == manifest.KindChart {
		w.charts, err = r.servedCharts(ctx, r.opener(dir.Repository))
		return err
	}
	l, err := repodata.List(ctx, r.opener(dir.Repository), dir.Path, w.listing)
	if w.see(l, err); err == nil {
		w.listing = l
	}
	return err
}

func (r *run) servedCharts(ctx context.Context, open repodata.OpenFunc) (map[string]digest.Digest, error) {
	index, err := helm.Served(ctx, open)
	if err != nil {
		return nil, err
	}
	listed := map[string]digest.Digest{}
	for _, c := range r.bundle.Table.Charts {
		d, ok, err := index.Lists(c.Name, c.Version)
		if err != nil {
			return nil, err
		}
		if ok {
			listed[c.File()] = d
		}
	}
	return listed, nil
}

func (r *run) settleChart(h held, w *watch) bool {
	if w.charts[h.item.Place.Path] != h.item.Digest {
		return false
	}
	h.rec.Proof = "listed in the served metadata with this sha256"
	r.add(h.rec)
	return true
}

// settleRPM decides about a package by what is listed, if it can be decided now.
func (r *run) settleRPM(ctx context.Context, h held, w *watch) bool {
	if w.listing == nil {
		return false
	}
	sum, ok := w.listing.Packages[h.item.Place.Path]
	if !ok {
		return false
	}
	equal, err := r.hasSum(ctx, h.item, sum)
	switch {
	case err != nil:
		r.failed(h.rec, err)
	case equal && sum.Digest() == h.item.Digest:
		h.rec.Proof = "listed in the served metadata with this sha256"
		r.add(h.rec)
	case equal:
		h.rec.Proof = "listed in the served metadata with the " + sum.Type + " of this content, which is all that it has"
		r.add(h.rec)
	case w.moved() && !r.o.Overwrite:
		// Nothing was replaced by this run, so no older content can be listed for it.
		r.add(different(h, sum))
	default:
		return false
	}
	return true
}

// hasSum says whether content of the bundle has a checksum. One of another type than the
// bundle's is made of the content as it lies in the archive.
func (r *run) hasSum(ctx context.Context, it target.Item, sum rpm.Checksum) (bool, error) {
	if digest.Algorithm(sum.Type) == it.Digest.Algorithm() {
		return sum.Digest() == it.Digest, nil
	}
	key := sumKey{it.Digest, sum.Type}
	own, ok := r.sums[key]
	if !ok {
		desc, _ := r.bundle.Blob(it.Digest)
		rc, err := r.store.Fetch(ctx, desc)
		if err != nil {
			return false, err
		}
		defer rc.Close()
		h := sum.New()
		if _, err := io.Copy(h, rc); err != nil {
			return false, err
		}
		own = hex.EncodeToString(h.Sum(nil))
		r.sums[key] = own
	}
	return own == sum.Value, nil
}

// A sumKey is a checksum of one type of one content.
type sumKey struct {
	content digest.Digest
	kind    string
}
