// Package httpx is the one way to the network: a transport that bounds the
// requests in flight, to each host, to each part of a server and in all, and takes fewer
// when a server shows strain; that repeats what may be repeated, resumes broken
// downloads where they broke and ends transfers in which nothing moves; and a
// client that keeps credentials where they belong.
//
// It knows nothing of registries, Nexus or digests, and never logs in: callers
// set Authorization. Whether content is the right content is for its reader to
// check (package digestio).
package httpx

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"
)

// DefaultAttempts is how often a thing is tried that may be tried again.
const DefaultAttempts = 6

const (
	defaultPerHost      = 8
	defaultStall        = 60 * time.Second
	defaultResponseWait = 10 * time.Minute
	defaultDownAfter    = 2 * time.Minute

	expectContinueWait = 5 * time.Second
	dialTimeout        = 30 * time.Second
	handshakeTimeout   = 20 * time.Second
	idleConnTimeout    = 90 * time.Second

	// A hostile server may send headers without end; real ones stay far below this.
	maxHeaderBytes = 256 << 10
	bufferBytes    = 32 << 10
)

// Options tune a Transport. The zero value is ready to use.
type Options struct {
	// PerHost bounds the requests in flight to one host and port (default 8). A
	// request is in flight until its response body has ended or is closed.
	PerHost int
	// Total bounds the requests in flight to all hosts together (0: no bound).
	Total int
	// Surface names the part of a server that a request is for, and Surfaces bounds the
	// requests in flight to each part, whatever its host; a part that is not named there
	// has no bound of its own. Nil: no parts.
	Surface  func(*http.Request) string
	Surfaces map[string]int
	// Adapt lets the requests in flight to one machine, over all its ports, become fewer
	// when it shows strain (429, 5xx, broken connections, HEAD requests that take long) and
	// more again when it does not: from 1 to Total, or PerHost where there is no Total.
	Adapt bool
	// SlowAfter is how much longer than the quickest a HEAD request may take before that
	// is strain (default 250 ms; at least three times the quickest, at most 1 s more).
	SlowAfter time.Duration
	// Attempts bounds the tries of one replayable request, and the reopenings of
	// one body that bring no new byte (default 6).
	Attempts int
	// Stall ends an attempt in which no byte moves for so long (default 60 s):
	// while a GET or HEAD waits for its answer, while a request body is sent,
	// while a response body is read. A slow transfer is not a stalled one. Bodies
	// of answers other than 2xx must be complete within this time.
	Stall time.Duration
	// ResponseWait bounds the wait for the answer once a request body has been
	// sent, and for that to a PUT, POST or PATCH without one (default 10 min): a
	// registry may hash gigabytes before it answers. A response that its caller
	// leaves unread for so long gives up its slot; a later Read resumes it.
	ResponseWait time.Duration
	// DownAfter is how long a host may answer nobody, or everybody with 500, 502, 503 or
	// 504, before requests to it are no longer repeated (default 2 min): many transfers that
	// each wait and try again would otherwise add up to hours.
	DownAfter time.Duration
	// Backoff returns the wait before try attempt+1; the default is 1 s, 2 s,
	// 4 s ... 30 s with jitter.
	Backoff func(attempt int) time.Duration
	// RootCAs are the trusted authorities (nil: those of the system).
	RootCAs *x509.CertPool
	// Log gets one line a retry (nil: none).
	Log *slog.Logger
	// UserAgent is sent with requests that name none.
	UserAgent string
}

func (o Options) withDefaults() Options {
	if o.PerHost <= 0 {
		o.PerHost = defaultPerHost
	}
	if o.Attempts <= 0 {
		o.Attempts = DefaultAttempts
	}
	if o.Stall <= 0 {
		o.Stall = defaultStall
	}
	if o.ResponseWait <= 0 {
		o.ResponseWait = defaultResponseWait
	}
	if o.DownAfter <= 0 {
		o.DownAfter = defaultDownAfter
	}
	if o.SlowAfter <= 0 {
		o.SlowAfter = defaultSlowAfter
	}
	if o.Surface == nil {
		o.Surface = func(*http.Request) string { return "" }
	}
	if o.Backoff == nil {
		o.Backoff = Backoff
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Transport is an http.RoundTripper to be shared by all HTTP users of a
// process, because the limit per host counts what passes through it.
type Transport struct {
	o        Options
	base     *http.Transport
	hosts    hosts
	gate     gate
	total    limit
	forward  forward
	surfaces map[string]*limit
	requests atomic.Int64
	starved  atomic.Bool // the last request that ended found no descriptor
}

// NewTransport returns a transport that obeys o and the proxy settings of the
// environment.
//
// It speaks HTTP/1.1 only: the cause of a refusal is often in the reason phrase,
// which HTTP/2 lost, and one connection a transfer is what the limit counts.
// It never asks for a content encoding, so that bytes arrive as they are stored.
func NewTransport(o Options) *Transport {
	o = o.withDefaults()
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	dialer := &net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}
	t := &Transport{
		o: o,
		base: &http.Transport{
			Proxy:                  proxy,
			DialContext:            dialer.DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    handshakeTimeout,
			Protocols:              protocols,
			DisableCompression:     true,
			MaxIdleConnsPerHost:    o.PerHost,
			IdleConnTimeout:        idleConnTimeout,
			ExpectContinueTimeout:  expectContinueWait,
			MaxResponseHeaderBytes: maxHeaderBytes,
			ReadBufferSize:         bufferBytes,
			WriteBufferSize:        bufferBytes,
			OnProxyConnectResponse: connected,
		},
		hosts:    hosts{perHost: o.PerHost, m: map[string]*host{}, machines: map[string]*window{}},
		total:    limit{max: o.Total},
		surfaces: map[string]*limit{},
	}
	for name, n := range o.Surfaces {
		t.surfaces[name] = &limit{max: n}
	}
	if o.Adapt {
		t.hosts.adapt = func() *window { return newWindow(cmp.Or(o.Total, o.PerHost), o.SlowAfter) }
	}
	return t
}

// Requests returns how many requests have left so far, failed ones and repetitions too:
// servers that allow so many a day count them all.
func (t *Transport) Requests() int64 { return t.requests.Load() }

// proxy hides the text of a malformed proxy setting, which may hold a password.
func proxy(req *http.Request) (*url.URL, error) {
	u, err := http.ProxyFromEnvironment(req)
	if err != nil {
		return nil, errors.New("the proxy set in the environment is not a URL")
	}
	return u, nil
}

// CloseIdleConnections closes connections that wait for a next request.
func (t *Transport) CloseIdleConnections() { t.base.CloseIdleConnections() }

// RoundTrip implements http.RoundTripper.
//
// GET and HEAD are repeated after connection errors and after 408, 429, 500, 502,
// 503 and 504; so are PUT and DELETE when GetBody is set, which is the caller's
// word that a repetition does no harm, and what is Repeatable; nothing else is. A Retry-After pauses the
// whole host. The last answer is returned as it is, the last connection error as
// an *UnavailableError. An error of the request's own body is returned wrapped,
// without a retry.
//
// The body of a 200 to a GET, or of a 206 to one with a Range, if its length is known, is
// resumed where it breaks, but only when the server proves that the content is still the
// same; a body that breaks for good ends with an *UnavailableError or a *StatusError.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := checkRequest(req); err != nil {
		CloseRequest(req)
		return nil, err
	}
	resp, err := t.retry(req)
	if err != nil {
		return nil, err
	}
	resp.Request = req
	if resumable(req, resp) {
		resp.Body = newResumer(t, req, resp)
	}
	return resp, nil
}

func checkRequest(req *http.Request) error {
	u := req.URL
	if u == nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" {
		return fmt.Errorf("%s %s: not an http or https URL", req.Method, RedactURL(u))
	}
	// The request that a redirect caused carries the redirect. A client other than
	// ours (a library's own) must not be led from TLS to plain text either.
	if r := req.Response; r != nil && r.Request != nil {
		return refuseDowngrade(r.Request.URL, u)
	}
	return nil
}

// CloseRequest closes the body of a request that will not be sent, as a
// http.RoundTripper must.
func CloseRequest(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close() // nothing was sent, so nothing can be lost
	}
}

// exchange makes one attempt: it waits for a slot of the host, sends req and
// returns the answer with a body that gives the slot back. A failure of the
// connection, now or in the body, is an *UnavailableError.
func (t *Transport) exchange(req *http.Request) (*http.Response, error) {
	h, surface := t.hosts.of(req.URL), t.o.Surface(req)
	release, err := t.acquire(req, h, surface)
	if err != nil {
		CloseRequest(req)
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(req.Context())
	w := &watch{cancel: cancel}
	// Whoever ends the attempt (end of body, Close, watchdog, caller's context)
	// ends its context, and that alone frees the slot: it cannot be forgotten.
	context.AfterFunc(ctx, func() {
		w.stop()
		release()
	})
	out, sent := t.outgoing(ctx, req, w)
	s := t.sign(h, surface, req)
	t.requests.Add(1)
	resp, err := t.forward.via(out, func() (*http.Response, error) { return t.base.RoundTrip(out) })
	if err != nil {
		err = attemptError(context.Cause(ctx), req, sent, err)
		t.broke(s, req, err)
		cancel(nil)
		return nil, err
	}
	w.answered()
	t.answered(s, req, resp)
	refused := resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusTooManyRequests
	if resp.Body == nil || resp.Body == http.NoBody && !refused {
		cancel(nil)
		return resp, nil
	}
	b := &attemptBody{rc: resp.Body, req: req, cancel: cancel, watch: w, stall: t.o.Stall, idle: t.o.ResponseWait, held: refused}
	b.cause = func() error { return context.Cause(ctx) }
	b.broke = func(err error) { t.broke(s, req, err) }
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		b.stall, b.idle = 0, 0
		w.set(t.o.Stall, "body not complete after")
	} else {
		w.set(t.o.ResponseWait, "body not read for")
	}
	resp.Body = b
	return resp, nil
}

// outgoing returns what is really sent for req: bound to the attempt's context,
// watched, and named. The request body is nil when there is none.
func (t *Transport) outgoing(ctx context.Context, req *http.Request, w *watch) (*http.Request, *sentBody) {
	out := req.WithContext(ctx)
	if t.o.UserAgent != "" && req.Header.Get("User-Agent") == "" {
		out.Header = req.Header.Clone()
		if out.Header == nil {
			out.Header = make(http.Header)
		}
		out.Header.Set("User-Agent", t.o.UserAgent)
	}
	if req.Body == nil || req.Body == http.NoBody {
		if req.Method == http.MethodGet || req.Method == http.MethodHead {
			w.set(t.o.Stall, "no answer for")
		} else {
			w.set(t.o.ResponseWait, "no answer for")
		}
		return out, nil
	}
	w.set(t.o.Stall, "no byte sent for")
	sent := &sentBody{rc: req.Body, watch: w, stall: t.o.Stall, wait: t.o.ResponseWait, source: new(sourceError)}
	out.Body = sent
	if req.GetBody != nil {
		// net/http itself reopens the body when an idle connection proves dead.
		out.GetBody = func() (io.ReadCloser, error) {
			rc, err := req.GetBody()
			if err != nil {
				return nil, err
			}
			return sent.again(rc), nil
		}
	}
	return out, sent
}

// attemptError says why an attempt failed: because the caller ended it, because the
// request's own body failed, or because of the connection. The cause is that of the
// end of the attempt's context, if it has ended.
func attemptError(cause error, req *http.Request, sent *sentBody, err error) error {
	if req.Context().Err() != nil {
		return context.Cause(req.Context())
	}
	if sent != nil {
		if src := sent.source.get(); src != nil {
			return fmt.Errorf("read what is sent to %s: %w", HostPort(req.URL), src)
		}
	}
	if errors.Is(cause, errBodyClosed) {
		return errBodyClosed
	}
	if stalled, ok := errors.AsType[*stallError](cause); ok {
		err = stalled
	}
	return &UnavailableError{Host: HostPort(req.URL), Attempts: 1, Err: scrubbed(clearer(err), req)}
}

// clearer replaces errors of net/http that would be misread.
func clearer(err error) error {
	if errors.Is(err, io.EOF) {
		// A connection that closes without an answer is an io.EOF to net/http; to a
		// reader that asks with errors.Is it would be the good end of a body.
		return fmt.Errorf("connection closed by the server: %w", io.ErrUnexpectedEOF)
	}
	if rh, ok := errors.AsType[tls.RecordHeaderError](err); ok && string(rh.RecordHeader[:]) == "HTTP/" {
		return http.ErrSchemeMismatch // http.Client would say so, but sees our error only
	}
	return err
}
