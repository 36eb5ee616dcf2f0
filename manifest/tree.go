package manifest

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A ReadFunc returns the verified bytes of a small blob.
type ReadFunc func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)

// An ImageTree is a carried image with all its manifests read.
type ImageTree struct {
	Top      ImageManifest   // the index, or the only manifest
	Children []ImageManifest // of an index: its platforms, in the index's order

	Original ocispec.Descriptor // of the index that Top was derived from; zero where it was not
}

// An ImageManifest is one manifest or index of an image.
type ImageManifest struct {
	Desc     ocispec.Descriptor // media type, digest and size only
	Platform string             // os/arch of an image manifest
	Raw      []byte
	Node     *ImageNode
}

// Manifests returns the image manifests of the tree: the children, or Top itself.
func (t *ImageTree) Manifests() []ImageManifest {
	if t.Top.Node.Config != nil {
		return []ImageManifest{t.Top}
	}
	return t.Children
}

// ReadImage reads the manifests of a carried image and checks that they are what the
// table says: exactly the platforms listed, every config and layer carried with the
// size its manifest says, a derived index derived from its original, and each config
// for its platform. All problems found are joined.
func (b *Bundle) ReadImage(ctx context.Context, img Image, read ReadFunc) (*ImageTree, error) {
	top, err := b.readManifest(ctx, img.Digest, read)
	if err != nil {
		return nil, err
	}
	tree := &ImageTree{Top: *top}
	if top.Node.Config != nil {
		if len(img.Platforms) != 1 || img.Platforms[0].Digest != img.Digest {
			return nil, fmt.Errorf("%s is a manifest of one platform, the table lists %d", img.Digest, len(img.Platforms))
		}
		tree.Top.Platform = img.Platforms[0].Platform
		return tree, b.checkManifest(ctx, &tree.Top, read)
	}
	var errs []error
	for _, d := range top.Node.Manifests {
		child, err := b.readChild(ctx, img, d, read)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		tree.Children = append(tree.Children, *child)
	}
	for _, p := range img.Platforms {
		if !slices.ContainsFunc(top.Node.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == p.Digest }) {
			errs = append(errs, fmt.Errorf("%s: manifest %s is not in the index %s", p.Platform, p.Digest, img.Digest))
		}
	}
	if tree.Original, err = b.readOriginal(ctx, img, read); err != nil {
		errs = append(errs, err)
	}
	return tree, errors.Join(errs...)
}

func (b *Bundle) readManifest(ctx context.Context, d digest.Digest, read ReadFunc) (*ImageManifest, error) {
	desc, ok := b.Blob(d)
	if !ok {
		return nil, fmt.Errorf("manifest %s is not carried", d)
	}
	if desc.Size > MaxImageJSON {
		return nil, fmt.Errorf("manifest %s has %d bytes, more than the %d allowed", d, desc.Size, MaxImageJSON)
	}
	raw, err := read(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	node, err := ParseImage(desc.MediaType, raw)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d, err)
	}
	return &ImageManifest{Desc: desc, Raw: raw, Node: node}, nil
}

func (b *Bundle) readChild(ctx context.Context, img Image, d ocispec.Descriptor, read ReadFunc) (*ImageManifest, error) {
	i := slices.IndexFunc(img.Platforms, func(p Platform) bool { return p.Digest == d.Digest })
	if i < 0 {
		return nil, fmt.Errorf("the index %s lists %s, the table does not", img.Digest, d.Digest)
	}
	m, err := b.readManifest(ctx, d.Digest, read)
	if err != nil {
		return nil, err
	}
	m.Platform = img.Platforms[i].Platform
	switch {
	case m.Node.Config == nil:
		return nil, fmt.Errorf("manifest %s is an index itself", d.Digest)
	case d.Size != m.Desc.Size || d.MediaType != m.Desc.MediaType:
		return nil, fmt.Errorf("the index %s says %s has %d bytes of %q, the table says %d of %q", img.Digest, d.Digest, d.Size, d.MediaType, m.Desc.Size, m.Desc.MediaType)
	case PlatformOf(d.Platform) != m.Platform:
		return nil, fmt.Errorf("the index %s says that %s is for %q, the table says %s", img.Digest, d.Digest, PlatformOf(d.Platform), m.Platform)
	}
	return m, b.checkManifest(ctx, m, read)
}

// checkManifest checks an image manifest's blobs against the table, and its platform
// against its config.
func (b *Bundle) checkManifest(ctx context.Context, m *ImageManifest, read ReadFunc) error {
	var errs []error
	for _, d := range m.Node.Blobs() {
		have, ok := b.Blob(d.Digest)
		switch {
		case !ok:
			errs = append(errs, fmt.Errorf("manifest %s needs %s, which is not carried", m.Desc.Digest, d.Digest))
		case have.Size != d.Size:
			errs = append(errs, fmt.Errorf("manifest %s says that %s has %d bytes, the table says %d", m.Desc.Digest, d.Digest, d.Size, have.Size))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if m.Node.Config.Size > MaxImageJSON {
		return fmt.Errorf("config %s has %d bytes, more than the %d allowed", m.Node.Config.Digest, m.Node.Config.Size, MaxImageJSON)
	}
	config, err := read(ctx, *m.Node.Config)
	if err != nil {
		return fmt.Errorf("config %s: %w", m.Node.Config.Digest, err)
	}
	got, err := ParsePlatform(config)
	if err != nil {
		return fmt.Errorf("config %s: %w", m.Node.Config.Digest, err)
	}
	if got != "" && got != m.Platform {
		return fmt.Errorf("manifest %s is listed for %s, its config %s is for %q", m.Desc.Digest, m.Platform, m.Node.Config.Digest, got)
	}
	return nil
}

// readOriginal reads the original that is carried as evidence, and derives the index from it
// again.
func (b *Bundle) readOriginal(ctx context.Context, img Image, read ReadFunc) (none ocispec.Descriptor, err error) {
	if img.Original == "" {
		return none, nil
	}
	original, err := b.readManifest(ctx, img.Original, read)
	if err != nil {
		return none, fmt.Errorf("original index: %w", err)
	}
	keep := map[digest.Digest]bool{}
	for _, p := range img.Platforms {
		keep[p.Digest] = true
	}
	derived, err := DeriveIndex(original.Desc.MediaType, original.Raw, keep)
	if err != nil {
		return none, fmt.Errorf("original index %s: %w", img.Original, err)
	}
	if d := digest.FromBytes(derived); d != img.Digest {
		return none, fmt.Errorf("the original index %s gives the derived index %s, the table says %s", img.Original, d, img.Digest)
	}
	return original.Desc, nil
}

// Needs returns the digests of all blobs that an image consists of, the evidence of a
// derived index included.
func (t *ImageTree) Needs(img Image) []digest.Digest {
	all := []digest.Digest{img.Digest}
	if img.Original != "" {
		all = append(all, img.Original)
	}
	for _, m := range t.Manifests() {
		all = append(all, m.Desc.Digest)
		for _, d := range m.Node.Blobs() {
			all = append(all, d.Digest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
