package fetch

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
)

type answer func(*http.Request) (*http.Response, error)

func (a answer) RoundTrip(r *http.Request) (*http.Response, error) { return a(r) }

// A part that is taken begins at the beginning, and its size is that of the whole or unknown.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 0-3/10", "bytes 0-3/*", "bytes 4-7/10", "bytes 0-3/-7", "bytes 0-0/1", "bytes 0-99999999999999999999/1", "items 0-3/10", ""} {
		f.Add("https://h/a", s)
	}
	f.Add("file:a", "bytes 0-3/10")
	f.Add("https://u:canary@h/%zz", "")
	dir := f.TempDir()
	fuzztest.Run(f, func(t *testing.T, at, contentRange string) {
		if strings.HasPrefix(strings.ToLower(at), "file") {
			return // what is on this machine is no matter of this target
		}
		client := &http.Client{Transport: answer(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusPartialContent, Status: "206 Partial Content", Header: http.Header{"Content-Range": {contentRange}},
				Body: io.NopCloser(strings.NewReader("0123")), ContentLength: 4, Request: r}, nil
		})}
		c, err := New(client, dir).OpenHead(t.Context(), at, 4)
		if err != nil {
			return
		}
		defer c.Close()
		after, ok := strings.CutPrefix(contentRange, "bytes 0-")
		last, total, _ := strings.Cut(after, "/")
		if !ok || strings.Trim(last, "0123456789") != "" || c.Size < -1 || c.Size >= 0 && strings.TrimLeft(total, "0") != strings.TrimLeft(strconv.FormatInt(c.Size, 10), "0") {
			t.Errorf("Content-Range %q: taken as the beginning of %d bytes", contentRange, c.Size)
		}
	})
}
