package nexustest_test

import (
	"fmt"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

func TestStatus(t *testing.T) {
	tests := []struct {
		profile    nexustest.Profile
		path, user string
		frozen     bool
		password   string
		want       int
	}{
		{nexustest.Orient340, "status", "", false, "", 200},
		{nexustest.Orient340, "status", "", true, "", 200},
		{nexustest.Orient340, "status/writable", "", false, "", 200},
		{nexustest.Orient340, "status/writable", "", true, "", 503},
		{nexustest.Orient340, "status", "admin", false, "wrong", 401},
		{nexustest.Orient340, "status/writable", "admin", false, "wrong", 401},
		{nexustest.CE396, "status/writable", "admin", false, "wrong", 200},
		{nexustest.Orient340, "status/check", "", false, "", 403},
		{nexustest.CE396, "status/check", "", false, "", 401},
		{nexustest.Orient340, "status/check", "admin", false, "admin123", 200},
	}
	for _, tt := range tests {
		s := nexustest.Start(t, nexustest.Options{Profile: tt.profile})
		s.Freeze(tt.frozen)
		got := doAs(t, tt.user, tt.password, "GET", s.URL+"/service/rest/v1/"+tt.path, "")
		if got.code != tt.want {
			t.Errorf("%+v: got %d", tt, got.code)
		}
	}
}

func TestSwaggerVersion(t *testing.T) {
	for profile, want := range map[nexustest.Profile]string{
		nexustest.Orient340: "3.40.1-01", nexustest.H2371: "3.71.0-06", nexustest.CE396: "3.96.3-01"} {
		s := nexustest.Start(t, nexustest.Options{Profile: profile, ContextPath: "/nexus"})
		got := doAs(t, "", "", "GET", s.URL+"/service/rest/swagger.json", "").want(t, 200)
		doc := decode[struct{ Info struct{ Version string } }](t, got.body)
		if doc.Info.Version != want || s.Version() != want {
			t.Errorf("%s: version %q, %q", profile, doc.Info.Version, s.Version())
		}
	}
}

// TestNoCredentials checks what the generations say to strangers.
func TestNoCredentials(t *testing.T) {
	tests := []struct {
		profile   nexustest.Profile
		anonymous bool
		path      string
		code      int
		body      string
	}{
		{nexustest.Orient340, false, "repositories", 200, "[ ]"},
		{nexustest.H2371, false, "repositorySettings", 200, "[ ]"},
		{nexustest.Orient340, false, "assets?repository=raw", 403, ""},
		{nexustest.H2371, false, "blobstores", 403, ""},
		{nexustest.CE396, false, "repositories", 401, ""},
		{nexustest.CE396, false, "assets?repository=raw", 401, ""},
		{nexustest.Orient340, true, "assets?repository=raw", 200, "*"},
		{nexustest.Orient340, true, "blobstores", 403, ""},
	}
	for _, tt := range tests {
		s, _ := startRaw(t, nexustest.Options{Profile: tt.profile, Anonymous: tt.anonymous})
		got := doAs(t, "", "", "GET", s.URL+"/service/rest/v1/"+tt.path, "")
		if got.code != tt.code || tt.body != "*" && got.body != tt.body {
			t.Errorf("%+v: got %d %q", tt, got.code, got.body)
		}
	}
}

func TestJacksonLayout(t *testing.T) {
	s, _ := startRaw(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "a", Format: "yum"}}})
	got := do(t, "GET", s.URL+"/service/rest/v1/repositories", "").want(t, 200)
	want := strings.ReplaceAll(`[ {
  "name" : "a",
  "format" : "yum",
  "type" : "hosted",
  "url" : "URL/repository/a",
  "attributes" : { }
}, {
  "name" : "raw",
  "format" : "raw",
  "type" : "hosted",
  "url" : "URL/repository/raw",
  "attributes" : { }
} ]`, "URL", s.URL)
	if diff := cmp.Diff(want, got.body); diff != "" {
		t.Errorf("body (-want +got):\n%s", diff)
	}
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().(*net.TCPAddr).Port
}

const storage = `"online":true,"storage":{"blobStoreName":"default","strictContentTypeValidation":false,"writePolicy":"allow_once"}`

func TestCreateRepository(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{})
	api := s.URL + "/service/rest/v1/repositories/"
	json := []string{"Content-Type", "application/json"}
	port := freePort(t)
	steps := []struct {
		name, path, body string
		code             int
		text             string
	}{
		{"docker", "docker/hosted", fmt.Sprintf(`{"name":"d",%s,"docker":{"v1Enabled":false,"forceBasicAuth":true,"httpPort":%d}}`, storage, port), 201, ""},
		{"port clash", "docker/hosted", fmt.Sprintf(`{"name":"e",%s,"docker":{"v1Enabled":false,"forceBasicAuth":true,"httpPort":%d}}`, storage, port), 400, "Port"},
		{"docker members missing", "docker/hosted", `{"name":"e",` + storage + `}`, 400, "must not be null"},
		{"yum", "yum/hosted", `{"name":"y",` + storage + `,"yum":{"repodataDepth":2,"deployPolicy":"STRICT"}}`, 201, ""},
		{"yum without depth", "yum/hosted", `{"name":"z",` + storage + `,"yum":{}}`, 400, "repodataDepth"},
		{"yum too deep", "yum/hosted", `{"name":"z",` + storage + `,"yum":{"repodataDepth":6}}`, 400, "depth"},
		{"raw", "raw/hosted", `{"name":"r",` + storage + `,"raw":{"contentDisposition":"INLINE"},"unknown":1}`, 201, ""},
		{"raw without raw", "raw/hosted", `{"name":"r2",` + storage + `}`, 201, ""},
		{"raw with empty raw", "raw/hosted", `{"name":"r3",` + storage + `,"raw":{}}`, 500, "NullPointer"},
		{"name taken", "raw/hosted", `{"name":"R",` + storage + `}`, 400, "Name is already used, must be unique (ignoring case)"},
		{"bad name", "raw/hosted", `{"name":"a/b",` + storage + `}`, 400, "PARAMETER name"},
		{"bad policy", "raw/hosted", `{"name":"p","online":true,"storage":{"blobStoreName":"default","writePolicy":"SOMETIMES"}}`, 400, "write policy"},
		{"bad blob store", "raw/hosted", `{"name":"p","online":true,"storage":{"blobStoreName":"x","writePolicy":"ALLOW"}}`, 400, "Blob store"},
		{"helm", "helm/hosted", `{"name":"h",` + storage + `}`, 201, ""},
		{"group", "raw/group", `{"name":"g",` + storage + `,"group":{"memberNames":["r"]}}`, 201, ""},
		{"group of strangers", "raw/group", `{"name":"g2",` + storage + `,"group":{"memberNames":["nobody"]}}`, 400, "nobody"},
		{"broken", "raw/hosted", `{"name":`, 400, ""},
	}
	for _, step := range steps {
		got := do(t, "POST", api+step.path, step.body, json...)
		if got.code != step.code || !strings.Contains(got.body, step.text) {
			t.Errorf("%s: got %d %s, want %d with %q", step.name, got.code, got.body, step.code, step.text)
		}
	}
	do(t, "POST", api+"raw/hosted", `{}`, "Content-Type", "text/plain").want(t, 415)
	do(t, "POST", api+"npm/hosted", `{}`, json...).want(t, 405)
	do(t, "GET", api+"docker/hosted/y", "").want(t, 404)
	do(t, "GET", fmt.Sprintf("http://127.0.0.1:%d/v2/", port), "").want(t, 200)
	do(t, "DELETE", api+"d", "").want(t, 204)
	do(t, "DELETE", api+"d", "").want(t, 404)
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the connector of a deleted repository still listens")
	}
}

func TestSettingsRoundTrip(t *testing.T) {
	for _, profile := range []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396} {
		s := nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
			{Name: "d", Format: "docker", Port: nexustest.AnyPort}, {Name: "y", Format: "yum", Depth: 3}, {Name: "r", Format: "raw"}}})
		api := s.URL + "/service/rest/v1/"
		settings := do(t, "GET", api+"repositories/docker/hosted/d", "").want(t, 200)
		docker := decode[struct {
			Storage map[string]any
			Docker  struct{ HTTPPort int }
		}](t, settings.body)
		if want := s.DockerURL("d"); fmt.Sprintf("http://127.0.0.1:%d", docker.Docker.HTTPPort) != want {
			t.Errorf("%s: port %d, want that of %s", profile, docker.Docker.HTTPPort, want)
		}
		if _, has := docker.Storage["latestPolicy"]; has != (profile != nexustest.Orient340) {
			t.Errorf("%s: latestPolicy in settings: %v", profile, has)
		}
		if has := strings.Contains(settings.body, "pathEnabled"); has != (profile == nexustest.CE396) {
			t.Errorf("%s: pathEnabled in settings: %v", profile, has)
		}
		for _, path := range []string{"docker/hosted/d", "yum/hosted/y", "raw/hosted/r"} {
			before := do(t, "GET", api+"repositories/"+path, "").want(t, 200)
			changed := strings.Replace(before.body, `"ALLOW"`, `"ALLOW_ONCE"`, 1)
			do(t, "PUT", api+"repositories/"+path, changed, "Content-Type", "application/json").want(t, 204)
			if after := do(t, "GET", api+"repositories/"+path, ""); after.body != changed {
				t.Errorf("%s: after PUT:\n%s", path, cmp.Diff(changed, after.body))
			}
		}
		if all := decode[[]map[string]any](t, do(t, "GET", api+"repositorySettings", "").want(t, 200).body); len(all) != 3 {
			t.Errorf("%s: %d settings", profile, len(all))
		}
	}
}

type assetPage struct {
	Items []struct {
		ID, Path, DownloadURL string
		FileSize              int64
	}
	ContinuationToken *string
}

func TestPaging(t *testing.T) {
	for profile, size := range map[nexustest.Profile]int{nexustest.Orient340: 10, nexustest.H2371: 10, nexustest.CE396: 100} {
		s, base := startRaw(t, nexustest.Options{Profile: profile})
		for i := range 25 {
			do(t, "PUT", fmt.Sprintf("%sf%02d", base, i), "x").want(t, 201)
		}
		for _, kind := range []string{"assets", "components"} {
			list := s.URL + "/service/rest/v1/" + kind + "?repository=raw"
			seen, pages := map[string]bool{}, 0
			for token := ""; ; pages++ {
				p := decode[assetPage](t, do(t, "GET", list+token, "").want(t, 200).body)
				if len(p.Items) > size {
					t.Fatalf("%s: page of %d", profile, len(p.Items))
				}
				for _, item := range p.Items {
					seen[item.ID] = true
				}
				if p.ContinuationToken == nil {
					break
				}
				token = "&continuationToken=" + *p.ContinuationToken
			}
			if want := (25+size-1)/size - 1; len(seen) != 25 || pages != want {
				t.Errorf("%s %s: %d items, %d continuations, want 25 and %d", profile, kind, len(seen), pages, want)
			}
			do(t, "GET", list+"&continuationToken=rubbish", "").want(t, 406)
		}
	}
}

func TestAssetErrors(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	do(t, "PUT", base+"dir/f", "abc").want(t, 201)
	api := s.URL + "/service/rest/v1/"
	do(t, "GET", api+"assets", "").want(t, 422)
	do(t, "GET", api+"assets?repository=none", "").want(t, 404)
	do(t, "GET", api+"assets/***", "").want(t, 422)
	p := decode[assetPage](t, do(t, "GET", api+"assets?repository=raw", "").body)
	one := p.Items[0]
	if one.FileSize != 3 || one.DownloadURL != base+"dir/f" {
		t.Errorf("asset %+v", one)
	}
	do(t, "GET", api+"assets/"+one.ID, "").want(t, 200)
	do(t, "DELETE", api+"assets/"+one.ID, "").want(t, 204)
	do(t, "GET", api+"assets/"+one.ID, "").want(t, 404)
	do(t, "GET", base+"dir/f", "").want(t, 404)
}

func TestSearch(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{SearchDelay: 500 * time.Millisecond})
	do(t, "PUT", base+"dir/file", "abc").want(t, 201)
	do(t, "PUT", base+"dir/other", "abc").want(t, 201)
	find := func(kind, query string) assetPage {
		return decode[assetPage](t, do(t, "GET", s.URL+"/service/rest/v1/search"+kind+"?"+query, "").want(t, 200).body)
	}
	if got := find("/assets", "repository=raw"); len(got.Items) != 0 {
		t.Errorf("found at once: %+v", got.Items)
	}
	eventually(t, "search catches up", func() bool { return len(find("", "repository=raw").Items) == 2 })
	for query, want := range map[string]int{
		"name=dir/file": 1, "name=dir/*": 2, "name=d": 0, "repository=none": 0, "format=docker": 0, "group=/dir": 2,
		"sha1=a9993e364706816aba3e25717850c26c9cd0d89d": 2, "sha1=00": 0,
	} {
		if got := find("/assets", query); len(got.Items) != want {
			t.Errorf("%s: %d hits, want %d", query, len(got.Items), want)
		}
	}
	if got := find("/assets", "name=dir/file"); got.Items[0].FileSize != 0 {
		t.Errorf("the Orient index knows a size: %+v", got.Items[0])
	}
	do(t, "GET", s.URL+"/service/rest/v1/search/assets/download?name=dir/file", "").want(t, 302)
	do(t, "GET", s.URL+"/service/rest/v1/search/assets/download?name=dir/*", "").want(t, 400)
	do(t, "GET", s.URL+"/service/rest/v1/search/assets/download?name=zz", "").want(t, 404)

	ce, _ := startRaw(t, nexustest.Options{Profile: nexustest.CE396})
	do(t, "GET", ce.URL+"/service/rest/v1/search?name=ab*", "").want(t, 400)
}

func TestBlobStores(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{FreeBytes: 12345})
	do(t, "PUT", base+"f", "abc").want(t, 201)
	stores := decode[[]struct {
		Name                                    string
		BlobCount                               int
		TotalSizeInBytes, AvailableSpaceInBytes int64
	}](t, do(t, "GET", s.URL+"/service/rest/v1/blobstores", "").want(t, 200).body)
	if len(stores) != 1 || stores[0].AvailableSpaceInBytes != 12345 || stores[0].TotalSizeInBytes != 3 || stores[0].BlobCount != 1 {
		t.Errorf("blob stores %+v", stores)
	}
	do(t, "GET", s.URL+"/service/rest/v1/blobstores/default/quota-status", "").want(t, 200)
	do(t, "GET", s.URL+"/service/rest/v1/blobstores/none/quota-status", "").want(t, 404)
}

func TestGenerationsOfResources(t *testing.T) {
	for profile, want := range map[nexustest.Profile][4]int{
		nexustest.Orient340: {404, 404, 405, 404}, nexustest.H2371: {404, 404, 405, 404}, nexustest.CE396: {200, 200, 201, 200}} {
		s, _ := startRaw(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
			{Name: "path", Format: "docker", PathEnabled: true}}})
		api := s.URL + "/service/rest/v1/"
		got := [4]int{
			do(t, "GET", api+"system/eula", "").code,
			do(t, "GET", api+"repositories/raw/browse", "").code,
			do(t, "POST", api+"tasks", `{"name":"x","type":"repository.yum.rebuild.metadata"}`).code,
			do(t, "GET", s.URL+"/v2/path/", "").code,
		}
		if got != want {
			t.Errorf("%s: eula, browse, POST tasks, path routing: %v, want %v", profile, got, want)
		}
	}
}

func TestBrowse(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{Profile: nexustest.CE396})
	for _, p := range []string{"a/b/c", "a/d", "e"} {
		do(t, "PUT", base+p, "x").want(t, 201)
	}
	type node struct {
		Path string
		Leaf bool
	}
	for path, want := range map[string][]node{"": {{"/a", false}, {"/e", true}}, "/a": {{"/a/b", false}, {"/a/d", true}}} {
		got := do(t, "GET", s.URL+"/service/rest/v1/repositories/raw/browse?path="+url.QueryEscape(path), "").want(t, 200)
		if diff := cmp.Diff(want, decode[[]node](t, got.body)); diff != "" {
			t.Errorf("browse %q (-want +got):\n%s", path, diff)
		}
	}
}

func TestEULA(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{Profile: nexustest.CE396, Quirks: nexustest.Quirks{UnacceptedEULA: true}})
	do(t, "PUT", base+"f", "x").want(t, 403)
	text := do(t, "GET", s.URL+"/service/rest/v1/system/eula", "").want(t, 200).body
	do(t, "POST", s.URL+"/service/rest/v1/system/eula", `{"accepted":true,"disclaimer":"other"}`).want(t, 400)
	do(t, "POST", s.URL+"/service/rest/v1/system/eula", strings.Replace(text, "false", "true", 1)).want(t, 204)
	do(t, "PUT", base+"f", "x").want(t, 201)
}

// TestContextPath checks that nothing answers beside the context path.
func TestContextPath(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{ContextPath: "/nexus/"})
	if !strings.HasSuffix(base, "/nexus/repository/raw/") {
		t.Errorf("base %s", base)
	}
	do(t, "PUT", base+"f", "x").want(t, 201)
	do(t, "GET", strings.Replace(base, "/nexus", "", 1)+"f", "").want(t, 404)
	got := do(t, "GET", s.URL+"/service/rest/v1/repositories/raw", "").want(t, 200)
	if entry := decode[struct{ URL string }](t, got.body); entry.URL+"/" != base {
		t.Errorf("url %s, want %s", entry.URL, base)
	}
}

func TestVersionOverride(t *testing.T) {
	s, base := startYum(t, nexustest.Options{Profile: nexustest.CE396, Version: "3.76.0-03", Quirks: nexustest.Quirks{NoRebuild: true}}, nexustest.Repository{})
	do(t, "PUT", base+"/a.rpm", string(makeRPM(t, rpmSpec{name: "a", version: "1", arch: "noarch"}))).want(t, 200)
	got := do(t, "GET", s.URL+"/service/rest/v1/repositories", "").want(t, 200)
	if server := got.header.Get("Server"); server != "Nexus/3.76.0-03 (COMMUNITY)" {
		t.Errorf("Server %q", server)
	}
	entry := decode[[]struct {
		Online *bool
		Size   *int64
	}](t, got.body)[0]
	if entry.Online == nil || !*entry.Online || entry.Size == nil || *entry.Size == 0 {
		t.Errorf("entry %+v", entry)
	}
	time.Sleep(20 * time.Millisecond)
	do(t, "GET", base+"/repodata/repomd.xml", "").want(t, 404)
	if !s.Delete("yum", "a.rpm") || s.Delete("yum", "a.rpm") || len(s.Paths("yum")) != 0 {
		t.Error("Delete did not remove the asset, once")
	}
}
