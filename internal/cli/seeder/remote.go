package seeder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/pflag"
	"oras.land/oras-go/v2/registry/remote/credentials"

	"airbundle/internal/audit"
	"airbundle/internal/cli"
	"airbundle/internal/credential"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/preflight"
	"airbundle/internal/push"
	"airbundle/internal/registry"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// remote are the flags that say where a target is and how to log in.
type remote struct {
	nexus, registry string
	username        string
	passwordFile    string
	passwordStdin   bool
	dockerVia       string
	net             cli.Network
	manners         manners
}

func (r *remote) addFlags(f *pflag.FlagSet) {
	f.StringVar(&r.nexus, "nexus", "", "Nexus base `URL`: images, RPMs, files, charts")
	f.StringVar(&r.registry, "registry", "", "registry `HOST:PORT`: images only")
	f.StringVar(&r.username, "username", "", "login name; the password comes from --password-stdin, --password-file or NEXUS_PASSWORD")
	f.StringVar(&r.passwordFile, "password-file", "", "file that holds the password")
	f.BoolVar(&r.passwordStdin, "password-stdin", false, "read the password from standard input")
	f.StringVar(&r.dockerVia, "docker-via", string(nexus.ViaAuto), "way to the docker repositories of a Nexus: main port, connector port, or auto: the connector where it does, else main")
	r.net.AddFlags(f)
	r.manners.addFlags(f)
}

// base returns the target's URL and whether it is a Nexus.
func (r *remote) base() (u *url.URL, isNexus bool, err error) {
	switch {
	case r.nexus == "" && r.registry == "":
		return nil, false, cli.Usage("say where: either --nexus URL or --registry HOST:PORT")
	case r.nexus != "" && r.registry != "":
		return nil, false, cli.Usage("both --nexus and --registry say where: leave one out")
	case r.nexus != "":
		if u, err = url.Parse(r.nexus); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, false, cli.Usage("--nexus wants a URL such as http://10.19.90.29:8081")
		}
		isNexus = true
	case nexus.Via(r.dockerVia) != nexus.ViaAuto:
		return nil, false, cli.Usage("--docker-via is about the docker repositories of a Nexus, a plain registry has one way only")
	default:
		raw := r.registry
		if !strings.Contains(raw, "://") {
			raw = "https://" + raw
			if slices.Contains(r.net.PlainHTTP, r.registry) {
				raw = "http://" + r.registry
			}
		}
		if u, err = url.Parse(raw); err != nil || u.Host == "" || strings.Trim(u.Path, "/") != "" {
			return nil, false, cli.Usage("--registry wants HOST:PORT")
		}
	}
	if _, behind, ok := strings.Cut(u.Path, "/repository/"); isNexus && ok {
		return nil, false, cli.Usage("--nexus wants the URL of the Nexus itself, with its context path, without /repository/%s; repositories are named by --docker-repo and the like", behind)
	}
	if u.RawQuery != "" || u.Fragment != "" {
		return nil, false, cli.Usage("the URL of a target has no query and no fragment")
	}
	if u.User != nil {
		return nil, false, cli.Usage("no credentials in a URL: use NEXUS_USERNAME and NEXUS_PASSWORD, or --username with --password-stdin")
	}
	return u, isNexus, nil
}

// login finds the credentials: flags, then the environment, then the docker config.
func (r *remote) login(ctx context.Context, s cli.Streams, u *url.URL) (user, password string, err error) {
	user = r.username
	if user == "" {
		user = os.Getenv("NEXUS_USERNAME")
	}
	switch {
	case r.passwordStdin && r.passwordFile != "":
		return "", "", cli.Usage("--password-stdin and --password-file exclude each other")
	case r.passwordStdin:
		password, err = readSecret(s.In)
	case r.passwordFile != "":
		password, err = readSecretFile(r.passwordFile)
	default:
		password = os.Getenv("NEXUS_PASSWORD")
	}
	switch {
	case err != nil:
		return "", "", fmt.Errorf("read the password: %w", err)
	case user != "" && password == "":
		return "", "", cli.Usage("a user name without a password: use --password-stdin, --password-file or NEXUS_PASSWORD")
	case user == "" && password != "":
		return "", "", cli.Usage("a password without a user: set --username or NEXUS_USERNAME")
	case user != "":
		return user, password, nil
	}
	return dockerLogin(ctx, u.Host)
}

// readSecretFile reads the first line of a file. An error does not name it: who gives the
// password in place of the file must not find it in a log.
func readSecretFile(path string) (string, error) {
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		var line string
		if line, err = readSecret(f); err == nil {
			return line, nil
		}
	}
	if perr, ok := errors.AsType[*fs.PathError](err); ok {
		err = perr.Err
	}
	return "", fmt.Errorf("the file of --password-file: %w", err)
}

// readSecret reads one line.
func readSecret(r io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(r, 64<<10))
	line, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimSuffix(line, "\r"), err
}

// dockerLogin asks the docker config and its helpers; no entry means no login. A token in
// place of a login is of no use for a Nexus, and is taken for none.
func dockerLogin(ctx context.Context, host string) (user, password string, err error) {
	server := credentials.ServerAddressFromHostname(host)
	helpers, err := credential.Read(false)
	if err != nil {
		return "", "", report.WithClass(report.ClassLocal, err)
	}
	if helpers.Asks(server) {
		l, err := helpers.Login(ctx, server)
		if l.Username == credential.IdentityToken {
			l = credential.Login{}
		}
		return l.Username, l.Secret, err
	}
	if _, err := os.UserHomeDir(); err != nil && os.Getenv("DOCKER_CONFIG") == "" {
		return "", "", nil // no place where a config could be
	}
	store, err := credentials.NewStoreFromDocker(credentials.StoreOptions{})
	if err != nil {
		return "", "", report.WithClass(report.ClassLocal, fmt.Errorf("docker config: %w", err))
	}
	c, err := store.Get(ctx, server)
	if err != nil {
		return "", "", report.WithClass(report.ClassLocal, fmt.Errorf("docker config: login for %s: %w", host, err))
	}
	return c.Username, c.Password, nil
}

// connection is a target with everything an adapter needs.
type connection struct {
	url    *url.URL
	name   string             // for messages, without credentials
	user   string             // of a Nexus; empty: no login
	images *registry.Registry // of a plain registry
	nexus  *nexus.Nexus       // nil for a plain registry
	info   nexus.Info
}

// dial finds the login and makes the adapters. It does not ask the server for anything.
func (r *remote) dial(ctx context.Context, s cli.Streams, quiet bool) (*connection, error) {
	u, isNexus, err := r.base()
	if err != nil {
		return nil, err
	}
	user, password, err := r.login(ctx, s, u)
	if err != nil {
		return nil, err
	}
	options, err := r.net.Options(cli.Logger(s, quiet))
	if err != nil {
		return nil, err
	}
	client := httpx.NewClient(r.manners.open(options, u, isNexus))
	if !isNexus {
		return &connection{url: u, name: u.Host, images: registry.New(registry.Options{Base: u, Client: client, Username: user, Password: password})}, nil
	}
	n := nexus.New(nexus.Options{URL: u, Client: client, Username: user, Password: password, PlainHTTP: r.net.PlainHTTP})
	return &connection{url: u, name: httpx.RedactURL(u), user: user, nexus: n}, nil
}

// connect is dial; then it asks the server whether it is there and takes the login.
func (r *remote) connect(ctx context.Context, s cli.Streams, quiet bool) (*connection, error) {
	c, err := r.dial(ctx, s, quiet)
	if err != nil {
		return nil, err
	}
	if c.nexus == nil {
		if err := c.images.Ping(ctx); err != nil {
			return nil, nextStep(fmt.Errorf("registry %s: %w", c.name, err), c.url, "add --plain-http "+c.url.Host)
		}
		return c, nil
	}
	if c.info, err = c.nexus.Check(ctx); err != nil {
		return nil, nexusStep(fmt.Errorf("nexus %s: %w", c.name, err), c.url)
	}
	r.manners.daily = c.info.DailyRequests()
	return c, nil
}

// nexusStep is nextStep for a Nexus, which is named by its URL.
func nexusStep(err error, u *url.URL) error {
	plain := *u
	plain.Scheme = "http"
	return nextStep(err, u, "name it so: --nexus "+httpx.RedactURL(&plain))
}

// nextStep adds what to do where it is plain from the error; unencrypted is how a server
// without TLS is named.
func nextStep(err error, u *url.URL, unencrypted string) error {
	if u.Scheme == "https" && (errors.Is(err, http.ErrSchemeMismatch) || strings.Contains(err.Error(), "server gave HTTP response to HTTPS client")) {
		return report.Advise(err, "if it speaks plain HTTP, "+unencrypted)
	}
	if httpx.StatusCode(err) == http.StatusUnauthorized {
		return report.Advise(err, "check user and password (NEXUS_USERNAME, NEXUS_PASSWORD, --username, the docker config)")
	}
	return err
}

// pushTarget returns the target of a push, with notes for its report. It makes what
// repositories are missing and wanted.
func (r *remote) pushTarget(ctx context.Context, c *connection, q preflight.Question, dryRun bool) (push.Target, []string, error) {
	if c.nexus == nil {
		return push.Target{Name: c.name, Images: func(string) push.Images { return c.images }}, nil, nil
	}
	absent, notes, err := c.fits(ctx, q)
	if err != nil {
		return push.Target{}, nil, err
	}
	var empty []preflight.Design // of a dry run, which makes none
	if dryRun {
		for _, d := range absent {
			notes = append(notes, fmt.Sprintf("repository %s: to be made: %s", d.Name, d.Words()))
		}
		empty = absent
	} else {
		made, err := c.create(ctx, absent)
		if err != nil {
			return push.Target{}, nil, err
		}
		notes = append(notes, made...)
	}
	docker, seen, err := c.docker(ctx, nexus.Via(r.dockerVia), q.Items)
	return c.pushTarget(docker, empty), append(notes, seen...), err
}

// auditTarget returns the target of an audit, with notes for its report.
func (r *remote) auditTarget(ctx context.Context, c *connection, items []target.Item) (audit.Target, []string, error) {
	if c.nexus == nil {
		return audit.Target{Name: c.name, Images: func(string) audit.Images { return c.images }, Lists: registryLists(c.images)}, nil, nil
	}
	_, notes, err := c.fits(ctx, preflight.Question{Wanted: target.Repositories(items, func(digest.Digest) int64 { return 0 }), Read: true})
	if err != nil {
		return audit.Target{}, nil, err
	}
	docker, seen, err := c.docker(ctx, nexus.Via(r.dockerVia), items)
	return audit.Target{
		Name: c.name, Version: c.info.Version, Edition: c.info.Edition,
		Images: func(repo string) audit.Images { return docker[repo] }, Assets: assets{c.nexus}, Lists: nexusLists(c.nexus),
	}, append(notes, seen...), err
}

// assets lets the Nexus adapter answer as the audit asks.
type assets struct{ *nexus.Nexus }

// Digest implements audit.Assets.
func (a assets) Digest(ctx context.Context, repo, path string) (int64, digest.Digest, error) {
	asset, err := a.Stat(ctx, repo, path)
	if err != nil {
		return 0, "", err
	}
	if sum := asset.Checksums["sha256"]; sum != "" {
		return asset.Size, digest.NewDigestFromEncoded(digest.SHA256, sum), nil
	}
	return asset.Size, "", nil
}
