package httpx

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// TestResumeOwnPart: a part that the caller asked for is asked for again, by the same
// Range, until it is whole; one that has become another is not joined to what was read.
func TestResumeOwnPart(t *testing.T) {
	content := randomBytes(1000)
	changed := bytes.Clone(content)
	changed[10] ^= 1
	longer := append(bytes.Clone(content), 1)
	for _, tt := range []struct {
		name    string
		ranges  bool   // the server knows them
		after   []byte // what it has from the second request on
		noMore  bool   // it knows ranges at first only
		trouble int    // broken answers
		text    string // wanted in the error; empty: whole
	}{
		{"part", true, content, false, 1, ""},
		{"part, again and again", true, content, false, 3, ""},
		{"range not known", false, content, false, 2, ""},
		{"other beginning", true, changed, false, 1, "changed"},
		{"other length", true, longer, false, 1, "another part"},
		{"other length, range not known", false, longer, false, 1, "changed"},
		{"whole instead of part", true, content, true, 1, "another part"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			var asked sync.Map
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				i := int(n.Add(1))
				asked.Store(r.Header.Get("Range")+" "+r.Header.Get("If-Range"), true)
				now := content
				if i > 1 {
					now = tt.after
				}
				if !tt.ranges || tt.noMore && i > 1 {
					r.Header.Del("Range")
				}
				if i > tt.trouble {
					contentHandler(now, `"v1"`)(w, r)
					return
				}
				if r.Header.Get("Range") == "" {
					cut(w, now[:100+i], len(now))
				}
				w.Header().Set("Content-Range", fmt.Sprintf("bytes 10-699/%d", len(now)))
				w.Header().Set("Content-Length", "690")
				w.WriteHeader(http.StatusPartialContent)
				_, _ = w.Write(now[10 : 100+i])
				_ = http.NewResponseController(w).Flush()
				panic(http.ErrAbortHandler)
			})
			req := newRequest(t, http.MethodGet, s.URL, nil)
			req.Header.Set("Range", "bytes=10-699")
			resp, err := fast(t, Options{}).RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			want := content[10:700]
			if !tt.ranges {
				want = content
			}
			if tt.text == "" && (err != nil || !bytes.Equal(got, want)) {
				t.Errorf("got %d bytes, %v; want %d", len(got), err, len(want))
			}
			if tt.text != "" && (err == nil || !strings.Contains(err.Error(), tt.text) || !bytes.HasPrefix(want, got)) {
				t.Errorf("got %d bytes, %v; want a beginning and %q", len(got), err, tt.text)
			}
			for ask := range asked.Range {
				if ask != "bytes=10-699 " {
					t.Errorf("asked for %q", ask)
				}
			}
		})
	}
}
