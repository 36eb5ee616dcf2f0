package seeder_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"airbundle/internal/nexustest"
)

// front is a server before a double that answers some requests itself.
func front(t *testing.T, s *nexustest.Server, answers func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !answers(w, r) {
			s.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// old is a front that knows no resource of the REST API below these paths.
func old(t *testing.T, s *nexustest.Server, gone string) string {
	t.Helper()
	pattern := regexp.MustCompile(gone)
	return front(t, s, func(w http.ResponseWriter, r *http.Request) bool {
		unknown := strings.HasPrefix(r.URL.Path, "/service/rest/") && pattern.MatchString(r.URL.Path)
		if unknown {
			http.NotFound(w, r)
		}
		return unknown
	})
}

// What has REST provisioning in versions: none up to 3.19, some formats as beta up to 3.25.
const (
	gone316 = `/v1/(blobstores|security|repositorySettings|repositories/.)|/beta/`
	gone325 = `/v1/(security|repositorySettings|repositories/.)|/beta/repositories/(docker|yum|helm)`
)

// Contract 2.2, 12.
func TestCreate(t *testing.T) {
	bundle, root := demo(t)
	for _, profile := range generations {
		t.Run(string(profile), func(t *testing.T) {
			s := nexustest.Start(t, nexustest.Options{Profile: profile})
			made := []string{"docker", "yum", "raw", "helm"}
			run(t, "plan", root, "--nexus", s.URL).want(t, 7, `missing +repository docker-hosted: no-repository: `)
			planned := run(t, "plan", bundle, "--nexus", s.URL, "--create")
			planned.want(t, 0, `planned +repository yum-hosted: is not there; to be made: yum \(hosted\), name yum-hosted, online, repodata depth 2, layout policy strict, `,
				`plan for .* ok, 4 to make, `)
			run(t, "push", bundle, "--nexus", s.URL, "--create", "--dry-run").want(t, 0, `note: repository docker-hosted: to be made: docker`, `would push to .*: 10 new, 0 present, 0 failed; 2\d\d\.\d kB to send`)
			if n := writes(s); n != 0 {
				t.Fatalf("%d writes before anything was to be made", n)
			}
			first := run(t, "push", bundle, "--nexus", s.URL, "--create")
			first.want(t, 0, `pushed to .*: 10 new, 0 present, 0 failed`)
			for _, format := range made {
				first.want(t, 0, fmt.Sprintf(`note: repository %s-hosted: made: %s \(hosted\), `, format, format))
			}
			if got := s.Count("POST", "/service/rest/"); got != 4 {
				t.Errorf("%d repositories were made", got)
			}
			s.ClearLog()
			second := run(t, "push", bundle, "--nexus", s.URL, "--create")
			second.want(t, 0, `pushed to .*: 0 new, 10 present, 0 failed`)
			if n := writes(s); n != 0 {
				t.Errorf("the second run made %d writes", n)
			}
			if strings.Contains(second.out, "--create would have") {
				t.Errorf("what was made differs from what is made:\n%s", second.out)
			}
			run(t, "audit", root, "--nexus", s.URL, "--deep").want(t, 0)
		})
	}
}

// Contract 12.
// What is there is never changed: what is otherwise is said.
func TestCreateChangesNothing(t *testing.T) {
	bundle, _ := demo(t)
	repos := hosted()
	repos[0].WritePolicy, repos[2].Strict, repos[2].WritePolicy = "ALLOW_ONCE", true, "ALLOW_ONCE"
	s := nexustest.Start(t, nexustest.Options{Profile: nexustest.H2371, Repositories: repos[:3]})
	want := []string{
		`.* repository docker-hosted: .*it stays as it is; --create would have made it with write policy ALLOW, not ALLOW_ONCE, connector port 18083`,
		`.* repository raw-hosted: .*--create would have made it with write policy ALLOW, not ALLOW_ONCE, strict content type validation off`,
	}
	run(t, "plan", bundle, "--nexus", s.URL, "--create", "--docker-port", "18083").want(t, 0, want...)
	run(t, "push", bundle, "--nexus", s.URL, "--create", "--docker-port", "18083").want(t, 0, append(want, `note: repository helm-hosted: made: `)...)
	if n := s.Count("PUT", "/service/rest/") + s.Count("DELETE", ""); n != 0 {
		t.Errorf("%d changes to what is there", n)
	}
}

// Contract 1.3, 2.1, 2.2.
// TestCreateRefused has servers that make nothing: not a byte is sent, and everything that
// could not be made is told.
func TestCreateRefused(t *testing.T) {
	bundle, _ := demo(t)
	const byHand = `seeder: repository %[1]s-hosted: this version of Nexus cannot be asked to make it: make it by hand: .*Create repository, %[1]s \(hosted\), name %[1]s-hosted, online, `
	t.Run("3.16", func(t *testing.T) {
		s := nexustest.Start(t, nexustest.Options{Version: "3.16.2-01"})
		url := old(t, s, gone316)
		var want []string
		for _, format := range []string{"docker", "yum", "raw", "helm"} {
			want = append(want, fmt.Sprintf(byHand, format))
		}
		run(t, "push", bundle, "--nexus", url, "--create").want(t, 7, want...)
		run(t, "plan", bundle, "--nexus", url, "--create").want(t, 7, `failed +repository yum-hosted: create: this version of Nexus cannot be asked to make it: make it by hand: `)
		if n := s.Count("PUT", "") + s.Count("POST", "/repository/"); n != 0 {
			t.Errorf("%d uploads", n)
		}
	})
	t.Run("3.25", func(t *testing.T) {
		s := nexustest.Start(t, nexustest.Options{Version: "3.25.0-03"})
		url := old(t, s, gone325)
		run(t, "plan", bundle, "--nexus", url, "--create").want(t, 3, `planned +repository raw-hosted`, `unknown +repository yum-hosted: create: .*push --create tries`)
		run(t, "push", bundle, "--nexus", url, "--create").want(t, 7, fmt.Sprintf(byHand, "docker"), fmt.Sprintf(byHand, "yum"), fmt.Sprintf(byHand, "helm"))
		if got := s.Count("POST", "/beta/repositories/raw/hosted"); got != 1 {
			t.Errorf("raw was asked for %d times", got)
		}
		run(t, "push", bundle, "--nexus", url, "--create", "--only", "file").want(t, 0)
	})
	t.Run("not allowed", func(t *testing.T) {
		s := nexustest.Start(t, nexustest.Options{Profile: nexustest.CE396, Users: []nexustest.User{{Name: "ci", Password: "secret-of-ci", Actions: []string{"browse", "read", "edit"}}}})
		t.Setenv("NEXUS_USERNAME", "ci")
		t.Setenv("NEXUS_PASSWORD", "secret-of-ci")
		run(t, "push", bundle, "--nexus", s.URL, "--create").want(t, 7, `seeder: repository raw-hosted: make the hosted raw repository raw-hosted: POST .*403.*: the account needs the privilege nx-repository-admin-raw-raw-hosted-add`)
	})
	t.Run("port in use", func(t *testing.T) {
		s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "other", Format: "docker", Port: nexustest.AnyPort}}})
		port := s.DockerURL("other")[len("http://127.0.0.1:"):]
		run(t, "push", bundle, "--nexus", s.URL, "--create", "--docker-port", port).want(t, 7, `seeder: repository docker-hosted: make .*Port is already in use.*: what was asked for: docker \(hosted\), .*HTTP connector at port `+port)
	})
	t.Run("name in use", func(t *testing.T) {
		s := nexustest.Start(t, nexustest.Options{Repositories: []nexustest.Repository{{Name: "RAW-hosted", Format: "raw"}}})
		run(t, "push", bundle, "--nexus", s.URL, "--create", "--only", "file").want(t, 7, `seeder: repository raw-hosted: .*there is a repository raw-hosted already, or one that differs in case only`)
	})
}

func TestCreateDepths(t *testing.T) {
	bundle, _ := demo(t)
	s := nexustest.Start(t, nexustest.Options{})
	run(t, "push", bundle, "--nexus", s.URL, "--create", "--rpm-layout", "raw").want(t, 0)
	if got := s.Count("POST", "/repositories/yum/"); got != 0 {
		t.Error("a yum repository was made that nothing goes to")
	}
}

func TestUsageOfCreate(t *testing.T) {
	bundle, _ := demo(t)
	for _, args := range [][]string{
		{"push", bundle, "--nexus", "http://localhost:1", "--docker-port", "8083"},
		{"push", bundle, "--nexus", "http://localhost:1", "--create", "--docker-port", "65536"},
		{"push", bundle, "--nexus", "http://localhost:1", "--create", "--docker-port", "-1"},
		{"push", bundle, "--registry", "localhost:1", "--create"},
		{"plan", bundle, "--registry", "localhost:1"},
		{"plan", bundle, "--nexus", "http://localhost:1/nexus/repository/docker-hosted/"},
		{"plan", bundle},
		{"plan", bundle, "--nexus", "http://localhost:1", "--only", "nothing"},
	} {
		run(t, args...).want(t, 2)
	}
}

// Contract 2.1, 2.2, 2.3.
// TestPlanLogins has accounts that may not ask everything: what is not known is said.
func TestPlanLogins(t *testing.T) {
	bundle, _ := demo(t)
	ci := nexustest.User{Name: "ci", Password: "secret-of-ci", Actions: []string{"browse", "read", "edit"}}
	few := ci
	few.Repositories = []string{"raw-hosted"}
	for _, profile := range generations {
		for _, c := range []struct {
			name           string
			user, password string
			users          []nexustest.User
			anonymous      bool
			code           int
			want           []string
		}{
			{"uploads only", "ci", "secret-of-ci", []nexustest.User{ci}, false, 3, []string{
				`unknown +repository raw-hosted: settings: hosted raw; whether it is online, .* are not known: this login may not read it \(403\)`,
				`unknown +target +blob stores: how much space there is is not known: this login may not read it \(403\)`,
				`warning +target +login: the login is taken; what the account may do is not known`,
				`plan for .*: \d+ ok, 0 to make, \d+ to know, [56] not known, 0 in the way; `,
			}},
			{"one repository", "ci", "secret-of-ci", []nexustest.User{few}, false, 7, []string{
				`unknown +repository yum-hosted: invisible: there is a repository of that name that this login does not see; `,
				`failed +file|failed +rpm +`, // 403 of the dry run
			}},
			{"wrong password", "ci", "wrong", []nexustest.User{ci}, false, 7, []string{`failed +target +login: .*401.*: check user and password; nothing else was asked`, `ok +target +version: 3`, `plan for .*: the login was refused; root sha256:`}},
		} {
			t.Run(string(profile)+"/"+c.name, func(t *testing.T) {
				s := nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: hosted(), Users: c.users, Anonymous: c.anonymous, Faults: []nexustest.Fault{{
					// which takes a privilege of its own: nx-repository-admin-FORMAT-NAME-read
					On: nexustest.Match{Method: "GET", Path: "/v1/repositories/[a-z]+/hosted/"}, Do: nexustest.Status(http.StatusForbidden, "Forbidden"),
				}}})
				t.Setenv("NEXUS_USERNAME", c.user)
				t.Setenv("NEXUS_PASSWORD", c.password)
				got := run(t, "plan", bundle, "--nexus", s.URL)
				got.want(t, c.code, c.want...)
				if c.password == "wrong" {
					if n := s.Count("", "/v1/repositories"); n != 1 {
						t.Errorf("a wrong password was tried %d times", n)
					}
				}
				if strings.Contains(got.out+got.err, c.password+"\n") || strings.Contains(got.out+got.err, "secret-of-ci") {
					t.Error("the password is in the output")
				}
			})
		}
	}
}

// security answers as the security API of a server with these realms does.
func security(admin bool, anonymous bool, realms ...string) func(w http.ResponseWriter, r *http.Request) bool {
	role := "nx-deploy"
	if admin {
		role = "nx-admin"
	}
	return func(w http.ResponseWriter, r *http.Request) bool {
		switch r.URL.Path {
		case "/service/rest/v1/security/users":
			_, _ = io.WriteString(w, `[{"userId":"admin2","roles":["nx-other"]},{"userId":"admin","roles":["`+role+`"],"externalRoles":["ldap"]}]`)
		case "/service/rest/v1/security/anonymous":
			fmt.Fprintf(w, `{"enabled":%t,"userId":"anonymous","realmName":"NexusAuthorizingRealm"}`, anonymous)
		case "/service/rest/v1/security/realms/active":
			fmt.Fprintf(w, "[%s]", strings.Join(quoted(realms), ","))
		default:
			return false
		}
		return true
	}
}

func quoted(words []string) []string {
	words = slices.Clone(words)
	for i, w := range words {
		words[i] = `"` + w + `"`
	}
	return words
}

// Contract 2.3, 3.2.
func TestPlanSecurity(t *testing.T) {
	bundle, _ := demo(t)
	for _, c := range []struct {
		name             string
		admin, anonymous bool
		realms           []string
		want             []string
	}{
		{"closed", true, false, []string{"NexusAuthenticatingRealm"}, []string{`ok +target +login: the account may do everything \(nx-admin\)$`, `ok +target +anonymous access: off: clients need a login`, `plan for .*: 14 ok, 0 to make, 0 to know, 0 not known, 0 in the way`}},
		{"open", false, true, []string{"NexusAuthenticatingRealm"}, []string{`warning +target +login: the login is taken, with the roles nx-deploy, ldap; `, `warning +target +anonymous access: on, but images cannot be pulled without a login: the realm DockerToken is not active`}},
		{"tokens", true, true, []string{"NexusAuthenticatingRealm", "DockerToken"}, []string{`ok +target +anonymous access: on, and the realm DockerToken is active`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := nexustest.Start(t, nexustest.Options{Repositories: hosted()})
			run(t, "plan", bundle, "--nexus", front(t, s, security(c.admin, c.anonymous, c.realms...))).want(t, 0, c.want...)
		})
	}
}

// Contract 1.1, 8.
func TestPlanFrozen(t *testing.T) {
	bundle, _ := demo(t)
	for _, profile := range generations {
		s := nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: hosted()[:1]})
		s.Freeze(true)
		run(t, "plan", bundle, "--nexus", s.URL, "--create").want(t, 7, `failed +target +writable: the server is read-only`, `planned +repository raw-hosted`)
		run(t, "push", bundle, "--nexus", s.URL, "--create").want(t, 7, `seeder: nexus .* is read-only`)
		if n := writes(s); n != 0 {
			t.Errorf("%s: %d writes to a frozen server", profile, n)
		}
	}
}
