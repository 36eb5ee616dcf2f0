package push_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

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
	if rep.Code() != int(report.ClassRefused) || b.reg.BytesIn() != 0 || !strings.Contains(rep.Findings()[0].Reason, "--overwrite") {
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

// A store that yields damaged content for one blob.
type damaged struct {
	push.Store
	bad digest.Digest
}

func (s damaged) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if d.Digest == s.bad {
		return nil, errors.New("input/output error at byte 4096")
	}
	return s.Store.Fetch(ctx, d)
}

// One bad blob fails the images that need it, by name; all others arrive, and no tag
// stands for something incomplete.
func TestOneBadBlob(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	items := b.items(onlyImages)
	tree, err := b.archive.Bundle().ReadImage(t.Context(), b.archive.Bundle().Table.Images[items[0].Index], b.archive.Read)
	if err != nil {
		t.Fatal(err)
	}
	layers := tree.Manifests()[0].Node.Layers
	bad := layers[len(layers)-1].Digest // not shared
	rep, _, err := push.Run(t.Context(), b.archive.Bundle(), damaged{b.archive, bad}, items, push.Target{Images: func(string) push.Images { return b.client }}, push.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(rep.Findings()); n != 1 || rep.Findings()[0].Name != items[0].Name || !strings.Contains(rep.Findings()[0].Reason, string(bad)) {
		t.Errorf("%d findings: %+v", n, rep.Findings())
	}
	if _, err := b.client.Resolve(t.Context(), items[0].Refs[0].Repository, items[0].Refs[0].Tag); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("the tag stands: %v", err)
	}
	if rep.Counts()[report.Sent] != 2 {
		t.Errorf("%v", rep.Counts())
	}
	rep, _ = b.push(onlyImages, push.Options{})
	b.clean(rep, "rerun with a good store")
}

// A refused login stops everything: no account is locked by repeated tries.
func TestRefusedLogin(t *testing.T) {
	b := newBench(t, registrytest.Options{Username: "admin", Password: "right"})
	rep, _ := b.push(onlyImages, push.Options{Jobs: 8})
	if rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 3 {
		t.Errorf("code %d, %d findings", rep.Code(), len(rep.Findings()))
	}
}

// A registry that loses a blob it said it had is sent the blob again.
func TestRegistryThatLiesAboutABlob(t *testing.T) {
	var lies atomic.Int32
	var b *bench
	b = newBench(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodHead && strings.Contains(r.URL.Path, "/blobs/") && strings.Contains(r.URL.Path, "pause") && lies.Add(1) == 1 {
				_, d, _ := strings.Cut(r.URL.Path, "/blobs/")
				desc, _ := b.archive.Bundle().Blob(digest.Digest(d))
				w.Header().Set("Docker-Content-Digest", d)
				w.Header().Set("Content-Length", strconv.FormatInt(desc.Size, 10))
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	rep, _ := b.push(onlyImages, push.Options{})
	b.clean(rep, "push")
	b.clean(b.audit(onlyImages, true), "audit")
	if lies.Load() == 0 {
		t.Error("the registry told no lie")
	}
}

// A quarter of all requests fail with 503: the push completes all the same, or says what
// is missing; it never claims more than is there.
func TestStorm(t *testing.T) {
	var mu sync.Mutex
	dice := rand.New(rand.NewPCG(1, 2))
	b := newBench(t, registrytest.Options{Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			fail := dice.IntN(4) == 0
			mu.Unlock()
			if fail {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
	rep, _ := b.push(onlyImages, push.Options{Jobs: 3})
	audited := b.audit(onlyImages, true)
	if (rep.Code() == 0) != (audited.Code() == 0) {
		t.Errorf("push says %d, the audit %d: %+v %+v", rep.Code(), audited.Code(), rep.Findings(), audited.Findings())
	}
	b.clean(rep, "push through a storm")
}

func TestInterrupted(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	why := errors.New("signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, _, err := push.Run(ctx, b.archive.Bundle(), b.archive, b.items(onlyImages), push.Target{Images: func(string) push.Images { return b.client }},
		push.Options{Jobs: 1, Done: func(report.Record) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}

func TestPlainRegistryTakesImagesOnly(t *testing.T) {
	b := newBench(t, registrytest.Options{})
	rep, _ := b.push(target.Selection{}, push.Options{})
	if rep.Code() != int(report.ClassUsage) || len(rep.Findings()) != 4 || rep.Counts()[report.Sent] != 3 {
		t.Errorf("code %d, %v", rep.Code(), rep.Counts())
	}
}
