package probe

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"airbundle/internal/nexustest"
	"airbundle/internal/report"
)

// nth picks the nth request that a route and method get.
func nth(n int, route nexustest.Route, method, path string, do nexustest.Action) nexustest.Fault {
	return nexustest.Fault{Name: "fault", On: nexustest.Match{Route: route, Method: method, Path: path, After: n - 1, Times: 1}, Do: do}
}

// otherAnswer is one that no switch of the double gives.
type otherAnswer struct {
	name    string
	fault   nexustest.Fault
	repo    string
	number  int
	about   string
	state   State
	sw, say string
}

func dockerAnswers() []otherAnswer {
	unsatisfiable := nexustest.Status(http.StatusRequestedRangeNotSatisfiable, "Requested Range Not Satisfiable")
	const byDigest = "/manifests/sha256:"
	return []otherAnswer{
		{"second part refused", nth(2, nexustest.RouteUpload, "PATCH", "", unsatisfiable), "probe-docker",
			4, "a second PATCH", Answered, "", "must come in one part"},
		{"range checked", nth(3, nexustest.RouteUpload, "PATCH", "", unsatisfiable), "probe-docker",
			4, "does not fit", Answered, "StrictRange=true", "answers 416 Requested Range Not Satisfiable: the range is checked"},
		{"chunks refused", nth(4, nexustest.RouteUpload, "PATCH", "", nexustest.Status(http.StatusLengthRequired, "Length Required")), "probe-docker",
			4, "in chunks", Answered, "LengthRequired=true", "411 Length Required: it is refused"},
		{"wrong digest taken", nth(3, nexustest.RouteUpload, "PUT", "", nexustest.Status(http.StatusCreated, "")), "probe-docker",
			4, "digest of other bytes", Answered, "", "digests are not checked"},
		{"other digest code", nth(3, nexustest.RouteUpload, "PUT", "", nexustest.DockerError(400, "MANIFEST_INVALID", "no", nil)), "probe-docker",
			4, "digest of other bytes", Answered, "DigestCode=MANIFEST_INVALID", "answers 400 Bad Request"},
		{"session over", nth(5, nexustest.RouteUpload, "PATCH", "", nexustest.DockerError(400, "BLOB_UPLOAD_INVALID", "no", nil)), "probe-docker",
			4, "upload that is over", Answered, "SessionStatus=400", "error code BLOB_UPLOAD_INVALID"},
		{"bare 404", nth(1, nexustest.RouteManifest, "GET", "absent", nexustest.Status(http.StatusNotFound, "")), "probe-docker",
			5, "that is not there", Answered, "BareNotFound=true", "404 Not Found with the error code (not told)"},
		{"part not named", nth(1, nexustest.RouteManifest, "PUT", "no-layer", nexustest.DockerError(400, "BLOB_UNKNOWN", "blob unknown to registry", nil)), "probe-docker",
			5, "layer is missing", Answered, "BlobUnknownStatus=400 BlobUnknownBare=true", "does not name the part"},
		{"no artifacts", nth(1, nexustest.RouteManifest, "PUT", "oci-artifact", nexustest.DockerError(400, "MANIFEST_INVALID", "manifest invalid", nil)), "probe-docker",
			9, "an OCI artifact that", Answered, "RefuseArtifacts=true", "it is refused"},
		{"no session", nth(2, nexustest.RouteUpload, "POST", "", nexustest.ProxyStatus(http.StatusRequestEntityTooLarge)), "probe-docker",
			4, "413", Open, "", "answers 413"},
		{"single POST refused", nth(1, nexustest.RouteUpload, "POST", "digest=", nexustest.Status(http.StatusMethodNotAllowed, "")), "probe-docker",
			7, "one POST", Answered, "NoSinglePost=true", "405 Method Not Allowed: it is refused"},
		{"single POST stores nothing", nth(1, nexustest.RouteUpload, "POST", "digest=", nexustest.Status(http.StatusCreated, "")), "probe-docker",
			7, "one POST", Answered, "", "answers 201 Created, but HEAD of the blob 404"},
		{"mount refused", nth(1, nexustest.RouteUpload, "POST", "mount=", nexustest.Status(http.StatusBadRequest, "no")), "probe-docker",
			6, "?mount=", Answered, "Mount=false", "400 no: it is refused"},
		{"parts not checked", nth(1, nexustest.RouteManifest, "PUT", "no-layer", nexustest.Status(http.StatusCreated, "")), "probe-docker",
			5, "layer is missing", Answered, "", "parts are not checked"},
		{"other error", nth(1, nexustest.RouteManifest, "PUT", "no-child", nexustest.DockerError(400, "MANIFEST_INVALID", "manifest invalid", nil)), "probe-docker",
			5, "child is missing", Answered, "", "400 Bad Request with the error code MANIFEST_INVALID"},
		{"converted", nth(1, nexustest.RouteManifest, "GET", byDigest, nexustest.StatusBody(200, "", typeV2S2, "{}")), "probe-docker",
			9, "an OCI image manifest", Answered, "", "other bytes come back, as " + typeV2S2},
		{"other type", nth(1, nexustest.RouteManifest, "GET", byDigest, nexustest.EditHeader(func(h http.Header) { h.Set("Content-Type", typeV2S2) })), "probe-docker",
			9, "an OCI image manifest", Answered, "RefuseOCI=false", "but as " + typeV2S2},
		{"gone", nth(1, nexustest.RouteManifest, "GET", byDigest, nexustest.DockerError(404, "MANIFEST_UNKNOWN", "manifest unknown", nil)), "probe-docker",
			9, "an OCI image manifest", Answered, "", "but GET of it 404"},
		{"referrers without it", nexustest.Fault{Name: "fault", On: nexustest.Match{Path: "/referrers/"}, Do: nexustest.StatusBody(200, "", typeOCIIndex, `{"manifests":[]}`)}, "probe-docker",
			8, "an artifact", Answered, "Referrers=false", "they do not list it"},
		{"absolute location", nth(1, nexustest.RouteUpload, "POST", "", nexustest.AbsoluteLocation("http://10.1.2.3:8082")), "probe-docker",
			10, "Location", Answered, "LocationPrefix=false", "it is absolute, and names the host 10.1.2.3:8082"},
		{"no location", nth(1, nexustest.RouteUpload, "POST", "", nexustest.EditHeader(func(h http.Header) { h.Del("Location") })), "probe-docker",
			10, "Location", Open, "", "no URL"},
		{"strange location", nth(1, nexustest.RouteUpload, "POST", "", nexustest.EditHeader(func(h http.Header) { h.Set("Location", "/elsewhere") })), "probe-docker",
			10, "Location", Open, "", "/elsewhere, which is neither"},
	}
}

func yumAnswers() []otherAnswer {
	return []otherAnswer{
		{"yum refuses", nth(1, nexustest.RouteYum, "PUT", "good", nexustest.PaymentRequired()), "probe-yum0",
			3, "yum0/airbundle-probe/", Open, "", "403 PAYMENT REQUIRED"},
		{"metadata broken", nexustest.Fault{Name: "fault", On: nexustest.Match{Route: nexustest.RouteYum, Path: "primary"}, Do: nexustest.Status(500, "Blob could not be found")}, "probe-yum0",
			1, "does not list the RPM", Answered, "NoRebuild=true", "answers 500 Blob could not be found"},
	}
}

func TestOtherAnswers(t *testing.T) {
	for _, c := range append(dockerAnswers(), yumAnswers()...) {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := server(t, nexustest.Options{Faults: []nexustest.Fault{c.fault}})
			tr, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), options(t, s, c.repo))
			if tr == nil || (err == nil) != (c.state == Answered) && c.fault.On.Route != nexustest.RouteUpload {
				t.Fatalf("got %v, %v", tr, err)
			}
			if s.FaultHits("fault") == 0 {
				t.Error("the fault did not act")
			}
			f := finding(t, tr, c.number, c.about)
			if f.State != c.state || f.Switch != c.sw || !strings.Contains(f.Says, c.say) {
				t.Errorf("got %s [%s] %s\nwant %s [%s] %s", f.State, f.Switch, f.Says, c.state, c.sw, c.say)
			}
			for _, q := range tr.Questions {
				if len(q.Exchanges) > maxNoted+10 {
					t.Errorf("question %d has %d exchanges", q.Number, len(q.Exchanges))
				}
			}
		})
	}
}

// TestLikelyPositions are those of questions whose other answer only a fault gives; see
// TestOtherAnswers.
func TestLikelyPositions(t *testing.T) {
	for _, profile := range allProfiles {
		s := server(t, nexustest.Options{Profile: profile})
		tr := mustRun(t, options(t, s, "probe-docker"))
		for about, want := range map[string]struct {
			number int
			sw     string
		}{
			"does not fit": {4, "StrictRange=false"}, "in chunks": {4, "LengthRequired=false"},
			"digest of other bytes": {4, "DigestCode=DIGEST_INVALID"}, "upload that is over": {4, "SessionStatus=404"},
			"that is not there": {5, "BareNotFound=false"}, "an OCI artifact that is no image": {9, "RefuseArtifacts=false"},
		} {
			if f := finding(t, tr, want.number, about); f.Switch != want.sw {
				t.Errorf("%s: got [%s] %s, want [%s]", profile, f.Switch, f.Says, want.sw)
			}
		}
	}
}

// TestPolicies: settings of a repository that a question depends on are taken into account.
func TestPolicies(t *testing.T) {
	for _, profile := range allProfiles {
		s := server(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
			{Name: "once", Format: "raw", WritePolicy: "ALLOW_ONCE"}, {Name: "once-docker", Format: "docker", WritePolicy: "ALLOW_ONCE"},
			{Name: "permissive", Format: "yum", Depth: 3, DeployPolicy: "PERMISSIVE", Strict: true},
		}})
		tr := mustRun(t, options(t, s, "once", "once-docker", "permissive"))
		if f := finding(t, tr, 14, "deployment policy"); f.State != Open {
			t.Errorf("%s: %+v", profile, f)
		}
		if f := finding(t, tr, 2, "is PERMISSIVE"); f.State != NotAsked {
			t.Errorf("%s: %+v", profile, f)
		}
		if f := finding(t, tr, 2, "above the repodata depth 3"); f.Switch != "ShallowStatus=400" {
			t.Errorf("%s: %+v", profile, f)
		}
		if f := finding(t, tr, 1, "lists the RPM"); !strings.HasPrefix(f.Switch, "NoRebuild=false") {
			t.Errorf("%s: %+v", profile, f)
		}
		if f := finding(t, tr, 9, "an OCI index"); f.Switch != "RefuseOCI=false" {
			t.Errorf("%s: %+v", profile, f)
		}
	}
}

// TestLeastPrivileges: without the right to see settings, what depends on them is open,
// not wrong.
func TestLeastPrivileges(t *testing.T) {
	s := server(t, nexustest.Options{
		Users:  []nexustest.User{{Name: "probe", Password: "p", Repositories: scratchNames, Actions: []string{"browse", "read", "add", "edit", "delete"}}},
		Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/repositories/[a-z]+/hosted/"}, Do: nexustest.Status(http.StatusForbidden, "Forbidden")}},
	})
	if err := s.Rebuild("probe-yum0"); err != nil {
		t.Fatal(err)
	}
	for repo, want := range map[string]State{"probe-yum0": Answered, "probe-yum1": Open} {
		o := options(t, s, repo, "probe-raw")
		tr, err := Run(t.Context(), newLogin("probe", "p"), o)
		if err != nil {
			t.Fatal(err)
		}
		if f := tr.Questions[0].Findings[0]; f.State != want || want == Open && !strings.Contains(f.Says, "does not tell the repodata depth") {
			t.Errorf("%s: %+v", repo, f)
		}
		if f := finding(t, tr, 14, "raw PUT"); f.State != Answered {
			t.Errorf("%+v", f)
		}
		if f := finding(t, tr, 2, "above the repodata depth"); f.State != NotAsked {
			t.Errorf("%+v", f)
		}
	}
	_, err := Run(t.Context(), newLogin("probe", "p"), options(t, s, "raw-hosted"))
	if err == nil || !strings.Contains(err.Error(), "privilege browse") {
		t.Errorf("got %v", err)
	}
}

// TestForbidden: an answer of 403 is no conclusion.
func TestForbidden(t *testing.T) {
	s := server(t, nexustest.Options{Users: []nexustest.User{{Name: "reader", Password: "p", Repositories: scratchNames, Actions: []string{"browse", "read"}}}})
	tr, err := Run(t.Context(), newLogin("reader", "p"), options(t, s, scratchNames...))
	if tr == nil || report.Classify(err) != report.ClassRefused {
		t.Fatalf("got %v, %v", tr, err)
	}
	for _, n := range []int{2, 3, 4, 5, 6, 7, 8, 9, 10, 14} {
		if f := finding(t, tr, n, "403"); f.State != Open {
			t.Errorf("question %d: %+v", n, f)
		}
	}
}

// TestProxyHidesServer: the version comes from the API then.
func TestProxyHidesServer(t *testing.T) {
	for _, profile := range allProfiles {
		s := server(t, nexustest.Options{Profile: profile, Faults: []nexustest.Fault{{Do: nexustest.EditHeader(func(h http.Header) { h.Set("Server", "nginx") })}}})
		tr := mustRun(t, options(t, s, "probe-raw"))
		if tr.Server.Version != s.Version() || tr.Server.Header != "nginx" || tr.Server.Edition != "" {
			t.Errorf("got %+v", tr.Server)
		}
	}
}

// TestNoNexus: something else under the URL is said to be that.
func TestNoNexus(t *testing.T) {
	s := server(t, nexustest.Options{})
	o := options(t, s, "probe-raw")
	o.URL.Path = "/nexus/"
	if _, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), o); report.Classify(err) != report.ClassRefused || !strings.Contains(err.Error(), "is it a Nexus") {
		t.Errorf("got %v", err)
	}
	s = server(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "v1/repositories$"}, Do: nexustest.StatusBody(200, "", "text/html", "<html>")}}})
	if _, err := Run(t.Context(), newLogin(nexustest.Username, nexustest.Password), options(t, s, "probe-raw")); err == nil || !strings.Contains(err.Error(), "not the expected JSON") {
		t.Errorf("got %v", err)
	}
}

// TestOCIFormat asks a repository of the format oci for referrers; the double has none, so
// one of docker is called so.
func TestOCIFormat(t *testing.T) {
	for _, lists := range []bool{false, true} {
		s := server(t, nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{Referrers: lists}, Faults: []nexustest.Fault{
			{On: nexustest.Match{Path: "v1/repositories$"}, Do: nexustest.StatusBody(200, "", "application/json",
				`[{"name":"docker-hosted","format":"oci","type":"hosted"},{"name":"oss-proxy","format":"raw","type":"group"}]`)}}})
		tr := mustRun(t, options(t, s, "docker-hosted"))
		if f := finding(t, tr, 8, "artifact with a subject"); f.State != Answered || f.Repository != "docker-hosted" || (f.Switch == "Referrers=true") != lists {
			t.Errorf("lists %t: %+v", lists, f)
		}
		if f := finding(t, tr, 15, "it is a group repository of format raw"); f.State != Answered {
			t.Errorf("%+v", f)
		}
	}
}

// TestLooksAgain: lists that change under the reader are no error of the question.
func TestLooksAgain(t *testing.T) {
	s := server(t, nexustest.Options{RebuildDelay: 30 * time.Millisecond, Faults: []nexustest.Fault{
		{Name: "gone", On: nexustest.Match{Route: nexustest.RouteYum, Path: "primary", Times: 3}, Do: nexustest.Status(http.StatusNotFound, "")}}})
	tr := mustRun(t, options(t, s, "probe-yum0"))
	if f := finding(t, tr, 1, "lists the RPM"); f.State != Answered || s.FaultHits("gone") < 2 {
		t.Errorf("%+v after %d faults", f, s.FaultHits("gone"))
	}
}

// TestCleanupAfterTheEnd: a context that has ended keeps nobody from deleting.
func TestCleanupAfterTheEnd(t *testing.T) {
	s := server(t, nexustest.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	o := options(t, s, "probe-docker")
	o.Talk = func(format string, args ...any) {
		if strings.HasPrefix(format, "question") && args[0] == 8 {
			cancel()
		}
	}
	tr, err := Run(ctx, newLogin(nexustest.Username, nexustest.Password), o)
	if tr == nil || err == nil {
		t.Fatalf("got %v, %v", tr, err)
	}
	for _, p := range s.Paths("probe-docker") {
		if !strings.HasPrefix(p, "v2/-/blobs/") {
			t.Errorf("left behind: %s", p)
		}
	}
}
