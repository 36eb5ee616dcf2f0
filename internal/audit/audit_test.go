package audit_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/archive"
	"airbundle/internal/audit"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A site is a registry that holds the images of a bundle, and the bundle's root; the
// archive has left.
type site struct {
	t      *testing.T
	bundle *manifest.Bundle
	reg    *registrytest.Registry
	client *registry.Registry
	fail   func(r *http.Request) int // status to answer with; 0: pass
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t}
	path := bundletest.New(t).Build(t)
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if s.bundle, err = manifest.OpenRootFile(a.Bundle().EncodeRootFile()); err != nil {
		t.Fatal(err)
	}
	s.reg = registrytest.Start(t, registrytest.Options{Dir: t.TempDir(), Wrap: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if s.fail != nil {
				if status := s.fail(r); status != 0 {
					w.WriteHeader(status)
					return
				}
			}
			next.ServeHTTP(w, r)
		})
	}})
	client := httpx.NewClient(httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }}))
	s.client = registry.New(registry.Options{Base: s.reg.URL, Client: client})
	rep, _, err := push.Run(t.Context(), a.Bundle(), a, s.items(), push.Target{Images: func(string) push.Images { return s.client }}, push.Options{})
	if err != nil || rep.Code() != 0 {
		t.Fatalf("push: %v, %+v", err, rep.Findings())
	}
	return s
}

func (s *site) items() []target.Item {
	s.t.Helper()
	items, err := target.Default().Items(s.bundle.Table, target.Selection{Only: []string{"image"}})
	if err != nil {
		s.t.Fatal(err)
	}
	return items
}

func (s *site) audit(deep bool) *report.Report {
	s.t.Helper()
	rep, _, err := audit.Run(s.t.Context(), s.bundle, s.items(), audit.Target{Images: func(string) audit.Images { return s.client }}, audit.Options{Deep: deep})
	if err != nil {
		s.t.Fatal(err)
	}
	return rep
}

// want checks that the findings are exactly these, as "name arch state".
func (s *site) want(rep *report.Report, class report.Class, want ...string) {
	s.t.Helper()
	var got []string
	for _, f := range rep.Findings() {
		got = append(got, strings.TrimSpace(f.Name+" "+f.Arch)+" "+string(f.State))
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || rep.Code() != int(class) {
		s.t.Errorf("code %d, findings\n%s\nwant %d,\n%s", rep.Code(), strings.Join(got, "\n"), class, strings.Join(want, "\n"))
	}
}

func TestEverythingIsThere(t *testing.T) {
	s := newSite(t)
	s.reg.Forget()
	rep := s.audit(false)
	s.want(rep, report.ClassOK)
	if n := len(rep.Records()); n != 3+5 { // three names, five platforms
		t.Errorf("%d records", n)
	}
	for _, r := range s.reg.Requests() {
		if r.Method != http.MethodHead && r.Method != http.MethodGet {
			t.Errorf("an audit wrote: %+v", r)
		}
		if r.Method == http.MethodGet && strings.Contains(r.Path, "/blobs/") {
			t.Errorf("a shallow audit read a blob: %+v", r)
		}
	}
	deep, sum, err := audit.Run(t.Context(), s.bundle, s.items(), audit.Target{Images: func(string) audit.Images { return s.client }}, audit.Options{Deep: true})
	if err != nil || deep.Code() != 0 || sum.Read == 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func (s *site) platform(image, platform string) digest.Digest {
	for _, img := range s.bundle.Table.Images {
		for _, p := range img.Platforms {
			if img.Name == image && p.Platform == platform {
				return p.Digest
			}
		}
	}
	s.t.Fatalf("no %s %s", image, platform)
	return ""
}

// layer is the only layer of the pause image.
func (s *site) layer() digest.Digest {
	raw, d, err := s.client.Manifest(s.t.Context(), "pause", "3.2", manifest.MaxImageJSON)
	if err != nil {
		s.t.Fatal(err)
	}
	node, err := manifest.ParseImage(d.MediaType, raw)
	if err != nil {
		s.t.Fatal(err)
	}
	return node.Layers[0].Digest
}

func TestMissing(t *testing.T) {
	s := newSite(t)
	if err := os.Remove(s.reg.BlobFile(s.layer())); err != nil {
		t.Fatal(err)
	}
	s.want(s.audit(false), report.ClassIncomplete, "registry.k8s.io/pause:3.2 linux/amd64 missing")

	s = newSite(t)
	arm := string(s.platform("docker.io/library/tool:2", "linux/arm64"))
	s.fail = func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/manifests/"+arm) || strings.HasSuffix(r.URL.Path, "/pause/manifests/3.2") {
			return http.StatusNotFound
		}
		return 0
	}
	s.want(s.audit(false), report.ClassIncomplete, "docker.io/library/tool:2 linux/arm64 missing", "registry.k8s.io/pause:3.2 missing")
}

// Damage that the registry does not know of is found by reading. A push believes the server,
// also one with --overwrite: neither is the next step.
func TestRottenBlob(t *testing.T) {
	s := newSite(t)
	file := s.reg.BlobFile(s.layer())
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s.want(s.audit(false), report.ClassOK)
	rep := s.audit(true)
	s.want(rep, report.ClassContent, "registry.k8s.io/pause:3.2 linux/amd64 different")
	if next := rep.Findings()[0].Next; !strings.Contains(next, "deleted there") {
		t.Errorf("next step %q", next)
	}
}

func TestMovedTag(t *testing.T) {
	s := newSite(t)
	raw, d, err := s.client.Manifest(t.Context(), "library/tool", string(s.platform("docker.io/library/tool:2", "linux/amd64")), manifest.MaxImageJSON)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.PushManifest(t.Context(), "library/tool", "2", d.MediaType, raw); err != nil {
		t.Fatal(err)
	}
	rep := s.audit(false)
	s.want(rep, report.ClassContent, "docker.io/library/tool:2 different")
	if reason := rep.Findings()[0].Reason; !strings.Contains(reason, string(d.Digest)) {
		t.Errorf("the digest that is there is not told: %s", reason)
	}
}

// Only 404 means absent: any other answer leaves the state unknown.
func TestUnknown(t *testing.T) {
	for status, class := range map[int]report.Class{http.StatusInternalServerError: report.ClassUnavailable, http.StatusForbidden: report.ClassRefused, http.StatusBadGateway: report.ClassUnavailable} {
		s := newSite(t)
		s.fail = func(r *http.Request) int {
			if strings.Contains(r.URL.Path, "/pause/blobs/") {
				return status
			}
			return 0
		}
		s.want(s.audit(false), class, "registry.k8s.io/pause:3.2 linux/amd64 unknown")
	}
}

// A refused login ends the audit; nothing is called missing.
func TestLoginRefused(t *testing.T) {
	s := newSite(t)
	asked := 0
	s.fail = func(*http.Request) int { asked++; return http.StatusUnauthorized }
	rep, _, err := audit.Run(t.Context(), s.bundle, s.items(), audit.Target{Images: func(string) audit.Images { return s.client }}, audit.Options{Jobs: 1})
	if err != nil || rep.Code() != int(report.ClassRefused) || rep.Counts()[report.Missing] != 0 || asked > 3 {
		t.Errorf("code %d, %v, %d requests, %v", rep.Code(), rep.Counts(), asked, err)
	}
}

func TestPlainRegistryHoldsImagesOnly(t *testing.T) {
	s := newSite(t)
	items, err := target.Default().Items(s.bundle.Table, target.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	rep, _, err := audit.Run(t.Context(), s.bundle, items, audit.Target{Images: func(string) audit.Images { return s.client }}, audit.Options{})
	if err != nil || rep.Code() != int(report.ClassUsage) || len(rep.Findings()) != 4 {
		t.Errorf("code %d, %d findings, %v", rep.Code(), len(rep.Findings()), err)
	}
}
