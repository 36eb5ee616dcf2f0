package manifest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestParseImage(t *testing.T) {
	d := func(s string) string { return fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":1}`, sum(s)) }
	for _, c := range []struct {
		name, mediaType, raw string
		ok                   bool
	}{
		{"docker manifest", MediaTypeDockerManifest, `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `","config":` + d("c") + `,"layers":[` + d("l") + `]}`, true},
		{"OCI manifest without media type", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + d("c") + `}`, true},
		{"index", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + d("m") + `]}`, true},
		{"unknown member", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"x":1,"manifests":[]}`, true},
		{"schema 1", MediaTypeDockerManifest, `{"schemaVersion":1,"fsLayers":[]}`, false},
		{"schema 1 in disguise", MediaTypeDockerManifest, `{"schemaVersion":2,"fsLayers":[],"config":` + d("c") + `}`, false},
		{"other media type", MediaTypeDockerManifest, `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerList + `","config":` + d("c") + `}`, false},
		{"manifest and index", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"config":` + d("c") + `}`, false},
		{"index that is a manifest", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"config":` + d("c") + `}`, false},
		{"manifest without config", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"layers":[]}`, false},
		{"a layer type", ocispec.MediaTypeImageLayer, `{"schemaVersion":2,"config":` + d("c") + `}`, false},
		{"sha512", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":{"digest":"sha512:` + strings.Repeat("a", 128) + `","size":1}}`, false},
		{"negative size", ocispec.MediaTypeImageIndex, strings.Replace(`{"schemaVersion":2,"manifests":[`+d("m")+`]}`, `"size":1`, `"size":-1`, 1), false},
		{"fraction", ocispec.MediaTypeImageIndex, strings.Replace(`{"schemaVersion":2,"manifests":[`+d("m")+`]}`, `"size":1`, `"size":1.5`, 1), false},
		{"field twice", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"manifests":[` + d("m") + `]}`, false},
		{"field in other case", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[],"Manifests":[` + d("m") + `]}`, false},
		{"text behind", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]} x`, false},
		{"two documents", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}{}`, false},
		{"a list", ocispec.MediaTypeImageIndex, `[]`, false},
		{"cut", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[`, false},
		{"not JSON", ocispec.MediaTypeImageIndex, `<html>`, false},
		{"too large", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}` + strings.Repeat(" ", MaxImageJSON), false},
	} {
		if _, err := ParseImage(c.mediaType, []byte(c.raw)); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestDeriveIndex(t *testing.T) {
	entry := func(s string) string {
		return fmt.Sprintf(`{ "size":7, "digest":%q, "mediaType":%q, "platform":{"os":"linux","architecture":"amd64"}, "extra":1.0 }`, sum(s), MediaTypeDockerManifest)
	}
	raw := []byte("{\n \"manifests\": [" + entry("a") + "," + entry("b") + "],\n \"schemaVersion\": 2, \"annotations\": {\"k\":\"v\"}}")
	all, err := DeriveIndex(MediaTypeDockerList, raw, map[digest.Digest]bool{sum("a"): true, sum("b"): true})
	if err != nil || string(all) != string(raw) {
		t.Errorf("keeping all must give the original bytes: %s, %v", all, err)
	}
	one, err := DeriveIndex(MediaTypeDockerList, raw, map[digest.Digest]bool{sum("b"): true})
	want := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[{"size":7,"digest":%q,"mediaType":%q,"platform":{"os":"linux","architecture":"amd64"},"extra":1.0}]}`,
		MediaTypeDockerList, sum("b"), MediaTypeDockerManifest)
	if err != nil || string(one) != want {
		t.Errorf("got  %s\nwant %s\n%v", one, want, err)
	}
	if _, err := DeriveIndex(MediaTypeDockerList, raw, nil); err == nil {
		t.Error("an index of nothing was derived")
	}
}

func TestPlatforms(t *testing.T) {
	for _, c := range []struct {
		p    *ocispec.Platform
		want string
	}{
		{nil, ""},
		{&ocispec.Platform{OS: "linux", Architecture: "amd64"}, "linux/amd64"},
		{&ocispec.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, "linux/arm64"},
		{&ocispec.Platform{OS: "linux", Architecture: "arm", Variant: "v7"}, "linux/arm/v7"},
		{&ocispec.Platform{Architecture: "amd64"}, ""},
	} {
		if got := PlatformOf(c.p); got != c.want {
			t.Errorf("PlatformOf(%+v) = %q, want %q", c.p, got, c.want)
		}
	}
	for _, arch := range []string{"x86_64", "aarch64"} {
		if got := ArchOf(PlatformFor(arch)); got != arch {
			t.Errorf("%s became %q", arch, got)
		}
	}
	if ArchOf("linux/s390x") != "" || PlatformFor("s390x") != "" {
		t.Error("an unknown arch was converted")
	}
}

func TestSplitReference(t *testing.T) {
	for _, c := range [][3]string{
		{"a:1", "a", "1"},
		{"host:5000/a/b", "host:5000/a/b", ""},
		{"host:5000/a/b:1", "host:5000/a/b", "1"},
		{"host/a:1@sha256:00", "host/a", "1"},
		{"host/a@sha256:00", "host/a", ""},
	} {
		if repo, tag := SplitReference(c[0]); repo != c[1] || tag != c[2] {
			t.Errorf("%s: %q, %q", c[0], repo, tag)
		}
	}
}

// A world is a set of blobs that a bundle of one image is made of.
type world struct {
	blobs map[digest.Digest][]byte
	table Table
}

func (w *world) add(mediaType, raw string) ocispec.Descriptor {
	d := ocispec.Descriptor{MediaType: mediaType, Digest: sum(raw), Size: int64(len(raw))}
	w.blobs[d.Digest] = []byte(raw)
	w.table.Blobs = append(w.table.Blobs, blobOf(d))
	return d
}

func (w *world) read(_ context.Context, d ocispec.Descriptor) ([]byte, error) {
	raw, ok := w.blobs[d.Digest]
	if !ok || int64(len(raw)) != d.Size {
		return nil, errors.New("not whole")
	}
	return raw, nil
}

func descriptorJSON(d ocispec.Descriptor, platform string) string {
	s := fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d`, d.MediaType, d.Digest, d.Size)
	if goos, arch, ok := strings.Cut(platform, "/"); ok {
		s += fmt.Sprintf(`,"platform":{"os":%q,"architecture":%q}`, goos, arch)
	}
	return s + "}"
}

// platform adds one platform's config, layer and manifest.
func (w *world) platform(p, configSays string) ocispec.Descriptor {
	goos, arch, _ := strings.Cut(configSays, "/")
	config := w.add(ocispec.MediaTypeImageConfig, fmt.Sprintf(`{"os":%q,"architecture":%q,"x":%q}`, goos, arch, p))
	layer := w.add(ocispec.MediaTypeImageLayerGzip, "layer of "+p)
	return w.add(ocispec.MediaTypeImageManifest, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, descriptorJSON(config, ""), descriptorJSON(layer, "")))
}

// twoPlatforms is an image of amd64 and arm64 carried out of an index of three.
func twoPlatforms(t *testing.T, spoil func(w *world, img *Image)) (*Bundle, Image, *world, error) {
	t.Helper()
	w := &world{blobs: map[digest.Digest][]byte{}, table: Table{Name: "w", Lock: sum("l"), Arches: []string{"aarch64", "x86_64"}}}
	a, b := w.platform("linux/amd64", "linux/amd64"), w.platform("linux/arm64", "linux/arm64")
	other := fmt.Sprintf(`{"mediaType":"x","digest":%q,"size":1,"platform":{"os":"linux","architecture":"s390x"}}`, sum("other"))
	raw := fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s,%s,%s]}`, descriptorJSON(a, "linux/amd64"), descriptorJSON(b, "linux/arm64"), other)
	original := w.add(ocispec.MediaTypeImageIndex, raw)
	derived, err := DeriveIndex(ocispec.MediaTypeImageIndex, []byte(raw), map[digest.Digest]bool{a.Digest: true, b.Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	top := w.add(ocispec.MediaTypeImageIndex, string(derived))
	img := Image{Name: "h/a:1", Digest: top.Digest, Original: original.Digest, Platforms: []Platform{{"linux/amd64", a.Digest}, {"linux/arm64", b.Digest}}}
	if spoil != nil {
		spoil(w, &img)
	}
	w.table.Images = []Image{img}
	bundle, err := New(w.table)
	if err != nil {
		return nil, img, w, err
	}
	_, err = bundle.ReadImage(t.Context(), img, w.read)
	return bundle, img, w, err
}

func TestReadImage(t *testing.T) {
	bundle, img, w, err := twoPlatforms(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := bundle.ReadImage(t.Context(), img, w.read)
	if err != nil || len(tree.Manifests()) != 2 || tree.Children[0].Platform != "linux/amd64" {
		t.Fatalf("%+v, %v", tree, err)
	}
	if needs := tree.Needs(img); len(needs) != len(w.blobs) {
		t.Errorf("the image needs %d blobs, there are %d", len(needs), len(w.blobs))
	}
}

func TestReadImageRefuses(t *testing.T) {
	for name, spoil := range map[string]func(w *world, img *Image){
		"platforms swapped": func(_ *world, img *Image) {
			img.Platforms[0].Digest, img.Platforms[1].Digest = img.Platforms[1].Digest, img.Platforms[0].Digest
		},
		"platform not listed":   func(_ *world, img *Image) { img.Platforms = img.Platforms[:1] },
		"platform not in index": func(w *world, img *Image) { img.Platforms[0].Digest = w.platform("linux/s390x", "linux/s390x").Digest },
		"original of other things": func(w *world, img *Image) {
			img.Original = w.add(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}`).Digest
		},
		"derived as original": func(_ *world, img *Image) { img.Digest, img.Original = img.Original, "" },
		"layer not carried":   func(w *world, _ *Image) { w.drop("layer of linux/arm64") },
		"layer of other size": func(w *world, _ *Image) { w.resize("layer of linux/arm64") },
		"config for another platform": func(w *world, img *Image) {
			m := w.platform("linux/amd64", "linux/arm64")
			img.Digest, img.Original, img.Platforms = m.Digest, "", []Platform{{"linux/amd64", m.Digest}}
		},
		"single manifest, two platforms": func(_ *world, img *Image) { img.Digest, img.Original = img.Platforms[0].Digest, "" },
		"manifest damaged":               func(w *world, img *Image) { w.blobs[img.Platforms[1].Digest] = []byte("{}") },
	} {
		if _, _, _, err := twoPlatforms(t, spoil); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func (w *world) drop(raw string) {
	for i, b := range w.table.Blobs {
		if b.Digest == sum(raw) {
			w.table.Blobs[i] = Blob{ocispec.MediaTypeImageLayerGzip, sum("something else"), 1}
		}
	}
}

func (w *world) resize(raw string) {
	for i, b := range w.table.Blobs {
		if b.Digest == sum(raw) {
			w.table.Blobs[i].Size++
		}
	}
}
