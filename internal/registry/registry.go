// Package registry pushes to and reads from any registry that speaks the OCI
// distribution protocol: Distribution, Harbor, Nexus behind a connector port or
// behind /repository/<name>.
//
// What it sends is hashed on the way, and what it has sent counts only when the
// registry names the same digest or gives the bytes back. Uploads start anew
// with a reopened source when they break; requests without a streamed body are
// retried by the transport. Absence is what 404 says and nothing else.
//
// It decides no order and no names: blobs before manifests, platforms before
// indexes and tags last is the business of its callers, as is one upload at a
// time per digest.
package registry

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strings"
	"sync/atomic"

	oras "oras.land/oras-go/v2/registry"

	"airbundle/internal/httpx"
)

// How PushBlob made a blob present.
const (
	Present = "present" // it was there
	Mounted = "mounted" // taken from another repository of the registry
	Sent    = "sent"    // uploaded
)

// Options say where a registry is and how to talk to it.
type Options struct {
	// Base is scheme://host[:port][/prefix]; /v2/ is appended.
	Base *url.URL
	// Client is made by httpx.NewClient, which guards redirects. Nil: http.DefaultClient.
	Client *http.Client
	// Username and Password are sent as Basic credentials with the first request already.
	Username, Password string
	// TokenHosts are hosts other than the registry's own (host[:port], https
	// only) at which the login may be exchanged for a token.
	TokenHosts []string
	// Login replaces Username, Password and TokenHosts with a login that
	// several clients of one server share.
	Login *Login
	// SinglePost is for Nexus: a blob goes up with one POST, until the server
	// answers that it wants a session, and mounting is not tried, because a blob is
	// kept once for all image names.
	SinglePost bool
	// OneHost is for Nexus too: uploads that it sends to another host, port or scheme go
	// to the same path here. Without it they are refused.
	OneHost bool
	// Witness is another way to the same registry, and surely to that one: the first blob
	// that this way has must be there too. Where the witness cannot be asked, this way is
	// believed. Nil: there is none.
	Witness *Registry
	// Retry says how often an upload is begun.
	Retry Retry
}

// A Registry is a client of one registry. It is safe for concurrent use.
type Registry struct {
	base       *url.URL
	client     *http.Client
	login      *Login
	retry      Retry
	oneHost    bool
	witness    *Registry
	seen       atomic.Bool // the witness was asked
	singlePost atomic.Bool
}

// New returns a client. It does not touch the network.
func New(o Options) *Registry {
	base := *o.Base
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	if base.Path != "" {
		base = *base.JoinPath("/") // one slash before it, which the URL of a caller may lack
	}
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	r := &Registry{base: &base, client: o.Client, login: o.Login, oneHost: o.OneHost, witness: o.Witness, retry: o.Retry}
	if r.client == nil {
		r.client = http.DefaultClient
	}
	if r.login == nil {
		r.login = NewLogin(&base, o.Username, o.Password, o.TokenHosts...)
	}
	r.singlePost.Store(o.SinglePost)
	return r
}

// Ping asks whether a registry answers at the base and takes the login.
func (r *Registry) Ping(ctx context.Context) error {
	resp, err := r.do(ctx, http.MethodGet, r.base.JoinPath("v2/"), nil)
	if err == nil {
		err = CheckStatus(resp, http.StatusOK)
	}
	if err != nil {
		return fmt.Errorf("ask registry %s: %w", httpx.RedactURL(r.base), advise(err))
	}
	return resp.Body.Close()
}

// Speaks asks, with no login, whether what answers at the base is a registry: 200 or 401,
// with the header by which registries name their API, or in JSON, as no web page is. It returns the headers of the
// answer. The credentials of somebody who asked the wrong port stay with him.
func (r *Registry) Speaks(ctx context.Context) (http.Header, error) {
	u := r.base.JoinPath("v2/")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := send(r.client, req)
	if err == nil {
		err = CheckStatus(resp, http.StatusOK, http.StatusUnauthorized)
	}
	if err != nil {
		return nil, fmt.Errorf("ask registry %s: %w", httpx.RedactURL(r.base), err)
	}
	_ = resp.Body.Close()
	if resp.Header.Get("Docker-Distribution-Api-Version") == "" && !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		return nil, refuse("what answers at %s is no registry: %s without a Docker-Distribution-Api-Version, and not in JSON", httpx.RedactURL(u), resp.Status)
	}
	return resp.Header, nil
}

// url builds the URL of something in repo. The grammar of names is checked, so
// a name out of a bundle cannot lead anywhere else.
func (r *Registry) url(repo string, elem ...string) (*url.URL, error) {
	if err := (oras.Reference{Repository: repo}).ValidateRepository(); err != nil {
		return nil, fmt.Errorf("repository name %q: %w", repo, err)
	}
	return r.base.JoinPath(append([]string{"v2", repo}, elem...)...), nil
}

func (r *Registry) manifestURL(repo, ref string) (*url.URL, error) {
	if err := (oras.Reference{Reference: ref}).ValidateReference(); err != nil || ref == "" {
		return nil, fmt.Errorf("reference %q is neither a tag nor a digest", ref)
	}
	return r.url(repo, "manifests", ref)
}

// name is how errors call a repository: host/prefix/repo.
func (r *Registry) name(repo string) string { return r.base.Host + path.Join("/", r.base.Path, repo) }

// do sends a request without a body.
func (r *Registry) do(ctx context.Context, method string, u *url.URL, header http.Header, scopes ...string) (*http.Response, error) {
	return r.doBody(ctx, method, u, header, nil, scopes...)
}

func (r *Registry) doBody(ctx context.Context, method string, u *url.URL, header http.Header, body io.Reader, scopes ...string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), body)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Header, header)
	return r.login.Do(r.client, req, scopes...)
}

func pull(repo string) string { return "repository:" + repo + ":pull" }
func push(repo string) string { return "repository:" + repo + ":pull,push" }
