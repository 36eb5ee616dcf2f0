package image

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/manifest"
)

// Docker's media types of config and layers.
const (
	typeConfig = "application/vnd.docker.container.image.v1+json"
	typeLayer  = "application/vnd.docker.image.rootfs.diff.tar"
)

// layerTypes are the media types of layers by their compression.
var layerTypes = map[string]string{"": typeLayer, "gzip": typeLayer + ".gzip", "zstd": typeLayer + ".zstd"}

// A dockerArchive is what docker save writes. It has no manifest: config and
// layers stay byte for byte as they are in the tar, and the manifest that docker
// would push for them is made in one canonical form.
type dockerArchive struct {
	tar *tarFile
	ref string // one of RepoTags; empty: the only image
}

// A savedItem is one image in manifest.json.
type savedItem struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// A savedImage is one image of a docker archive, read through once.
type savedImage struct {
	doc   document
	names map[digest.Digest]string // entries of config and layers
}

func (d *dockerArchive) resolve(ctx context.Context) (document, error) {
	_, img, err := d.image(ctx)
	if err != nil {
		return document{}, err
	}
	return img.doc, nil
}

func (d *dockerArchive) manifest(ctx context.Context, dgst digest.Digest) (document, error) {
	_, img, err := d.image(ctx)
	if err != nil {
		return document{}, err
	}
	if have := img.doc.desc; have.Digest != dgst {
		want := ocispec.Descriptor{MediaType: have.MediaType, Digest: dgst, Size: have.Size}
		return document{}, fmt.Errorf("%s is another image now: %w", d.tar.path, &digestio.MismatchError{Want: want, Got: have.Digest, GotBytes: have.Size})
	}
	return img.doc, nil
}

func (d *dockerArchive) blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	files, img, err := d.image(ctx)
	if err != nil {
		return nil, err
	}
	name, ok := img.names[desc.Digest]
	if !ok {
		return nil, badContent(d.tar.path, "the image has no such blob: %w", fs.ErrNotExist)
	}
	rc, size, err := files.open(name)
	if err != nil {
		return nil, err
	}
	if err := checkSize(files.place(name), desc, size); err != nil {
		rc.Close()
		return nil, err
	}
	return rc, nil
}

// image finds the image that the source means and reads it through, once for the life of the Source.
func (d *dockerArchive) image(ctx context.Context) (*contents, *savedImage, error) {
	files, err := d.tar.contents()
	if err != nil {
		return nil, nil, err
	}
	files.reading.Lock()
	defer files.reading.Unlock()
	if img := files.images[d.ref]; img != nil {
		return files, img, nil
	}
	items, err := savedItems(files)
	if err != nil {
		return nil, nil, err
	}
	item, err := d.pick(items)
	if err != nil {
		return nil, nil, err
	}
	img, err := readSaved(ctx, files, item)
	if err != nil {
		return nil, nil, err
	}
	files.images[d.ref] = img
	return files, img, nil
}

// savedItems reads manifest.json.
func savedItems(files *contents) ([]savedItem, error) {
	const name = "manifest.json"
	raw, err := readFile(files, name, manifest.MaxImageJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("not an archive of docker save, or one of docker before 1.10: %w", err)
	} else if err != nil {
		return nil, err
	}
	var items []savedItem
	if err := json.Unmarshal(raw, &items); err != nil {
		return nil, badContent(files.place(name), "%w", err)
	}
	if len(items) == 0 {
		return nil, badContent(files.place(name), "lists no image")
	}
	return items, nil
}

// pick finds the image that the source means. Tags match as they stand, or
// by what they are short for: busybox is docker.io/library/busybox:latest.
func (d *dockerArchive) pick(items []savedItem) (savedItem, error) {
	place := d.tar.place("manifest.json")
	var all []string
	for _, item := range items {
		if d.ref != "" && slices.ContainsFunc(item.RepoTags, func(tag string) bool { return sameTag(tag, d.ref) }) {
			return item, nil
		}
		all = append(all, fmt.Sprintf("%q", strings.Join(item.RepoTags, " ")))
	}
	switch {
	case d.ref != "":
		return savedItem{}, badContent(place, "has no image %q; it has %s: %w", d.ref, list(all), fs.ErrNotExist)
	case len(items) > 1:
		return savedItem{}, badContent(place, "lists %d images, and the source says none of them: %s", len(items), list(all))
	}
	return items[0], nil
}

func sameTag(a, b string) bool {
	if a == b {
		return true
	}
	ra, err := parseReference(a)
	if err != nil {
		return false
	}
	rb, err := parseReference(b)
	return err == nil && ra.String() == rb.String()
}

// readSaved hashes config and layers and makes the manifest.
func readSaved(ctx context.Context, files *contents, item savedItem) (*savedImage, error) {
	img := &savedImage{names: map[digest.Digest]string{}}
	configName := path.Clean(item.Config)
	raw, err := readFile(files, configName, manifest.MaxImageJSON)
	if err != nil {
		return nil, fmt.Errorf("config: %w", err)
	}
	config := ocispec.Descriptor{MediaType: typeConfig, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	if err := checkName(files, configName, config.Digest); err != nil {
		return nil, err
	}
	img.names[config.Digest] = configName
	diffIDs, err := diffIDs(raw)
	if err != nil {
		return nil, &ContentError{Place: files.place(configName), Err: err}
	}
	if len(diffIDs) != len(item.Layers) {
		return nil, badContent(files.place(configName), "config names %d layers, manifest.json %d", len(diffIDs), len(item.Layers))
	}
	layers := make([]ocispec.Descriptor, len(item.Layers))
	known := map[int64]ocispec.Descriptor{}
	for i, name := range item.Layers {
		name = path.Clean(name)
		if layers[i], err = describe(ctx, files, name, known); err != nil {
			return nil, fmt.Errorf("layer %d: %w", i+1, err)
		}
		// What is in a compressed layer shows only when it is unpacked, which is not done here.
		if l := layers[i]; l.MediaType == typeLayer && l.Digest != diffIDs[i] {
			return nil, badContent(files.place(name), "content hashes to %s, the config says %s", l.Digest, diffIDs[i])
		}
		img.names[layers[i].Digest] = name
	}
	img.doc, err = newDocument(files.path, canonicalManifest(config, layers), "", manifest.MediaTypeDockerManifest)
	return img, err
}

// describe hashes a layer; known has those before it by their offset, as links share one content.
func describe(ctx context.Context, files *contents, name string, known map[int64]ocispec.Descriptor) (ocispec.Descriptor, error) {
	e, err := files.find(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	if desc, ok := known[e.offset]; ok {
		return desc, nil
	}
	rc, size, err := files.open(name)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	defer rc.Close()
	r := bufio.NewReaderSize(untilDone(ctx, rc), 256<<10)
	head, err := r.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return ocispec.Descriptor{}, fmt.Errorf("read %s: %w", files.place(name), err)
	}
	kind := compressionOf(head)
	mediaType, ok := layerTypes[kind]
	if !ok {
		return ocispec.Descriptor{}, badContent(files.place(name), "no media type exists for a layer compressed with %s", kind)
	}
	dgst, err := digest.Canonical.FromReader(r)
	if err != nil {
		return ocispec.Descriptor{}, fmt.Errorf("read %s: %w", files.place(name), err)
	}
	desc := ocispec.Descriptor{MediaType: mediaType, Digest: dgst, Size: size}
	known[e.offset] = desc
	return desc, checkName(files, name, dgst)
}

// checkName refuses content below blobs/ whose name is the digest of something else.
func checkName(files *contents, name string, got digest.Digest) error {
	if strings.HasPrefix(name, ocispec.ImageBlobsDir+"/") && name != blobPath(got) {
		return badContent(files.place(name), "content hashes to %s", got)
	}
	return nil
}

// diffIDs returns the digests of the unpacked layers that a config names.
func diffIDs(config []byte) ([]digest.Digest, error) {
	var c struct {
		RootFS ocispec.RootFS `json:"rootfs"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("image config: %w", err)
	}
	return c.RootFS.DiffIDs, nil
}

// canonicalManifest returns the docker schema 2 manifest of a config and layers:
// compact JSON, the fields in the order of docker's own, nothing optional. The
// form must never change, as locks pin its digest.
func canonicalManifest(config ocispec.Descriptor, layers []ocispec.Descriptor) []byte {
	var b strings.Builder
	descriptor := func(d ocispec.Descriptor) {
		fmt.Fprintf(&b, `{"mediaType":%q,"size":%d,"digest":%q}`, d.MediaType, d.Size, d.Digest)
	}
	fmt.Fprintf(&b, `{"schemaVersion":2,"mediaType":%q,"config":`, manifest.MediaTypeDockerManifest)
	descriptor(config)
	b.WriteString(`,"layers":[`)
	for i, l := range layers {
		if i > 0 {
			b.WriteByte(',')
		}
		descriptor(l)
	}
	b.WriteString("]}")
	return []byte(b.String())
}
