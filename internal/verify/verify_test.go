package verify_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/internal/verify"
	"airbundle/manifest"
)

func run(t *testing.T, path string) (*report.Report, *verify.Summary) {
	t.Helper()
	rep, sum, err := verify.Run(t.Context(), path, verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return rep, sum
}

func TestGoodArchive(t *testing.T) {
	f := bundletest.New(t)
	path := f.Build(t)
	rep, sum := run(t, path)
	if rep.Code() != 0 || rep.Bundle == "" || rep.Trust != "none" || sum.Artifacts != 7 {
		t.Errorf("code %d, %+v, findings %v", rep.Code(), sum, rep.Findings())
	}
	want := int64(0)
	for _, d := range f.Plan(t, plan.Options{}).Bundle.Blobs() {
		want += d.Size
	}
	if sum.Bytes != want {
		t.Errorf("%d bytes hashed, the blobs have %d", sum.Bytes, want)
	}
	for _, rec := range rep.Records() {
		if rec.State != report.OK {
			t.Errorf("%+v", rec)
		}
	}
}

// Content that is several things is listed as the one that says most: build and verify agree
// on which that is.
func TestContentOfManyUses(t *testing.T) {
	f := bundletest.New(t)
	f.AddArtifact("quay.io/team/model:1")
	f.AddFile("rpm", f.URLs[f.Lock.RPMs[0].URLs[0]])
	for d, raw := range f.Blobs {
		f.AddFile("copies/"+d.Encoded(), raw)
	}
	if rep, _ := run(t, f.Build(t)); rep.Code() != 0 {
		t.Errorf("code %d, findings %v", rep.Code(), rep.Findings())
	}
}

// Every byte counts: a flip anywhere is found, as content or as form.
func TestEveryByteCounts(t *testing.T) {
	good, err := os.ReadFile(bundletest.New(t).Build(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bad.tar")
	step := max(len(good)/400, 1)
	for at := 0; at < len(good); at += step {
		bad := bytes.Clone(good)
		bad[at] ^= 0x10
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if rep, _ := run(t, path); rep.Code() != int(report.ClassContent) {
			t.Errorf("flip at byte %d of %d: code %d", at, len(good), rep.Code())
		}
	}
}

// All damage of a run is told: the artifacts that are hit, and no others.
func TestAllFindingsAreTold(t *testing.T) {
	f := bundletest.New(t)
	path := f.Build(t)
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var base digest.Digest // the layer that two images share
	for d, raw := range f.Blobs {
		if len(raw) == 10_000 && f.Types[d] != "" && strings.HasSuffix(f.Types[d], "gzip") {
			users := 0
			for _, b := range f.Plan(t, plan.Options{}).Blobs {
				if b.Desc.Digest == d {
					users = len(b.Origins)
				}
			}
			if users == 2 {
				base = d
			}
		}
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range []digest.Digest{base, f.Lock.RPMs[0].Digest} {
		at, ok := a.Offset(d)
		if !ok {
			t.Fatalf("%s is not in the archive", d)
		}
		data[at+5] ^= 1
	}
	a.Close()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	rep, _ := run(t, path)
	hit := map[string]bool{}
	for _, rec := range rep.Findings() {
		hit[rec.Name] = true
		if !strings.Contains(rec.Reason, "hashes to") {
			t.Errorf("no cause: %+v", rec)
		}
	}
	want := map[string]bool{"quay.io/team/app:1.0": true, "docker.io/library/tool:2": true, f.Lock.RPMs[0].Path(): true}
	if fmt.Sprint(hit) != fmt.Sprint(want) {
		t.Errorf("findings about %v, want %v", hit, want)
	}
}

func TestCutArchive(t *testing.T) {
	f := bundletest.New(t)
	good, err := os.ReadFile(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "cut.tar")
	for _, n := range []int{len(good) - 1, len(good) - 512, len(good) - 1024, len(good) / 2, 5000, 512, 1, 0} {
		if err := os.WriteFile(path, good[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if rep, _ := run(t, path); rep.Code() != int(report.ClassContent) {
			t.Errorf("cut after %d of %d bytes: code %d", n, len(good), rep.Code())
		}
	}
}

func TestNotAnArchive(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"text": "hello", "zeros": string(make([]byte, 4096)), "empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if rep, _ := run(t, path); rep.Code() != int(report.ClassContent) {
			t.Errorf("%s: code %d", name, rep.Code())
		}
	}
	fifo, link := filepath.Join(dir, "fifo"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o600), os.Symlink(bundletest.New(t).Build(t), link)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir: "not an OCI layout", fifo: "not an OCI layout", "/dev/null": "not an OCI layout", "/dev/zero": "not an OCI layout",
		link: "is a symbolic link, and none is followed",
	} {
		if rep, _ := run(t, path); rep.Code() != int(report.ClassContent) || !strings.Contains(rep.Findings()[0].Reason, want) {
			t.Errorf("%s: code %d, %v", path, rep.Code(), rep.Findings())
		}
	}
	if _, _, err := verify.Run(t.Context(), filepath.Join(dir, "missing"), verify.Options{}); report.Classify(err) != report.ClassLocal {
		t.Errorf("missing: %v", err)
	}
}

// A layout is the content of an OCI layout tar of another tool.
type layout map[string][]byte

func newLayout(t *testing.T) (layout, *bundletest.Fixture) {
	f := bundletest.New(t)
	l := layout{"oci-layout": []byte(`{"imageLayoutVersion":"1.0.0"}`)}
	ix := ocispec.Index{MediaType: ocispec.MediaTypeImageIndex}
	ix.SchemaVersion = 2
	for _, img := range f.Lock.Images[1:] {
		d := ocispec.Descriptor{MediaType: f.Types[img.Digest], Digest: img.Digest, Size: int64(len(f.Blobs[img.Digest]))}
		d.Annotations = map[string]string{ocispec.AnnotationRefName: img.Source}
		ix.Manifests = append(ix.Manifests, d)
	}
	var carry func(d digest.Digest)
	carry = func(d digest.Digest) {
		l["blobs/sha256/"+d.Encoded()] = f.Blobs[d]
		if node, err := manifest.ParseImage(f.Types[d], f.Blobs[d]); err == nil {
			for _, child := range append(node.Blobs(), node.Manifests...) {
				carry(child.Digest)
			}
		}
	}
	for _, img := range f.Lock.Images[1:] {
		carry(img.Digest)
	}
	raw, err := json.Marshal(ix)
	if err != nil {
		t.Fatal(err)
	}
	l["index.json"] = raw
	return l, f
}

func (l layout) write(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout.tar")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	for name, raw := range l {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(raw))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(raw); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPlainLayout(t *testing.T) {
	l, _ := newLayout(t)
	rep, sum := run(t, l.write(t))
	if rep.Code() != 0 || rep.Bundle != "" || sum.Artifacts != 2 || len(rep.Notes) != 1 || !strings.Contains(rep.Notes[0], "a valid OCI layout, not an airbundle") {
		t.Errorf("code %d, %+v, notes %q, findings %v", rep.Code(), sum, rep.Notes, rep.Findings())
	}
}

func TestBadLayouts(t *testing.T) {
	for name, spoil := range map[string]func(l layout, f *bundletest.Fixture){
		"blob missing":     func(l layout, f *bundletest.Fixture) { delete(l, "blobs/sha256/"+f.Lock.Images[1].Digest.Encoded()) },
		"layer damaged":    func(l layout, f *bundletest.Fixture) { l.layer(f)[7] ^= 1 },
		"layer cut":        func(l layout, f *bundletest.Fixture) { name := l.layerName(f); l[name] = l[name][:100] },
		"newer layout":     func(l layout, _ *bundletest.Fixture) { l["oci-layout"] = []byte(`{"imageLayoutVersion":"2.0.0"}`) },
		"lists nothing":    func(l layout, _ *bundletest.Fixture) { l["index.json"] = []byte(`{"schemaVersion":2,"manifests":[]}`) },
		"index is no JSON": func(l layout, _ *bundletest.Fixture) { l["index.json"] = []byte(`{`) },
		"stray blob": func(l layout, _ *bundletest.Fixture) {
			l["blobs/sha256/"+digest.FromString("x").Encoded()] = []byte("y")
		},
		"no digest":         func(l layout, _ *bundletest.Fixture) { l["blobs/sha256/readme.txt"] = []byte("y") },
		"unknown algorithm": func(l layout, _ *bundletest.Fixture) { l["blobs/md5/d41d8cd98f00b204e9800998ecf8427e"] = nil },
		"claims to be a bundle": func(l layout, _ *bundletest.Fixture) {
			l["index.json"] = bytes.Replace(l["index.json"], []byte(`"annotations"`), []byte(`"artifactType":"`+manifest.ArtifactTypeBundle+`","annotations"`), 1)
		},
		"name twice": func(l layout, _ *bundletest.Fixture) {
			l["index.json"] = bytes.ReplaceAll(l["index.json"], []byte("registry.k8s.io/pause:3.2"), []byte("docker.io/library/tool:2"))
		},
	} {
		l, f := newLayout(t)
		spoil(l, f)
		if rep, _ := run(t, l.write(t)); rep.Code() != int(report.ClassContent) {
			t.Errorf("%s: code %d", name, rep.Code())
		}
	}
}

// layerName is the entry of a layer of the fixture's last image.
func (l layout) layerName(f *bundletest.Fixture) string {
	img := f.Lock.Images[2]
	node, err := manifest.ParseImage(f.Types[img.Digest], f.Blobs[img.Digest])
	if err != nil {
		panic(err)
	}
	return "blobs/sha256/" + node.Layers[0].Digest.Encoded()
}

func (l layout) layer(f *bundletest.Fixture) []byte {
	name := l.layerName(f)
	l[name] = bytes.Clone(l[name])
	return l[name]
}

func BenchmarkVerify(b *testing.B) {
	path := bundletest.New(b).Build(b)
	st, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(st.Size())
	for b.Loop() {
		rep, _, err := verify.Run(b.Context(), path, verify.Options{})
		if err != nil || rep.WriteText(io.Discard, false) != nil {
			b.Fatal(err)
		}
	}
}

// As much image JSON as images may share is built and verified; what verify would refuse is
// not planned.
func TestSharedImageJSONIsBounded(t *testing.T) {
	f := bundletest.New(t)
	img := f.Lock.Images[2] // one manifest, of one platform
	var m ocispec.Manifest
	if err := json.Unmarshal(f.Blobs[img.Digest], &m); err != nil {
		t.Fatal(err)
	}
	m.Annotations = map[string]string{"filler": strings.Repeat("x", 2<<20)}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	big := digest.FromBytes(raw)
	f.Blobs[big], f.Types[big] = raw, f.Types[img.Digest]
	f.Lock.Images = f.Lock.Images[:2]
	add := func() {
		source := fmt.Sprintf("quay.io/team/big:%d", len(f.Lock.Images))
		f.Lock.Images = append(f.Lock.Images, lockfile.Image{Source: source, Digest: big, Platforms: map[string]digest.Digest{"linux/amd64": big}})
		f.Lock.Absent = append(f.Lock.Absent, lockfile.Absent{Source: source, Arch: "aarch64", Why: "not made"})
	}
	for range 1 + manifest.MaxReread/(2<<20+4096) {
		add()
	}
	if rep, _ := run(t, f.Build(t)); rep.Code() != 0 {
		t.Errorf("code %d, findings %v", rep.Code(), rep.Findings())
	}
	add()
	_, err = plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
	reason, next := report.Explain(err)
	if report.Classify(err) != report.ClassContent || !strings.Contains(reason, "image quay.io/team/big:18: sha256:") || !strings.Contains(next, "several names by publish") {
		t.Errorf("class %d, %s, next %s", report.Classify(err), reason, next)
	}
}
