package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/registrytest"
)

type tokens struct {
	realm          string
	basicToo       bool // challenge Basic as well
	user, password string

	mu     sync.Mutex
	serial int
	scopes map[string]string // token -> scopes
	uses   int               // how often the newest token works; 0: always
}

func (a *tokens) wrap(next http.Handler) http.Handler {
	a.scopes = map[string]string{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			a.issue(w, r)
			return
		}
		want := "pull"
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			want = "push"
		}
		a.mu.Lock()
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		scopes, ok := a.scopes[token]
		if ok && a.uses > 0 {
			if a.uses--; a.uses == 0 {
				delete(a.scopes, token)
			}
		}
		a.mu.Unlock()
		if !ok || r.URL.Path != "/v2/" && !strings.Contains(scopes, want) {
			realm := a.realm
			if realm == "" {
				realm = "http://" + r.Host + "/token"
			}
			if a.basicToo {
				w.Header().Add("WWW-Authenticate", `Basic realm="x", charset="UTF-8"`)
			}
			w.Header().Add("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="reg, \"the\" one",scope="repository:*:pull"`, realm))
			w.WriteHeader(401)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (a *tokens) issue(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, p, _ := r.BasicAuth()
	if a.user != "" && (u != a.user || p != a.password) || r.URL.Query().Get("service") != `reg, "the" one` {
		w.WriteHeader(401)
		return
	}
	a.serial++
	token := fmt.Sprint("token-", a.serial)
	a.scopes[token] = strings.Join(r.URL.Query()["scope"], " ")
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": token})
}

// Contract 0.1/2, 3.2.
func TestTokens(t *testing.T) {
	for label, tt := range map[string]struct {
		user string
		uses int
	}{
		"anonymous": {}, "with a login": {user: "admin"},
		"expiring": {user: "admin", uses: 3},
	} {
		t.Run(label, func(t *testing.T) {
			auth := &tokens{user: tt.user, password: canary, basicToo: true, uses: tt.uses}
			reg := registrytest.Start(t, registrytest.Options{Wrap: auth.wrap})
			o := options(t, reg.URL)
			if tt.user != "" {
				o.Username, o.Password = tt.user, canary
			}
			o.SinglePost = true
			r := registry.New(o)
			if err := r.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			for i := range 3 {
				if tt.uses > 0 {
					auth.mu.Lock()
					auth.uses = tt.uses + i
					auth.mu.Unlock()
				}
				src := &source{data: content(200_000 + i)}
				if _, how, err := r.PushBlob(t.Context(), "team/app", describe(src.data), []string{"x"}, src.open); err != nil || how != registry.Sent {
					t.Fatalf("%q, %v", how, err)
				}
				if code, got := storedWith(t, auth, reg, src.data); code != 200 || !bytes.Equal(got, src.data) {
					t.Errorf("stored: %d, %d bytes", code, len(got))
				}
			}
			raw, _ := image(t, r, "team/app", 7)
			if err := r.PushManifest(t.Context(), "team/app", "v1", ociManifest, raw); err != nil {
				t.Error(err)
			}
		})
	}
}

func storedWith(t *testing.T, a *tokens, reg *registrytest.Registry, data []byte) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, reg.URL.String()+"/v2/team/app/blobs/"+describe(data).Digest.String(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	uses := a.uses
	a.uses, a.scopes["inspector"] = 0, "pull"
	a.mu.Unlock()
	req.Header.Set("Authorization", "Bearer inspector")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.mu.Lock()
	a.uses = uses
	a.mu.Unlock()
	return resp.StatusCode, b
}

func TestWrongPasswordWithTokens(t *testing.T) {
	auth := &tokens{user: "admin", password: "right"}
	reg := registrytest.Start(t, registrytest.Options{Wrap: auth.wrap})
	o := options(t, reg.URL)
	o.Username, o.Password = "admin", canary
	r := registry.New(o)
	for range 3 {
		matches(t, r.Ping(t.Context()), "ask 127.0.0.1:[0-9]+ for a token: .*401")
	}
	if n := len(reg.Requests()); n != 2 {
		t.Errorf("%d requests with the wrong password", n)
	}
}

// Contract 3.2.
func TestRealmTraps(t *testing.T) {
	issue := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"token":"useless"}`) }
	plain := startTrap(t, false, issue)
	secure := startTrap(t, true, issue)
	for _, tt := range []struct{ label, realm, want string }{
		{"null", "null://127.0.0.1/v2/token", "refused, it is neither"},
		{"empty", "", "refused, it is neither|not a URL"},
		{"file", "file:///etc/passwd", "not a URL"},
		{"userinfo", "https://u:" + canary + "@127.0.0.1/token", "not a URL"},
		{"metadata service", "http://169.254.169.254/latest", "refused, it is neither"},
		{"metadata service over TLS", "https://169.254.169.254/latest", "a local address"},
		{"this machine by another address", "https://127.0.0.2/token", "a local address"},
		{"plain http elsewhere", "http://localhost:" + mustParse(plain.URL).Port() + "/token", "refused, it is neither"},
		{"https elsewhere", "https://example.com/token", "not shown to the token server example.com"},
		{"same host, other port", plain.URL + "/token", "not shown to the token server 127.0.0.1"},
	} {
		t.Run(tt.label, func(t *testing.T) {
			auth := &tokens{realm: tt.realm}
			reg := registrytest.Start(t, registrytest.Options{Wrap: auth.wrap})
			if tt.realm == "" {
				reg = registrytest.Start(t, registrytest.Options{Wrap: before(func(w http.ResponseWriter, _ *http.Request) bool {
					w.Header().Set("WWW-Authenticate", "Bearer")
					w.WriteHeader(401)
					return true
				})})
			}
			o := options(t, reg.URL)
			o.Client = httpx.NewClient(secure.Client().Transport) // finds example.com there
			o.Username, o.Password = "admin", canary
			err := registry.New(o).Ping(t.Context())
			matches(t, err, tt.want)
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("password in: %v", err)
			}
			if bad := append(plain.leaked(), secure.leaked()...); len(bad) != 0 {
				t.Errorf("leaked: %q", bad)
			}
		})
	}
}

func TestTokenHostThatWasNamed(t *testing.T) {
	auth := &tokens{user: "admin", password: canary}
	srv := httptest.NewTLSServer(http.HandlerFunc(auth.issue)) // its client finds example.com there
	defer srv.Close()
	port := mustParse(srv.URL).Port()
	for _, tt := range []struct {
		realm, host string
		ok          bool
	}{
		{"https://example.com/token", "example.com", true},
		{"https://example.com/token", "EXAMPLE.com:443", true},
		{"https://example.com/token", "example.com:444", false},
		{"https://example.com/token", "example.org", false},
		{"https://127.0.0.1:" + port + "/token", "", false}, // the host is right, who listens there is not known
		{"https://127.0.0.1:" + port + "/token", "127.0.0.1:" + port, true},
	} {
		auth.realm = tt.realm
		reg := registrytest.Start(t, registrytest.Options{Wrap: auth.wrap})
		o := options(t, reg.URL)
		o.Client = httpx.NewClient(srv.Client().Transport)
		o.Username, o.Password, o.TokenHosts = "admin", canary, []string{tt.host}
		if err := registry.New(o).Ping(t.Context()); (err == nil) != tt.ok {
			t.Errorf("%s, %q: %v", tt.realm, tt.host, err)
		}
	}
}
