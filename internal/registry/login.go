package registry

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"airbundle/internal/httpx"
)

// expectFrom is the size from which a body waits for the server's word: a server
// that answers without reading would otherwise reset the connection.
const expectFrom = 64 << 10

// A Login is one set of credentials for one origin (scheme, host and port), and
// what became of it. All clients of a server share one: a wrong password is then
// tried once and not once a worker, which would lock the account.
//
// Basic credentials go with the first request already. Only where they, or no
// credentials, are answered with a Bearer challenge is a token fetched.
type Login struct {
	origin         *url.URL
	user, password string
	tokenHosts     []string

	first chan struct{} // held by the one request that finds out whether the login is good

	mu         sync.Mutex
	proven     bool
	refused    *refusal
	challenge  map[string]string // of the token server, once seen
	tokens     map[string]string // by scopes
	withheld   string            // token host that was not shown the credentials
	tokenless  bool              // all tries to get the last token were in vain
	noContinue bool              // the server ignores Expect: 100-continue
}

// A refusal is the server's word, once given, that it does not take the credentials. All
// ports of a server share one: what one has refused is not shown to the other.
type refusal struct {
	mu  sync.Mutex
	err error
}

func (r *refusal) get() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

func (r *refusal) set(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
	}
}

// judge keeps everybody waiting until an answer has been read that may refuse the
// credentials: its end makes room for the next request.
func (r *refusal) judge(read func() (refused bool, err error)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	refused, err := read()
	if refused && r.err == nil {
		r.err = err
	}
	return err
}

// NewLogin returns a login at the origin of base. Without a user it is anonymous.
// Token servers other than the origin's host get the credentials only when
// tokenHosts names them, and only over https.
func NewLogin(base *url.URL, user, password string, tokenHosts ...string) *Login {
	return &Login{
		origin: base, user: user, password: password, tokenHosts: tokenHosts,
		first: make(chan struct{}, 1), tokens: map[string]string{}, refused: new(refusal),
	}
}

// At returns a login with the same credentials for another origin of the same server,
// such as a connector port that its API names.
func (l *Login) At(origin *url.URL) *Login {
	at := NewLogin(origin, l.user, l.password, l.tokenHosts...)
	at.refused = l.refused
	return at
}

// Do sends req with the credentials. A 401 that stands, and a 429 that blocks the
// login, are errors; any other answer is the caller's. Scopes are what a token
// has to be good for, such as "repository:team/app:pull".
func (l *Login) Do(c *http.Client, req *http.Request, scopes ...string) (*http.Response, error) {
	if !httpx.SameOrigin(req.URL, l.origin) {
		httpx.CloseRequest(req)
		return nil, refuse("send the login for %s to %s: refused", l.origin.Host, httpx.RedactURL(req.URL))
	}
	release, err := l.enter(req.Context())
	if err != nil {
		httpx.CloseRequest(req)
		return nil, err
	}
	defer release()
	key := strings.Join(scopes, " ")
	// Whoever waits in the transport when the login is refused does not leave any more.
	authorized := req.Clone(httpx.WithStop(req.Context(), l.refused.get))
	if err := l.authorize(c, authorized, scopes, key); err != nil {
		httpx.CloseRequest(req)
		return nil, err
	}
	resp, err := send(c, authorized)
	if err != nil {
		return nil, err
	}
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		return l.unauthorized(c, req, resp, scopes, key)
	case http.StatusTooManyRequests:
		return nil, l.refused.judge(func() (bool, error) {
			err := CheckStatus(resp)
			se, ok := errors.AsType[*httpx.StatusError](err)
			return ok && se.LoginBlocked(), err
		})
	}
	if resp.StatusCode < http.StatusInternalServerError {
		l.prove()
	}
	return resp, nil
}

// taken are the answers of a server that has read the body; 202 is given without.
var taken = []int{http.StatusOK, http.StatusCreated, http.StatusNoContent}

// DoBody is Do for a request with a large body: it asks with Expect: 100-continue
// whether the body is welcome, unless the server has shown that it ignores that.
func (l *Login) DoBody(c *http.Client, req *http.Request, scopes ...string) (*http.Response, error) {
	l.mu.Lock()
	ask := !l.noContinue && req.ContentLength >= expectFrom
	l.mu.Unlock()
	if !ask {
		return l.Do(c, req, scopes...)
	}
	var continued atomic.Bool
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got100Continue: func() { continued.Store(true) },
	}))
	req.Header.Set("Expect", "100-continue")
	resp, err := l.Do(c, req, scopes...)
	if err == nil && resp.StatusCode == http.StatusExpectationFailed {
		l.mu.Lock()
		l.noContinue = true // RFC 9110, 10.1.1: again, without asking
		l.mu.Unlock()
		return nil, &againError{CheckStatus(resp)}
	}
	if err == nil && !continued.Load() && slices.Contains(taken, resp.StatusCode) {
		l.mu.Lock()
		l.noContinue = true // it took the body after we had waited in vain
		l.mu.Unlock()
	}
	return resp, err
}

// enter lets one request at a time through until the login is known to be good.
func (l *Login) enter(ctx context.Context) (release func(), err error) {
	if known, err := l.known(); known {
		return func() {}, err
	}
	select {
	case l.first <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release = func() { <-l.first }
	known, err := l.known()
	if err != nil {
		release()
		return nil, err
	}
	if known {
		release()
		return func() {}, nil
	}
	return release, nil
}

func (l *Login) known() (bool, error) {
	err := l.refused.get()
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.user == "" || l.proven || err != nil, err
}

func (l *Login) prove() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proven = true
}

// authorize sets the Authorization header: a token where the server wants tokens,
// else Basic, else nothing.
func (l *Login) authorize(c *http.Client, req *http.Request, scopes []string, key string) error {
	l.mu.Lock()
	challenge, token := l.challenge, l.tokens[key]
	l.mu.Unlock()
	if challenge == nil {
		if l.user != "" {
			req.SetBasicAuth(l.user, l.password)
		}
		return nil
	}
	if token == "" {
		var err error
		if token, err = l.fetch(req.Context(), c, challenge, scopes, key); err != nil {
			return err
		}
	}
	req.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// unauthorized answers a 401: with a fresh token if the server wants one, and
// otherwise by giving up for good.
func (l *Login) unauthorized(c *http.Client, req *http.Request, resp *http.Response, scopes []string, key string) (*http.Response, error) {
	challenge, bearer := bearerChallenge(resp.Header)
	ours := httpx.SameOrigin(resp.Request.URL, l.origin)
	err := l.refused.judge(func() (bool, error) { return ours && !bearer && l.user != "", CheckStatus(resp) })
	if !ours {
		return nil, fmt.Errorf("%w (a redirect led there, where the login is not shown; if that is the right server, use its URL)", err)
	}
	if !bearer {
		return nil, err
	}
	l.mu.Lock()
	l.challenge = challenge
	l.mu.Unlock()
	token, terr := l.fetch(req.Context(), c, challenge, scopes, key)
	if as[*realmError](terr) && l.user != "" {
		// Nexus 3.77 to 3.80 name realms that lead nowhere. The login was shown and refused.
		err = fmt.Errorf("%w; and %w", err, terr)
		l.refused.set(err)
		return nil, err
	}
	if terr != nil {
		return nil, terr
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return nil, &againError{err}
	}
	again := req.Clone(httpx.WithStop(req.Context(), l.refused.get))
	if req.GetBody != nil {
		if again.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	}
	again.Header.Set("Authorization", "Bearer "+token)
	resp, err = send(c, again)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		return nil, l.explain(CheckStatus(resp))
	}
	if err == nil && resp.StatusCode < http.StatusInternalServerError {
		l.prove()
	}
	return resp, err
}

// explain adds why a login may not have helped.
func (l *Login) explain(err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.withheld == "" {
		return err
	}
	return fmt.Errorf("%w (the login for %s was not shown to the token server %s, which is another host)", err, l.origin.Host, l.withheld)
}

// send is the client's Do; a redirect that the client refuses is not tried again.
func send(c *http.Client, req *http.Request) (*http.Response, error) {
	resp, err := httpx.Do(c, req)
	if err != nil && resp != nil { // only when CheckRedirect failed
		return nil, &refusedError{err}
	}
	return resp, err
}

func (l *Login) knowsTokenHost(u *url.URL) bool {
	return slices.ContainsFunc(l.tokenHosts, func(h string) bool {
		return strings.EqualFold(h, u.Host) || strings.EqualFold(h, httpx.HostPort(u))
	})
}
