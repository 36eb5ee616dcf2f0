package audit_test

import (
	"context"
	"iter"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/audit"
	"airbundle/internal/nexustest"
	"airbundle/internal/report"
)

// Contract 6.3: the strongest proof that each generation gives without a download, and how
// it is called.
func TestProofs63(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile, SearchDelay: time.Hour})
		orient := profile == nexustest.Orient340
		rep, sum := b.audit(audit.Options{})
		b.clean(rep)
		want := map[string]string{"rpm": "listed in the served metadata with this sha256", "chart": "listed in the served index.yaml with this sha256", "file": "the server names this sha256"}
		if orient {
			want["file"] = "read and hashed"
		}
		for kind, proof := range want {
			if diff := cmp.Diff([]string{proof}, proofs(rep, kind)); diff != "" {
				t.Errorf("%s, %s: %s", profile, kind, diff)
			}
		}
		if (sum.Read == 0) == orient {
			t.Errorf("%s: %d bytes read", profile, sum.Read)
		}
		if n := b.double.Count("GET", "/v1/search"); n != 0 {
			t.Errorf("%s: search, which lags, was asked %d times although there is a list", profile, n)
		}
		rep, sum = b.audit(audit.Options{SHA1: true, Store: b.archive})
		b.clean(rep)
		if got := proofs(rep, "file"); orient && !strings.Contains(got[0], "SHA-1 of this content, and its size: weaker") || sum.Read != 0 {
			t.Errorf("%s, by SHA-1: %v, %d bytes read", profile, got, sum.Read)
		}
		rep, sum = b.audit(audit.Options{Deep: true})
		b.clean(rep)
		for _, kind := range []string{"rpm", "file", "chart"} {
			if diff := cmp.Diff([]string{"read and hashed"}, proofs(rep, kind)); diff != "" {
				t.Errorf("%s, deep, %s: %s", profile, kind, diff)
			}
		}
		if sum.Read < 200_000 || sum.Claimed != 0 {
			t.Errorf("%s, deep: %+v", profile, sum)
		}
	}
}

// Contract 3.3: a Nexus keeps a blob once for all names, so each is asked for once.
func TestBlobsAreAskedForOnce33(t *testing.T) {
	b := newBench(t, nexustest.Options{})
	_, sum := b.audit(audit.Options{})
	heads := b.double.Requests(nexustest.Match{Route: nexustest.RouteBlob, Method: "HEAD"})
	seen := map[string]bool{}
	for _, e := range heads {
		if d := path.Base(e.Path); seen[d] {
			t.Errorf("%s was asked for twice", d)
		} else {
			seen[d] = true
		}
	}
	if len(heads) != sum.Claimed || sum.Claimed == 0 {
		t.Errorf("%d requests, %d blobs", len(heads), sum.Claimed)
	}
}

// Other content of the same size is found by every proof but that of metadata which nobody
// has rebuilt.
func TestOtherContent63(t *testing.T) {
	for _, profile := range generations {
		for _, o := range []audit.Options{{}, {SHA1: true}, {Deep: true}} {
			b := newBench(t, nexustest.Options{Profile: profile})
			if o.SHA1 {
				o.Store = b.archive
			}
			file := b.archive.Bundle().Table.Files[0]
			if err := b.double.Put("raw-hosted", file.Path, make([]byte, 70_000)); err != nil {
				t.Fatal(err)
			}
			rep, _ := b.audit(o)
			if diff := cmp.Diff([]string{"different file raw-hosted/" + file.Path}, lines(rep, report.Different, report.Missing, report.Unknown, report.Foreign)); diff != "" || rep.Code() != 4 {
				t.Errorf("%s, %+v: code %d\n%s", profile, o, rep.Code(), diff)
			}
		}
	}
}

// Contract 6.1, 6.2: a list that is of other content than HEAD has seen is not believed, and
// a size of 0 is none.
func TestListOfOtherContent61(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile})
		b.only = []string{"file"}
		to := b.target()
		for label, change := range map[string]func(*audit.Held){
			"other sums": func(h *audit.Held) {
				h.SHA1, h.SHA256, h.Modified = strings.Repeat("0", 40), digest.FromString("old"), h.Modified.Add(-time.Hour)
			},
			"no sums":     func(h *audit.Held) { h.SHA1, h.SHA256 = "", "" },
			"no size":     func(h *audit.Held) { h.Size = -1 },
			"other size":  func(h *audit.Held) { h.Size, h.SHA256 = 1, digest.FromString("old") },
			"no time":     func(h *audit.Held) { h.Modified = time.Time{} },
			"nothing":     func(h *audit.Held) { *h = audit.Held{Path: h.Path, Size: -1} },
			"yesterday's": func(h *audit.Held) { h.SHA1, h.Modified = "", h.Modified.Add(-24*time.Hour) },
		} {
			of := listsOf(b.nexus).Files
			to.Lists.Files = func(ctx context.Context, repo string) iter.Seq2[audit.Held, error] {
				return func(yield func(audit.Held, error) bool) {
					for h, err := range of(ctx, repo) {
						if change(&h); !yield(h, err) {
							return
						}
					}
				}
			}
			rep, sum := b.auditAt(to, audit.Options{})
			if rep.Code() != 0 || profile == nexustest.Orient340 && sum.Read == 0 {
				t.Errorf("%s, %s: %+v, %d bytes read", profile, label, rep.Findings(), sum.Read)
			}
		}
	}
}

// A search that is forbidden, broken or late costs downloads, and no verdict.
func TestSearchIsNotNeeded62(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile, SearchDelay: time.Hour})
		b.double.AddFault(nexustest.Fault{On: nexustest.Match{Path: "/v1/search"}, Do: nexustest.Status(403, "")})
		b.double.AddFault(nexustest.Fault{On: nexustest.Match{Path: "/v1/(assets|components)"}, Do: nexustest.Status(403, "")})
		rep, sum := b.audit(audit.Options{})
		b.clean(rep)
		if sum.Read < 140_000 || proofs(rep, "file")[0] != "read and hashed" {
			t.Errorf("%s: %d bytes read, %v", profile, sum.Read, proofs(rep, "file"))
		}
	}
}

// Contract 2.1, 8: the first 401 stops everything, and nothing counts as missing.
func TestFirst401Stops(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile})
		b.double.AddFault(nexustest.Fault{Name: "401", On: nexustest.Match{Path: "/v1/(assets|components)"}, Do: nexustest.Unauthorized()})
		rep, _ := b.audit(audit.Options{Jobs: 1})
		if n := len(b.double.Log()); n != 1 || rep.Code() != int(report.ClassRefused) || rep.Counts()[report.Missing]+rep.Counts()[report.Present] != 0 {
			t.Errorf("%s: %d requests, code %d, %v", profile, n, rep.Code(), rep.Counts())
		}
	}
}

// Contract 4.2, 7: a push has ended, the metadata is not there yet. The audit waits as long
// as it was told, and no longer.
func TestMetadataThatIsLate42(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile})
		late := []nexustest.Fault{
			{Name: "late", On: nexustest.Match{Path: "/repomd.xml$|/index.yaml$", Times: 6}, Do: nexustest.Status(404, "")},
		}
		b.double.AddFault(late[0])
		rep, sum := b.audit(audit.Options{Wait: 10 * time.Second})
		b.clean(rep)
		if notes := strings.Join(rep.Notes, "\n"); !strings.Contains(notes, "waited ") || sum.Seconds > 9 {
			t.Errorf("%s: %.1f s, %s", profile, sum.Seconds, notes)
		}
		b.double.AddFault(nexustest.Fault{On: nexustest.Match{Path: "/repomd.xml$"}, Do: nexustest.Status(404, "")})
		for _, wait := range []time.Duration{0, 80 * time.Millisecond} {
			rep, sum = b.audit(audit.Options{Wait: wait})
			if n := rep.Counts()[report.Missing]; n != 2 || rep.Code() != int(report.ClassIncomplete) || sum.Seconds > 5 {
				t.Errorf("%s: code %d after %.1f s, %+v", profile, rep.Code(), sum.Seconds, rep.Findings())
			}
		}
	}
}

// Deletes are at once, and what is not there at all is not waited for.
func TestDeleted62(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile, SearchDelay: time.Hour})
		file := b.archive.Bundle().Table.Files[0].Path
		b.double.Delete("raw-hosted", file)
		start := time.Now()
		rep, _ := b.audit(audit.Options{Wait: time.Minute})
		if diff := cmp.Diff([]string{"missing file raw-hosted/" + file}, lines(rep, report.Missing, report.Different)); diff != "" || rep.Code() != 3 || time.Since(start) > 30*time.Second {
			t.Errorf("%s: code %d\n%s", profile, rep.Code(), diff)
		}
	}
}
