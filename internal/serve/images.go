package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"airbundle/internal/digestio"
	"airbundle/internal/target"
	"airbundle/manifest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A repository is what can be pulled under one name.
type repository struct {
	tags      map[string]ocispec.Descriptor
	manifests map[digest.Digest]ocispec.Descriptor
	blobs     map[digest.Digest]ocispec.Descriptor
}

func newRepository() *repository {
	return &repository{map[string]ocispec.Descriptor{}, map[digest.Digest]ocispec.Descriptor{}, map[digest.Digest]ocispec.Descriptor{}}
}

// A catalog is all repositories of a registry.
type catalog struct {
	byName   map[string]*repository
	byOrigin map[string]*repository // by original name with its registry host
	names    []string               // of byName, sorted
}

// find returns a repository by name. ns is the registry host that a containerd mirror
// request stands for: the original name then comes first, whatever the naming policy.
func (c *catalog) find(name, ns string) *repository {
	if r := c.byOrigin[ns+"/"+name]; r != nil {
		return r
	}
	return c.byName[name]
}

// readImages walks the image graph, so that each repository shows what its own images
// consist of and nothing else.
func readImages(ctx context.Context, b *manifest.Bundle, store Store, items []target.Item) (catalog, error) {
	c := catalog{byName: map[string]*repository{}, byOrigin: map[string]*repository{}}
	w := walker{bundle: b, store: store, nodes: map[digest.Digest]*manifest.ImageNode{}}
	for _, it := range items {
		if it.Kind != manifest.KindImage {
			continue
		}
		for _, ref := range it.Refs {
			if err := w.addImage(ctx, c.byName, ref, it.Digest); err != nil {
				return catalog{}, fmt.Errorf("image %s: %w", it.Name, err)
			}
		}
		name, tag := manifest.SplitReference(it.Name)
		if err := w.addImage(ctx, c.byOrigin, target.Ref{Repository: name, Tag: tag}, it.Digest); err != nil {
			return catalog{}, fmt.Errorf("image %s: %w", it.Name, err)
		}
	}
	c.names = slices.Sorted(maps.Keys(c.byName))
	return c, nil
}

// maxDepth bounds indexes within indexes, as everywhere in the format.
const maxDepth = 4

type walker struct {
	bundle *manifest.Bundle
	store  Store
	nodes  map[digest.Digest]*manifest.ImageNode // read already, whatever the image
}

func (w *walker) addImage(ctx context.Context, to map[string]*repository, ref target.Ref, d digest.Digest) error {
	r := to[ref.Repository]
	if r == nil {
		r = newRepository()
		to[ref.Repository] = r
	}
	if err := w.add(ctx, r, d, 1); err != nil {
		return err
	}
	if ref.Tag != "" {
		r.tags[ref.Tag] = r.manifests[d]
	}
	return nil
}

// add puts a manifest or index, and all below it, into a repository.
func (w *walker) add(ctx context.Context, r *repository, d digest.Digest, depth int) error {
	if _, ok := r.manifests[d]; ok {
		return nil
	}
	if depth > maxDepth {
		return fmt.Errorf("manifest %s: nested more than %d deep", d, maxDepth)
	}
	desc, ok := w.bundle.Blob(d)
	if !ok {
		return fmt.Errorf("manifest %s is not in the bundle", d)
	}
	node, err := w.node(ctx, desc)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", d, err)
	}
	r.manifests[d] = desc
	for _, m := range node.Manifests {
		if err := w.add(ctx, r, m.Digest, depth+1); err != nil {
			return err
		}
	}
	for _, l := range node.Blobs() {
		have, ok := w.bundle.Blob(l.Digest)
		if !ok && !isForeign(l) {
			return fmt.Errorf("manifest %s: blob %s is not in the bundle", d, l.Digest)
		}
		if ok {
			r.blobs[l.Digest] = have
		}
	}
	return nil
}

func (w *walker) node(ctx context.Context, desc ocispec.Descriptor) (*manifest.ImageNode, error) {
	if n, ok := w.nodes[desc.Digest]; ok {
		return n, nil
	}
	raw, err := readBlob(ctx, w.store, desc, manifest.MaxImageJSON)
	if err != nil {
		return nil, err
	}
	n, err := manifest.ParseImage(desc.MediaType, raw)
	if err != nil {
		return nil, err
	}
	w.nodes[desc.Digest] = n
	return n, nil
}

// isForeign says whether a layer is one that its owner does not let others
// distribute (OCI image-spec 1.1, layer.md, "Non-Distributable Layers").
func isForeign(d ocispec.Descriptor) bool {
	return strings.Contains(d.MediaType, ".foreign.") || strings.Contains(d.MediaType, ".nondistributable.")
}

// readBlob returns a small blob, verified.
func readBlob(ctx context.Context, store Store, desc ocispec.Descriptor, limit int64) ([]byte, error) {
	rc, err := store.Fetch(ctx, desc)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer rc.Close()
	return digestio.ReadAll(rc, desc, limit)
}
