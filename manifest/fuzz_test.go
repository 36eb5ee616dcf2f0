package manifest

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/distribution/reference"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/fuzztest"
)

// What is taken for the root of a bundle, or for the file that stands for one, is in the
// one form that there is of it.
func FuzzOpenRootFile(f *testing.F) {
	b := mustNew(f, sample())
	root, _ := b.raw()
	f.Add(b.EncodeRootFile())
	f.Add(mustNew(f, withMetadata()).EncodeRootFile())
	f.Add(root)
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		if b, err := OpenRootFile(raw); err == nil {
			again, err := New(*b.Table)
			if err != nil || !bytes.Equal(again.EncodeRootFile(), raw) {
				t.Errorf("opened, but not what is written of it: %v", err)
			}
		}
		if m, err := DecodeRoot(raw); err == nil {
			if again, err := encode(m); err != nil || !bytes.Equal(again, raw) {
				t.Errorf("decoded, but encoded as %s, %v", again, err)
			}
		}
	})
}

// mediaTypes are those of which FuzzParseImage takes one.
var mediaTypes = []string{ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex, MediaTypeDockerManifest, MediaTypeDockerList}

// A manifest that is accepted is read alike by another library, holds what a descriptor may
// hold, and an index made of it holds the entries that it should.
func FuzzParseImage(f *testing.F) {
	one, two := string(sum("one")), string(sum("two"))
	entry := func(d, arch string) string {
		return `{"mediaType":"` + ocispec.MediaTypeImageManifest + `","digest":"` + d + `","size":3,"platform":{"os":"linux","architecture":"` + arch + `"}}`
	}
	f.Add(byte(0), []byte(`{"schemaVersion":2,"config":{"mediaType":"a/b","digest":"`+one+`","size":2},"layers":[{"mediaType":"c/d","digest":"`+two+`","size":0}]}`))
	f.Add(byte(1), []byte(`{"schemaVersion":2,"mediaType":"`+ocispec.MediaTypeImageIndex+`","manifests":[`+entry(one, "amd64")+`, `+entry(two, "arm64")+`]}`))
	f.Add(byte(2), []byte(`{"schemaVersion":1,"fsLayers":[]}`))
	fuzztest.Run(f, func(t *testing.T, kind byte, raw []byte) {
		mediaType := mediaTypes[int(kind)%len(mediaTypes)]
		n, err := ParseImage(mediaType, raw)
		if err != nil || twice(json.NewDecoder(bytes.NewReader(raw))) {
			return
		}
		all := append(n.Blobs(), n.Manifests...)
		for _, d := range all {
			if CheckDigest(d.Digest) != nil || d.Size < 0 {
				t.Errorf("descriptor %+v", d)
			}
		}
		var theirs []digest.Digest
		if IsIndex(mediaType) {
			m, err := v1.ParseIndexManifest(bytes.NewReader(raw))
			if err != nil {
				t.Fatalf("go-containerregistry: %v", err)
			}
			for _, d := range m.Manifests {
				theirs = append(theirs, digest.Digest(d.Digest.String()))
			}
			derive(t, mediaType, raw, n)
		} else {
			m, err := v1.ParseManifest(bytes.NewReader(raw))
			if err != nil {
				t.Fatalf("go-containerregistry: %v", err)
			}
			for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
				theirs = append(theirs, digest.Digest(d.Digest.String()))
			}
		}
		var ours []digest.Digest
		for _, d := range all {
			ours = append(ours, d.Digest)
		}
		if diff := cmp.Diff(theirs, ours); diff != "" {
			t.Errorf("(-go-containerregistry +ours):\n%s", diff)
		}
	})
}

// twice says whether the next value has an object with a member twice, at any depth: of
// those, libraries differ in which one counts.
func twice(d *json.Decoder) bool {
	open, err := d.Token()
	if err != nil || open != json.Delim('{') && open != json.Delim('[') {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		if open == json.Delim('{') {
			key, err := d.Token()
			name, _ := key.(string)
			if err != nil || seen[strings.ToLower(name)] {
				return true
			}
			seen[strings.ToLower(name)] = true
		}
		if twice(d) {
			return true
		}
	}
	_, err = d.Token()
	return err != nil
}

// derive keeps the first entry of an index only, and reads what is left.
func derive(t *testing.T, mediaType string, raw []byte, n *ImageNode) {
	t.Helper()
	if len(n.Manifests) == 0 {
		return
	}
	first := n.Manifests[0]
	out, err := DeriveIndex(mediaType, raw, map[digest.Digest]bool{first.Digest: true})
	if err != nil {
		t.Fatalf("an index of one entry: %v", err)
	}
	left, err := ParseImage(mediaType, out)
	if err != nil {
		t.Fatalf("what was made is no index: %v\n%s", err, out)
	}
	want := slices.DeleteFunc(slices.Clone(n.Manifests), func(d ocispec.Descriptor) bool { return d.Digest != first.Digest })
	if diff := cmp.Diff(want, left.Manifests); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What the grammars let through means the same to others: the names of images to docker, the
// paths to a file system and in a URL.
func FuzzNames(f *testing.F) {
	for _, s := range []string{"library/busybox", "a/b__c:1.2", "x:" + strings.Repeat("t", 128), "dir/file name.tar", "../x", "a//b", "é/%41?#", string(sum("a")), "24c6a8a7f4a80eb5", "a\u202eb"} {
		f.Add(s)
	}
	fuzztest.Run(f, func(t *testing.T, s string) {
		if CheckRepository(s) == nil {
			if named, err := reference.WithName("registry.example/" + s); err != nil && len(s) < 200 {
				t.Errorf("docker on repository %q: %v, %v", s, named, err)
			}
		}
		if CheckPublish(s) == nil {
			repository, tag := SplitReference(s)
			if repository+":"+tag != s || CheckRepository(repository) != nil {
				t.Errorf("%q is split into %q and %q", s, repository, tag)
			}
			if _, err := reference.Parse("registry.example/" + s); err != nil && len(s) < 200 {
				t.Errorf("docker on %q: %v", s, err)
			}
		}
		if name, err := ImageName(s); err == nil {
			if again, err := ImageName(name); err != nil || again != name {
				t.Errorf("the name %q of %q has the name %q: %v", name, s, again, err)
			}
		}
		if CheckDigest(digest.Digest(s)) == nil && digest.Digest(s).Validate() != nil {
			t.Errorf("%q is no digest", s)
		}
		if CheckPath(s) == nil {
			u := (&url.URL{Scheme: "http", Host: "h", Path: "/r/" + s}).String()
			back, err := url.Parse(u)
			if err != nil || back.Path != "/r/"+s || !fs.ValidPath(s) || path.Clean("/"+s) != "/"+s || CheckText(s) != nil {
				t.Errorf("path %q, as %s: %v", s, u, err)
			}
		}
		for part := range strings.SplitSeq(s, "\n") {
			if CheckText(part) == nil && strings.ContainsAny(part, "\x00\r\x1b\x7f\u2028\u202e\u200b") {
				t.Errorf("text %q", part)
			}
		}
	})
}
