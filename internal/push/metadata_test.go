package push_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

const repomd = "/yum-hosted/repodata/repomd.xml$"

// afterPuts does something once, at the first look at the metadata after all RPMs were put,
// before the server answers.
func (b *yumBench) afterPuts(do func()) {
	var once sync.Once
	all := len(b.archive.Bundle().Table.RPMs)
	b.double.AddFault(nexustest.Fault{On: nexustest.Match{Method: "GET", Path: repomd}, Do: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if len(b.puts(".rpm")) == all {
				next.ServeHTTP(w, r)
				once.Do(do) // so that the first look has seen what was there before
				return
			}
			next.ServeHTTP(w, r)
		})
	}})
}

// settled waits until the double has made the first metadata of the repository, and holds
// all that would follow.
func (b *yumBench) settled() {
	b.t.Helper()
	if err := b.double.Rebuild("yum-hosted"); err != nil {
		b.t.Fatal(err)
	}
	b.double.HoldRebuilds("yum-hosted", true)
}

// Contract 1.3, 4.2.
// TestYumNotRebuilt: metadata that stays what it was, or never comes, is told as that, with
// the task that repairs it; the version that makes none is named.
func TestYumNotRebuilt(t *testing.T) {
	for name, c := range map[string]struct {
		o       nexustest.Options
		depth   int
		prepare func(*yumBench)
		says    []string
	}{
		"stale": {nexustest.Options{}, 0, (*yumBench).settled, []string{
			"metadata not rebuilt: yum-hosted/repodata/repomd.xml has the same revision (", ") as before the push, and had it for ",
			"Repair - Rebuild Yum repository metadata (repodata)", "repository.yum.rebuild.metadata", "Invalid RPM", "then push again",
		}},
		"none":        {nexustest.Options{Quirks: nexustest.Quirks{NoRebuild: true}}, 0, nil, []string{"metadata not rebuilt: yum-hosted has no repodata for os/", "repository.yum.rebuild.metadata"}},
		"none, deep":  {nexustest.Options{Quirks: nexustest.Quirks{NoRebuild: true}}, 2, nil, []string{"metadata not rebuilt: yum-hosted has no repodata for os/"}},
		"3.76.0":      {nexustest.Options{Profile: nexustest.H2371, Version: "3.76.0-03", Quirks: nexustest.Quirks{NoRebuild: true}}, 0, nil, []string{"Nexus 3.76.0-03 makes no yum metadata: upgrade to 3.76.1 or push with --rpm-layout raw"}},
		"no listener": {nexustest.Options{Profile: nexustest.CE396}, 0, (*yumBench).settled, []string{"metadata not rebuilt"}},
	} {
		b := newYumBench(t, c.o, nexustest.Repository{Depth: c.depth}, nil)
		if c.prepare != nil {
			c.prepare(b)
		}
		t.Log(name)
		b.findings(b.push(push.Options{MetadataWait: 150 * time.Millisecond}), 2, report.Missing, report.ClassIncomplete, c.says...)
	}
}

// Contract 4.2.
// TestSomebodyElsesBadRPM: one package that cannot be read, put there by others, stops the
// rebuild; the message names that cause. Without it the next push is done.
func TestSomebodyElsesBadRPM(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
	if err := b.double.Rebuild("yum-hosted"); err != nil {
		t.Fatal(err)
	}
	if err := b.double.Put("yum-hosted", "theirs/bad.rpm", []byte("no package")); err != nil {
		t.Fatal(err)
	}
	b.findings(b.push(push.Options{MetadataWait: 150 * time.Millisecond}), 2, report.Missing, report.ClassIncomplete, "metadata not rebuilt", "one package in yum-hosted that the server cannot read, whoever put it there")
	b.double.Delete("yum-hosted", "theirs/bad.rpm")
	b.clean(b.push(push.Options{}))
}

// Contract 4.2.
// TestRebuiltWithoutOne: metadata that was made anew, but without a package, says which.
func TestRebuiltWithoutOne(t *testing.T) {
	for _, empty := range []bool{false, true} {
		o := nexustest.Options{}
		if empty {
			o.RebuildDelay = time.Hour // only when it is told to
		}
		b := newYumBench(t, o, nexustest.Repository{}, nil)
		says := []string{"the yum metadata was rebuilt (revision ", "without it, and not again with it in ", "push again, which waits for the rest"}
		if empty {
			says = append(says, "there was none")
		} else {
			b.settled()
		}
		gone := b.archive.Bundle().Table.RPMs[0].Path()
		b.afterPuts(func() {
			content, err := b.double.Read("yum-hosted", gone)
			b.double.Delete("yum-hosted", gone)
			if err == nil {
				err = b.double.Rebuild("yum-hosted")
			}
			if err == nil {
				err = b.double.Put("yum-hosted", gone, content)
			}
			if err != nil {
				t.Error(err)
			}
		})
		rep := b.push(push.Options{MetadataWait: 300 * time.Millisecond, ReadyWait: time.Millisecond})
		b.findings(rep, 1, report.Missing, report.ClassIncomplete, says...)
		if f := rep.Findings(); len(f) == 1 && f[0].Name != gone {
			t.Errorf("missing is %s, not %s", gone, f[0].Name)
		}
	}
}

// Contract 4.2.
// TestListedWithAnotherChecksum: that is other content, known as soon as it was made anew; no
// timeout. What this run replaced itself may be listed as it was for a while.
func TestListedWithAnotherChecksum(t *testing.T) {
	for _, sum := range []string{"sha256", "sha1"} {
		b := newYumBench(t, nexustest.Options{Quirks: nexustest.Quirks{PrimaryChecksum: sum}}, nexustest.Repository{}, nil)
		b.settled()
		taken := b.archive.Bundle().Table.RPMs[0].Path()
		b.afterPuts(func() {
			if err := b.double.Put("yum-hosted", taken, rpmtest.Build(t, rpmtest.Spec{Name: "theirs"})); err != nil {
				t.Error(err)
			}
			if err := b.double.Rebuild("yum-hosted"); err != nil {
				t.Error(err)
			}
		})
		start := time.Now()
		rep := b.push(push.Options{})
		b.findings(rep, 1, report.Different, report.ClassContent, "the served yum metadata lists it with "+sum+":", ", the bundle has sha256:")
		if f := rep.Findings(); len(f) == 1 && f[0].Name != taken || time.Since(start) > 5*time.Second {
			t.Errorf("after %s: %+v", time.Since(start), f)
		}
	}
}

// Contract 4.2.
// TestOverwrittenIsListedLate: between the upload and the rebuild the metadata has the
// checksum of what was replaced. That is waited for, and when it stays it is no other
// content, but metadata that was not rebuilt.
func TestOverwrittenIsListedLate(t *testing.T) {
	for _, held := range []bool{false, true} {
		b := newYumBench(t, nexustest.Options{RebuildDelay: 50 * time.Millisecond}, nexustest.Repository{}, nil)
		taken := b.archive.Bundle().Table.RPMs[0].Path()
		if err := b.double.Put("yum-hosted", taken, rpmtest.Build(t, rpmtest.Spec{Name: "theirs"})); err != nil {
			t.Fatal(err)
		}
		b.settled()
		b.double.HoldRebuilds("yum-hosted", held)
		wait := 10 * time.Second
		if held {
			wait = 100 * time.Millisecond
		}
		rep := b.push(push.Options{Overwrite: true, MetadataWait: wait})
		if !held {
			b.clean(rep)
			continue
		}
		b.findings(rep, 2, report.Missing, report.ClassIncomplete, "metadata not rebuilt")
		if rep := b.push(push.Options{MetadataWait: wait}); rep.Code() != int(report.ClassContent) || !strings.Contains(rep.Findings()[0].Reason, "it was not rebuilt in ") {
			t.Errorf("a push that replaces nothing: code %d, %+v", rep.Code(), rep.Findings())
		}
	}
}

// TestOverwrittenMeanwhileListed: metadata that was made anew during the push, but before the
// upload, still has the checksum of what was replaced, and that is no end.
func TestOverwrittenMeanwhileListed(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
	taken := b.archive.Bundle().Table.RPMs[0].Path()
	if err := b.double.Put("yum-hosted", taken, rpmtest.Build(t, rpmtest.Spec{Name: "theirs"})); err != nil {
		t.Fatal(err)
	}
	b.settled()
	b.double.AddFault(nexustest.Fault{Name: "put", On: nexustest.Match{Method: "PUT", Path: ".rpm$", Times: 1}, Do: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := b.double.Put("yum-hosted", "more.rpm", rpmtest.Build(t, rpmtest.Spec{Name: "more"}))
			if err == nil {
				err = b.double.Rebuild("yum-hosted")
			}
			if err != nil {
				t.Error(err)
			}
			next.ServeHTTP(w, r)
		})
	}})
	looks := 0
	rep := b.push(push.Options{Jobs: 1, Overwrite: true, Waiting: func(push.Wait) {
		if looks++; looks == 3 {
			b.double.HoldRebuilds("yum-hosted", false)
		}
	}})
	b.clean(rep)
	if looks < 3 || b.double.FaultHits("put") != 1 {
		t.Errorf("%d looks", looks)
	}
}

// Contract 4.2.
// TestPrimaryWithSHA1: where the metadata has SHA-1 only, ours is made of the archive's
// content and is the proof.
func TestPrimaryWithSHA1(t *testing.T) {
	for _, c := range []struct{ sum, proof string }{{"sha1", "with the sha1 of this content"}, {"sha256", "with this sha256"}} {
		b := newYumBench(t, nexustest.Options{Quirks: nexustest.Quirks{PrimaryChecksum: c.sum}}, nexustest.Repository{}, nil)
		rep := b.push(push.Options{})
		b.clean(rep)
		for _, rec := range rep.Records() {
			if rec.Kind == "rpm" && !strings.Contains(rec.Proof, c.proof) {
				t.Errorf("%s: %+v", c.sum, rec)
			}
		}
	}
}

// Contract 4.2.
// TestPrimaryGone: a list that is replaced between two requests is read again, as often as
// needed, and so is one that comes damaged; a server that fails for a while is asked again.
func TestPrimaryGone(t *testing.T) {
	for name, do := range map[string]nexustest.Action{
		"gone": nexustest.Status(http.StatusNotFound, ""), "damaged": nexustest.FlipAnswer(20), "failing": nexustest.Status(http.StatusBadGateway, ""),
	} {
		b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
		b.double.AddFault(nexustest.Fault{Name: name, On: nexustest.Match{Path: "-primary.xml.gz", Times: 5}, Do: do})
		b.clean(b.push(push.Options{}))
		if n := b.double.FaultHits(name); n != 5 {
			t.Errorf("%s: acted %d times", name, n)
		}
		b = newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
		b.double.AddFault(nexustest.Fault{Name: name, On: nexustest.Match{Path: "-primary.xml.gz"}, Do: do})
		b.findings(b.push(push.Options{MetadataWait: 100 * time.Millisecond}), 2, report.Missing, report.ClassIncomplete, "the yum metadata cannot be read; the last look at it failed: ", "primary.xml.gz")
	}
}

// Contract 4.2.
// TestWaitIsTold: how many are listed is told at each look, and what did not change is not
// read again.
func TestWaitIsTold(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
	b.settled()
	var all []push.Wait
	rep := b.push(push.Options{Waiting: func(w push.Wait) {
		if all = append(all, w); len(all) == 4 {
			b.double.HoldRebuilds("yum-hosted", false)
		}
	}})
	b.clean(rep)
	if len(all) < 4 {
		t.Fatalf("told %d times", len(all))
	}
	last := time.Duration(-1)
	for _, w := range all {
		if w.For < last {
			t.Errorf("time goes back: %+v", all)
		}
		last, w.For = w.For, 0
		if diff := cmp.Diff(push.Wait{Repositories: []string{"yum-hosted"}, Of: 2}, w); diff != "" {
			t.Error(diff)
		}
	}
	looks, lists := b.double.Count("GET", repomd), b.double.Count("GET", "-primary.xml.gz")
	if lists > 3 || looks < len(all) {
		t.Errorf("the list was read %d times in %d looks, told %d times", lists, looks, len(all))
	}
}

// TestInterruptedWait: what is there is told as such, with why it was not waited for.
func TestInterruptedWait(t *testing.T) {
	b := newYumBench(t, nexustest.Options{}, nexustest.Repository{}, nil)
	b.settled()
	b.double.AddFault(nexustest.Fault{On: nexustest.Match{Method: "GET", Path: repomd, After: 3}, Do: nexustest.Status(http.StatusUnauthorized, "")})
	rep := b.push(push.Options{})
	b.findings(rep, 2, report.Missing, report.ClassIncomplete, "401")
	if n := b.double.Count("GET", repomd); n > 5 {
		t.Errorf("%d looks after the login was refused", n)
	}
}
