package verify

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/manifest"
)

// The rules for the layers of one manifest: what its config says of them, and their titles.

// An imageConfig tells members that are empty from those that are missing.
type imageConfig struct {
	ocispec.Image
	Architecture *string         `json:"architecture"`
	OS           *string         `json:"os"`
	RootFS       *ocispec.RootFS `json:"rootfs"`
}

// layers compares the layers of a manifest with what its config says of them: as many,
// and the same digests where they are not compressed. Nothing is inflated for it.
func (w *layoutWalk) layers(ctx context.Context, d ocispec.Descriptor, image *manifest.ImageNode) {
	c := *image.Config
	if w.reread.Count(c) != nil {
		w.finding("config", c.Digest, "%d bytes: more than %d bytes of configs that manifests share would be read again", c.Size, manifest.MaxReread)
		return
	}
	rc, err := w.tar.Fetch(ctx, c)
	if err != nil {
		return // told with the config
	}
	defer rc.Close()
	var config imageConfig
	if err := json.NewDecoder(rc).Decode(&config); err != nil {
		w.finding("config", c.Digest, "not an image config: %v", err)
		return
	}
	w.required(c, image, &config)
	if config.RootFS == nil || len(config.RootFS.DiffIDs) == 0 {
		return
	}
	ids := config.RootFS.DiffIDs
	if len(ids) != len(image.Layers) {
		w.finding("manifest", d.Digest, "it has %d layers, its config %s has %d", len(image.Layers), c.Digest, len(ids))
		return
	}
	for i, layer := range image.Layers {
		plain := layer.MediaType == ocispec.MediaTypeImageLayer || layer.MediaType == "application/vnd.docker.image.rootfs.diff.tar"
		if plain && ids[i] != layer.Digest {
			w.finding("manifest", d.Digest, "layer %d is %s, its config %s says %q", i+1, layer.Digest, c.Digest, ids[i])
		}
	}
}

// required finds members that an image config must have (OCI image-spec 1.1, config.md).
// Artifacts have taken its media type for an empty object: where no layer is one of a file
// system, nobody can take it for an image.
func (w *layoutWalk) required(c ocispec.Descriptor, image *manifest.ImageNode, config *imageConfig) {
	if config.RootFS != nil && config.RootFS.Type != "" && config.RootFS.Type != "layers" {
		w.finding("config", c.Digest, "image config: rootfs is of the unknown type %q", config.RootFS.Type)
	}
	isImage := slices.ContainsFunc(image.Layers, func(l ocispec.Descriptor) bool { return isLayer(l.MediaType) })
	if c.MediaType != ocispec.MediaTypeImageConfig || !isImage {
		return
	}
	for _, m := range []struct {
		name  string
		there bool
	}{
		{"architecture", config.Architecture != nil},
		{"os", config.OS != nil},
		{"rootfs", config.RootFS != nil},
		{"rootfs.type", config.RootFS == nil || config.RootFS.Type != ""},
		{"rootfs.diff_ids", config.RootFS == nil || len(config.RootFS.DiffIDs) > 0},
	} {
		if !m.there {
			w.finding("config", c.Digest, "image config: it has no %s", m.name)
		}
	}
}

// checkTitle says why a title, which tools take for a file name, is none.
func checkTitle(s string) error {
	if s == "." {
		return nil
	}
	return manifest.CheckPath(trimTitle(s))
}

func trimTitle(s string) string { return strings.TrimSuffix(strings.TrimPrefix(s, "./"), "/") }

// unpacked is on layers that are a directory in a tar (oras, content.AnnotationUnpack).
const unpacked = "io.deis.oras.content.unpack"

// A file is a layer with a title, which tools take for the name of a file.
type file struct {
	path   string // the title as a path, with NULs for slashes
	title  string
	digest digest.Digest
	isDir  bool
}

// titles finds layers that no directory can hold both: two of one name, or one below
// another that is a file. Sorted by segments, what is below a path directly follows it.
func (w *layoutWalk) titles(d ocispec.Descriptor, layers []ocispec.Descriptor) {
	var files []file
	for _, l := range layers {
		title := l.Annotations[ocispec.AnnotationTitle]
		if title == "" || title == "." || checkTitle(title) != nil {
			continue // told with the descriptor, or the directory itself
		}
		files = append(files, file{strings.ReplaceAll(trimTitle(title), "/", "\x00"), title, l.Digest, l.Annotations[unpacked] == "true"})
	}
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Compare(a.path, b.path) })
	for i := range files[min(1, len(files)):] {
		a, b := files[i], files[i+1]
		switch {
		case a.path == b.path && a.digest != b.digest:
			w.finding("manifest", d.Digest, "ambiguous name: title %q stands for %s, %q for %s", a.title, a.digest, b.title, b.digest)
		case !a.isDir && strings.HasPrefix(b.path, a.path+"\x00"):
			w.finding("manifest", d.Digest, "ambiguous name: title %q is below %q, which is a file", b.title, a.title)
		}
	}
}
