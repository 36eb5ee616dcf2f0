package nexustest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

// TestVersions checks which resources each version has.
func TestVersions(t *testing.T) {
	raw := `{"name":"new",` + storage + `}`
	rows := []struct {
		name, method, path, body string
		codes                    string // of the versions below, in their order
	}{
		{"status check", "GET", "v1/status/check", "", "404 200 200 200 200 200 200"},
		{"list", "GET", "v1/repositories", "", "200 200 200 200 200 200 200"},
		{"creation", "POST", "v1/repositories/raw/hosted", raw, "405 405 201 201 201 201 201"},
		{"creation in beta", "POST", "beta/repositories/raw/hosted", strings.Replace(raw, "new", "beta", 1), "405 201 201 201 201 405 405"},
		{"settings", "GET", "v1/repositories/raw/hosted/raw", "", "404 404 200 200 200 200 200"},
		{"all settings", "GET", "v1/repositorySettings", "", "404 404 200 200 200 200 200"},
		{"blob stores", "GET", "v1/blobstores", "", "404 200 200 200 200 200 200"},
		{"blob stores in beta", "GET", "beta/blobstores", "", "404 200 200 200 200 404 404"},
		{"realms", "GET", "v1/security/realms/active", "", "404 404 200 200 200 200 200"},
		{"KubeOperator's login test", "GET", "beta/security/user-sources", "", "404 200 200 200 200 404 404"},
		{"path routing", "GET", "../../v2/path/", "", "404 404 404 404 404 404 200"},
		{"EULA", "GET", "v1/system/eula", "", "404 404 404 404 404 200 200"},
		{"read-only", "GET", "v1/read-only", "", "200 200 200 200 200 200 404"},
		{"browse", "GET", "v1/repositories/raw/browse", "", "404 404 404 404 404 404 200"},
		{"task creation", "POST", "v1/tasks", `{"name":"x","type":"repository.yum.rebuild.metadata"}`, "405 405 405 405 405 405 201"},
		{"helm group", "POST", "v1/repositories/helm/group", `{"name":"hg",` + storage + `,"group":{"memberNames":["helm"]}}`, "405 405 405 405 405 405 201"},
		{"short wildcard", "GET", "v1/search?name=a*", "", "200 200 200 200 200 200 400"},
	}
	versions := []struct {
		profile nexustest.Profile
		version string
	}{
		{nexustest.Orient340, "3.16.2-01"}, {nexustest.Orient340, "3.25.0-03"}, {nexustest.Orient340, "3.38.1-01"}, {nexustest.Orient340, ""},
		{nexustest.H2371, ""}, {nexustest.CE396, "3.82.0-08"}, {nexustest.CE396, ""},
	}
	got := make([][]string, len(rows))
	for _, v := range versions {
		s := nexustest.Start(t, nexustest.Options{Profile: v.profile, Version: v.version, Repositories: []nexustest.Repository{
			{Name: "raw", Format: "raw"}, {Name: "helm", Format: "helm"}, {Name: "path", Format: "docker", PathEnabled: true}}})
		for i, row := range rows {
			url := strings.Replace(s.URL+"/service/rest/"+row.path, "/service/rest/../..", "", 1)
			got[i] = append(got[i], code(t, row.method, url, row.body, asJSON...))
		}
	}
	for i, row := range rows {
		if diff := cmp.Diff(row.codes, strings.Join(got[i], " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.name, diff)
		}
	}
	if _, err := nexustest.New(nexustest.Options{Version: "2.14.1"}); err == nil {
		t.Error("a server of Nexus 2")
	}
}

// TestAssetMembers checks what each version says of an asset.
func TestAssetMembers(t *testing.T) {
	for version, want := range map[string]string{
		"3.16.2-01": "checksum downloadUrl format id path repository",
		"3.30.1-01": "checksum contentType downloadUrl format id lastModified path repository",
		"3.40.1-01": "checksum contentType downloadUrl fileSize format id lastDownloaded lastModified path repository uploader uploaderIp",
		"3.77.2-02": "blobCreated blobStoreName checksum contentType downloadUrl fileSize format id lastDownloaded lastModified path repository uploader uploaderIp",
		"3.96.3-01": "blobCreated blobRef blobStoreName blobUpdated checksum contentType downloadUrl fileSize format id lastDownloaded lastModified " +
			"lastVerified path registryUrl repository uploader uploaderIp",
	} {
		s, base := startRaw(t, nexustest.Options{Version: version})
		do(t, "PUT", base+"f", "x").want(t, 201)
		page := decode[struct{ Items []map[string]any }](t, do(t, "GET", s.URL+"/service/rest/v1/assets?repository=raw", "").want(t, 200).body)
		if diff := cmp.Diff(want, strings.Join(keys(page.Items[0]), " ")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", version, diff)
		}
	}
}

// TestLatestPolicyBegins checks that 3.40.1 does not know latestPolicy and 3.41
// does.
func TestLatestPolicyBegins(t *testing.T) {
	for version, want := range map[string]bool{"3.40.1-01": false, "3.41.0-01": true} {
		s := nexustest.Start(t, nexustest.Options{Version: version, Repositories: []nexustest.Repository{{Name: "d", Format: "docker"}}})
		got := do(t, "GET", s.URL+"/service/rest/v1/repositories/docker/hosted/d", "").want(t, 200)
		if has := strings.Contains(got.body, "latestPolicy"); has != want {
			t.Errorf("%s: latestPolicy in the settings: %v", version, has)
		}
	}
}

// TestEdition checks that an edition can be chosen, and that only the Community
// Edition has caps.
func TestEdition(t *testing.T) {
	_, base := startRaw(t, nexustest.Options{Profile: nexustest.CE396, Edition: "PRO", Quirks: nexustest.Quirks{ComponentCap: 1}})
	do(t, "PUT", base+"f", "x").want(t, 201)
	if got := do(t, "PUT", base+"g", "x").want(t, 201).header.Get("Server"); got != "Nexus/3.96.3-01 (PRO)" {
		t.Errorf("Server %q", got)
	}
}

// TestEntries checks repositories that only exist.
func TestEntries(t *testing.T) {
	for _, profile := range allProfiles {
		s := nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
			{Name: "apt-proxy-bookworm", Format: "apt", Type: "proxy", RemoteURL: "https://deb.example.org/"},
			{Name: "hub", Format: "docker", Type: "proxy", RemoteURL: "https://registry.example.org", Port: nexustest.AnyPort},
			{Name: "epel", Format: "yum", Type: "proxy", RemoteURL: "https://epel.example.org", Cleanup: []string{"weekly"}},
			{Name: "apt", Format: "apt"},
		}})
		for _, name := range []string{"apt-proxy-bookworm", "epel", "apt"} {
			do(t, "PUT", s.RepositoryURL(name)+"/a.rpm", "x").want(t, 405)
			do(t, "GET", s.RepositoryURL(name)+"/a.rpm", "").want(t, 404)
		}
		do(t, "POST", s.DockerURL("hub")+"/v2/a/blobs/uploads/", "").want(t, 405)
		do(t, "GET", s.DockerURL("hub")+"/v2/", "").want(t, 200)
		api := s.URL + "/service/rest/v1/repositories"
		var got []string
		for _, e := range decode[[]struct {
			Name, Type string
			Attributes struct{ Proxy struct{ RemoteURL string } }
		}](t, do(t, "GET", api, "").want(t, 200).body) {
			got = append(got, e.Name+" "+e.Type+" "+e.Attributes.Proxy.RemoteURL)
		}
		want := []string{"apt hosted ", "apt-proxy-bookworm proxy https://deb.example.org/", "epel proxy https://epel.example.org",
			"hub proxy https://registry.example.org"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("entries (-want +got):\n%s", diff)
		}
		settings := do(t, "GET", api+"/yum/proxy/epel", "").want(t, 200).body
		if !strings.Contains(settings, `"remoteUrl" : "https://epel.example.org"`) || !strings.Contains(settings, `"weekly"`) {
			t.Errorf("settings %s", settings)
		}
		do(t, "POST", api+"/raw/proxy", `{"name":"p",`+storage+`}`, asJSON...).want(t, 400)
		do(t, "POST", api+"/raw/proxy", `{"name":"p",`+storage+`,"proxy":{"remoteUrl":"https://example.org"}}`, asJSON...).want(t, 201)
		do(t, "POST", api+"/apt/rebuild-index", "").want(t, 204)
		do(t, "POST", api+"/none/rebuild-index", "").want(t, 404)
		do(t, "POST", api+"/epel/invalidate-cache", "").want(t, 204)
		do(t, "POST", api+"/apt/invalidate-cache", "").want(t, 400)
	}
}

// TestConnectorMoves checks that new settings move a docker connector, unless the
// port is taken.
func TestConnectorMoves(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{
		{Name: "a", Format: "docker", Port: nexustest.AnyPort}, {Name: "b", Format: "docker", HTTPSPort: 8443}}})
	old := s.DockerURL("a")
	api := s.URL + "/service/rest/v1/repositories/docker/hosted/a"
	body := do(t, "GET", api, "").want(t, 200).body
	port := old[strings.LastIndex(old, ":")+1:]
	do(t, "PUT", api, strings.Replace(body, port, "8443", 1), asJSON...).want(t, 400)
	do(t, "GET", old+"/v2/", "").want(t, 200)
	next := freePort(t)
	do(t, "PUT", api, strings.Replace(body, port, fmt.Sprint(next), 1), asJSON...).want(t, 204)
	if got := s.DockerURL("a"); got != fmt.Sprintf("http://127.0.0.1:%d", next) {
		t.Errorf("moved to %s", got)
	}
	do(t, "GET", s.DockerURL("a")+"/v2/", "").want(t, 200)
	if _, _, err := send(t, "GET", old+"/v2/", nil); err == nil {
		t.Error("the old port still answers")
	}
}

func TestReadOnlyResource(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	api := s.URL + "/service/rest/v1/read-only"
	do(t, "POST", api+"/release", "").want(t, 404)
	do(t, "POST", api+"/freeze", "").want(t, 204)
	do(t, "PUT", base+"f", "x").want(t, 503)
	if state := decode[struct{ Frozen bool }](t, do(t, "GET", api, "").want(t, 200).body); !state.Frozen {
		t.Error("not frozen")
	}
	do(t, "POST", api+"/release", "").want(t, 204)
	do(t, "PUT", base+"f", "x").want(t, 201)
}
