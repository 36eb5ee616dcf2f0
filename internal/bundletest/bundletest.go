// Package bundletest makes small bundles for tests: a lock of images, RPMs and files for
// two arches, sources in memory that hold what it pins, and the archive built of both.
// It is imported by tests only.
package bundletest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/build"
	"airbundle/internal/helmtest"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
	"airbundle/manifest"
)

// A Fixture is a lock with the content that it pins. It implements plan.Images and
// plan.Files; faults are set by changing its maps before use.
type Fixture struct {
	Lock  *lockfile.Lock
	Blobs map[digest.Digest][]byte // of all image sources
	Types map[digest.Digest]string // media types of manifests and indexes
	URLs  map[string][]byte

	mu     sync.Mutex
	opened map[string]int
}

// New makes a fixture named demo: an OCI image out of an index of three platforms of
// which two are carried, a Docker image with a manifest list that is carried whole and
// shares a layer with it, a Docker image of one platform, one signed RPM for each
// arch, and two files.
func New(t testing.TB) *Fixture {
	t.Helper()
	f := &Fixture{
		Lock:  &lockfile.Lock{Name: "demo", Arches: []string{"x86_64", "aarch64"}},
		Blobs: map[digest.Digest][]byte{}, Types: map[digest.Digest]string{}, URLs: map[string][]byte{}, opened: map[string]int{},
	}
	oci := flavour{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip}
	docker := flavour{manifest.MediaTypeDockerManifest, manifest.MediaTypeDockerList, "application/vnd.docker.container.image.v1+json", "application/vnd.docker.image.rootfs.diff.tar.gzip"}
	f.index(oci, "quay.io/team/app:1.0", []string{"amd64", "arm64", "s390x"}, "base", "app")
	f.index(docker, "docker.io/library/tool:2", []string{"amd64", "arm64"}, "base", "tool")
	f.single(docker, "registry.k8s.io/pause:3.2", "amd64", "pause")
	key := rpmtest.Key(t)
	f.Lock.Keys = []lockfile.Key{{ID: key.ID, Armor: key.Armor}}
	for _, arch := range f.Lock.Arches {
		f.rpm(t, arch, key)
		f.file("etcd/"+manifest.GoArch(arch)+"/etcd.tar.gz", arch, content("etcd "+arch, 70_000))
	}
	return f
}

// flavour is a family of media types.
type flavour struct{ manifest, index, config, layer string }

// content is n bytes that depend on the name only.
func content(name string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(sha256.Sum256([]byte(name))).Read(b)
	return b
}

func (f *Fixture) put(mediaType string, raw []byte) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	f.Blobs[d.Digest], f.Types[d.Digest] = raw, mediaType
	return d
}

func (f *Fixture) putJSON(mediaType string, v any) ocispec.Descriptor {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of strings and numbers
	}
	return f.put(mediaType, raw)
}

func (f *Fixture) platform(fl flavour, goArch string, layers ...string) ocispec.Descriptor {
	p := ocispec.Platform{OS: "linux", Architecture: goArch}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: fl.manifest}
	m.Config = f.putJSON(fl.config, ocispec.Image{Platform: p, RootFS: ocispec.RootFS{Type: "layers"}, Author: fmt.Sprint(layers)})
	for i, l := range layers {
		m.Layers = append(m.Layers, f.put(fl.layer, content(l+goArch, 10_000*(i+1))))
	}
	d := f.putJSON(fl.manifest, m)
	d.Platform = &p
	return d
}

func (f *Fixture) index(fl flavour, source string, goArches []string, layers ...string) {
	img := lockfile.Image{Source: source, Platforms: map[string]digest.Digest{}, Groups: []string{"core"}}
	ix := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: fl.index}
	for _, a := range goArches {
		d := f.platform(fl, a, layers...)
		ix.Manifests = append(ix.Manifests, d)
		if manifest.ArchOf("linux/"+a) != "" {
			img.Platforms["linux/"+a] = d.Digest
		}
	}
	img.Digest = f.putJSON(fl.index, ix).Digest
	f.Lock.Images = append(f.Lock.Images, img)
}

func (f *Fixture) single(fl flavour, source, goArch string, layers ...string) {
	d := f.platform(fl, goArch, layers...)
	f.Lock.Images = append(f.Lock.Images, lockfile.Image{Source: source, Digest: d.Digest, Platforms: map[string]digest.Digest{"linux/" + goArch: d.Digest}})
	f.Lock.Absent = append(f.Lock.Absent, lockfile.Absent{Source: source, Arch: "aarch64", Why: "made for one arch"})
}

// AddArtifact adds an OCI manifest of which config and layer are no image's.
func (f *Fixture) AddArtifact(source string) {
	f.single(flavour{manifest: ocispec.MediaTypeImageManifest, config: "application/vnd.example.config.v1+json", layer: "application/vnd.example.model"}, source, "amd64", "model")
}

func (f *Fixture) rpm(t testing.TB, arch string, key *rpmtest.Signer) {
	f.AddRPM(t, "os/"+arch, rpmtest.Spec{Name: "hello", Version: "1.2", Release: "3", Arch: arch, Key: key, Files: []rpmtest.File{{Path: "/usr/share/hello", Body: "hello from " + arch}}})
}

// AddRPM adds a package, signed by the key of the test process, for one of the fixture's
// arches, which a noarch package takes from the end of repo.
func (f *Fixture) AddRPM(t testing.TB, repo string, s rpmtest.Spec) {
	t.Helper()
	key := rpmtest.Key(t)
	s.Key = key
	raw := rpmtest.Build(t, s)
	p, err := rpm.Read(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	r := lockfile.RPM{Name: p.Name, EVR: p.EVR(), Arch: p.Arch, BaseArch: p.Arch, Repo: repo, Size: int64(len(raw)), Digest: digest.FromBytes(raw), Signer: key.ID}
	if r.Arch == "noarch" {
		r.BaseArch = path.Base(repo)
	}
	r.URLs = []string{"https://mirror.example/" + r.File()}
	f.URLs[r.URLs[0]] = raw
	f.Lock.RPMs = append(f.Lock.RPMs, r)
}

// AddFile adds a file for all arches.
func (f *Fixture) AddFile(at string, raw []byte) { f.file(at, "", raw) }

func (f *Fixture) file(path, arch string, raw []byte) {
	url := "https://files.example/" + path
	f.URLs[url] = raw
	f.Lock.Files = append(f.Lock.Files, lockfile.File{Path: path, URLs: []string{url}, Arch: arch, Size: int64(len(raw)), Digest: digest.FromBytes(raw)})
}

// AddChart adds a chart to the lock, which New leaves out.
func (f *Fixture) AddChart(t testing.TB, name, version string) {
	t.Helper()
	raw := helmtest.Chart(t, name, version, nil)
	c := lockfile.Chart{Name: name, Version: version, Size: int64(len(raw)), Digest: digest.FromBytes(raw)}
	c.URLs = []string{"https://charts.example/" + manifest.ChartFile(name, version)}
	f.URLs[c.URLs[0]] = raw
	f.Lock.Charts = append(f.Lock.Charts, c)
}

// Metadata adds a slice of repository metadata to the lock.
func (f *Fixture) Metadata(repo, kind, text string) {
	url := "file:demo.lock.d/" + repo + "." + kind
	f.URLs[url] = []byte(text)
	f.Lock.Metadata = append(f.Lock.Metadata, lockfile.Metadata{Repo: repo, Type: kind, URLs: []string{url}, Size: int64(len(text)), Digest: digest.FromString(text)})
}

// Manifest implements plan.Images.
func (f *Fixture) Manifest(_ context.Context, source string, d digest.Digest) ([]byte, string, error) {
	raw, ok := f.open(string(d))
	if !ok {
		return nil, "", &httpx.StatusError{Method: "GET", URL: source, Code: 404}
	}
	return raw, f.Types[d], nil
}

// Blob implements plan.Images.
func (f *Fixture) Blob(_ context.Context, source string, d ocispec.Descriptor) (io.ReadCloser, error) {
	raw, ok := f.open(string(d.Digest))
	if !ok {
		return nil, &httpx.StatusError{Method: "GET", URL: source, Code: 404}
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

// Open implements plan.Files.
func (f *Fixture) Open(_ context.Context, url string, _ ocispec.Descriptor) (io.ReadCloser, error) {
	raw, ok := f.open(url)
	if !ok {
		return nil, &httpx.StatusError{Method: "GET", URL: httpx.Redact(url), Code: 404}
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (f *Fixture) open(name string) ([]byte, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.opened[name]++
	if raw, ok := f.URLs[name]; ok {
		return raw, true
	}
	raw, ok := f.Blobs[digest.Digest(name)]
	return raw, ok
}

// Opened returns how often each digest and URL was opened, and forgets it.
func (f *Fixture) Opened() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := maps.Clone(f.opened)
	clear(f.opened)
	return out
}

// Plan plans the fixture's build.
func (f *Fixture) Plan(t testing.TB, o plan.Options) *plan.Plan {
	t.Helper()
	p, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f, Charts: f}, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Build builds the fixture's archive in a directory of the test and returns its path.
func (f *Fixture) Build(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.bundle.tar")
	if _, err := build.Run(t.Context(), f.Plan(t, plan.Options{}), path, build.Options{Jobs: 4}); err != nil {
		t.Fatal(err)
	}
	return path
}

// Sources lists the image sources of the lock, sorted.
func (f *Fixture) Sources() []string {
	var out []string
	for _, img := range f.Lock.Images {
		out = append(out, img.Source)
	}
	slices.Sort(out)
	return out
}
