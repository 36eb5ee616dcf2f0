package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"airbundle/internal/httpx"
)

const maxToken = 1 << 20

// fetch gets a token from the realm of a challenge and keeps it under key.
func (l *Login) fetch(ctx context.Context, c *http.Client, challenge map[string]string, scopes []string, key string) (string, error) {
	realm, err := l.realm(challenge["realm"])
	if err != nil {
		return "", &realmError{err}
	}
	q := realm.Query()
	if s := challenge["service"]; s != "" {
		q.Set("service", s)
	}
	if len(scopes) == 0 && challenge["scope"] != "" {
		scopes = strings.Fields(challenge["scope"])
	}
	for _, s := range scopes {
		q.Add("scope", s)
	}
	realm.RawQuery = q.Encode()
	ctx = httpx.FinalStatus(ctx) // what is final to the request that needs the token is not here
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, realm.String(), nil)
	if err != nil {
		return "", err
	}
	shown := l.user != "" && l.mayShow(realm)
	if shown {
		req.SetBasicAuth(l.user, l.password)
	}
	l.mu.Lock()
	if l.user != "" && !shown {
		l.withheld = realm.Host
	}
	if l.tokenless { // the password is not shown again and again to a server that is broken
		req = req.WithContext(httpx.WithAttempts(ctx, 1))
	}
	l.mu.Unlock()
	token, err := askToken(c, req)
	if err != nil {
		l.mu.Lock()
		l.tokenless = l.tokenless || ctx.Err() == nil && unavailable(err)
		l.mu.Unlock()
		err = l.explain(fmt.Errorf("ask %s for a token: %w", realm.Host, err))
		if shown && refusesLogin(err) {
			l.refused.set(err)
		}
		return "", err
	}
	l.mu.Lock()
	l.tokens[key], l.tokenless = token, false
	l.mu.Unlock()
	return token, nil
}

// unavailable tells what was tried again and again from what was an answer.
func unavailable(err error) bool {
	if se, ok := errors.AsType[*httpx.StatusError](err); ok {
		return se.Transient()
	}
	return as[*httpx.UnavailableError](err)
}

// A realmError says that a challenge names a token server that is not asked.
type realmError struct{ err error }

func (e *realmError) Error() string { return e.err.Error() }
func (e *realmError) Unwrap() error { return e.err }

// refusesLogin tells the answers of a token server that does not take the credentials.
func refusesLogin(err error) bool {
	se, ok := errors.AsType[*httpx.StatusError](err)
	return ok && (se.Code == http.StatusUnauthorized || se.Code == http.StatusForbidden || se.LoginBlocked())
}

func askToken(c *http.Client, req *http.Request) (string, error) {
	resp, err := send(c, req)
	if err != nil {
		return "", err
	}
	if err := CheckStatus(resp, http.StatusOK); err != nil {
		return "", err
	}
	raw, err := ReadBody(resp, maxToken)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
	}
	if json.Unmarshal(raw, &answer) != nil {
		return "", refuse("the answer is not JSON") // and is not quoted: it may hold a token
	}
	if answer.Token == "" {
		answer.Token = answer.AccessToken
	}
	if answer.Token == "" {
		return "", refuse("the answer holds no token")
	}
	return answer.Token, nil
}

// realm judges where a challenge sends us: over https to any host, or over http
// to the host that we speak http with anyway, but never to this machine or a
// metadata service unless the registry is there itself.
func (l *Login) realm(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, refuse("token server %q of %s is not a URL that can be asked", httpx.Redact(raw), l.origin.Host)
	}
	same := strings.EqualFold(u.Hostname(), l.origin.Hostname())
	switch {
	case u.Scheme == "https":
	case u.Scheme == "http" && same && l.origin.Scheme == "http":
	default:
		return nil, refuse("token server %s of %s: refused, it is neither https nor the registry itself", httpx.RedactURL(u), httpx.RedactURL(l.origin))
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil && !same {
		if addr = addr.Unmap(); addr.IsLoopback() || addr.IsLinkLocalUnicast() || addr.IsUnspecified() {
			return nil, refuse("token server %s of %s: refused, a local address", httpx.RedactURL(u), l.origin.Host)
		}
	}
	u.Fragment = ""
	return u, nil
}

// mayShow says whether a token server gets the credentials: the registry's own
// origin, its own host name over https at the same port or the usual one, or a host that
// was named for it. Who listens at another port of the host may be somebody else.
func (l *Login) mayShow(u *url.URL) bool {
	switch {
	case httpx.SameOrigin(u, l.origin):
		return true
	case u.Scheme != "https":
		return false
	case strings.EqualFold(u.Hostname(), l.origin.Hostname()):
		at := httpx.HostPort(u)
		return at == httpx.HostPort(l.origin) || strings.HasSuffix(at, ":443") || l.knowsTokenHost(u)
	}
	return l.knowsTokenHost(u)
}
