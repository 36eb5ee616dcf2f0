package nexus

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// connectorWait bounds the question whether a registry answers on a connector port: a
// firewall may swallow it.
const connectorWait = 5 * time.Second

// A Via says by which way docker repositories are reached.
type Via string

// The ways to a docker repository.
const (
	ViaAuto      Via = "auto"      // the connector where there is a usable one, else the main port
	ViaMain      Via = "main"      // <base>/repository/<name>/v2/
	ViaConnector Via = "connector" // the port that the repository's settings name
)

// dockerWays are the clients of one docker repository.
type dockerWays struct {
	main *registry.Registry

	mu        sync.Mutex // held while the connector is looked for
	looked    bool
	connector *registry.Registry
	err       error // why there is none
}

func (n *Nexus) ways(repo string) *dockerWays {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.docker[repo] == nil {
		n.docker[repo] = &dockerWays{main: registry.New(n.dockerOptions(n.base.JoinPath("repository", repo), n.login))}
	}
	return n.docker[repo]
}

func (n *Nexus) dockerOptions(base *url.URL, login *registry.Login) registry.Options {
	return registry.Options{Base: base, Client: n.client, Login: login, SinglePost: true, OneHost: true, Retry: n.retry}
}

// Docker returns the client for a docker repository on the main port, where no
// connector port has to be known. It shares the login, and is the same one each time,
// for it learns how the server wants its uploads.
func (n *Nexus) Docker(repo string) *registry.Registry { return n.ways(repo).main }

// DockerVia returns the client for a docker repository by the way that is asked for,
// and a note for people where auto does not take the connector that there is.
//
// The connector comes first, because it is the way of all other clients, and proxies in
// front of the main port often limit the size of a request. Its number alone does not
// say that it leads to the repository, for a container may have mapped it to something else:
// the main port, whose URL names the repository, must show the first blob that the
// connector has.
func (n *Nexus) DockerVia(ctx context.Context, repo string, via Via) (*registry.Registry, string, error) {
	switch via {
	case ViaMain:
		return n.Docker(repo), "", nil
	case ViaConnector:
		c, err := n.connector(ctx, repo)
		if err != nil {
			err = fmt.Errorf("docker repository %s by its connector: %w; --docker-via main goes without", repo, err)
		}
		return c, "", err
	case ViaAuto:
		return n.auto(ctx, repo)
	}
	return nil, "", report.WithClass(report.ClassUsage, fmt.Errorf("--docker-via %q is none of auto, connector, main", via))
}

func (n *Nexus) auto(ctx context.Context, repo string) (*registry.Registry, string, error) {
	c, cerr := n.connector(ctx, repo)
	if cerr == nil {
		return c, "", nil
	}
	main := n.Docker(repo)
	if _, err := main.Speaks(ctx); elsewhere(err) {
		return nil, "", report.WithClass(report.ClassRefused, fmt.Errorf("docker repository %s: neither way leads to a registry: the main port: %w; the connector: %w; "+
			"is %s a hosted docker repository, and does the proxy in front of Nexus pass on /repository/%s/v2/?", repo, err, cerr, repo, repo))
	} // a failure of another kind is told of by who uses it
	if errors.Is(cerr, errNoConnector) {
		return main, "", nil
	}
	return main, fmt.Sprintf("images go to %s by the main port; its connector is not used: %v", repo, cerr), nil
}

// errNoConnector says that the settings name no connector, or cannot be read: nothing that
// an operator has to know of, for the main port will do.
var errNoConnector = report.WithClass(report.ClassRefused, errors.New("no connector port is known"))

// elsewhere says whether an answer shows that the main port is no registry. A missing
// repository is missing by each way.
func elsewhere(err error) bool {
	if err == nil {
		return false
	}
	se, ok := errors.AsType[*httpx.StatusError](err)
	if !ok {
		return report.Classify(err) == report.ClassRefused // another thing answered
	}
	return !se.Says("repository not found") &&
		slices.Contains([]int{http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusForbidden}, se.Code)
}

// connector finds the registry on the connector port of a repository, once.
func (n *Nexus) connector(ctx context.Context, repo string) (*registry.Registry, error) {
	w := n.ways(repo)
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.looked {
		w.connector, w.err = n.findConnector(ctx, repo)
		w.looked = ctx.Err() == nil
	}
	return w.connector, w.err
}

func (n *Nexus) findConnector(ctx context.Context, repo string) (*registry.Registry, error) {
	s, err := n.Settings(ctx, "docker", "hosted", repo)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoConnector, err)
	}
	bases, err := n.connectorURLs(s)
	if err != nil {
		return nil, err
	}
	var errs []error
	for _, base := range bases {
		o := n.dockerOptions(base, n.login.At(base))
		o.Witness = n.Docker(repo)
		c := registry.New(o)
		if err = n.sameServer(ctx, c, base); err == nil {
			err = c.Ping(ctx) // with the login, once it is known where it goes
		}
		if err == nil {
			return c, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// connectorURLs are where the connectors of a repository may be: on the host of the base
// and nowhere else, and without TLS only where the base has none either, or where that
// was asked for.
func (n *Nexus) connectorURLs(s Settings) ([]*url.URL, error) {
	at := func(scheme string, port int) *url.URL {
		return &url.URL{Scheme: scheme, Host: net.JoinHostPort(n.base.Hostname(), strconv.Itoa(port))}
	}
	var urls []*url.URL
	if s.Docker.HTTPSPort > 0 {
		urls = append(urls, at("https", s.Docker.HTTPSPort))
	}
	if s.Docker.HTTPPort > 0 {
		u := at("http", s.Docker.HTTPPort)
		if n.base.Scheme != "http" && !slices.Contains(n.plain, u.Host) {
			if len(urls) == 0 {
				return nil, report.WithClass(report.ClassRefused, fmt.Errorf("its connector %s speaks plain HTTP, and %s is https: --plain-http %s allows it", u.Host, n.base.Host, u.Host))
			}
			return urls, nil
		}
		urls = append(urls, u)
	}
	if len(urls) == 0 {
		return nil, report.WithClass(report.ClassRefused, fmt.Errorf("%w: %s has none", errNoConnector, s.Name))
	}
	if n.base.Scheme == "http" {
		slices.Reverse(urls) // as the base is reached: its certificate may not be trusted here
	}
	return urls, nil
}

// sameServer asks, without the login, whether a registry of this Nexus answers at base.
func (n *Nexus) sameServer(ctx context.Context, c *registry.Registry, base *url.URL) error {
	ctx, cancel := context.WithTimeout(httpx.WithAttempts(ctx, 1), connectorWait)
	defer cancel()
	got, err := c.Speaks(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		return report.WithClass(report.ClassUnavailable, fmt.Errorf("nothing answers at %s within %s", base.Host, connectorWait))
	}
	if err != nil {
		return err
	}
	own, err := n.ask(ctx, "status")
	if err != nil {
		return fmt.Errorf("ask Nexus for its status: %w", err)
	}
	if want := own.Get("Server"); strings.HasPrefix(want, "Nexus/") && got.Get("Server") != want {
		return report.WithClass(report.ClassRefused, fmt.Errorf("at %s answers %q, not this Nexus: the port leads elsewhere", base.Host, got.Get("Server")))
	}
	return nil
}
