package image

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// Two layers, and the config that names them.
var (
	layerA = strings.Repeat("layer a ", 200)
	layerB = strings.Repeat("layer b ", 300)
)

func savedConfig(layers ...string) string {
	ids := []digest.Digest{}
	for _, l := range layers {
		ids = append(ids, digest.FromString(l))
	}
	raw, _ := json.Marshal(ids)
	return fmt.Sprintf(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":%s}}`, raw)
}

func savedManifest(config, tags string, layers ...string) string {
	raw, _ := json.Marshal(layers)
	return fmt.Sprintf(`[{"Config":%q,"RepoTags":%s,"Layers":%s}]`, config, tags, raw)
}

// The forms in which tools write the same kind of image.
func savedForms(t testing.TB) map[string][]tarEntry {
	config := savedConfig(layerA, layerB, layerA)
	configDigest, configHex := sha(config)
	aDigest, aHex := sha(layerA)
	bDigest, bHex := sha(layerB)
	ga, gb := gzipped(t, layerA), gzipped(t, layerB)
	_, gaHex := sha(ga)
	_, gbHex := sha(gb)
	return map[string][]tarEntry{
		// docker 1.10 to 24: a directory a layer, equal layers as symbolic links, manifest.json last.
		"docker save, old": {
			{name: "1111/", typ: tar.TypeDir}, {name: "1111/VERSION", body: "1.0"}, {name: "1111/json", body: "{}"}, {name: "1111/layer.tar", body: layerA},
			{name: "2222/layer.tar", body: layerB},
			{name: "3333/layer.tar", link: "../1111/layer.tar", typ: tar.TypeSymlink},
			{name: configHex + ".json", body: config},
			{name: "manifest.json", body: savedManifest(configHex+".json", `["demo:v1"]`, "1111/layer.tar", "2222/layer.tar", "3333/layer.tar")},
			{name: "repositories", body: "{}"},
		},
		// docker 25 and later: an OCI layout with a manifest.json beside it.
		"docker save, new": {
			{name: blobPath(configDigest), body: config}, {name: blobPath(aDigest), body: layerA}, {name: blobPath(bDigest), body: layerB},
			{name: "index.json", body: "{}"}, {name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`},
			{name: "manifest.json", body: savedManifest(blobPath(configDigest), `["demo:v1"]`, blobPath(aDigest), blobPath(bDigest), blobPath(aDigest))},
		},
		// skopeo: content first, the directories of old as links to it.
		"skopeo": {
			{name: aHex + ".tar", body: layerA}, {name: "1111/layer.tar", link: "../" + aHex + ".tar", typ: tar.TypeSymlink},
			{name: bHex + ".tar", body: layerB}, {name: configHex + ".json", body: config},
			{name: "manifest.json", body: savedManifest(configHex+".json", `["demo:v1"]`, aHex+".tar", bHex+".tar", aHex+".tar")},
		},
		"hard links": {
			{name: "a.tar", body: layerA}, {name: "b.tar", body: layerB}, {name: "c.tar", link: "a.tar", typ: tar.TypeLink}, {name: "c.json", body: config},
			{name: "manifest.json", body: savedManifest("c.json", `null`, "a.tar", "b.tar", "c.tar")},
		},
		// kaniko and crane: gzip, and names that are digests.
		"kaniko": {
			{name: string(configDigest), body: config}, {name: gaHex + ".tar.gz", body: ga}, {name: gbHex + ".tar.gz", body: gb},
			{name: "manifest.json", body: savedManifest(string(configDigest), `["demo:v1"]`, gaHex+".tar.gz", gbHex+".tar.gz", gaHex+".tar.gz")},
		},
		"dotted names": {
			{name: "./a.tar", body: layerA}, {name: "./b.tar", body: layerB}, {name: "./c.json", body: config},
			{name: "./manifest.json", body: savedManifest("./c.json", `["demo:v1"]`, "./a.tar", "./b.tar", "a.tar")},
		},
	}
}

func TestDockerArchive(t *testing.T) {
	config := savedConfig(layerA, layerB, layerA)
	describe := func(mediaType, content string) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(content), Size: int64(len(content))}
	}
	for form, entries := range savedForms(t) {
		t.Run(form, func(t *testing.T) {
			layers := []string{layerA, layerB, layerA}
			mediaType := "application/vnd.docker.image.rootfs.diff.tar"
			if form == "kaniko" {
				mediaType += ".gzip"
				layers = []string{gzipped(t, layerA), gzipped(t, layerB), gzipped(t, layerA)}
			}
			want := manifest.ImageNode{}
			c := describe("application/vnd.docker.container.image.v1+json", config)
			want.Config = &c
			for _, l := range layers {
				want.Layers = append(want.Layers, describe(mediaType, l))
			}
			source := "docker-archive:" + writeTar(t, entries...)
			s := New(Options{})
			if m, b := readWhole(t, s, source); m != 1 || b != 4 {
				t.Errorf("%d manifests, %d blobs", m, b)
			}
			desc, err := s.Resolve(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			raw, got, err := New(Options{}).Manifest(t.Context(), source, desc.Digest)
			if err != nil || got != manifest.MediaTypeDockerManifest {
				t.Fatal(got, err)
			}
			node, err := manifest.ParseImage(got, raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, *node); diff != "" {
				t.Error(diff)
			}
			if got := string(readBlob(t, s, source, want.Layers[1])); got != layers[1] {
				t.Error("layer is not byte for byte what is in the archive")
			}
		})
	}
}

// Locks pin the digest of the made manifest: its form must never change.
func TestCanonicalManifest(t *testing.T) {
	d := func(mediaType string, size int64) ocispec.Descriptor {
		return ocispec.Descriptor{MediaType: mediaType, Digest: someDigest, Size: size}
	}
	const head = `{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"c","size":1,"digest":"` + someDigest + `"},"layers":[`
	for _, tt := range []struct {
		layers []ocispec.Descriptor
		want   string
	}{
		{nil, head + `]}`},
		{
			[]ocispec.Descriptor{d("l", 2), d("m", 3)},
			head + `{"mediaType":"l","size":2,"digest":"` + someDigest + `"},{"mediaType":"m","size":3,"digest":"` + someDigest + `"}]}`,
		},
	} {
		if diff := cmp.Diff(tt.want, string(canonicalManifest(d("c", 1), tt.layers))); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDockerArchiveOfLibrary(t *testing.T) {
	a, b := newImage(t, types.DockerManifestSchema2), newImage(t, types.DockerManifestSchema2)
	path := filepath.Join(t.TempDir(), "two.tar")
	err := tarball.MultiRefWriteToFile(path, map[name.Reference]v1.Image{
		name.MustParseReference("busybox"): a, name.MustParseReference("host:5000/x/y:v2"): b,
	})
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{})
	for ref, img := range map[string]v1.Image{"docker.io/library/busybox:latest": a, "busybox": a, "host:5000/x/y:v2": b} {
		source := "docker-archive:" + path + ":" + ref
		if m, n := readWhole(t, s, source); m != 1 || n != 3 {
			t.Errorf("%s: %d manifests, %d blobs", source, m, n)
		}
		h, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := img.RawConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(readBlob(t, s, source, ocispec.Descriptor{Digest: digest.Digest(h.String()), Size: int64(len(raw))})); got != string(raw) {
			t.Errorf("%s has another config", source)
		}
	}
	for ref, want := range map[string]string{"": "lists 2 images", ":busybox:v9": `has no image "busybox:v9"`} {
		_, err := s.Resolve(t.Context(), "docker-archive:"+path+ref)
		wantError(t, err, want, "busybox:latest", "host:5000/x/y:v2")
	}
}

func TestDockerArchiveDamage(t *testing.T) {
	config := savedConfig(layerA)
	c, a := tarEntry{name: "c.json", body: config}, tarEntry{name: "a.tar", body: layerA}
	m := func(config string, layers ...string) tarEntry {
		return tarEntry{name: "manifest.json", body: savedManifest(config, `["demo:v1"]`, layers...)}
	}
	configDigest, _ := sha(config)
	for name, tt := range map[string]struct {
		entries []tarEntry
		err     string
	}{
		"no manifest.json":    {[]tarEntry{{name: "repositories", body: "{}"}}, "not an archive of docker save"},
		"not JSON":            {[]tarEntry{{name: "manifest.json", body: "["}}, "unexpected end"},
		"no image":            {[]tarEntry{{name: "manifest.json", body: "[]"}}, "lists no image"},
		"null image":          {[]tarEntry{{name: "manifest.json", body: "[null]"}}, "config: "},
		"config missing":      {[]tarEntry{m("c.json", "a.tar"), a}, "c.json: no such entry"},
		"config is huge":      {[]tarEntry{m("c.json"), {name: "c.json", body: strings.Repeat(" ", manifest.MaxImageJSON+1)}}, "allowed here"},
		"config not JSON":     {[]tarEntry{m("c.json"), {name: "c.json", body: "x"}}, "image config"},
		"config outside":      {[]tarEntry{m("../../etc/passwd", "a.tar"), a}, "no such entry"},
		"config is a link":    {[]tarEntry{m("c.json", "a.tar"), a, {name: "c.json", link: "/etc/passwd", typ: tar.TypeSymlink}}, "leads out"},
		"layer missing":       {[]tarEntry{m("c.json", "a.tar"), c}, "layer 1: "},
		"layer outside":       {[]tarEntry{m("c.json", "a.tar"), c, {name: "a.tar", link: "../../etc/passwd", typ: tar.TypeSymlink}}, "leads out"},
		"layer changed":       {[]tarEntry{m("c.json", "a.tar"), c, {name: "a.tar", body: layerB}}, "the config says"},
		"layer in bzip2":      {[]tarEntry{m("c.json", "a.tar"), c, {name: "a.tar", body: "BZh91AY"}}, "bzip2"},
		"layers too few":      {[]tarEntry{m("c.json"), c}, "config names 1 layers, manifest.json 0"},
		"layers too many":     {[]tarEntry{m("c.json", "a.tar", "a.tar"), c, a}, "config names 1 layers, manifest.json 2"},
		"blob of other name":  {[]tarEntry{m("c.json", "blobs/sha256/ab"), c, {name: "blobs/sha256/ab", body: layerA}}, "content hashes to"},
		"config of other":     {[]tarEntry{m(blobPath(someDigest), "a.tar"), a, {name: blobPath(someDigest), body: config}}, configDigest.String()},
		"manifest.json twice": {[]tarEntry{m("c.json", "a.tar"), m("c.json", "a.tar"), c, a}, "twice"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeTar(t, tt.entries...)
			_, err := New(Options{}).Resolve(t.Context(), "docker-archive:"+path)
			wantError(t, err, path, tt.err)
			if c := report.Classify(err); c != report.ClassContent {
				t.Errorf("class %d of %v", c, err)
			}
		})
	}
}

func TestDockerArchiveDigest(t *testing.T) {
	path := writeTar(t, savedForms(t)["skopeo"]...)
	source := "docker-archive:" + path
	s := New(Options{})
	desc, err := s.Resolve(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Manifest(t.Context(), source, someDigest)
	if mm, ok := errors.AsType[*digestio.MismatchError](err); !ok || mm.Want.Digest != someDigest || mm.Got != desc.Digest {
		t.Errorf("%v is not the right MismatchError", err)
	}
	_, err = s.Blob(t.Context(), source, ocispec.Descriptor{Digest: someDigest, Size: 3})
	wantError(t, err, "no such blob", someDigest)
	a, _ := sha(layerA)
	_, err = s.Blob(t.Context(), source, ocispec.Descriptor{Digest: a, Size: 3})
	if mm, ok := errors.AsType[*digestio.MismatchError](err); !ok || mm.GotBytes != int64(len(layerA)) {
		t.Errorf("%v is not the right MismatchError", err)
	}

	// The archive is replaced by another image.
	other := savedConfig(layerB)
	next := writeTar(t, tarEntry{name: "c.json", body: other}, tarEntry{name: "b.tar", body: layerB},
		tarEntry{name: "manifest.json", body: savedManifest("c.json", `[]`, "b.tar")})
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	_, _, err = s.Manifest(t.Context(), source, desc.Digest)
	if _, ok := errors.AsType[*digestio.MismatchError](err); !ok {
		t.Errorf("%v, want a MismatchError", err)
	}
}

// Many workers read one archive through one Source.
func TestConcurrentReaders(t *testing.T) {
	docker := "docker-archive:" + writeTar(t, savedForms(t)["skopeo"]...)
	oci := "oci-archive:" + tarDir(t, newLayout(t, map[string]any{"": newIndex(t, types.OCIImageIndex)}))
	s := New(Options{})
	got := make([]ocispec.Descriptor, 16)
	errs := make([]error, len(got))
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			source := []string{docker, oci}[i%2]
			if got[i], errs[i] = s.Resolve(t.Context(), source); errs[i] == nil {
				_, _, errs[i] = s.Manifest(t.Context(), source, got[i].Digest)
			}
		})
	}
	wg.Wait()
	for i, d := range got {
		if diff := cmp.Diff(got[i%2], d); errs[i] != nil || diff != "" {
			t.Errorf("reader %d: %v %s", i, errs[i], diff)
		}
	}
}

func TestDockerArchiveCanceled(t *testing.T) {
	ctx, cancel := contextWithCause(t)
	cancel()
	_, err := New(Options{}).Resolve(ctx, "docker-archive:"+writeTar(t, savedForms(t)["skopeo"]...))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want canceled", err)
	}
}

func TestCompressionOf(t *testing.T) {
	for head, want := range map[string]string{
		"": "", "\x1f": "", "\x1f\x8b\x08": "gzip", "\x28\xb5\x2f\xfd": "zstd", "\x28\xb5": "", "BZh9": "bzip2", "\xfd7zXZ\x00": "xz", "dir/": "",
	} {
		if got := compressionOf([]byte(head)); got != want {
			t.Errorf("compressionOf(%q) = %q, want %q", head, got, want)
		}
	}
}
