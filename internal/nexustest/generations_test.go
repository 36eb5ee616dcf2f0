package nexustest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"airbundle/internal/nexustest"
)

// TestGenerations checks what differs between the three generations, row by row.
func TestGenerations(t *testing.T) {
	for _, row := range generations {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			for i, profile := range allProfiles {
				s := nexustest.Start(t, nexustest.Options{Profile: profile, RebuildDelay: 50 * time.Millisecond, Repositories: []nexustest.Repository{
					{Name: "raw", Format: "raw", WritePolicy: "ALLOW_ONCE"},
					{Name: "yum", Format: "yum", WritePolicy: "ALLOW_ONCE"},
					{Name: "docker", Format: "docker", WritePolicy: "ALLOW_ONCE", LatestPolicy: true, Port: nexustest.AnyPort},
				}})
				if got := row.see(t, s); got != row.want[i] {
					t.Errorf("%s: %q, want %q", profile, got, row.want[i])
				}
			}
		})
	}
}

// restAPI is where the REST API lies.
func restAPI(s *nexustest.Server) string { return s.URL + "/service/rest/v1/" }

// same is what does not differ.
func same(want string) [3]string { return [3]string{want, want, want} }

var generations = []struct {
	name string
	see  func(t *testing.T, s *nexustest.Server) string
	want [3]string // orient-3.40, h2-3.71, ce-3.96
}{
	{"Server", func(t *testing.T, s *nexustest.Server) string {
		return do(t, "GET", restAPI(s)+"status", "").header.Get("Server")
	}, [3]string{"Nexus/3.40.1-01 (OSS)", "Nexus/3.71.0-06 (OSS)", "Nexus/3.96.3-01 (COMMUNITY)"}},
	{"asset path", func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("raw")+"/a/b", "x").want(t, 201)
		return decode[assetPage](t, do(t, "GET", restAPI(s)+"assets?repository=raw", "").body).Items[0].Path
	}, [3]string{"a/b", "/a/b", "/a/b"}},
	{"page size", func(t *testing.T, s *nexustest.Server) string {
		for i := range 101 {
			if err := s.Put("raw", fmt.Sprint(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		return fmt.Sprint(len(decode[assetPage](t, do(t, "GET", restAPI(s)+"assets?repository=raw", "").body).Items),
			len(decode[assetPage](t, do(t, "GET", restAPI(s)+"components?repository=raw", "").body).Items))
	}, [3]string{"10 10", "10 10", "100 100"}},
	{"raw ETag", func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("raw")+"/f", "abc").want(t, 201)
		return do(t, "HEAD", s.RepositoryURL("raw")+"/f", "").header.Get("ETag")
	}, [3]string{"", `"a9993e364706816aba3e25717850c26c9cd0d89d"`, `"a9993e364706816aba3e25717850c26c9cd0d89d"`}},
	{"checksums after raw PUT", func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("raw")+"/f", "abc").want(t, 201)
		page := decode[struct {
			Items []struct{ Checksum map[string]any }
		}](t, do(t, "GET", restAPI(s)+"assets?repository=raw", "").body)
		return strings.Join(keys(page.Items[0].Checksum), " ")
	}, [3]string{"md5 sha1", "md5 sha1 sha256 sha512", "md5 sha1 sha256 sha512"}},
	{"redeploy of equal bytes", func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("raw")+"/d/f", "abc").want(t, 201)
		got := do(t, "PUT", s.RepositoryURL("raw")+"/d/f", "abc")
		return fmt.Sprint(got.code, " ", got.reason)
	}, [3]string{"400 Repository does not allow updating assets: raw", "400 raw/d/f cannot be updated",
		"409 raw/d/f -  cannot be updated as asset already exists and redeploy is not allowed"}},
	{"redeploy of an RPM", func(t *testing.T, s *nexustest.Server) string {
		do(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", "abc").want(t, 200)
		return code(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", "abc")
	}, [3]string{"400", "400", "409"}},
	{"latestPolicy", func(t *testing.T, s *nexustest.Server) string {
		api := dockerAPI(s, "docker")
		putBlob(t, api, "app", "c")
		putBlob(t, api, "app", "l")
		m := imageManifest("c", "l")
		do(t, "PUT", api+"app/manifests/latest", m).want(t, 201)
		return code(t, "PUT", api+"app/manifests/latest", m)
	}, [3]string{"400", "201", "201"}},
	{"pathEnabled with a port", func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", restAPI(s)+"repositories/docker/hosted", `{"name":"p",`+storage+
			`,"docker":{"v1Enabled":false,"forceBasicAuth":true,"pathEnabled":true,"httpPort":`+fmt.Sprint(freePort(t))+`}}`, asJSON...)
	}, [3]string{"201", "201", "400"}},
	{"pathEnabled in settings", func(t *testing.T, s *nexustest.Server) string {
		docker := decode[struct{ Docker map[string]json.RawMessage }](t, do(t, "GET", restAPI(s)+"repositories/docker/hosted/docker", "").body).Docker
		return string(docker["pathEnabled"])
	}, [3]string{"", "", "null"}},
	{"oci", func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", restAPI(s)+"repositories/oci/hosted", `{"name":"o",`+storage+`}`, asJSON...)
	}, [3]string{"405", "405", "201"}},
	{"docker names in upper case", func(t *testing.T, s *nexustest.Server) string {
		return code(t, "POST", restAPI(s)+"repositories/docker/hosted", `{"name":"Up",`+storage+`,"docker":{"v1Enabled":false,"forceBasicAuth":true}}`, asJSON...)
	}, [3]string{"201", "201", "400"}},
	{"no credentials", func(t *testing.T, s *nexustest.Server) string {
		return fmt.Sprint(doAs(t, "", "", "GET", restAPI(s)+"repositories", "").code, doAs(t, "", "", "GET", restAPI(s)+"blobstores", "").code)
	}, [3]string{"200 403", "200 403", "401 401"}},
	{"repeated bad login", func(t *testing.T, s *nexustest.Server) string {
		var last answer
		for range 4 {
			last = doAs(t, "admin", "wrong", "GET", restAPI(s)+"repositories", "")
		}
		return fmt.Sprint(last.code, " ", last.header.Get("Retry-After"), doAs(t, "admin", "admin123", "GET", restAPI(s)+"repositories", "").code)
	}, [3]string{"401 200", "401 200", "429 30429"}},
	{"Link on the main port", func(t *testing.T, s *nexustest.Server) string {
		link := twoTags(t, s, dockerAPI(s, "docker"))
		return link
	}, [3]string{"", `</v2/app/tags/list?last=1&n=1>; rel="next"`, `</repository/docker/v2/app/tags/list?last=1&n=1>; rel="next"`}},
	{"Link on a connector", func(t *testing.T, s *nexustest.Server) string {
		return twoTags(t, s, s.DockerURL("docker")+"/v2/")
	}, [3]string{"", `</v2/app/tags/list?last=1&n=1>; rel="next"`, `</repository/docker/v2/app/tags/list?last=1&n=1>; rel="next"`}},
	{"Location on the main port", func(t *testing.T, s *nexustest.Server) string {
		loc := begin(t, dockerAPI(s, "docker")).header.Get("Location")
		return loc[:strings.LastIndex(loc, "/")]
	}, same("/v2/app/blobs/uploads")},
	{"X-XSS-Protection", func(t *testing.T, s *nexustest.Server) string {
		return do(t, "GET", s.RepositoryURL("raw")+"/f", "").header.Get("X-XSS-Protection")
	}, [3]string{"1; mode=block", "1; mode=block", "0"}},
	{"challenge", func(t *testing.T, s *nexustest.Server) string {
		return doAs(t, "", "", "GET", s.RepositoryURL("raw")+"/f", "").want(t, 401).header.Get("WWW-Authenticate")
	}, same(`BASIC realm="Sonatype Nexus Repository Manager"`)},
	{"yum metadata is late", func(t *testing.T, s *nexustest.Server) string {
		awaitPackages(t, s.RepositoryURL("yum"))
		do(t, "PUT", s.RepositoryURL("yum")+"/a.rpm", string(makeRPM(t, anRPM))).want(t, 200)
		_, before, _ := readRepodata(t, s.RepositoryURL("yum"))
		return fmt.Sprint(len(before), len(awaitPackages(t, s.RepositoryURL("yum"), "a.rpm")))
	}, same("0 1")},
}

// twoTags puts an image under two tags and returns the Link of the first page.
func twoTags(t *testing.T, s *nexustest.Server, api string) string {
	t.Helper()
	for i, image := range []string{"c1", "c2"} {
		putBlob(t, dockerAPI(s, "docker"), "app", image)
		putBlob(t, dockerAPI(s, "docker"), "app", "l"+image)
		do(t, "PUT", dockerAPI(s, "docker")+"app/manifests/"+fmt.Sprint(i+1), imageManifest(image, "l"+image)).want(t, 201)
	}
	return do(t, "GET", api+"app/tags/list?n=1", "").want(t, 200).header.Get("Link")
}

// TestKnownBadVersions checks two releases that are known for one fault each.
func TestKnownBadVersions(t *testing.T) {
	_, base := startYum(t, nexustest.Options{Profile: nexustest.H2371, Version: "3.76.0-03"}, nexustest.Repository{})
	time.Sleep(50 * time.Millisecond)
	do(t, "GET", base+"/repodata/repomd.xml", "").want(t, 404)
	s := nexustest.Start(t, nexustest.Options{Profile: nexustest.CE396, Version: "3.77.1-01", TokenRealm: true,
		Repositories: []nexustest.Repository{{Name: "d", Format: "docker", BearerAuth: true}}})
	if got := doAs(t, "", "", "GET", dockerAPI(s, "d"), "").want(t, 401).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="null://`) {
		t.Errorf("challenge %q", got)
	}
}

// TestSearchOrder checks sorting, and that pages go on in the order.
func TestSearchOrder(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{SearchDelay: time.Nanosecond})
	for i := range 60 {
		do(t, "PUT", fmt.Sprintf("%sf%02d", base, (i*7)%60), "x").want(t, 201)
	}
	for direction, want := range map[string]string{"asc": "f00 f50", "desc": "f59 f09"} {
		list := restAPI(s) + "search/assets?repository=raw&sort=name&direction=" + direction
		first := decode[assetPage](t, do(t, "GET", list, "").want(t, 200).body)
		second := decode[assetPage](t, do(t, "GET", list+"&continuationToken="+*first.ContinuationToken, "").want(t, 200).body)
		if got := first.Items[0].Path + " " + second.Items[0].Path; got != want || len(second.Items) != 10 {
			t.Errorf("%s: pages begin with %s, want %s; the second has %d", direction, got, want, len(second.Items))
		}
	}
}
