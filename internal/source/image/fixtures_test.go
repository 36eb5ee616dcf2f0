package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/registrytest"
)

// TestMain keeps the credentials of whoever runs the tests out of them.
func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "image-test")
	if err != nil {
		panic(err)
	}
	for _, key := range []string{"HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		os.Setenv(key, dir)
	}
	os.Unsetenv("REGISTRY_AUTH_FILE")
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// newImage makes a small image of random content.
func newImage(t testing.TB, mediaType types.MediaType) v1.Image {
	t.Helper()
	img, err := random.Image(3000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if mediaType == types.OCIManifestSchema1 {
		img = mutate.ConfigMediaType(mutate.MediaType(img, mediaType), types.OCIConfigJSON)
	}
	return img
}

// newIndex makes an index of two platforms and, as buildkit does, an attestation for unknown/unknown.
func newIndex(t testing.TB, mediaType types.MediaType) v1.ImageIndex {
	t.Helper()
	child := types.OCIManifestSchema1
	if mediaType == types.DockerManifestList {
		child = types.DockerManifestSchema2
	}
	ix := mutate.IndexMediaType(empty.Index, mediaType)
	for _, p := range []v1.Platform{
		{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}, {OS: "unknown", Architecture: "unknown"},
	} {
		add := mutate.IndexAddendum{Add: newImage(t, child), Descriptor: v1.Descriptor{Platform: &p}}
		if p.OS == "unknown" {
			add.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
		}
		ix = mutate.AppendManifests(ix, add)
	}
	return ix
}

// A describable is an image or an index of go-containerregistry.
type describable interface {
	remote.Taggable
	MediaType() (types.MediaType, error)
	Digest() (v1.Hash, error)
	Size() (int64, error)
}

// descriptorOf is what Resolve should say of d.
func descriptorOf(t testing.TB, d describable) ocispec.Descriptor {
	t.Helper()
	mt, err := d.MediaType()
	if err != nil {
		t.Fatal(err)
	}
	h, err := d.Digest()
	if err != nil {
		t.Fatal(err)
	}
	size, err := d.Size()
	if err != nil {
		t.Fatal(err)
	}
	return ocispec.Descriptor{MediaType: string(mt), Digest: digest.Digest(h.String()), Size: size}
}

// push writes d to a registry and returns its reference.
func push(t testing.TB, reg *registrytest.Registry, repoTag string, d remote.Taggable, opts ...remote.Option) string {
	t.Helper()
	ref, err := name.ParseReference(reg.Host + "/" + repoTag)
	if err != nil {
		t.Fatal(err)
	}
	opts = append(opts, remote.WithTransport(reg.Server.Client().Transport))
	switch d := d.(type) {
	case v1.Image:
		err = remote.Write(ref, d, opts...)
	case v1.ImageIndex:
		err = remote.WriteIndex(ref, d, opts...)
	}
	if err != nil {
		t.Fatal(err)
	}
	reg.Forget()
	return ref.String()
}

// basic is a push option.
func basic(user, password string) remote.Option {
	return remote.WithAuth(&authn.Basic{Username: user, Password: password})
}

// sourceFor returns a Source that may speak plain HTTP to reg.
func sourceFor(reg *registrytest.Registry) *Source {
	return New(Options{PlainHTTP: []string{reg.Host}})
}

// readWhole reads everything that source names, as a build does, and returns how
// many manifests and blobs that were. All of it must verify.
func readWhole(t testing.TB, s *Source, source string) (manifests, blobs int) {
	t.Helper()
	desc, err := s.Resolve(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	return readTree(t, s, source, desc)
}

func readTree(t testing.TB, s *Source, source string, desc ocispec.Descriptor) (manifests, blobs int) {
	t.Helper()
	raw, mediaType, err := s.Manifest(t.Context(), source, desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(raw); got != desc.Digest || int64(len(raw)) != desc.Size || mediaType != desc.MediaType {
		t.Fatalf("manifest is %s of %d bytes, %s; want %v", got, len(raw), mediaType, desc)
	}
	var body struct {
		Manifests []ocispec.Descriptor
		Config    *ocispec.Descriptor
		Layers    []ocispec.Descriptor
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	manifests = 1
	for _, d := range body.Manifests {
		d.Platform, d.Annotations = nil, nil
		m, b := readTree(t, s, source, d)
		manifests, blobs = manifests+m, blobs+b
	}
	if body.Config != nil {
		body.Layers = append(body.Layers, *body.Config)
	}
	for _, d := range body.Layers {
		readBlob(t, s, source, d)
		blobs++
	}
	return manifests, blobs
}

func readBlob(t testing.TB, s *Source, source string, desc ocispec.Descriptor) []byte {
	t.Helper()
	rc, err := s.Blob(t.Context(), source, desc)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	raw, err := digestio.ReadAll(rc, desc, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A tarEntry is written by writeTar; a typ of 0 is a regular file.
type tarEntry struct {
	name, body, link string
	typ              byte
}

func writeTar(t testing.TB, entries ...tarEntry) string {
	t.Helper()
	return writeFile(t, "archive.tar", string(tarBytes(t, entries...)))
}

func tarBytes(t testing.TB, entries ...tarEntry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.typ, Linkname: e.link, Mode: 0o644, Size: int64(len(e.body))}
		if e.typ == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// writeFile writes a file into a new directory and returns its path.
func writeFile(t testing.TB, base, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), base)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// tarDir packs a directory, as tar does, with "./" names.
func tarDir(t testing.TB, dir string) string {
	t.Helper()
	entries := []tarEntry{{name: "./", typ: tar.TypeDir}}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		entries = append(entries, tarEntry{name: "./" + filepath.ToSlash(rel), body: string(raw)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return writeTar(t, entries...)
}

func gzipped(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sha is the digest of s, in full and as hex only.
func sha(s string) (digest.Digest, string) {
	d := digest.FromString(s)
	return d, d.Encoded()
}

// A roundTripper is a function as http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// wantError fails the test unless err says all of the parts.
func wantError(t testing.TB, err error, parts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q does not say %q", err, part)
		}
	}
}
