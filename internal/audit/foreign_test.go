package audit_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/audit"
	"airbundle/internal/nexustest"
	"airbundle/internal/receipt"
	"airbundle/internal/report"
)

// Contract 6.3: what the repositories hold beside the bundle is listed, and with Exact it is a finding.
// What servers make by themselves is not foreign.
func TestForeign(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile})
		b.put("raw-hosted", "etc/x", "keys/other", "repos/deep/x.repo", "repodata/repomd.xml")
		b.put("yum-hosted", "os/x86_64/other-1-1.x86_64.rpm")
		b.put("helm-hosted", "nginx-1.2.3.tgz.prov")
		raw, d, err := b.nexus.Docker("docker-hosted").Manifest(t.Context(), "pause", "3.2", 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.nexus.Docker("docker-hosted").PushManifest(t.Context(), "pause", "other", d.MediaType, raw); err != nil {
			t.Fatal(err)
		}
		want := []string{
			"foreign image docker-hosted/pause:other",
			"foreign rpm yum-hosted/os/x86_64/other-1-1.x86_64.rpm",
			"foreign file raw-hosted/etc/x",
			"foreign file raw-hosted/keys/other",
			"foreign file raw-hosted/repodata/repomd.xml",
			"foreign file raw-hosted/repos/deep/x.repo",
		}
		rep, sum := b.audit(audit.Options{})
		if diff := cmp.Diff(want, lines(rep, report.Foreign, report.Superseded)); diff != "" || rep.Code() != 0 || sum.Pages < 4 {
			t.Errorf("%s: code %d, %+v\n%s", profile, rep.Code(), sum, diff)
		}
		rep, _ = b.audit(audit.Options{Exact: true})
		if rep.Code() != 4 || len(rep.Findings()) != len(want) {
			t.Errorf("%s: code %d, %+v", profile, rep.Code(), rep.Findings())
		}
		// A selection: what is of the bundle and not selected is not foreign.
		b.only = []string{"etcd/amd64/etcd.tar.gz"}
		rep, _ = b.audit(audit.Options{Exact: true})
		if diff := cmp.Diff(want[2:], lines(rep, report.Foreign)); diff != "" || rep.Code() != 4 {
			t.Errorf("%s: code %d\n%s", profile, rep.Code(), diff)
		}
	}
}

// The repodata that pushes made: what repomd.xml names is ours, what it named before is
// superseded and no finding.
func TestSuperseded(t *testing.T) {
	b := newBenchOf(t, nexustest.Options{Profile: nexustest.H2371}, true)
	b.put("raw-hosted", "os/x86_64/repodata/old-primary.xml.gz", "os/x86_64/repodata/repomd.xml.asc", "os/x86_64/other.rpm")
	rep, _ := b.audit(audit.Options{Exact: true, Store: b.archive})
	want := []string{"foreign file raw-hosted/os/x86_64/other.rpm", "superseded metadata raw-hosted/os/x86_64/repodata/old-primary.xml.gz"}
	if diff := cmp.Diff(want, lines(rep, report.Foreign, report.Superseded)); diff != "" || rep.Code() != 4 || len(rep.Findings()) != 1 {
		t.Errorf("code %d, %+v\n%s", rep.Code(), rep.Findings(), diff)
	}
	if got := proofs(rep, "rpm"); len(got) != 1 || got[0] != "the server names this sha256" {
		t.Errorf("our own repodata proves nothing, the server's sha256 does: %v", got)
	}
}

// Contract 2.4, 6.1: lists that cannot be had. It is a note, and with Exact unknown.
func TestListsThatCannotBeHad61(t *testing.T) {
	for _, profile := range generations {
		for label, do := range map[string]nexustest.Action{
			"403": nexustest.Status(403, "Forbidden"), "404": nexustest.Status(404, ""), "422": nexustest.Status(422, ""),
			"500": nexustest.Status(500, ""), "portal": nexustest.StatusBody(200, "OK", "text/html", "<html>"),
		} {
			b := newBench(t, nexustest.Options{Profile: profile})
			b.double.AddFault(nexustest.Fault{On: nexustest.Match{Path: "/v1/(assets|components)"}, Do: do})
			rep, _ := b.audit(audit.Options{})
			b.clean(rep)
			if notes := strings.Join(rep.Notes, "\n"); strings.Count(notes, "is not known: list ") != 4 {
				t.Errorf("%s, %s: %s", profile, label, notes)
			}
			rep, _ = b.audit(audit.Options{Exact: true})
			if n := rep.Counts()[report.Unknown]; rep.Code() == 0 || n != 4 || len(rep.Findings()) != 4 {
				t.Errorf("%s, %s: code %d, %+v", profile, label, rep.Code(), rep.Findings())
			}
		}
	}
}

// A list that lacks what is there is not all: who trusts it would miss what is foreign.
func TestListThatIsNotAll(t *testing.T) {
	b := newBench(t, nexustest.Options{Profile: nexustest.CE396})
	to := b.target()
	none := func(context.Context, string) iter.Seq2[audit.Held, error] {
		return func(func(audit.Held, error) bool) {}
	}
	to.Lists.Files, to.Lists.Tags = none, none
	rep, _ := b.auditAt(to, audit.Options{Exact: true})
	if n := rep.Counts()[report.Unknown]; n != 4 || rep.Code() != int(report.ClassRefused) || rep.Counts()[report.Missing] != 0 {
		t.Errorf("code %d, %+v", rep.Code(), rep.Findings())
	}
	to.Lists = audit.Lists{}
	rep, _ = b.auditAt(to, audit.Options{Exact: true})
	if n := rep.Counts()[report.Unknown]; n != 4 || rep.Code() == 0 {
		t.Errorf("without lists: code %d, %+v", rep.Code(), rep.Findings())
	}
}

func (b *bench) receipt(o audit.Options) (*receipt.Receipt, []byte, *report.Report) {
	b.t.Helper()
	o.Receipt = &receipt.Receipt{}
	rep, _ := b.audit(o)
	raw, err := o.Receipt.Encode()
	if err != nil {
		b.t.Fatal(err)
	}
	return o.Receipt, raw, rep
}

// A receipt has all that the repositories hold, with the proof of each; the same state
// gives the same bytes, and findings change nothing of that.
func TestReceipt(t *testing.T) {
	for _, profile := range generations {
		b := newBench(t, nexustest.Options{Profile: profile})
		file := b.archive.Bundle().Table.Files[0]
		b.put("raw-hosted", "etc/x")
		b.put("raw-hosted", file.Path) // other content
		got, raw, rep := b.receipt(audit.Options{})
		_, again, _ := b.receipt(audit.Options{Jobs: 1})
		if diff := cmp.Diff(string(raw), string(again)); diff != "" || rep.Code() != 4 {
			t.Errorf("%s: code %d, two receipts differ:\n%s", profile, rep.Code(), diff)
		}
		if back, err := receipt.Decode(raw); err != nil || cmp.Diff(got, back) != "" {
			t.Errorf("%s: %v\n%s", profile, err, cmp.Diff(got, back))
		}
		var have []string
		for _, r := range got.Repositories {
			if !r.Listed || (len(r.Blobs) > 0) != (r.Format == "docker") {
				t.Errorf("%s: %s: listed %v, %d blobs", profile, r.Name, r.Listed, len(r.Blobs))
			}
			for _, e := range r.Entries {
				if (e.Digest == "") != (e.Proof == receipt.Listed && profile == nexustest.Orient340) {
					t.Errorf("%s: %+v", profile, e)
				}
				if !strings.Contains(e.Name, "repodata") && !strings.Contains(e.Name, "index.yaml") {
					have = append(have, fmt.Sprintf("%s/%s %s", r.Name, e.Name, e.Proof))
				}
			}
		}
		named := "named"
		if profile == nexustest.Orient340 {
			named = "read"
		}
		want := []string{
			"docker-hosted/library/tool:2 read", "docker-hosted/pause:3.2 read", "docker-hosted/team/app:1.0 read",
			"helm-hosted/nginx-1.2.3.tgz metadata",
			"raw-hosted/etc/x listed", "raw-hosted/" + file.Path + " listed", "raw-hosted/etcd/arm64/etcd.tar.gz " + named,
			"yum-hosted/os/aarch64/hello-1.2-3.aarch64.rpm metadata", "yum-hosted/os/x86_64/hello-1.2-3.x86_64.rpm metadata",
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", profile, diff)
		}
		// All that the images need is there by its digest.
		docker := got.Repositories[0]
		by := map[receipt.Proof]int{}
		for _, blob := range docker.Blobs {
			by[blob.Proof]++
			if stored, err := b.double.Read("docker-hosted", "v2/-/blobs/"+string(blob.Digest)); err == nil && int64(len(stored)) != blob.Size {
				t.Errorf("%s: %+v, but %d bytes are stored", profile, blob, len(stored))
			}
		}
		if by[receipt.Read] != 7 || by[receipt.Digest] == 0 || by[receipt.Listed] != 0 {
			t.Errorf("%s: %v", profile, by)
		}
	}
}

// What the server does not let us list makes a receipt of what was asked for, and says so.
func TestReceiptWithoutLists(t *testing.T) {
	b := newBench(t, nexustest.Options{})
	b.double.AddFault(nexustest.Fault{On: nexustest.Match{Path: "/v1/assets.*=docker"}, Do: nexustest.Status(403, "")})
	if got, _, _ := b.receipt(audit.Options{}); got.Repositories[0].Listed || !got.Repositories[1].Listed {
		t.Errorf("blobs that are not listed: %+v", got.Repositories)
	}
	b.double.ClearFaults()
	b.double.AddFault(nexustest.Fault{On: nexustest.Match{Path: "/v1/(assets|components)"}, Do: nexustest.Status(403, "")})
	got, _, rep := b.receipt(audit.Options{})
	b.clean(rep)
	for _, r := range got.Repositories {
		if r.Listed || len(r.Entries) == 0 {
			t.Errorf("%+v", r)
		}
	}
}

// Contract 3.6: a plain registry lists its tags where it wants to.
func TestForeignInRegistry36(t *testing.T) {
	s := newSite(t)
	to := audit.Target{Name: "registry", Images: func(string) audit.Images { return s.client }, Lists: audit.Lists{
		Tags: func(ctx context.Context, _ string) iter.Seq2[audit.Held, error] {
			return func(yield func(audit.Held, error) bool) {
				for tag, err := range s.client.Tags(ctx) {
					if !yield(audit.Held{Path: tag.Repository + ":" + tag.Tag, Size: -1, Page: tag.Page}, err) {
						return
					}
				}
			}
		}}}
	items := s.items()
	for i := range items {
		items[i].Place.Repository = ""
	}
	run := func(o audit.Options) *report.Report {
		rep, _, err := audit.Run(t.Context(), s.bundle, items, to, o)
		if err != nil {
			t.Fatal(err)
		}
		return rep
	}
	s.want(run(audit.Options{Exact: true}), report.ClassOK)
	raw, d, err := s.client.Manifest(t.Context(), "pause", "3.2", 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.client.PushManifest(t.Context(), "pause", "4", d.MediaType, raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"foreign image pause:4"}, lines(run(audit.Options{}), report.Foreign)); diff != "" {
		t.Error(diff)
	}
	s.want(run(audit.Options{Exact: true}), report.ClassContent, "pause:4 foreign")
	s.fail = func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/_catalog") {
			return http.StatusUnauthorized // as registries do that give tokens for single repositories
		}
		return 0
	}
	s.want(run(audit.Options{}), report.ClassOK)
	s.want(run(audit.Options{Exact: true}), report.ClassRefused, "registry unknown")
}

// Many items: the list's word stands for single requests where it says what is wanted.
func TestManyItems(t *testing.T) {
	b := newBench(t, nexustest.Options{Profile: nexustest.H2371})
	b.only = []string{"file"}
	one := b.items()
	items := slices.Clone(one)
	for len(items) <= 4096 {
		items = append(items, one...)
	}
	rep, sum, err := audit.Run(t.Context(), b.archive.Bundle(), items, b.target(), audit.Options{Exact: true})
	if err != nil || rep.Code() != 0 || sum.Asked != 0 || sum.Pages != 1 {
		t.Errorf("%v, code %d, %+v", err, rep.Code(), sum)
	}
	if diff := cmp.Diff([]string{"the server names this sha256, found in the server's list"}, proofs(rep, "file")); diff != "" {
		t.Error(diff)
	}
	file := one[0].Place.Path
	if err := b.double.Put("raw-hosted", file, make([]byte, 70_000)); err != nil {
		t.Fatal(err)
	}
	rep, sum, err = audit.Run(t.Context(), b.archive.Bundle(), items, b.target(), audit.Options{})
	if err != nil || rep.Code() != 4 || sum.Asked != int64(len(items)/2) {
		t.Errorf("%v, code %d, %+v: what the list says otherwise is asked for", err, rep.Code(), sum)
	}
}

// A list that costs too much is not read to its end unless somebody needs all of it.
func TestLongList(t *testing.T) {
	b := newBench(t, nexustest.Options{})
	b.only = []string{"file"}
	to := b.target()
	asked := 0
	of := listsOf(b.nexus).Files
	to.Lists.Files = func(ctx context.Context, repo string) iter.Seq2[audit.Held, error] {
		return func(yield func(audit.Held, error) bool) {
			for h, err := range of(ctx, repo) {
				if !yield(h, err) {
					return
				}
			}
			for asked = 1; asked <= 3000; asked++ {
				if !yield(audit.Held{Path: fmt.Sprint("x", asked), Size: 1, Page: asked}, nil) {
					return
				}
			}
		}
	}
	rep, _ := b.auditAt(to, audit.Options{})
	if rep.Code() != 0 || asked > 1002 || !strings.Contains(strings.Join(rep.Notes, "\n"), "known in part: after 1000 pages") {
		t.Errorf("code %d, %d pages, %v", rep.Code(), asked, rep.Notes)
	}
	var text strings.Builder
	if err := rep.WriteText(&text, false); err != nil || strings.Count(text.String(), "\nforeign")+strings.Count(text.String()[:7], "foreign") != 20 || !strings.Contains(text.String(), "and 980 more that the bundle does not hold") {
		t.Errorf("%v\n%s", err, text.String())
	}
	rep, _ = b.auditAt(to, audit.Options{Exact: true})
	if rep.Code() != 4 || len(rep.Findings()) != 3000 {
		t.Errorf("code %d, %d findings", rep.Code(), len(rep.Findings()))
	}
	var all strings.Builder
	if err := rep.WriteJSON(&all, nil); err != nil || strings.Count(all.String(), `"state": "foreign"`) != 3000 {
		t.Errorf("%v, JSON has %d of them", err, strings.Count(all.String(), `"state": "foreign"`))
	}
}
