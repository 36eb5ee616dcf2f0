package image

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/manifest"
)

// registries are all registries that a Source reads from. Of go-containerregistry
// it uses names, credentials and the authenticating transport. Its fetchers stay
// unused: they read manifests of up to 100 MiB, hold four downloads at most, and
// follow the urls of foreign layers.
type registries struct {
	wire     *wire
	keychain authn.Keychain
	patience time.Duration // with the keychain

	mu           sync.Mutex
	repositories map[string]*repository
	logins       map[loginKey]*login
}

func newRegistries(o Options) *registries {
	h := &registries{
		wire:         &wire{next: o.Transport, plain: o.PlainHTTP},
		keychain:     o.Keychain,
		patience:     defaultPatience,
		repositories: map[string]*repository{},
		logins:       map[loginKey]*login{},
	}
	if h.wire.next == nil {
		h.wire.next = http.DefaultTransport
	}
	if h.keychain == nil {
		h.keychain = newDockerKeychain()
	}
	return h
}

// origin returns the place that a full reference names. Where the reference
// has both a tag and a digest, the digest counts.
func (h *registries) origin(ref reference.Named) (origin, error) {
	registry, err := name.NewRegistry(reference.Domain(ref))
	if err != nil {
		return nil, usage("image %s: %w", ref, err)
	}
	n := &named{}
	if t, ok := ref.(reference.Tagged); ok {
		n.tag = t.Tag()
	}
	if d, ok := ref.(reference.Digested); ok {
		n.pinned = d.Digest()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	n.repository = h.repositories[ref.Name()]
	if n.repository == nil {
		n.repository = &repository{hub: h, name: registry.Repo(reference.Path(ref)), turn: make(chan struct{}, 1)}
		h.repositories[ref.Name()] = n.repository
	}
	return n, nil
}

// A named is the origin behind a registry reference.
type named struct {
	*repository
	tag    string
	pinned digest.Digest
}

func (n *named) resolve(ctx context.Context) (document, error) {
	if n.pinned != "" {
		return n.manifest(ctx, n.pinned)
	}
	doc, claimed, err := n.fetch(ctx, n.tag, "")
	if err == nil && claimed != doc.desc.Digest {
		doc, err = n.settle(ctx, doc, claimed)
	}
	if err != nil {
		return document{}, err
	}
	n.keep(doc)
	return doc, nil
}

// A repository is one repository of one registry, with the login that all
// requests to it share.
type repository struct {
	hub  *registries
	name name.Repository

	turn   chan struct{} // held while login and client are being made
	login  *login
	client *http.Client

	mu     sync.Mutex
	latest document // see keep
}

// keep remembers the document that a tag gave, so that asking for it by digest,
// which is what comes next, does not count twice against the registry's rate
// limit. One is enough, and bounds the memory.
func (r *repository) keep(doc document) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.latest = doc
}

func (r *repository) kept(dgst digest.Digest) (document, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.latest.desc.Digest != dgst {
		return document{}, false
	}
	doc := r.latest
	r.latest = document{}
	return doc, true
}

func (r *repository) manifest(ctx context.Context, dgst digest.Digest) (document, error) {
	if doc, ok := r.kept(dgst); ok {
		return doc, nil
	}
	doc, _, err := r.fetch(ctx, dgst.String(), dgst)
	return doc, err
}

// fetch reads a manifest or index by tag or digest. The bytes decide what it is; claimed is
// what the server says of their digest.
func (r *repository) fetch(ctx context.Context, identifier string, want digest.Digest) (doc document, claimed digest.Digest, err error) {
	resp, err := r.get(ctx, "manifests/"+identifier, strings.Join(acceptTypes, ", "))
	if err != nil {
		return document{}, "", err
	}
	defer resp.Body.Close()
	place := r.url("manifests/" + identifier).String()
	raw, err := readDocument(place, resp.Body, resp.ContentLength, manifest.MaxImageJSON)
	if err != nil {
		return document{}, "", err
	}
	doc, err = newDocument(place, raw, want, resp.Header.Get("Content-Type"))
	return doc, claim(resp.Header, raw, doc.desc.Digest), err
}

func (r *repository) blob(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	path := "blobs/" + desc.Digest.String()
	resp, err := r.get(ctx, path, "")
	if err != nil {
		return nil, err
	}
	if resp.ContentLength >= 0 {
		if err := checkSize(r.url(path).String(), desc, resp.ContentLength); err != nil {
			resp.Body.Close()
			return nil, err
		}
	}
	return resp.Body, nil
}

func (r *repository) url(path string) *url.URL {
	scheme := "https"
	if r.hub.wire.isPlain(r.name.RegistryStr()) {
		scheme = "http"
	}
	return &url.URL{Scheme: scheme, Host: r.name.RegistryStr(), Path: "/v2/" + r.name.RepositoryStr() + "/" + path}
}

// get asks for path below the repository, logged in; the answer is a 200.
func (r *repository) get(ctx context.Context, path, accept string) (*http.Response, error) {
	lg, err := r.credentials(ctx)
	if err != nil {
		return nil, err
	}
	leave, err := lg.enter(ctx)
	if err != nil {
		return nil, err
	}
	resp, refused, err := r.send(ctx, lg, path, accept)
	return resp, leave(refused, err)
}

// send is get without the turn of the login. refused says that the credentials
// were turned down, rather than what was asked with them.
func (r *repository) send(ctx context.Context, lg *login, path, accept string) (resp *http.Response, refused bool, err error) {
	client, err := r.connect(ctx, lg)
	if err != nil {
		return nil, httpx.StatusCode(err) == http.StatusUnauthorized, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.url(path).String(), nil)
	if err != nil {
		return nil, false, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	resp, err = httpx.Do(client, req)
	if err != nil {
		return nil, false, translate(err)
	}
	// A 401 that asks for a token comes to a login that was good enough to get one
	// before; one of a host that was redirected to says nothing of the login here.
	basic := httpx.SameOrigin(resp.Request.URL, req.URL) && slices.ContainsFunc(resp.Header.Values("WWW-Authenticate"), func(v string) bool {
		return strings.HasPrefix(strings.ToLower(v), "basic")
	})
	if err := httpx.CheckStatus(resp, http.StatusOK); err != nil {
		return nil, basic && httpx.StatusCode(err) == http.StatusUnauthorized, err
	}
	return resp, false, nil
}

// credentials looks up once what the repository is read with.
func (r *repository) credentials(ctx context.Context) (*login, error) {
	if err := acquire(ctx, r.turn); err != nil {
		return nil, err
	}
	defer release(r.turn)
	if r.login == nil {
		lg, err := r.hub.lookUp(ctx, r.name)
		if err != nil {
			return nil, err
		}
		r.login = lg
	}
	return r.login, nil
}

// connect makes the repository's client once: the registry is asked how it wants
// to be spoken to, and for a token where it wants one. Only success is kept.
func (r *repository) connect(ctx context.Context, lg *login) (*http.Client, error) {
	if err := acquire(ctx, r.turn); err != nil {
		return nil, err
	}
	defer release(r.turn)
	if r.client == nil {
		rt, err := transport.NewWithContext(ctx, r.name.Registry, lg.auth, r.hub.wire, []string{r.name.Scope(transport.PullScope)})
		if err != nil {
			return nil, translate(err)
		}
		r.client = httpx.NewClient(rt)
	}
	return r.client, nil
}

// acquire takes a turn, which unlike a mutex can be given up waiting for.
func acquire(ctx context.Context, turn chan struct{}) error {
	select {
	case turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func release(turn chan struct{}) { <-turn }
