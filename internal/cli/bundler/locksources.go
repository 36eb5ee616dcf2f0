package bundler

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/source/chart"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
	"airbundle/internal/source/yum"
	"airbundle/manifest"
)

// lockSources are the adapters that wishes are resolved with.
type lockSources struct {
	lock.Sources
	charts *chart.Source
}

// newLockSources wires them. Relative paths are relative to the request.
func newLockSources(o *lockOptions, log *slog.Logger) (*lockSources, error) {
	t, err := o.net.Transport(log)
	if err != nil {
		return nil, err
	}
	dir, client := filepath.Dir(o.request), httpx.NewClient(t)
	images := image.New(image.Options{Transport: t, PlainHTTP: o.net.PlainHTTP, Dir: dir})
	repositories := yum.New(yum.Options{Client: client, Dir: dir, Cache: o.cacheDir, Log: log})
	files := web.New(client, dir)
	s := &lockSources{charts: o.charts.source(images, files, log)}
	s.Sources = lock.Sources{Images: lockImages{images}, Files: files, Charts: s.charts, Repositories: lockRepositories{repositories}}
	if o.cacheDir != "" {
		s.Cache = repositories
	}
	return s, nil
}

// lockImages lets the image source answer as the lock use case asks.
type lockImages struct{ *image.Source }

// Config implements lock.Images.
func (s lockImages) Config(ctx context.Context, source string, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := s.Blob(ctx, source, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return digestio.ReadAll(rc, desc, manifest.MaxImageJSON)
}

// lockRepositories lets the yum source answer as the lock use case asks.
type lockRepositories struct{ *yum.Source }

// Open implements lock.Repositories.
func (s lockRepositories) Open(ctx context.Context, r lockfile.Repo, arch string, age func([]byte) (int64, error)) (*lock.Repository, error) {
	opened, err := s.Source.Open(ctx, r, arch, age)
	if err != nil {
		return nil, err
	}
	return lockRepository(opened), nil
}

func lockRepository(r *yum.Repository) *lock.Repository {
	return &lock.Repository{
		Repomd: r.Repomd, Keys: r.Keys, Metadata: r, Packages: r,
		Skipped: func() []string { return slices.Clone(r.Skipped) },
		Older: func() (*lock.Repository, bool) {
			older, ok := r.Older()
			if !ok {
				return nil, false
			}
			return lockRepository(older), true
		},
	}
}

func sortedNames(m map[string][]byte) []string { return slices.Sorted(maps.Keys(m)) }
