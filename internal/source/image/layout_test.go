package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	gcrlayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/report"
)

// newLayout writes a layout with go-containerregistry; the key is the ref.name, "" for none.
func newLayout(t testing.TB, images map[string]any) string {
	t.Helper()
	dir := t.TempDir()
	l, err := gcrlayout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for ref, content := range images {
		var opts []gcrlayout.Option
		if ref != "" {
			opts = append(opts, gcrlayout.WithAnnotations(map[string]string{ocispec.AnnotationRefName: ref}))
		}
		switch c := content.(type) {
		case v1.Image:
			err = l.AppendImage(c, opts...)
		case v1.ImageIndex:
			err = l.AppendIndex(c, opts...)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLayout(t *testing.T) {
	img, docker, index := newImage(t, types.OCIManifestSchema1), newImage(t, types.DockerManifestSchema2), newIndex(t, types.OCIImageIndex)
	const long = "registry.k8s.io/pause:3.9"
	one := newLayout(t, map[string]any{"": index})
	many := newLayout(t, map[string]any{long: img, "v2": docker, "multi": index})
	for _, tt := range []struct {
		dir, ref         string
		want             describable
		manifests, blobs int
	}{
		{one, "", index, 4, 9},
		{many, ":" + long, img, 1, 3},
		{many, ":v2", docker, 1, 3},
		{many, ":multi", index, 4, 9},
	} {
		for _, source := range []string{"oci-layout:" + tt.dir + tt.ref, "oci-archive:" + tarDir(t, tt.dir) + tt.ref} {
			s := New(Options{})
			got, err := s.Resolve(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(descriptorOf(t, tt.want), got); diff != "" {
				t.Errorf("%s: %s", source, diff)
			}
			if m, b := readWhole(t, s, source); m != tt.manifests || b != tt.blobs {
				t.Errorf("%s: %d manifests and %d blobs, want %d and %d", source, m, b, tt.manifests, tt.blobs)
			}
		}
	}
	// The digest counts, not the name, once it is known.
	if m, _ := readTree(t, New(Options{}), "oci-layout:"+many+":gone", descriptorOf(t, img)); m != 1 {
		t.Error("manifest not found without its name")
	}
	rel := New(Options{Dir: filepath.Dir(many)})
	if m, _ := readWhole(t, rel, "oci-layout:"+filepath.Base(many)+":v2"); m != 1 {
		t.Error("manifest not found below Dir")
	}
}

func TestLayoutSelection(t *testing.T) {
	a, b := newImage(t, types.OCIManifestSchema1), newImage(t, types.OCIManifestSchema1)
	two := newLayout(t, map[string]any{"a": a, "b": b})
	same := newLayout(t, map[string]any{"a": a})
	appendEntry(t, same, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: someDigest, Size: 3, Annotations: map[string]string{ocispec.AnnotationRefName: "a"}})
	for _, tt := range []struct {
		source string
		err    []string
	}{
		{two, []string{"lists 2 images", `"a"`, `"b"`}},
		{two + ":c", []string{`has no image "c"`, `"a"`, `"b"`}},
		{two + ":A", []string{`has no image "A"`}},
		{same + ":a", []string{`gives the name "a" to`, someDigest}},
		{newLayout(t, nil), []string{"lists no image"}},
	} {
		_, err := New(Options{}).Resolve(t.Context(), "oci-layout:"+tt.source)
		wantError(t, err, append(tt.err, "index.json", "oci-layout:"+tt.source)...)
		if c := report.Classify(err); c != report.ClassContent {
			t.Errorf("class %d of %v", c, err)
		}
	}
}

// appendEntry adds a descriptor to index.json by hand.
func appendEntry(t testing.TB, dir string, d ocispec.Descriptor) {
	t.Helper()
	path := filepath.Join(dir, "index.json")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var ix ocispec.Index
	if err := json.Unmarshal(raw, &ix); err != nil {
		t.Fatal(err)
	}
	ix.Manifests = append(ix.Manifests, d)
	if raw, err = json.Marshal(ix); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLayoutDamage(t *testing.T) {
	img := newImage(t, types.OCIManifestSchema1)
	want := descriptorOf(t, img)
	manifestFile := filepath.FromSlash(blobPath(want.Digest))
	raw, err := img.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, file, content, err string
		mismatch                 bool
	}{
		{name: "no layout file", file: "oci-layout", err: "not an OCI image layout"},
		{name: "newer layout", file: "oci-layout", content: `{"imageLayoutVersion":"2.0.0"}`, err: `"2.0.0" is not 1.0.0`},
		{name: "layout file is not JSON", file: "oci-layout", content: `x`, err: "not JSON"},
		{name: "no index", file: "index.json", err: "no such"},
		{name: "index is not JSON", file: "index.json", content: `{`, err: "not JSON"},
		{name: "index twice in one", file: "index.json", content: `{"manifests":[],"manifests":[]}`, err: "twice"},
		{name: "index with traversal", file: "index.json", content: `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:../../../../etc/passwd","size":1}]}`, err: "invalid checksum digest"},
		{name: "index with a negative size", file: "index.json", content: fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":-1}]}`, want.Digest), mismatch: true},
		{name: "manifest announced as huge", file: "index.json", content: fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":%q,"size":%d}]}`, want.Digest, 5<<20), err: "allowed here"},
		{name: "manifest announced as something else", file: "index.json", content: fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, ocispec.MediaTypeImageIndex, want.Digest, want.Size), err: "media type confusion"},
		{name: "manifest gone", file: manifestFile, err: "incomplete"},
		{name: "manifest cut", file: manifestFile, content: string(raw[:len(raw)-1]), mismatch: true},
		{name: "manifest changed", file: manifestFile, content: strings.Replace(string(raw), `"schemaVersion":2`, `"schemaVersion":3`, 1), mismatch: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newLayout(t, map[string]any{"v1": img})
			path := filepath.Join(dir, tt.file)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if tt.content != "" {
				if err := os.WriteFile(path, []byte(tt.content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			for _, source := range []string{"oci-layout:" + dir, "oci-archive:" + tarDir(t, dir)} {
				_, err := New(Options{}).Resolve(t.Context(), source)
				wantError(t, err, source, tt.err)
				if _, ok := errors.AsType[*digestio.MismatchError](err); ok != tt.mismatch {
					t.Errorf("MismatchError %t: %v", ok, err)
				}
				if c := report.Classify(err); c != report.ClassContent && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("class %d of %v", c, err)
				}
			}
		})
	}
}

func TestLayoutBlob(t *testing.T) {
	img := newImage(t, types.OCIManifestSchema1)
	dir := newLayout(t, map[string]any{"": img})
	manifestDesc := descriptorOf(t, img)
	for _, source := range []string{"oci-layout:" + dir, "oci-archive:" + tarDir(t, dir)} {
		s := New(Options{})
		short := ocispec.Descriptor{Digest: manifestDesc.Digest, Size: manifestDesc.Size + 1}
		_, err := s.Blob(t.Context(), source, short)
		if mm, ok := errors.AsType[*digestio.MismatchError](err); !ok || mm.GotBytes != manifestDesc.Size {
			t.Errorf("%v is not the right MismatchError", err)
		}
		_, err = s.Blob(t.Context(), source, ocispec.Descriptor{Digest: someDigest, Size: 3})
		if !errors.Is(err, fs.ErrNotExist) || report.Classify(err) != report.ClassContent {
			t.Errorf("%v does not say that the blob is missing", err)
		}
		wantError(t, err, "blob "+someDigest+" of image "+source)
		_, err = s.Blob(t.Context(), source, ocispec.Descriptor{Digest: "sha256:../../x", Size: 3})
		wantError(t, err, "invalid checksum digest")
		_, _, err = s.Manifest(t.Context(), source, "md5:abc")
		wantError(t, err, "md5:abc")
		_, _, err = s.Manifest(t.Context(), source, someDigest)
		wantError(t, err, "do not list it", someDigest)
	}
}

// nest returns a layout in which an image lies below depth indexes.
func nest(t *testing.T, depth int) (dir string, image ocispec.Descriptor) {
	t.Helper()
	dir = newLayout(t, nil)
	img := newImage(t, types.OCIManifestSchema1)
	if err := gcrlayout.Path(dir).WriteImage(img); err != nil {
		t.Fatal(err)
	}
	image = descriptorOf(t, img)
	top := image
	for range depth {
		raw, err := json.Marshal(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{top}})
		if err != nil {
			t.Fatal(err)
		}
		raw = append([]byte(`{"schemaVersion":2,`), strings.Replace(string(raw[1:]), `"schemaVersion":0,`, "", 1)...)
		top = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		if err := os.WriteFile(filepath.Join(dir, blobPath(top.Digest)), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	appendEntry(t, dir, top)
	return dir, image
}

func TestLayoutDepth(t *testing.T) {
	for depth := range 6 {
		dir, img := nest(t, depth)
		_, _, err := New(Options{}).Manifest(t.Context(), "oci-layout:"+dir, img.Digest)
		switch {
		case depth <= maxDepth && err != nil:
			t.Errorf("depth %d: %v", depth, err)
		case depth > maxDepth:
			wantError(t, err, "more than 4 deep")
		}
		if _, _, err = New(Options{}).Manifest(t.Context(), "oci-layout:"+dir, someDigest); depth <= maxDepth {
			wantError(t, err, "do not list it")
		}
	}
}

// One broken index does not hide what another one lists, but is named when nothing else is found.
func TestLayoutBrokenIndex(t *testing.T) {
	dir, img := nest(t, 1)
	appendEntry(t, dir, ocispec.Descriptor{MediaType: ocispec.MediaTypeImageIndex, Digest: someDigest, Size: 3})
	s := New(Options{})
	if _, _, err := s.Manifest(t.Context(), "oci-layout:"+dir, img.Digest); err != nil {
		t.Error(err)
	}
	_, other := sha("other")
	_, _, err := s.Manifest(t.Context(), "oci-layout:"+dir, digest.Digest("sha256:"+other))
	wantError(t, err, someDigest[7:], "incomplete")
}

func TestLayoutFiles(t *testing.T) {
	img := newImage(t, types.OCIManifestSchema1)
	dir := newLayout(t, map[string]any{"": img})
	path := filepath.Join(dir, filepath.FromSlash(blobPath(descriptorOf(t, img).Digest)))
	if err := os.Rename(path, path+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(path+".moved", path); err != nil {
		t.Fatal(err)
	}
	if m, b := readWhole(t, New(Options{}), "oci-layout:"+dir); m != 1 || b != 3 {
		t.Errorf("over a symbolic link: %d manifests, %d blobs", m, b)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := New(Options{}).Resolve(t.Context(), "oci-layout:"+dir)
	wantError(t, err, "not a regular file")
	_, err = New(Options{}).Resolve(t.Context(), "oci-layout:"+dir+"/nothing")
	if !errors.Is(err, fs.ErrNotExist) || report.Classify(err) == report.ClassContent {
		t.Errorf("%v does not say that the directory is missing", err)
	}
}

func TestLayoutEndsWithItsContext(t *testing.T) {
	img := newImage(t, types.OCIManifestSchema1)
	dir, desc := newLayout(t, map[string]any{"": img}), descriptorOf(t, img)
	ctx, cancel := contextWithCause(t)
	cancel()
	s := New(Options{})
	_, resolved := s.Resolve(ctx, "oci-layout:"+dir)
	_, _, read := s.Manifest(ctx, "oci-layout:"+dir, desc.Digest)
	for _, err := range []error{resolved, read} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want canceled", err)
		}
	}
}
