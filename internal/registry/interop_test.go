package registry_test

import (
	"bytes"
	"encoding/json"
	"io"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	orascontent "oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/memory"
	orasremote "oras.land/oras-go/v2/registry/remote"

	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

const ociIndex = "application/vnd.oci.image.index.v1+json"

// pushIndex pushes an index of two images and returns its digest.
func pushIndex(t *testing.T, r *registry.Registry, repo, tag string) digest.Digest {
	t.Helper()
	index := ocispec.Index{MediaType: ociIndex}
	index.SchemaVersion = 2
	for i, arch := range []string{"amd64", "arm64"} {
		raw, _ := image(t, r, repo, i)
		d := describe(raw)
		d.MediaType, d.Platform = ociManifest, &ocispec.Platform{OS: "linux", Architecture: arch}
		if err := r.PushManifest(t.Context(), repo, d.Digest.String(), ociManifest, raw); err != nil {
			t.Fatal(err)
		}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{digest.FromBytes(raw).String(), tag} {
		if err := r.PushManifest(t.Context(), repo, ref, ociIndex, raw); err != nil {
			t.Fatal(err)
		}
	}
	return digest.FromBytes(raw)
}

func TestOursIsReadByOthers(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{Dir: t.TempDir()})
	want := pushIndex(t, registry.New(options(t, reg.URL)), "team/app", "v1")

	ref, err := name.ParseReference(reg.Host + "/team/app:v1")
	if err != nil {
		t.Fatal(err)
	}
	index, err := remote.Index(ref, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := index.Digest(); err != nil || got.String() != want.String() {
		t.Errorf("go-containerregistry resolves %s, %v", got, err)
	}
	images, err := index.IndexManifest()
	if err != nil || len(images.Manifests) != 2 {
		t.Fatalf("%v, %v", images, err)
	}
	for _, d := range images.Manifests {
		img, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		readImage(t, img)
	}

	repo, err := orasremote.NewRepository(reg.Host + "/team/app")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	got, err := oras.Copy(t.Context(), repo, "v1", memory.New(), "", oras.DefaultCopyOptions)
	if err != nil || got.Digest != want {
		t.Errorf("oras copies %s, %v", got.Digest, err)
	}
}

// readImage reads every blob; go-containerregistry verifies them.
func readImage(t *testing.T, img v1.Image) {
	t.Helper()
	if _, err := img.RawConfigFile(); err != nil {
		t.Error(err)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers, %v", len(layers), err)
	}
	rc, err := layers[0].Compressed()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if n, err := io.Copy(io.Discard, rc); err != nil || n < 1000 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

func TestOthersAreReadByUs(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	index, err := random.Index(3000, 2, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(reg.Host + "/from/gcr:v1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index, remote.WithContext(t.Context())); err != nil {
		t.Fatal(err)
	}
	r := registry.New(options(t, reg.URL))
	want, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	d, err := r.Resolve(t.Context(), "from/gcr", "v1")
	if err != nil || d.Digest.String() != want.String() {
		t.Fatalf("%s, %v", d.Digest, err)
	}
	if n := readAll(t, r, "from/gcr", "v1"); n != 1+2*(1+1+2) {
		t.Errorf("%d objects were read", n)
	}

	repo, err := orasremote.NewRepository(reg.Host + "/from/oras")
	if err != nil {
		t.Fatal(err)
	}
	repo.PlainHTTP = true
	layer := []byte("a file")
	ld, err := oras.PushBytes(t.Context(), repo, "text/plain", layer)
	if err != nil {
		t.Fatal(err)
	}
	md, err := oras.PackManifest(t.Context(), repo, oras.PackManifestVersion1_1, "application/x-test", oras.PackManifestOptions{Layers: []ocispec.Descriptor{ld}})
	if err != nil {
		t.Fatal(err)
	}
	raw, got, err := r.Manifest(t.Context(), "from/oras", md.Digest.String(), 1<<20)
	if err != nil || !orascontent.Equal(got, md) || digest.FromBytes(raw) != md.Digest {
		t.Errorf("%v, %v", got, err)
	}
	if n := readAll(t, r, "from/oras", md.Digest.String()); n != 3 {
		t.Errorf("%d objects were read", n)
	}
}

// readAll reads a manifest and all below it, and counts.
func readAll(t *testing.T, r *registry.Registry, repo, ref string) int {
	t.Helper()
	raw, _, err := r.Manifest(t.Context(), repo, ref, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	var m struct {
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
		Manifests []ocispec.Descriptor
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		t.Fatal(err)
	}
	n := 1
	for _, d := range m.Manifests {
		n += readAll(t, r, repo, d.Digest.String())
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, d := range blobs {
		rc, err := r.OpenBlob(t.Context(), repo, d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, rc); err != nil {
			t.Error(err)
		}
		if err := rc.Close(); err != nil {
			t.Error(err)
		}
		n++
	}
	return n
}

// Layers that two repositories share go up once.
func TestSharedLayersAreMounted(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	r := registry.New(options(t, reg.URL))
	raw, m := image(t, r, "one", 1)
	reg.Forget()
	for _, d := range append(m.Layers, m.Config) {
		if _, how, err := r.PushBlob(t.Context(), "two", d, []string{"one"}, nil); err != nil || how != registry.Mounted {
			t.Errorf("%q, %v", how, err)
		}
	}
	if err := r.PushManifest(t.Context(), "two", "v1", ociManifest, raw); err != nil {
		t.Error(err)
	}
	if n := reg.BytesIn(); n != int64(len(raw)) {
		t.Errorf("%d bytes went up, the manifest has %d", n, len(raw))
	}
	back, _, err := r.Manifest(t.Context(), "two", "v1", 1<<20)
	if err != nil || !bytes.Equal(back, raw) {
		t.Error(err)
	}
}
