package httpx

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

// An UnavailableError says that a host could not be reached, or that a transfer
// broke, and that no more tries are left or would help.
type UnavailableError struct {
	Host     string // host:port
	Attempts int
	Down     time.Duration // how long the host has answered nobody, where that is why no more was tried
	Err      error         // of the last attempt
}

func (e *UnavailableError) Error() string {
	if todo := distrusted(e.Err); todo != "" {
		return fmt.Sprintf("%s: %v; %s", e.Host, e.Err, todo)
	}
	if e.Down > 0 {
		return fmt.Sprintf("%s: has not answered for %s: %v", e.Host, e.Down.Round(time.Second), e.Err)
	}
	if e.Attempts == 1 {
		return fmt.Sprintf("%s: %v", e.Host, e.Err)
	}
	return fmt.Sprintf("%s: gave up after %d attempts: %v", e.Host, e.Attempts, e.Err)
}

// distrusted is what an operator may do about a certificate that is not trusted.
func distrusted(err error) string {
	if cert, ok := errors.AsType[x509.CertificateInvalidError](err); ok && cert.Reason == x509.Expired {
		return "if that date is right, look at this host's clock"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "if that server is the right one, name the file of its certificate authority with --ca-file"
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok && len(host.Certificate.DNSNames) > 0 {
		names := host.Certificate.DNSNames
		return fmt.Sprintf("if that server is the right one, call it as its certificate does: %q", names[:min(len(names), maxNames)])
	}
	return ""
}

// maxNames is how many names of a certificate a message has at most.
const maxNames = 5

// Advice says what to do where that is plain from the cause, for reports.
func (e *UnavailableError) Advice() string {
	return distrusted(e.Err)
}

// Unwrap returns the error of the last attempt.
func (e *UnavailableError) Unwrap() error { return e.Err }

// transientStatus are the answers that another try may change; see
// StatusError.Transient.
var transientStatus = []int{
	http.StatusRequestTimeout,
	http.StatusTooManyRequests,
	http.StatusInternalServerError,
	http.StatusBadGateway,
	http.StatusServiceUnavailable,
	http.StatusGatewayTimeout,
}

// retry makes attempts until one has an answer that stands or none is left.
func (t *Transport) retry(req *http.Request) (*http.Response, error) {
	attempts := t.attempts(req.Context())
	if !replayable(req) {
		attempts = 1
	}
	for n := 1; ; n++ {
		resp, err := t.exchange(req)
		why := t.transient(resp, err)
		if t.down(req, err, why) {
			return resp, counted(err, n)
		}
		if err == nil {
			t.starved.Store(false)
		}
		if why == nil || n >= attempts || exhausted(why) && t.starves(n) {
			return resp, counted(err, n)
		}
		if resp != nil {
			discard(resp.Body)
		}
		if err := t.backOff(req, n, why); err != nil {
			return nil, err
		}
		if req, err = rewound(req); err != nil {
			return nil, err
		}
	}
}

// localAttempts is how often a request is tried for which this process or machine has no
// descriptor: another transfer may end meanwhile, but no server will mend it.
const localAttempts = 3

// starves says whether a request that found no descriptor n times gives up. When one has,
// those after it wait for nothing until one of them has an answer: nobody else will return
// a descriptor that was not returned so far.
func (t *Transport) starves(n int) bool {
	if n >= localAttempts {
		t.starved.Store(true)
	}
	return t.starved.Load()
}

func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

// down notes how an attempt at a host went, and says whether the host has been silent
// for so long that nobody tries again, or has answered everybody with errors, as many as one
// request would bear, without asking for a pause. Every request asks once all the same: a host
// that answers is not down any more.
func (t *Transport) down(req *http.Request, err, why error) bool {
	h := t.hosts.of(req.URL)
	if err == nil {
		se, failed := errors.AsType[*StatusError](why)
		if !failed || se.Code < http.StatusInternalServerError || se.RetryAfter > 0 {
			h.answered()
			return false
		}
		silent, n := h.failed()
		return silent > t.o.DownAfter && n >= t.o.Attempts // a slow upload that fails is not everybody
	}
	ua, ok := errors.AsType[*UnavailableError](err)
	if !ok || req.Context().Err() != nil {
		return false
	}
	if silent, _ := h.failed(); silent > t.o.DownAfter {
		ua.Down = silent
		return true
	}
	return false
}

type repeatableKey struct{}

// Repeatable returns a context for requests that do no harm when they are sent twice,
// whatever their method: a POST that only opens an upload session, which a server forgets
// when nobody uses it. A request with a body needs GetBody all the same.
func Repeatable(ctx context.Context) context.Context {
	return context.WithValue(ctx, repeatableKey{}, true)
}

// replayable says whether a request may be sent twice. A POST, PATCH or PUT of an
// upload session must not: its caller opens a new session.
func replayable(req *http.Request) bool {
	if req.Context().Value(repeatableKey{}) != nil {
		return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	}
	switch req.Method {
	case http.MethodGet, http.MethodHead:
		return req.Body == nil || req.Body == http.NoBody || req.GetBody != nil
	case http.MethodPut, http.MethodDelete:
		return req.GetBody != nil
	default:
		return false
	}
}

// rewound returns req with a body from the beginning.
func rewound(req *http.Request) (*http.Request, error) {
	if req.GetBody == nil {
		return req, nil
	}
	body, err := req.GetBody()
	if err != nil {
		return nil, fmt.Errorf("read again what is sent to %s: %w", HostPort(req.URL), err)
	}
	again := req.WithContext(req.Context())
	again.Body = body
	return again, nil
}

// transient returns the reason for another try, or nil when the outcome stands.
// An answer that asks for a pause pauses the host, whether or not its own request
// can be repeated.
func (t *Transport) transient(resp *http.Response, err error) error {
	if err != nil {
		if ua, ok := errors.AsType[*UnavailableError](err); ok && !Permanent(ua.Err) {
			return ua.Err
		}
		return nil
	}
	var head []byte
	if resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable {
		head = peek(resp) // that a login is blocked, or the server frozen, may stand there only
	}
	why := newStatusError(resp, head)
	if !why.Transient() {
		return nil
	}
	t.hosts.of(resp.Request.URL).pause(why.RetryAfter)
	if isFinal(resp.Request.Context(), resp.StatusCode) {
		return nil
	}
	return why
}

// peek reads the beginning of a body and puts it back.
func peek(resp *http.Response) []byte {
	head, _ := io.ReadAll(io.LimitReader(resp.Body, readStatusBody)) // what can be read decides
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return head
}

type finalKey struct{}

// FinalStatus returns a context for requests to which an answer with one of these
// statuses is what was asked for: the transport does not repeat them because of it.
func FinalStatus(ctx context.Context, codes ...int) context.Context {
	return context.WithValue(ctx, finalKey{}, codes)
}

func isFinal(ctx context.Context, code int) bool {
	final, _ := ctx.Value(finalKey{}).([]int)
	return slices.Contains(final, code)
}

type attemptsKey struct{}

// WithAttempts returns a context for requests that are tried n times at most, if that is
// fewer than the transport would: for a caller that has another place to ask.
func WithAttempts(ctx context.Context, n int) context.Context {
	return context.WithValue(ctx, attemptsKey{}, n)
}

func (t *Transport) attempts(ctx context.Context) int {
	if n, ok := ctx.Value(attemptsKey{}).(int); ok {
		return min(n, t.o.Attempts)
	}
	return t.o.Attempts
}

// Permanent tells errors of the connection that no repetition will change: a name
// that does not exist, a certificate that is not trusted, the wrong scheme, a proxy that
// refuses, a host that has been silent for long.
func Permanent(err error) bool {
	if ua, ok := errors.AsType[*UnavailableError](err); ok && ua.Down > 0 {
		return true
	}
	if errors.Is(err, http.ErrSchemeMismatch) || errors.Is(err, ErrDowngrade) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if via, ok := errors.AsType[*forwardError](err); ok && via.final() {
		return true
	}
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// counted notes the number of attempts in the error of the last one.
func counted(err error, attempts int) error {
	if ua, ok := errors.AsType[*UnavailableError](err); ok {
		ua.Attempts = attempts
	}
	return err
}

// backOff logs why try n was not enough and waits before the next one. A pause of
// the host that lasts longer is waited for by the next attempt.
func (t *Transport) backOff(req *http.Request, n int, why error) error {
	d := t.o.Backoff(n)
	t.o.Log.Warn("http retry",
		"method", req.Method,
		"url", RedactURL(req.URL),
		"attempt", n,
		"wait", max(d, t.hosts.of(req.URL).paused()).Round(time.Millisecond),
		"cause", why.Error())
	return Sleep(req.Context(), d)
}

// Backoff is the default wait after an attempt, which counts from 1: 1 s, 2 s, 4 s
// ... 30 s, a quarter more or less so that many clients do not come back at the same
// moment.
func Backoff(attempt int) time.Duration {
	d := min(time.Second<<min(attempt-1, 10), 30*time.Second)
	return d*3/4 + rand.N(d/2)
}

// discard reads the rest of a small body, so that its connection can be used
// again, and closes it. A large one is not worth it.
func discard(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxDiscard)
	_ = body.Close()
}

const maxDiscard = 64 << 10
