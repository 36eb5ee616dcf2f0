package probe

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// A Client sends a request with the login. It must not follow redirects, keep cookies or
// show the login to another origin than the server's.
type Client interface {
	Do(*http.Request) (*http.Response, error)
}

const (
	maxBody    = 32 << 20 // of an answer that is read: a list of repositories, metadata
	maxExcerpt = 2 << 10  // of a body in the transcript
	maxHeader  = 512      // of one header in the transcript

	requestTime = 2 * time.Minute // for one request and its answer
)

// wire sends requests once each: the answer is the evidence, whatever it is.
type wire struct {
	client Client
	base   *url.URL // without a trailing slash
	now    func() time.Time
	// stopped is set by the answers after which nothing more may be asked: with a
	// login that is not taken, each further request would count against the account.
	stopped error
}

// call is a request.
type call struct {
	method string
	path   string // escaped, from the root of the host, with the query
	header map[string]string
	body   []byte
	stream io.Reader // instead of body
	size   int64     // of stream; -1: sent in chunks
	long   bool      // takes as long as it takes
}

// answer is what came back. Status is 0 only together with an error.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	at       time.Time // when it was complete
	exchange Exchange
}

// ok says whether the server took the request.
func (a *answer) ok() bool { return a.status/100 == 2 }

// stored says whether what was sent may be there: the server took it, or its answer was
// lost.
func (a *answer) stored() bool { return a.ok() || a.status == 0 }

// says is status and reason, for conclusions.
func (a *answer) says() string { return a.exchange.Answer }

// send makes one request. An error is that of the connection, or says that the login is
// not taken; every other status is an answer. The exchange is there in any case.
func (w *wire) send(ctx context.Context, c call) (*answer, error) {
	a := &answer{exchange: Exchange{Request: c.method + " " + shown(c.path)}}
	if w.stopped != nil {
		a.exchange.Error = "not sent: " + w.stopped.Error()
		return a, w.stopped
	}
	if !c.long {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, requestTime)
		defer cancel()
	}
	req, err := w.request(httpx.WithAttempts(ctx, 1), c)
	if err != nil {
		return a, err
	}
	a.exchange.Sent = sentLines(req, c)
	start := w.now()
	err = w.receive(req, a)
	a.at = w.now()
	a.exchange.Seconds = a.at.Sub(start).Seconds()
	if err != nil {
		a.exchange.Error = oneLine(err.Error())
	}
	return a, err
}

func (w *wire) request(ctx context.Context, c call) (*http.Request, error) {
	u := w.base.Scheme + "://" + w.base.Host + c.path
	var body io.Reader
	switch {
	case c.stream != nil:
		body = c.stream
	case c.body != nil:
		body = bytes.NewReader(c.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, u, body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", c.method, shown(c.path), err)
	}
	if c.stream != nil {
		req.ContentLength = c.size
	}
	for name, value := range c.header {
		req.Header.Set(name, value)
	}
	return req, nil
}

// receive reads the answer into a.
func (w *wire) receive(req *http.Request, a *answer) error {
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return fmt.Errorf("read the answer to %s %s: %w", req.Method, shown(req.URL.RequestURI()), err)
	}
	a.status, a.header, a.body = resp.StatusCode, resp.Header, body
	a.exchange.Answer = answerLine(resp)
	a.exchange.Headers = headerLines(resp.Header)
	for i, line := range a.exchange.Headers {
		a.exchange.Headers[i] = httpx.Scrub(line, resp.Request)
	}
	a.exchange.Body = excerpt(body, resp.Request)
	resp.Body = io.NopCloser(bytes.NewReader(body))
	w.stopped = stop(resp)
	return w.stopped
}

// stop returns the error of an answer that ends the run.
func stop(resp *http.Response) error {
	if resp.StatusCode != http.StatusUnauthorized && resp.StatusCode != http.StatusTooManyRequests {
		return nil
	}
	err := httpx.CheckStatus(resp)
	se, ok := errors.AsType[*httpx.StatusError](err)
	if !ok || se.Code != http.StatusUnauthorized && !se.LoginBlocked() {
		return nil
	}
	return report.WithClass(report.ClassRefused, fmt.Errorf("the login is not taken: %w; nothing more is asked, so that the account is not locked", err))
}

// resolve returns the path that a Location means on this server, for an answer to a
// request at path. Nexus leaves the repository's prefix out behind the main port, and
// behind a proxy names hosts that the client cannot reach; neither is followed.
func (w *wire) resolve(repo, path, location string) (string, error) {
	at, err := url.Parse(path)
	if err != nil {
		return "", fmt.Errorf("resolve a Location: %w", err)
	}
	to, err := at.Parse(location)
	if err != nil || location == "" {
		return "", fmt.Errorf("the Location %q is not a URL", shown(location))
	}
	to.Scheme, to.Host, to.User, to.Fragment = "", "", nil, ""
	prefix := w.content(repo, "")
	below := to.EscapedPath()
	for _, root := range []string{w.base.EscapedPath() + "/v2/", "/v2/"} {
		if rest, ok := strings.CutPrefix(below, root); ok {
			below = prefix + "v2/" + rest
			break
		}
	}
	if !strings.HasPrefix(below, prefix) || roundabout(to.Path) {
		return "", fmt.Errorf("the Location %q leads out of repository %s", shown(location), repo)
	}
	if to.RawQuery != "" {
		below += "?" + to.RawQuery
	}
	return below, nil
}

// roundabout tells paths that may mean another place than they say: Nexus takes an encoded
// backslash for a slash.
func roundabout(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." || strings.ContainsAny(segment, `\;`) {
			return true
		}
	}
	return false
}

// content is the path of a file of a repository on the main port. Names of this package
// need no escaping.
func (w *wire) content(repo, path string) string {
	return w.base.EscapedPath() + "/repository/" + url.PathEscape(repo) + "/" + path
}

// rest is the path of a REST resource.
func (w *wire) rest(path string) string { return w.base.EscapedPath() + "/service/rest/" + path }

// sentLines are the headers of the request that say something, and what was sent.
func sentLines(req *http.Request, c call) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c.header)) {
		out = append(out, name+": "+c.header[name])
	}
	switch {
	case c.size < 0:
		return append(out, "Transfer-Encoding: chunked")
	case req.ContentLength > 0:
		out = append(out, fmt.Sprintf("Content-Length: %d", req.ContentLength))
	}
	if strings.HasSuffix(c.header["Content-Type"], "json") {
		out = append(out, "", capped(string(c.body), maxExcerpt))
	}
	return out
}

func answerLine(resp *http.Response) string {
	reason := strings.TrimSpace(strings.TrimPrefix(resp.Status, fmt.Sprint(resp.StatusCode)))
	return strings.TrimSpace(fmt.Sprintf("%d %s", resp.StatusCode, capped(httpx.Scrub(oneLine(reason), resp.Request), maxHeader)))
}

// headerLines are all headers of an answer, sorted, without secrets.
func headerLines(h http.Header) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			out = append(out, oneLine(name)+": "+headerValue(name, value))
		}
	}
	return out
}

const redacted = "REDACTED"

var (
	secretHeader = regexp.MustCompile(`(?i)cookie|token|secret|passw|authorization|api-?key|session|authentication-info`)
	secretText   = regexp.MustCompile(`(?i)("[a-z_-]*(?:token|password|passwd|secret|passphrase|api-?key|authorization|cookie)"\s*:\s*")[^"]*`)
	secretValue  = regexp.MustCompile(`DockerToken\.[0-9A-Za-z-]+|(?i)\b(?:basic|bearer) [0-9a-z+/._~-]{16,}=*`)
)

func headerValue(name, value string) string {
	switch {
	case secretHeader.MatchString(name):
		return redacted
	case strings.EqualFold(name, "Location"), strings.EqualFold(name, "Content-Location"):
		value = shown(value)
	}
	return capped(hidden(oneLine(value)), maxHeader)
}

// hidden replaces what looks like a secret in a text.
func hidden(s string) string {
	s = secretText.ReplaceAllString(s, "${1}"+redacted)
	return secretValue.ReplaceAllString(s, redacted)
}

// plainQuery are the keys whose values are part of the evidence and no secrets.
var plainQuery = []string{"digest", "mount", "from", "repository", "format"}

// shown is a path or URL without userinfo, and with the values of its query only where
// they are known to be no secrets.
func shown(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return "(malformed URL)"
	}
	plain := httpx.RedactURL(u)
	at, _, found := strings.Cut(plain, "?")
	if !found {
		return capped(oneLine(plain), maxHeader)
	}
	var parts []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		key, value, _ := strings.Cut(part, "=")
		if !slices.Contains(plainQuery, key) {
			value = redacted
		}
		parts = append(parts, key+"="+value)
	}
	return capped(oneLine(at+"?"+strings.Join(parts, "&")), maxHeader)
}

// excerpt is the beginning of a body as text. Metadata is unpacked first: what it says of
// a package is an answer. A server that repeats the request req shows nothing of its login.
func excerpt(body []byte, req *http.Request) string {
	if len(body) == 0 {
		return ""
	}
	text := body
	if unpacked, ok := gunzip(body); ok {
		text = unpacked
	}
	if bytes.ContainsRune(text, 0) {
		return fmt.Sprintf("(%d bytes that are no text)", len(body))
	}
	whole := len(text) <= maxExcerpt
	text = text[:min(len(text), 2*maxExcerpt)] // a secret may lie across the cut
	lines := strings.Split(strings.ToValidUTF8(string(text), "\uFFFD"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRightFunc(strings.Map(printable, line), unicode.IsSpace)
	}
	plain := httpx.Scrub(hidden(strings.Trim(strings.Join(lines, "\n"), "\n")), req)
	if len(plain) > maxExcerpt { // also where the text itself was not: what replaces may be longer
		plain, whole = strings.ToValidUTF8(plain[:maxExcerpt], ""), false
	}
	if whole {
		return plain
	}
	return plain + "\n(cut here)"
}

// gunzip returns somewhat more than an excerpt of a gzip file.
func gunzip(body []byte) ([]byte, bool) {
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return nil, false
	}
	text, _ := io.ReadAll(io.LimitReader(r, 2*maxExcerpt)) // the beginning is enough
	return text, true
}

// printable drops what a terminal might obey; indentation stays.
func printable(r rune) rune {
	if r == '\t' {
		return ' '
	}
	if !unicode.IsPrint(r) {
		return -1
	}
	return r
}

func oneLine(s string) string {
	return strings.TrimSpace(strings.Map(printable, strings.NewReplacer("\r", " ", "\n", " ").Replace(strings.ToValidUTF8(s, "\uFFFD"))))
}

func capped(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
