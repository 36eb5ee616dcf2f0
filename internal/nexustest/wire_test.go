package nexustest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

const sandbox = "Content-Security-Policy: sandbox allow-forms allow-modals allow-popups allow-presentation allow-scripts allow-top-navigation"

// TestWire compares whole answers with what a real server puts on the wire.
func TestWire(t *testing.T) {
	repos := []nexustest.Repository{
		{Name: "docker-hosted", Format: "docker", Port: nexustest.AnyPort},
		{Name: "raw-once", Format: "raw", WritePolicy: "ALLOW_ONCE"},
		{Name: "raw-deny", Format: "raw", WritePolicy: "DENY"},
		{Name: "yum", Format: "yum"},
	}
	s := nexustest.Start(t, nexustest.Options{Repositories: repos})
	if err := s.Put("raw-once", "dir/a.tgz", []byte("old")); err != nil {
		t.Fatal(err)
	}
	connector := s.DockerURL("docker-hosted")
	denied := `{"errors":[{"code":"UNAUTHORIZED","message":"access to the requested resource is not authorized","detail":null}]}`
	tests := []struct {
		name, url, request string
		head               []string
		body               string
	}{
		{"status", s.URL, "GET /service/rest/v1/status HTTP/1.1\nHost: h\n\n", []string{
			"HTTP/1.1 200 OK", "Content-Length: 0", "Server: Nexus/3.40.1-01 (OSS)", "X-Content-Type-Options: nosniff"}, ""},
		{"docker challenge", connector, "GET /v2/ HTTP/1.1\nHost: h\n\n", []string{
			"HTTP/1.1 401 Unauthorized", "Content-Length: 113", sandbox, "Content-Type: application/json",
			"Docker-Distribution-Api-Version: registry/2.0", "Server: Nexus/3.40.1-01 (OSS)",
			`WWW-Authenticate: BASIC realm="Sonatype Nexus Repository Manager"`,
			"X-Content-Type-Options: nosniff", "X-XSS-Protection: 1; mode=block"}, denied},
		{"docker challenge of HEAD", s.URL, "HEAD /repository/docker-hosted/v2/ HTTP/1.1\nHost: h\n\n", []string{
			"HTTP/1.1 401 Unauthorized", "Content-Length: 0", sandbox, "Content-Type: application/json",
			"Docker-Distribution-Api-Version: registry/2.0", "Server: Nexus/3.40.1-01 (OSS)",
			`WWW-Authenticate: BASIC realm="Sonatype Nexus Repository Manager"`,
			"X-Content-Type-Options: nosniff", "X-XSS-Protection: 1; mode=block"}, ""},
		{"raw put", s.URL, "PUT /repository/raw-once/new HTTP/1.1\nHost: h\n" + basic + "Content-Length: 3\n\nabc", []string{
			"HTTP/1.1 201 Created", "Content-Length: 0", sandbox, "Server: Nexus/3.40.1-01 (OSS)",
			"X-Content-Type-Options: nosniff", "X-XSS-Protection: 1; mode=block"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			head, body := wire(t, tt.url, tt.request)
			if diff := cmp.Diff(tt.head, head); diff != "" {
				t.Errorf("head (-want +got):\n%s", diff)
			}
			if body != tt.body {
				t.Errorf("body %q, want %q", body, tt.body)
			}
		})
	}
}

// TestReasonPhrases checks the status lines that carry the error text, and that
// the text is in the page too.
func TestReasonPhrases(t *testing.T) {
	put := func(path string) string {
		return "PUT /repository/" + path + " HTTP/1.1\nHost: h\n" + basic + "Content-Length: 3\n\nabc"
	}
	get := func(path string) string { return "GET /repository/" + path + " HTTP/1.1\nHost: h\n" + basic + "\n" }
	tests := []struct {
		name    string
		profile nexustest.Profile
		request string
		line    string
	}{
		{"redeploy", nexustest.Orient340, put("once/dir/a"), "HTTP/1.1 400 Repository does not allow updating assets: once"},
		{"redeploy", nexustest.H2371, put("once/dir/a"), "HTTP/1.1 400 once/dir/a cannot be updated"},
		{"redeploy", nexustest.CE396, put("once/dir/a"),
			"HTTP/1.1 409 once/dir/a -  cannot be updated as asset already exists and redeploy is not allowed"},
		{"read-only", nexustest.Orient340, put("deny/dir/a"), "HTTP/1.1 400 deny/dir/a is read-only"},
		{"content type", nexustest.Orient340, put("strict/fake.png"),
			"HTTP/1.1 400 Detected content type [text/plain], but expected [image/png]: /fake.png"},
		{"relative", nexustest.Orient340, put("once/a/../b"), "HTTP/1.1 400 Repository path must not contain a relative token"},
		{"relative, encoded", nexustest.Orient340, put("once/a/%2e%2e/b"), "HTTP/1.1 400 Repository path must not contain a relative token"},
		{"unknown repository", nexustest.Orient340, get("nowhere/a"), "HTTP/1.1 404 Repository not found"},
		{"absent", nexustest.Orient340, get("once/no/such"), "HTTP/1.1 404 no/such"},
		{"absent", nexustest.H2371, get("once/no/such"), "HTTP/1.1 404 /no/such"},
		{"offline", nexustest.Orient340, get("off/a"), "HTTP/1.1 503 Repository offline"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+string(tt.profile), func(t *testing.T) {
			s := nexustest.Start(t, nexustest.Options{Profile: tt.profile, Repositories: []nexustest.Repository{
				{Name: "once", Format: "raw", WritePolicy: "ALLOW_ONCE"},
				{Name: "deny", Format: "raw", WritePolicy: "DENY"},
				{Name: "strict", Format: "raw", Strict: true},
				{Name: "off", Format: "raw", Offline: true},
			}})
			if err := s.Put("once", "dir/a", []byte("abc")); err != nil {
				t.Fatal(err)
			}
			head, body := wire(t, s.URL, tt.request)
			if head[0] != tt.line {
				t.Errorf("status line %q, want %q", head[0], tt.line)
			}
			if _, text, _ := strings.Cut(tt.line[len("HTTP/1.1 "):], " "); !strings.Contains(body, text) {
				t.Errorf("page %q lacks %q", body, text)
			}
		})
	}
}

// TestReasonKeepsConnection checks that a worded status line does not cost the
// connection and does not leak into the next answer.
func TestReasonKeepsConnection(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "raw", Format: "raw"}}})
	two := "GET /repository/raw/x HTTP/1.1\nHost: h\n" + basic + "\nGET /service/rest/v1/status HTTP/1.1\nHost: h\n\n"
	head, _ := wire(t, s.URL, two)
	if head[0] != "HTTP/1.1 404 x" {
		t.Errorf("first answer %q", head[0])
	}
	for range 2 {
		if got := do(t, "GET", s.URL+"/repository/raw/x", ""); got.reason != "x" {
			t.Errorf("reason %q, want the path", got.reason)
		}
		if got := do(t, "GET", s.URL+"/service/rest/nothing", ""); got.reason != "Not Found" {
			t.Errorf("reason %q, want the standard one", got.reason)
		}
	}
}

// TestExpectContinue checks the interim answer of a worded request.
func TestExpectContinue(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "raw", Format: "raw"}}})
	head, _ := wire(t, s.URL, "PUT /repository/raw/x HTTP/1.1\nHost: h\nExpect: 100-continue\n"+basic+"Content-Length: 2\n\nab")
	if diff := cmp.Diff([]string{"HTTP/1.1 100 Continue"}, head); diff != "" {
		t.Errorf("interim answer (-want +got):\n%s", diff)
	}
}
