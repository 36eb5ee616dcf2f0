package probe

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/httpx"
	"airbundle/internal/nexustest"
	"airbundle/internal/report"
)

// login is the client that the command line makes.
type login struct {
	*http.Client
	user, password string
}

func (l login) Do(req *http.Request) (*http.Response, error) {
	req.SetBasicAuth(l.user, l.password)
	return l.Client.Do(req)
}

func newLogin(user, password string) login {
	c := httpx.NewClient(httpx.NewTransport(httpx.Options{Backoff: func(int) time.Duration { return time.Millisecond }}))
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return login{c, user, password}
}

var allProfiles = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

// scratchRepos are what a user is told to set up; beside them is one that is not named.
var scratchRepos = []nexustest.Repository{
	{Name: "probe-docker", Format: "docker"}, {Name: "probe-raw", Format: "raw"},
	{Name: "probe-yum0", Format: "yum"}, {Name: "probe-yum1", Format: "yum", Depth: 1},
	{Name: "docker-hosted", Format: "docker"}, {Name: "raw-hosted", Format: "raw"}, {Name: "yum-hosted", Format: "yum"},
}

var scratchNames = []string{"probe-docker", "probe-raw", "probe-yum0", "probe-yum1"}

func server(t *testing.T, o nexustest.Options) *nexustest.Server {
	t.Helper()
	if o.Repositories == nil {
		o.Repositories = scratchRepos
	}
	return nexustest.Start(t, o)
}

func options(t *testing.T, s *nexustest.Server, scratch ...string) Options {
	t.Helper()
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return Options{URL: u, Scratch: scratch, Timeout: 300 * time.Millisecond, Interval: 2 * time.Millisecond, Program: "airbundle test"}
}

func mustRun(t *testing.T, o Options) *Transcript {
	t.Helper()
	tr, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), o)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// finding is the one of a question that says something.
func finding(t *testing.T, tr *Transcript, number int, says string) Finding {
	t.Helper()
	q := tr.Cleanup
	if number > 0 {
		q = tr.Questions[number-1]
	}
	for _, f := range q.Findings {
		if strings.Contains(f.Says, says) {
			return f
		}
	}
	t.Fatalf("question %d has no finding that says %q: %+v", number, says, q.Findings)
	return Finding{}
}

// TestBothPositions holds each question against both positions of the switch that it is
// about: a question that cannot fail would be seen.
func TestBothPositions(t *testing.T) {
	likely := map[nexustest.Profile]*Transcript{}
	for _, profile := range allProfiles {
		likely[profile] = mustRun(t, options(t, server(t, nexustest.Options{Profile: profile}), scratchNames...))
	}
	for _, c := range []struct {
		name        string
		number      int
		about       string // finds the finding
		set         func(*nexustest.Quirks)
		zero, other position // of the switch
		scratch     string   // the one repository that it takes
	}{
		{"rebuild", 1, "the served metadata", func(q *nexustest.Quirks) { q.NoRebuild = true },
			position{"NoRebuild=false", "lists the RPM"}, position{"NoRebuild=true", "does not list the RPM"}, "probe-yum0"},
		{"strict", 2, "no .rpm", func(q *nexustest.Quirks) { q.StrictStatus = 404 },
			position{"StrictStatus=400", "400 Invalid path"}, position{"StrictStatus=404", "404 Invalid path"}, "probe-yum1"},
		{"text as RPM", 2, "text that is named .rpm", func(q *nexustest.Quirks) { q.CheckRPM = true },
			position{"CheckRPM=false", "answers 200"}, position{"CheckRPM=true", "answers 400 Invalid RPM"}, "probe-yum1"},
		{"corrupt RPM", 2, "a corrupt RPM", func(q *nexustest.Quirks) { q.CheckRPM = true },
			position{"CheckRPM=false", "it is taken"}, position{"CheckRPM=true", "it is refused"}, "probe-yum0"},
		{"shallow", 2, "above the repodata depth 1", func(q *nexustest.Quirks) { q.ShallowStatus = 422 },
			position{"ShallowStatus=400", "answers 400"}, position{"ShallowStatus=422", "answers 422"}, "probe-yum1"},
		{"yum status", 3, "yum PUT", func(q *nexustest.Quirks) { q.YumPutStatus = 201 },
			position{"YumPutStatus=200", "yum PUT answers 200"}, position{"YumPutStatus=201", "yum PUT answers 201"}, "probe-yum1"},
		{"headers", 4, "the answers of an upload", func(q *nexustest.Quirks) { q.BareUploads = true },
			position{"BareUploads=false", "have Location"}, position{"BareUploads=true", "lack POST Docker-Upload-UUID, POST Range"}, "probe-docker"},
		{"range", 4, "after POST the Range is", func(q *nexustest.Quirks) { q.BareUploads = true },
			position{"", `"0-0"`}, position{"", `the answer has no Range`}, "probe-docker"},
		{"missing layer", 5, "whose layer is missing", func(q *nexustest.Quirks) { q.BlobUnknownStatus = 404 },
			position{"BlobUnknownStatus=400 BlobUnknownBare=false", "400 Bad Request with the error code BLOB_UNKNOWN"}, position{"BlobUnknownStatus=404 BlobUnknownBare=false", "404 Not Found with"}, "probe-docker"},
		{"missing child", 5, "whose child is missing", func(q *nexustest.Quirks) { q.BlobUnknownStatus = 404 },
			position{"BlobUnknownStatus=400 BlobUnknownBare=false", "answers 400"}, position{"BlobUnknownStatus=404 BlobUnknownBare=false", "answers 404"}, "probe-docker"},
		{"mount", 6, "?mount=", func(q *nexustest.Quirks) { q.Mount = true },
			position{"Mount=false", "nothing is mounted"}, position{"Mount=true", "it is mounted"}, "probe-docker"},
		{"single POST", 7, "one POST", func(q *nexustest.Quirks) { q.NoSinglePost = true },
			position{"NoSinglePost=false", "HEAD finds the blob"}, position{"NoSinglePost=true", "stores nothing"}, "probe-docker"},
		{"referrers", 8, "artifact with a subject", func(q *nexustest.Quirks) { q.Referrers = true },
			position{"Referrers=false", "there are none"}, position{"Referrers=true", "they list it"}, "probe-docker"},
		{"OCI manifest", 9, "an OCI image manifest", func(q *nexustest.Quirks) { q.RefuseOCI = true },
			position{"RefuseOCI=false", "the same bytes come back under the same"}, position{"RefuseOCI=true", "it is refused"}, "probe-docker"},
		{"OCI index", 9, "an OCI index", func(q *nexustest.Quirks) { q.RefuseOCI = true },
			position{"RefuseOCI=false", "the same bytes come back"}, position{"RefuseOCI=true", "it is refused"}, "probe-docker"},
		{"nested index", 9, "child that is no image answers", func(q *nexustest.Quirks) { q.IndexNPE = true },
			position{"IndexNPE=false", "answers 201"}, position{"IndexNPE=true", "answers 500 Cannot get property 'digest' on null object"}, "probe-docker"},
		{"prefix", 10, "Location", func(q *nexustest.Quirks) { q.LocationPrefix = true },
			position{"LocationPrefix=false", "begins with /v2/"}, position{"LocationPrefix=true", "begins with /repository/probe-docker/v2/"}, "probe-docker"},
		{"checksum", 12, "primary.xml has", func(q *nexustest.Quirks) { q.PrimaryChecksum = "sha1" },
			position{"PrimaryChecksum=sha256", "the sha256"}, position{"PrimaryChecksum=sha1", "the sha1"}, "probe-yum0"},
		{"zstd", 13, "zstd payload", func(q *nexustest.Quirks) { q.RefuseZstd = true },
			position{"RefuseZstd=false", "and the metadata lists it"}, position{"RefuseZstd=true", "does not list it"}, "probe-yum1"},
		{"zstd at upload", 13, "zstd payload", func(q *nexustest.Quirks) { q.RefuseZstd, q.CheckRPM = true, true },
			position{"RefuseZstd=false", "answers 200"}, position{"RefuseZstd=true CheckRPM=true", "answers 400 Invalid RPM"}, "probe-yum0"},
		{"atomic create", 14, "If-None-Match", func(q *nexustest.Quirks) { q.PutIfNoneMatch = true },
			position{"PutIfNoneMatch=false", "answers 201"}, position{"PutIfNoneMatch=true", "answers 412"}, "probe-raw"},
		{"blob deletion", 0, "DELETE of a blob", func(q *nexustest.Quirks) { q.DeleteBlobs = true },
			position{"DeleteBlobs=false", "answers 405"}, position{"DeleteBlobs=true", "answers 202"}, "probe-docker"},
	} {
		for _, profile := range allProfiles {
			t.Run(fmt.Sprintf("%s/%s", c.name, profile), func(t *testing.T) {
				t.Parallel()
				var other nexustest.Quirks
				c.set(&other)
				s := server(t, nexustest.Options{Profile: profile, Quirks: other})
				c.zero.check(t, likely[profile], c.number, c.about)
				c.other.check(t, mustRun(t, options(t, s, c.scratch)), c.number, c.about)
			})
		}
	}
}

// position is what a finding has to say.
type position struct{ sw, says string }

func (p position) check(t *testing.T, tr *Transcript, number int, about string) {
	t.Helper()
	f := finding(t, tr, number, about)
	if got, _, _ := strings.Cut(f.Switch, " RebuildDelay"); got != p.sw || !strings.Contains(f.Says, p.says) || f.State != Answered {
		t.Errorf("got %s [%s] %s\nwant [%s] %s", f.State, f.Switch, f.Says, p.sw, p.says)
	}
}

// TestWritesToScratchOnly holds the log of the server against what a user may trust in.
func TestWritesToScratchOnly(t *testing.T) {
	for _, profile := range allProfiles {
		t.Run(string(profile), func(t *testing.T) {
			s := server(t, nexustest.Options{Profile: profile, ContextPath: "/nexus", Quirks: nexustest.Quirks{DeleteBlobs: true}})
			o := options(t, s, scratchNames...)
			o.Large = 3 << 20
			tr := mustRun(t, o)
			writes := 0
			for _, e := range s.Log() {
				if e.Method == http.MethodGet || e.Method == http.MethodHead {
					continue
				}
				writes++
				name, _ := strings.CutPrefix(e.Path, "/nexus/repository/"+e.Repository+"/")
				name, _ = strings.CutPrefix(name, "v2/")
				if !slices.Contains(scratchNames, e.Repository) || !strings.HasPrefix(name, mark) || !strings.Contains(name, tr.Run) {
					t.Errorf("wrote to %s of %q", e.Path, e.Repository)
				}
			}
			if writes < 40 {
				t.Errorf("%d writes seen: the log does not show them", writes)
			}
			for _, repo := range scratchRepos {
				if left := s.Paths(repo.Name); left != nil {
					t.Errorf("left behind in %s: %v", repo.Name, left)
				}
			}
			if got, want := tr.Counts(), (map[State]int{Answered: tr.Counts()[Answered], NotAsked: 4}); !cmp.Equal(got, want) || got[Answered] < 20 {
				t.Errorf("got %v, want %v", got, want) // GC, oci format, CE caps, oss-proxy
			}
			if f := finding(t, tr, 7, "3145728 bytes"); f.Switch != "NoSinglePost=false" {
				t.Errorf("large upload: %+v", f)
			}
			if f := finding(t, tr, 0, "are deleted"); f.State != Answered {
				t.Errorf("cleanup: %+v", f)
			}
		})
	}
}

// TestBlobsStay: where blobs cannot be deleted, the transcript says which stay, and the
// next run takes the repository all the same.
func TestBlobsStay(t *testing.T) {
	s := server(t, nexustest.Options{})
	tr := mustRun(t, options(t, s, "probe-docker"))
	f := finding(t, tr, 0, "blobs stay")
	left := s.Paths("probe-docker")
	if f.State != Open || len(left) == 0 {
		t.Errorf("got %+v with %v left", f, left)
	}
	for _, p := range left {
		digest, ok := strings.CutPrefix(p, "v2/-/blobs/")
		if !ok || !strings.Contains(f.Says, digest) {
			t.Errorf("%s is left, and the transcript does not say so: %s", p, f.Says)
		}
	}
	mustRun(t, options(t, s, "probe-docker"))
}

func TestKeep(t *testing.T) {
	s := server(t, nexustest.Options{})
	o := options(t, s, "probe-docker", "probe-raw", "probe-yum0")
	o.Keep = true
	tr := mustRun(t, o)
	if n := s.Count(http.MethodDelete, "/manifests/|probe-raw|probe-yum"); n > 0 {
		t.Errorf("%d DELETE requests with --keep", n)
	}
	if got := len(s.Tags("probe-docker", mark+"/"+tr.Run)); got < 4 {
		t.Errorf("%d tags are left, want those of the transcript", got)
	}
	tr = mustRun(t, options(t, s, "probe-docker", "probe-raw")) // what an earlier run left does not count
	if tr.Counts()[Answered] == 0 {
		t.Error("nothing was asked")
	}
}

// TestNotAsked: what a question needs is said where it was not named.
func TestNotAsked(t *testing.T) {
	s := server(t, nexustest.Options{})
	tr := mustRun(t, options(t, s, "probe-raw"))
	for n, want := range map[int]string{
		1: "name a yum scratch repository", 2: "", 3: "name a yum scratch repository", 4: "name a docker scratch repository",
		7: "name a docker", 8: "name an oci scratch repository", 11: "cannot be provoked", 12: "name a yum", 13: "name a yum", 15: "sees no repository oss-proxy",
	} {
		if f := finding(t, tr, n, want); f.State != NotAsked {
			t.Errorf("question %d: %+v", n, f)
		}
	}
	for _, q := range tr.Questions {
		if q.Number != 14 && len(q.Exchanges) > 0 || len(q.Findings) == 0 {
			t.Errorf("question %d: %d exchanges, %d findings", q.Number, len(q.Exchanges), len(q.Findings))
		}
	}
	tr = mustRun(t, options(t, s, "probe-yum0"))
	if f := finding(t, tr, 2, "an RPM above the repodata depth"); f.State != NotAsked || !strings.Contains(f.Says, "depth 0 and 1") {
		t.Errorf("depth 0 alone: %+v", f)
	}
}

// TestRefused: nothing is written when a repository may not be dirtied, and all such are
// told of.
func TestRefused(t *testing.T) {
	repos := append(slices.Clone(scratchRepos),
		nexustest.Repository{Name: "group", Format: "raw", Type: "group", Members: []string{"probe-raw"}},
		nexustest.Repository{Name: "charts", Format: "helm"},
		nexustest.Repository{Name: "off", Format: "raw", Offline: true},
		nexustest.Repository{Name: "readonly", Format: "raw", WritePolicy: "DENY"})
	for _, profile := range allProfiles {
		t.Run(string(profile), func(t *testing.T) {
			s := server(t, nexustest.Options{Profile: profile, Repositories: repos})
			if err := s.Put("raw-hosted", "real/data.bin", []byte("real")); err != nil {
				t.Fatal(err)
			}
			o := options(t, s, "probe-raw", "raw-hosted", "group", "charts", "nowhere", "off", "readonly")
			tr, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), o)
			if tr != nil || report.Classify(err) != report.ClassRefused {
				t.Fatalf("got %v, %v", tr, err)
			}
			for _, want := range []string{"--scratch raw-hosted: it is not empty, it has", "--scratch group: it is a group repository",
				"--scratch charts: no question needs a helm repository", "--scratch nowhere: this login sees no such repository",
				"--scratch off: it is offline", "--scratch readonly: its deployment policy is read-only"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
			if n := len(s.Requests(nexustest.Match{Method: http.MethodPut})); n > 0 {
				t.Errorf("%d PUT requests", n)
			}
			o = options(t, s, "raw-hosted")
			o.Force = true
			if f := finding(t, mustRun(t, o), 14, "raw PUT"); f.State != Answered {
				t.Errorf("with Force: %+v", f)
			}
			if got := s.Paths("raw-hosted"); !cmp.Equal(got, []string{"real/data.bin"}) {
				t.Errorf("raw-hosted holds %v now", got)
			}
		})
	}
}

func TestReadOnlyServer(t *testing.T) {
	s := server(t, nexustest.Options{})
	s.Freeze(true)
	_, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), options(t, s, "probe-raw"))
	if report.Classify(err) != report.ClassRefused || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("got %v", err)
	}
}

// TestLoginStops: after a 401 nothing more is sent.
func TestLoginStops(t *testing.T) {
	for _, profile := range allProfiles {
		s := server(t, nexustest.Options{Profile: profile})
		tr, err := Run(t.Context(), newLogin(nexustest.Username, "wrong"), options(t, s, scratchNames...))
		if tr != nil || report.Classify(err) != report.ClassRefused || !strings.Contains(err.Error(), "login is not taken") {
			t.Errorf("%s: got %v, %v", profile, tr, err)
		}
		if n := len(s.Log()); n > 3 { // of 3.96, /status/writable does not look at the login
			t.Errorf("%s: %d requests with a wrong password", profile, n)
		}
	}
	s := server(t, nexustest.Options{})
	s.AddFault(nexustest.Fault{Name: "out", On: nexustest.Match{Route: nexustest.RouteUpload, After: 3}, Do: nexustest.Status(http.StatusUnauthorized, "Unauthorized")})
	tr, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), options(t, s, scratchNames...))
	if tr == nil || report.Classify(err) != report.ClassRefused {
		t.Fatalf("got %v, %v", tr, err)
	}
	if s.FaultHits("out") != 1 {
		t.Errorf("%d requests after the 401", s.FaultHits("out"))
	}
	if f := finding(t, tr, 14, "login is not taken"); f.State != NotAsked {
		t.Errorf("%+v", f)
	}
}

// TestAskedOnce: an answer that looks transient is the evidence; it is not asked for
// again behind the question's back.
func TestAskedOnce(t *testing.T) {
	s := server(t, nexustest.Options{})
	s.AddFault(nexustest.Fault{Name: "busy", On: nexustest.Match{Route: nexustest.RouteRaw, Method: http.MethodPut},
		Do: nexustest.Status(http.StatusServiceUnavailable, "Repository offline")})
	tr, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), options(t, s, "probe-raw"))
	if tr == nil || err == nil || s.FaultHits("busy") != 1 {
		t.Fatalf("asked %d times; %v", s.FaultHits("busy"), err)
	}
	if f := finding(t, tr, 14, "503 Repository offline"); f.State != Open {
		t.Errorf("%+v", f)
	}
}

func TestInterrupted(t *testing.T) {
	s := server(t, nexustest.Options{})
	if err := s.Rebuild("probe-yum0"); err != nil {
		t.Fatal(err)
	}
	s.HoldRebuilds("probe-yum0", true)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("Ctrl-C")
	o := options(t, s, scratchNames...)
	o.Timeout = time.Minute
	o.Talk = func(format string, _ ...any) {
		if strings.HasPrefix(format, "wait at most") {
			cancel(why)
		}
	}
	tr, err := Run(ctx, newLogin(nexustest.Username, nexustest.Password), o)
	if tr == nil || !errors.Is(err, why) {
		t.Fatalf("got %v, %v", tr, err)
	}
	if left := s.Paths("probe-yum0"); left != nil {
		t.Errorf("left behind: %v", left)
	}
	if f := finding(t, tr, 14, "the run was ended: Ctrl-C"); f.State != NotAsked {
		t.Errorf("%+v", f)
	}
}
