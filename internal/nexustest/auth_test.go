package nexustest_test

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"airbundle/internal/nexustest"
)

func TestContentNeedsLogin(t *testing.T) {
	tests := []struct {
		anonymous      bool
		user, password string
		method         string
		want           int
	}{
		{false, "", "", "GET", 401},
		{false, "admin", "wrong", "GET", 401},
		{false, "nobody", "admin123", "GET", 401},
		{false, "admin", "admin123", "GET", 200},
		{true, "", "", "GET", 200},
		{true, "", "", "PUT", 401},
		{true, "admin", "wrong", "GET", 401},
		{false, "reader", "r", "GET", 200},
		{false, "reader", "r", "PUT", 403},
		{false, "elsewhere", "e", "GET", 403},
	}
	for _, tt := range tests {
		s, base := startRaw(t, nexustest.Options{Anonymous: tt.anonymous, Users: []nexustest.User{
			{Name: "reader", Password: "r", Actions: []string{"read", "browse"}},
			{Name: "elsewhere", Password: "e", Repositories: []string{"other"}},
		}})
		if err := s.Put("raw", "f", []byte("x")); err != nil {
			t.Fatal(err)
		}
		got := doAs(t, tt.user, tt.password, tt.method, base+"f", "")
		if got.code != tt.want {
			t.Errorf("%+v: got %d", tt, got.code)
		}
		if challenge := got.header.Get("WWW-Authenticate"); got.code == 401 && challenge != `BASIC realm="Sonatype Nexus Repository Manager"` {
			t.Errorf("%+v: challenge %q", tt, challenge)
		}
	}
}

func TestListShowsWhatMayBeBrowsed(t *testing.T) {
	s, _ := startRaw(t, nexustest.Options{
		Repositories: []nexustest.Repository{{Name: "secret", Format: "raw"}},
		Users: []nexustest.User{
			{Name: "some", Password: "s", Repositories: []string{"raw"}},
			{Name: "blind", Password: "b", Actions: []string{"read"}},
		}})
	for user, want := range map[string]string{"some s": "raw", "blind b": "", "admin admin123": "raw secret"} {
		name, password, _ := strings.Cut(user, " ")
		got := doAs(t, name, password, "GET", s.URL+"/service/rest/v1/repositories", "").want(t, 200)
		var names []string
		for _, r := range decode[[]struct{ Name string }](t, got.body) {
			names = append(names, r.Name)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s sees %v, want %q", name, names, want)
		}
	}
	doAs(t, "some", "s", "DELETE", s.URL+"/service/rest/v1/repositories/raw", "").want(t, 403)
	doAs(t, "some", "s", "GET", s.URL+"/service/rest/v1/assets?repository=secret", "").want(t, 403)
}

func TestBadLoginsBlockAUser(t *testing.T) {
	var offset atomic.Int64
	now := func() time.Time { return time.Unix(1700000000, 0).Add(time.Duration(offset.Load())) }
	s, base := startRaw(t, nexustest.Options{Profile: nexustest.CE396, Now: now})
	for range 3 {
		doAs(t, "admin", "wrong", "GET", base+"f", "").want(t, 401)
	}
	for range 2 {
		got := do(t, "GET", base+"f", "").want(t, 429)
		if got.reason != "Too many authentication attempts" || got.header.Get("Retry-After") != "30" {
			t.Errorf("block: %q, Retry-After %q", got.reason, got.header.Get("Retry-After"))
		}
		offset.Add(int64(10 * time.Minute)) // not silent for long enough
	}
	offset.Add(int64(10 * time.Minute))
	do(t, "GET", base+"f", "").want(t, 404)
	if n := s.Count("GET", "/f"); n != 6 {
		t.Errorf("%d requests logged, want 6", n)
	}

	_, base = startRaw(t, nexustest.Options{Profile: nexustest.H2371})
	for range 5 {
		doAs(t, "admin", "wrong", "GET", base+"f", "").want(t, 401)
	}
	do(t, "GET", base+"f", "").want(t, 404)
}

func TestCookiesAreRefused(t *testing.T) {
	_, base := startRaw(t, nexustest.Options{Quirks: nexustest.Quirks{SessionCookie: true}})
	cookie := do(t, "PUT", base+"f", "x").want(t, 201).header.Get("Set-Cookie")
	cookie, _, _ = strings.Cut(cookie, ";")
	if !strings.HasPrefix(cookie, "NXSESSIONID=") {
		t.Fatalf("cookie %q", cookie)
	}
	do(t, "GET", base+"f", "", "Cookie", cookie).want(t, 401)
	do(t, "GET", base+"f", "", "Cookie", cookie, "NX-ANTI-CSRF-TOKEN", "t").want(t, 200)
}

func TestDockerTokens(t *testing.T) {
	repos := []nexustest.Repository{{Name: "d", Format: "docker", BearerAuth: true, Port: nexustest.AnyPort}, {Name: "basic", Format: "docker"}}
	for _, anonymous := range []bool{false, true} {
		s := nexustest.Start(t, nexustest.Options{Repositories: repos, TokenRealm: true, Anonymous: anonymous, ContextPath: "/nx"})
		d := s.DockerURL("d")
		got := doAs(t, "", "", "GET", d+"/v2/", "").want(t, 401)
		if want := `Bearer realm="` + d + `/v2/token",service="` + d + `/v2/token",scope="repository:*:pull"`; got.header.Get("WWW-Authenticate") != want {
			t.Errorf("challenge %q, want %q", got.header.Get("WWW-Authenticate"), want)
		}
		main := doAs(t, "", "", "GET", s.RepositoryURL("d")+"/v2/", "").want(t, 401)
		if !strings.Contains(main.header.Get("WWW-Authenticate"), `realm="`+s.URL+`/v2/token"`) {
			t.Errorf("challenge on the main port %q", main.header.Get("WWW-Authenticate"))
		}
		other := doAs(t, "", "", "GET", s.RepositoryURL("basic")+"/v2/", "").want(t, 401)
		if !strings.HasPrefix(other.header.Get("WWW-Authenticate"), "BASIC ") {
			t.Errorf("forceBasicAuth challenges with %q", other.header.Get("WWW-Authenticate"))
		}
		guest := doAs(t, "", "", "GET", d+"/v2/token", "")
		if anonymous {
			token := decode[struct{ Token string }](t, guest.want(t, 200).body).Token
			doAs(t, "", "", "GET", d+"/v2/", "", "Authorization", "Bearer "+token).want(t, 200)
			doAs(t, "", "", "POST", d+"/v2/app/blobs/uploads/", "", "Authorization", "Bearer "+token).want(t, 401)
			doAs(t, "", "", "GET", s.RepositoryURL("basic")+"/v2/", "", "Authorization", "Bearer "+token).want(t, 401)
		} else {
			guest.want(t, 401)
		}
		token := decode[struct{ Token string }](t, do(t, "GET", s.URL+"/v2/token", "").want(t, 200).body).Token
		if !strings.HasPrefix(token, "DockerToken.") {
			t.Errorf("token %q", token)
		}
		doAs(t, "", "", "POST", d+"/v2/app/blobs/uploads/", "", "Authorization", "Bearer "+token).want(t, 202)
		doAs(t, "", "", "GET", d+"/v2/", "", "Authorization", "Bearer nonsense").want(t, 401)
		do(t, "GET", d+"/v2/", "").want(t, 200)
	}
	plain := nexustest.Start(t, nexustest.Options{Repositories: repos})
	do(t, "GET", plain.DockerURL("d")+"/v2/token", "").want(t, 404)
}
