package image

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// defaultPatience is how long a credential helper may take.
const defaultPatience = 30 * time.Second

// A loginKey tells logins apart: one user at one registry.
type loginKey struct {
	host string
	as   authn.AuthConfig
}

// A login is a set of credentials at one registry. Until the registry has
// accepted them once, requests with them go one at a time, and its first no is
// final: a bundle of two hundred images must not lock the account out.
type login struct {
	host     string
	auth     authn.Authenticator
	accepted atomic.Bool

	turn    chan struct{} // guards refused, and the requests until accepted
	refused error
}

// enter waits for the turn of a request; leave must be called with its outcome
// and returns what to say of it.
func (l *login) enter(ctx context.Context) (leave func(refused bool, err error) error, err error) {
	free := func(_ bool, err error) error { return err }
	if l.accepted.Load() {
		return free, nil
	}
	if err := acquire(ctx, l.turn); err != nil {
		return nil, err
	}
	switch {
	case l.refused != nil:
		defer release(l.turn)
		return nil, l.refused
	case l.accepted.Load():
		release(l.turn)
		return free, nil
	}
	return func(refused bool, err error) error {
		defer release(l.turn)
		if refused {
			l.refused = fmt.Errorf("%s refused the credentials for it, and is not asked again: %w", l.host, err)
			return l.refused
		}
		if answered(err) {
			l.accepted.Store(true)
		}
		return err
	}, nil
}

// answered reports whether the registry has judged a request by its content,
// and so was content with the credentials.
func answered(err error) bool {
	switch httpx.StatusCode(err) {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		return true
	}
	return err == nil
}

// lookUp asks the keychain for the credentials of a repository. The keychain may
// run a helper program, which can hang and which no context stops.
func (h *registries) lookUp(ctx context.Context, repo name.Repository) (*login, error) {
	type answer struct {
		auth   authn.Authenticator
		config *authn.AuthConfig
		err    error
	}
	patience, cancel := context.WithTimeoutCause(ctx, h.patience, fmt.Errorf("no answer within %s", h.patience))
	defer cancel()
	found := make(chan answer, 1)
	go func() {
		var a answer
		if a.auth, a.err = authn.Resolve(patience, h.keychain, repo); a.err == nil {
			a.config, a.err = authn.Authorization(patience, a.auth)
		}
		found <- a
	}()
	select {
	case a := <-found:
		if a.err != nil {
			return nil, report.WithClass(report.ClassLocal, fmt.Errorf("find the credentials for %s: %s", repo.RegistryStr(), firstLine(a.err)))
		}
		return h.loginFor(repo.RegistryStr(), a.auth, *a.config), nil
	case <-patience.Done():
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		return nil, report.WithClass(report.ClassLocal, fmt.Errorf("find the credentials for %s: %w", repo.RegistryStr(), context.Cause(patience)))
	}
}

func (h *registries) loginFor(host string, auth authn.Authenticator, as authn.AuthConfig) *login {
	h.mu.Lock()
	defer h.mu.Unlock()
	key := loginKey{host, as}
	lg := h.logins[key]
	if lg == nil {
		lg = &login{host: host, auth: auth, turn: make(chan struct{}, 1)}
		if as == (authn.AuthConfig{}) {
			lg.auth = authn.Anonymous
			lg.accepted.Store(true) // nothing that could be refused
		}
		h.logins[key] = lg
	}
	return lg
}
