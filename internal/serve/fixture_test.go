package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/rpmtest"
	"airbundle/internal/serve"
	"airbundle/manifest"
)

// A memStore is a store in memory whose content a test can damage.
type memStore struct {
	mu         sync.Mutex
	blobs      map[digest.Digest][]byte
	noSections bool // as a store of cut volumes
	fetched    int
	delay      time.Duration // before each chunk of a stream
}

func (m *memStore) get(d digest.Digest) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.blobs[d]
	return raw, ok
}

func (m *memStore) set(d digest.Digest, raw []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.blobs[d] = raw
}

func (m *memStore) Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	raw, ok := m.get(desc.Digest)
	if !ok {
		return nil, fmt.Errorf("%s: not in the store", desc.Digest)
	}
	m.mu.Lock()
	m.fetched++
	m.mu.Unlock()
	return io.NopCloser(digestio.NewReader(slowReader{bytes.NewReader(raw), m.delay}, desc)), nil
}

type slowReader struct {
	io.Reader
	delay time.Duration
}

func (s slowReader) Read(p []byte) (int, error) {
	time.Sleep(s.delay)
	return s.Reader.Read(p)
}

func (m *memStore) Section(d digest.Digest) (*io.SectionReader, bool) {
	raw, ok := m.get(d)
	if m.noSections || !ok {
		return nil, false
	}
	return io.NewSectionReader(bytes.NewReader(raw), 0, int64(len(raw))), true
}

// A fixture is a bundle in the making.
type fixture struct {
	t     testing.TB
	table manifest.Table
	store *memStore
}

func newFixture(t testing.TB) *fixture {
	return &fixture{
		t:     t,
		table: manifest.Table{Name: "test", Lock: digest.FromString("lock"), Arches: []string{"aarch64", "x86_64"}},
		store: &memStore{blobs: map[digest.Digest][]byte{}},
	}
}

// blob adds content that the bundle carries.
func (f *fixture) blob(mediaType string, raw []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	f.store.set(d.Digest, raw)
	f.table.Blobs = append(f.table.Blobs, manifest.Blob{MediaType: mediaType, Digest: d.Digest, Size: d.Size})
	return d
}

func (f *fixture) json(mediaType string, v any) ocispec.Descriptor {
	f.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.blob(mediaType, raw)
}

// noise returns n bytes that are the same for the same seed.
func noise(seed uint64, n int) []byte {
	raw := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(raw)
	return raw
}

// dockerManifest adds a Docker schema 2 manifest of one platform.
func (f *fixture) dockerManifest(goarch string, layers ...ocispec.Descriptor) ocispec.Descriptor {
	var diffIDs []digest.Digest
	for _, l := range layers {
		diffIDs = append(diffIDs, l.Digest)
	}
	config := f.json("application/vnd.docker.container.image.v1+json", ocispec.Image{
		Platform: ocispec.Platform{OS: "linux", Architecture: goarch},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: diffIDs},
	})
	d := f.json(manifest.MediaTypeDockerManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifest.MediaTypeDockerManifest, Config: config, Layers: layers,
	})
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: goarch}
	return d
}

// layer adds an uncompressed layer, whose digest is its diff id.
func (f *fixture) layer(seed uint64, n int) ocispec.Descriptor {
	return f.blob("application/vnd.docker.image.rootfs.diff.tar", noise(seed, n))
}

// image adds an image. A name that ends in @ gets its digest.
func (f *fixture) image(name string, d ocispec.Descriptor, platforms map[string]ocispec.Descriptor, publish ...string) {
	if strings.HasSuffix(name, "@") {
		name += string(d.Digest)
	}
	m := manifest.Image{Name: name, Digest: d.Digest, Publish: publish}
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		if d, ok := platforms[p]; ok {
			m.Platforms = append(m.Platforms, manifest.Platform{Platform: p, Digest: d.Digest})
		} else if !slices.ContainsFunc(f.table.Absent, func(a manifest.Absent) bool { return a.Name == name }) {
			f.table.Absent = append(f.table.Absent, manifest.Absent{Name: name, Arch: manifest.ArchOf(p), Why: "not made"})
		}
	}
	f.table.Images = append(f.table.Images, m)
}

// index adds a Docker manifest list.
func (f *fixture) index(children ...ocispec.Descriptor) ocispec.Descriptor {
	return f.json(manifest.MediaTypeDockerList, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: manifest.MediaTypeDockerList, Manifests: children,
	})
}

// twoPlatforms adds an image for both arches that shares one layer between them.
func (f *fixture) twoPlatforms(name string, seed uint64, publish ...string) manifest.Image {
	shared := f.layer(seed, 100_000)
	amd := f.dockerManifest("amd64", shared, f.layer(seed+1, 300_000))
	arm := f.dockerManifest("arm64", shared, f.layer(seed+2, 70_000))
	f.image(name, f.index(amd, arm), map[string]ocispec.Descriptor{"linux/amd64": amd, "linux/arm64": arm}, publish...)
	return f.table.Images[len(f.table.Images)-1]
}

// onePlatform adds an image that is a manifest, not an index.
func (f *fixture) onePlatform(name string, seed uint64, publish ...string) manifest.Image {
	amd := f.dockerManifest("amd64", f.layer(seed, 20_000))
	f.image(name, amd, map[string]ocispec.Descriptor{"linux/amd64": amd}, publish...)
	return f.table.Images[len(f.table.Images)-1]
}

func (f *fixture) file(path string, raw []byte) ocispec.Descriptor {
	d := f.blob(manifest.MediaTypeFile, raw)
	f.table.Files = append(f.table.Files, manifest.File{Path: path, Digest: d.Digest})
	return d
}

// rpm adds a package to the set of an arch.
func (f *fixture) rpm(repo, basearch string, spec rpmtest.Spec) manifest.RPM {
	f.t.Helper()
	d := f.blob(manifest.MediaTypeRPM, rpmtest.Build(f.t, spec))
	r := manifest.RPM{Name: spec.Name, EVR: "1.0-1", Arch: spec.Arch, BaseArch: basearch, Repo: repo, Digest: d.Digest}
	if spec.Key != nil {
		f.key(spec.Key)
		r.Signer = spec.Key.ID
	} else {
		r.Unsigned = "built by us"
	}
	f.table.RPMs = append(f.table.RPMs, r)
	return r
}

// metadata adds a slice of metadata to a repository.
func (f *fixture) metadata(repo, kind, text string) manifest.Metadata {
	m := manifest.Metadata{Repo: repo, Type: kind}
	m.Digest = f.blob(m.MediaType(), []byte(text)).Digest
	f.table.Metadata = append(f.table.Metadata, m)
	return m
}

// key adds a key, once.
func (f *fixture) key(k *rpmtest.Signer) {
	if slices.ContainsFunc(f.table.Keys, func(have manifest.Key) bool { return have.ID == k.ID }) {
		return
	}
	f.table.Keys = append(f.table.Keys, manifest.Key{ID: k.ID, Armor: k.Armor})
}

func (f *fixture) bundle() *manifest.Bundle {
	f.t.Helper()
	b, err := manifest.New(f.table)
	if err != nil {
		f.t.Fatal(err)
	}
	for d, raw := range b.Generated() {
		f.store.set(d, raw)
	}
	return b
}

// server makes the handler of what was added.
func (f *fixture) server(o serve.Options) *serve.Server {
	f.t.Helper()
	s, err := serve.New(f.t.Context(), f.bundle(), f.store, o)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

// start serves on a port of this machine until the test ends.
func (f *fixture) start(o serve.Options) *httptest.Server {
	f.t.Helper()
	ts := httptest.NewServer(f.server(o))
	f.t.Cleanup(ts.Close)
	return ts
}

func host(ts *httptest.Server) string { return strings.TrimPrefix(ts.URL, "http://") }

// do sends one request and returns the answer with its body, and the error of
// reading the body, if any. Headers are pairs of name and value.
func do(t *testing.T, ts *httptest.Server, method, path string, headers ...string) (*http.Response, []byte, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, ts.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := ts.Client().Transport.RoundTrip(req) // no redirects
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, body, err
}

// get is do for answers that must come whole.
func get(t *testing.T, ts *httptest.Server, path string, headers ...string) (*http.Response, []byte) {
	t.Helper()
	resp, body, err := do(t, ts, http.MethodGet, path, headers...)
	if err != nil {
		t.Fatalf("GET %s: %v", path, err)
	}
	return resp, body
}
