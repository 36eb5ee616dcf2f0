// Package nexustest is a stand-in for Sonatype Nexus Repository 3: a server
// that answers as the real one does, oddities included, so that a client can be
// tested where no Nexus can run.
//
// It offers the surfaces that carry artifacts: the REST API below
// /service/rest, content below /repository/<name>, docker on connector ports
// and on the main port, yum and helm repositories that rebuild their metadata
// late, and raw repositories. A [Profile] chooses the generation of the server.
// Whatever is not established about the real server is a field of [Quirks], and
// its zero value is what the evidence favours. A list of [Fault] values makes
// single requests go wrong; the log tells what a client really asked for.
//
// Stored bytes live in files, so gigabytes can be pushed with little memory.
//
// Proxy repositories, and those of formats beside docker, yum, raw and helm, exist
// but hold nothing. There is no TLS and no user interface, and what is stored does
// not survive Close.
package nexustest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The account that every server has.
const (
	Username = "admin"
	Password = "admin123"
)

// AnyPort as [Repository.Port] asks for a free port, chosen by Listen.
const AnyPort = -1

// Options tune a Server. The zero value is an empty Orient-generation server
// that lets nobody in without credentials.
type Options struct {
	Profile      Profile      // default Orient340
	Version      string       // instead of the profile's, such as "3.76.0-03"; decides which resources exist
	Edition      string       // instead of the profile's: OSS, COMMUNITY or PRO
	Repositories []Repository // made before the first request
	Users        []User       // beside the administrator
	Anonymous    bool         // let requests without credentials read
	TokenRealm   bool         // activate the DockerToken realm
	ContextPath  string       // "/nexus" puts everything below it
	MaxBodyBytes int64        // larger request bodies meet a proxy's 413; 0: no limit
	RebuildDelay time.Duration
	SearchDelay  time.Duration // how long search lags behind; default RebuildDelay
	Quirks       Quirks
	Faults       []Fault
	Seed         uint64           // of the probabilities in Faults
	FreeBytes    int64            // what the blob stores say is left; default 100 GiB
	BlobStores   []BlobStore      // beside the one called default, or instead of it
	Addr         string           // of the main listener; default 127.0.0.1:0
	Connectors   string           // host that docker connectors listen on; default 127.0.0.1
	Logged       func(Entry)      // called when a request is over
	Dir          string           // for stored bytes; default a new directory, removed by Close
	Now          func() time.Time // default time.Now
}

// A Repository describes one repository of the server.
type Repository struct {
	Name         string
	Format       string // docker, yum, raw, helm; others such as apt exist but hold nothing
	Type         string // "hosted" (default), "group", or "proxy", which holds nothing
	WritePolicy  string // ALLOW (default), ALLOW_ONCE, DENY
	Strict       bool   // check the content type against the file name
	Offline      bool
	Members      []string // of a group
	RemoteURL    string   // of a proxy
	BlobStore    string   // default "default"
	Cleanup      []string // names of cleanup policies; nothing is ever cleaned up
	Depth        int      // yum: repodata depth
	DeployPolicy string   // yum: STRICT (default) or PERMISSIVE
	Disposition  string   // raw: ATTACHMENT (default) or INLINE
	Port         int      // docker: connector port, 0 for none, AnyPort for a free one
	HTTPSPort    int      // docker: part of the settings; nothing listens there
	BearerAuth   bool     // docker: forceBasicAuth is off
	LatestPolicy bool     // docker: ALLOW_ONCE spares the tag latest
	PathEnabled  bool     // docker: reachable as <base>/v2/<name>/
}

// A User is an account with limited rights.
type User struct {
	Name, Password string
	Repositories   []string // nil: all of them
	// Of browse, read, add, edit, delete and admin, which is to change a
	// repository's settings. nil is all but the last; with nil Repositories too
	// the user may administer the server.
	Actions []string

	limited bool // made through the REST API without nx-admin: the rights are granted ones
	granted []privilege
}

// A Server is a running double. Its methods may be called from any goroutine.
type Server struct {
	// URL is where the main listener answers, with the context path and
	// without a trailing slash. Empty before Listen.
	URL string

	opts      Options
	prof      profile
	disk      *disk
	log       requestLog
	faults    faultScript
	logins    loginGuard
	access    access
	ctx       context.Context //nolint:containedctx // the server's own lifetime: ends with Close
	cancel    context.CancelFunc
	rebuilds  sync.WaitGroup
	described atomic.Bool // swagger.json has been asked for
	requests  sync.WaitGroup

	mu        sync.Mutex // guards everything below
	repos     map[string]*repository
	sessions  map[string]*session
	tokens    map[string]*User // DockerToken -> user, nil for the anonymous one
	frozen    bool
	eula      bool
	missed    map[string]time.Time // yum paths that were asked for in vain, for NegativeCache
	today     requestCount
	stores    map[string]BlobStore
	seq       int64
	tasks     []*task
	main      *http.Server
	listening bool
}

// Start is New and Listen for a test: the server keeps its bytes in
// t.TempDir and is closed when the test ends.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	if opts.Dir == "" {
		opts.Dir = t.TempDir()
	}
	s, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	return s
}

// New makes a server that does not listen yet. It is an http.Handler for the
// main port, [Server.Connector] is one for a docker repository; but only
// Listen's own listeners put error texts into the status line as Nexus does.
func New(opts Options) (*Server, error) {
	if opts.Profile == "" {
		opts.Profile = Orient340
	}
	prof, ok := profiles[opts.Profile]
	if !ok {
		return nil, fmt.Errorf("nexustest: unknown profile %q", opts.Profile)
	}
	if err := prof.as(opts.Version, opts.Edition); err != nil {
		return nil, err
	}
	setDefaults(&opts)
	disk, err := newDisk(opts.Dir)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{
		opts: opts, prof: prof, disk: disk, ctx: ctx, cancel: cancel,
		stores: map[string]BlobStore{defaultBlobStore: {Name: defaultBlobStore, FreeBytes: opts.FreeBytes}},
		missed: map[string]time.Time{}, repos: map[string]*repository{}, sessions: map[string]*session{}, tokens: map[string]*User{},
	}
	s.faults.init(opts.Seed, opts.Faults)
	s.logins.init(opts.Now)
	s.access.init(opts)
	for _, b := range opts.BlobStores {
		if b.FreeBytes == 0 {
			b.FreeBytes = opts.FreeBytes
		}
		s.stores[b.Name] = b
	}
	for _, r := range opts.Repositories {
		if err := s.CreateRepository(r); err != nil {
			s.Close()
			return nil, err
		}
	}
	return s, nil
}

func setDefaults(o *Options) {
	if o.RebuildDelay == 0 {
		o.RebuildDelay = 5 * time.Millisecond
	}
	if o.SearchDelay == 0 {
		o.SearchDelay = o.RebuildDelay
	}
	if o.FreeBytes == 0 {
		o.FreeBytes = 100 << 30
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Connectors == "" {
		o.Connectors = "127.0.0.1"
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.ContextPath = strings.TrimRight(o.ContextPath, "/")
}

// Listen opens the main listener and one for each docker connector.
func (s *Server) Listen() error {
	ln, err := net.Listen("tcp", s.opts.Addr)
	if err != nil {
		return fmt.Errorf("nexustest: listen on %s: %w", s.opts.Addr, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.URL = "http://" + ln.Addr().String() + s.opts.ContextPath
	s.main = s.serveOn(ln, s)
	s.listening = true
	for _, r := range s.repos {
		if err := s.openConnector(r); err != nil {
			return err
		}
	}
	return nil
}

// openConnector starts the listener of a docker repository that has a port.
// The caller holds s.mu.
func (s *Server) openConnector(r *repository) error {
	if !s.listening || r.Port == 0 || r.connector != nil {
		return nil
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(s.opts.Connectors, strconv.Itoa(max(r.Port, 0))))
	if err != nil {
		return fmt.Errorf("nexustest: docker connector of %s: %w", r.Name, err)
	}
	r.Port = ln.Addr().(*net.TCPAddr).Port
	r.connector = s.serveOn(ln, s.Connector(r.Name))
	return nil
}

// serveOn answers on ln until the server is closed.
func (s *Server) serveOn(ln net.Listener, h http.Handler) *http.Server {
	srv := &http.Server{
		Handler:     h,
		ConnContext: rememberConn,
		ErrorLog:    silent,
	}
	go srv.Serve(reasonListener{ln, s.opts.Quirks.NoContinue}) // ends with ErrServerClosed
	return srv
}

// Close stops all listeners, cuts requests in flight, waits until they have
// ended and removes what was stored.
func (s *Server) Close() {
	s.cancel()
	s.mu.Lock()
	servers := []*http.Server{s.main}
	for _, r := range s.repos {
		servers = append(servers, r.connector)
		r.stopTimer(&s.rebuilds)
	}
	s.listening = false
	s.mu.Unlock()
	for _, srv := range servers {
		if srv != nil {
			srv.Close()
		}
	}
	s.requests.Wait()
	s.rebuilds.Wait()
	for _, up := range s.sessions {
		up.in.drop()
	}
	s.disk.close()
}

// Connector returns the handler of a docker repository's connector port.
func (s *Server) Connector(repo string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, repo) })
}

// ServeHTTP answers as the main port.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "") }

// DockerURL returns the URL of a repository's connector port, without /v2/, or
// "" when it has none.
func (s *Server) DockerURL(repo string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repo]
	if r == nil || r.Port <= 0 {
		return ""
	}
	return "http://" + net.JoinHostPort(s.opts.Connectors, strconv.Itoa(r.Port))
}

// RepositoryURL returns the content URL of a repository on the main port,
// without a trailing slash.
func (s *Server) RepositoryURL(repo string) string {
	return s.URL + "/repository/" + url.PathEscape(repo)
}

// Freeze switches the whole server to read-only or back.
func (s *Server) Freeze(frozen bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.frozen = frozen
}

// Version returns what the server calls itself, such as "3.40.1-01".
func (s *Server) Version() string { return s.prof.version }

// isNotExist keeps callers of the disk free of package os.
func isNotExist(err error) bool { return errors.Is(err, os.ErrNotExist) }
