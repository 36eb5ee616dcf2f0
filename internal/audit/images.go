package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/receipt"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A view is what the target shows of one image under one name.
type view struct {
	item      target.Item
	images    Images // where the image is to be
	ref       target.Ref
	top       report.Record
	nameless  bool // only the platforms can be asked for
	platforms []platformView
}

type platformView struct {
	rec   report.Record
	blobs []ocispec.Descriptor
}

// A blobKey is a blob in a repository of a registry. A repository of a Nexus keeps a blob
// once, whatever images need it: the image is empty then.
type blobKey struct {
	registry, image string
	digest          digest.Digest
}

// key returns the key of a blob that the view needs.
func (r *run) key(v *view, d digest.Digest) blobKey {
	if r.to.Assets != nil {
		return blobKey{v.item.Place.Repository, "", d}
	}
	return blobKey{v.item.Place.Repository, v.ref.Repository, d}
}

// A blobAt is a blob with an image by whose name it is asked for.
type blobAt struct {
	ocispec.Descriptor
	image string
}

// images audits every name of every image: the tag, each platform's manifest, and each
// blob once for each repository that needs it.
func (r *run) images(ctx context.Context, items []target.Item) {
	var views []*view
	for _, it := range items {
		for _, ref := range it.Refs {
			views = append(views, &view{item: it, images: r.to.Images(it.Place.Repository), ref: ref})
		}
	}
	r.each(len(views), func(i int) { r.look(ctx, views[i]) })
	blobs := map[blobKey]blobAt{}
	var keys []blobKey
	for _, v := range views {
		for _, p := range v.platforms {
			for _, d := range p.blobs {
				k := r.key(v, d.Digest)
				if _, ok := blobs[k]; !ok {
					keys = append(keys, k)
					blobs[k] = blobAt{d, v.ref.Repository}
				}
			}
		}
	}
	failed := make([]error, len(keys))
	r.each(len(keys), func(i int) { failed[i] = r.blob(ctx, keys[i], blobs[keys[i]]) })
	if !r.o.Deep {
		r.claimed = len(keys)
	}
	verdicts := make(map[blobKey]error, len(keys))
	for i, k := range keys {
		verdicts[k] = failed[i]
	}
	for _, v := range views {
		r.conclude(v, verdicts)
	}
}

// look fetches the manifests that a name leads to.
func (r *run) look(ctx context.Context, v *view) {
	v.top = report.Record{Kind: string(manifest.KindImage), Name: v.item.Name, Digest: v.item.Digest, Place: v.item.At(v.ref)}
	want := v.ref.Tag
	if want == "" && v.item.Partial {
		// The digest names an index of more platforms, which was not pushed; nothing names
		// a smaller one.
		v.nameless = true
		for _, p := range v.item.Platforms {
			v.platforms = append(v.platforms, r.platform(ctx, v, p))
		}
		return
	}
	if want == "" {
		want = v.item.Digest.String()
	}
	raw, have, err := r.manifest(ctx, v, want)
	if err == nil {
		r.enter(v, have)
		err = v.compare(raw, have)
	}
	r.judge(&v.top, err)
	if v.top.State == report.Present {
		v.top.Proof = "manifest read and hashed"
	}
	for _, p := range v.item.Platforms {
		v.platforms = append(v.platforms, r.platform(ctx, v, p))
	}
}

// enter notes what a name stands for; a tag that is there and was not listed says that the
// list is not whole.
func (r *run) enter(v *view, have ocispec.Descriptor) {
	repo, name := v.item.Place.Repository, v.ref.String()
	if v.ref.Tag == "" {
		name += "@" + string(have.Digest)
	} else if c := r.contents[repo]; c.complete {
		if _, listed := c.held[name]; !listed {
			c.gap.Store(name)
		}
	}
	r.ledger.entry(repo, receipt.Entry{Name: name, Digest: have.Digest, Size: have.Size, Proof: receipt.Read})
	r.ledger.blob(repo, have, receipt.Read)
}

// manifest asks for a manifest, unless everything was stopped.
func (r *run) manifest(ctx context.Context, v *view, ref string) ([]byte, ocispec.Descriptor, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, ocispec.Descriptor{}, err
	}
	return v.images.Manifest(ctx, v.ref.Repository, ref, manifest.MaxImageJSON)
}

// compare says whether the name stands for the bundle's image. Of an image of which
// only some platforms were selected, the derived index must list exactly those.
func (v *view) compare(raw []byte, have ocispec.Descriptor) error {
	if !v.item.Partial {
		if have.Digest != v.item.Digest {
			return &differentError{string(have.Digest), string(v.item.Digest)}
		}
		return nil
	}
	v.top.Digest = have.Digest
	node, err := manifest.ParseImage(have.MediaType, raw)
	if err != nil {
		return report.WithClass(report.ClassContent, err)
	}
	var got, want []string
	for _, d := range node.Manifests {
		got = append(got, string(d.Digest))
	}
	for _, p := range v.item.Platforms {
		want = append(want, string(p.Digest))
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return &differentError{"an index of " + strings.Join(got, ", "), "an index of " + strings.Join(want, ", ")}
	}
	return nil
}

// platform fetches one platform's manifest by digest.
func (r *run) platform(ctx context.Context, v *view, p manifest.Platform) platformView {
	pv := platformView{rec: report.Record{
		Kind: string(manifest.KindImage), Name: v.item.Name, Arch: p.Platform, Digest: p.Digest,
		Place: v.item.At(target.Ref{Repository: v.ref.Repository}) + "@" + string(p.Digest),
	}}
	raw, have, err := r.manifest(ctx, v, string(p.Digest))
	if err == nil && have.Digest != p.Digest {
		err = &differentError{string(have.Digest), string(p.Digest)}
	}
	var node *manifest.ImageNode
	if err == nil {
		r.ledger.blob(v.item.Place.Repository, have, receipt.Read)
		desc, _ := r.bundle.Blob(p.Digest)
		node, err = manifest.ParseImage(desc.MediaType, raw)
	}
	r.judge(&pv.rec, err)
	if node != nil {
		pv.blobs = node.Blobs()
	}
	return pv
}

// blob asks for one blob, and reads it in a deep audit.
func (r *run) blob(ctx context.Context, k blobKey, at blobAt) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	images := r.to.Images(k.registry)
	size, err := images.StatBlob(ctx, at.image, k.digest)
	if err != nil {
		return err
	}
	if size >= 0 && size != at.Size {
		return &differentError{fmt.Sprintf("%d bytes", size), fmt.Sprintf("%d bytes", at.Size)}
	}
	proof := receipt.Digest
	if r.o.Deep {
		proof = receipt.Read
		err = r.hash(at.image, at.Descriptor, func() (io.ReadCloser, error) { return images.OpenBlob(ctx, at.image, at.Descriptor) })
	}
	if err == nil {
		r.ledger.blob(k.registry, at.Descriptor, proof)
	}
	return err
}

// conclude records the name and its platforms.
func (r *run) conclude(v *view, verdicts map[blobKey]error) {
	if !v.nameless {
		r.rep.Add(v.top)
	}
	for _, p := range v.platforms {
		if p.rec.State == report.Present {
			var errs []error
			for _, d := range p.blobs {
				if err := verdicts[r.key(v, d.Digest)]; err != nil {
					errs = append(errs, fmt.Errorf("blob %s: %w", d.Digest, err))
				}
			}
			r.judgeBlobs(&p.rec, len(p.blobs), errs)
		}
		r.rep.Add(p.rec)
	}
}

// judgeBlobs says how many blobs of a platform are not as they should be.
func (r *run) judgeBlobs(rec *report.Record, total int, errs []error) {
	if len(errs) == 0 {
		rec.Proof = fmt.Sprintf("manifest hashed, %d blobs known by digest and size", total)
		if r.o.Deep {
			rec.Proof = fmt.Sprintf("manifest and %d blobs read and hashed", total)
		}
		return
	}
	var others []error
	for _, err := range errs {
		if !errors.Is(err, errdef.ErrNotFound) {
			others = append(others, err)
		}
	}
	if len(others) > 0 {
		r.judge(rec, errors.Join(others...)) // worse than what is merely absent
	} else {
		rec.State, rec.Class = report.Missing, report.ClassIncomplete
	}
	rec.Reason = fmt.Sprintf("%d of %d blobs are not as they should be: %v", len(errs), total, errors.Join(errs...))
}
