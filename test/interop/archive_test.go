package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/content/file"
	"oras.land/oras-go/v2/content/oci"

	"airbundle/internal/rpmtest"
)

// want is the digest that targets and readers have to show for an image.
func (d *demo) want(repository string) string {
	if repository == "team/derived" {
		return d.derived
	}
	return d.images[repository].digest
}

func digestOf(raw string) string { return digest.FromString(raw).String() }

// TestDerivedIndex compares the index that stands for one with dropped platforms with
// its original.
func TestDerivedIndex(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	img := d.images["team/derived"]
	raw := tool(t, "skopeo", "inspect", "--raw", "oci-archive:"+d.archive+":"+img.source)
	var want, got ocispec.Index
	if err := json.Unmarshal(img.raw, &want); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(raw), &got); err != nil {
		t.Fatal(err)
	}
	want.Manifests = slices.DeleteFunc(want.Manifests, func(m ocispec.Descriptor) bool { return m.Platform.Architecture == dropped })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("derived index (-original without the dropped platform +got):\n%s", diff)
	}
	if got := digestOf(raw); got != d.derived || got == img.digest {
		t.Errorf("derived index hashes to %s, inspect says %s, the original is %s", got, d.derived, img.digest)
	}
	t.Logf("%s: %s stands for %s", img.source, d.derived, img.digest)
}

// ociOnly is what older versions of skopeo say of images with Docker's media types in
// an OCI layout. Newer ones take them, and so do oras-go and containerd.
var ociOnly = regexp.MustCompile(`no descriptor found for reference|matches unsupported manifest MIME types`)

// TestSkopeoReadsArchive copies every image out of the archive, with all platforms.
func TestSkopeoReadsArchive(t *testing.T) {
	t.Parallel()
	skopeo := rpmtest.Tool(t, "skopeo")
	d := demoBundle(t)
	for repository, img := range d.images {
		t.Run(filepath.Base(repository), func(t *testing.T) {
			t.Parallel()
			from, dir := "oci-archive:"+d.archive+":"+img.source, t.TempDir()
			res := run(t, nil, skopeo, "inspect", "--raw", from)
			if strings.Contains(string(img.mediaType), "docker") && ociOnly.MatchString(res.stderr) {
				t.Logf("this skopeo takes no %s out of an OCI layout: %s", img.mediaType, res.stderr)
				return
			}
			if got := digestOf(res.stdout); res.code != 0 || got != d.want(repository) {
				t.Fatalf("skopeo inspect --raw: exit %d, %s, want %s\n%s", res.code, got, d.want(repository), res.stderr)
			}
			must(t, nil, skopeo, "copy", "--all", "--preserve-digests", from, "dir:"+dir)
			raw := readFile(t, filepath.Join(dir, "manifest.json"))
			if got := digestOf(string(raw)); got != d.want(repository) {
				t.Errorf("skopeo copy --all wrote %s, want %s", got, d.want(repository))
			}
			for _, goArch := range []string{"amd64", "arm64"} {
				if p := img.platforms[goArch]; p != "" {
					one := t.TempDir()
					must(t, nil, skopeo, "--override-arch", goArch, "copy", from, "dir:"+one)
					raw := readFile(t, filepath.Join(one, "manifest.json"))
					if got := digestOf(string(raw)); got != p {
						t.Errorf("skopeo copy for %s wrote %s, want %s", goArch, got, p)
					}
				}
			}
			t.Logf("%s: %s", img.source, d.want(repository))
		})
	}
}

// TestVerify has seeder judge the archive, and one that skopeo wrote.
func TestVerify(t *testing.T) {
	t.Parallel()
	skopeo := rpmtest.Tool(t, "skopeo")
	d := demoBundle(t)
	if found := report(t, nil, 0, "verify", d.archive, "--root", d.root).findings(); len(found) > 0 {
		t.Errorf("our archive: %q", found)
	}
	other := filepath.Join(t.TempDir(), "other.tar")
	must(t, nil, skopeo, "copy", "--all", "oci-archive:"+d.archive+":"+d.images["team/whole"].source, "oci-archive:"+other+":whole")
	if j := report(t, nil, 0, "verify", other); j.Bundle || len(j.findings()) > 0 {
		t.Errorf("skopeo's archive: a bundle: %v, findings %q", j.Bundle, j.findings())
	}
	report(t, nil, 5, "verify", other, "--root", d.root)
}

// TestTarReadsArchive has GNU tar list and extract, and hashes what it wrote.
func TestTarReadsArchive(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	dir := t.TempDir()
	names := strings.Fields(tool(t, "tar", "-tf", d.archive))
	tool(t, "tar", "-xf", d.archive, "-C", dir)
	blobs := 0
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if hex, ok := strings.CutPrefix(name, "blobs/sha256/"); ok {
			blobs++
			if got := digest.FromBytes(raw).Encoded(); got != hex {
				t.Errorf("%s hashes to %s", name, got)
			}
		}
	}
	if want := []string{"oci-layout", "index.json", "blobs/sha256/" + strings.TrimPrefix(d.root, "sha256:")}; !slices.Equal(names[:3], want) {
		t.Errorf("the archive begins with %v, want %v", names[:3], want)
	}
	if blobs != len(names)-2 || blobs < 30 {
		t.Errorf("%d of %d entries are blobs", blobs, len(names))
	}
	t.Logf("%d entries, %d blobs hashed", len(names), blobs)
}

// TestOrasReadsImages copies images by name; media types stay what they were.
func TestOrasReadsImages(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	store, err := oci.NewFromTar(t.Context(), d.archive)
	if err != nil {
		t.Fatal(err)
	}
	for repository, img := range d.images {
		to, err := oci.New(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		desc, err := oras.Copy(t.Context(), store, img.source, to, img.source, oras.DefaultCopyOptions)
		if err != nil {
			t.Errorf("oras copy %s: %v", img.source, err)
			continue
		}
		if string(desc.Digest) != d.want(repository) || desc.MediaType != string(img.mediaType) {
			t.Errorf("oras copied %s as %s %s, want %s %s", img.source, desc.MediaType, desc.Digest, img.mediaType, d.want(repository))
		}
		for goArch, p := range img.platforms {
			if there, err := to.Exists(t.Context(), ocispec.Descriptor{Digest: digest.Digest(p)}); err != nil || there != (goArch != dropped) {
				t.Errorf("%s: platform %s %s is there: %v (%v)", img.source, goArch, p, there, err)
			}
		}
	}
}

// TestOrasReadsFilesAndRPMs pulls artifacts by name into a directory, by their titles.
func TestOrasReadsFilesAndRPMs(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	store, err := oci.NewFromTar(t.Context(), d.archive)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]map[string][]byte{"files": d.files, "rpms/os/x86_64": {}, "rpms/os/aarch64": {}}
	for path, raw := range d.rpms {
		want["rpms/"+filepath.Dir(path)][path] = raw
	}
	for ref, want := range want {
		dir := t.TempDir()
		to, err := file.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer to.Close()
		desc, err := oras.Copy(t.Context(), store, ref, to, ref, oras.DefaultCopyOptions)
		if err != nil {
			t.Errorf("oras copy %s: %v", ref, err)
			continue
		}
		raw, err := content.FetchAll(t.Context(), store, desc)
		if err != nil {
			t.Fatal(err)
		}
		var m ocispec.Manifest
		if err := json.Unmarshal(raw, &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Layers) != len(want) {
			t.Errorf("%s has %d layers, want %d", ref, len(m.Layers), len(want))
		}
		for title, body := range want {
			got, err := os.ReadFile(filepath.Join(dir, title))
			if err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s: %s differs from what went in (%v)", ref, title, err)
			}
		}
		t.Logf("%s: %s %s, %d titles", ref, m.ArtifactType, desc.Digest, len(want))
	}
}
