package nexustest

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	challenge     = `BASIC realm="Sonatype Nexus Repository Manager"`
	sessionCookie = "NXSESSIONID"

	loginFailures = 3                // of one user before the Community Edition blocks it
	loginBlock    = 15 * time.Minute // of silence end the block
)

// administrator is the account of Username and Password.
var administrator = &User{Name: Username, Password: Password}

// may says whether the user has the right to do action in repo.
func (u *User) may(repo, action string) bool {
	if u.limited {
		return slices.ContainsFunc(u.granted, func(p privilege) bool { return p.allows(repo, action) })
	}
	return (u.Repositories == nil || slices.Contains(u.Repositories, repo)) &&
		(u.Actions == nil && action != administer || slices.Contains(u.Actions, action))
}

// isAdmin says whether the user may administer the server.
func (u *User) isAdmin() bool { return !u.limited && u.Repositories == nil && u.Actions == nil }

// administer is the action of those who may change a repository's settings.
const administer = "admin"

// actionsOf maps a content request to the rights that it needs. Storing needs
// two, as measured.
func actionsOf(method string) []string {
	switch method {
	case http.MethodGet, http.MethodHead:
		return []string{"read"}
	case http.MethodDelete:
		return []string{"delete"}
	}
	return []string{"add", "edit"}
}

// hasSession tells a request with a session cookie and no CSRF token, which
// Nexus takes for a forged one.
func (x *exchange) hasSession() bool {
	if _, err := x.r.Cookie(sessionCookie); err != nil {
		return false
	}
	return x.r.Header.Get("NX-ANTI-CSRF-TOKEN") == ""
}

// login identifies the caller. It answers, and returns false, when there are
// credentials and they are wrong. No credentials are no error here.
func (x *exchange) login() bool {
	if token, ok := strings.CutPrefix(x.r.Header.Get("Authorization"), "Bearer "); ok && x.isDocker() {
		return x.loginToken(token)
	}
	name, password, ok := x.r.BasicAuth()
	if !ok {
		return true
	}
	if x.s.prof.community && x.route == RouteREST && x.path == "v1/status/writable" {
		return true // does not look at credentials at all
	}
	if x.s.prof.community && x.s.logins.blocked(name) {
		x.w.Header().Set("Retry-After", "30")
		x.htmlError(http.StatusTooManyRequests, "Too many authentication attempts")
		return false
	}
	if x.user = x.s.access.login(name, password); x.user != nil {
		x.s.logins.succeeded(name)
		if x.s.opts.Quirks.SessionCookie {
			x.w.Header()["Set-Cookie"] = []string{sessionCookie + "=" + newUUID() + "; Path=/; HttpOnly"}
		}
		return true
	}
	x.s.logins.failed(name)
	x.unauthorized()
	return false
}

// loginToken identifies the caller by a DockerToken.
func (x *exchange) loginToken(token string) bool {
	x.s.mu.Lock()
	u, ok := x.s.tokens[token]
	x.s.mu.Unlock()
	if !ok || !x.s.access.tokens() {
		x.unauthorized()
		return false
	}
	x.user, x.guest = u, u == nil
	return true
}

// authorize answers, and returns false, when the caller lacks the right.
func (x *exchange) authorize(repo string, actions []string) bool {
	lacks := func(action string) bool { return !x.user.may(repo, action) }
	switch {
	case x.user != nil && !slices.ContainsFunc(actions, lacks):
		return true
	case x.user != nil && x.isDocker():
		x.dockerError(http.StatusForbidden, "DENIED", "requested access to the resource is denied", nil)
	case x.user != nil:
		x.htmlError(http.StatusForbidden, "Forbidden")
	case actions[0] == "read" && x.s.access.open() && (!x.isDocker() || x.guest && x.repository().BearerAuth):
		return true
	default:
		x.unauthorized()
	}
	return false
}

// unauthorized answers 401 in the form of the surface.
func (x *exchange) unauthorized() {
	x.w.Header()["WWW-Authenticate"] = []string{x.challenge()}
	if x.isDocker() {
		x.dockerError(http.StatusUnauthorized, "UNAUTHORIZED", "access to the requested resource is not authorized", nil)
		return
	}
	x.status(http.StatusUnauthorized)
}

// challenge is BASIC, except for docker repositories that let tokens in.
func (x *exchange) challenge() string {
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	bearer := x.s.access.tokens() && r != nil && r.BearerAuth
	x.s.mu.Unlock()
	if !bearer || !x.isDocker() {
		return challenge
	}
	base := ""
	if x.connector == "" {
		base = x.s.opts.ContextPath
	}
	realm := "http://" + x.r.Host + base + "/v2/token"
	if v := x.s.prof.version; strings.HasPrefix(v, "3.77.0-") || strings.HasPrefix(v, "3.77.1-") {
		realm = "null://" + x.r.Host + base + "/v2/token"
	}
	return fmt.Sprintf(`Bearer realm=%q,service=%q,scope="repository:*:pull"`, realm, realm)
}

// serveToken hands out a token for the credentials of the request.
func (x *exchange) serveToken() {
	if !x.s.access.tokens() {
		x.noSuchPage()
		return
	}
	if x.user == nil && !x.s.access.open() {
		x.unauthorized()
		return
	}
	token := "DockerToken." + newUUID()
	x.s.mu.Lock()
	x.s.tokens[token] = x.user
	x.s.mu.Unlock()
	x.write(http.StatusOK, "application/json", []byte(`{"token":"`+token+`"}`))
}

// loginGuard counts bad logins of a user name.
type loginGuard struct {
	mu   sync.Mutex
	now  func() time.Time
	bad  map[string]int
	last map[string]time.Time
}

func (g *loginGuard) init(now func() time.Time) {
	g.now, g.bad, g.last = now, map[string]int{}, map[string]time.Time{}
}

// blocked says whether the name has failed too often. Asking renews the block.
func (g *loginGuard) blocked(name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.now().Sub(g.last[name]) > loginBlock {
		g.bad[name] = 0
	}
	if g.bad[name] < loginFailures {
		return false
	}
	g.last[name] = g.now()
	return true
}

func (g *loginGuard) failed(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bad[name]++
	g.last[name] = g.now()
}

func (g *loginGuard) succeeded(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.bad[name] = 0
}

// newUUID returns a random UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
