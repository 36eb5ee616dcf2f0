package faults

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/archive"
	"airbundle/internal/audit"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// A world is a bundle and what a target must hold of it.
type world struct {
	archive *archive.Archive
	items   []target.Item
}

func newWorld(t testing.TB) *world {
	t.Helper()
	f := bundletest.New(t)
	f.AddChart(t, "nginx", "1.2.3")
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	items, err := target.Default().Items(a.Bundle().Table, target.Selection{})
	if err != nil {
		t.Fatal(err)
	}
	return &world{a, items}
}

func options(p nexustest.Profile) nexustest.Options {
	return nexustest.Options{Profile: p, Repositories: []nexustest.Repository{
		{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum"},
		{Name: "raw-hosted", Format: "raw"}, {Name: "helm-hosted", Format: "helm"},
	}}
}

const jobs = 8

func soon(int) time.Duration { return 5 * time.Millisecond }

// manners are the bounds that the seeder has without flags.
func manners(u *url.URL) httpx.Options {
	return httpx.Options{
		Total: jobs, Adapt: true, Surface: nexus.Surface(u),
		Surfaces: map[string]int{nexus.SurfaceDocker: 4, nexus.SurfaceContent: 8, nexus.SurfaceREST: 2},
	}
}

// connect makes a client as the seeder does, but for the waits.
func connect(t testing.TB, server string, bounds func(*url.URL) httpx.Options) *nexus.Nexus {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	return nexus.New(nexus.Options{URL: u, Client: impatient(t, bounds(u)), Username: nexustest.Username, Password: nexustest.Password, Retry: registry.Retry{Backoff: soon}})
}

// patience is how long a server may be silent. Where thousands of runs share a machine with
// other work, the tests' own servers are at times.
func patience() time.Duration {
	if full() {
		return 5 * time.Second
	}
	return 700 * time.Millisecond
}

// impatient is a client that waits no longer than that for anything. At the end of the
// test all that it has logged is searched for the password.
func impatient(t testing.TB, o httpx.Options) *http.Client {
	t.Helper()
	var said diary
	o.Log = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelDebug}))
	t.Cleanup(func() {
		if leaked(said.String()) {
			t.Errorf("the log has a secret: %s", said.String())
		}
	})
	o.Backoff, o.Stall, o.ResponseWait = soon, patience(), patience()
	transport := httpx.NewTransport(o)
	t.Cleanup(transport.CloseIdleConnections)
	return httpx.NewClient(transport)
}

// A diary is a log that many write at once.
type diary struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

// push is what seeder push does after it has read its flags: the code that it would exit
// with, and its report, which is nil when the server was not fit to begin with.
func (w *world) push(t testing.TB, s *nexustest.Server, bounds func(*url.URL) httpx.Options) (int, *report.Report, error) {
	t.Helper()
	return w.pushTo(t, s.URL, bounds, false)
}

// pushTo is push to a Nexus that is behind something else.
func (w *world) pushTo(t testing.TB, server string, bounds func(*url.URL) httpx.Options, overwrite bool) (int, *report.Report, error) {
	t.Helper()
	n := connect(t, server, bounds)
	if _, err := n.Check(t.Context()); err != nil {
		return int(report.Classify(err)), nil, err
	}
	to := push.Target{Name: server, Images: func(repo string) push.Images { return n.Docker(repo) }, Assets: n, Writable: n.Writable}
	rep, _, err := push.Run(t.Context(), w.archive.Bundle(), w.archive, w.items, to, push.Options{
		Jobs: jobs, Overwrite: overwrite, FrozenWait: 300 * time.Millisecond, MetadataWait: 1500 * time.Millisecond, MetadataPoll: 20 * time.Millisecond,
	})
	if err != nil {
		return int(report.Classify(err)), rep, err
	}
	return rep.Code(), rep, nil
}

// audit is a deep one.
func (w *world) audit(t *testing.T, s *nexustest.Server) *report.Report {
	t.Helper()
	rep, err := w.auditAt(t, s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

func (w *world) auditAt(t *testing.T, server string) (*report.Report, error) {
	t.Helper()
	n := connect(t, server, manners)
	to := audit.Target{Name: server, Images: func(repo string) audit.Images { return n.Docker(repo) }, Assets: assets{n}}
	rep, _, err := audit.Run(t.Context(), w.archive.Bundle(), w.items, to, audit.Options{Jobs: jobs, Deep: true})
	return rep, err
}

type assets struct{ *nexus.Nexus }

// Digest implements audit.Assets.
func (a assets) Digest(ctx context.Context, repo, path string) (int64, digest.Digest, error) {
	asset, err := a.Stat(ctx, repo, path)
	return asset.Size, "", err
}

// good says whether a report calls an item settled; an error when it does not speak of it.
func good(rep *report.Report, it target.Item) (bool, error) {
	found, ok := false, true
	for _, rec := range rep.Records() {
		// An audit has a record for each platform of an image.
		if rec.Kind == string(it.Kind) && rec.Name == it.Name && (it.Arch == "" || rec.Arch == it.Arch) {
			found = true
			ok = ok && (rec.State == report.Sent || rec.State == report.Present)
		}
	}
	if !found {
		return false, errors.New("the report does not speak of it")
	}
	return ok, nil
}

func label(it target.Item) string { return fmt.Sprintf("%s %s %s", it.Kind, it.Name, it.Arch) }
