package verify

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
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
	if err := w.reread.Count(c); err != nil {
		reason, _ := report.Explain(err) // what to do is meant for who builds bundles
		w.finding("config", c.Digest, "%s", reason)
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

// A titled is a layer with a title, which tools take for the name of a file.
type titled struct {
	title  string
	digest digest.Digest
}

// titles finds layers that no directory can hold both: two of one name, or one below
// another that is a file.
func (w *layoutWalk) titles(d ocispec.Descriptor, layers []ocispec.Descriptor) {
	byPath, files := map[string]titled{}, map[string]bool{}
	for _, l := range layers {
		title := l.Annotations[ocispec.AnnotationTitle]
		if title == "" || title == "." || checkTitle(title) != nil {
			continue // told with the descriptor, or the directory itself
		}
		path := trimTitle(title)
		first, again := byPath[path]
		if again && first.digest != l.Digest {
			w.finding("manifest", d.Digest, "ambiguous name: title %q stands for %s, %q for %s", first.title, first.digest, title, l.Digest)
		}
		if !again {
			byPath[path] = titled{title, l.Digest}
		}
		files[path] = files[path] || l.Annotations[unpacked] != "true"
	}
	for path, above := range manifest.Below(slices.Collect(maps.Keys(byPath)), func(p string) bool { return files[p] }) {
		w.finding("manifest", d.Digest, "ambiguous name: title %q is below %q, which is a file", byPath[path].title, byPath[above].title)
	}
}
