package plan_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/manifest"
)

func TestPlanCarriesWhatTheLockPins(t *testing.T) {
	f := bundletest.New(t)
	p := f.Plan(t, plan.Options{Jobs: 4})
	table := p.Bundle.Table
	if len(table.Images) != 3 || len(table.RPMs) != 2 || len(table.Files) != 2 {
		t.Fatalf("%d images, %d RPMs, %d files", len(table.Images), len(table.RPMs), len(table.Files))
	}
	if table.Lock != f.Lock.Digest() {
		t.Errorf("the table names lock %s, not %s", table.Lock, f.Lock.Digest())
	}
	if len(p.Blobs) != len(p.Bundle.Blobs()) {
		t.Fatalf("%d blobs planned, %d in the bundle", len(p.Blobs), len(p.Bundle.Blobs()))
	}
	for i, b := range p.Blobs {
		if b.Desc.Digest != p.Bundle.Blobs()[i].Digest || len(b.Origins) == 0 || b.Artifact == "" {
			t.Errorf("blob %d: %+v", i, b)
		}
	}
	for _, img := range table.Images {
		if _, err := p.Bundle.ReadImage(t.Context(), img, reader(p)); err != nil {
			t.Errorf("%s: %v", img.Name, err)
		}
	}
	for name, n := range f.Opened() {
		if len(f.Blobs[digest.Digest(name)]) >= 10_000 || strings.HasPrefix(name, "https:") {
			t.Errorf("%s was opened %d times while planning", name, n)
		}
	}
}

// reader reads small blobs out of a plan.
func reader(p *plan.Plan) manifest.ReadFunc {
	return func(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
		i := slices.IndexFunc(p.Blobs, func(b plan.Blob) bool { return b.Desc.Digest == d.Digest })
		rc, err := p.Blobs[i].Origins[0].Open(ctx)
		if err != nil {
			return nil, err
		}
		return io.ReadAll(rc)
	}
}

func image(t *testing.T, p *plan.Plan, name string) manifest.Image {
	t.Helper()
	for _, img := range p.Bundle.Table.Images {
		if img.Name == name {
			return img
		}
	}
	t.Fatalf("no image %s", name)
	return manifest.Image{}
}

func TestDroppedPlatformsGiveADerivedIndex(t *testing.T) {
	f := bundletest.New(t)
	p := f.Plan(t, plan.Options{})
	app := image(t, p, "quay.io/team/app:1.0")
	if app.Original != f.Lock.Images[0].Digest || app.Digest == app.Original {
		t.Errorf("app: %+v", app)
	}
	if tool := image(t, p, "docker.io/library/tool:2"); tool.Original != "" || tool.Digest != f.Lock.Images[1].Digest {
		t.Errorf("tool is carried whole and must keep its index: %+v", tool)
	}
	if len(p.Notes) != 1 || !strings.Contains(p.Notes[0], string(app.Original)) {
		t.Errorf("notes: %q", p.Notes)
	}
}

func TestSelection(t *testing.T) {
	f := bundletest.New(t)
	p := f.Plan(t, plan.Options{Arches: []string{"aarch64"}})
	table := p.Bundle.Table
	if len(table.Images) != 2 || len(table.RPMs) != 1 || len(table.Files) != 1 || !slices.Equal(table.Arches, []string{"aarch64"}) {
		t.Errorf("aarch64: %+v", table)
	}
	if tool := image(t, p, "docker.io/library/tool:2"); tool.Original == "" {
		t.Error("an index of one platform less must be a derived one")
	}
	if table.Lock != f.Lock.Digest() {
		t.Error("the selection changed the lock's digest")
	}
	p = f.Plan(t, plan.Options{Groups: []string{"core"}})
	if n := len(p.Bundle.Table.Artifacts()); n != 2 {
		t.Errorf("group core has %d artifacts", n)
	}
	_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{Groups: []string{"nope"}})
	if report.Classify(err) != report.ClassUsage {
		t.Errorf("an unknown group: %v", err)
	}
}

func TestNormalisedNames(t *testing.T) {
	for source, want := range map[string]string{
		"tool:2":                       "docker.io/library/tool:2",
		"tool":                         "docker.io/library/tool:latest",
		"team/tool:2":                  "docker.io/team/tool:2",
		"localhost:5000/tool:2":        "localhost:5000/tool:2",
		"oci-layout:dir:ref":           "own/name:1",
		"docker.io/library/tool:2@sha": "",
	} {
		f := bundletest.New(t)
		f.Lock.Images[1].Source = source
		if lockImage := (lockfile.Image{Source: source}); lockImage.Local() {
			f.Lock.Images[1].Publish = []string{want}
		}
		p, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
		if want == "" {
			if err == nil {
				t.Errorf("%s was accepted", source)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		image(t, p, want)
	}
}

// twoTypes are sources of which one says another media type of a manifest.
type twoTypes struct {
	*bundletest.Fixture
	source string
	digest digest.Digest
}

func (s twoTypes) Manifest(ctx context.Context, source string, d digest.Digest) ([]byte, string, error) {
	raw, mediaType, err := s.Fixture.Manifest(ctx, source, d)
	if source == s.source && d == s.digest {
		mediaType = manifest.MediaTypeDockerManifest
	}
	return raw, mediaType, err
}

// A manifest that does not say what it is is one thing to all images: a table has room for one
// media type, and readers hold the content against it.
func TestOneManifestOfTwoTypes(t *testing.T) {
	f := bundletest.New(t)
	one, other := f.Lock.Images[2], &f.Lock.Images[1]
	raw := bytes.Replace(f.Blobs[one.Digest], []byte(`"mediaType":"`+f.Types[one.Digest]+`",`), nil, 1)
	d := digest.FromBytes(raw)
	f.Blobs[d], f.Types[d] = raw, ocispec.MediaTypeImageManifest
	for _, img := range []*lockfile.Image{&f.Lock.Images[2], other} {
		img.Digest, img.Platforms = d, map[string]digest.Digest{"linux/amd64": d}
	}
	f.Lock.Absent = append(f.Lock.Absent, lockfile.Absent{Source: other.Source, Arch: "aarch64", Why: "not built"})
	for _, source := range []string{"", other.Source} {
		_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: twoTypes{f, source, d}, Files: f}, plan.Options{})
		if (err == nil) != (source == "") || err != nil && !strings.Contains(err.Error(), "a table says only one") {
			t.Errorf("%q: %v", source, err)
		}
	}
}

// No local path leaves with the archive, neither as a name nor as what is absent.
func TestNoLocalPath(t *testing.T) {
	f := bundletest.New(t)
	const source = "oci-layout:/home/someone/secret:ref"
	img := &f.Lock.Images[2]
	img.Source, img.Publish = source, []string{"own/name:1"}
	f.Lock.Absent = []lockfile.Absent{
		{Source: source, Arch: "aarch64", Why: "not built"},
		{Source: "oci-archive:/home/someone/other.tar", Arch: "x86_64", Why: "not built"},
	}
	p, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if raw := string(p.Bundle.EncodeRootFile()); strings.Contains(raw, "someone") {
		t.Errorf("a local path is in the table: %s", raw)
	}
	if got := p.Bundle.Table.Absent; len(got) != 2 || got[0].Name != "an image from disk" || got[1].Name != "own/name:1" {
		t.Errorf("%+v", got)
	}
}

// Each fault must name its artifact, all faults of a lock must be told, and the class
// must be right.
func TestPlanRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(f *bundletest.Fixture)
		class report.Class
		text  string
	}{
		"manifest gone":            {func(f *bundletest.Fixture) { delete(f.Blobs, f.Lock.Images[1].Digest) }, report.ClassUnavailable, "404"},
		"platform of another arch": {func(f *bundletest.Fixture) { swap(f.Lock.Images[0].Platforms) }, report.ClassContent, "says that"},
		"platform not in index": {func(f *bundletest.Fixture) {
			f.Lock.Images[0].Platforms["linux/arm64"] = f.Lock.Images[1].Platforms["linux/arm64"]
		}, report.ClassContent, "not in the index"},
		"single with two platforms": {func(f *bundletest.Fixture) {
			f.Lock.Images[2].Platforms["linux/arm64"] = f.Lock.Images[2].Digest
		}, report.ClassContent, "one platform"},
		"config lies": {func(f *bundletest.Fixture) {
			f.Lock.Images[2].Platforms = map[string]digest.Digest{"linux/arm64": f.Lock.Images[2].Digest}
		}, report.ClassContent, "the image's config"},
		"layer of no type": {func(f *bundletest.Fixture) {
			retype(f, "application/vnd.docker.image.rootfs.diff.tar.gzip", "")
		}, report.ClassContent, `"" is no media type`},
		"NUL in a type": {func(f *bundletest.Fixture) {
			retype(f, "application/vnd.docker.container.image.v1+json", `a/b\u0000`)
		}, report.ClassContent, `"a/b\x00" is no media type`},
		"metadata too large": {func(f *bundletest.Fixture) {
			f.Metadata("os/x86_64", "comps", "<comps/>")
			f.Lock.Metadata[0].Size = manifest.MaxMetadata + 1
		}, report.ClassContent, "metadata os/x86_64/comps.xml: 33554433 bytes, more than"},
		"base": {func(f *bundletest.Fixture) { f.Lock.Base = f.Lock.Images[0].Digest }, report.ClassUsage, "deltas"},
	} {
		f := bundletest.New(t)
		c.spoil(f)
		_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
		if err == nil || report.Classify(err) != c.class || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
		if _, ok := errors.AsType[*plan.ArtifactError](err); !ok {
			t.Errorf("%s: no artifact is named: %v", name, err)
		}
	}
	f := bundletest.New(t)
	for _, img := range f.Lock.Images {
		delete(f.Blobs, img.Digest)
	}
	_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
	for _, source := range f.Sources() {
		if !strings.Contains(err.Error(), source) {
			t.Errorf("%s is not told: %v", source, err)
		}
	}
}

// What verify would refuse in a table is not built, even of a lock that nobody has checked.
func TestTablesAreChecked(t *testing.T) {
	for text, spoil := range map[string]func(l *lockfile.Lock){
		"it has no platform of aarch64":     func(l *lockfile.Lock) { l.Absent = nil },
		"is said to be absent for it":       func(l *lockfile.Lock) { l.Absent[0].Source = "quay.io/team/app:1.0" },
		`publish name "a:1" stands twice`:   func(l *lockfile.Lock) { l.Images[0].Publish, l.Images[1].Publish = []string{"a:1"}, []string{"a:1"} },
		`group "g" stands twice`:            func(l *lockfile.Lock) { l.Files[0].Groups = []string{"g", "g"} },
		"it is below the file":              func(l *lockfile.Lock) { l.Files[0].Path = l.Files[1].Path + "/a" },
		"is not the name of an RPM":         func(l *lockfile.Lock) { l.RPMs[0].Name = "" },
		`in a set of "aarch64"`:             func(l *lockfile.Lock) { l.RPMs[0].BaseArch = "aarch64" },
		"it has neither a signer nor a":     func(l *lockfile.Lock) { l.RPMs[0].Signer = "" },
		"it has both a signer and a reason": func(l *lockfile.Lock) { l.RPMs[0].Why = "ours" },
		"is not one of the keys":            func(l *lockfile.Lock) { l.Keys = nil },
	} {
		f := bundletest.New(t)
		spoil(f.Lock)
		_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
		if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: class %d, %v", text, report.Classify(err), err)
		}
	}
}

// Every part of a lock that can be selected makes a good bundle, also where a group that is
// selected has nothing for the arch.
func TestSelectionsAreGood(t *testing.T) {
	f := bundletest.New(t)
	f.Lock.Files[1].Groups = []string{"arm"}
	for _, o := range []plan.Options{
		{Arches: []string{"x86_64"}}, {Arches: []string{"aarch64"}}, {Groups: []string{"core"}}, {Groups: []string{"arm", "core"}},
		{Arches: []string{"x86_64"}, Groups: []string{"arm", "core"}},
	} {
		b := f.Plan(t, o).Bundle
		if _, err := manifest.OpenRootFile(b.EncodeRootFile()); err != nil {
			t.Errorf("%+v: %v", o, err)
		}
	}
}

// retype gives a descriptor in the manifest of the single image another media type.
func retype(f *bundletest.Fixture, was, now string) {
	img := &f.Lock.Images[2]
	raw := bytes.Replace(f.Blobs[img.Digest], []byte(was), []byte(now), 1)
	d := digest.FromBytes(raw)
	f.Blobs[d], f.Types[d] = raw, f.Types[img.Digest]
	img.Digest, img.Platforms = d, map[string]digest.Digest{"linux/amd64": d}
}

// Two entries that pin one digest with two sizes: both are named.
func TestOneDigestTwoSizes(t *testing.T) {
	f := bundletest.New(t)
	layer := f.Blobs[f.Lock.Images[2].Digest] // carried as a file, too, with a wrong size
	f.Lock.Files = append(f.Lock.Files, lockfile.File{Path: "manifest.json", URLs: []string{"https://x.example/m"}, Size: int64(len(layer)) + 1, Digest: f.Lock.Images[2].Digest})
	_, err := plan.Make(t.Context(), f.Lock, plan.Sources{Images: f, Files: f}, plan.Options{})
	if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), "manifest.json") || !strings.Contains(err.Error(), "pause") {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}

func swap(m map[string]digest.Digest) {
	m["linux/amd64"], m["linux/arm64"] = m["linux/arm64"], m["linux/amd64"]
}

func TestSharedBlobsKeepAllOrigins(t *testing.T) {
	f := bundletest.New(t)
	p := f.Plan(t, plan.Options{})
	shared := 0
	for _, b := range p.Blobs {
		if len(b.Origins) == 2 {
			shared++
		}
	}
	if shared != 2 { // the base layer of two images, for each platform
		t.Errorf("%d blobs have two origins", shared)
	}
	var ix ocispec.Index
	if err := json.Unmarshal(p.Bundle.Index(), &ix); err != nil || len(ix.Manifests) != 1+3+2+1 {
		t.Errorf("index.json lists %d, %v", len(ix.Manifests), err)
	}
}
