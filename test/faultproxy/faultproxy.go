// Package faultproxy is a network that does harm: a reverse proxy that stands before any
// HTTP server of a test (a registry, a double of Nexus, a server of files) and breaks,
// delays, cuts or changes what passes, in both directions, on the level of the connection
// where that is the place.
//
// It is deterministic: whether a rule strikes follows from the seed, the request's method
// and path, and how many of that kind came before it, not from the order in which
// goroutines run. It is imported by tests only.
package faultproxy

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A Fault stands around the forwarding of a request: what it does not hand on does not
// reach the server. The number, in [0,1), is drawn for this one request.
type Fault func(next http.Handler, draw float64) http.Handler

// A Rule says what befalls which requests. Of several rules the first that strikes acts.
type Rule struct {
	Method      string         // or several, "PUT|PATCH"; empty: any
	Path        *regexp.Regexp // over path and query; nil: any
	Probability float64        // of a strike; 0: every request
	Times       int            // strikes at most; 0: no limit
	Do          Fault
}

// A Proxy is running until its test ends.
type Proxy struct {
	URL  *url.URL
	Host string // host:port

	forward http.Handler
	stop    context.CancelFunc
	mu      sync.Mutex
	seed    uint64
	rules   []Rule
	struck  []int
	seen    map[string]uint64
	passed  []Passed
}

// A Passed is one request as it came.
type Passed struct {
	Method, URI, Authorization string
	Struck                     bool
}

// Start stands before the server at backend, a URL without a path.
func Start(t testing.TB, backend string, seed uint64, rules ...Rule) *Proxy {
	t.Helper()
	to, err := url.Parse(backend)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{}
	p.Set(seed, rules...)
	base := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64, ExpectContinueTimeout: time.Second}
	t.Cleanup(base.CloseIdleConnections)
	p.forward = &httputil.ReverseProxy{
		Transport: base, FlushInterval: -1, ErrorLog: log.New(io.Discard, "", 0),
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Host = r.In.Host // a registry makes its Location headers of it
		},
		ErrorHandler: func(_ http.ResponseWriter, r *http.Request, _ error) { Abort(r) },
	}
	s := httptest.NewUnstartedServer(p)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	var ctx context.Context
	ctx, p.stop = context.WithCancel(context.WithoutCancel(t.Context()))
	s.Config.BaseContext = func(net.Listener) context.Context { return ctx }
	s.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.Start()
	t.Cleanup(s.Close)
	t.Cleanup(p.stop) // first: a stalled answer would hold Close
	p.Host = s.Listener.Addr().String()
	p.URL = &url.URL{Scheme: "http", Host: p.Host}
	return p
}

// Set replaces the rules and begins to count anew; without rules everything passes.
func (p *Proxy) Set(seed uint64, rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seed, p.rules, p.struck, p.seen, p.passed = seed, rules, make([]int, len(rules)), map[string]uint64{}, nil
}

// Struck counts what the rules did since Set.
func (p *Proxy) Struck() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.struck {
		n += s
	}
	return n
}

// Passed lists the requests since Set.
func (p *Proxy) Passed() []Passed {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Passed(nil), p.passed...)
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next := p.forward
	if do, draw := p.pick(r); do != nil {
		next = do(next, draw)
	}
	next.ServeHTTP(w, r)
}

// session is the part of an upload's URL that is another one in each run.
var session = regexp.MustCompile(`/blobs/uploads/[^?]+|\?.*`)

func (p *Proxy) pick(r *http.Request) (Fault, float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	uri := r.URL.RequestURI()
	kind := r.Method + " " + session.ReplaceAllString(uri, "")
	if d := r.URL.Query().Get("digest"); d != "" {
		kind += " " + d
	}
	p.seen[kind]++
	rng := dice(p.seed, kind, p.seen[kind])
	passed := Passed{Method: r.Method, URI: uri, Authorization: r.Header.Get("Authorization")}
	defer func() { p.passed = append(p.passed, passed) }()
	for i, rule := range p.rules {
		chance, draw := rng.Float64(), rng.Float64()
		switch {
		case rule.Method != "" && !strings.Contains("|"+rule.Method+"|", "|"+r.Method+"|"),
			rule.Path != nil && !rule.Path.MatchString(uri),
			rule.Times > 0 && p.struck[i] >= rule.Times,
			rule.Probability > 0 && chance >= rule.Probability:
			continue
		}
		p.struck[i]++
		passed.Struck = true
		return rule.Do, draw
	}
	return nil, 0
}

// dice are those of the nth request of a kind. All three go through a hash: generators
// whose seeds resemble each other begin alike, and a request that fails is soon followed by
// its repetition.
func dice(seed uint64, kind string, n uint64) *rand.Rand {
	return rand.New(rand.NewChaCha8(sha256.Sum256(fmt.Appendf(nil, "%d %d %s", seed, n, kind))))
}

type connKey struct{}

// Abort resets the connection of a request and ends its handler.
func Abort(r *http.Request) {
	if c, ok := r.Context().Value(connKey{}).(*net.TCPConn); ok {
		_ = c.SetLinger(0) // a RST, not a FIN; a dead connection is reset already
	}
	panic(http.ErrAbortHandler)
}
