package image

import (
	"context"
	"sync"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"

	"airbundle/internal/credential"
)

// A dockerKeychain finds the logins of the docker config. Those that stand in the file the
// library reads; helper programs are run by package credential, because the library would
// let them print to our standard error and wait for them for ever.
type dockerKeychain struct {
	files authn.Keychain

	turn   chan struct{} // one helper at a time: it may ask a person
	mu     sync.Mutex
	failed map[string]error // by registry: a helper that hangs is waited for once
}

func newDockerKeychain() *dockerKeychain {
	return &dockerKeychain{files: authn.DefaultKeychain, turn: make(chan struct{}, 1), failed: map[string]error{}}
}

// Resolve implements authn.Keychain.
func (k *dockerKeychain) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain.
func (k *dockerKeychain) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	helpers, err := credential.Read(true)
	if err != nil {
		return nil, err
	}
	host := target.RegistryStr()
	servers := []string{target.String(), host}
	if host == name.DefaultRegistry {
		servers[1] = authn.DefaultAuthKey
	}
	if !helpers.Asks(servers...) {
		return authn.Resolve(ctx, k.files, target)
	}
	if err := acquire(ctx, k.turn); err != nil {
		return nil, err
	}
	defer release(k.turn)
	if err := k.known(host); err != nil {
		return nil, err
	}
	login, err := helpers.Login(ctx, servers...)
	switch {
	case err != nil:
		k.fail(host, err)
		return nil, err
	case login == credential.Login{}:
		return authn.Anonymous, nil
	case login.Username == credential.IdentityToken:
		return authn.FromConfig(authn.AuthConfig{Username: login.Username, IdentityToken: login.Secret}), nil
	}
	return authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Secret}), nil
}

func (k *dockerKeychain) known(host string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.failed[host]
}

func (k *dockerKeychain) fail(host string, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.failed[host] = err
}
