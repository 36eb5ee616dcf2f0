package serve

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
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
	lines    []imageLine            // one for each name of an image
}

func newCatalog() *catalog {
	return &catalog{byName: map[string]*repository{}, byOrigin: map[string]*repository{}}
}

// find returns a repository by name. ns is the registry host that a containerd mirror
// request stands for: the original name then comes first, whatever the naming policy.
func (c *catalog) find(name, ns string) *repository {
	if r := c.byOrigin[ns+"/"+name]; r != nil {
		return r
	}
	return c.byName[name]
}

// readImages reads all images, so that each repository shows what its own images
// consist of and nothing else. An image that verify would refuse is an error. The registry
// at / has all of them, under the names that they have before rules and whole.
func (s *Server) readImages(ctx context.Context, items []target.Item) error {
	s.images, s.registries = newCatalog(), map[string]*catalog{}
	trees := make([]*manifest.ImageTree, len(s.bundle.Table.Images))
	read := readFrom(s.store)
	for i, img := range s.bundle.Table.Images {
		tree, err := s.bundle.ReadImage(ctx, img, read)
		if err != nil {
			return report.WithClass(classOfRead(err), fmt.Errorf("image %s: %w", img.Name, err))
		}
		trees[i] = tree
		s.images.add(s.bundle, img, s.opts.Target.Refs(img), tree)
	}
	for _, it := range items {
		if it.Kind != manifest.KindImage {
			continue
		}
		c := s.registries[it.Place.Repository]
		if c == nil {
			c = newCatalog()
			s.registries[it.Place.Repository] = c
		}
		img := s.bundle.Table.Images[it.Index]
		img.Digest, img.Platforms = it.Digest, it.Platforms
		c.add(s.bundle, img, it.Refs, alone(trees[it.Index], it.Digest))
	}
	for _, c := range s.registries {
		c.names = slices.Sorted(maps.Keys(c.byName))
	}
	s.images.names = slices.Sorted(maps.Keys(s.images.byName))
	return nil
}

// alone is the tree of what a digest names: the whole, or one platform of it.
func alone(tree *manifest.ImageTree, d digest.Digest) *manifest.ImageTree {
	i := slices.IndexFunc(tree.Children, func(m manifest.ImageManifest) bool { return m.Desc.Digest == d })
	if i < 0 {
		return tree
	}
	return &manifest.ImageTree{Top: tree.Children[i]}
}

// add publishes an image under names at the target, and under its own.
func (c *catalog) add(b *manifest.Bundle, img manifest.Image, refs []target.Ref, tree *manifest.ImageTree) {
	for _, ref := range refs {
		publish(c.byName, ref, b, tree)
		c.lines = append(c.lines, imageLine{reference(ref, img.Digest), img})
	}
	name, tag := manifest.SplitReference(img.Name)
	publish(c.byOrigin, target.Ref{Repository: name, Tag: tag}, b, tree)
}

// classOfRead is the class of an image that cannot be read: what the system says of it,
// else that it is not what it should be.
func classOfRead(err error) report.Class {
	if c := report.Classify(err); c != report.ClassInternal {
		return c
	}
	return report.ClassContent
}

// publish puts an image into the repository of its reference.
func publish(to map[string]*repository, ref target.Ref, b *manifest.Bundle, tree *manifest.ImageTree) {
	r := to[ref.Repository]
	if r == nil {
		r = newRepository()
		to[ref.Repository] = r
	}
	r.manifests[tree.Top.Desc.Digest] = tree.Top.Desc
	for _, m := range tree.Manifests() {
		r.manifests[m.Desc.Digest] = m.Desc
		for _, d := range m.Node.Blobs() {
			r.blobs[d.Digest], _ = b.Blob(d.Digest) // ReadImage has found it
		}
	}
	if ref.Tag != "" {
		r.tags[ref.Tag] = tree.Top.Desc
	}
}

// readFrom returns a reader of small blobs of the store.
func readFrom(store Store) manifest.ReadFunc {
	return func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
		rc, err := store.Fetch(ctx, desc)
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		defer rc.Close()
		return digestio.ReadAll(rc, desc, manifest.MaxImageJSON)
	}
}
