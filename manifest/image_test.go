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
	d := func(s string) string { return fmt.Sprintf(`{"mediaType":"x/y","digest":%q,"size":1}`, sum(s)) }
	for _, c := range []struct {
		name, mediaType, raw string
		ok                   bool
	}{
		{"docker manifest", MediaTypeDockerManifest, `{"schemaVersion":2,"mediaType":"` + MediaTypeDockerManifest + `","config":` + d("c") + `,"layers":[` + d("l") + `]}`, true},
		{"OCI manifest without media type", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + d("c") + `,"layers":[]}`, true},
		{"manifest without layers", ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":` + d("c") + `}`, false},
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
		{"descriptor of no type", ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[` + strings.Replace(d("m"), "x/y", "", 1) + `]}`, false},
		{"NUL in a type", MediaTypeDockerManifest, `{"schemaVersion":2,"config":` + strings.Replace(d("c"), "x/y", `x/y\u0000`, 1) + `,"layers":[]}`, false},
		{"type with a parameter", MediaTypeDockerManifest, `{"schemaVersion":2,"config":` + d("c") + `,"layers":[` + strings.Replace(d("l"), "x/y", "x/y; a=b", 1) + `]}`, false},
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

// Each version is told as what it is.
func TestParseImageTellsVersions(t *testing.T) {
	for _, c := range []struct{ raw, want string }{
		{`{"schemaVersion":1,"fsLayers":[]}`, "an image of schema version 1: "},
		{`{"schemaVersion":1,"manifests":[]}`, "an image of schema version 1: "},
		{`{"schemaVersion":2,"fsLayers":[],"manifests":[]}`, "an image of schema version 1: "},
		{`{"manifests":[]}`, "no schemaVersion: it must be 2"},
		{`{"schemaVersion":7,"manifests":[]}`, "schemaVersion 7 is not known, it must be 2"},
		{`{"schemaVersion":-1,"manifests":[]}`, "schemaVersion -1 is not known, it must be 2"},
	} {
		if _, err := ParseImage(ocispec.MediaTypeImageIndex, []byte(c.raw)); err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.raw, err, c.want)
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

func TestDeriveIndexOfOddInput(t *testing.T) {
	entry := func(s, more string) string {
		return fmt.Sprintf(`{"mediaType":"a/m","digest":%q,"size":1%s}`, sum(s), more)
	}
	const head = `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `","manifests":[`
	for _, c := range []struct{ name, raw, want, err string }{
		{"braces in strings", entry("a", `,"x":"] } \\\" {"`) + "," + entry("b", ""), entry("a", `,"x":"] } \\\" {"`), ""},
		{"escapes stay", entry("a", `,"x":"\u0041\/"`) + "," + entry("b", ""), entry("a", `,"x":"\u0041\/"`), ""},
		{"number forms stay", entry("a", `,"x":[1e2,-0.0]`) + "," + entry("b", ""), entry("a", `,"x":[1e2,-0.0]`), ""},
		{"white space goes", entry("b", "") + ",\n\t" + entry("a", ` , "x" : " y " `), entry("a", `,"x":" y "`), ""},
		{"one digest twice", entry("a", "") + "," + entry("b", "") + "," + entry("a", `,"x":2`), entry("a", "") + "," + entry("a", `,"x":2`), ""},
		{"nothing kept", entry("b", ""), "", "no platform of the index is left"},
		{"no entries", "", "", "no platform of the index is left"},
		{"bad digest", `{"mediaType":"a/m","digest":"sha256:A","size":1}`, "", `digest "sha256:A" is not sha256: and 64`},
		{"an entry that is null", "null," + entry("a", ""), "", `manifests[0]: is null, not an object`},
		{"an entry that is text", `"a"`, "", "manifests[0]: is a string, not an object"},
	} {
		got, err := DeriveIndex(ocispec.MediaTypeImageIndex, []byte(head+c.raw+"]}"), map[digest.Digest]bool{sum("a"): true})
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: got %v, want %s", c.name, err, c.err)
			}
			continue
		}
		if want := head + c.want + "]}"; err != nil || string(got) != want {
			t.Errorf("%s: %v\ngot  %s\nwant %s", c.name, err, got, want)
		}
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
	other := fmt.Sprintf(`{"mediaType":"x/y","digest":%q,"size":1,"platform":{"os":"linux","architecture":"s390x"}}`, sum("other"))
	raw := fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s,%s,%s]}`, descriptorJSON(a, "linux/amd64"), descriptorJSON(b, "linux/arm64"), other)
	original := w.add(ocispec.MediaTypeImageIndex, raw)
	derived, err := DeriveIndex(ocispec.MediaTypeImageIndex, []byte(raw), map[digest.Digest]bool{a.Digest: true, b.Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	top := w.add(ocispec.MediaTypeImageIndex, string(derived))
	img := Image{Name: "h.io/a:1", Digest: top.Digest, Original: original.Digest, Platforms: []Platform{{"linux/amd64", a.Digest}, {"linux/arm64", b.Digest}}}
	if spoil != nil {
		spoil(w, &img)
	}
	w.table.Images = []Image{img}
	if len(img.Platforms) == 1 {
		w.table.Absent = []Absent{{img.Name, "aarch64", "not made"}}
	}
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
	for name, c := range map[string]struct {
		spoil func(w *world, img *Image)
		want  string
	}{
		"platforms swapped": {func(_ *world, img *Image) {
			img.Platforms[0].Digest, img.Platforms[1].Digest = img.Platforms[1].Digest, img.Platforms[0].Digest
		}, `is for "linux/amd64", the table says linux/arm64`},
		"platform not listed":   {func(_ *world, img *Image) { img.Platforms = img.Platforms[:1] }, "the table does not"},
		"platform not in index": {func(w *world, img *Image) { img.Platforms[0].Digest = w.platform("linux/s390x", "linux/s390x").Digest }, "is not in the index"},
		"original of other things": {func(w *world, img *Image) {
			img.Original = w.add(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}`).Digest
		}, "no platform of the index is left"},
		"original of another type": {func(w *world, img *Image) {
			img.Original = w.add(MediaTypeDockerList, string(w.blobs[img.Original])+" ").Digest
		}, "gives the derived index"},
		"original a manifest": {func(_ *world, img *Image) { img.Original = img.Platforms[0].Digest }, "no platform of the index is left"},
		"derived as original": {func(_ *world, img *Image) { img.Digest, img.Original = img.Original, "" }, "the table does not"},
		"layer not carried":   {func(w *world, _ *Image) { w.drop("layer of linux/arm64") }, "which is not carried"},
		"layer of other size": {func(w *world, _ *Image) { w.resize("layer of linux/arm64") }, "bytes, the table says"},
		"config for another platform": {func(w *world, img *Image) {
			m := w.platform("linux/amd64", "linux/arm64")
			img.Digest, img.Original, img.Platforms = m.Digest, "", []Platform{{"linux/amd64", m.Digest}}
		}, `is for "linux/arm64"`},
		"config that is no JSON": {func(w *world, img *Image) {
			w.only(img, ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":`+descriptorJSON(w.add(ocispec.MediaTypeImageConfig, "\x1b"), "")+`,"layers":[]}`)
		}, "image config: "},
		"config of 5 MiB": {func(w *world, img *Image) {
			w.only(img, ocispec.MediaTypeImageManifest, `{"schemaVersion":2,"config":`+descriptorJSON(w.add(ocispec.MediaTypeImageConfig, strings.Repeat(" ", 5<<20)), "")+`,"layers":[]}`)
		}, "more than the 4194304 allowed"},
		"manifest of 5 MiB":              {func(w *world, img *Image) { w.only(img, ocispec.MediaTypeImageManifest, strings.Repeat(" ", 5<<20)) }, "more than the 4194304 allowed"},
		"a layer in its place":           {func(w *world, img *Image) { w.only(img, ocispec.MediaTypeImageLayer, `{"schemaVersion":2}`) }, "is neither an image manifest nor an index"},
		"index in an index":              {nested, "is an index itself"},
		"single manifest, two platforms": {func(_ *world, img *Image) { img.Digest, img.Original = img.Platforms[0].Digest, "" }, "is a manifest of one platform, the table lists 2"},
		"manifest damaged":               {func(w *world, img *Image) { w.blobs[img.Platforms[1].Digest] = []byte("{}") }, "not whole"},
		"config damaged":                 {func(w *world, _ *Image) { w.damage("linux/arm64") }, "config "},
	} {
		if _, _, _, err := twoPlatforms(t, c.spoil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", name, err, c.want)
		}
	}
}

// only makes the image one document.
func (w *world) only(img *Image, mediaType, raw string) {
	d := w.add(mediaType, raw).Digest
	img.Digest, img.Original, img.Platforms = d, "", []Platform{{"linux/amd64", d}}
}

// nested makes the image an index that lists an index.
func nested(w *world, img *Image) {
	inner := w.add(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[]}`)
	outer := w.add(ocispec.MediaTypeImageIndex, `{"schemaVersion":2,"manifests":[`+descriptorJSON(inner, "linux/amd64")+`]}`)
	img.Digest, img.Original, img.Platforms = outer.Digest, "", []Platform{{"linux/amd64", inner.Digest}}
}

// damage takes a config's content away.
func (w *world) damage(platform string) {
	for d, raw := range w.blobs {
		if strings.Contains(string(raw), fmt.Sprintf(`"x":%q`, platform)) {
			delete(w.blobs, d)
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
