// Package registrytest runs the CNCF Distribution registry inside a test: the
// real server, so that a client which agrees with it agrees with what sites
// run, and not only with a double of it.
//
// It counts what goes over the wire and lets a test stand between the network
// and the registry to inject faults. It imitates nothing itself.
package registrytest

import (
	"context"
	"crypto/subtle"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/distribution/distribution/v3/configuration"
	"github.com/distribution/distribution/v3/registry/handlers"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/filesystem" // driver "filesystem"
	_ "github.com/distribution/distribution/v3/registry/storage/driver/inmemory"   // driver "inmemory"
	"github.com/opencontainers/go-digest"
	"github.com/sirupsen/logrus"
)

// Options choose how a registry is started. The zero value is an open registry
// in memory.
type Options struct {
	// Dir keeps the content in a directory, where a test can look at it or damage it.
	Dir string
	// Username and Password switch Basic authentication on.
	Username, Password string
	// Prefix is the path in front of /v2/, such as "/repository/docker-hosted".
	Prefix string
	// RelativeURLs makes Location headers relative to the host.
	RelativeURLs bool
	// TLS serves https with the certificate of net/http/httptest.
	TLS bool
	// Wrap stands in front of the registry: for faults, delays, rewriting.
	// Requests are recorded outside of it, as the client sees them.
	Wrap func(http.Handler) http.Handler
}

// A Registry is a running server. It ends with its test.
type Registry struct {
	// URL is the base without /v2/; with Prefix it ends in the prefix.
	URL *url.URL
	// Host is host:port, as references want it.
	Host string
	// Server is the listener, with Client() and Certificate() for TLS.
	Server *httptest.Server

	dir string
	mu  sync.Mutex
	log []Request
}

// A Request is one exchange that the registry, or a fault in front of it, has finished.
type Request struct {
	Method, Path, Query string
	Authorized          bool // an Authorization header came with it
	Status              int  // 0: the connection was cut before an answer
	In, Out             int64
}

// Start runs a registry until the test ends.
func Start(t testing.TB, o Options) *Registry {
	t.Helper()
	quiet()
	app := handlers.NewApp(context.Background(), config(o))
	t.Cleanup(func() {
		if err := app.Shutdown(); err != nil {
			t.Errorf("shut the registry down: %v", err)
		}
	})
	r := &Registry{dir: o.Dir}
	var h http.Handler = app
	if o.Username != "" {
		h = basicAuth(h, o.Username, o.Password)
	}
	if o.Wrap != nil {
		h = o.Wrap(h)
	}
	h = r.record(h)
	r.Server = httptest.NewUnstartedServer(h)
	r.Server.Config.ErrorLog = log.New(io.Discard, "", 0)
	if o.TLS {
		r.Server.StartTLS()
	} else {
		r.Server.Start()
	}
	t.Cleanup(r.Server.Close)
	u, err := url.Parse(r.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.Path = strings.TrimSuffix(o.Prefix, "/")
	r.URL, r.Host = u, u.Host
	return r
}

// quiet silences the registry's log, which goes to the process-wide logrus logger.
var quiet = sync.OnceFunc(func() { logrus.SetOutput(io.Discard) })

func config(o Options) *configuration.Configuration {
	c := &configuration.Configuration{}
	c.Storage = configuration.Storage{
		"inmemory":    nil,
		"delete":      {"enabled": true},
		"maintenance": {"uploadpurging": map[any]any{"enabled": false}},
	}
	if o.Dir != "" {
		delete(c.Storage, "inmemory")
		c.Storage["filesystem"] = configuration.Parameters{"rootdirectory": o.Dir}
	}
	c.Catalog.MaxEntries = 1000 // the default of a configuration file
	c.HTTP.Secret = "fixed, so that no warning is logged"
	c.HTTP.RelativeURLs = o.RelativeURLs
	if p := strings.Trim(o.Prefix, "/"); p != "" {
		c.HTTP.Prefix = "/" + p + "/"
	}
	return c
}

// basicAuth stands in for the registry's htpasswd access controller, whose
// bcrypt would cost each request tens of milliseconds. The answer is the same.
func basicAuth(next http.Handler, user, password string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		u, p, ok := req.BasicAuth()
		if !ok || subtle.ConstantTimeCompare([]byte(u+"\x00"+p), []byte(user+"\x00"+password)) == 0 {
			w.Header().Set("WWW-Authenticate", `Basic realm="registrytest"`)
			w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		next.ServeHTTP(w, req)
	})
}

// Requests returns what was asked so far, in the order of completion.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Request(nil), r.log...)
}

// Forget empties the record.
func (r *Registry) Forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log = nil
}

// Count counts the recorded requests with this method whose path contains part.
func (r *Registry) Count(method, part string) int {
	n := 0
	for _, q := range r.Requests() {
		if q.Method == method && strings.Contains(q.Path, part) {
			n++
		}
	}
	return n
}

// BytesIn sums the bytes of request bodies that arrived.
func (r *Registry) BytesIn() int64 {
	var n int64
	for _, q := range r.Requests() {
		n += q.In
	}
	return n
}

// BlobFile is where a registry with a Dir keeps the bytes of a blob or manifest.
func (r *Registry) BlobFile(d digest.Digest) string {
	return filepath.Join(r.dir, "docker", "registry", "v2", "blobs", d.Algorithm().String(), d.Encoded()[:2], d.Encoded(), "data")
}
