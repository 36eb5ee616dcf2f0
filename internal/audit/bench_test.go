package audit_test

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
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
	"airbundle/internal/report"
	"airbundle/internal/target"
)

var generations = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

// A bench is a double of Nexus that holds a bundle, with charts.
type bench struct {
	t       *testing.T
	archive *archive.Archive
	double  *nexustest.Server
	nexus   *nexus.Nexus
	only    []string
	raw     bool // RPMs in the raw repository
}

// newBench pushes a bundle to a double; o.RebuildDelay and search are its own from then on.
func newBench(t *testing.T, o nexustest.Options) *bench {
	t.Helper()
	return newBenchOf(t, o, false)
}

func newBenchOf(t *testing.T, o nexustest.Options, raw bool) *bench {
	t.Helper()
	f := bundletest.New(t)
	f.AddChart(t, "nginx", "1.2.3")
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	o.Repositories = []nexustest.Repository{{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum"}, {Name: "raw-hosted", Format: "raw"}, {Name: "helm-hosted", Format: "helm"}}
	b := &bench{t: t, archive: a, double: nexustest.Start(t, o), raw: raw}
	u, err := url.Parse(b.double.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := httpx.NewClient(httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }}))
	b.nexus = nexus.New(nexus.Options{URL: u, Client: client, Username: nexustest.Username, Password: nexustest.Password})
	to := push.Target{Name: "nexus", Images: func(repo string) push.Images { return b.nexus.Docker(repo) }, Assets: b.nexus}
	rep, _, err := push.Run(t.Context(), a.Bundle(), a, b.items(), to, push.Options{MetadataPoll: 5 * time.Millisecond})
	if err != nil || rep.Code() != 0 {
		t.Fatalf("push: %v, %+v", err, rep.Findings())
	}
	b.double.ClearLog()
	return b
}

func (b *bench) places() target.Map {
	m := target.Default()
	m.RawRPMs = b.raw
	return m
}

func (b *bench) items() []target.Item {
	b.t.Helper()
	items, err := b.places().Items(b.archive.Bundle().Table, target.Selection{Only: b.only})
	if err != nil {
		b.t.Fatal(err)
	}
	return items
}

// put stores something that is not the bundle's.
func (b *bench) put(repo string, paths ...string) {
	b.t.Helper()
	for _, p := range paths {
		if err := b.double.Put(repo, p, []byte("not ours: "+p)); err != nil {
			b.t.Fatal(err)
		}
	}
}

func held(path string, a nexus.Asset, page int) audit.Held {
	h := audit.Held{Path: path, Size: a.Size, SHA1: a.Checksums["sha1"], Modified: a.Modified, Page: page}
	if sum := a.Checksums["sha256"]; sum != "" {
		h.SHA256 = digest.NewDigestFromEncoded(digest.SHA256, sum)
	}
	return h
}

func listsOf(n *nexus.Nexus) audit.Lists {
	of := func(list func(context.Context, string) iter.Seq2[nexus.Listed, error]) func(context.Context, string) iter.Seq2[audit.Held, error] {
		return func(ctx context.Context, repo string) iter.Seq2[audit.Held, error] {
			return func(yield func(audit.Held, error) bool) {
				for l, err := range list(ctx, repo) {
					if !yield(held(l.Path, l.Asset, l.Page), err) {
						return
					}
				}
			}
		}
	}
	return audit.Lists{Files: of(n.Files), Tags: of(n.Tags), Blobs: of(n.Blobs), Head: func(ctx context.Context, repo, path string) (audit.Held, error) {
		a, err := n.Head(ctx, repo, path)
		return held(path, a, 0), err
	}}
}

// statted answers Digest by HEAD and search.
type statted struct{ *nexus.Nexus }

func (a statted) Digest(ctx context.Context, repo, path string) (int64, digest.Digest, error) {
	s, err := a.Stat(ctx, repo, path)
	return s.Size, held(path, s, 0).SHA256, err
}

func (b *bench) target() audit.Target {
	return audit.Target{
		Name: "nexus", Version: b.double.Version(),
		Images: func(repo string) audit.Images { return b.nexus.Docker(repo) }, Assets: statted{b.nexus}, Lists: listsOf(b.nexus),
	}
}

func (b *bench) audit(o audit.Options) (*report.Report, *audit.Summary) {
	b.t.Helper()
	return b.auditAt(b.target(), o)
}

func (b *bench) auditAt(to audit.Target, o audit.Options) (*report.Report, *audit.Summary) {
	b.t.Helper()
	whole, err := b.places().Items(b.archive.Bundle().Table, target.Selection{})
	if err != nil {
		b.t.Fatal(err)
	}
	o.Whole = whole
	rep, sum, err := audit.Run(b.t.Context(), b.archive.Bundle(), b.items(), to, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep, sum
}

// lines are the records of some states, as "state kind place".
func lines(rep *report.Report, states ...report.State) (out []string) {
	for _, r := range rep.Records() {
		if slices.Contains(states, r.State) {
			out = append(out, fmt.Sprintf("%s %s %s", r.State, r.Kind, r.Place))
		}
	}
	return out
}

func proofs(rep *report.Report, kind string) (out []string) {
	for _, r := range rep.Records() {
		if r.Kind == kind && r.State == report.Present {
			out = append(out, r.Proof)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *bench) clean(rep *report.Report) {
	b.t.Helper()
	for _, f := range rep.Findings() {
		b.t.Errorf("%+v", f)
	}
}
