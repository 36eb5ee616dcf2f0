package registry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A trackedBody counts what is read of it.
type trackedBody struct {
	io.Reader
	read   int
	closed bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.read += n
	return n, err
}

func (b *trackedBody) Close() error { b.closed = true; return nil }

func TestReadBody(t *testing.T) {
	broken := errors.New("line cut")
	for _, tt := range []struct {
		name   string
		length int64
		body   io.Reader
		want   string
		err    string
		code   int
	}{
		{"shorter", -1, strings.NewReader("abc"), "abc", "", 0},
		{"exact", 4, strings.NewReader("abcd"), "abcd", "", 0},
		{"empty", 0, strings.NewReader(""), "", "", 0},
		{"one too long", -1, strings.NewReader("abcde"), "", "more than the 4 bytes allowed", 7},
		{"declared too long", 5, strings.NewReader("abcde"), "", "5 bytes are more than the 4 allowed", 7},
		{"endless", -1, endless{}, "", "more than the 4 bytes allowed", 7},
		{"broken", -1, io.MultiReader(strings.NewReader("ab"), iotest.ErrReader(broken)), "", "line cut", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := &trackedBody{Reader: tt.body}
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://joe:s3cr3t@host/list?token=s3cr3t", nil)
			got, err := ReadBody(&http.Response{ContentLength: tt.length, Body: body, Request: req}, 4)
			if tt.err == "" && (err != nil || string(got) != tt.want) {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || !strings.Contains(err.Error(), "http://host/list?token=REDACTED")) {
				t.Errorf("got %v, want %q and the redacted URL in it", err, tt.err)
			}
			if re, ok := errors.AsType[*refusedError](err); ok != (tt.code != 0) || ok && re.ExitCode() != tt.code {
				t.Errorf("exit code of %v is not %d", err, tt.code)
			}
			if as[*digestio.LimitError](err) != (tt.code != 0) {
				t.Errorf("%v: limit", err)
			}
			if !body.closed || body.read > 2000 {
				t.Errorf("closed %v after %d bytes", body.closed, body.read)
			}
		})
	}
}

func TestReadBodyKeepsTheCause(t *testing.T) {
	lost := &httpx.UnavailableError{Host: "h:80", Attempts: 3, Err: io.ErrUnexpectedEOF}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://host/", nil)
	_, err := ReadBody(&http.Response{ContentLength: -1, Body: io.NopCloser(iotest.ErrReader(lost)), Request: req}, 10)
	if ua, ok := errors.AsType[*httpx.UnavailableError](err); !ok || ua.Attempts != 3 {
		t.Errorf("got %v", err)
	}
}

// What the transport holds for permanent is not tried again here either.
func TestRetryable(t *testing.T) {
	dial := func(dns *net.DNSError) error {
		return &httpx.UnavailableError{Host: "h:80", Attempts: 1, Err: &net.OpError{Op: "dial", Err: dns}}
	}
	for label, tt := range map[string]struct {
		err  error
		want bool
	}{
		"no such host":     {dial(&net.DNSError{Err: "no such host", IsNotFound: true}), false},
		"resolver is busy": {dial(&net.DNSError{Err: "server misbehaving", IsTemporary: true}), true},
		"wrong scheme":     {http.ErrSchemeMismatch, false},
		"downgrade":        {httpx.ErrDowngrade, false},
		"cut":              {io.ErrUnexpectedEOF, true},
		"503":              {&httpx.StatusError{Code: 503}, true},
		"501":              {&httpx.StatusError{Code: 501}, false},
		"login blocked":    {&httpx.StatusError{Code: 429, Reason: "Too many authentication attempts"}, false},
		"too many":         {&httpx.StatusError{Code: 429}, true},
	} {
		if _, again := retryable(tt.err); again != tt.want {
			t.Errorf("%s: %v", label, again)
		}
	}
}
