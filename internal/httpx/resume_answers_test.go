package httpx

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// A second is the answer to the request for the rest, and what must come of it.
type second struct {
	name    string
	headers []string // of the first answer: ETag, Last-Modified, Date
	answer  func(w http.ResponseWriter, r *http.Request, content []byte)
	ask     string // wanted Range and If-Range of the second request
	code    int    // wanted *StatusError
	text    string // wanted in the error; empty with code 0: no error
}

func part(from, to, total int, etag string, content []byte) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, total))
		w.Header().Set("ETag", etag)
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(content)
	}
}

func whole(etag string, change func([]byte) []byte) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, _ *http.Request, content []byte) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		if change != nil {
			content = change(bytes.Clone(content))
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		_, _ = w.Write(content)
	}
}

func seconds() []second {
	const size, at = 1000, 400
	zeros := make([]byte, size)
	v1 := []string{"ETag", `"v1"`}
	weak := []string{"ETag", `W/"v1"`}
	old := oldDate.Format(http.TimeFormat)
	dated := []string{"Last-Modified", old, "Date", oldDate.Add(time.Hour).Format(http.TimeFormat)}
	young := []string{"Last-Modified", old, "Date", old}
	fair := func(headers []string) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, r *http.Request, content []byte) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Set(headers[i], headers[i+1])
			}
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
		}
	}
	flip := func(i int) func([]byte) []byte {
		return func(b []byte) []byte { b[i] ^= 1; return b }
	}
	status := func(code int) func(http.ResponseWriter, *http.Request, []byte) {
		return func(w http.ResponseWriter, _ *http.Request, _ []byte) { w.WriteHeader(code) }
	}
	const askETag, askDate = `bytes=400- "v1"`, `bytes=400- Wed, 01 May 2024 10:00:00 GMT`
	return []second{
		{name: "206 by ETag", headers: v1, answer: fair(v1), ask: askETag},
		{name: "206 by Last-Modified", headers: dated, answer: fair(dated), ask: askDate},
		{name: "206 by Last-Modified beside a weak ETag", headers: append(dated, weak...), answer: fair(append(dated, weak...)), ask: askDate},
		{name: "Last-Modified too young to be trusted", headers: young, answer: fair(young), ask: ""},
		{name: "weak ETag alone", headers: weak, answer: fair(weak), ask: ""},
		{name: "no validator", answer: fair(nil), ask: ""},
		{name: "no Range support, same ETag", headers: v1, answer: whole(`"v1"`, nil), ask: askETag},
		{name: "no Range support, no ETag any more", headers: v1, answer: whole("", nil), ask: askETag},
		{name: "other ETag, same length", headers: v1, answer: whole(`"v2"`, nil), ask: askETag, text: "changed"},
		{name: "other ETag, other content", headers: v1, answer: whole(`"v2"`, flip(999)), ask: askETag, text: "changed"},
		{name: "other length", answer: whole("", func(b []byte) []byte { return append(b, 1) }), text: "changed"},
		{name: "shorter", answer: whole("", func(b []byte) []byte { return b[:999] }), text: "changed"},
		{name: "other beginning, nothing says so", answer: whole("", flip(399)), text: "changed"},
		{name: "206 from the wrong byte", headers: v1, answer: part(399, 999, size, `"v1"`, zeros[399:]), ask: askETag, text: "Content-Range"},
		{name: "206 backwards", headers: v1, answer: part(400, 399, size, `"v1"`, zeros[:1]), ask: askETag, text: "Content-Range"},
		{name: "206 of another total", headers: v1, answer: part(400, 1999, 2000, `"v1"`, make([]byte, 1600)), ask: askETag, text: "changed"},
		{name: "206 beyond the total", headers: v1, answer: part(400, 1000, size, `"v1"`, make([]byte, 601)), ask: askETag, text: "changed"},
		{name: "206 of another ETag", headers: v1, answer: part(400, 999, size, `"v2"`, zeros[400:]), ask: askETag, text: "changed"},
		{name: "206 longer than it says", headers: v1, answer: part(400, 999, size, `"v1"`, make([]byte, 601)), ask: askETag, text: "does not agree"},
		{name: "206 without Content-Range", headers: v1, answer: status(206), ask: askETag, text: "Content-Range"},
		{name: "206 unasked", answer: part(400, 999, size, "", zeros[400:]), text: "another part"},
		{name: "416", headers: v1, answer: status(416), ask: askETag, text: "changed"},
		{name: "404", headers: v1, answer: status(404), ask: askETag, code: 404},
		{name: "401", headers: v1, answer: status(401), ask: askETag, code: 401},
		{name: "302", headers: v1, answer: status(302), ask: askETag, code: 302},
	}
}

// Contract 5.2.
// TestSecondAnswer breaks a body at byte 400 of 1000 and looks at what is made of
// the answer to the second request. What is delivered is always a beginning of the
// first content.
func TestSecondAnswer(t *testing.T) {
	content := randomBytes(1000)
	for _, tt := range seconds() {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			var ask string
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == 1 {
					for i := 0; i < len(tt.headers); i += 2 {
						w.Header().Set(tt.headers[i], tt.headers[i+1])
					}
					cut(w, content[:400], len(content))
				}
				ask = strings.TrimSpace(r.Header.Get("Range") + " " + r.Header.Get("If-Range"))
				tt.answer(w, r, content)
			})
			tr := fast(t, Options{})
			got, err := fetch(t, tr, s.URL+"/f?token=s3cr3t")
			if !bytes.HasPrefix(content, got) {
				t.Fatal("two contents were mixed")
			}
			if ask != tt.ask || n.Load() != 2 {
				t.Errorf("%d requests, the second with %q; want 2 and %q", n.Load(), ask, tt.ask)
			}
			checkResumeError(t, tt, got, err)
			wantFreeSlots(t, tr)
		})
	}
}

func checkResumeError(t *testing.T, tt second, got []byte, err error) {
	t.Helper()
	switch {
	case tt.code != 0:
		se, ok := errors.AsType[*StatusError](err)
		if !ok || se.Code != tt.code || errors.As(err, new(*UnavailableError)) {
			t.Errorf("got %v (%T), want the status %d alone", err, err, tt.code)
		}
	case tt.text != "":
		wantUnavailable(t, err)
		for _, want := range []string{tt.text, "at byte 400 of 1000", "/f?token=REDACTED"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want %q in it", err, want)
			}
		}
	case err != nil || len(got) != 1000:
		t.Errorf("got %d bytes, %v; want all", len(got), err)
	}
	if err != nil && strings.Contains(err.Error(), "s3cr3t") {
		t.Errorf("error shows the token: %v", err)
	}
}
