package nexustest

import (
	"io"
	"net/http"
	"strconv"
)

// These actions answer instead of the server.

// Status answers with a code, a reason phrase and an HTML page that repeats it.
// An empty reason is the standard one.
func Status(code int, reason string) Action {
	if reason == "" {
		reason = http.StatusText(code)
	}
	return answer(func(x *exchange) { x.htmlError(code, reason) })
}

// StatusBody answers with a code, a reason phrase and any body.
func StatusBody(code int, reason, contentType, body string) Action {
	return answer(func(x *exchange) {
		if reason != "" {
			x.reason(code, reason)
		}
		x.write(code, contentType, []byte(body))
	})
}

// RetryAfter is Status with a Retry-After header, in seconds or as an HTTP date.
func RetryAfter(code int, after string) Action {
	return answer(func(x *exchange) {
		x.w.Header().Set("Retry-After", after)
		x.htmlError(code, http.StatusText(code))
	})
}

// DockerError answers with an error of the registry API.
func DockerError(status int, code, message string, detail any) Action {
	return answer(func(x *exchange) { x.dockerError(status, code, message, detail) })
}

// Unauthorized answers 401 in the form of the surface.
func Unauthorized() Action { return answer((*exchange).unauthorized) }

// TooManyLogins answers as the Community Edition blocks a user after bad logins.
func TooManyLogins() Action {
	return answer(func(x *exchange) {
		x.w.Header().Set("Retry-After", "30")
		x.htmlError(http.StatusTooManyRequests, "Too many authentication attempts")
	})
}

// ReadOnly answers as a frozen server does.
func ReadOnly() Action {
	return answer(func(x *exchange) {
		if x.route == RouteREST {
			x.readOnlyError()
			return
		}
		x.htmlError(http.StatusServiceUnavailable, "Nexus Repository Manager is in read-only mode")
	})
}

// PaymentRequired answers as a Community Edition above its usage caps.
func PaymentRequired() Action { return answer((*exchange).paymentRequired) }

// DuplicateKey answers as a server that lost a race in its own database.
func DuplicateKey() Action {
	return Status(http.StatusInternalServerError, "ERROR: duplicate key value violates unique constraint")
}

// BadGateway answers as a proxy whose Nexus is gone, with HTML.
func BadGateway() Action { return ProxyStatus(http.StatusBadGateway) }

// ProxyStatus answers with the page of an nginx in front of Nexus, such as 413,
// 502 or 504.
func ProxyStatus(code int) Action {
	return answer(func(x *exchange) { x.proxyError(code, http.StatusText(code)) })
}

// answer makes an action of a way to answer. Up to 64 KiB of the request are
// read first, so that a client that is still sending can see the answer.
func answer(how func(*exchange)) Action {
	return func(http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Expect") == "" {
				io.CopyN(io.Discard, r.Body, 64<<10) // courtesy only
			}
			how(exchangeOf(w, r))
		})
	}
}

// These actions change the headers of the server's own answer.

// EditHeader lets edit change the headers of the answer. They are spelled as
// Nexus spells them, which is not always Go's canonical form.
func EditHeader(edit func(http.Header)) Action {
	return around(func(w http.ResponseWriter, _ *http.Request) http.ResponseWriter {
		return &shapedWriter{ResponseWriter: w, onHeader: func(_ int, h http.Header) { edit(h) }}
	}, nil)
}

// AbsoluteLocation prefixes relative Location headers with base, such as
// "http://10.1.2.3:8081": what a wrong base URL capability or a proxy does.
func AbsoluteLocation(base string) Action {
	return EditHeader(func(h http.Header) {
		if loc := h.Get("Location"); loc != "" && loc[0] == '/' {
			h.Set("Location", base+loc)
		}
	})
}

// NullRealm makes challenges point to a token service at null://, as 3.77.0 does.
func NullRealm() Action {
	return EditHeader(func(h http.Header) {
		const name = "WWW-Authenticate" // as the server spells it
		if _, ok := h[name]; ok {       //nolint:staticcheck // on purpose not canonical
			realm := strconv.Quote("null://localhost/v2/token")
			h[name] = []string{"Bearer realm=" + realm + ",service=" + realm + `,scope="repository:*:pull"`}
		}
	})
}
