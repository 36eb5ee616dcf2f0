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

	"airbundle/internal/digestio"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// repodata audits the metadata that a push put beside the packages: it must be what follows
// from the bundle, to the byte, which needs the headers of the packages, so the archive;
// and signed by one of the keys, if there are any.
func (r *run) repodata(ctx context.Context, items []target.Item) {
	if r.to.Assets == nil {
		return
	}
	dirs := slices.DeleteFunc(target.RPMDirs(items), func(d target.RPMDir) bool { return !d.Raw })
	r.each(len(dirs), func(i int) {
		if r.o.Store != nil {
			d, err := r.checkRepodata(ctx, dirs[i])
			r.addMetadata(dirs[i], rpm.RepomdPath, d, "read and compared, with all that it names, to what follows from the bundle", err)
		}
		if len(r.o.RepoKeys) > 0 {
			signer, err := r.checkSignature(ctx, dirs[i])
			r.addMetadata(dirs[i], rpm.SignaturePath, "", "a good signature of the served repomd.xml by key "+signer, err)
		}
	})
}

// addMetadata records what is known of one file of metadata.
func (r *run) addMetadata(dir target.RPMDir, name string, d digest.Digest, proof string, err error) {
	at := path.Join(dir.Path, name)
	rec := report.Record{Kind: string(manifest.KindMetadata), Name: at, Place: dir.Repository + "/" + at, Digest: d}
	switch r.judge(&rec, err); {
	case rec.State == report.Present:
		rec.Proof = proof
	case rec.Class == report.ClassTrust:
		rec.State = report.Different
	}
	r.rep.Add(rec)
}

// checkSignature verifies the signature as clients do: over the repomd.xml that is served,
// whatever that is.
func (r *run) checkSignature(ctx context.Context, dir target.RPMDir) (signer string, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	repomd, err := r.readSmall(ctx, dir, rpm.RepomdPath, rpm.MaxRepomd)
	if err != nil {
		return "", err
	}
	signature, err := r.readSmall(ctx, dir, rpm.SignaturePath, rpm.MaxSignature)
	if err != nil {
		return "", err
	}
	signer, err = rpm.VerifyDetached(repomd, signature, r.o.RepoKeys)
	if err != nil {
		return "", fmt.Errorf("clients that check the signature of repomd.xml refuse it: %w", err)
	}
	return signer, nil
}

// readSmall reads a file of at most limit bytes.
func (r *run) readSmall(ctx context.Context, dir target.RPMDir, name string, limit int64) ([]byte, error) {
	rc, _, err := r.to.Assets.Open(ctx, dir.Repository, path.Join(dir.Path, name))
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	data, err := digestio.ReadCapped(rc, -1, limit)
	r.read.Add(int64(len(data)))
	return data, err
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

// yumConf audits the keys and .repo files among the items, to the byte: they follow from the
// bundle and the target's URL.
func (r *run) yumConf(ctx context.Context, items []target.Item) {
	files := slices.DeleteFunc(slices.Clone(items), func(it target.Item) bool { return it.Made == nil || r.to.Assets == nil })
	r.each(len(files), func(i int) {
		rec := record(files[i])
		err := context.Cause(ctx)
		if err == nil {
			err = r.same(ctx, files[i].Place.Repository, files[i].Place.Path, files[i].Made)
		}
		if r.judge(&rec, err); rec.State == report.Present {
			rec.Proof = "read and compared to what follows from the bundle and the target's URL"
		}
		r.rep.Add(rec)
	})
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
