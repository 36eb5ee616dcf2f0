package httpx

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An UnavailableError says that a host could not be reached, or that a transfer
// broke, and that no more tries are left or would help.
type UnavailableError struct {
	Host     string // host:port
	Attempts int
	Err      error // of the last attempt
}

func (e *UnavailableError) Error() string {
	if e.Attempts == 1 {
		return fmt.Sprintf("%s: %v", e.Host, e.Err)
	}
	return fmt.Sprintf("%s: gave up after %d attempts: %v", e.Host, e.Attempts, e.Err)
}

// Unwrap returns the error of the last attempt.
func (e *UnavailableError) Unwrap() error { return e.Err }

// transientStatus are the answers that another try may change.
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
	attempts := t.o.Attempts
	if !replayable(req) {
		attempts = 1
	}
	for n := 1; ; n++ {
		resp, err := t.exchange(req)
		why := t.transient(resp, err)
		if why == nil || n >= attempts {
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

// replayable says whether a request may be sent twice. A POST, PATCH or PUT of an
// upload session must not: its caller opens a new session.
func replayable(req *http.Request) bool {
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
		return nil, fmt.Errorf("read again what is sent to %s: %w", hostOf(req.URL), err)
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
		if ua, ok := errors.AsType[*UnavailableError](err); ok && !permanent(ua.Err) {
			return ua.Err
		}
		return nil
	}
	if !slices.Contains(transientStatus, resp.StatusCode) || lockedOut(resp) {
		return nil
	}
	why := newStatusError(resp, nil)
	t.hosts.of(resp.Request.URL).pause(why.RetryAfter)
	return why
}

// lockedOut recognises a 429 that answers wrong passwords: Nexus renews the block
// with every further request, so a retry only makes it worse.
func lockedOut(resp *http.Response) bool {
	if resp.StatusCode != http.StatusTooManyRequests {
		return false
	}
	head, _ := io.ReadAll(io.LimitReader(resp.Body, maxStatusBody)) // what can be read decides
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	text := strings.ToLower(resp.Status + " " + string(head))
	return strings.Contains(text, "authentication attempt")
}

// permanent tells errors of the connection that no repetition will change.
func permanent(err error) bool {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
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
	return sleep(req.Context(), d)
}

// backoff is the default wait: 1 s, 2 s, 4 s ... 30 s, a quarter more or less so
// that many clients do not come back at the same moment.
func backoff(attempt int) time.Duration {
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
