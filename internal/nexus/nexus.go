// Package nexus talks to Sonatype Nexus Repository 3, from 3.16 on: what the
// server is, and files in its raw, yum and helm repositories. Docker repositories
// are registries; Docker gives the client for them.
//
// A file counts as written when the server names the checksum of what was sent,
// or gives it back. Where something is there already it is compared first, because
// a repository that does not allow redeployment refuses equal content too.
//
// It makes repositories, but changes no settings of those that are there, and does not
// wait for the metadata that the server builds from what it was given.
package nexus

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// Options say where a Nexus is.
type Options struct {
	// URL is the base, with the context path if there is one.
	URL *url.URL
	// Client is made by httpx.NewClient, which guards redirects. Nil: http.DefaultClient.
	Client *http.Client
	// Username and Password are sent as Basic credentials with every request but
	// those that ask for the server's state.
	Username, Password string
	// PlainHTTP names the docker connectors (host:port) that may be spoken to without TLS
	// although URL has it.
	PlainHTTP []string
	// Retry says how often an upload is begun.
	Retry registry.Retry
}

// A Nexus is a client of one server. It is safe for concurrent use.
type Nexus struct {
	base     *url.URL
	client   *http.Client
	login    *registry.Login
	plain    []string
	retry    registry.Retry
	noSearch atomic.Bool // the search API failed; what it tells can be had in other ways

	mu      sync.Mutex
	docker  map[string]*dockerWays // by repository
	formats map[string]string      // of the repositories that Check has seen
}

// New returns a client. It does not touch the network.
func New(o Options) *Nexus {
	base := *o.URL
	base.User, base.RawQuery, base.Fragment = nil, "", ""
	base.Path, base.RawPath = strings.TrimRight(base.Path, "/"), strings.TrimRight(base.RawPath, "/")
	n := &Nexus{base: &base, client: o.Client, plain: o.PlainHTTP, retry: o.Retry, docker: map[string]*dockerWays{}, formats: map[string]string{}}
	if n.client == nil {
		n.client = http.DefaultClient
	}
	n.login = registry.NewLogin(&base, o.Username, o.Password)
	return n
}

// rest builds the URL of a REST resource.
func (n *Nexus) rest(query url.Values, elem ...string) *url.URL {
	u := n.base.JoinPath(append([]string{"service", "rest"}, elem...)...)
	u.RawQuery = query.Encode()
	return u
}

var repositoryName = regexp.MustCompile(`^[a-zA-Z0-9-][a-zA-Z0-9_.-]*$`)

// content builds the URL of a file. Every byte of its path that is not unreserved
// is encoded: Nexus takes "\" for "/" and cuts at a raw ";".
func (n *Nexus) content(repo, path string) (*url.URL, error) {
	if !repositoryName.MatchString(repo) {
		return nil, fmt.Errorf("%q is no repository name", repo)
	}
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if s == "" || s == "." || s == ".." || strings.ContainsRune(s, '\\') || strings.ContainsFunc(s, isControl) {
			return nil, fmt.Errorf("%q is no path below a repository", path)
		}
		segments[i] = strings.ReplaceAll(url.QueryEscape(s), "+", "%20")
	}
	u := *n.base
	u.RawPath = n.base.EscapedPath() + "/repository/" + repo + "/" + strings.Join(segments, "/")
	u.Path = n.base.Path + "/repository/" + repo + "/" + path
	return &u, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// do sends a request without a body, with the login.
func (n *Nexus) do(ctx context.Context, method string, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	resp, err := n.login.Do(n.client, req)
	if err != nil {
		return nil, err
	}
	return resp, registry.CheckStatus(resp, http.StatusOK)
}

// Open reads a file and tells its size, -1 when the server does not. The content
// is not verified. The error is errdef.ErrNotFound only on 404.
func (n *Nexus) Open(ctx context.Context, repo, path string) (io.ReadCloser, int64, error) {
	u, err := n.content(repo, path)
	if err != nil {
		return nil, 0, err
	}
	resp, err := n.do(ctx, http.MethodGet, u)
	if err != nil {
		return nil, 0, n.failed("read", repo, path, err)
	}
	return resp.Body, resp.ContentLength, nil
}

// failed says what was tried with which file, and what an operator may do.
func (n *Nexus) failed(doing, repo, path string, err error) error {
	hint := ""
	err = nowhere(repo, err)
	if missing, ok := errors.AsType[*NoRepositoryError](err); ok {
		return fmt.Errorf("%s %s: %w", doing, path, missing)
	}
	if unshown, ok := errors.AsType[*unshownError](err); ok {
		return fmt.Errorf("%s %s/%s: %w", doing, repo, path, unshown)
	}
	switch httpx.StatusCode(err) {
	case http.StatusNotFound:
		err = &registry.NotFoundError{Err: err}
	case http.StatusForbidden:
		hint = fmt.Sprintf("the account needs the privileges read, browse, add and edit on %s", repo)
	case http.StatusMethodNotAllowed:
		hint = fmt.Sprintf("%s takes no uploads: is it a group or a proxy? name the hosted repository", repo)
	}
	if se, ok := errors.AsType[*httpx.StatusError](err); ok && (se.Says("detected content type") || se.Says("content type could not be determined")) {
		hint = fmt.Sprintf("%s holds the content against the file's name: switch its strict content type validation off", repo)
	}
	if todo := registry.Advice(err); todo != "" {
		hint = todo
	}
	err = fmt.Errorf("%s %s/%s: %w", doing, repo, path, err)
	if hint != "" {
		return report.Advise(err, hint)
	}
	return err
}

// nowhere tells a missing repository from a missing file by the reason of a 404, and by its
// page where a proxy has dropped the reason. The reason is otherwise the path of the file.
func nowhere(repo string, err error) error {
	se, ok := errors.AsType[*httpx.StatusError](err)
	if !ok || se.Code != http.StatusNotFound {
		return err
	}
	const text = "Repository not found"
	dropped := se.Reason == "" || se.Reason == http.StatusText(se.Code)
	if se.Reason == text || dropped && se.Says(strings.ToLower(text)) {
		return &NoRepositoryError{repo, se}
	}
	return err
}

// A NoRepositoryError says that the server has no repository of that name. It is no
// absence of the file: there is no place where it could be.
type NoRepositoryError struct {
	Repo string
	Err  error
}

func (e *NoRepositoryError) Error() string {
	return fmt.Sprintf("Nexus has no repository %s: %v; %s", e.Repo, e.Err, e.Advice())
}

// Advice says what to do, for reports.
func (*NoRepositoryError) Advice() string { return "create it or name another one" }

// Unwrap returns the server's answer.
func (e *NoRepositoryError) Unwrap() error { return e.Err }

// ExitCode is that of a refusal by the server.
func (e *NoRepositoryError) ExitCode() int { return int(report.ClassRefused) }
