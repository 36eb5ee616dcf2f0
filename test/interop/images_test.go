package interop

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// flavour is a family of media types.
type flavour struct{ manifest, index, config, layer types.MediaType }

var (
	ociTypes    = flavour{types.OCIManifestSchema1, types.OCIImageIndex, types.OCIConfigJSON, types.OCILayer}
	dockerTypes = flavour{types.DockerManifestSchema2, types.DockerManifestList, types.DockerConfigJSON, types.DockerLayer}
)

// randomLayer is a layer of size bytes that no other has. It holds one file.
func randomLayer(t testing.TB, f flavour, size int64) v1.Layer {
	t.Helper()
	l, err := random.Layer(size, f.layer)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// imageOf makes an image for linux and a Go arch.
func imageOf(t testing.TB, f flavour, goArch string, layers ...v1.Layer) v1.Image {
	t.Helper()
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, f.manifest), f.config)
	for _, l := range layers {
		var err error
		img, err = mutate.Append(img, mutate.Addendum{Layer: l, MediaType: f.layer})
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	cfg = cfg.DeepCopy()
	cfg.OS, cfg.Architecture = "linux", goArch
	cfg.Config.Labels = map[string]string{"arch": goArch}
	if img, err = mutate.ConfigFile(img, cfg); err != nil {
		t.Fatal(err)
	}
	return img
}

// An index is an index or manifest list with its images, in the bytes that buildx
// writes. (go-containerregistry's own ones hold an artifactType for each image, and
// skopeo 1.9 then cannot copy them without rewriting them.)
type index struct {
	flavour  flavour
	images   []v1.Image
	manifest v1.IndexManifest
}

// indexOf makes an index of one image for each Go arch, each with the shared layer and
// one of its own.
func indexOf(t testing.TB, f flavour, shared v1.Layer, goArches ...string) *index {
	t.Helper()
	ix := &index{flavour: f, manifest: v1.IndexManifest{SchemaVersion: 2, MediaType: f.index}}
	for _, a := range goArches {
		img := imageOf(t, f, a, shared, randomLayer(t, f, 40_000))
		d, err := partial.Descriptor(img)
		if err != nil {
			t.Fatal(err)
		}
		ix.images = append(ix.images, img)
		ix.manifest.Manifests = append(ix.manifest.Manifests, v1.Descriptor{
			MediaType: f.manifest, Digest: d.Digest, Size: d.Size, Platform: &v1.Platform{OS: "linux", Architecture: a},
		})
	}
	return ix
}

// RawManifest and MediaType implement remote.Taggable.
func (ix *index) RawManifest() ([]byte, error)        { return json.Marshal(ix.manifest) }
func (ix *index) MediaType() (types.MediaType, error) { return ix.flavour.index, nil }

// An image is one that the tests made and put where a build finds it.
type image struct {
	source    string            // HOST/REPOSITORY:TAG
	published string            // REPOSITORY:TAG, its name at targets
	digest    string            // of what the source names
	platforms map[string]string // digests by Go arch
	raw       []byte            // what the source names
	mediaType types.MediaType
}

// pushed puts an image or an index into a registry.
func pushed(t testing.TB, host, published string, what remote.Taggable, login ...authn.Authenticator) image {
	t.Helper()
	ref, err := name.ParseReference(host + "/" + published)
	if err != nil {
		t.Fatal(err)
	}
	opts := []remote.Option{remote.WithContext(t.Context())}
	for _, l := range login {
		opts = append(opts, remote.WithAuth(l))
	}
	out := image{source: ref.String(), published: published, platforms: map[string]string{}}
	switch what := what.(type) {
	case *index:
		for i, d := range what.manifest.Manifests {
			out.platforms[d.Platform.Architecture] = d.Digest.String()
			if err := remote.Write(ref.Context().Digest(d.Digest.String()), what.images[i], opts...); err != nil {
				t.Fatalf("push %s: %v", ref, err)
			}
		}
		err = remote.Put(ref, what, opts...)
	case v1.Image:
		err = remote.Write(ref, what, opts...)
	}
	if err != nil {
		t.Fatalf("push %s: %v", ref, err)
	}
	got, err := remote.Get(ref, opts...)
	if err != nil {
		t.Fatal(err)
	}
	out.digest, out.raw, out.mediaType = got.Digest.String(), got.Manifest, got.MediaType
	if len(out.platforms) == 0 {
		out.platforms["amd64"] = out.digest
	}
	return out
}

// repository is the published name without its tag.
func (i image) repository() string {
	r, _, _ := strings.Cut(i.published, ":")
	return r
}

// layerOf is the digest of the layer that only this platform of an image has.
func layerOf(t testing.TB, d *demo, repository, goArch string) string {
	t.Helper()
	var m dockerManifest
	raw := tool(t, "tar", "-xOf", d.archive, "blobs/sha256/"+strings.TrimPrefix(d.images[repository].platforms[goArch], "sha256:"))
	if err := json.Unmarshal([]byte(raw), &m); err != nil {
		t.Fatal(err)
	}
	return m.Layers[len(m.Layers)-1].Digest
}
