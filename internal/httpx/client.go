package httpx

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const maxRedirects = 10

// ErrDowngrade says that a server tried to lead an https request to plain http.
var ErrDowngrade error = downgradeError{}

type downgradeError struct{}

func (downgradeError) Error() string { return "redirect from https to http refused" }

// ExitCode is that of report.ClassRefused, a package above this one.
func (downgradeError) ExitCode() int { return 7 }

// NewClient returns a client over t. It follows at most 10 redirects, takes
// Authorization, Cookie, Proxy-Authorization and Referer off once one leads to
// another host, port or scheme, refuses to be led from https to http, and keeps
// no cookies.
func NewClient(t http.RoundTripper) *http.Client {
	return &http.Client{Transport: t, CheckRedirect: checkRedirect}
}

// Do is c.Do with an error that is fit to be shown: the URL that net/http puts
// into it is redacted. Signed URLs of redirects would otherwise reach logs.
func Do(c *http.Client, req *http.Request) (*http.Response, error) {
	resp, err := c.Do(req)
	if ue, ok := errors.AsType[*url.Error](err); ok {
		ue.URL = Redact(ue.URL)
		if strings.HasPrefix(ue.Err.Error(), "failed to parse Location header") {
			ue.Err = errors.New("redirect to a malformed URL") // which net/http quotes
		}
	}
	return resp, err
}

// checkRedirect judges the request that follows via. net/http copies the headers
// of the first request to each next one, so each hop is judged anew, and a chain
// that has left the first origin never gets its credentials back.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) >= maxRedirects {
		return fmt.Errorf("stopped after %d redirects", maxRedirects)
	}
	if err := refuseDowngrade(via[len(via)-1].URL, req.URL); err != nil {
		return err
	}
	for _, hop := range append(via[1:len(via):len(via)], req) {
		if SameOrigin(via[0].URL, hop.URL) {
			continue
		}
		for _, key := range []string{"Authorization", "Cookie", "Proxy-Authorization", "Referer"} {
			req.Header.Del(key)
		}
		req.URL.User = nil // net/http would make an Authorization of it
		break
	}
	return nil
}

// SameOrigin says whether two URLs have the same scheme, host and port. A port that
// is not written is that of the scheme.
func SameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && HostPort(a) == HostPort(b)
}

func refuseDowngrade(from, to *url.URL) error {
	if from.Scheme == "https" && to.Scheme == "http" {
		return fmt.Errorf("%w: %s to %s", ErrDowngrade, RedactURL(from), RedactURL(to))
	}
	return nil
}
