package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/helm"
	"airbundle/internal/report"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A held record is an RPM or a chart that was put, and counts as done when the metadata
// that clients read lists it.
type held struct {
	item target.Item
	rec  report.Record
}

func (r *run) hold(it target.Item, rec report.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = append(r.held, held{it, rec})
}

// awaitMetadata waits until the served metadata lists everything held with the right
// checksum. Servers rebuild metadata some time after an upload and say that they are
// done before they are; only what clients would read counts.
func (r *run) awaitMetadata(ctx context.Context) {
	wait := cmp.Or(r.o.MetadataWait, 15*time.Minute+time.Duration(len(r.held))*time.Second)
	poll := cmp.Or(r.o.MetadataPoll, time.Second)
	start := time.Now()
	deadline := start.Add(wait)
	var last error
	for len(r.held) > 0 {
		last = r.lookUp(ctx)
		if len(r.held) == 0 || isUnauthorized(last) || time.Now().Add(poll).After(deadline) {
			break
		}
		select {
		case <-ctx.Done():
			last = context.Cause(ctx)
		case <-time.After(poll):
			poll = min(poll*2, 30*time.Second)
			continue
		}
		break
	}
	for _, h := range r.held {
		h.rec.State, h.rec.Class = report.Missing, report.ClassIncomplete
		h.rec.Reason = fmt.Sprintf("uploaded, but the served %s does not list it after %s; push again or rebuild the repository's metadata", metadataOf(h.item.Kind), time.Since(start).Round(time.Second))
		if last != nil {
			h.rec.Reason += ": " + last.Error()
		}
		r.add(h.rec)
	}
	r.held = nil
}

// metadataOf is what clients find an artifact by.
func metadataOf(k manifest.Kind) string {
	if k == manifest.KindChart {
		return "index.yaml"
	}
	return "yum metadata"
}

// lookUp reads the metadata once for each directory and releases what it lists.
func (r *run) lookUp(ctx context.Context) error {
	served := map[target.Place]map[string]digest.Digest{}
	var errs []error
	r.held = slices.DeleteFunc(r.held, func(h held) bool {
		dir := h.item.Place.Dir()
		listed, ok := served[dir]
		if !ok {
			var err error
			if listed, err = r.served(ctx, dir, h.item.Kind); err != nil {
				listed = map[string]digest.Digest{}
			}
			served[dir] = listed
			if err != nil {
				errs = append(errs, err)
			}
		}
		if listed[h.item.Place.Path] != h.item.Digest {
			return false
		}
		h.rec.Proof = "listed in the served metadata with this sha256"
		r.add(h.rec)
		return true
	})
	return errors.Join(errs...)
}

// served returns the checksums that the metadata of a directory lists, by path.
func (r *run) served(ctx context.Context, dir target.Place, kind manifest.Kind) (map[string]digest.Digest, error) {
	open := func(ctx context.Context, path string) (io.ReadCloser, error) {
		rc, _, err := r.to.Assets.Open(ctx, dir.Repository, path)
		return rc, err
	}
	if kind != manifest.KindChart {
		return repodata.Served(ctx, open, dir.Path)
	}
	index, err := helm.Served(ctx, open)
	if err != nil {
		return nil, err
	}
	listed := map[string]digest.Digest{}
	for _, c := range r.bundle.Table.Charts {
		d, ok, err := index.Lists(c.Name, c.Version)
		if err != nil {
			return nil, err
		}
		if ok {
			listed[c.File()] = d
		}
	}
	return listed, nil
}
