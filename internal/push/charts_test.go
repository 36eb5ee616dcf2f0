package push_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/audit"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// assets lets the Nexus adapter answer as the audit asks.
type assets struct{ *nexus.Nexus }

func (a assets) Digest(ctx context.Context, repo, path string) (int64, digest.Digest, error) {
	asset, err := a.Stat(ctx, repo, path)
	return asset.Size, "", err
}

func (b *nexusBench) audit(deep bool) *report.Report {
	b.t.Helper()
	items, err := target.Default().Items(b.archive.Bundle().Table, target.Selection{Only: []string{"chart"}})
	if err != nil {
		b.t.Fatal(err)
	}
	rep, _, err := audit.Run(b.t.Context(), b.archive.Bundle(), items, audit.Target{Name: "nexus", Assets: assets{b.nexus}}, audit.Options{Deep: deep})
	if err != nil {
		b.t.Fatal(err)
	}
	return rep
}

// Contract 7.
// Charts arrive in the helm repository, are listed in its index, and are proved there.
func TestChartsArriveInANexus(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) {
			b := newBenchOf(t, nexustest.Options{Profile: profile, RebuildDelay: 50 * time.Millisecond}, true)
			rep, _ := b.push(push.Options{Jobs: 4})
			b.clean(rep)
			listed := 0
			for _, rec := range rep.Records() {
				if rec.Kind == string(manifest.KindChart) && rec.State == report.Sent && strings.Contains(rec.Proof, "served metadata") {
					listed++
				}
			}
			if listed != 2 {
				t.Errorf("%d charts are sent and listed: %+v", listed, rep.Records())
			}
			again, sum := b.push(push.Options{})
			b.clean(again)
			if sum.Sent != 0 || again.Counts()[report.Present] != 9 {
				t.Errorf("rerun: %v, %+v", again.Counts(), sum)
			}
			for _, deep := range []bool{false, true} {
				proof := b.audit(deep)
				b.clean(proof)
				want := "listed in the served index.yaml with this sha256"
				if deep {
					want = "read and hashed"
				}
				for _, rec := range proof.Records() {
					if rec.State != report.Present || rec.Proof != want {
						t.Errorf("deep %v: %+v", deep, rec)
					}
				}
			}
		})
	}
}

// Contract 7.
// A chart that no index lists is not done: no client would find it.
func TestIndexThatIsNeverRebuilt(t *testing.T) {
	b := newBenchOf(t, nexustest.Options{RebuildDelay: time.Hour}, true)
	rep, _ := b.push(push.Options{MetadataWait: 100 * time.Millisecond})
	charts := 0
	for _, f := range rep.Findings() {
		if f.Kind == string(manifest.KindChart) && f.State == report.Missing && strings.Contains(f.Reason, "the served index.yaml does not list it") {
			charts++
		}
	}
	if rep.Code() != int(report.ClassIncomplete) || charts != 2 {
		t.Errorf("code %d, %+v", rep.Code(), rep.Findings())
	}
	proof := b.audit(false)
	if proof.Code() != int(report.ClassIncomplete) || len(proof.Findings()) != 2 || !strings.Contains(proof.Findings()[0].Reason, "index.yaml") {
		t.Errorf("audit: code %d, %+v", proof.Code(), proof.Findings())
	}
}

// Contract 7.
// Another chart under the same name and version is told, not taken for ours.
func TestOtherChartAtThePlace(t *testing.T) {
	b := newBenchOf(t, nexustest.Options{}, true)
	if err := b.double.Put("helm-hosted", "nginx-1.2.3.tgz", []byte("something else")); err != nil {
		t.Fatal(err)
	}
	rep, _ := b.push(push.Options{})
	if rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 1 || rep.Findings()[0].Name != "nginx-1.2.3" {
		t.Errorf("push: code %d, %+v", rep.Code(), rep.Findings())
	}
	proof := b.audit(false)
	if proof.Code() != int(report.ClassContent) || len(proof.Findings()) != 1 {
		t.Errorf("audit: code %d, %+v", proof.Code(), proof.Findings())
	}
}
