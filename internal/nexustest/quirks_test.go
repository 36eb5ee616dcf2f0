package nexustest_test

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

// quirk is what a field of Quirks changes: see looks at a server, once without
// and once with it.
type quirk struct {
	field   string
	opts    nexustest.Options // beside the repositories of quirkServer
	set     func(*nexustest.Quirks)
	see     func(t *testing.T, s *nexustest.Server) string
	off, on string
}

// TestQuirks checks every field of Quirks in both positions. A field without a
// row fails.
func TestQuirks(t *testing.T) {
	var tested, fields []string
	for _, q := range slices.Concat(dockerQuirks, manifestQuirks, yumQuirks, restQuirks, serverQuirks) {
		tested = append(tested, q.field)
		t.Run(q.field, func(t *testing.T) {
			t.Parallel()
			changed := nexustest.Quirks{}
			q.set(&changed)
			if reflect.ValueOf(changed).FieldByName(q.field).IsZero() {
				t.Fatal("the row sets another field")
			}
			if got := q.see(t, quirkServer(t, q.opts)); got != q.off {
				t.Errorf("without: %q, want %q", got, q.off)
			}
			opts := q.opts
			q.set(&opts.Quirks)
			if got := q.see(t, quirkServer(t, opts)); got != q.on {
				t.Errorf("with: %q, want %q", got, q.on)
			}
		})
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[nexustest.Quirks]()) {
		fields = append(fields, f.Name)
	}
	slices.Sort(fields)
	slices.Sort(tested)
	if diff := cmp.Diff(fields, tested); diff != "" {
		t.Errorf("fields with a row (-want +got):\n%s", diff)
	}
}

// quirkServer has a repository for each case, named after its format, policy or
// type.
func quirkServer(t *testing.T, opts nexustest.Options) *nexustest.Server {
	t.Helper()
	opts.Repositories = []nexustest.Repository{
		{Name: "raw", Format: "raw"},
		{Name: "yum", Format: "yum"},
		{Name: "yum-deep", Format: "yum", Depth: 1},
		{Name: "yum-once", Format: "yum", WritePolicy: "ALLOW_ONCE"},
		{Name: "helm", Format: "helm"},
		{Name: "docker", Format: "docker", Port: nexustest.AnyPort},
		{Name: "docker-once", Format: "docker", WritePolicy: "ALLOW_ONCE"},
		{Name: "docker-deny", Format: "docker", WritePolicy: "DENY"},
		{Name: "docker-group", Format: "docker", Type: "group", Members: []string{"docker"}},
		{Name: "docker-path", Format: "docker", PathEnabled: true},
	}
	return nexustest.Start(t, opts)
}

// code is the status of a request, as text.
func code(t *testing.T, method, url, body string, header ...string) string {
	t.Helper()
	return fmt.Sprint(do(t, method, url, body, header...).code)
}

var (
	community = nexustest.Options{Profile: nexustest.CE396}
	anRPM     = rpmSpec{name: "a", version: "1", arch: "noarch"}
	asJSON    = []string{"Content-Type", "application/json"}
)

var yumQuirks = []quirk{
	{"NoRebuild", nexustest.Options{}, func(q *nexustest.Quirks) { q.NoRebuild = true }, func(t *testing.T, s *nexustest.Server) string {
		got := ""
		for deadline := time.Now().Add(time.Second); time.Now().Before(deadline) && got != "200"; time.Sleep(5 * time.Millisecond) {
			got = code(t, "HEAD", s.RepositoryURL("yum")+"/repodata/repomd.xml", "")
		}
		return got
	}, "200", "404"},
	{"YumPutStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.YumPutStatus = 201 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", "x")
	}, "200", "201"},
	{"StrictStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.StrictStatus = 404 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("yum")+"/a.txt", "x")
	}, "400", "404"},
	{"ShallowStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.ShallowStatus = 404 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("yum-deep")+"/a.rpm", "x")
	}, "400", "404"},
	{"CheckRPM", nexustest.Options{}, func(q *nexustest.Quirks) { q.CheckRPM = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", "x")
	}, "200", "400"},
	{"RefuseZstd", nexustest.Options{}, func(q *nexustest.Quirks) { q.RefuseZstd = true }, func(t *testing.T, s *nexustest.Server) string {
		zstd := anRPM
		zstd.compressor = "zstd"
		do(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", string(makeRPM(t, zstd))).want(t, 200)
		return fmt.Sprint(s.Rebuild("yum") == nil)
	}, "true", "false"},
	{"PrimaryChecksum", nexustest.Options{}, func(q *nexustest.Quirks) { q.PrimaryChecksum = "sha1" }, func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", string(makeRPM(t, anRPM))).want(t, 200)
		return awaitPackages(t, s.RepositoryURL("yum"), "a.rpm")[0].Checksum.Type
	}, "sha256", "sha"},
	{"EarlyUploadFails", nexustest.Options{RebuildDelay: time.Hour}, func(q *nexustest.Quirks) { q.EarlyUploadFails = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", "x")
	}, "200", "500"},
	{"NegativeCache", nexustest.Options{}, func(q *nexustest.Quirks) { q.NegativeCache = time.Minute }, func(t *testing.T, s *nexustest.Server) string {
		url := s.RepositoryURL("yum") + "/a.rpm"
		do(t, "HEAD", url, "").want(t, 404)
		do(t, "PUT", url, "x").want(t, 200)
		return code(t, "HEAD", url, "")
	}, "200", "404"},
}

var restQuirks = []quirk{
	{"PutIfNoneMatch", nexustest.Options{}, func(q *nexustest.Quirks) { q.PutIfNoneMatch = true }, func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("raw")+"/f", "x").want(t, 201)
		return code(t, "PUT", s.RepositoryURL("raw")+"/f", "x", "If-None-Match", "*")
	}, "201", "412"},
	{"RedeployStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.RedeployStatus = 403 }, func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("yum-once")+"/a.rpm", "x").want(t, 200)
		putBlob(t, s.RepositoryURL("docker-once")+"/v2/", "a", "blob")
		return code(t, "PUT", s.RepositoryURL("yum-once")+"/a.rpm", "x") +
			code(t, "POST", s.RepositoryURL("docker-once")+"/v2/a/blobs/uploads/?digest="+digestOf([]byte("blob")), "blob")
	}, "400400", "403403"},
	{"HelmPutStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.HelmPutStatus = 201 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("helm")+"/web-1.tgz", makeChart(t, "web", "1"))
	}, "200", "201"},
	{"PlainFormSums", nexustest.Options{}, func(q *nexustest.Quirks) { q.PlainFormSums = true }, func(t *testing.T, s *nexustest.Server) string {
		postForm(t, s, "raw", "raw.directory=/d", "raw.asset1.filename=f", "raw.asset1@x").want(t, 204)
		return fmt.Sprint(len(s.Assets("raw")[0].Checksums))
	}, "4", "2"},
	{"FormDenied", nexustest.Options{Users: []nexustest.User{{Name: "u", Password: "p", Actions: []string{"browse", "add", "edit"}}}},
		func(q *nexustest.Quirks) { q.FormDenied = true }, func(t *testing.T, s *nexustest.Server) string {
			got := postFormAs(t, "u", "p", s, "raw", "raw.directory=/d", "raw.asset1.filename=f", "raw.asset1@x")
			return fmt.Sprint(got.code, strings.Contains(got.body, "Not authorized for requested path"))
		}, "403 false", "400 true"},
	{"PortClashStatus", nexustest.Options{}, func(q *nexustest.Quirks) { q.PortClashStatus = 500 }, func(t *testing.T, s *nexustest.Server) string {
		port := s.DockerURL("docker")[strings.LastIndex(s.DockerURL("docker"), ":")+1:]
		return code(t, "POST", s.URL+"/service/rest/v1/repositories/docker/hosted",
			`{"name":"e",`+storage+`,"docker":{"v1Enabled":false,"forceBasicAuth":true,"httpPort":`+port+`}}`, asJSON...)
	}, "400", "500"},
	{"DeployPolicyRequired", nexustest.Options{}, func(q *nexustest.Quirks) { q.DeployPolicyRequired = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", s.URL+"/service/rest/v1/repositories/yum/hosted", `{"name":"y",`+storage+`,"yum":{"repodataDepth":2}}`, asJSON...)
	}, "201", "400"},
	{"OldTimestamps", nexustest.Options{}, func(q *nexustest.Quirks) { q.OldTimestamps = true }, func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("raw")+"/f", "x").want(t, 201)
		page := decode[struct {
			Items []struct{ LastModified string }
		}](t, do(t, "GET", s.URL+"/service/rest/v1/assets?repository=raw", "").body)
		return page.Items[0].LastModified[len("2006-01-02T15:04:05.000"):]
	}, "+00:00", "+0000"},
	{"SwaggerFails", nexustest.Options{}, func(q *nexustest.Quirks) { q.SwaggerFails = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "GET", s.URL+"/service/rest/swagger.json", "") + code(t, "GET", s.URL+"/service/rest/swagger.json", "")
	}, "200200", "500200"},
}

var serverQuirks = []quirk{
	{"KeepShortUploads", nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Method: "PUT"}, Do: nexustest.Break(3)}}},
		func(q *nexustest.Quirks) { q.KeepShortUploads = true }, func(t *testing.T, s *nexustest.Server) string {
			if _, _, err := send(t, "PUT", s.RepositoryURL("raw")+"/f", strings.NewReader("12345")); err == nil {
				t.Error("the upload did not break")
			}
			data, _ := s.Read("raw", "f")
			return string(data)
		}, "", "123"},
	{"SessionCookie", nexustest.Options{}, func(q *nexustest.Quirks) { q.SessionCookie = true }, func(t *testing.T, s *nexustest.Server) string {
		name, _, _ := strings.Cut(do(t, "GET", s.URL+"/service/rest/v1/repositories", "").header.Get("Set-Cookie"), "=")
		return name
	}, "", "NXSESSIONID"},
	{"LengthRequired", nexustest.Options{}, func(q *nexustest.Quirks) { q.LengthRequired = true }, func(t *testing.T, s *nexustest.Server) string {
		got, _, err := send(t, "PUT", s.RepositoryURL("raw")+"/f", io.MultiReader(strings.NewReader("x")))
		if err != nil {
			t.Error(err)
		}
		return fmt.Sprint(got) + code(t, "PUT", s.RepositoryURL("raw")+"/g", "x")
	}, "201201", "411201"},
	{"PlainReasons", nexustest.Options{}, func(q *nexustest.Quirks) { q.PlainReasons = true }, func(t *testing.T, s *nexustest.Server) string {
		got := do(t, "GET", s.RepositoryURL("raw")+"/f", "").want(t, 404)
		return fmt.Sprint(got.reason, strings.Contains(got.body, "<p>f</p>"))
	}, "ftrue", "Not Foundtrue"},
	{"NoContinue", nexustest.Options{}, func(q *nexustest.Quirks) { q.NoContinue = true }, func(t *testing.T, s *nexustest.Server) string {
		head, _ := wire(t, s.URL, "PUT /repository/raw/x HTTP/1.1\nHost: h\nExpect: 100-continue\n"+basic+"Content-Length: 2\n\nab")
		return head[0]
	}, "HTTP/1.1 100 Continue", "HTTP/1.1 201 Created"},
	{"UnacceptedEULA", community, func(q *nexustest.Quirks) { q.UnacceptedEULA = true }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("raw")+"/f", "x")
	}, "201", "403"},
	{"EULAIgnored", nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{UnacceptedEULA: true}},
		func(q *nexustest.Quirks) { q.EULAIgnored = true }, func(t *testing.T, s *nexustest.Server) string {
			state := decode[struct{ Accepted bool }](t, do(t, "GET", s.URL+"/service/rest/v1/system/eula", "").body)
			return fmt.Sprint(state.Accepted, " ", code(t, "PUT", s.RepositoryURL("raw")+"/f", "x"))
		}, "false 403", "false 201"},
	{"ComponentCap", community, func(q *nexustest.Quirks) { q.ComponentCap = 1 }, func(t *testing.T, s *nexustest.Server) string {
		return code(t, "PUT", s.RepositoryURL("raw")+"/f", "x") + code(t, "PUT", s.RepositoryURL("raw")+"/g", "x")
	}, "201201", "201403"},
	{"RequestCap", community, func(q *nexustest.Quirks) { q.RequestCap = 2 }, func(t *testing.T, s *nexustest.Server) string {
		first := code(t, "PUT", s.RepositoryURL("raw")+"/f", "x")
		doAs(t, "", "", "GET", s.RepositoryURL("raw")+"/f", "").want(t, 401) // counts as well
		return first + code(t, "PUT", s.RepositoryURL("raw")+"/g", "x") + code(t, "GET", s.RepositoryURL("raw")+"/f", "")
	}, "201201200", "201403200"},
	{"CapStatus", nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{ComponentCap: 1}},
		func(q *nexustest.Quirks) { q.CapStatus = 402 }, func(t *testing.T, s *nexustest.Server) string {
			do(t, "PUT", s.RepositoryURL("raw")+"/f", "x").want(t, 201)
			return code(t, "PUT", s.RepositoryURL("raw")+"/g", "x")
		}, "403", "402"},
}
