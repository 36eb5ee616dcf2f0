package nexustest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

func TestRealms(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "d", Format: "docker", BearerAuth: true}}})
	api, ping := s.URL+"/service/rest/v1/security/realms/", s.RepositoryURL("d")+"/v2/"
	active := decode[[]string](t, do(t, "GET", api+"active", "").want(t, 200).body)
	if diff := cmp.Diff([]string{"NexusAuthenticatingRealm", "NexusAuthorizingRealm"}, active); diff != "" {
		t.Errorf("active (-want +got):\n%s", diff)
	}
	if got := doAs(t, "", "", "GET", ping, "").want(t, 401).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "BASIC ") {
		t.Errorf("challenge without the token realm %q", got)
	}
	do(t, "PUT", api+"active", `["NexusAuthenticatingRealm","DockerToken"]`, asJSON...).want(t, 204)
	if got := doAs(t, "", "", "GET", ping, "").want(t, 401).header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer ") {
		t.Errorf("challenge with the token realm %q", got)
	}
	do(t, "PUT", api+"active", `["NexusAuthenticatingRealm","Nonsense"]`, asJSON...).want(t, 400)
	do(t, "PUT", api+"active", `[]`).want(t, 415)
	type realm struct{ ID, Name string }
	if all := decode[[]realm](t, do(t, "GET", api+"available", "").want(t, 200).body); len(all) != 4 || all[0].ID != "DockerToken" {
		t.Errorf("available %v", all)
	}
}

func TestAnonymousAccess(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{})
	api := s.URL + "/service/rest/v1/security/anonymous"
	do(t, "PUT", base+"f", "x").want(t, 201)
	doAs(t, "", "", "GET", base+"f", "").want(t, 401)
	got := do(t, "PUT", api, `{"enabled":true,"userId":"anonymous","realmName":"NexusAuthorizingRealm"}`, asJSON...).want(t, 200)
	if again := do(t, "GET", api, "").want(t, 200); again.body != got.body || !strings.Contains(got.body, `"enabled" : true`) {
		t.Errorf("PUT answered %s, GET %s", got.body, again.body)
	}
	doAs(t, "", "", "GET", base+"f", "").want(t, 200)
	do(t, "PUT", api, `{}`, asJSON...).want(t, 400)
	do(t, "PUT", api, `{"enabled":false}`, asJSON...).want(t, 200)
	doAs(t, "", "", "GET", base+"f", "").want(t, 401)
}

// TestUserForSeeding makes a user with the least rights through the API, as an
// administrator would for seeding.
func TestUserForSeeding(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "other", Format: "raw"}}})
	api := s.URL + "/service/rest/v1/security/"
	post := func(path, body string) answer { return do(t, "POST", api+path, body, asJSON...) }
	post("privileges/repository-view", `{"name":"seed","description":"","actions":["BROWSE","READ","EDIT","ADD"],"format":"raw","repository":"raw"}`).want(t, 201)
	post("privileges/repository-view", `{"name":"seed","actions":["READ"],"format":"raw","repository":"raw"}`).want(t, 400)
	post("roles", `{"id":"inner","name":"inner","privileges":["seed"],"roles":[]}`).want(t, 200)
	post("roles", `{"id":"seeder","name":"seeder","description":"","privileges":[],"roles":["inner"]}`).want(t, 200)
	post("roles", `{"id":"bad","name":"bad","privileges":["unheard-of"],"roles":[]}`).want(t, 400)
	user := `{"userId":"sam","firstName":"S","lastName":"M","emailAddress":"s@example.org","password":"p","status":"active","roles":["%s"]}`
	post("users", fmt.Sprintf(user, "nothing")).want(t, 400)
	post("users", fmt.Sprintf(user, "seeder")).want(t, 200)
	post("users", fmt.Sprintf(user, "seeder")).want(t, 400)
	post("users", strings.NewReplacer("sam", "gone", "active", "disabled", "%s", "nx-admin").Replace(user)).want(t, 200)
	doAs(t, "gone", "p", "GET", base+"f", "").want(t, 401)
	doAs(t, "sam", "p", "PUT", base+"f", "x").want(t, 201)
	doAs(t, "sam", "p", "GET", base+"f", "").want(t, 200)
	doAs(t, "sam", "p", "DELETE", base+"f", "").want(t, 403)
	doAs(t, "sam", "p", "PUT", s.RepositoryURL("other")+"/f", "x").want(t, 403)
	doAs(t, "sam", "p", "GET", s.URL+"/service/rest/v1/blobstores", "").want(t, 403)
	doAs(t, "sam", "p", "GET", s.URL+"/service/rest/v1/repositories/raw/hosted/raw", "").want(t, 403)
	doAs(t, "sam", "p", "GET", s.URL+"/service/rest/v1/status/check", "").want(t, 403)
	do(t, "PUT", api+"users/sam/change-password", "new", "Content-Type", "text/plain").want(t, 204)
	do(t, "PUT", api+"users/nobody/change-password", "new", "Content-Type", "text/plain").want(t, 404)
	do(t, "PUT", api+"users/sam/change-password", "{}", asJSON...).want(t, 415)
	doAs(t, "sam", "p", "GET", base+"f", "").want(t, 401)
	doAs(t, "sam", "new", "GET", base+"f", "").want(t, 200)
	users := decode[[]struct {
		UserID string
		Roles  []string
	}](t, do(t, "GET", api+"users?userId=sam", "").want(t, 200).body)
	if len(users) != 1 || users[0].Roles[0] != "seeder" {
		t.Errorf("users %+v", users)
	}
	do(t, "GET", api+"user-sources", "").want(t, 200)
	do(t, "GET", api+"roles", "").want(t, 200)
}

// TestRights checks who may do what with a repository's settings and content.
func TestRights(t *testing.T) {
	s, base := startRaw(t, nexustest.Options{Users: []nexustest.User{
		{Name: "adder", Password: "p", Actions: []string{"add"}},
		{Name: "editor", Password: "p", Actions: []string{"edit"}},
		{Name: "keeper", Password: "p", Repositories: []string{"raw"}, Actions: []string{"browse", "admin"}},
		{Name: "reader", Password: "p", Actions: []string{"browse", "read"}},
	}})
	api := s.URL + "/service/rest/v1/"
	settings := do(t, "GET", api+"repositories/raw/hosted/raw", "").want(t, 200).body
	tests := []struct {
		user, method, url, body string
		want                    int
	}{
		{"adder", "PUT", base + "f", "x", 403}, // a PUT needs both
		{"editor", "PUT", base + "f", "x", 403},
		{"keeper", "GET", api + "repositories/raw/hosted/raw", "", 200},
		{"keeper", "PUT", api + "repositories/raw/hosted/raw", settings, 204},
		{"keeper", "POST", api + "repositories/raw/hosted", settings, 403},
		{"keeper", "GET", api + "security/anonymous", "", 403},
		{"reader", "GET", api + "repositories/raw/hosted/raw", "", 403},
		{"reader", "GET", api + "repositories/raw", "", 200},
		{"adder", "GET", api + "repositories/raw", "", 403},
		{"reader", "GET", api + "assets?repository=raw", "", 200},
		{"reader", "DELETE", api + "repositories/raw", "", 403},
	}
	for _, tt := range tests {
		if got := doAs(t, tt.user, "p", tt.method, tt.url, tt.body, asJSON...); got.code != tt.want {
			t.Errorf("%+v: got %d", tt, got.code)
		}
	}
	for user, want := range map[string]int{"keeper": 1, "reader": 0} {
		all := decode[[]any](t, doAs(t, user, "p", "GET", api+"repositorySettings", "").want(t, 200).body)
		if len(all) != want {
			t.Errorf("%s sees %d settings, want %d", user, len(all), want)
		}
	}
}

func TestBlobStoreQuota(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{FreeBytes: 1 << 30,
		BlobStores:   []nexustest.BlobStore{{Name: "full", FreeBytes: 5 << 20, QuotaType: "spaceRemainingQuota", QuotaMB: 10}},
		Repositories: []nexustest.Repository{{Name: "raw", Format: "raw", BlobStore: "full"}}})
	api := s.URL + "/service/rest/v1/"
	do(t, "PUT", s.RepositoryURL("raw")+"/f", "abc").want(t, 201) // a soft quota refuses nothing
	post := func(body string) answer { return do(t, "POST", api+"blobstores/file", body, asJSON...) }
	post(`{"name":"seed","path":"seed","softQuota":{"type":"spaceUsedQuota","limit":10240}}`).want(t, 204)
	post(`{"name":"seed","path":"seed"}`).want(t, 400)
	post(`{"name":"s2"}`).want(t, 400)
	post(`{"name":"s2","path":"s2","softQuota":{"type":"none","limit":1}}`).want(t, 400)
	if got := do(t, "GET", api+"blobstores/file/seed", "").want(t, 200); !strings.Contains(got.body, "spaceUsedQuota") {
		t.Errorf("store %s", got.body)
	}
	do(t, "GET", api+"blobstores/file/none", "").want(t, 404)
	for store, want := range map[string]bool{"full": true, "seed": false, "default": false} {
		got := decode[struct{ IsViolation bool }](t, do(t, "GET", api+"blobstores/"+store+"/quota-status", "").want(t, 200).body)
		if got.IsViolation != want {
			t.Errorf("%s: violation %v", store, got.IsViolation)
		}
	}
	stores := decode[[]struct {
		Name                  string
		BlobCount             int
		AvailableSpaceInBytes int64
	}](t, do(t, "GET", api+"blobstores", "").want(t, 200).body)
	if len(stores) != 3 || stores[1].Name != "full" || stores[1].BlobCount != 1 || stores[2].AvailableSpaceInBytes != 1<<30 {
		t.Errorf("stores %+v", stores)
	}
	checks := decode[map[string]struct{ Healthy bool }](t, do(t, "GET", api+"status/check", "").want(t, 200).body)
	if checks["Blob Stores Quota"].Healthy || !checks["Read-Only Detector"].Healthy {
		t.Errorf("checks %+v", checks)
	}
	do(t, "POST", api+"repositories/raw/hosted", `{"name":"r2","online":true,"storage":{"blobStoreName":"seed","writePolicy":"ALLOW"}}`, asJSON...).want(t, 201)
	moved := strings.Replace(do(t, "GET", api+"repositories/raw/hosted/r2", "").body, `"seed"`, `"default"`, 1)
	do(t, "PUT", api+"repositories/raw/hosted/r2", moved, asJSON...).want(t, 400)
}
