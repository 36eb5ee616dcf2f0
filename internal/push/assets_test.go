package push_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// A nexusBench is an archive and a double of Nexus to push it to.
type nexusBench struct {
	t       *testing.T
	archive *archive.Archive
	double  *nexustest.Server
	nexus   *nexus.Nexus
	base    *url.URL
	client  *http.Client
	counted *httpx.Transport
}

var profiles = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

func newNexusBench(t *testing.T, o nexustest.Options) *nexusBench {
	t.Helper()
	return newBenchOf(t, o, false)
}

func newBenchOf(t *testing.T, o nexustest.Options, withCharts bool) *nexusBench {
	t.Helper()
	f := bundletest.New(t)
	if withCharts {
		f.AddChart(t, "nginx", "1.2.3")
		f.AddChart(t, "nginx", "1.2.4")
	}
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	o.Repositories = []nexustest.Repository{{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum"}, {Name: "raw-hosted", Format: "raw"}, {Name: "helm-hosted", Format: "helm"}}
	double := nexustest.Start(t, o)
	u, err := url.Parse(double.URL)
	if err != nil {
		t.Fatal(err)
	}
	b := &nexusBench{t: t, archive: a, double: double, base: u}
	b.transport(0)
	return b
}

// transport makes the client anew, with that many requests in flight at most.
func (b *nexusBench) transport(total int) {
	b.counted = httpx.NewTransport(httpx.Options{Total: total, Attempts: 4, Backoff: func(int) time.Duration { return time.Millisecond }})
	b.client = httpx.NewClient(b.counted)
	b.login(nexustest.Password)
}

func (b *nexusBench) login(password string) {
	b.nexus = nexus.New(nexus.Options{URL: b.base, Client: b.client, Username: nexustest.Username, Password: password})
}

func (b *nexusBench) push(o push.Options) (*report.Report, *push.Summary) {
	b.t.Helper()
	o.MetadataPoll = 10 * time.Millisecond
	if o.MetadataWait == 0 {
		o.MetadataWait = 10 * time.Second
	}
	places := target.Default()
	items, err := places.Items(b.archive.Bundle().Table, target.Selection{})
	if err != nil {
		b.t.Fatal(err)
	}
	rep, sum, err := push.Run(b.t.Context(), b.archive.Bundle(), b.archive, items,
		push.Target{Name: "nexus", Images: func(repo string) push.Images { return b.nexus.Docker(repo) }, Assets: b.nexus, Writable: b.nexus.Writable}, o)
	if err != nil {
		b.t.Fatal(err)
	}
	return rep, sum
}

func (b *nexusBench) clean(rep *report.Report) {
	b.t.Helper()
	for _, f := range rep.Findings() {
		b.t.Errorf("%+v", f)
	}
}

// Contract 12.
func TestEverythingArrivesInANexus(t *testing.T) {
	for _, profile := range profiles {
		t.Run(string(profile), func(t *testing.T) {
			b := newNexusBench(t, nexustest.Options{Profile: profile})
			dry, planned := b.push(push.Options{DryRun: true})
			b.clean(dry)
			rep, sum := b.push(push.Options{Jobs: 4})
			b.clean(rep)
			if rep.Counts()[report.Sent] != 7 || sum.Sent != planned.Sent {
				t.Errorf("%v, %+v; the dry run announced %+v", rep.Counts(), sum, planned)
			}
			for _, rec := range rep.Records() {
				if rec.Kind == "rpm" && !strings.Contains(rec.Proof, "served metadata") {
					t.Errorf("no proof that clients see it: %+v", rec)
				}
			}
			b.double.ClearLog()
			rep, sum = b.push(push.Options{})
			b.clean(rep)
			if rep.Counts()[report.Present] != 7 || sum.Sent != 0 || b.double.Stats().BytesIn != 0 {
				t.Errorf("rerun: %v, %+v, %d bytes arrived", rep.Counts(), sum, b.double.Stats().BytesIn)
			}
		})
	}
}

// A package that is uploaded but never listed is not done: no client would find it.
func TestMetadataThatIsNeverRebuilt(t *testing.T) {
	b := newNexusBench(t, nexustest.Options{Quirks: nexustest.Quirks{NoRebuild: true}})
	rep, _ := b.push(push.Options{MetadataWait: 100 * time.Millisecond})
	if rep.Code() != int(report.ClassIncomplete) || len(rep.Findings()) != 2 {
		t.Fatalf("code %d, %+v", rep.Code(), rep.Findings())
	}
	for _, f := range rep.Findings() {
		if f.Kind != "rpm" || f.State != report.Missing || !strings.Contains(f.Reason, "metadata") {
			t.Errorf("%+v", f)
		}
	}
}

// Metadata that comes late is waited for.
func TestMetadataThatComesLate(t *testing.T) {
	b := newNexusBench(t, nexustest.Options{RebuildDelay: 300 * time.Millisecond})
	rep, sum := b.push(push.Options{})
	b.clean(rep)
	if sum.Seconds < 0.25 {
		t.Errorf("done after %.2f s, before the metadata was there", sum.Seconds)
	}
}

// Other content at a place is never replaced unasked.
func TestTakenPlaces(t *testing.T) {
	b := newNexusBench(t, nexustest.Options{})
	file, rpm := b.archive.Bundle().Table.Files[0], b.archive.Bundle().Table.RPMs[0]
	for repo, path := range map[string]string{"raw-hosted": file.Path, "yum-hosted": rpm.Path()} {
		if err := b.double.Put(repo, path, []byte("something else")); err != nil {
			t.Fatal(err)
		}
	}
	rep, _ := b.push(push.Options{MetadataWait: 50 * time.Millisecond})
	taken := 0
	for _, f := range rep.Findings() {
		if f.Class == report.ClassRefused {
			taken++
		}
	}
	if rep.Code() != int(report.ClassRefused) || taken != 2 {
		t.Errorf("code %d, %+v", rep.Code(), rep.Findings())
	}
	if got, err := b.double.Read("raw-hosted", file.Path); err != nil || string(got) != "something else" {
		t.Errorf("the place was overwritten: %q, %v", got, err)
	}
	// What is no RPM keeps the repository without metadata, so the wait for it is in vain.
	rep, _ = b.push(push.Options{Overwrite: true, ReadyWait: 50 * time.Millisecond})
	b.clean(rep)
}

// Contract 8.
// A frozen server refuses; it is not retried for ever and not called unavailable.
func TestFrozenServer(t *testing.T) {
	b := newNexusBench(t, nexustest.Options{})
	b.double.Freeze(true)
	rep, _ := b.push(push.Options{FrozenWait: 50 * time.Millisecond, MetadataWait: 50 * time.Millisecond})
	if rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 7 {
		t.Errorf("code %d, %d findings: %+v", rep.Code(), len(rep.Findings()), rep.Findings()[0])
	}
	b.double.Freeze(false)
	rep, _ = b.push(push.Options{})
	b.clean(rep)
}

// Contract 5.3.
// A repository that does not exist is a refusal with the next step, not an outage.
func TestMissingRepositories(t *testing.T) {
	b := newNexusBench(t, nexustest.Options{})
	for _, name := range []string{"docker-hosted", "yum-hosted", "raw-hosted"} {
		if !b.double.DeleteRepository(name) {
			t.Fatalf("there was no %s", name)
		}
	}
	rep, _ := b.push(push.Options{MetadataWait: 50 * time.Millisecond})
	if rep.Code() != int(report.ClassRefused) || len(rep.Findings()) != 7 {
		t.Errorf("code %d, %d findings", rep.Code(), len(rep.Findings()))
	}
	for _, f := range rep.Findings() {
		if !strings.Contains(f.Next, "create it") {
			t.Errorf("no next step: %+v", f)
		}
	}
}
