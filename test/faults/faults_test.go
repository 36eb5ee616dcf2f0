package faults

import (
	"net/url"
	"strings"
	"testing"

	"airbundle/internal/httpx"
	"airbundle/internal/nexustest"
	"airbundle/internal/report"
	"airbundle/manifest"
)

var profiles = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

// TestCompleteOrHonest is the table of all scripts and profiles.
func TestCompleteOrHonest(t *testing.T) {
	w := newWorld(t)
	scripts := nexustest.Scripts()
	if len(scripts) < 20 {
		t.Fatalf("%d scripts, want 20 at least", len(scripts))
	}
	for _, sc := range scripts {
		for _, p := range profiles {
			t.Run(sc.Name+"/"+string(p), func(t *testing.T) {
				t.Parallel()
				s := nexustest.Start(t, sc.Apply(options(p)))
				code, rep, err := w.push(t, s, manners)
				if len(sc.Faults) > 0 && s.FaultHits(sc.Name) == 0 {
					t.Fatalf("the fault has not struck (code %d, %v)", code, err)
				}
				w.judge(t, s, sc, code, rep, err)
				if !pass(s, sc) {
					return
				}
				code, rep, err = w.push(t, s, manners)
				if code != 0 {
					t.Errorf("when the fault has passed: code %d, %v", code, err)
					tell(t, rep)
				}
				for _, it := range w.items {
					if gap := w.missing(t, s, it); gap != nil {
						t.Errorf("%s is not there when the fault has passed: %v", label(it), gap)
					}
				}
			})
		}
	}
}

// contested are scripts that the client may survive or not, and why.
var contested = map[string]string{
	"shortened-get": "an answer that is too short and says that this is right is what a server with damaged content gives",
}

// judge compares what a push has said with what there is.
func (w *world) judge(t *testing.T, s *nexustest.Server, sc nexustest.Script, code int, rep *report.Report, err error) {
	t.Helper()
	if why := contested[sc.Name]; why == "" && !sc.Unseen && (code == 0) != sc.Survivable {
		t.Errorf("code %d, %v; survivable: %v (%s)", code, err, sc.Survivable, sc.About)
		tell(t, rep)
	}
	if rep == nil {
		if code == 0 || err == nil {
			t.Error("neither a report nor an error")
		}
		return
	}
	var audited *report.Report
	if sc.Unseen {
		s.ClearFaults()
		audited = w.audit(t, s)
	}
	for _, it := range w.items {
		gap := w.missing(t, s, it)
		said, unnamed := good(rep, it)
		if unnamed != nil {
			t.Errorf("%s: %v", label(it), unnamed)
		}
		if gap == nil || !said {
			continue // there, or named as not done
		}
		if audited == nil {
			t.Errorf("%s is called done and is not there: %v", label(it), gap)
		} else if found, err := good(audited, it); found || err != nil {
			t.Errorf("%s: not even the audit finds that %v", label(it), gap)
		}
	}
}

func tell(t *testing.T, rep *report.Report) {
	t.Helper()
	if rep == nil {
		return
	}
	for _, f := range rep.Findings() {
		t.Logf("%s %s %s: %.400s", f.State, f.Kind, f.Name, f.Reason)
	}
}

// pass ends what a script has done to a server, and says whether that is possible.
func pass(s *nexustest.Server, sc nexustest.Script) bool {
	s.ClearFaults()
	s.Freeze(false)
	s.HoldRebuilds("yum-hosted", false)
	for _, path := range s.Paths("yum-hosted") {
		if strings.HasSuffix(path, "unreadable.rpm") {
			s.Delete("yum-hosted", path)
		}
	}
	// What is damaged on the disk heals by nothing that a push would do, and a server that
	// never makes metadata is what it is.
	return !sc.Unseen && sc.Name != "no-metadata"
}

// TestRottenByte: whatever it is that has one byte changed on the server's disk, a deep
// audit names it, and nothing else.
func TestRottenByte(t *testing.T) {
	w := newWorld(t)
	for _, p := range profiles {
		t.Run(string(p), func(t *testing.T) {
			t.Parallel()
			s := nexustest.Start(t, options(p))
			if code, rep, err := w.push(t, s, manners); code != 0 {
				tell(t, rep)
				t.Fatal(code, err)
			}
			if rep := w.audit(t, s); rep.Code() != 0 {
				tell(t, rep)
				t.Fatal("the audit of what is whole has findings")
			}
			for _, it := range w.items {
				repo, at := it.Place.Repository, it.Place.Path
				if it.Kind == manifest.KindImage {
					b := w.archive.Bundle()
					tree, err := b.ReadImage(t.Context(), b.Table.Images[it.Index], w.archive.Read)
					if err != nil {
						t.Fatal(err)
					}
					of := append(tree.Children, tree.Top)[0]
					at = "v2/-/blobs/" + of.Node.Config.Digest.String()
				}
				if err := s.Corrupt(repo, at, -1); err != nil {
					t.Fatal(err)
				}
				rep := w.audit(t, s)
				for _, other := range w.items {
					if ok, err := good(rep, other); err != nil || ok != (label(other) != label(it)) {
						t.Errorf("with a rotten byte in %s: %s is good: %v, %v", label(it), label(other), ok, err)
					}
				}
				if err := s.Corrupt(repo, at, -1); err != nil { // and back
					t.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkPush is a push to a server that is not strained, with the bounds of the seeder
// and with nothing but a bound per port.
func BenchmarkPush(b *testing.B) {
	for name, bounds := range map[string]func(*url.URL) httpx.Options{
		"manners":  manners,
		"per port": func(*url.URL) httpx.Options { return httpx.Options{PerHost: jobs} },
	} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b)
			b.ResetTimer()
			for range b.N {
				b.StopTimer()
				s := nexustest.Start(b, options(nexustest.H2371))
				b.StartTimer()
				if code, _, err := w.push(b, s, bounds); code != 0 {
					b.Fatal(code, err)
				}
			}
		})
	}
}
