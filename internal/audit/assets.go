package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/helm"
	"airbundle/internal/report"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

var errImagesOnly = report.WithClass(report.ClassUsage, errors.New("a plain registry holds images only: audit a Nexus with --nexus, or select --only image"))

// assets audits RPMs, files and charts.
func (r *run) assets(ctx context.Context, items []target.Item) {
	var todo []target.Item
	for _, it := range items {
		switch {
		case it.Kind == manifest.KindImage, it.Made != nil:
		case r.to.Assets == nil:
			rec := record(it)
			r.judge(&rec, errImagesOnly)
			r.rep.Add(rec)
		default:
			todo = append(todo, it)
		}
	}
	served := &metadata{assets: r.to.Assets, byDir: map[target.Place]func() (map[string]digest.Digest, error){}, charts: map[string]func() (*helm.Index, error){}}
	r.each(len(todo), func(i int) {
		rec := record(todo[i])
		proof, err := r.asset(ctx, todo[i], served)
		if r.judge(&rec, err); rec.State == report.Present {
			rec.Proof = proof
		}
		r.rep.Add(rec)
	})
}

func record(it target.Item) report.Record {
	return report.Record{Kind: string(it.Kind), Name: it.Name, Arch: it.Arch, Digest: it.Digest, Place: it.Place.Repository + "/" + it.Place.Path}
}

// asset finds the strongest proof that the target gives without a download; where it
// names no sha256, or in a deep audit, the content is read and hashed.
func (r *run) asset(ctx context.Context, it target.Item, served *metadata) (proof string, err error) {
	if err := context.Cause(ctx); err != nil {
		return "", err
	}
	desc, _ := r.bundle.Blob(it.Digest)
	size, named, err := r.to.Assets.Digest(ctx, it.Place.Repository, it.Place.Path)
	if err != nil {
		return "", err
	}
	if size >= 0 && size != desc.Size {
		return "", &differentError{fmt.Sprintf("%d bytes", size), fmt.Sprintf("%d bytes", desc.Size)}
	}
	proof = "the server names this sha256"
	if it.Kind == manifest.KindRPM {
		listed, err := served.check(ctx, it)
		if err != nil {
			return "", err
		}
		switch {
		case !it.Raw: // else a push made that metadata, which proves nothing of the content
			named, proof = listed, "listed in the served metadata with this sha256"
		case listed != it.Digest:
			return "", &differentError{"yum metadata that says " + string(listed), string(it.Digest)}
		}
	}
	if it.Kind == manifest.KindChart {
		d, err := served.checkChart(ctx, it, r.bundle.Table.Charts[it.Index])
		if err != nil {
			return "", err
		}
		if d != "" {
			named, proof = d, "listed in the served index.yaml with this sha256"
		}
	}
	if named != "" && named != it.Digest {
		return "", &differentError{string(named), string(it.Digest)}
	}
	if named != "" && !r.o.Deep {
		return proof, nil
	}
	return "read and hashed", r.hash(it.Name, desc, func() (io.ReadCloser, error) { return r.download(ctx, it, desc) })
}

func (r *run) download(ctx context.Context, it target.Item, desc ocispec.Descriptor) (io.ReadCloser, error) {
	rc, _, err := r.to.Assets.Open(ctx, it.Place.Repository, it.Place.Path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{digestio.NewReader(rc, desc), rc}, nil
}

// metadata is the served yum metadata, read once for each directory.
type metadata struct {
	assets Assets
	mu     sync.Mutex
	byDir  map[target.Place]func() (map[string]digest.Digest, error)
	charts map[string]func() (*helm.Index, error) // by repository
}

// These say that clients would not find the package, or the chart.
var (
	errUnlisted      = report.WithClass(report.ClassIncomplete, errors.New("the file is there, but the served yum metadata does not list it"))
	errUnlistedChart = report.WithClass(report.ClassIncomplete, errors.New("the file is there, but the served index.yaml does not list it"))
)

// checkChart returns the checksum that the served index has for a chart; empty when it
// lists the chart without one.
func (m *metadata) checkChart(ctx context.Context, it target.Item, c manifest.Chart) (digest.Digest, error) {
	m.mu.Lock()
	once, ok := m.charts[it.Place.Repository]
	if !ok {
		once = sync.OnceValues(func() (*helm.Index, error) {
			return helm.Served(ctx, func(ctx context.Context, path string) (io.ReadCloser, error) {
				rc, _, err := m.assets.Open(ctx, it.Place.Repository, path)
				return rc, err
			})
		})
		m.charts[it.Place.Repository] = once
	}
	m.mu.Unlock()
	index, err := once()
	if err != nil {
		return "", fmt.Errorf("served index.yaml: %w", err)
	}
	d, ok, err := index.Lists(c.Name, c.Version)
	if err == nil && !ok {
		err = errUnlistedChart
	}
	return d, err
}

// check returns the checksum that the served metadata has for a package.
func (m *metadata) check(ctx context.Context, it target.Item) (digest.Digest, error) {
	listed, err := m.dir(ctx, it.Place.Dir())
	if err != nil {
		return "", fmt.Errorf("served yum metadata: %w", err)
	}
	d, ok := listed[it.Place.Path]
	if !ok {
		return "", errUnlisted
	}
	return d, nil
}

func (m *metadata) dir(ctx context.Context, dir target.Place) (map[string]digest.Digest, error) {
	m.mu.Lock()
	once, ok := m.byDir[dir]
	if !ok {
		once = sync.OnceValues(func() (map[string]digest.Digest, error) {
			return repodata.Served(ctx, func(ctx context.Context, path string) (io.ReadCloser, error) {
				rc, _, err := m.assets.Open(ctx, dir.Repository, path)
				return rc, err
			}, dir.Path)
		})
		m.byDir[dir] = once
	}
	m.mu.Unlock()
	return once()
}
