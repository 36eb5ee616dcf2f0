package format

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
	"airbundle/internal/verify"
	"airbundle/manifest"
)

// A sample is a bundle with the content of all its blobs.
type sample struct {
	table  manifest.Table
	data   map[digest.Digest][]byte
	bundle *manifest.Bundle
	layout *archive.Layout
}

func (s *sample) add(mediaType string, raw []byte) ocispec.Descriptor {
	d := digest.FromBytes(raw)
	s.data[d] = raw
	s.table.Blobs = append(s.table.Blobs, manifest.Blob{MediaType: mediaType, Digest: d, Size: int64(len(raw))})
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(raw))}
}

func (s *sample) addJSON(t testing.TB, mediaType string, v any) ocispec.Descriptor {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return s.add(mediaType, raw)
}

// sbom is carried as a layer and as a file.
const sbom = `{"spdx":1}`

// image adds manifest, config, two layers of one platform, and more layers that are there.
func (s *sample) image(t testing.TB, mediaType, arch string, shared []byte, more ...ocispec.Descriptor) ocispec.Descriptor {
	t.Helper()
	config := s.addJSON(t, ocispec.MediaTypeImageConfig, map[string]any{"os": "linux", "architecture": arch, "variant": map[string]string{"arm64": "v8"}[arch]})
	layers := append([]ocispec.Descriptor{
		s.add(ocispec.MediaTypeImageLayerGzip, shared),
		s.add(ocispec.MediaTypeImageLayerGzip, bytes.Repeat([]byte(arch+mediaType), 700)),
	}, more...)
	d := s.addJSON(t, mediaType, map[string]any{"schemaVersion": 2, "mediaType": mediaType, "config": config, "layers": layers})
	d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
	if arch == "arm64" {
		d.Platform.Variant = "v8"
	}
	return d
}

// indented is JSON of a source that is not in our form: white space, escapes, an order
// of its own, and braces where only strings have them.
func indented(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.MarshalIndent(v, "", "   ")
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// newSample makes a bundle with one of everything that the format has, and many files.
func newSample(t testing.TB, files int) *sample {
	t.Helper()
	s := &sample{data: map[digest.Digest][]byte{}, table: manifest.Table{
		Name: "demo \u00e9\u2014\U0001f4e6", Serial: 7, Expires: "2031-01-02T03:04:05Z", Lock: digest.FromString("lock"),
		Arches: []string{"x86_64", "aarch64"}, Groups: []string{"core", "a<b>&\"c\""},
		Keys:   []manifest.Key{{ID: "24c6a8a7f4a80eb5", Armor: "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\ttab\\\r\n-----END PGP PUBLIC KEY BLOCK-----\r\n"}},
		Absent: []manifest.Absent{{Name: "quay.io/x/y:1", Arch: "aarch64", Why: "none upstream"}, {Name: "one", Arch: "aarch64", Why: "none"}},
	}}
	shared := bytes.Repeat([]byte("shared layer "), 1000)
	amd, arm := s.image(t, ocispec.MediaTypeImageManifest, "amd64", shared), s.image(t, ocispec.MediaTypeImageManifest, "arm64", shared)

	whole := s.addJSON(t, ocispec.MediaTypeImageIndex, map[string]any{"schemaVersion": 2, "manifests": []any{arm, amd}})
	dropped := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromString("s390x"), Size: 9, Annotations: map[string]string{"a \" ]}": "[{ <&>"}}
	original := s.add(ocispec.MediaTypeImageIndex, indented(t, map[string]any{
		"annotations": map[string]any{"manifests": "[1, 2]"}, "manifests": []any{dropped, amd, arm, dropped}, "schemaVersion": 2,
		"mediaType": ocispec.MediaTypeImageIndex, "x": map[string]any{"manifests": []int{1, 2}},
	}))
	derivedRaw, err := manifest.DeriveIndex(original.MediaType, s.data[original.Digest], map[digest.Digest]bool{amd.Digest: true})
	if err != nil {
		t.Fatal(err)
	}
	derived := s.add(ocispec.MediaTypeImageIndex, derivedRaw)
	docker := s.image(t, manifest.MediaTypeDockerManifest, "amd64", shared, s.add("application/zzz+json", nil), s.add("application/spdx+json", []byte(sbom)))
	both := []manifest.Platform{{Platform: "linux/arm64", Digest: arm.Digest}, {Platform: "linux/amd64", Digest: amd.Digest}}
	s.table.Images = []manifest.Image{
		{Name: "registry.k8s.io/whole:1", Digest: whole.Digest, Platforms: both, Publish: []string{"whole:1", "a/whole:one"}, Groups: []string{"core"}},
		{Name: "quay.io/x/y:1", Digest: derived.Digest, Original: original.Digest, Platforms: both[1:]},
		{Name: "docker.io/library/one:latest", Digest: docker.Digest, Platforms: []manifest.Platform{{Platform: "linux/amd64", Digest: docker.Digest}}},
	}
	s.assets(files)
	return s
}

// assets adds RPMs of two repositories, files, and two versions of a chart.
func (s *sample) assets(files int) {
	for i, r := range []manifest.RPM{
		{Name: "socat", EVR: "1.7-2.el7", Arch: "x86_64", BaseArch: "x86_64", Repo: "os/7/x86_64", Signer: "24c6a8a7f4a80eb5"},
		{Name: "lvm2", EVR: "7:2.02-6.el7", Arch: "noarch", BaseArch: "x86_64", Repo: "os/7/x86_64", Unsigned: "built by us"},
		{Name: "lvm2", EVR: "7:2.02-6.el7", Arch: "aarch64", BaseArch: "aarch64", Repo: "os/7/aarch64", Unsigned: "built by us", Groups: []string{"core"}},
	} {
		r.Digest = s.add(manifest.MediaTypeRPM, bytes.Repeat([]byte{byte(i)}, 500+i*12)).Digest
		s.table.RPMs = append(s.table.RPMs, r)
	}
	for _, m := range []struct{ repo, kind, text string }{
		{"os/7/x86_64", manifest.MetadataUpdateinfo, "<updates/>"}, {"os/7/x86_64", manifest.MetadataModules, rpmtest.Module("web", "1", "x86_64")},
		{"os/7/x86_64", manifest.MetadataComps, "<comps/>"}, {"os/7/aarch64", manifest.MetadataModules, rpmtest.Module("web", "1", "aarch64")},
	} {
		entry := manifest.Metadata{Repo: m.repo, Type: m.kind}
		entry.Digest = s.add(entry.MediaType(), []byte(m.text)).Digest
		s.table.Metadata = append(s.table.Metadata, entry)
	}
	empty := s.add(manifest.MediaTypeFile, nil) // also a layer of another type, which says more
	for i := range files {
		s.table.Files = append(s.table.Files, manifest.File{Path: fmt.Sprintf("many/%d", i), Digest: empty.Digest})
	}
	s.table.Files = append(s.table.Files, manifest.File{Path: "a b/\u00fc.json", Digest: s.add(manifest.MediaTypeFile, []byte(sbom)).Digest, Arch: "x86_64"})
	for _, v := range []string{"2.0.0", "10.0.0"} {
		d := s.add(manifest.MediaTypeChart, []byte("chart "+v))
		s.table.Charts = append(s.table.Charts, manifest.Chart{Name: "prometheus", Version: v, Digest: d.Digest})
	}
	s.grouped()
}

// grouped puts all into one of the groups selected.
func (s *sample) grouped() {
	core := []string{"core"}
	for i := range s.table.Images {
		s.table.Images[i].Groups = core
	}
	for i := range s.table.RPMs {
		s.table.RPMs[i].Groups = core
	}
	for i := range s.table.Files {
		s.table.Files[i].Groups = core
	}
	for i := range s.table.Charts {
		s.table.Charts[i].Groups = core
	}
}

// write builds the archive of the table, whatever the manifest package says of images.
func (s *sample) write(t testing.TB, path string) {
	t.Helper()
	var err error
	if s.bundle, err = manifest.New(s.table); err != nil {
		t.Fatal(err)
	}
	maps.Copy(s.data, s.bundle.Generated())
	if s.layout, err = archive.NewLayout(s.bundle.Index(), s.bundle.Blobs()); err != nil {
		t.Fatal(err)
	}
	w, err := archive.Create(t.Context(), path, s.layout, archive.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, d := range w.Missing() {
		if err := w.Fill(t.Context(), d, bytes.NewReader(s.data[d.Digest])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
}

// read runs the reader and returns what it printed, and whether it accepted.
func read(t testing.TB, args ...string) (out string, ok bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rpmtest.Tool(t, "python3"), append([]string{"-I", "-S", "read.py"}, args...)...)
	raw, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("run read.py: %v\n%s", err, raw)
	}
	return strings.TrimSpace(string(raw)), err == nil
}

func TestReaderAcceptsWhatWeWrite(t *testing.T) {
	s := newSample(t, 2001) // more than one artifact manifest lists
	path := filepath.Join(t.TempDir(), "a.bundle.tar")
	s.write(t, path)
	root := s.bundle.Root.Digest.String()
	if out, ok := read(t, path, root); !ok || out != "ok "+root {
		t.Errorf("read.py says %q, want ok %s", out, root)
	}
	if out, ok := read(t, path, digest.FromString("another").String()); ok || !strings.Contains(out, root) {
		t.Errorf("another root is expected, read.py says %q", out)
	}
	if refs := string(s.bundle.Index()); !strings.Contains(refs, `"files+2"`) || !strings.Contains(refs, `"rpms/os/7/aarch64"`) {
		t.Errorf("the sample lacks artifact manifests: %s", refs)
	}
	if findings := verified(t, path).Findings(); len(findings) > 0 {
		t.Errorf("our own reader finds %v", findings)
	}
}

// verified returns what seeder verify says.
func verified(t testing.TB, path string) *report.Report {
	t.Helper()
	rep, _, err := verify.Run(t.Context(), path, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// TestReaderAcceptsABuild takes the whole way from a lock to an archive.
func TestReaderAcceptsABuild(t *testing.T) {
	path := bundletest.New(t).Build(t)
	if out, ok := read(t, path); !ok {
		t.Errorf("read.py says %q", out)
	}
}

// TestExamplesOfTheDocument decodes the files that docs/format.md shows. The lock stands
// there in canonical form.
func TestExamplesOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/format.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, block := range bytes.Split(text, []byte("```yaml\n"))[1:] {
		example, _, _ := bytes.Cut(block, []byte("```"))
		var again []byte
		if bytes.Contains(example, []byte("kind: Lock\n")) {
			again = encoded(t, example)
		} else if bytes.Contains(example, []byte("kind: Target\n")) {
			if _, err := lockfile.DecodeTarget("format.md", example); err != nil {
				t.Error(err)
			}
		} else if _, err := lockfile.DecodeRequest("format.md", example); err != nil {
			t.Error(err)
		}
		if again != nil && !bytes.Equal(again, example) {
			t.Errorf("the canonical form of\n%s\nis\n%s", example, again)
		}
		seen++
	}
	if seen != 3 {
		t.Errorf("%d examples, want a request, a lock and a target map", seen)
	}
}

func encoded(t *testing.T, example []byte) []byte {
	t.Helper()
	l, err := lockfile.DecodeLock("format.md", example)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
