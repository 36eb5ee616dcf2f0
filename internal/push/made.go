package push

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
)

// maxRepoFile caps what is read of a .repo file that is there; ours have some hundred bytes.
const maxRepoFile = 1 << 20

// putYumConf puts the keys and .repo files among the items, keys first, after everything
// that they lead to.
func (r *run) putYumConf(ctx context.Context, items []target.Item) {
	for _, it := range items {
		if it.Made == nil || r.to.Assets == nil {
			continue
		}
		start := time.Now()
		rec := record(it, it.Place.Repository+"/"+it.Place.Path)
		state, err := r.putMadeItem(ctx, it, &rec)
		r.sent.Add(rec.Bytes)
		if rec.Seconds = time.Since(start).Seconds(); err != nil {
			r.failed(rec, err)
			continue
		}
		rec.State = state
		r.add(rec)
	}
}

// putMadeItem makes one of them present. A .repo file that a push wrote and nobody edited is
// replaced unasked: the next bundle may bring other keys.
func (r *run) putMadeItem(ctx context.Context, it target.Item, rec *report.Record) (report.State, error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	dir := target.Place{Repository: it.Place.Repository}
	old, err := r.read(ctx, dir, it.Place.Path, maxRepoFile)
	switch {
	case err != nil:
		return "", err
	case bytes.Equal(old, it.Made):
		return report.Present, nil
	case old != nil && !r.o.Overwrite && !yumconf.Sealed(old):
		return "", &ConflictError{it.Place.Repository + "/" + it.Place.Path, it.Digest, digest.FromBytes(old)}
	}
	if rec.Bytes = int64(len(it.Made)); r.o.DryRun {
		return report.Planned, nil
	}
	desc := ocispec.Descriptor{Digest: it.Digest, Size: int64(len(it.Made))}
	open := func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(it.Made)), nil }
	rec.Bytes, _, err = r.to.Assets.Put(ctx, it.Place.Repository, it.Place.Path, desc, old != nil, open)
	return report.Sent, err
}
