package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"testing"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/helm"
	"airbundle/internal/nexustest"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// missing returns what of an item a server does not hold, or holds with other bytes,
// looking at its store and not at its answers; nil when all of it is there, and found by
// those who would use it.
func (w *world) missing(t *testing.T, s *nexustest.Server, it target.Item) error {
	t.Helper()
	if it.Kind == manifest.KindImage {
		return w.missingImage(t, s, it)
	}
	repo, at := it.Place.Repository, it.Place.Path
	if err := holds(s, repo, at, it.Digest); err != nil {
		return err
	}
	open := func(_ context.Context, path string) (io.ReadCloser, error) { return stored(s, repo, path) }
	switch it.Kind {
	case manifest.KindRPM:
		listed, err := repodata.Served(t.Context(), open, path.Dir(at))
		if err != nil {
			return fmt.Errorf("its metadata: %w", err)
		}
		if listed[at] != it.Digest {
			return fmt.Errorf("the metadata has %q for it", listed[at])
		}
	case manifest.KindChart:
		index, err := helm.Served(t.Context(), open)
		if err != nil {
			return fmt.Errorf("index.yaml: %w", err)
		}
		c := w.archive.Bundle().Table.Charts[it.Index]
		d, _, err := index.Lists(c.Name, c.Version)
		if err != nil {
			return fmt.Errorf("index.yaml: %w", err)
		}
		if d != it.Digest {
			return fmt.Errorf("index.yaml has %q for it", d)
		}
	}
	return nil
}

// missingImage looks for what the tags name, for the platforms by digest, and for every
// blob.
func (w *world) missingImage(t *testing.T, s *nexustest.Server, it target.Item) error {
	t.Helper()
	b := w.archive.Bundle()
	tree, err := b.ReadImage(t.Context(), b.Table.Images[it.Index], w.archive.Read)
	if err != nil {
		t.Fatal(err)
	}
	repo := it.Place.Repository
	var errs []error
	for _, ref := range it.Refs {
		if got := s.Tags(repo, ref.Repository)[ref.Tag]; got != tree.Top.Desc.Digest.String() {
			errs = append(errs, fmt.Errorf("tag %s is %q", ref.Tag, got))
		}
		for _, m := range tree.Children {
			errs = append(errs, holds(s, repo, "v2/"+ref.Repository+"/manifests/"+m.Desc.Digest.String(), m.Desc.Digest))
		}
		for _, m := range append(tree.Children, tree.Top) {
			for _, d := range m.Node.Blobs() {
				errs = append(errs, holds(s, repo, "v2/-/blobs/"+d.Digest.String(), d.Digest))
			}
		}
		errs = append(errs, holds(s, repo, "v2/"+ref.Repository+"/manifests/"+ref.Tag, tree.Top.Desc.Digest))
	}
	return errors.Join(errs...)
}

func holds(s *nexustest.Server, repo, path string, want digest.Digest) error {
	rc, err := stored(s, repo, path)
	if err != nil {
		return err
	}
	got, err := digest.FromReader(rc)
	if err == nil && got != want {
		err = fmt.Errorf("%s/%s is %s, not %s", repo, path, got, want)
	}
	return err
}

// stored reads an asset from the server's store.
func stored(s *nexustest.Server, repo, path string) (io.ReadCloser, error) {
	raw, err := s.Read(repo, path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s/%s: %w", repo, path, errdef.ErrNotFound)
	}
	return io.NopCloser(bytes.NewReader(raw)), err
}
