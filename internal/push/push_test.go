package push_test

import (
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/audit"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/progress"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A bench is an archive and a real registry to push it to.
type bench struct {
	t       *testing.T
	archive *archive.Archive
	reg     *registrytest.Registry
	client  *registry.Registry
	places  target.Map
}

func newBench(t *testing.T, o registrytest.Options) *bench {
	t.Helper()
	a, err := archive.Open(bundletest.New(t).Build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	reg := registrytest.Start(t, o)
	fast := func(int) time.Duration { return time.Millisecond }
	client := httpx.NewClient(httpx.NewTransport(httpx.Options{Backoff: fast, Attempts: 8}))
	return &bench{t, a, reg, registry.New(registry.Options{Base: reg.URL, Client: client, Retry: registry.Retry{Attempts: 8, Backoff: fast}}), target.Map{}}
}

var onlyImages = target.Selection{Only: []string{"image"}}

func (b *bench) items(s target.Selection) []target.Item {
	b.t.Helper()
	items, err := b.places.Items(b.archive.Bundle().Table, s)
	if err != nil {
		b.t.Fatal(err)
	}
	return items
}

func (b *bench) push(s target.Selection, o push.Options) (*report.Report, *push.Summary) {
	b.t.Helper()
	rep, sum, err := push.Run(b.t.Context(), b.archive.Bundle(), b.archive, b.items(s), push.Target{Name: "test", Images: func(string) push.Images { return b.client }}, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep, sum
}

func (b *bench) audit(s target.Selection, deep bool) *report.Report {
	b.t.Helper()
	rep, _, err := audit.Run(b.t.Context(), b.archive.Bundle(), b.items(s), audit.Target{Name: "test", Images: func(string) audit.Images { return b.client }}, audit.Options{Deep: deep})
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

func (b *bench) clean(rep *report.Report, what string) {
	b.t.Helper()
	for _, f := range rep.Findings() {
		b.t.Errorf("%s: %+v", what, f)
	}
}

func TestPushThenAudit(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	rep, sum := b.push(onlyImages, push.Options{Jobs: 4})
	b.clean(rep, "push")
	if rep.Counts()[report.Sent] != 3 || sum.Sent == 0 {
		t.Errorf("%v, %+v", rep.Counts(), sum)
	}
	b.clean(b.audit(onlyImages, true), "deep audit")
}

// Every blob is sent once, however many repositories need it: the others mount it.
func TestSharedLayersAreSentOnce(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	_, sum := b.push(onlyImages, push.Options{Jobs: 8})
	unique := int64(0)
	for _, d := range b.archive.Bundle().Blobs() {
		if manifest.IsManifest(d.MediaType) || manifest.IsIndex(d.MediaType) || d.MediaType == manifest.MediaTypeTable || d.MediaType == ocispec.MediaTypeEmptyJSON {
			continue
		}
		if d.MediaType != manifest.MediaTypeRPM && d.MediaType != manifest.MediaTypeFile {
			unique += d.Size
		}
	}
	if sum.Sent != unique {
		t.Errorf("%d bytes sent, the blobs have %d", sum.Sent, unique)
	}
	mounts := 0
	for _, r := range b.reg.Requests() {
		if strings.Contains(r.Query, "mount=") && r.Status == http.StatusCreated {
			mounts++
		}
	}
	if mounts != 2 {
		t.Errorf("%d mounts, want 2", mounts)
	}
}

func TestRerunSendsNothing(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	b.push(onlyImages, push.Options{})
	b.reg.Forget()
	rep, sum := b.push(onlyImages, push.Options{})
	b.clean(rep, "rerun")
	if sum.Sent != 0 || b.reg.BytesIn() != 0 || rep.Counts()[report.Present] != 3 {
		t.Errorf("the rerun sent %d bytes (%d arrived), %v", sum.Sent, b.reg.BytesIn(), rep.Counts())
	}
	for _, r := range b.reg.Requests() {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			t.Errorf("the rerun wrote: %+v", r)
		}
	}
}

// sink adds up all progress; at the end it must be what was announced.
type sink struct{ done, planned atomic.Int64 }

func (s *sink) Begin(string, int64) progress.Task { return s }
func (s *sink) Add(n int64)                       { s.done.Add(n) }
func (s *sink) End(error)                         {}

func TestProgressEndsAtTheTotal(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	for range 2 { // what is present counts, too
		var s sink
		b.push(onlyImages, push.Options{Progress: &s, Planned: s.planned.Store})
		if s.done.Load() != s.planned.Load() || s.planned.Load() == 0 {
			t.Errorf("%d of %d bytes", s.done.Load(), s.planned.Load())
		}
	}
}

// A blob that the registry holds torn is told by a dry run as by a push, and not taken
// for whole; where the registry keeps its torn copy, no rerun claims success.
func TestTornBlobAtTheTarget(t *testing.T) {
	b := newBench(t, registrytest.Options{Dir: t.TempDir()})
	b.push(onlyImages, push.Options{})
	raw, d, err := b.client.Manifest(t.Context(), "pause", "3.2", manifest.MaxImageJSON)
	if err != nil {
		t.Fatal(err)
	}
	node, err := manifest.ParseImage(d.MediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	layer := node.Layers[0]
	if err := os.Truncate(b.reg.BlobFile(layer.Digest), 7); err != nil {
		t.Fatal(err)
	}
	rep, _ := b.push(onlyImages, push.Options{DryRun: true})
	if rep.Code() != int(report.ClassContent) || !strings.Contains(rep.Findings()[0].Reason, string(layer.Digest)) {
		t.Errorf("dry run: code %d, %+v", rep.Code(), rep.Findings())
	}
	rep, _ = b.push(onlyImages, push.Options{})
	size, err := b.client.StatBlob(t.Context(), "pause", layer.Digest)
	if err != nil || (rep.Code() == 0) != (size == layer.Size) {
		t.Errorf("the registry has %d of %d bytes, push says %d", size, layer.Size, rep.Code())
	}
}

func TestDryRunWritesNothing(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	rep, planned := b.push(onlyImages, push.Options{DryRun: true})
	if rep.Counts()[report.Planned] != 3 || b.reg.BytesIn() != 0 {
		t.Errorf("%v, %d bytes arrived", rep.Counts(), b.reg.BytesIn())
	}
	if _, sum := b.push(onlyImages, push.Options{}); sum.Sent != planned.Sent {
		t.Errorf("the dry run announced %d bytes, the run sent %d", planned.Sent, sum.Sent)
	}
	rep, planned = b.push(onlyImages, push.Options{DryRun: true})
	if rep.Counts()[report.Present] != 3 || planned.Sent != 0 {
		t.Errorf("after the push: %v, %+v", rep.Counts(), planned)
	}
}

// Blobs stand before the manifests that need them, manifests before indexes, tags last.
func TestOrder(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	b.push(onlyImages, push.Options{Jobs: 8})
	tagged := map[string]bool{}
	for _, r := range b.reg.Requests() {
		if r.Method != http.MethodPut && r.Method != http.MethodPost {
			continue
		}
		_, path, _ := strings.Cut(r.Path, "/v2/")
		repo, rest, isManifest := strings.Cut(path, "/manifests/")
		if !isManifest {
			repo, _, _ = strings.Cut(path, "/blobs/")
		}
		if tagged[repo] {
			t.Errorf("%s %s came after the tag of %s", r.Method, r.Path, repo)
		}
		if isManifest && !strings.HasPrefix(rest, "sha256:") {
			tagged[repo] = true
		}
		if r.Status >= 400 {
			t.Errorf("the registry refused %+v", r)
		}
	}
	if len(tagged) != 3 {
		t.Errorf("tagged: %v", tagged)
	}
}

func TestArchSelectionDerives(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	arm := target.Selection{Only: []string{"image"}, Arches: []string{"aarch64"}}
	rep, _ := b.push(arm, push.Options{})
	b.clean(rep, "push of aarch64")
	b.clean(b.audit(arm, true), "audit of aarch64")
	raw, d, err := b.client.Manifest(t.Context(), "library/tool", "2", manifest.MaxImageJSON)
	if err != nil {
		t.Fatal(err)
	}
	node, err := manifest.ParseImage(d.MediaType, raw)
	if err != nil || len(node.Manifests) != 1 || manifest.PlatformOf(node.Manifests[0].Platform) != "linux/arm64" {
		t.Errorf("%s, %v", raw, err)
	}
	if full := b.audit(onlyImages, false); full.Code() == 0 {
		t.Error("an audit of everything is clean after a push of one arch")
	}
}

func TestCollisionsAreRefusedBeforeTheFirstByte(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	items := b.items(onlyImages)
	for i := range items {
		items[i].Refs = []target.Ref{{Repository: "same", Tag: "1"}}
	}
	_, _, err := push.Run(t.Context(), b.archive.Bundle(), b.archive, items, push.Target{Images: func(string) push.Images { return b.client }}, push.Options{})
	if report.Classify(err) != report.ClassContent || len(b.reg.Requests()) != 0 {
		t.Errorf("%v after %d requests", err, len(b.reg.Requests()))
	}
}

func TestTakenTag(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	tool := target.Selection{Only: []string{"docker.io/library/tool"}}
	b.push(tool, push.Options{})
	items := b.items(target.Selection{Only: []string{"quay.io/team/app"}})
	items[0].Refs = []target.Ref{{Repository: "library/tool", Tag: "2"}}
	run := func(o push.Options) *report.Report {
		rep, _, err := push.Run(t.Context(), b.archive.Bundle(), b.archive, items, push.Target{Images: func(string) push.Images { return b.client }}, o)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	b.reg.Forget()
	rep := run(push.Options{})
	if rep.Code() != int(report.ClassRefused) || b.reg.BytesIn() != 0 || !strings.Contains(rep.Findings()[0].Next, "--overwrite") {
		t.Errorf("code %d, %d bytes, %+v", rep.Code(), b.reg.BytesIn(), rep.Findings())
	}
	b.clean(run(push.Options{Overwrite: true}), "overwrite")
	if d, err := b.client.Resolve(t.Context(), "library/tool", "2"); err != nil || d.Digest != items[0].Digest {
		t.Errorf("%v, %v", d.Digest, err)
	}
}

// Of several names in one repository, one that is taken is told, and the others are put.
func TestTakenTagAmongOthers(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	b.push(target.Selection{Only: []string{"docker.io/library/tool"}}, push.Options{})
	items := b.items(target.Selection{Only: []string{"quay.io/team/app"}})
	items[0].Refs = []target.Ref{{Repository: "library/tool", Tag: "1"}, {Repository: "library/tool", Tag: "2"}, {Repository: "library/tool", Tag: "3"}}
	rep, _, err := push.Run(t.Context(), b.archive.Bundle(), b.archive, items, push.Target{Images: func(string) push.Images { return b.client }}, push.Options{})
	if err != nil || rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 1 || rep.Counts()[report.Sent] != 2 {
		t.Fatalf("%v, %+v, %v", err, rep.Records(), rep.Counts())
	}
	if f := rep.Findings()[0]; f.Place != "library/tool:2" {
		t.Errorf("%+v", f)
	}
	for _, tag := range []string{"1", "3"} {
		if d, err := b.client.Resolve(t.Context(), "library/tool", tag); err != nil || d.Digest != items[0].Digest {
			t.Errorf("%s: %v, %v", tag, d.Digest, err)
		}
	}
}

func TestPlainRegistryTakesImagesOnly(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	rep, _ := b.push(target.Selection{}, push.Options{})
	if rep.Code() != int(report.ClassUsage) || len(rep.Findings()) != 4 || rep.Counts()[report.Sent] != 3 {
		t.Errorf("code %d, %v", rep.Code(), rep.Counts())
	}
}
