package image

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"airbundle/internal/registrytest"
	"airbundle/internal/report"
)

// TestTagOnADamagedWay: a byte of a manifest changes on its way, so that it is still a
// manifest. A tag is resolved to what the registry has, or not at all.
func TestTagOnADamagedWay(t *testing.T) {
	damage := func(b []byte) []byte {
		b = bytes.Clone(b)
		at := bytes.LastIndex(b, []byte("sha256:")) + len("sha256:") // of a layer
		b[at] ^= 1                                                   // a digit, or a letter from a to f
		if b[at] == '`' || b[at] == 'g' {
			b[at] = '0'
		}
		return b
	}
	for _, tt := range []struct {
		name   string
		times  int // the first so many answers are damaged
		change func(http.Header)
		class  report.Class // 0: resolved
		says   string
	}{
		{"the header is right", 1, func(http.Header) {}, 0, ""},
		{"no header", 1, func(h http.Header) { h.Del("Docker-Content-Digest") }, report.ClassContent, "changed on the way"},
		{"no header, no damage", 0, func(h http.Header) { h.Del("Docker-Content-Digest") }, 0, ""},
		{"a header that is no digest", 1, func(h http.Header) { h.Set("Docker-Content-Digest", "sha256:x") }, report.ClassContent, "changed on the way"},
		{"the header is wrong", 0, func(h http.Header) { h.Set("Docker-Content-Digest", someDigest) }, 0, ""},
		{"both are wrong", 1, func(h http.Header) { h.Set("Docker-Content-Digest", someDigest) }, report.ClassUnavailable, someDigest},
		{"for ever", 100, func(http.Header) {}, report.ClassContent, "manifests/sha256:"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			img, n, armed := newImage(t, types.OCIManifestSchema1), 0, false
			reg := registrytest.Start(t, registrytest.Options{Wrap: alter("/manifests/", func(h http.Header, b []byte) []byte {
				if !armed || len(b) == 0 || strings.HasPrefix(string(b), `{"errors"`) {
					return b
				}
				tt.change(h)
				if n++; n <= tt.times {
					return damage(b)
				}
				return b
			})})
			source := push(t, reg, "a/b:v1", img)
			armed = true
			got, err := sourceFor(reg).Resolve(t.Context(), source)
			if tt.class == 0 {
				if diff := cmp.Diff(descriptorOf(t, img), got); err != nil || diff != "" {
					t.Errorf("%v %s", err, diff)
				}
				return
			}
			if err == nil || report.Classify(err) != tt.class || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), reg.Host+"/v2/a/b/manifests/") {
				t.Errorf("%v of class %d, want %d, %q and the place; got %v", err, report.Classify(err), tt.class, tt.says, got)
			}
		})
	}
}
