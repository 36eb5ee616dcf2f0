package fetch

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// newOpener returns an opener whose retries do not wait.
func newOpener(t *testing.T, dir string) *Opener {
	t.Helper()
	transport := httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: func(int) time.Duration { return 0 }})
	t.Cleanup(transport.CloseIdleConnections)
	return New(httpx.NewClient(transport), dir)
}

// serve answers every request as handle says and returns a URL.
func serve(t *testing.T, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL + "/f?token=CANARY"
}

const content = "0123456789"

func ranged(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
}

func TestOpenHead(t *testing.T) {
	answer := func(status int, contentRange, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if contentRange != "" {
				w.Header().Set("Content-Range", contentRange)
			}
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		head   int64
		body   string
		size   int64
		text   string // of the error
	}{
		"ranges":         {ranged, 4, "0123", 10, ""},
		"one byte":       {ranged, 1, "0", 10, ""},
		"more than all":  {ranged, 99, content, 10, ""},
		"no ranges":      {answer(200, "", content), 4, content, 10, ""},
		"unknown size":   {answer(206, "bytes 0-3/*", "0123"), 4, "0123", -1, ""},
		"another part":   {answer(206, "bytes 4-7/10", "4567"), 4, "", 0, `Content-Range "bytes 4-7/10"`},
		"part of what":   {answer(206, "", "0123"), 4, "", 0, `Content-Range ""`},
		"not found":      {answer(404, "", ""), 4, "", 0, "404"},
		"empty document": {answer(416, "bytes */0", ""), 4, "", 0, "416"},
	} {
		got, err := newOpener(t, "").OpenHead(t.Context(), serve(t, c.handle), c.head)
		if c.text != "" {
			if err == nil || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("%s: %v, want %q", name, err, c.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(got)
		if string(body) != c.body || got.Size != c.size || err != nil {
			t.Errorf("%s: %q, size %d, %v", name, body, got.Size, err)
		}
		got.Close()
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := newOpener(t, dir).OpenHead(t.Context(), "file:f", 4)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if body, _ := io.ReadAll(got); string(body) != content || got.Size != 10 || !got.Whole {
		t.Errorf("a file: %q, %+v", body, got)
	}
}

func TestOpenWholeAsksForNoRange(t *testing.T) {
	got, err := newOpener(t, "").Open(t.Context(), serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "range %q", r.Header.Get("Range"))
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer got.Close()
	if body, _ := io.ReadAll(got); string(body) != `range ""` {
		t.Errorf("%s", body)
	}
}

func TestReadSmall(t *testing.T) {
	chunked := func(w http.ResponseWriter, _ *http.Request) {
		w.(http.Flusher).Flush()
		io.WriteString(w, content)
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		conn, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		buf.WriteString("HTTP/1.0 200 OK\r\n\r\n" + content)
		buf.Flush()
		conn.Close()
	}
	for name, c := range map[string]struct {
		handle http.HandlerFunc
		limit  int64
		class  report.Class
		text   string
	}{
		"small":            {ranged, 10, report.ClassOK, ""},
		"chunked":          {chunked, 10, report.ClassOK, ""},
		"too long":         {ranged, 9, report.ClassContent, "10 bytes are more than the 9 allowed"},
		"chunked too long": {chunked, 9, report.ClassContent, "more than the 9 bytes"},
		"end not marked":   {endless, 10, report.ClassContent, "neither how long"},
		"down":             {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, 10, report.ClassUnavailable, "502"},
	} {
		got, err := newOpener(t, "").ReadSmall(t.Context(), serve(t, c.handle), c.limit)
		if c.text == "" && (err != nil || string(got) != content) {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		if c.text != "" && (report.Classify(err) != c.class || !strings.Contains(fmt.Sprint(err), c.text) || strings.Contains(fmt.Sprint(err), "CANARY")) {
			t.Errorf("%s: class %d, %v, want %q", name, report.Classify(err), err, c.text)
		}
	}
	_, err := newOpener(t, "").ReadSmall(t.Context(), serve(t, ranged), 3)
	if le, ok := errors.AsType[*digestio.LimitError](err); !ok || le.Size != 10 {
		t.Errorf("%v", err)
	}
}

func TestURLsThatAreNone(t *testing.T) {
	for url, text := range map[string]string{
		"ftp://a.example/?token=CANARY": "neither http, https nor file",
		"http://a b.example/CANARY":     "malformed URL",
		"CANARY":                        "neither http, https nor file",
		"file://CANARY@localhost/x":     "another host",
	} {
		_, err := newOpener(t, "").Open(t.Context(), url)
		if err == nil || !strings.Contains(err.Error(), text) || url != "CANARY" && strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
