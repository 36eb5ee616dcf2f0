package interchange

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

func lock() *lockfile.Lock {
	d := func(h string) digest.Digest { return digest.Digest("sha256:" + h) }
	amd64 := map[string]digest.Digest{"linux/amd64": d(hexB)}
	return &lockfile.Lock{
		Name: "l", Arches: []string{"x86_64"},
		Images: []lockfile.Image{
			{Source: "quay.io/coreos/flannel:v0.13.0", Digest: d(hexA), Platforms: amd64},
			{Source: "busybox", Digest: d(hexA), Platforms: amd64, Publish: []string{"b:1"}},
			{Source: "reg:5000/x/y@sha256:" + hexB, Digest: d(hexB), Platforms: amd64},
			{Source: "k8s.gcr.io/pause:3.2@sha256:" + hexB, Digest: d(hexB), Platforms: amd64},
			{Source: "oci-layout:dir:ref", Digest: d(hexA), Platforms: amd64, Publish: []string{"local:1"}},
		},
		RPMs: []lockfile.RPM{{Name: "libstdc++", EVR: "7:4.8.5-44.el7", Arch: "x86_64", BaseArch: "x86_64", Repo: "os/x86_64", URLs: []string{"https://h/p.rpm"}, Size: 3, Digest: digest.FromString("rpm"), Unsigned: "accepted", Why: "t"}},
		Files: []lockfile.File{{Path: "etcd/amd64/etcd.tgz", URLs: []string{"https://h/e.tgz?token=secret", "https://m/e.tgz"}, Size: 4, Digest: digest.FromString("file"), Arch: "x86_64"},
			{Path: "top", URLs: []string{"file:top"}, Size: 3, Digest: digest.FromString("top")}},
		Charts: []lockfile.Chart{{Name: "c", Version: "1.0.0+b", URLs: []string{"https://h/c.tgz"}, Size: 5, Digest: digest.FromString("chart")}},
	}
}

func export(t *testing.T, format string, l *lockfile.Lock) []byte {
	t.Helper()
	data, err := Export(format, l)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestExportImages(t *testing.T) {
	want := "# Images of l, by digest\nbusybox:latest@sha256:" + hexA + "\nk8s.gcr.io/pause:3.2@sha256:" + hexB +
		"\nquay.io/coreos/flannel:v0.13.0@sha256:" + hexA + "\nreg:5000/x/y@sha256:" + hexB + "\n# on disk, not at a registry: oci-layout:dir:ref sha256:" + hexA + "\n"
	if diff := cmp.Diff(want, string(export(t, "images", lock()))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
}

func TestExportImagesLock(t *testing.T) {
	want := "# ImagesLock of l\n# on disk, not at a registry: oci-layout:dir:ref sha256:" + hexA + "\n---\napiVersion: imgpkg.carvel.dev/v1alpha1\nkind: ImagesLock\nimages:\n" +
		"- image: docker.io/library/busybox@sha256:" + hexA + "\n  annotations:\n    kbld.carvel.dev/id: \"busybox:latest\"\n" +
		"- image: k8s.gcr.io/pause@sha256:" + hexB + "\n  annotations:\n    kbld.carvel.dev/id: \"k8s.gcr.io/pause:3.2\"\n" +
		"- image: quay.io/coreos/flannel@sha256:" + hexA + "\n  annotations:\n    kbld.carvel.dev/id: \"quay.io/coreos/flannel:v0.13.0\"\n" +
		"- image: reg:5000/x/y@sha256:" + hexB + "\n"
	if diff := cmp.Diff(want, string(export(t, "imageslock", lock()))); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	empty, err := Import("imageslock", "in", export(t, "imageslock", &lockfile.Lock{Name: "e"}))
	if err != nil || len(empty.Images) != 0 {
		t.Errorf("an empty one: %v", err)
	}
}

// What is exported and imported again asks for the same digests.
func TestRoundTrip(t *testing.T) {
	want := []string{"busybox:latest@sha256:" + hexA, "k8s.gcr.io/pause:3.2@sha256:" + hexB, "quay.io/coreos/flannel:v0.13.0@sha256:" + hexA, "reg:5000/x/y@sha256:" + hexB}
	for _, format := range []string{"images", "imageslock"} {
		in, err := Import(format, "in", export(t, format, lock()))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, w := range in.Images {
			got = append(got, w.Source)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: -want +got\n%s", format, diff)
		}
	}
}

func TestExportSums(t *testing.T) {
	data := export(t, "sha256sums", lock())
	dir := t.TempDir()
	for path, body := range map[string]string{"os/x86_64/libstdc++-4.8.5-44.el7.x86_64.rpm": "rpm", "etcd/amd64/etcd.tgz": "file", "top": "top", "c-1.0.0+b.tgz": "chart"} {
		name := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), rpmtest.Tool(t, "sha256sum"), "--check", "--strict")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(data)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), ": OK\n") != 4 {
		t.Errorf("%v\n%s\n%s", err, out, data)
	}
	clash := lock()
	clash.Files[1].Path = clash.Charts[0].File()
	if _, err := Export("sha256sums", clash); err == nil || report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), "c-1.0.0+b.tgz") {
		t.Errorf("one path with two contents: %v", err)
	}
}

func TestExportCycloneDX(t *testing.T) {
	data := export(t, "cyclonedx", lock())
	bom := new(cdx.BOM)
	if err := cdx.NewBOMDecoder(bytes.NewReader(data), cdx.BOMFileFormatJSON).Decode(bom); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(bom.SerialNumber, "urn:uuid:") || bom.Metadata.Timestamp != "" || bom.SpecVersion != cdx.NewBOM().SpecVersion {
		t.Errorf("serial number %q, timestamp %q, version %s", bom.SerialNumber, bom.Metadata.Timestamp, bom.SpecVersion)
	}
	got := map[string]string{}
	var walk func([]cdx.Component)
	walk = func(list []cdx.Component) {
		for _, c := range list {
			if _, twice := got[c.BOMRef]; twice || c.BOMRef == "" {
				t.Errorf("bom-ref %q is empty or there twice", c.BOMRef)
			}
			got[c.BOMRef] = c.PackageURL
			if h := *c.Hashes; len(h) != 1 || h[0].Algorithm != cdx.HashAlgoSHA256 || len(h[0].Value) != 64 {
				t.Errorf("%s: hashes %v", c.BOMRef, h)
			}
			if c.Components != nil {
				walk(*c.Components)
			}
		}
	}
	walk(*bom.Components)
	sum := func(s string) string { return digest.FromString(s).Encoded() }
	for ref, want := range map[string]string{
		"image:quay.io/coreos/flannel:v0.13.0":             "pkg:oci/flannel@sha256:" + hexA + "?repository_url=quay.io/coreos/flannel&tag=v0.13.0",
		"image:quay.io/coreos/flannel:v0.13.0 linux/amd64": "pkg:oci/flannel@sha256:" + hexB + "?arch=amd64&repository_url=quay.io/coreos/flannel&tag=v0.13.0",
		"image:busybox":                                   "pkg:oci/busybox@sha256:" + hexA + "?repository_url=docker.io/library/busybox&tag=latest",
		"image:oci-layout:dir:ref":                        "pkg:oci/local@sha256:" + hexA + "?tag=1",
		"rpm:os/x86_64/libstdc++-4.8.5-44.el7.x86_64.rpm": "pkg:rpm/libstdc%2B%2B@4.8.5-44.el7?arch=x86_64&checksum=sha256:" + sum("rpm") + "&epoch=7",
		"file:etcd/amd64/etcd.tgz":                        "pkg:generic/etcd/amd64/etcd.tgz?checksum=sha256:" + sum("file") + "&download_url=https://m/e.tgz",
		"file:top":                                        "pkg:generic/top?checksum=sha256:" + sum("top"),
		"chart:c-1.0.0+b.tgz":                             "pkg:helm/c@1.0.0%2Bb?checksum=sha256:" + sum("chart"),
	} {
		if got[ref] != want {
			t.Errorf("%s: %q, want %q", ref, got[ref], want)
		}
	}
	if bytes.Contains(data, []byte("secret")) {
		t.Error("the bill shows the query of a URL")
	}
	if n := len(*(*bom.Dependencies)[0].Dependencies); n != len(*bom.Components) {
		t.Errorf("the lock depends on %d of %d components", n, len(*bom.Components))
	}
}

// The order of a lock does not matter, its content does.
func TestExportDeterministic(t *testing.T) {
	turned, other := lock(), lock()
	slices.Reverse(turned.Images)
	slices.Reverse(turned.Files)
	other.Files[0].Size++
	for _, format := range ExportFormats() {
		a, b := export(t, format, lock()), export(t, format, turned)
		if !bytes.Equal(a, b) || !bytes.Equal(a, export(t, format, lock())) {
			t.Errorf("%s: another order gives other bytes", format)
		}
	}
	if a, b := export(t, "cyclonedx", lock()), export(t, "cyclonedx", other); bytes.Equal(a, b) {
		t.Error("another lock has the same bill")
	}
	if _, err := Export("spdx", lock()); err == nil || report.Classify(err) != report.ClassUsage || !strings.Contains(err.Error(), "cyclonedx, images, imageslock, sha256sums") {
		t.Errorf("%v", err)
	}
}
