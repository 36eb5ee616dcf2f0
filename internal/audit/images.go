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

// A blobKey is a blob in a repository of a registry.
type blobKey struct {
	registry, repo string
	digest         digest.Digest
}

// key returns the key of a blob that the view needs.
func (v *view) key(d digest.Digest) blobKey {
	return blobKey{v.item.Place.Repository, v.ref.Repository, d}
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
	blobs := map[blobKey]ocispec.Descriptor{}
	var keys []blobKey
	for _, v := range views {
		for _, p := range v.platforms {
			for _, d := range p.blobs {
				k := v.key(d.Digest)
				if _, ok := blobs[k]; !ok {
					keys = append(keys, k)
				}
				blobs[k] = d
			}
		}
	}
	failed := make([]error, len(keys))
	r.each(len(keys), func(i int) { failed[i] = r.blob(ctx, keys[i], blobs[keys[i]]) })
	if !r.o.Deep {
		r.claimed = len(keys)
	}
	verdict := make(map[blobKey]error, len(keys))
	for i, k := range keys {
		verdict[k] = failed[i]
	}
	for _, v := range views {
		r.conclude(v, verdict)
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
func (r *run) blob(ctx context.Context, k blobKey, desc ocispec.Descriptor) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	images := r.to.Images(k.registry)
	size, err := images.StatBlob(ctx, k.repo, k.digest)
	if err != nil {
		return err
	}
	if size >= 0 && size != desc.Size {
		return &differentError{fmt.Sprintf("%d bytes", size), fmt.Sprintf("%d bytes", desc.Size)}
	}
	if !r.o.Deep {
		return nil
	}
	return r.hash(k.repo, desc, func() (io.ReadCloser, error) { return images.OpenBlob(ctx, k.repo, desc) })
}

// conclude records the name and its platforms.
func (r *run) conclude(v *view, verdict map[blobKey]error) {
	if !v.nameless {
		r.rep.Add(v.top)
	}
	for _, p := range v.platforms {
		if p.rec.State == report.Present {
			var errs []error
			for _, d := range p.blobs {
				if err := verdict[v.key(d.Digest)]; err != nil {
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
