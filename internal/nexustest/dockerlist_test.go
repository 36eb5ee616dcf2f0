package nexustest_test

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"airbundle/internal/nexustest"
)

func TestReferrers(t *testing.T) {
	for _, served := range []bool{false, true} {
		_, api, _ := startDocker(t, nexustest.Options{Quirks: nexustest.Quirks{Referrers: served}}, nexustest.Repository{})
		subject := putImage(t, api, "app", "1")
		artifact := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"a/b","layers":[],"subject":{"mediaType":%q,"digest":%q,"size":1}}`, ociImage, v2s2, subject)
		do(t, "PUT", api+"app/manifests/"+digestOf([]byte(artifact)), artifact, "Content-Type", ociImage).want(t, 201)
		got := do(t, "GET", api+"app/referrers/"+subject, "")
		if !served {
			got.want(t, 404)
		} else if !strings.Contains(got.want(t, 200).body, digestOf([]byte(artifact))) {
			t.Errorf("referrers %s", got.body)
		}
	}
}

func TestLists(t *testing.T) {
	tests := []struct {
		profile         nexustest.Profile
		main, connector string
	}{
		{nexustest.Orient340, "", ""},
		{nexustest.H2371, `</v2/_catalog?last=a&n=1>; rel="next"`, `</v2/_catalog?last=a&n=1>; rel="next"`},
		{nexustest.CE396, `</repository/docker/v2/_catalog?last=a&n=1>; rel="next"`, `</repository/docker/v2/_catalog?last=a&n=1>; rel="next"`},
	}
	for _, tt := range tests {
		_, main, connector := startDocker(t, nexustest.Options{Profile: tt.profile}, nexustest.Repository{})
		if got := do(t, "GET", main+"_catalog", "").want(t, 200).body; got != `{"repositories":[]}` {
			t.Errorf("empty catalog %s", got)
		}
		putImage(t, main, "a", "1")
		putImage(t, main, "b/c", "2")
		putImage(t, main, "b/c", "1")
		for api, link := range map[string]string{main: tt.main, connector: tt.connector} {
			first, want := do(t, "GET", api+"_catalog?n=1", "").want(t, 200), `{"repositories":["a"]}`
			if link == "" {
				want = `{"repositories":["a","b/c"]}`
			}
			if first.body != want || first.header.Get("Link") != link {
				t.Errorf("%s: %s Link %q, want %q", tt.profile, first.body, first.header.Get("Link"), link)
			}
			if got := do(t, "GET", api+"_catalog?n=1&last=a", "").body; link != "" && got != `{"repositories":["b/c"]}` {
				t.Errorf("%s: second page %s", tt.profile, got)
			}
			if got := do(t, "GET", api+"b/c/tags/list", "").want(t, 200).body; got != `{"name":"b/c","tags":["1","2"]}` {
				t.Errorf("%s: tags %s", tt.profile, got)
			}
		}
		if code, _ := dockerCode(t, do(t, "GET", main+"none/tags/list", "").want(t, 404)); code != "NAME_UNKNOWN" {
			t.Errorf("unknown image: %s", code)
		}
	}
}

func TestDockerAssets(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{})
	digest := putImage(t, api, "team/app", "1.0")
	got := do(t, "GET", s.URL+"/service/rest/v1/components?repository=docker", "").want(t, 200)
	page := decode[struct {
		Items []struct {
			Name, Version string
			Assets        []struct {
				Path     string
				Checksum map[string]string
			}
		}
	}](t, got.body)
	if len(page.Items) != 1 || page.Items[0].Name != "team/app" || page.Items[0].Version != "1.0" {
		t.Fatalf("components %+v", page.Items)
	}
	a := page.Items[0].Assets[0]
	if a.Path != "v2/team/app/manifests/1.0" || "sha256:"+a.Checksum["sha256"] != digest {
		t.Errorf("asset %+v", a)
	}
	find := s.URL + "/service/rest/v1/search?docker.imageName=team/app&docker.contentDigest=" + url.QueryEscape(digest)
	eventually(t, "search by digest", func() bool { return strings.Contains(do(t, "GET", find, "").body, "team/app") })
}

func TestDockerGroup(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{})
	if err := s.CreateRepository(nexustest.Repository{Name: "group", Format: "docker", Type: "group", Members: []string{"docker"}, Port: nexustest.AnyPort}); err != nil {
		t.Fatal(err)
	}
	putImage(t, api, "app", "1")
	group := s.DockerURL("group") + "/v2/"
	do(t, "GET", group+"app/manifests/1", "").want(t, 200)
	if got := do(t, "GET", group+"app/tags/list", "").body; got != `{"name":"app","tags":["1"]}` {
		t.Errorf("tags %s", got)
	}
	if code, _ := dockerCode(t, do(t, "POST", group+"app/blobs/uploads/", "").want(t, 403)); code != "DENIED" {
		t.Errorf("push to a group: %s", code)
	}
}

func TestPathRouting(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Profile: nexustest.CE396, ContextPath: "/nx", Repositories: []nexustest.Repository{
		{Name: "path", Format: "docker", PathEnabled: true}, {Name: "closed", Format: "docker"}}})
	api := s.URL + "/v2/path/"
	loc := do(t, "POST", api+"app/blobs/uploads/", "").want(t, 202).header.Get("Location")
	if !strings.HasPrefix(loc, "/nx/v2/path/app/blobs/uploads/") {
		t.Errorf("Location %q", loc)
	}
	putImage(t, api, "app", "1")
	do(t, "GET", s.RepositoryURL("path")+"/v2/app/manifests/1", "").want(t, 200)
	do(t, "GET", api+"_catalog", "").want(t, 404)
	do(t, "GET", s.URL+"/v2/closed/app/manifests/1", "").want(t, 404)
}

// TestConcurrentPush has many clients at one server; the race detector watches.
func TestConcurrentPush(t *testing.T) {
	s, api, _ := startDocker(t, nexustest.Options{}, nexustest.Repository{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			image := fmt.Sprintf("app%d", i%4)
			for _, blob := range []string{"config of " + image, "layer of " + image} {
				do(t, "POST", api+image+"/blobs/uploads/?digest="+digestOf([]byte(blob)), blob)
			}
			m := imageManifest("config of "+image, "layer of "+image)
			do(t, "PUT", api+image+"/manifests/1", m, "Content-Type", v2s2)
			do(t, "GET", api+image+"/manifests/1", "")
			do(t, "GET", api+"_catalog", "")
		})
	}
	wg.Wait()
	if got := s.Images("docker"); len(got) != 4 {
		t.Errorf("images %v", got)
	}
	if st := s.Stats(); st.Requests != 40 || st.DuplicateBlobs != 8 {
		t.Errorf("stats %+v, want 40 requests and 8 duplicates", st)
	}
}
