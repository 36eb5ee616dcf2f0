package image

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/registrytest"
	"airbundle/internal/rpmtest"
	"airbundle/manifest"
)

// skopeo runs skopeo. Without it the test is skipped, but never in CI.
func skopeo(t *testing.T, args ...string) {
	t.Helper()
	bin := rpmtest.Tool(t, "skopeo")
	cmd := exec.CommandContext(t.Context(), bin, append([]string{"--insecure-policy", "--tmpdir", t.TempDir()}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("skopeo %v: %v\n%s", args, err, out)
	}
}

// What skopeo writes in each format names the image that it read.
func TestSkopeo(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	for _, tt := range []struct {
		name             string
		content          describable
		manifests, blobs int
	}{
		{"oci", newImage(t, types.OCIManifestSchema1), 1, 3},
		{"index", newIndex(t, types.OCIImageIndex), 4, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from := push(t, reg, "a/"+tt.name+":v1", tt.content)
			dir := t.TempDir()
			for to, source := range map[string]string{
				"oci:" + dir + "/layout:a/b:v1":          "oci-layout:layout:a/b:v1",
				"oci-archive:" + dir + "/oci.tar:a/b:v1": "oci-archive:oci.tar:a/b:v1",
				"oci-archive:" + dir + "/unnamed.tar":    "oci-archive:unnamed.tar",
			} {
				skopeo(t, "copy", "--all", "--src-tls-verify=false", "docker://"+from, to)
				s := New(Options{Dir: dir})
				// skopeo writes indexes anew, without their annotations; what they list stays.
				got, err := s.Resolve(t.Context(), source)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(listed(t, sourceFor(reg), from, descriptorOf(t, tt.content)), listed(t, s, source, got)); diff != "" {
					t.Errorf("%s: %s", source, diff)
				}
				if m, b := readWhole(t, s, source); m != tt.manifests || b != tt.blobs {
					t.Errorf("%s: %d manifests and %d blobs, want %d and %d", source, m, b, tt.manifests, tt.blobs)
				}
			}
		})
	}
}

// The manifest made for a docker archive is one that skopeo pulls, with the digest that was promised.
func TestSkopeoDockerArchive(t *testing.T) {
	reg := registrytest.Start(t, registrytest.Options{})
	from := "docker://" + push(t, reg, "a/b:v1", newImage(t, types.DockerManifestSchema2))
	dir := t.TempDir()
	skopeo(t, "copy", "--src-tls-verify=false", from, "docker-archive:"+dir+"/saved.tar:demo:v1")
	s := New(Options{Dir: dir})
	for _, source := range []string{"docker-archive:saved.tar", "docker-archive:saved.tar:demo:v1", "docker-archive:saved.tar:docker.io/library/demo:v1"} {
		if m, b := readWhole(t, s, source); m != 1 || b != 3 {
			t.Errorf("%s: %d manifests, %d blobs", source, m, b)
		}
	}
	_, err := s.Resolve(t.Context(), "docker-archive:saved.tar:demo:v2")
	wantError(t, err, `has no image "demo:v2"`, "demo:v1")

	desc, err := s.Resolve(t.Context(), "docker-archive:saved.tar")
	if err != nil {
		t.Fatal(err)
	}
	skopeo(t, "copy", "--preserve-digests", "--dest-tls-verify=false", "oci-archive:"+repack(t, s, "docker-archive:saved.tar", desc), "docker://"+reg.Host+"/a/repacked:v1")
	got, err := sourceFor(reg).Resolve(t.Context(), reg.Host+"/a/repacked:v1")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(desc, got); diff != "" {
		t.Error(diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "saved.tar")); err != nil {
		t.Error(err)
	}
}

// repack writes an image that was read as an archive that skopeo reads.
func repack(t *testing.T, s *Source, source string, desc ocispec.Descriptor) string {
	t.Helper()
	raw, mediaType, err := s.Manifest(t.Context(), source, desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	entries := []tarEntry{
		{name: "oci-layout", body: `{"imageLayoutVersion":"1.0.0"}`},
		{name: "index.json", body: fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, desc.MediaType, desc.Digest, desc.Size)},
		{name: blobPath(desc.Digest), body: string(raw)},
	}
	for _, d := range node.Blobs() {
		entries = append(entries, tarEntry{name: blobPath(d.Digest), body: string(readBlob(t, s, source, d))})
	}
	return writeTar(t, entries...)
}

// listed are the digests that desc stands for: those of an index's entries, or its own.
func listed(t *testing.T, s *Source, source string, desc ocispec.Descriptor) []digest.Digest {
	t.Helper()
	raw, mediaType, err := s.Manifest(t.Context(), source, desc.Digest)
	if err != nil {
		t.Fatal(err)
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	if node.Config != nil {
		return []digest.Digest{desc.Digest}
	}
	var all []digest.Digest
	for _, d := range node.Manifests {
		all = append(all, d.Digest)
	}
	return all
}
