package push

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// A blobState is what is known of one blob in a registry. Its lock lets one upload of
// a digest run at a time, whatever the repository: servers that keep blobs once for
// all names refuse a second one.
type blobState struct {
	mu   sync.Mutex
	have []string // repositories that hold it
}

// A blobKey is a blob in a repository of a registry.
type blobKey struct {
	registry, repo string
	digest         digest.Digest
}

// imageTasks reads the images, asks the target for the tags, and returns a task for each
// blob in each repository. The last task of a publication puts its manifests.
func (r *run) imageTasks(ctx context.Context, items []target.Item) []task {
	pubs := r.readImages(ctx, items)
	waiting := map[blobKey][]*publication{}
	states := map[blobKey]*blobState{} // of any repository of a registry
	var keys []blobKey
	for _, p := range pubs {
		for _, d := range p.blobs() {
			k := blobKey{p.item.Place.Repository, p.repo, d}
			if waiting[k] == nil {
				keys = append(keys, k)
			}
			waiting[k] = append(waiting[k], p)
			p.pending.Add(1)
		}
	}
	var tasks []task
	for _, k := range keys {
		shared := blobKey{registry: k.registry, digest: k.digest}
		late := states[shared] != nil
		if !late {
			states[shared] = new(blobState)
		}
		desc, _ := r.bundle.Blob(k.digest)
		r.total.Add(desc.Size)
		state := states[shared]
		tasks = append(tasks, task{late, desc.Size, string(k.digest) + k.registry + "/" + k.repo, func(ctx context.Context) {
			r.blob(ctx, desc, state, waiting[k])
		}, nil})
	}
	return tasks
}

// readImages reads the images and asks for their tags, several at once.
func (r *run) readImages(ctx context.Context, items []target.Item) []*publication {
	found := make([][]*publication, len(items))
	g := workers.New()
	g.SetLimit(r.o.Jobs)
	for i, it := range items {
		if it.Kind == manifest.KindImage {
			g.Go(func() error {
				found[i] = slices.DeleteFunc(r.publications(ctx, it), func(p *publication) bool {
					p.tags = slices.DeleteFunc(p.tags, func(tag string) bool { return !r.settleTag(ctx, p, tag) })
					return len(p.tags) == 0
				})
				return nil
			})
		}
	}
	_ = g.Wait()
	return slices.Concat(found...)
}

// publications reads one image and returns what is to be published of it, one for each
// repository name.
func (r *run) publications(ctx context.Context, it target.Item) []*publication {
	start := time.Now()
	img := r.bundle.Table.Images[it.Index]
	tree, err := r.bundle.ReadImage(ctx, img, r.store.Read)
	if err == nil && it.Partial {
		err = narrow(tree, it.Platforms)
	}
	if err == nil && !it.Partial {
		alone(tree, it.Digest)
	}
	if err == nil {
		err = r.judgeOCI(it, tree)
	}
	if err != nil {
		r.failed(record(it, it.At(it.Refs[0])), report.WithClass(classOfRead(err), err))
		return nil
	}
	var pubs []*publication
	for _, ref := range it.Refs {
		i := slices.IndexFunc(pubs, func(p *publication) bool { return p.repo == ref.Repository })
		if i < 0 {
			i = len(pubs)
			pubs = append(pubs, &publication{item: it, images: r.to.Images(it.Place.Repository), repo: ref.Repository, top: tree.Top, below: tree.Children, right: map[string]bool{}, start: start})
		}
		pubs[i].tags = append(pubs[i].tags, ref.Tag)
	}
	return pubs
}

// classOfRead is the class of an image that cannot be read from the archive.
func classOfRead(err error) report.Class {
	if c := report.Classify(err); c != report.ClassInternal {
		return c
	}
	return report.ClassContent
}

// narrow derives the index of the selected platforms.
func narrow(tree *manifest.ImageTree, platforms []manifest.Platform) error {
	keep := map[digest.Digest]bool{}
	for _, p := range platforms {
		keep[p.Digest] = true
	}
	raw, err := manifest.DeriveIndex(tree.Top.Desc.MediaType, tree.Top.Raw, keep)
	if err != nil {
		return err
	}
	tree.Top.Raw = raw
	tree.Top.Desc.Digest, tree.Top.Desc.Size = digest.FromBytes(raw), int64(len(raw))
	tree.Children = slices.DeleteFunc(tree.Children, func(m manifest.ImageManifest) bool { return !keep[m.Desc.Digest] })
	return nil
}

// alone leaves of an image that is split by arch the platform that the item stands for.
func alone(tree *manifest.ImageTree, d digest.Digest) {
	i := slices.IndexFunc(tree.Children, func(m manifest.ImageManifest) bool { return m.Desc.Digest == d })
	if i >= 0 {
		tree.Top, tree.Children = tree.Children[i], nil
	}
}

// A ConflictError says that a name at the target stands for something else.
type ConflictError struct {
	Name       string
	Want, Have digest.Digest
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s is %s at the target, the bundle has %s; %s", e.Name, e.Have, e.Want, e.Advice())
}

// Advice implements report.Adviser.
func (e *ConflictError) Advice() string { return "to replace it, use --overwrite" }

// ExitCode implements report.Classified.
func (e *ConflictError) ExitCode() int { return int(report.ClassRefused) }

// settleTag asks what a tag names now; false, with a record, when it must not be put. The
// other tags of the publication do not suffer from that.
func (r *run) settleTag(ctx context.Context, p *publication, tag string) bool {
	if tag == "" {
		return true
	}
	have, err := p.images.Resolve(ctx, p.repo, tag)
	name := p.item.At(target.Ref{Repository: p.repo, Tag: tag})
	switch {
	case errors.Is(err, errdef.ErrNotFound):
	case err != nil:
		r.failed(p.record(tag), fmt.Errorf("ask for %s: %w", name, err))
		return false
	case have.Digest == p.top.Desc.Digest:
		p.right[tag] = true
	case !r.o.Overwrite:
		r.failed(p.record(tag), &ConflictError{name, p.top.Desc.Digest, have.Digest})
		return false
	}
	return true
}

// blob settles one blob in the repository of the publications that wait for it, then
// finishes those that wait for nothing else.
func (r *run) blob(ctx context.Context, desc ocispec.Descriptor, state *blobState, waiting []*publication) {
	sent, err := r.pushBlob(ctx, waiting[0], desc, state)
	waiting[0].sent.Add(sent)
	r.sent.Add(sent)
	for _, p := range waiting {
		if err != nil {
			p.fail(fmt.Errorf("blob %s to %s: %w", desc.Digest, p.repo, err))
		}
		if p.pending.Add(-1) == 0 {
			r.finish(ctx, p)
		}
	}
}

func (r *run) pushBlob(ctx context.Context, p *publication, desc ocispec.Descriptor, state *blobState) (sent int64, err error) {
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	state.mu.Lock()
	defer state.mu.Unlock()
	if r.o.DryRun {
		return r.planBlob(ctx, p, desc, state)
	}
	t := r.o.Progress.Begin(p.repo, desc.Size)
	defer func() { t.End(err) }()
	content := r.reading(desc, t)
	sent, _, err = p.images.PushBlob(ctx, p.repo, desc, state.have, content.open)
	if err != nil {
		return sent, err
	}
	content.settle()
	if sent == 0 {
		r.skip(desc)
	}
	state.have = append(state.have, p.repo)
	return sent, nil
}

// planBlob says what pushBlob would send; one upload serves all repositories.
func (r *run) planBlob(ctx context.Context, p *publication, desc ocispec.Descriptor, state *blobState) (int64, error) {
	size, err := p.images.StatBlob(ctx, p.repo, desc.Digest)
	absent := errors.Is(err, errdef.ErrNotFound)
	if err != nil && !absent {
		return 0, err
	}
	if !absent && size >= 0 && size != desc.Size {
		err := fmt.Errorf("the target has a damaged copy: %w", &digestio.MismatchError{Want: desc, GotBytes: size})
		return 0, report.Advise(err, "push: it sends the blob again, and tells where the copy has to be deleted there first")
	}
	first := len(state.have) == 0
	state.have = append(state.have, p.repo)
	if absent && first {
		return desc.Size, nil
	}
	r.skip(desc)
	return 0, nil
}

// finish puts manifests, index and tags of a publication whose blobs are all settled.
func (r *run) finish(ctx context.Context, p *publication) {
	if err := errors.Join(causes(p.failed)...); err != nil {
		for _, tag := range p.tags {
			r.failed(p.record(tag), err)
		}
		return
	}
	changed := false
	for _, m := range p.untagged() {
		put, err := r.putManifest(ctx, p, m)
		if err != nil {
			for _, tag := range p.tags {
				r.failed(p.record(tag), fmt.Errorf("manifest %s: %w", m.Desc.Digest, err))
			}
			return
		}
		changed = changed || put
	}
	for _, tag := range p.tags {
		rec := p.record(tag)
		switch {
		case tag != "" && !p.right[tag]:
			if !r.o.DryRun {
				if err := r.pushManifest(ctx, p, tag, p.top); err != nil {
					r.failed(rec, fmt.Errorf("tag %s: %w", tag, err))
					continue
				}
			}
			rec.State = report.Sent
		case changed || rec.Bytes > 0:
			rec.State = report.Sent
		default:
			rec.State = report.Present
		}
		if r.o.DryRun && rec.State == report.Sent {
			rec.State = report.Planned
		}
		r.add(rec)
	}
}

// putManifest puts a manifest under its digest unless it is there.
func (r *run) putManifest(ctx context.Context, p *publication, m manifest.ImageManifest) (changed bool, err error) {
	have, err := p.images.Resolve(ctx, p.repo, m.Desc.Digest.String())
	if err == nil && have.Digest == m.Desc.Digest {
		return false, nil
	}
	// Nexus 3.96.0 and .1 may answer 500 for any manifest; putting one again does no harm.
	if unknown := httpx.StatusCode(err) == http.StatusInternalServerError; err != nil && !unknown && !errors.Is(err, errdef.ErrNotFound) {
		return false, err
	}
	if r.o.DryRun {
		return true, nil
	}
	return true, r.pushManifest(ctx, p, m.Desc.Digest.String(), m)
}

// pushManifest puts a manifest. A registry that said it has a blob, and then does not
// know it when the manifest refers to it, is sent the blob once more.
func (r *run) pushManifest(ctx context.Context, p *publication, ref string, m manifest.ImageManifest) error {
	err := p.images.PushManifest(ctx, p.repo, ref, m.Desc.MediaType, m.Raw)
	unknown, ok := errors.AsType[UnknownBlobs](err)
	if !ok {
		return err
	}
	for _, d := range missing(unknown, m) {
		i := slices.IndexFunc(m.Node.Blobs(), func(b ocispec.Descriptor) bool { return b.Digest == d })
		if i < 0 {
			return err // a child manifest: its own put has failed or was lost
		}
		desc := m.Node.Blobs()[i]
		sent, err := p.images.UploadBlob(ctx, p.repo, desc, func(ctx context.Context) (io.ReadCloser, error) { return r.store.Fetch(ctx, desc) })
		r.sent.Add(sent)
		if err != nil {
			return fmt.Errorf("blob %s, which the registry claimed to have: %w", d, err)
		}
	}
	if err = p.images.PushManifest(ctx, p.repo, ref, m.Desc.MediaType, m.Raw); errors.As(err, &unknown) {
		return fmt.Errorf("the registry's blob store is inconsistent: %w", err)
	}
	return err
}

// record is the start of an item's record.
func record(it target.Item, place string) report.Record {
	return report.Record{Kind: string(it.Kind), Name: it.Name, Arch: it.Arch, Digest: it.Digest, Place: place}
}
