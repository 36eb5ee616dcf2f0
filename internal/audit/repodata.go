package audit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// repodata audits the metadata that a push put beside the packages: it must be what follows
// from the bundle, to the byte. That needs the headers of the packages, so the archive.
func (r *run) repodata(ctx context.Context, items []target.Item) {
	if r.o.Store == nil || r.to.Assets == nil {
		return
	}
	dirs := slices.DeleteFunc(target.RPMDirs(items), func(d target.RPMDir) bool { return !d.Raw })
	r.each(len(dirs), func(i int) {
		at := path.Join(dirs[i].Path, rpm.RepomdPath)
		rec := report.Record{Kind: string(manifest.KindMetadata), Name: at, Place: dirs[i].Repository + "/" + at}
		d, err := r.checkRepodata(ctx, dirs[i])
		rec.Digest = d
		if r.judge(&rec, err); rec.State == report.Present {
			rec.Proof = "read and compared, with all that it names, to what follows from the bundle"
		}
		r.rep.Add(rec)
	})
}

// checkRepodata returns the digest of the repomd.xml that is to be there, and everything
// that is not as it should be.
func (r *run) checkRepodata(ctx context.Context, dir target.RPMDir) (digest.Digest, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	set, err := createrepo.OfBundle(ctx, r.bundle, r.o.Store, dir.Repo)
	if err != nil {
		return "", err
	}
	files := maps.Clone(set.Files)
	files[rpm.RepomdPath] = set.Repomd
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := r.same(ctx, dir.Repository, path.Join(dir.Path, name), files[name]); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", name, err))
		}
	}
	return digest.FromBytes(set.Repomd), errors.Join(errs...)
}

// same reads a file and says whether it has this content.
func (r *run) same(ctx context.Context, repo, at string, want []byte) error {
	rc, _, err := r.to.Assets.Open(ctx, repo, at)
	if err != nil {
		return err
	}
	defer rc.Close()
	got, err := io.ReadAll(io.LimitReader(rc, int64(len(want))+1))
	r.read.Add(int64(len(got)))
	if err != nil || bytes.Equal(got, want) {
		return err
	}
	return &differentError{fmt.Sprintf("other content, at least %d bytes", len(got)), fmt.Sprintf("%s, %d bytes", digest.FromBytes(want), len(want))}
}
