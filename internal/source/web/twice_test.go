package web

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/report"
)

// TestPinWithoutTLS: a file that nothing vouches for is read twice, and pinned when both
// readings are the same.
func TestPinWithoutTLS(t *testing.T) {
	for _, tt := range []struct {
		name          string
		first, second string
		code          int // of the second answer
		class         report.Class
	}{
		{"same", "content", "content", 200, 0},
		{"other bytes", "c0ntent", "content", 200, report.ClassContent},
		{"other length", "cont", "content", 200, report.ClassContent},
		{"gone", "content", "", 404, report.ClassUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				if n.Add(1) == 1 {
					_, _ = w.Write([]byte(tt.first))
					return
				}
				w.WriteHeader(tt.code)
				_, _ = w.Write([]byte(tt.second))
			})
			if _, _, err := newSource(t, "").Pin(t.Context(), s.URL, digest.FromString("content")); tt.class == 0 && (err != nil || n.Swap(0) != 1) {
				t.Errorf("%v: read more than once though the digest is known", err)
			}
			n.Store(0)
			size, d, err := newSource(t, "").Pin(t.Context(), strings.Replace(s.URL, "http", "HTTP", 1)+"/a.tar?token=s3cr3t", "")
			if tt.class == 0 {
				if err != nil || size != 7 || d != digest.FromString("content") || n.Load() != 2 {
					t.Errorf("%d, %s, %v after %d requests", size, d, err, n.Load())
				}
				return
			}
			if report.Classify(err) != tt.class || !strings.Contains(err.Error(), "/a.tar") || strings.Contains(err.Error(), "s3cr3t") || size != 0 || d != "" {
				t.Errorf("%d, %s, %v", size, d, err)
			}
		})
	}
}
