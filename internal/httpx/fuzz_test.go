package httpx

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"

	"airbundle/internal/fuzztest"
)

// However a server says when to come again, the wait is bounded, and not negative.
func FuzzRetryAfter(f *testing.F) {
	f.Add("120", "")
	f.Add("99999999999999999999", "")
	f.Add("Fri, 31 Dec 1999 23:59:59 GMT", "Fri, 31 Dec 1999 23:58:59 GMT")
	f.Add("Friday, 31-Dec-99 23:59:59 GMT", "0")
	f.Add("-1", "Mon, 01 Jan 9999 00:00:00 GMT")
	now := time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)
	fuzztest.Run(f, func(t *testing.T, after, date string) {
		d := retryAfter(http.Header{"Retry-After": {after}, "Date": {date}}, now)
		if d < 0 || d > maxRetryAfter {
			t.Errorf("%q at %q: %v", after, date, d)
		}
	})
}

// A 206 that is taken goes on where the body broke, and ends within it.
func FuzzContentRange(f *testing.F) {
	f.Add("bytes 5-9/10", int64(5), `"tag"`)
	f.Add("bytes 5-9/*", int64(-1), "")
	f.Add("bytes 0-9/10", int64(10), `W/"tag"`)
	f.Add("bytes 5-18446744073709551615/10", int64(5), `"other"`)
	fuzztest.Run(f, func(t *testing.T, contentRange string, length int64, etag string) {
		b := &resumer{pos: 5, total: 10, first: http.Header{"Etag": {`"tag"`}}}
		h := http.Header{"Content-Range": {contentRange}, "Etag": {etag}, "Last-Modified": {contentRange}, "Date": {etag}}
		if v := strongValidator(h); strings.HasPrefix(v, "W/") {
			t.Errorf("a weak validator: %q", v)
		}
		if b.checkPart(&http.Response{StatusCode: http.StatusPartialContent, Header: h, ContentLength: length}) != nil {
			return
		}
		var first, last, total int64
		if _, err := fmt.Sscanf(contentRange, "bytes %d-%d/%d", &first, &last, &total); err != nil || first != 5 || last < 5 || last > 9 || total != 10 {
			t.Errorf("%q is taken for the rest from 5 of 10", contentRange)
		}
		if length >= 0 && length != last-first+1 || etag != "" && etag != `"tag"` {
			t.Errorf("%q with %d bytes and ETag %q is taken", contentRange, length, etag)
		}
	})
}

// What an error quotes of an answer is bounded, stands on one line and holds nothing that a
// terminal might obey.
func FuzzStatusError(f *testing.F) {
	f.Add(404, "404 Not Found", "text/html", []byte("<html><head><title>x</title></head><body>Repository not found<script>a</script></body></html>"))
	f.Add(503, "503 the server is read-only", "application/json", []byte(`{"errors":[{"code":"DENIED"}]}`))
	f.Add(429, "", "text/plain; charset=\xff", []byte("\x1b[2Jtoo many\x00"))
	f.Add(500, "500", "application/octet-stream", []byte("&#x1b;[31m&lt;b&gt;\u202e"))
	fuzztest.Run(f, func(t *testing.T, code int, status, contentType string, body []byte) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://u:canary@h/p?token=canary", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp := &http.Response{StatusCode: code, Status: status, Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(string(body))), Request: req}
		err = CheckStatus(resp)
		if code/100 == 2 {
			return
		}
		se, ok := errors.AsType[*StatusError](err)
		if !ok {
			t.Fatalf("%T %v", err, err)
		}
		text := se.Error()
		if strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 || len(se.Body) > 3*maxStatusBody || strings.Contains(strings.TrimSuffix(text, se.Body), "canary") && !strings.Contains(status, "canary") {
			t.Errorf("%q", text)
		}
		_, _, _, _ = se.Transient(), se.ReadOnly(), se.Full(), se.PaymentRequired()
	})
}
