package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// pingLimit is how much of the body of GET /v2/ is read. It matters to nobody,
// but go-containerregistry reads it to its end, which may never come.
const pingLimit = 64 << 10

// A wire is the transport below go-containerregistry's own. It decides alone
// who is spoken to without TLS: the library falls back to plain HTTP for
// loopback and private addresses, unasked.
type wire struct {
	next  http.RoundTripper
	plain []string
}

func (w *wire) isPlain(host string) bool { return slices.Contains(w.plain, host) }

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	plain := w.isPlain(req.URL.Host)
	if req.URL.Scheme != "https" && !plain {
		httpx.CloseRequest(req)
		return nil, fmt.Errorf("plain HTTP to %s refused: only hosts named by --plain-http are spoken to without TLS", req.URL.Host)
	}
	out := req.Clone(req.Context())
	if plain {
		out.URL.Scheme = "http"
	}
	resp, err := w.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	resp.Request = out // tells the library that a ping over plain HTTP was one
	if out.URL.Path == "/v2/" {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, pingLimit), resp.Body}
	}
	return resp, nil
}

// A wireError is an error of the library or the network with the secrets taken
// out of its text. What caused it can still be told.
type wireError struct {
	text string
	err  error
}

func (e *wireError) Error() string { return e.text }
func (e *wireError) Unwrap() error { return e.err }

// words are what may be a URL, or a part of one: realms and redirects need not be whole.
var words = regexp.MustCompile(`[^\s"'<>()]+`)

// redact takes the secrets of URLs out of a text.
func redact(text string) string {
	return words.ReplaceAllStringFunc(text, func(word string) string {
		if !strings.Contains(word, "://") && !strings.ContainsAny(word, "?@") || almostPinned.MatchString(word) {
			return word
		}
		end := strings.TrimRight(word, ":,;")
		return httpx.Redact(end) + word[len(end):]
	})
}

// translate takes go-containerregistry's error types and the secrets of URLs
// out of an error: an answer of a server becomes an *httpx.StatusError.
func translate(err error) error {
	if te, ok := errors.AsType[*transport.Error](err); ok {
		return statusError(te)
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		// The library reads nothing else of a server as JSON.
		text := strings.TrimSuffix(redact(firstLine(err)), syntax.Error())
		return report.WithClass(report.ClassRefused, &wireError{text: text + "the answer to the request for a token is not JSON", err: err})
	}
	return &wireError{text: redact(firstLine(err)), err: err}
}

// firstLine is the text of an error up to the first line break, behind which the
// library quotes bodies of answers, tokens among them.
func firstLine(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.TrimRight(text, ": ")
}

func statusError(te *transport.Error) *httpx.StatusError {
	s := &httpx.StatusError{Code: te.StatusCode, Reason: http.StatusText(te.StatusCode)}
	if te.Request != nil {
		s.Method, s.URL = te.Request.Method, httpx.RedactURL(te.Request.URL)
	}
	var said []string
	for _, d := range te.Errors {
		said = append(said, string(d.Code)+": "+d.Message)
	}
	if len(said) == 0 {
		// A body in no known form is part of the library's text only.
		_, body, _ := strings.Cut(te.Error(), s.Reason+": ")
		if !strings.HasPrefix(strings.TrimSpace(body), "<") {
			said = append(said, body)
		}
	}
	s.Body = quotable(httpx.Scrub(strings.Join(said, "; "), te.Request))
	return s
}

// quotable makes a server's words fit for a message: one line, not long, and
// nothing that a terminal obeys.
func quotable(s string) string {
	const most = 1000
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "\uFFFD"), func(r rune) bool {
		return unicode.IsSpace(r) || !unicode.IsPrint(r)
	}), " ")
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
