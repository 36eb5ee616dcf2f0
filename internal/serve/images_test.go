package serve_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/report"
	"airbundle/internal/serve"
	"airbundle/internal/target"
	"airbundle/manifest"
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
		}, "is not carried"},
		{"a config that is not carried", func(f *fixture) {
			f.onePlatform("quay.io/a:1", 1)
			f.drop(f.table.Blobs[1].Digest)
		}, "is not carried"},
		{"a foreign layer that is not carried", func(f *fixture) {
			foreign := f.blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", []byte("foreign"))
			m := f.dockerManifest("amd64", foreign)
			f.image("quay.io/a:1", m, amd(m))
			f.drop(foreign.Digest)
		}, "is not carried"},
		{"a child that is not listed", func(f *fixture) {
			a, b := f.dockerManifest("amd64", f.layer(1, 10)), f.dockerManifest("arm64", f.layer(2, 10))
			f.image("quay.io/a:1", f.index(a, b), amd(a))
			f.drop(b.Digest)
		}, "the table does not"},
		{"an index in an index", func(f *fixture) {
			m := f.dockerManifest("amd64", f.layer(1, 10))
			inner := f.index(m)
			inner.Platform = m.Platform
			f.image("quay.io/a:1", f.index(inner), amd(inner))
		}, "is an index itself"},
		{"a config for another platform", func(f *fixture) {
			m := f.dockerManifest("arm64", f.layer(1, 10))
			f.image("quay.io/a:1", m, amd(m))
		}, "listed for linux/amd64"},
		{"an index that lies about a platform", func(f *fixture) {
			m := f.dockerManifest("arm64", f.layer(1, 10))
			m.Platform = &ocispec.Platform{OS: "linux", Architecture: "amd64"}
			f.image("quay.io/a:1", f.index(m), amd(m))
		}, "listed for linux/amd64"},
		{"a file that is not in the store", func(f *fixture) {
			d := f.onePlatform("quay.io/a:1", 1)
			delete(f.store.blobs, d.Digest)
		}, "not in the store"},
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
			if got := report.Classify(err); got != report.ClassContent {
				t.Errorf("class %d, want %d: %v", got, report.ClassContent, err)
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
	if got := report.Classify(err); got != report.ClassContent {
		t.Errorf("a damaged manifest is of class %d", got)
	}
}

// A sickStore cannot be read.
type sickStore struct{ *memStore }

func (sickStore) Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error) {
	return nil, &fs.PathError{Op: "read", Path: "a.tar", Err: syscall.EIO}
}

// TestNewTellsADiskFromDamage: what the disk does is no fault of the bundle.
func TestNewTellsADiskFromDamage(t *testing.T) {
	f := newFixture(t)
	f.onePlatform("quay.io/a:1", 1)
	_, err := serve.New(t.Context(), f.bundle(), sickStore{f.store}, serve.Options{})
	if got := report.Classify(err); !errors.Is(err, syscall.EIO) || got != report.ClassLocal {
		t.Errorf("class %d: %v", got, err)
	}
}

// TestNewCanceled: who stops the start is told so.
func TestNewCanceled(t *testing.T) {
	f := newFixture(t)
	f.onePlatform("quay.io/a:1", 1)
	b := f.bundle()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := serve.New(ctx, b, f.store, serve.Options{}); !errors.Is(err, context.Canceled) || report.Classify(err) != report.ClassIncomplete {
		t.Errorf("error %v", err)
	}
}

// TestForeignLayer: a carried layer of that type is served as any other.
func TestForeignLayer(t *testing.T) {
	f := newFixture(t)
	foreign := f.blob("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", []byte("foreign"))
	m := f.dockerManifest("amd64", foreign)
	f.image("quay.io/a:1", m, map[string]ocispec.Descriptor{"linux/amd64": m})
	ts := f.start(serve.Options{})
	if resp, body := get(t, ts, "/v2/a/blobs/"+string(foreign.Digest)); resp.StatusCode != 200 || string(body) != "foreign" {
		t.Errorf("foreign layer: %d %q", resp.StatusCode, body)
	}
}
