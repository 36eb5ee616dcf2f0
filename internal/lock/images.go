package lock

import (
	"context"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

func (r *resolver) lockImages(ctx context.Context, lock *lockfile.Lock) {
	wishes := r.req.Images
	locked := make([]lockfile.Image, len(wishes))
	absent := make([][]lockfile.Absent, len(wishes))
	failed := r.each(ctx, len(wishes), func(i int) string { return wishes[i].Source }, func(i int) (err error) {
		locked[i], absent[i], err = r.image(ctx, wishes[i])
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(int(wishes[i].Line), "image "+wishes[i].Source, err)
			continue
		}
		lock.Images = append(lock.Images, locked[i])
		for _, a := range absent[i] {
			if !slices.ContainsFunc(lock.Absent, func(have lockfile.Absent) bool { return have.Source == a.Source && have.Arch == a.Arch }) {
				lock.Absent = append(lock.Absent, a)
			}
		}
	}
}

// image pins one image: its digest and that of each wanted platform. A platform that
// the source does not have is said in the lock, never passed over.
func (r *resolver) image(ctx context.Context, w lockfile.ImageWish) (lockfile.Image, []lockfile.Absent, error) {
	locked := lockfile.Image{Source: w.Source, Publish: w.Publish, Groups: w.Groups, Note: w.Note, Platforms: map[string]digest.Digest{}}
	desc, err := r.src.Images.Resolve(ctx, w.Source)
	if err != nil {
		return locked, nil, err
	}
	locked.Digest = desc.Digest
	raw, mediaType, err := r.src.Images.Manifest(ctx, w.Source, desc.Digest)
	if err != nil {
		return locked, nil, err
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		return locked, nil, err
	}
	has := map[string]digest.Digest{}
	if node.Config != nil {
		p, err := r.configPlatform(ctx, w.Source, *node.Config)
		if err != nil {
			return locked, nil, err
		}
		has[p] = desc.Digest
	}
	for _, m := range node.Manifests {
		p := manifest.PlatformOf(m.Platform)
		if _, twice := has[p]; !twice { // the first of several variants is the one clients take
			has[p] = m.Digest
		}
	}
	var absent []lockfile.Absent
	for _, arch := range r.req.Arches {
		p := manifest.PlatformFor(arch)
		if d, ok := has[p]; ok {
			locked.Platforms[p] = d
		} else {
			absent = append(absent, lockfile.Absent{Source: w.Source, Arch: arch, Why: "the source has no " + p})
		}
	}
	if len(locked.Platforms) == 0 {
		return locked, nil, fmt.Errorf("%s has none of the wanted platforms", desc.Digest)
	}
	return locked, absent, nil
}

func (r *resolver) configPlatform(ctx context.Context, source string, desc ocispec.Descriptor) (string, error) {
	config, err := r.src.Images.Config(ctx, source, desc)
	if err != nil {
		return "", err
	}
	p, err := manifest.ParsePlatform(config)
	if err == nil && p == "" {
		err = fmt.Errorf("config %s names no platform", desc.Digest)
	}
	return p, err
}
