package httpx

import (
	"errors"
	"fmt"
	"html"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
)

// maxStatusBody is how much of an error page is worth quoting.
const maxStatusBody = 4 << 10

// readStatusBody is how much is read for that: a secret that lies across the cut is known
// only when all of it is there, and a token may have some kilobytes.
const readStatusBody = 4 * maxStatusBody

// A StatusError is an answer whose status is not what was asked for.
type StatusError struct {
	Method     string
	URL        string // redacted: no userinfo, no query values
	Code       int
	Reason     string        // text after the code in the status line; Nexus puts the cause here
	Body       string        // first 4 KiB of a text body, without tags and secrets of the request, on one line
	RetryAfter time.Duration // 0: not said
}

func (e *StatusError) Error() string {
	reason := e.Reason
	if reason == "" {
		reason = http.StatusText(e.Code)
	}
	s := strings.TrimSpace(fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Code, reason))
	if e.Body != "" && e.Body != reason && e.Body != fmt.Sprintf("%d %s", e.Code, reason) {
		s += ": " + e.Body
	}
	return s
}

// Transient says whether another try may have another answer.
func (e *StatusError) Transient() bool {
	return slices.Contains(transientStatus, e.Code) && !e.LoginBlocked() && !e.ReadOnly() && !e.Offline() && !e.Full()
}

// LoginBlocked recognises a 429 that answers wrong passwords: Nexus renews the block
// with every further request, so a retry only makes it worse.
func (e *StatusError) LoginBlocked() bool {
	return e.Code == http.StatusTooManyRequests && e.Says("authentication attempt")
}

// ReadOnly recognises a server that takes no writes, whoever asks and however often: a
// frozen Nexus says so in the reason or in the body of a 503.
func (e *StatusError) ReadOnly() bool {
	return e.Code == http.StatusServiceUnavailable && e.Says("read-only")
}

// Offline recognises a repository that its administrator has taken out of service: a 503
// that stays until somebody decides otherwise.
func (e *StatusError) Offline() bool {
	return e.Code == http.StatusServiceUnavailable && e.Says("repository offline")
}

// Full recognises a server without space for what it was sent. A Nexus whose disk is full
// passes the words of the system on, with a 500; another try only fills the rest.
func (e *StatusError) Full() bool {
	return e.Code == http.StatusInsufficientStorage || e.Code == http.StatusInternalServerError && e.Says("no space left")
}

// PaymentRequired recognises a Nexus Community Edition above its usage caps. It goes on
// to serve what it has and takes nothing new, with one of three statuses.
func (e *StatusError) PaymentRequired() bool {
	return slices.Contains(paymentStatus, e.Code) && e.Says("payment required")
}

var paymentStatus = []int{http.StatusPaymentRequired, http.StatusForbidden, http.StatusConflict}

// Says looks for a text, in lower case, in what the server says: in the reason or in
// the body.
func (e *StatusError) Says(text string) bool {
	return strings.Contains(strings.ToLower(e.Reason+"\n"+e.Body), text)
}

// StatusCode returns the status of the answer that err is about, or 0 when it is not
// about one.
func StatusCode(err error) int {
	if e, ok := errors.AsType[*StatusError](err); ok {
		return e.Code
	}
	return 0
}

// CheckStatus returns nil when the status of resp is one of want (any 2xx when
// want is empty). Otherwise it reads what the body says, closes it and returns a
// *StatusError.
func CheckStatus(resp *http.Response, want ...int) error {
	if slices.Contains(want, resp.StatusCode) || (len(want) == 0 && resp.StatusCode/100 == 2) {
		return nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, readStatusBody)) // what can be read is quoted
	discard(resp.Body)
	return newStatusError(resp, body)
}

func newStatusError(resp *http.Response, body []byte) *StatusError {
	e := &StatusError{
		Code:       resp.StatusCode,
		Reason:     Scrub(oneLine(strings.TrimPrefix(resp.Status, fmt.Sprint(resp.StatusCode))), resp.Request),
		Body:       quoted(Scrub(bodyText(resp.Header.Get("Content-Type"), body), resp.Request)),
		RetryAfter: retryAfter(resp.Header, time.Now()),
	}
	if resp.Request != nil {
		e.Method, e.URL = resp.Request.Method, RedactURL(resp.Request.URL)
	}
	return e
}

// quoted cuts a text to what is worth quoting.
func quoted(s string) string {
	if len(s) > maxStatusBody {
		s = strings.ToValidUTF8(s[:maxStatusBody], "")
	}
	return s
}

var (
	unseen = regexp.MustCompile(`(?is)<!--.*?-->|<(script|style)\b.*?</(script|style)\s*>|<head\b.*?</head\s*>`)
	tag    = regexp.MustCompile(`(?s)<[^>]*>`)
)

// bodyText makes an error page fit for one line of a message. A body that is not
// text says nothing. JSON is left as it is, for callers that read it.
func bodyText(contentType string, body []byte) string {
	media, _, _ := mime.ParseMediaType(contentType) // malformed: judged by content
	media, text := strings.ToLower(media), strings.TrimSpace(string(body))
	switch {
	case text == "" || strings.ContainsRune(text, 0):
		return ""
	case strings.HasSuffix(media, "json"):
		return oneLine(text)
	case media != "" && !strings.HasPrefix(media, "text/") && !strings.HasSuffix(media, "xml"):
		return ""
	case strings.HasPrefix(text, "<"):
		text = html.UnescapeString(tag.ReplaceAllString(unseen.ReplaceAllString(text, " "), " "))
	}
	return oneLine(text)
}

// oneLine joins words by single spaces and drops what a terminal might obey.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.Join(strings.FieldsFunc(s, func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
}
