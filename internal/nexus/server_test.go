package nexus_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// Contract 0.1/1 and 4, 1.1, 1.2, 12.
func TestCheck(t *testing.T) {
	for profile, want := range map[nexustest.Profile][2]string{
		nexustest.Orient340: {"3.40.1-01", "OSS"}, nexustest.H2371: {"3.71.0-06", "OSS"}, nexustest.CE396: {"3.96.3-01", "COMMUNITY"},
	} {
		s, n := start(t, nexustest.Options{Profile: profile, ContextPath: "/nexus"})
		info, err := n.Check(t.Context())
		if err != nil || info.Version != want[0] || info.Edition != want[1] || info.ReadOnly || len(info.Repositories) != 5 {
			t.Errorf("%s: %+v, %v", profile, info, err)
		}
		for _, r := range info.Repositories {
			if r.Name == "raw" {
				if diff := cmp.Diff(nexus.Repository{Name: "raw", Format: "raw", Type: "hosted", URL: s.URL + "/repository/raw"}, r); diff != "" {
					t.Error(diff)
				}
			}
		}
		for _, e := range s.Log() {
			if asked := strings.Contains(e.Path, "/v1/status"); asked == (e.Header.Get("Authorization") != "") || e.Header.Get("Cookie") != "" {
				t.Errorf("%s: %s with %v", profile, e.Path, e.Header)
			}
		}
		s.Freeze(true)
		s.ClearLog()
		if info, err = n.Check(t.Context()); err != nil || !info.ReadOnly {
			t.Errorf("%s, frozen: %+v, %v", profile, info, err)
		}
		if n := s.Count("GET", "/status/writable"); n != 1 {
			t.Errorf("%s, frozen: asked %d times whether it is writable", profile, n)
		}
	}
}

// Contract 1.1.
// Whatever answers 200 with a page, for one a portal, is no Nexus: the server refused
// what it was asked for.
func TestNoNexus(t *testing.T) {
	for label, body := range map[string]string{
		"page":       "<html>portal</html>",
		"empty":      "",
		"other JSON": `{"error":"login"}`,
		"too long":   "[" + strings.Repeat(" ", 16<<20) + "]",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
		_, err := nexus.New(options(t, srv.URL)).Check(t.Context())
		srv.Close()
		if report.Classify(err) != report.ClassRefused {
			t.Errorf("%s: class %d of %v", label, report.Classify(err), err)
		}
		if label == "too long" {
			matches(t, err, "/v1/repositories: .* allowed here")
		} else {
			matches(t, err, "is it a Nexus, and is the context path complete")
		}
	}
	_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/v1/status$"}, Do: nexustest.Status(404, "Not Found")}}})
	if _, err := n.Check(t.Context()); report.Classify(err) != report.ClassRefused {
		t.Errorf("404: class %d of %v", report.Classify(err), err)
	}
}

// Contract 1.1.
// Only 503 says read-only: another broken answer is asked for again.
func TestWritableIsAskedAgain(t *testing.T) {
	s, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{
		On: nexustest.Match{Path: "/status/writable", Times: 2}, Do: nexustest.BadGateway()}}})
	info, err := n.Check(t.Context())
	if asked := s.Count("GET", "/status/writable"); err != nil || info.ReadOnly || asked != 3 {
		t.Errorf("%+v, %v, asked %d times", info, err, asked)
	}
}

// Contract 1.1, 2.1, 8.
func TestCheckFails(t *testing.T) {
	for _, tt := range []struct {
		label string
		fault nexustest.Fault
		want  string
	}{
		{"no Nexus", nexustest.Fault{On: nexustest.Match{Path: "/v1/status$"}, Do: nexustest.Status(404, "Not Found")}, "404 Not Found.*context path"},
		{"starting", nexustest.Fault{On: nexustest.Match{Path: "/v1/status$"}, Do: nexustest.Status(503, "")}, "for its status: .*503"},
		{"login", nexustest.Fault{On: nexustest.Match{Path: "/v1/repositories"}, Do: nexustest.Unauthorized()}, "list the repositories .*401"},
		{"blocked", nexustest.Fault{On: nexustest.Match{Path: "/v1/repositories"}, Do: nexustest.TooManyLogins()}, "429"},
		{"no JSON", nexustest.Fault{On: nexustest.Match{Path: "/v1/repositories"}, Do: nexustest.StatusBody(200, "OK", "text/html", "<html>portal</html>")}, "read http.*/v1/repositories: .*is it a Nexus, and is the context path complete"},
		{"writable unknown", nexustest.Fault{On: nexustest.Match{Path: "/writable"}, Do: nexustest.Status(403, "Forbidden")}, "whether it is writable: .*403"},
	} {
		_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{tt.fault}})
		_, err := n.Check(t.Context())
		matches(t, err, tt.want)
		if tt.label == "blocked" {
			_, _, err = n.Open(t.Context(), "raw", "a")
			matches(t, err, "429")
		}
	}
}

// Contract 1.2.
// A proxy hides the Server header: the API description has the version.
func TestVersionBehindProxy(t *testing.T) {
	hide := func(next http.Handler) http.Handler {
		return nexustest.EditHeader(func(h http.Header) { h.Set("Server", "nginx") })(next)
	}
	_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{Do: hide}}})
	if info, err := n.Check(t.Context()); err != nil || info.Version != "3.40.1-01" || info.Edition != "" {
		t.Errorf("%+v, %v", info, err)
	}
	_, n = start(t, nexustest.Options{Faults: []nexustest.Fault{
		{On: nexustest.Match{Path: "swagger"}, Do: nexustest.Status(500, "")}, {Do: hide}}})
	if info, err := n.Check(t.Context()); err != nil || info.Version != "" {
		t.Errorf("%+v, %v", info, err)
	}
}

// Contract 0.1/2 and 8, 3.8, 5.4.
// What a PUT looks like on the wire, on a server that shows nothing but that.
func TestPutOnTheWire(t *testing.T) {
	const hello = "hello, world"
	big := content(200_000)
	var got []string
	stored := map[string][]byte{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		if password != nexustest.Password || r.Header.Get("Cookie") != "" {
			t.Errorf("%s %s with %v", r.Method, r.URL, r.Header)
		}
		w.Header().Set("Set-Cookie", "NXSESSIONID=1; Path=/")
		switch b, ok := stored[r.RequestURI]; {
		case r.Method == http.MethodPut:
			body, _ := io.ReadAll(r.Body)
			stored[r.RequestURI] = body
			got = append(got, r.Method, r.RequestURI, r.Header.Get("Content-Type"), r.Header.Get("Content-Length"),
				strings.Join(r.TransferEncoding, ","), r.Header.Get("Expect"))
			w.WriteHeader(201)
		case !ok:
			w.WriteHeader(404)
		default:
			_, _ = w.Write(b)
		}
	}))
	defer srv.Close()
	n := nexus.New(options(t, srv.URL+"/ctx/"))
	for _, data := range [][]byte{[]byte(hello), nil, big} {
		src := &source{data: data}
		if _, _, err := n.Put(t.Context(), "raw", "a b/c+d;e", describe(data), true, src.open); err != nil {
			t.Fatal(err)
		}
	}
	const uri = "/ctx/repository/raw/a%20b/c%2Bd%3Be"
	want := []string{
		"PUT", uri, "application/octet-stream", "12", "", "",
		"PUT", uri, "application/octet-stream", "0", "", "",
		"PUT", uri, "application/octet-stream", "200000", "", "100-continue",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !bytes.Equal(stored[uri], big) {
		t.Errorf("%d bytes are stored", len(stored[uri]))
	}
}

// Contract 5.1.
// Only 404 is absence: everything else must not lead to a PUT.
func TestOnly404IsAbsence(t *testing.T) {
	for _, code := range []int{401, 403, 405, 429, 500, 503} {
		s, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "HEAD"}, Do: nexustest.Status(code, "")}}})
		src := &source{data: content(100)}
		_, _, err := n.Put(t.Context(), "raw", "f", describe(src.data), true, src.open)
		se, ok := errors.AsType[*httpx.StatusError](err)
		if !ok || se.Code != code || s.Count("PUT", "") != 0 {
			t.Errorf("%d: %v, %d PUTs", code, err, s.Count("PUT", ""))
		}
	}
}

const ociManifest = "application/vnd.oci.image.manifest.v1+json"

// Contract 0.1/5 to 7, 3.3.
// The docker side on the main port: one POST a blob, and no way through Location.
func TestDocker(t *testing.T) {
	for _, profile := range generations {
		for label, quirks := range map[string]nexustest.Quirks{"single": {}, "session": {NoSinglePost: true}, "bare": {NoSinglePost: true, BareUploads: true}, "mounts": {Mount: true}} {
			t.Run(string(profile)+"/"+label, func(t *testing.T) {
				s, n := start(t, nexustest.Options{Profile: profile, ContextPath: map[string]string{"bare": "/nexus"}[label], Quirks: quirks})
				pushImage(t, n.Docker("docker"), "team/app", "sha256", "v1", "v1", "sha256")
				refs := []string{"sha256", "v1", "v1", "sha256"}
				if profile == nexustest.Orient340 {
					refs = []string{"v1", "v1"} // it takes a manifest once, whatever its names
				}
				pushImage(t, n.Docker("docker-once"), "team/app", refs...)
				sessions := len(s.Requests(nexustest.Match{Route: nexustest.RouteUpload, Method: "PUT"}))
				if single := !quirks.NoSinglePost; single != (sessions == 0) {
					t.Errorf("%d uploads went through sessions", sessions)
				}
			})
		}
	}
}

// pushImage pushes an image under each of refs, where "sha256" is its digest, and
// returns its manifest.
func pushImage(t *testing.T, r *registry.Registry, repo string, refs ...string) []byte {
	t.Helper()
	if err := r.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	config, layer := []byte(`{"architecture":"amd64","os":"linux"}`), content(150_000)
	m := ocispec.Manifest{MediaType: ociManifest, Config: describe(config), Layers: []ocispec.Descriptor{describe(layer)}}
	m.SchemaVersion = 2
	m.Config.MediaType, m.Layers[0].MediaType = ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	d := digest.FromBytes(raw)
	err = r.PushManifest(t.Context(), repo, "v1", ociManifest, raw)
	ub, ok := errors.AsType[*registry.UnknownBlobError](err)
	if !ok || len(ub.UnknownBlobs()) != 2 {
		t.Errorf("without its blobs: %v", err)
	}
	for _, b := range [][]byte{config, layer} {
		src := &source{data: b}
		if _, how, err := r.PushBlob(t.Context(), repo, describe(b), []string{"team/other"}, src.open); err != nil || how == registry.Present {
			t.Fatalf("%q, %v", how, err)
		}
		if _, how, err := r.PushBlob(t.Context(), repo, describe(b), nil, src.open); err != nil || how != registry.Present {
			t.Fatalf("again: %q, %v", how, err)
		}
		// What a repair does: a server that writes once refuses, and has it.
		if _, err := r.UploadBlob(t.Context(), repo, describe(b), src.open); err != nil {
			t.Errorf("by force: %v", err)
		}
	}
	for _, ref := range refs {
		if ref == "sha256" {
			ref = d.String()
		}
		if err := r.PushManifest(t.Context(), repo, ref, ociManifest, raw); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
		if got, err := r.Resolve(t.Context(), repo, ref); err != nil || got.Digest != d || got.Size != int64(len(raw)) {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	rc, err := r.OpenBlob(t.Context(), repo, describe(layer))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(rc)
	if err := errors.Join(err, rc.Close()); err != nil || !bytes.Equal(got, layer) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	return raw
}

// Contract 3.3, 3.4, 3.5, 8.
func TestDockerFaults(t *testing.T) {
	upload := nexustest.Match{Route: nexustest.RouteUpload, Method: "POST", Times: 2}
	for label, f := range map[string]nexustest.Fault{
		"reset":             {On: upload, Do: nexustest.Reset(50_000)},
		"answer lost":       {On: upload, Do: nexustest.LoseAnswer()},
		"byte changed":      {On: upload, Do: nexustest.FlipRequest(70_000)},
		"server error":      {On: upload, Do: nexustest.DuplicateKey()},
		"proxy":             {On: upload, Do: nexustest.BadGateway()},
		"manifest HEAD 500": {On: nexustest.Match{Route: nexustest.RouteManifest, Method: "HEAD"}, Do: nexustest.Status(500, "")},
		"blob HEAD 500":     {On: nexustest.Match{Route: nexustest.RouteBlob, Method: "HEAD"}, Do: nexustest.Status(500, "")},
		"manifest changed":  {On: nexustest.Match{Route: nexustest.RouteManifest, Method: "PUT", Path: "/v1$", After: 1, Times: 1}, Do: nexustest.FlipRequest(60)},
	} {
		t.Run(label, func(t *testing.T) {
			_, n := start(t, nexustest.Options{Profile: nexustest.H2371, Faults: []nexustest.Fault{f}})
			pushImage(t, n.Docker("docker"), "team/app", "sha256", "v1")
		})
	}
}

// Contract 3.4, 3.5.
func TestDockerConflict(t *testing.T) {
	for _, profile := range generations {
		_, n := start(t, nexustest.Options{Profile: profile})
		r := n.Docker("docker-once")
		pushImage(t, r, "team/app", "v1")
		raw := []byte(`{"schemaVersion":2,"mediaType":"` + ociManifest + `","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` +
			digest.FromString(`{"architecture":"amd64","os":"linux"}`).String() + `","size":37},"layers":[]}`)
		err := r.PushManifest(t.Context(), "team/app", "v1", ociManifest, raw)
		ce, ok := errors.AsType[*registry.ConflictError](err)
		if !ok || ce.Want != digest.FromBytes(raw) {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// Contract 3.4.
// The generation on OrientDB takes a tag for a second write of the manifest: the error
// says what to do.
func TestDockerTagAfterDigest(t *testing.T) {
	_, n := start(t, nexustest.Options{Profile: nexustest.Orient340})
	r := n.Docker("docker-once")
	raw := pushImage(t, r, "team/app", "sha256")
	err := r.PushManifest(t.Context(), "team/app", "v1", ociManifest, raw)
	matches(t, err, "nothing has the name v1.*set the repository's deployment policy to allow redeploy")
	if report.Classify(err) != report.ClassRefused {
		t.Errorf("class %d", report.Classify(err))
	}
}
