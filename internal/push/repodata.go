package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/progress"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// settled notes whether a package is there.
func (r *run) settled(it target.Item, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.there[it.Name] = err == nil
}

// made is the metadata of one directory of packages, or why there is none.
type made struct {
	dir target.RPMDir
	set *createrepo.Set
	err error
}

// makeRepodata makes the metadata of each directory of packages from their headers, for a
// server that makes none. It is made before anything is sent, so that it counts in what is
// to be done.
func (r *run) makeRepodata(ctx context.Context, items []target.Item) {
	if r.to.Assets == nil {
		return
	}
	for _, dir := range target.RPMDirs(items) {
		if !dir.Raw {
			continue
		}
		m := made{dir: dir}
		if m.set, m.err = createrepo.OfBundle(ctx, r.bundle, r.store, dir.Repo); m.err == nil {
			r.total.Add(int64(len(m.set.Repomd)))
			for _, data := range m.set.Files {
				r.total.Add(int64(len(data)))
			}
		}
		r.made = append(r.made, m)
	}
}

// putRepodata puts what was made. All packages were put, or failed, before.
func (r *run) putRepodata(ctx context.Context) {
	g := workers.New()
	g.SetLimit(r.o.Jobs)
	for _, m := range r.made {
		g.Go(func() error {
			start := time.Now()
			at := path.Join(m.dir.Path, rpm.RepomdPath)
			rec := report.Record{Kind: string(manifest.KindMetadata), Name: at, Place: m.dir.Repository + "/" + at}
			err := r.putSet(ctx, m, &rec)
			r.sent.Add(rec.Bytes)
			if rec.Seconds = time.Since(start).Seconds(); err != nil {
				r.failed(rec, err)
				return nil
			}
			r.add(rec)
			return nil
		})
	}
	_ = g.Wait()
}

// putSet puts the metadata of one directory in the order in which clients need it:
// repomd.xml is last, so it never names what is not there. On an error the old one stays.
func (r *run) putSet(ctx context.Context, m made, rec *report.Record) error {
	dir, set := m.dir, m.set
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := r.whole(ctx, dir); err != nil {
		return err
	}
	if m.err != nil {
		return m.err
	}
	rec.Digest = digest.FromBytes(set.Repomd)
	for _, name := range slices.Sorted(maps.Keys(set.Files)) {
		if err := r.putMade(ctx, dir.Place, name, set.Files[name], rec); err != nil {
			return err
		}
	}
	if err := r.putSignature(ctx, dir.Place, set.Repomd, rec); err != nil {
		return err
	}
	if err := r.putMade(ctx, dir.Place, rpm.RepomdPath, set.Repomd, rec); err != nil {
		return err
	}
	switch {
	case rec.Bytes == 0:
		rec.State = report.Present
	case r.o.DryRun:
		rec.State = report.Planned
	default:
		rec.State = report.Sent
	}
	return nil
}

// whole says whether all packages of a directory are there, also those that are not
// selected: the metadata names them all.
func (r *run) whole(ctx context.Context, dir target.RPMDir) error {
	failed, all := 0, 0
	var errs []error
	for _, p := range r.bundle.Table.RPMs {
		if p.Repo != dir.Repo {
			continue
		}
		all++
		if there, tried := r.there[p.Path()]; tried {
			if !there {
				failed++
			}
			continue
		}
		desc, _ := r.bundle.Blob(p.Digest)
		equal, err := r.to.Assets.Present(ctx, dir.Repository, path.Join(dir.Path, p.File()), desc, func(ctx context.Context) (io.ReadCloser, error) { return r.store.Fetch(ctx, desc) })
		if err == nil && !equal {
			err = fmt.Errorf("%s is not there, and not selected", p.Path())
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if failed > 0 {
		errs = append(errs, fmt.Errorf("%d were not put", failed))
	}
	if len(errs) == 0 {
		return nil
	}
	return report.WithClass(report.ClassIncomplete, fmt.Errorf("repomd.xml is not written, what was there stays, for not all of the %d packages are there: %w", all, errors.Join(errs...)))
}

// putSignature signs repomd.xml, unless a signature of this key for these bytes is there:
// each new one would differ.
func (r *run) putSignature(ctx context.Context, dir target.Place, repomd []byte, rec *report.Record) error {
	if r.o.Sign == nil {
		return nil
	}
	old, err := r.read(ctx, dir, rpm.SignaturePath, rpm.MaxSignature)
	if err != nil || r.o.Sign.Signed(repomd, old) {
		return err
	}
	signature, err := r.o.Sign.Sign(repomd)
	if err != nil {
		return err
	}
	return r.putMade(ctx, dir, rpm.SignaturePath, signature, rec)
}

// putMade makes one file of the metadata present, and counts what it sent. The names of all
// but repomd.xml and its signature hold their digests: only these two are replaced unasked.
func (r *run) putMade(ctx context.Context, dir target.Place, name string, content []byte, rec *report.Record) (err error) {
	at := path.Join(dir.Path, name)
	replace := strings.HasPrefix(name, rpm.RepomdPath)
	desc := ocispec.Descriptor{Digest: digest.FromBytes(content), Size: int64(len(content))}
	sink := r.o.Progress
	if name == rpm.SignaturePath {
		sink = progress.Discard // it was not made when the total was told
	}
	t := sink.Begin(at, desc.Size)
	defer func() { t.End(err) }()
	from := &reading{source: func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, desc: desc, t: t}
	if !r.o.DryRun {
		sent, _, err := r.to.Assets.Put(ctx, dir.Repository, at, desc, replace || r.o.Overwrite, from.open)
		if rec.Bytes += sent; err == nil {
			from.settle()
		}
		return err
	}
	var equal bool
	if replace {
		var old []byte
		old, err = r.read(ctx, dir, name, desc.Size)
		equal = bytes.Equal(old, content)
	} else {
		equal, err = r.to.Assets.Present(ctx, dir.Repository, at, desc, from.open)
	}
	if err == nil && !equal {
		rec.Bytes += desc.Size
	}
	return err
}

// read returns the first bytes of what is at a path, one more than limit at most; nil when
// there is nothing.
func (r *run) read(ctx context.Context, dir target.Place, name string, limit int64) ([]byte, error) {
	rc, _, err := r.to.Assets.Open(ctx, dir.Repository, path.Join(dir.Path, name))
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return io.ReadAll(io.LimitReader(rc, limit+1))
}
