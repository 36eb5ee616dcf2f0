package push_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
	"airbundle/internal/target"
)

// A yumBench is a Nexus with a yum and a raw repository, and an archive for it.
type yumBench struct {
	*nexusBench
	store push.Store
	raw   bool // RPMs go to the raw repository
}

// newYumBench builds the archive first, so that the repositories are new when the push
// begins.
func newYumBench(t *testing.T, o nexustest.Options, yum nexustest.Repository, prepare func(*bundletest.Fixture)) *yumBench {
	t.Helper()
	f := bundletest.New(t)
	if prepare != nil {
		prepare(f)
	}
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	yum.Name, yum.Format = "yum-hosted", "yum"
	o.Repositories = []nexustest.Repository{yum, {Name: "raw-hosted", Format: "raw"}}
	b := &yumBench{&nexusBench{t: t, archive: a, double: nexustest.Start(t, o)}, a, false}
	b.login(nexustest.Username, nexustest.Password)
	return b
}

// hideSettings makes a server that does not tell the depth of its repositories.
func (b *yumBench) hideSettings(status int) {
	b.double.AddFault(nexustest.Fault{Name: "settings", On: nexustest.Match{Path: "/repositories/yum/hosted/"}, Do: nexustest.Status(status, "")})
}

func (b *yumBench) login(user, password string) {
	u, err := url.Parse(b.double.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	fast := func(int) time.Duration { return time.Millisecond }
	client := httpx.NewClient(httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: fast}))
	b.nexus = nexus.New(nexus.Options{URL: u, Client: client, Username: user, Password: password, Retry: registry.Retry{Attempts: 2, Backoff: fast}})
}

// push pushes RPMs and files.
func (b *yumBench) push(o push.Options) *report.Report {
	b.t.Helper()
	rep, err := b.try(o, b.double.Version(), "rpm", "file")
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

func (b *yumBench) try(o push.Options, version string, only ...string) (*report.Report, error) {
	b.t.Helper()
	o.MetadataPoll = 5 * time.Millisecond
	if o.MetadataWait == 0 {
		o.MetadataWait = 10 * time.Second
	}
	places := target.Default()
	places.RawRPMs = b.raw
	items, err := places.Items(b.archive.Bundle().Table, target.Selection{Only: only})
	if err != nil {
		b.t.Fatal(err)
	}
	rep, _, err := push.Run(b.t.Context(), b.archive.Bundle(), b.store, items, push.Target{Name: "nexus", Assets: b.nexus, Version: version}, o)
	return rep, err
}

// puts are the logged writes to a path that ends so.
func (b *yumBench) puts(suffix string) []nexustest.Entry {
	return slices.DeleteFunc(b.double.Log(), func(e nexustest.Entry) bool {
		return e.Method != http.MethodPut || !strings.HasSuffix(e.Path, suffix)
	})
}

// findings holds the findings to a kind, a state, a class and what they all say.
func (b *yumBench) findings(rep *report.Report, n int, state report.State, class report.Class, says ...string) {
	b.t.Helper()
	found := rep.Findings()
	if len(found) != n {
		b.t.Errorf("%d findings, want %d: %+v", len(found), n, found)
	}
	for _, f := range found {
		if f.Kind != "rpm" || f.State != state || f.Class != class {
			b.t.Errorf("%s %s, class %d, want %s, %d: %+v", f.State, f.Kind, f.Class, state, class, f)
		}
		for _, want := range says {
			if !strings.Contains(f.Reason+" | "+f.Next, want) {
				b.t.Errorf("it does not say %q: %s | %s", want, f.Reason, f.Next)
			}
		}
	}
}

func noted(rep *report.Report, text string) bool {
	return slices.ContainsFunc(rep.Notes, func(n string) bool { return strings.Contains(n, text) })
}

// Contract 0.1/10, 4.2.
// TestYumIsReadyBeforeTheFirstRPM: no package is sent to a new repository before it has
// metadata, while files go at once; whether early packages fail or not.
func TestYumIsReadyBeforeTheFirstRPM(t *testing.T) {
	for _, profile := range profiles {
		for _, fails := range []bool{true, false} {
			b := newYumBench(t, nexustest.Options{Profile: profile, RebuildDelay: 200 * time.Millisecond, Quirks: nexustest.Quirks{EarlyUploadFails: fails}}, nexustest.Repository{}, nil)
			var waits atomic.Int32
			rep := b.push(push.Options{Jobs: 1, Waiting: func(w push.Wait) {
				if w.Of == 0 && slices.Equal(w.Repositories, []string{"yum-hosted"}) {
					waits.Add(1)
				}
			}})
			b.clean(rep)
			log := b.double.Log()
			ready := slices.IndexFunc(log, func(e nexustest.Entry) bool {
				return strings.HasSuffix(e.Path, "/yum-hosted/repodata/repomd.xml") && e.Status == http.StatusOK
			})
			first := func(suffix string) int {
				return slices.IndexFunc(log, func(e nexustest.Entry) bool { return e.Method == http.MethodPut && strings.HasSuffix(e.Path, suffix) })
			}
			if rpm, file := first(".rpm"), first("etcd.tar.gz"); ready < 0 || rpm < ready || file < 0 || file > ready || waits.Load() == 0 {
				t.Errorf("%s: request %d put the first RPM, %d a file, %d found the repository ready; told %d times", profile, rpm, file, ready, waits.Load())
			}
			if rep.Counts()[report.Sent] != 4 {
				t.Errorf("%s: %v", profile, rep.Counts())
			}
		}
	}
}

// Contract 4.2.
// TestYumThatIsNeverReady: the wait for first metadata ends, and the packages go all the
// same. Below depth 0 there is nothing to wait for, and little where nobody tells the depth.
func TestYumThatIsNeverReady(t *testing.T) {
	for name, c := range map[string]struct {
		depth, hidden int
		wait, least   time.Duration
	}{
		"depth 0":                        {0, 0, 100 * time.Millisecond, 100 * time.Millisecond},
		"depth 2":                        {2, 0, time.Hour, 0},
		"depth 2, settings are denied":   {2, http.StatusForbidden, time.Second, 100 * time.Millisecond},
		"depth 2, settings are not told": {2, http.StatusNotFound, time.Second, 100 * time.Millisecond},
		"depth 2, settings fail":         {2, http.StatusInternalServerError, time.Second, 100 * time.Millisecond},
	} {
		b := newYumBench(t, nexustest.Options{Quirks: nexustest.Quirks{NoRebuild: c.depth == 0}}, nexustest.Repository{Depth: c.depth}, nil)
		if c.hidden != 0 {
			b.hideSettings(c.hidden)
		}
		start := time.Now()
		wait := 10 * time.Second
		if c.depth == 0 {
			wait = 200 * time.Millisecond
		}
		rep := b.push(push.Options{ReadyWait: c.wait, MetadataWait: wait})
		if took := time.Since(start); took < c.least || took > 5*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
		if len(b.puts(".rpm")) != 2 {
			t.Errorf("%s: %d RPMs were sent", name, len(b.puts(".rpm")))
		}
		if c.depth > 0 {
			b.clean(rep)
		}
	}
}

// Contract 0.1/3.
// TestYumRefusedLogin: the first request finds out, and nothing else is tried.
func TestYumRefusedLogin(t *testing.T) {
	b := newYumBench(t, nexustest.Options{Profile: nexustest.CE396}, nexustest.Repository{}, nil)
	b.login(nexustest.Username, "wrong")
	rep, err := b.try(push.Options{}, "", "rpm")
	if err != nil || rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 2 {
		t.Errorf("%v, code %d, %+v", err, rep.Code(), rep.Findings())
	}
	if n := b.double.Count("", ""); n != 1 {
		t.Errorf("%d requests with a wrong password", n)
	}
}

// Contract 4.2, 4.3.
// TestShallowRPM: what the repository would refuse is not sent where the depth is known; else
// the refusal is told with what may be behind it, whatever its status.
func TestShallowRPM(t *testing.T) {
	for _, status := range []int{0, http.StatusNotFound} {
		for _, hidden := range []bool{false, true} {
			b := newYumBench(t, nexustest.Options{Quirks: nexustest.Quirks{ShallowStatus: status}}, nexustest.Repository{Depth: 3}, nil)
			sent, says := 0, "it is not sent: it lies 2 directories deep, and yum-hosted, with Repodata Depth 3, refuses"
			if hidden {
				b.hideSettings(http.StatusForbidden)
				sent, says = 2, "it lies 2 directories deep: if that is less than the Repodata Depth of yum-hosted"
			}
			rep := b.push(push.Options{ReadyWait: time.Millisecond})
			b.findings(rep, 2, report.Failed, report.ClassRefused, says, "--yum-repo", "--rpm-layout raw")
			if strings.Contains(rep.Findings()[0].Reason, "no such repository") {
				t.Errorf("there is such a repository: %+v", rep.Findings()[0])
			}
			if len(b.puts(".rpm")) != sent || rep.Counts()[report.Sent] != 2 {
				t.Errorf("hidden %t, %d: %d RPMs were sent, %v", hidden, status, len(b.puts(".rpm")), rep.Counts())
			}
			if rep := b.push(push.Options{DryRun: true}); sent == 0 && len(rep.Findings()) != 2 {
				t.Errorf("a dry run does not tell: %+v", rep.Findings())
			}
		}
	}
}

// Contract 4.1.
// TestYumPutStatus: any success is one.
func TestYumPutStatus(t *testing.T) {
	for _, status := range []int{200, 201, 202, 204} {
		b := newYumBench(t, nexustest.Options{Quirks: nexustest.Quirks{YumPutStatus: status}}, nexustest.Repository{}, nil)
		b.clean(b.push(push.Options{}))
	}
}

// TestYumRemembers404: contract 4.2, an early 3.x answers 404 for a while for what was asked
// for too soon. Neither a package nor the metadata is missing because of that.
func TestYumRemembers404(t *testing.T) {
	for _, keep := range []time.Duration{0, 150 * time.Millisecond} {
		b := newYumBench(t, nexustest.Options{RebuildDelay: 30 * time.Millisecond, Quirks: nexustest.Quirks{NegativeCache: keep}}, nexustest.Repository{}, nil)
		u, err := url.Parse(b.double.URL)
		if err != nil {
			t.Fatal(err)
		}
		b.nexus = nexus.New(nexus.Options{URL: u, Username: nexustest.Username, Password: nexustest.Password,
			Client: httpx.NewClient(httpx.NewTransport(httpx.Options{})), Retry: registry.Retry{Backoff: func(int) time.Duration { return 50 * time.Millisecond }}})
		b.clean(b.push(push.Options{}))
		if n := len(b.puts(".rpm")); n != 2 {
			t.Errorf("%s: %d PUTs of two packages", keep, n)
		}
	}
}

// TestTakenAndNotShown: what the server took and denies is incomplete; no repository is
// missing, and none is too deep.
func TestTakenAndNotShown(t *testing.T) {
	for _, hidden := range []bool{false, true} {
		b := newYumBench(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "HEAD", Path: "[.]rpm$"}, Do: nexustest.Status(404, "/x.rpm")}}}, nexustest.Repository{}, nil)
		if hidden {
			b.hideSettings(http.StatusForbidden)
		}
		rep := b.push(push.Options{ReadyWait: time.Millisecond})
		b.findings(rep, 2, report.Failed, report.ClassIncomplete, "the server took it and does not show it", "push again")
		for _, f := range rep.Findings() {
			if strings.Contains(f.Reason, "no such repository") || strings.Contains(f.Reason, "deep") {
				t.Errorf("hidden %v: %s", hidden, f.Reason)
			}
		}
	}
}

// Contract 4.2.
// TestYumLayoutNotes: what a yum repository of a Nexus cannot do is told with the way out.
func TestYumLayoutNotes(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{Depth: 1}, func(f *bundletest.Fixture) {
		f.Metadata("os/x86_64", "modules", rpmtest.Module("web", "1", "x86_64", "hello-0:1.2-3.x86_64"))
		f.AddRPM(t, "base", rpmtest.Spec{Name: "base", Arch: "x86_64"})
	})
	rep := b.push(push.Options{})
	b.clean(rep)
	for _, want := range []string{
		"use --rpm-layout raw for yum-hosted/os/x86_64: it has modules", "use --rpm-layout raw for the RPMs of yum-hosted",
		"yum-hosted/os/x86_64: with Repodata Depth 1 the repodata lies in yum-hosted/os, which is the baseurl",
	} {
		if !noted(rep, want) {
			t.Errorf("no note %q: %q", want, rep.Notes)
		}
	}
	if noted(rep, "yum-hosted/base:") || noted(rep, "zstd") || noted(rep, "3.76.0") {
		t.Errorf("notes %q", rep.Notes)
	}
	if rep, err := b.try(push.Options{}, "3.76.0-03", "rpm"); err != nil || !noted(rep, "Nexus 3.76.0-03 makes no yum metadata at all") {
		t.Errorf("3.76.0: %q, %v", rep.Notes, err)
	}
	b.raw = true
	if rep, err := b.try(push.Options{}, "3.76.0-03", "rpm"); err != nil || len(rep.Notes) != 0 {
		t.Errorf("raw: %q, %v", rep.Notes, err)
	}
}

// TestRefusedBeforeTheFirstByte: what cannot be is told before anything is asked.
func TestRefusedBeforeTheFirstByte(t *testing.T) {
	for name, c := range map[string]struct {
		raw     bool
		prepare func(*bundletest.Fixture)
		says    string // empty: it can be
	}{
		"too deep": {false, func(f *bundletest.Fixture) {
			f.AddRPM(t, "1/2/3/4/5/x86_64", rpmtest.Spec{Name: "deep"})
		}, "yum-hosted/1/2/3/4/5/x86_64 lies 6 directories deep"},
		"too deep for yum only": {true, func(f *bundletest.Fixture) {
			f.AddRPM(t, "1/2/3/4/5/x86_64", rpmtest.Spec{Name: "deep"})
		}, ""},
		"a file where repodata will be": {true, func(f *bundletest.Fixture) {
			f.AddFile("os/x86_64/repodata/repomd.xml", []byte("<repomd/>"))
		}, "raw-hosted/os/x86_64/repodata/repomd.xml is claimed by "},
		"a file where no repodata will be": {false, func(f *bundletest.Fixture) {
			f.AddFile("os/x86_64/repodata/repomd.xml", []byte("<repomd/>"))
		}, ""},
	} {
		b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, c.prepare)
		b.raw = c.raw
		rep, err := b.try(push.Options{}, "", "rpm", "file")
		if c.says == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			b.clean(rep)
			continue
		}
		if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), c.says) || b.double.Count("", "") != 0 {
			t.Errorf("%s: %v after %d requests", name, err, b.double.Count("", ""))
		}
	}
}

// TestRawProgressCountsRepodata: all that is sent was announced.
func TestRawProgressCountsRepodata(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
	b.raw = true
	for _, sign := range []bool{false, true} {
		o := push.Options{}
		if sign {
			o.Sign = signer(t)
		}
		for range 2 {
			var s sink
			o.Progress, o.Planned = &s, s.planned.Store
			rep, err := b.try(o, "", "rpm")
			if err != nil || s.done.Load() != s.planned.Load() {
				t.Errorf("%v, %d of %d bytes", err, s.done.Load(), s.planned.Load())
			}
			b.clean(rep)
			packages := int64(0)
			for _, p := range b.archive.Bundle().Table.RPMs {
				desc, _ := b.archive.Bundle().Blob(p.Digest)
				packages += desc.Size
			}
			if s.planned.Load() < packages+1000 {
				t.Errorf("%d bytes were announced, the packages alone have %d", s.planned.Load(), packages)
			}
		}
	}
}
