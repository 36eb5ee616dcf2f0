package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// An image is a locked image with all its JSON at hand.
type image struct {
	entry manifest.Image
	json  []jsonBlob           // manifests, indexes and configs
	large []ocispec.Descriptor // layers
	src   Images
	lock  lockfile.Image
}

type jsonBlob struct {
	mediaType string
	raw       []byte
}

// resolve fetches the manifests and configs of a locked image and checks that they are
// what the lock says: the pinned platforms, and nothing else, of the pinned digest.
func resolve(ctx context.Context, src Images, lock lockfile.Image) (*image, error) {
	name, err := imageName(lock)
	if err != nil {
		return nil, err
	}
	src = insistent{src}
	raw, mediaType, err := src.Manifest(ctx, lock.Source, lock.Digest)
	if err != nil {
		return nil, err
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", lock.Digest, err)
	}
	img := &image{src: src, lock: lock, entry: manifest.Image{
		Name: name, Digest: lock.Digest, Publish: lock.Publish, Groups: lock.Groups,
	}}
	for _, p := range slices.Sorted(maps.Keys(lock.Platforms)) {
		img.entry.Platforms = append(img.entry.Platforms, manifest.Platform{Platform: p, Digest: lock.Platforms[p]})
	}
	if node.Config != nil {
		return img, img.single(ctx, mediaType, raw, node)
	}
	return img, img.index(ctx, mediaType, raw, node)
}

// single takes an image that is one manifest: the lock must name it as its only platform.
func (img *image) single(ctx context.Context, mediaType string, raw []byte, node *manifest.ImageNode) error {
	ps := img.entry.Platforms
	if len(ps) != 1 || ps[0].Digest != img.lock.Digest {
		return fmt.Errorf("%s is a manifest of one platform: the lock must pin that platform to the same digest, and no other", img.lock.Digest)
	}
	img.json = append(img.json, jsonBlob{mediaType, raw})
	return img.platform(ctx, ps[0], node)
}

// index takes an image with an index. Where platforms are dropped, a derived index is
// carried in its place and the original stays as evidence.
func (img *image) index(ctx context.Context, mediaType string, raw []byte, node *manifest.ImageNode) error {
	var errs []error
	keep := map[digest.Digest]bool{}
	for _, p := range img.entry.Platforms {
		if err := img.child(ctx, node, p); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p.Platform, err))
		}
		keep[p.Digest] = true
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	derived, err := manifest.DeriveIndex(mediaType, raw, keep)
	if err != nil {
		return fmt.Errorf("derive an index: %w", err)
	}
	img.json = append(img.json, jsonBlob{mediaType, raw})
	if d := digest.FromBytes(derived); d != img.lock.Digest {
		img.entry.Digest, img.entry.Original = d, img.lock.Digest
		img.json = append(img.json, jsonBlob{mediaType, derived})
	}
	return nil
}

// child takes one platform's manifest out of an index.
func (img *image) child(ctx context.Context, index *manifest.ImageNode, p manifest.Platform) error {
	i := slices.IndexFunc(index.Manifests, func(d ocispec.Descriptor) bool { return d.Digest == p.Digest })
	if i < 0 {
		return fmt.Errorf("manifest %s is not in the index %s", p.Digest, img.lock.Digest)
	}
	entry := index.Manifests[i]
	if got := manifest.PlatformOf(entry.Platform); got != p.Platform {
		return fmt.Errorf("the index %s says that %s is for %q", img.lock.Digest, p.Digest, got)
	}
	raw, mediaType, err := img.src.Manifest(ctx, img.lock.Source, p.Digest)
	if err != nil {
		return err
	}
	if int64(len(raw)) != entry.Size {
		return &digestio.MismatchError{Want: entry, Got: p.Digest, GotBytes: int64(len(raw))}
	}
	if mediaType != entry.MediaType {
		return fmt.Errorf("manifest %s is a %s, the index says %s", p.Digest, mediaType, entry.MediaType)
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", p.Digest, err)
	}
	if node.Config == nil {
		return fmt.Errorf("manifest %s is an index itself", p.Digest)
	}
	img.json = append(img.json, jsonBlob{mediaType, raw})
	return img.platform(ctx, p, node)
}

// platform fetches the config, checks that it is for the platform, and notes the layers.
func (img *image) platform(ctx context.Context, p manifest.Platform, node *manifest.ImageNode) error {
	config, err := insist(func() ([]byte, error) {
		rc, err := img.src.Blob(ctx, img.lock.Source, *node.Config)
		if err != nil {
			return nil, err
		}
		defer rc.Close()
		return digestio.ReadAll(rc, *node.Config, manifest.MaxImageJSON)
	})
	if err != nil {
		return fmt.Errorf("config %s: %w", node.Config.Digest, err)
	}
	got, err := manifest.ParsePlatform(config)
	if err != nil {
		return fmt.Errorf("config %s: %w", node.Config.Digest, err)
	}
	// Artifacts that are not images (Helm charts in OCI form) have no platform in their config.
	if got != "" && got != p.Platform {
		return fmt.Errorf("the lock says %s, the image's config %s says %s", p.Platform, node.Config.Digest, got)
	}
	img.json = append(img.json, jsonBlob{node.Config.MediaType, config})
	img.large = append(img.large, node.Layers...)
	return nil
}

// imageName is the image's full reference, as the archive names it; a local source
// has no reference and takes its first publish name.
func imageName(lock lockfile.Image) (string, error) {
	if lock.Local() {
		if len(lock.Publish) == 0 {
			return "", errors.New("a local source needs a publish name")
		}
		return lock.Publish[0], nil
	}
	name, err := manifest.ImageName(lock.Source)
	if err != nil {
		return "", fmt.Errorf("source %w", err)
	}
	return name, nil
}

// image adds a resolved image to the table and its blobs to the plan.
func (m *maker) image(img *image) {
	what := "image " + img.entry.Name
	m.table.Images = append(m.table.Images, img.entry)
	for _, j := range img.json {
		m.addRaw(what, j.mediaType, j.raw)
	}
	source := img.lock.Source
	for _, l := range img.large {
		desc := ocispec.Descriptor{MediaType: l.MediaType, Digest: l.Digest, Size: l.Size}
		m.add(what, desc, Origin{source, func(ctx context.Context) (io.ReadCloser, error) { return img.src.Blob(ctx, source, desc) }})
	}
	if img.entry.Original != "" {
		m.notes = append(m.notes, fmt.Sprintf("%s: carried as %s with %s only; references pinned to %s will not resolve at the target",
			img.entry.Name, img.entry.Digest, platformNames(img.entry), img.entry.Original))
	}
}

// shared refuses images that share more JSON than readers of the bundle will read again. The
// first one beyond is told: those that follow share the same documents.
func (m *maker) shared(images []*image) {
	var again manifest.Rereads
	for _, img := range images {
		for _, j := range img.json {
			if err := again.Count(ocispec.Descriptor{Digest: digest.FromBytes(j.raw), Size: int64(len(j.raw))}); err != nil {
				m.errs = append(m.errs, &ArtifactError{Kind: "image", Name: img.lock.Source, Digest: img.lock.Digest, Err: err})
				return
			}
		}
	}
}

func platformNames(img manifest.Image) string {
	var names []string
	for _, p := range img.Platforms {
		names = append(names, p.Platform)
	}
	return strings.Join(names, ", ")
}

// absences are those of a lock, of which images may be left out here. A local image has its
// first name at the target: where it lay is nobody's business.
func absences(list []lockfile.Absent, images []lockfile.Image) (all []manifest.Absent) {
	for _, a := range list {
		name := a.Source + a.Path + a.Name
		if (lockfile.Image{Source: a.Source}).Local() {
			name = "an image from disk"
			for _, img := range images {
				if img.Source == a.Source && len(img.Publish) > 0 {
					name = img.Publish[0]
				}
			}
		}
		all = append(all, manifest.Absent{Name: name, Arch: a.Arch, Why: oneLine(a.Why)})
	}
	return all
}

// oneLine folds what a lock may say on several lines to what a table says on one.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// tries is how often a small document is read that arrives as another one.
const tries = 6

// insist reads again what was not what its digest promises, until it is wrong in the same
// way twice: that is the source then, and not the network.
func insist(read func() ([]byte, error)) (raw []byte, err error) {
	var last digestio.MismatchError
	for range tries {
		raw, err = read()
		wrong, ok := errors.AsType[*digestio.MismatchError](err)
		if !ok || wrong.Got == last.Got && wrong.GotBytes == last.GotBytes {
			return raw, err
		}
		last = *wrong
	}
	return raw, err
}

// insistent insists on the manifests that it reads.
type insistent struct{ Images }

// Manifest implements Images.
func (s insistent) Manifest(ctx context.Context, source string, d digest.Digest) (raw []byte, mediaType string, err error) {
	raw, err = insist(func() (raw []byte, err error) {
		raw, mediaType, err = s.Images.Manifest(ctx, source, d)
		return raw, err
	})
	return raw, mediaType, err
}
