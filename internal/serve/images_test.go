package serve_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"airbundle/internal/digestio"
	"airbundle/internal/serve"
	"airbundle/internal/target"
	"airbundle/manifest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// drop takes a blob out of the table and the store.
func (f *fixture) drop(d digest.Digest) {
	var rest []manifest.Blob
	for _, b := range f.table.Blobs {
		if b.Digest != d {
			rest = append(rest, b)
		}
	}
	f.table.Blobs = rest
	delete(f.store.blobs, d)
}

func TestNewRefuses(t *testing.T) {
	amd := func(d ocispec.Descriptor) map[string]ocispec.Descriptor {
		return map[string]ocispec.Descriptor{"linux/amd64": d}
	}
	for _, tt := range []struct {
		name string
		make func(f *fixture)
		want string
	}{
		{"a layer that is not carried", func(f *fixture) {
			f.onePlatform("quay.io/a:1", 1)
			f.drop(f.table.Blobs[0].Digest)
		}, "is not in the bundle"},
		{"a child that is not carried", func(f *fixture) {
			a, b := f.dockerManifest("amd64", f.layer(1, 10)), f.dockerManifest("arm64", f.layer(2, 10))
			f.image("quay.io/a:1", f.index(a, b), amd(a))
			f.drop(b.Digest)
		}, "is not in the bundle"},
		{"indexes five deep", func(f *fixture) {
			m := f.dockerManifest("amd64", f.layer(1, 10))
			f.image("quay.io/a:1", f.index(f.index(f.index(f.index(m)))), amd(m))
		}, "nested more than 4 deep"},
		{"a manifest that is none", func(f *fixture) {
			m := f.blob(manifest.MediaTypeDockerManifest, []byte(`{"schemaVersion":1}`))
			f.image("quay.io/a:1", m, amd(m))
		}, "schema version 1"},
		{"one name for two images", func(f *fixture) {
			f.onePlatform("quay.io/a/b:1", 1)
			f.onePlatform("ghcr.io/a/b:1", 2)
		}, "a/b:1 is claimed by ghcr.io/a/b:1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFixture(t)
			tt.make(f)
			_, err := serve.New(t.Context(), f.bundle(), f.store, serve.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "quay.io/a") {
				t.Errorf("error %v, want the image and %q", err, tt.want)
			}
			if _, ok := errors.AsType[*target.Collision](err); ok != strings.Contains(tt.want, "claimed") {
				t.Errorf("error is a collision: %t", ok)
			}
		})
	}
}

func TestNewVerifiesManifests(t *testing.T) {
	f := newFixture(t)
	image := f.onePlatform("quay.io/a:1", 1)
	b := f.bundle()
	raw, _ := f.store.get(image.Digest)
	f.store.set(image.Digest, bytes.Replace(raw, []byte("layers"), []byte("Layers"), 1))
	_, err := serve.New(t.Context(), b, f.store, serve.Options{})
	if mm, ok := errors.AsType[*digestio.MismatchError](err); !ok || mm.Want.Digest != image.Digest {
		t.Errorf("a damaged manifest: %v", err)
	}
}

// TestForeignLayer has a layer that its owner does not let others carry.
func TestForeignLayer(t *testing.T) {
	f := newFixture(t)
	foreign := f.blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", []byte("foreign"))
	f.image("quay.io/a:1", f.dockerManifest("amd64", foreign), nil)
	f.table.Images[0].Platforms = []manifest.Platform{{Platform: "linux/amd64", Digest: f.table.Images[0].Digest}}
	f.drop(foreign.Digest)
	ts := f.start(serve.Options{})
	if resp, _ := get(t, ts, "/v2/a/manifests/1"); resp.StatusCode != 200 {
		t.Errorf("manifest: %d", resp.StatusCode)
	}
	if resp, _ := get(t, ts, "/v2/a/blobs/"+string(foreign.Digest)); resp.StatusCode != 404 {
		t.Errorf("foreign layer: %d", resp.StatusCode)
	}
}
