package nexustest_test

import (
	"context"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"airbundle/internal/nexustest"
)

var allProfiles = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

// TestScripts checks that every script acts on what a client does, in every
// profile, and that names are names.
func TestScripts(t *testing.T) {
	scripts := nexustest.Scripts()
	if len(scripts) < 20 {
		t.Errorf("%d scripts", len(scripts))
	}
	names, rpm := map[string]bool{}, string(makeRPM(t, anRPM))
	for _, sc := range scripts {
		if !regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`).MatchString(sc.Name) || names[sc.Name] || sc.About == "" {
			t.Errorf("script %q (%q): no name, twice, or without a text", sc.Name, sc.About)
		}
		names[sc.Name] = true
		if got, err := nexustest.ScriptNamed(sc.Name); err != nil || got.About != sc.About {
			t.Errorf("ScriptNamed(%s): %+v, %v", sc.Name, got, err)
		}
		for _, profile := range allProfiles {
			t.Run(sc.Name+" "+string(profile), func(t *testing.T) {
				t.Parallel()
				before := nexustest.Options{Profile: profile, Seed: 7, Repositories: []nexustest.Repository{
					{Name: "raw", Format: "raw"}, {Name: "yum", Format: "yum"}, {Name: "docker", Format: "docker"}}}
				after := sc.Apply(before)
				if reflect.DeepEqual(before.Quirks, after.Quirks) && len(after.Faults) == 0 {
					t.Fatal("changes nothing")
				}
				s := nexustest.Start(t, after)
				for i := 0; i < 4 && s.FaultHits(sc.Name) == 0; i++ {
					tour(t, s, rpm)
				}
				if len(after.Faults) > 0 && s.FaultHits(sc.Name) == 0 {
					t.Errorf("never acted in %d requests", s.Stats().Requests)
				}
			})
		}
	}
	if _, err := nexustest.ScriptNamed("nothing"); err == nil {
		t.Error("ScriptNamed made one up")
	}
}

// tour does a little of everything and minds no failure.
func tour(t *testing.T, s *nexustest.Server, rpm string) {
	t.Helper()
	docker := s.RepositoryURL("docker") + "/v2/app/"
	config, layer := strings.Repeat("c", 300), strings.Repeat("l", 300)
	visit(t, "GET", s.RepositoryURL("docker")+"/v2/", "", "")
	for _, blob := range []string{config, layer} {
		digest := digestOf([]byte(blob))
		visit(t, "HEAD", docker+"blobs/"+digest, "", "admin")
		visit(t, "POST", docker+"blobs/uploads/?digest="+digest, blob, "admin")
		loc := visit(t, "POST", docker+"blobs/uploads/", "", "admin").Get("Location")
		visit(t, "PUT", docker+"blobs/uploads/"+loc[strings.LastIndex(loc, "/")+1:]+"?digest="+digest, blob, "admin")
		visit(t, "GET", docker+"blobs/"+digest, "", "admin")
	}
	visit(t, "HEAD", docker+"manifests/1", "", "admin")
	visit(t, "PUT", docker+"manifests/1", imageManifest(config, layer), "admin")
	raw, yum := s.RepositoryURL("raw"), s.RepositoryURL("yum")
	visit(t, "PUT", raw+"/f", layer, "admin")
	visit(t, "GET", raw+"/f", "", "admin")
	visit(t, "PUT", yum+"/a.rpm", rpm, "admin")
	visit(t, "GET", yum+"/repodata/0-primary.xml.gz", "", "admin")
	visit(t, "GET", s.URL+"/service/rest/v1/repositories", "", "admin")
}

// visit sends a request, reads nothing of the answer and returns its headers.
func visit(t *testing.T, method, url, body, user string) http.Header {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond) // for those that stall
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, nexustest.Password)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return http.Header{}
	}
	resp.Body.Close()
	return resp.Header
}

// TestStateFaults checks the actions that change what the server holds.
func TestStateFaults(t *testing.T) {
	put := nexustest.Match{Method: "PUT", Times: 1}
	t.Run("corrupt", func(t *testing.T) {
		_, base := fault(t, put, nexustest.CorruptStored(0))
		do(t, "PUT", base+"g", "abc").want(t, 201)
		if got := do(t, "GET", base+"g", "").want(t, 200); got.body != "\x9ebc" {
			t.Errorf("stored %q", got.body)
		}
	})
	t.Run("lose", func(t *testing.T) {
		_, base := fault(t, put, nexustest.LoseStored())
		do(t, "PUT", base+"g", "abc").want(t, 201)
		do(t, "HEAD", base+"g", "").want(t, 200)
		do(t, "GET", base+"g", "").want(t, 500)
		do(t, "PUT", base+"g", "abc").want(t, 201)
		do(t, "GET", base+"g", "").want(t, 200)
	})
	t.Run("freeze", func(t *testing.T) {
		_, base := fault(t, put, nexustest.FreezeAfter())
		do(t, "PUT", base+"g", "abc").want(t, 201)
		do(t, "PUT", base+"h", "abc").want(t, 503)
	})
	t.Run("plant", func(t *testing.T) {
		s, base := fault(t, put, nexustest.Plant("x", []byte("y")))
		do(t, "PUT", base+"g", "abc").want(t, 201)
		if got, err := s.Read("raw", "x"); string(got) != "y" {
			t.Errorf("planted %q, %v", got, err)
		}
	})
	t.Run("gateway timeout", func(t *testing.T) {
		s, base := fault(t, put, nexustest.GatewayTimeout())
		if got := do(t, "PUT", base+"g", "abc").want(t, 504); got.header.Get("Server") != "nginx/1.24.0" {
			t.Errorf("answered by %s", got.header.Get("Server"))
		}
		if got, err := s.Read("raw", "g"); string(got) != "abc" {
			t.Errorf("stored %q, %v", got, err)
		}
	})
	t.Run("hold metadata", func(t *testing.T) {
		s, base := startYum(t, nexustest.Options{Faults: []nexustest.Fault{{On: put, Do: nexustest.HoldMetadata()}}}, nexustest.Repository{})
		awaitPackages(t, base)
		do(t, "PUT", base+"/a.rpm", string(makeRPM(t, rpmSpec{name: "a", version: "1", arch: "noarch"}))).want(t, 200)
		time.Sleep(20 * time.Millisecond)
		if _, packages, ok := readRepodata(t, base); !ok || len(packages) != 0 {
			t.Errorf("metadata lists %v", packages)
		}
		s.HoldRebuilds("yum", false)
		awaitPackages(t, base, "a.rpm")
	})
}
