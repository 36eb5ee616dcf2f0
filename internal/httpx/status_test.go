package httpx

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Contract 2.4, 5.3, 8.
func TestCheckStatus(t *testing.T) {
	const page = `<!DOCTYPE html><html><head><title>400 - Nexus</title><style>p{}</style></head><body>
<script>alert("x")</script><!-- version 3.40 --><p>Repository does&nbsp;not allow
updating assets: <b>raw-hosted</b></p></body></html>`
	json := `{"errors":[{"code":"MANIFEST_INVALID","message":"<layer> is unknown"}]}`
	tests := []struct {
		name, status, header, body string
		want                       StatusError
		text                       string
	}{
		{
			"reason phrase", "400 Repository does not allow updating assets: raw-hosted", "Content-Type: text/html", page,
			StatusError{Code: 400, Reason: "Repository does not allow updating assets: raw-hosted", Body: "Repository does not allow updating assets: raw-hosted"},
			"400 Repository does not allow updating assets: raw-hosted",
		},
		{
			"json is left alone", "400 Bad Request", "Content-Type: application/json; charset=utf-8", json,
			StatusError{Code: 400, Reason: "Bad Request", Body: json},
			"400 Bad Request: " + json,
		},
		{
			"no reason", "404 ", "Content-Type: text/plain", "",
			StatusError{Code: 404},
			"404 Not Found",
		},
		{
			"unknown code", "599 ", "Content-Type: text/plain", "oops",
			StatusError{Code: 599, Body: "oops"},
			"599: oops",
		},
		{
			"retry later", "503 Service Unavailable", "Retry-After: 7", "down",
			StatusError{Code: 503, Reason: "Service Unavailable", Body: "down", RetryAfter: 7 * time.Second},
			"503 Service Unavailable: down",
		},
		{
			"binary", "403 Forbidden", "Content-Type: application/octet-stream", "\x7fELF",
			StatusError{Code: 403, Reason: "Forbidden"},
			"403 Forbidden",
		},
		{
			"binary called text", "403 Forbidden", "Content-Type: text/plain", "a\x00b",
			StatusError{Code: 403, Reason: "Forbidden"},
			"403 Forbidden",
		},
		{
			"terminal escapes", "403 For\x1b[31mbidden", "Content-Type: text/plain", "a\x1b[2Jb\r\n\u202ec\xff",
			StatusError{Code: 403, Reason: "For [31mbidden", Body: "a [2Jb c\uFFFD"},
			"403 For [31mbidden: a [2Jb c\uFFFD",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := serveRaw(t, func(_ int, conn *net.TCPConn, _ *http.Request) {
				fmt.Fprintf(conn, "HTTP/1.1 %s\r\n%s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", tt.status, tt.header, len(tt.body), tt.body)
			})
			resp, err := get(t, fast(t, Options{Attempts: 1}), strings.Replace(addr, "//", "//u:p@", 1)+"/v2/x?_state=abc&digest=sha256:1")
			if err != nil {
				t.Fatal(err)
			}
			got, ok := errors.AsType[*StatusError](CheckStatus(resp, http.StatusOK, http.StatusCreated))
			if !ok {
				t.Fatal("want a *StatusError")
			}
			tt.want.Method = http.MethodGet
			tt.want.URL = addr + "/v2/x?_state=REDACTED&digest=REDACTED"
			if diff := cmp.Diff(&tt.want, got); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if want := "GET " + tt.want.URL + ": " + tt.text; got.Error() != want {
				t.Errorf("text %q, want %q", got.Error(), want)
			}
		})
	}
}

// trackedBody tells whether it was closed and how much of it was read.
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

func TestCheckStatusAndTheBody(t *testing.T) {
	tests := []struct {
		code   int
		want   []int
		ok     bool
		length int64
	}{
		{200, nil, true, 10},
		{204, nil, true, 10},
		{302, nil, false, 10},
		{200, []int{200, 206}, true, 10},
		{201, []int{200}, false, 10},
		{500, []int{200}, false, 1 << 40},
	}
	for _, tt := range tests {
		body := &trackedBody{Reader: io.LimitReader(zeros{}, tt.length)}
		err := CheckStatus(&http.Response{StatusCode: tt.code, Body: body}, tt.want...)
		if (err == nil) != tt.ok || body.closed == tt.ok {
			t.Errorf("%d, want %v: got %v, closed %v", tt.code, tt.want, err, body.closed)
		}
		if body.read > 1<<20 || (tt.ok && body.read > 0) {
			t.Errorf("%d, want %v: %d bytes were read", tt.code, tt.want, body.read)
		}
	}
}

func TestStatusBodyIsCapped(t *testing.T) {
	e := newStatusError(&http.Response{StatusCode: 500}, nil)
	if e.Body != "" || e.URL != "" {
		t.Errorf("without request and body: %+v", e)
	}
	body := &trackedBody{Reader: strings.NewReader(strings.Repeat("word ", 10_000))}
	err := CheckStatus(&http.Response{StatusCode: 500, Body: body})
	if se, ok := errors.AsType[*StatusError](err); !ok || len(se.Body) > 4096 || len(se.Body) < 4000 {
		t.Errorf("body of %d bytes in %v", len(se.Body), err)
	}
}

// Contract 0.1/3 and 12, 8.
func TestStatusErrorTells(t *testing.T) {
	for _, tt := range []struct {
		e                  StatusError
		transient, blocked bool
	}{
		{StatusError{Code: 408}, true, false},
		{StatusError{Code: 429}, true, false},
		{StatusError{Code: 429, Reason: "Too many Authentication Attempts"}, false, true},
		{StatusError{Code: 429, Body: "wait: too many authentication attempts"}, false, true},
		{StatusError{Code: 503, Body: "too many authentication attempts"}, true, false},
		{StatusError{Code: 503, Reason: "Repository offline"}, false, false},
		{StatusError{Code: 503, Body: "503 Repository offline"}, false, false},
		{StatusError{Code: 503, Reason: "Nexus Repository Manager is in read-only mode"}, false, false},
		{StatusError{Code: 503, Reason: "Service temporarily unavailable"}, true, false},
		{StatusError{Code: 500}, true, false},
		{StatusError{Code: 500, Reason: "java.io.IOException: No space left on device"}, false, false},
		{StatusError{Code: 500, Body: "No space left on device"}, false, false},
		{StatusError{Code: 503, Reason: "Repository offline"}, false, false},
		{StatusError{Code: 503, Reason: "No space left on device"}, true, false},
		{StatusError{Code: 502}, true, false},
		{StatusError{Code: 504}, true, false},
		{StatusError{Code: 501}, false, false},
		{StatusError{Code: 507}, false, false},
		{StatusError{Code: 401}, false, false},
		{StatusError{Code: 404}, false, false},
	} {
		if tt.e.Transient() != tt.transient || tt.e.LoginBlocked() != tt.blocked {
			t.Errorf("%+v: transient %v, login blocked %v", tt.e, tt.e.Transient(), tt.e.LoginBlocked())
		}
	}
}

func TestStatusCode(t *testing.T) {
	e := &StatusError{Code: 404}
	for _, tt := range []struct {
		err  error
		want int
	}{
		{nil, 0},
		{errors.New("404"), 0},
		{e, 404},
		{fmt.Errorf("look: %w", e), 404},
		{errors.Join(errors.New("first"), e), 404},
		{&UnavailableError{Err: io.ErrUnexpectedEOF}, 0},
	} {
		if got := StatusCode(tt.err); got != tt.want {
			t.Errorf("StatusCode(%v) = %d, want %d", tt.err, got, tt.want)
		}
	}
}
