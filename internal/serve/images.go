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
// consist of and nothing else. An image that verify would refuse is an error.
func readImages(ctx context.Context, b *manifest.Bundle, store Store, items []target.Item) (catalog, error) {
	c := catalog{byName: map[string]*repository{}, byOrigin: map[string]*repository{}}
	read := readFrom(store)
	for _, it := range items {
		if it.Kind != manifest.KindImage {
			continue
		}
		tree, err := b.ReadImage(ctx, b.Table.Images[it.Index], read)
		if err != nil {
			return catalog{}, report.WithClass(classOfRead(err), fmt.Errorf("image %s: %w", it.Name, err))
		}
		for _, ref := range it.Refs {
			publish(c.byName, ref, b, tree)
		}
		name, tag := manifest.SplitReference(it.Name)
		publish(c.byOrigin, target.Ref{Repository: name, Tag: tag}, b, tree)
	}
	c.names = slices.Sorted(maps.Keys(c.byName))
	return c, nil
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
