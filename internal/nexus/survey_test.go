package nexus_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/nexustest"
)

// answering is a server that has one answer for each path below /service/rest/v1, and 404
// for all others.
func answering(t *testing.T, answers map[string]string) *nexus.Nexus {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[strings.TrimPrefix(r.URL.RequestURI(), "/service/rest/v1/")]
		switch {
		case r.Method != http.MethodGet:
			w.WriteHeader(http.StatusTeapot)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case answer == "":
			w.WriteHeader(http.StatusForbidden)
		default:
			_, _ = io.WriteString(w, answer)
		}
	}))
	t.Cleanup(srv.Close)
	return nexus.New(options(t, srv.URL))
}

// Contract 1.4, 2.3.
func TestSurvey(t *testing.T) {
	n := answering(t, map[string]string{
		"blobstores":                      `[{"name":"default","type":"File","blobCount":3,"totalSizeInBytes":10,"availableSpaceInBytes":20,"softQuota":null},{"name":"s3","type":"S3","unavailable":true}]`,
		"blobstores/default/quota-status": `{"isViolation":true,"message":"over 10 MB","blobStoreName":"default"}`,
		"system/eula":                     `{"accepted":true,"disclaimer":"..."}`,
		"security/anonymous":              `{"enabled":true,"userId":"anonymous","realmName":"NexusAuthorizingRealm"}`,
		"security/realms/active":          `["NexusAuthenticatingRealm","DockerToken"]`,
		"security/users?userId=ci":        `[{"userId":"ci2","roles":["nx-admin"]},{"userId":"ci","roles":["deploy"],"externalRoles":["ldap"]}]`,
	})
	ctx := t.Context()
	stores, err := n.BlobStores(ctx)
	if diff := cmp.Diff([]nexus.BlobStore{{Name: "default", Type: "File", Blobs: 3, Used: 10, Available: 20}, {Name: "s3", Type: "S3", Unavailable: true}}, stores); diff != "" || err != nil {
		t.Errorf("blob stores: %s%v", diff, err)
	}
	if violated, message, err := n.Quota(ctx, "default"); !violated || message != "over 10 MB" || err != nil {
		t.Errorf("quota: %t, %s, %v", violated, message, err)
	}
	if accepted, err := n.EULA(ctx); !accepted || err != nil {
		t.Errorf("EULA: %t, %v", accepted, err)
	}
	if on, err := n.Anonymous(ctx); !on || err != nil {
		t.Errorf("anonymous: %t, %v", on, err)
	}
	realms, err := n.Realms(ctx)
	if diff := cmp.Diff([]string{"NexusAuthenticatingRealm", "DockerToken"}, realms); diff != "" || err != nil {
		t.Errorf("realms: %s%v", diff, err)
	}
	roles, err := n.Roles(ctx, "ci")
	if diff := cmp.Diff([]string{"deploy", "ldap"}, roles); diff != "" || err != nil {
		t.Errorf("roles: %s%v", diff, err)
	}
}

// Contract 1.4, 2.3, 2.4.
// What is not known is an error that says why, never an answer.
func TestSurveyKnowsNothing(t *testing.T) {
	ask := map[string]func(n *nexus.Nexus) error{
		"blobstores":                func(n *nexus.Nexus) error { _, err := n.BlobStores(t.Context()); return err },
		"blobstores/x/quota-status": func(n *nexus.Nexus) error { _, _, err := n.Quota(t.Context(), "x"); return err },
		"system/eula":               func(n *nexus.Nexus) error { _, err := n.EULA(t.Context()); return err },
		"security/anonymous":        func(n *nexus.Nexus) error { _, err := n.Anonymous(t.Context()); return err },
		"security/realms/active":    func(n *nexus.Nexus) error { _, err := n.Realms(t.Context()); return err },
		"security/users?userId=ci":  func(n *nexus.Nexus) error { _, err := n.Roles(t.Context(), "ci"); return err },
	}
	for path, do := range ask {
		if err := do(answering(t, nil)); httpx.StatusCode(err) != http.StatusNotFound {
			t.Errorf("%s, no such resource: %v", path, err)
		}
		if err := do(answering(t, map[string]string{path: ""})); httpx.StatusCode(err) != http.StatusForbidden {
			t.Errorf("%s, forbidden: %v", path, err)
		}
		if err := do(answering(t, map[string]string{path: "<html>portal</html>"})); err == nil || httpx.StatusCode(err) != 0 {
			t.Errorf("%s, a page: %v", path, err)
		}
	}
	if accepted, err := answering(t, map[string]string{"system/eula": "{}"}).EULA(t.Context()); accepted || err == nil {
		t.Errorf("an answer without a word about it: %t, %v", accepted, err)
	}
	if _, err := answering(t, map[string]string{"security/users?userId=ci": `[{"userId":"ci2"}]`}).Roles(t.Context(), "ci"); err == nil {
		t.Error("another account's roles are this one's")
	}
}

// Contract 2.2, 5.3.
func TestHas(t *testing.T) {
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile, ContextPath: "/nexus", Users: []nexustest.User{{Name: "none", Password: "none", Repositories: []string{}}}})
		o := options(t, s.URL)
		o.Username, o.Password = "none", "none"
		if err := s.CreateRepository(nexustest.Repository{Name: "off", Format: "raw", Offline: true}); err != nil {
			t.Fatal(err)
		}
		for repo, want := range map[string]bool{"raw": true, "yum": true, "docker": true, "off": true, "nothing": false} {
			for label, n := range map[string]*nexus.Nexus{"administrator": n, "without rights": nexus.New(o)} {
				if got, err := n.Has(t.Context(), repo); got != want || err != nil {
					t.Errorf("%s, %s: %s: %t, %v", profile, label, repo, got, err)
				}
			}
		}
		for _, e := range s.Log() {
			if e.Method != http.MethodGet {
				t.Errorf("%s: %s %s", profile, e.Method, e.Path)
			}
		}
	}
}

// Contract 2.2.
// Whatever is not plain is not known: neither there nor absent.
func TestHasUnknown(t *testing.T) {
	for _, status := range []int{401, 500, 502} {
		_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/repository/"}, Do: nexustest.Status(status, "")}}})
		if got, err := n.Has(t.Context(), "raw"); got || httpx.StatusCode(err) != status {
			t.Errorf("%d: %t, %v", status, got, err)
		}
	}
	_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/repository/"}, Do: nexustest.Status(404, "Not Found")}}})
	if got, err := n.Has(t.Context(), "raw"); !got || err != nil {
		t.Errorf("a page that is not there says nothing of the repository: %t, %v", got, err)
	}
	if _, err := n.Has(t.Context(), "../x"); err == nil {
		t.Error("a path is no name")
	}
}

// Contract 2.2.
func TestCreate(t *testing.T) {
	hosted := func(format string) nexus.Settings {
		s := nexus.Settings{Name: "new-" + format, Format: format, Type: "hosted", Online: true,
			Storage: nexus.Storage{BlobStore: "default", Strict: format != "raw", WritePolicy: "ALLOW"}}
		if format == "docker" {
			s.Docker.ForceBasicAuth = true
		}
		if format == "yum" {
			s.Yum.Depth, s.Yum.DeployPolicy = 3, "STRICT"
		}
		return s
	}
	for _, profile := range generations {
		s, n := start(t, nexustest.Options{Profile: profile, ContextPath: "/nexus"})
		for _, format := range []string{"docker", "yum", "raw", "helm"} {
			want := hosted(format)
			if err := n.Create(t.Context(), want); err != nil {
				t.Errorf("%s: %v", profile, err)
			}
			got, err := n.Settings(t.Context(), format, "hosted", want.Name)
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%s, %s: %v\n%s", profile, format, err, diff)
			}
			s.ClearLog()
			err = n.Create(t.Context(), want)
			if taken, ok := errors.AsType[*nexus.NameTakenError](err); !ok || taken.Name != want.Name || s.Count("POST", "") != 1 {
				t.Errorf("%s, a second time: %v", profile, err)
			}
			if format == "helm" && profile != nexustest.CE396 {
				continue // helm groups came with 3.94
			}
			group := nexus.Settings{Name: "group-" + format, Format: format, Type: "group", Online: true, Storage: nexus.Storage{BlobStore: "default"}}
			group.Group.Members = []string{want.Name}
			if err := n.Create(t.Context(), group); err != nil {
				t.Errorf("%s: %v", profile, err)
			}
			if got, err := n.Settings(t.Context(), format, "group", group.Name); err != nil || !cmp.Equal(got.Group.Members, group.Group.Members) {
				t.Errorf("%s, group of %s: %+v, %v", profile, format, got, err)
			}
		}
	}
}

// Contract 2.1, 2.2.
// What is asked for has no member too many and none too few for the versions from 3.26 on.
func TestCreateBodies(t *testing.T) {
	var got map[string]any
	var path string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, got = r.URL.Path, nil
		if r.Header.Get("Content-Type") != "application/json" || json.NewDecoder(r.Body).Decode(&got) != nil {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		w.WriteHeader(http.StatusCreated)
	}))
	defer srv.Close()
	n := nexus.New(options(t, srv.URL))
	s := nexus.Settings{Name: "a", Type: "hosted", Online: true, Storage: nexus.Storage{BlobStore: "default", Strict: true, WritePolicy: "ALLOW"}}
	s.Docker.ForceBasicAuth, s.Docker.HTTPPort, s.Yum.Depth, s.Yum.DeployPolicy, s.Group.Members = true, 8083, 1, "STRICT", []string{"b"}
	storage := map[string]any{"blobStoreName": "default", "strictContentTypeValidation": true, "writePolicy": "ALLOW"}
	shared := map[string]any{"blobStoreName": "default", "strictContentTypeValidation": true}
	members := map[string]any{"memberNames": []any{"b"}}
	for kind, want := range map[string]map[string]any{
		"docker/hosted": {"storage": storage, "docker": map[string]any{"v1Enabled": false, "forceBasicAuth": true, "httpPort": 8083.0}},
		"yum/hosted":    {"storage": storage, "yum": map[string]any{"repodataDepth": 1.0, "deployPolicy": "STRICT"}},
		"raw/hosted":    {"storage": storage, "raw": map[string]any{"contentDisposition": "ATTACHMENT"}},
		"helm/hosted":   {"storage": storage},
		"docker/group":  {"storage": shared, "group": members, "docker": map[string]any{"v1Enabled": false, "forceBasicAuth": true, "httpPort": 8083.0}},
		"yum/group":     {"storage": shared, "group": members},
		"raw/group":     {"storage": shared, "group": members, "raw": map[string]any{"contentDisposition": "ATTACHMENT"}},
	} {
		s.Format, s.Type, _ = strings.Cut(kind, "/")
		if err := n.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		want["name"], want["online"] = "a", true
		if diff := cmp.Diff(want, got); diff != "" || path != "/service/rest/v1/repositories/"+kind {
			t.Errorf("%s at %s:\n%s", kind, path, diff)
		}
	}
}

// Contract 1.3, 2.2, 2.4.
func TestCreateRefused(t *testing.T) {
	raw := nexus.Settings{Name: "new", Format: "raw", Type: "hosted", Online: true, Storage: nexus.Storage{BlobStore: "default", WritePolicy: "ALLOW"}}
	for _, c := range []struct {
		label  string
		faults []nexustest.Fault
		blob   string
		want   string
		posts  int
	}{
		{"no API", []nexustest.Fault{{On: nexustest.Match{Method: "POST"}, Do: nexustest.Status(405, "")}}, "default", "no REST API", 2},
		{"beta only", []nexustest.Fault{{On: nexustest.Match{Path: "/v1/repositories/raw"}, Do: nexustest.Status(404, "")}}, "default", "", 2},
		{"forbidden", []nexustest.Fault{{On: nexustest.Match{Method: "POST"}, Do: nexustest.Status(403, "")}}, "default", "make the hosted raw repository new: .*403", 1},
		{"bad value", nil, "elsewhere", `Blob store .*elsewhere.* does not exist`, 1},
		{"broken", []nexustest.Fault{{On: nexustest.Match{Method: "POST"}, Do: nexustest.Status(500, "")}}, "default", "500", 1},
	} {
		s, n := start(t, nexustest.Options{Faults: c.faults})
		raw.Storage.BlobStore = c.blob
		err := n.Create(t.Context(), raw)
		if c.want != "" {
			matches(t, err, c.want)
		} else if err != nil {
			t.Errorf("%s: %v", c.label, err)
		}
		if errors.Is(err, nexus.ErrNoAPI) != (c.label == "no API") {
			t.Errorf("%s: %v", c.label, err)
		}
		if got := s.Count("POST", ""); got != c.posts {
			t.Errorf("%s: asked %d times", c.label, got)
		}
	}
	_, n := start(t, nexustest.Options{})
	raw.Name = "a/b"
	if err := n.Create(t.Context(), raw); err == nil {
		t.Error("a path is no name")
	}
}
