package rpm_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"airbundle/internal/rpm"
)

func TestNewChecksum(t *testing.T) {
	for _, tt := range []struct{ kind, value, want, err string }{
		{"sha256", " " + strings.Repeat("0A", 32) + "\n", "sha256:" + strings.Repeat("0a", 32), ""},
		{"sha512", strings.Repeat("1", 128), "sha512:" + strings.Repeat("1", 128), ""},
		{"sha", strings.Repeat("2", 40), "sha1:" + strings.Repeat("2", 40), ""},
		{"md5", strings.Repeat("3", 32), "md5:" + strings.Repeat("3", 32), ""},
		{"sha256", strings.Repeat("0", 63), "", "is not a sha256"},
		{"sha256", strings.Repeat("x", 64), "", "is not a sha256"},
		{"SHA256", strings.Repeat("0", 64), "", `unknown checksum type "SHA256"`},
		{"", "", "", `unknown checksum type ""`},
	} {
		c, err := rpm.NewChecksum(tt.kind, tt.value)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s %s: %v, want %s", tt.kind, tt.value, err, tt.err)
			}
			continue
		}
		if err != nil || string(c.Digest()) != tt.want || 2*c.New().Size() != len(c.Value) {
			t.Errorf("%s %s: %s, %v, want %s", tt.kind, tt.value, c.Digest(), err, tt.want)
		}
	}
	c := rpm.Checksum{Type: "sha1"}
	h := c.New()
	h.Write([]byte("abc"))
	if got, want := hex.EncodeToString(h.Sum(nil)), "a9993e364706816aba3e25717850c26c9cd0d89d"; got != want { // FIPS 180
		t.Errorf("sha1 of abc: %s, want %s", got, want)
	}
}
