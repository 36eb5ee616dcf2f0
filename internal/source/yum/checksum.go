package yum

import (
	"encoding/hex"
	"fmt"
	"strings"

	"airbundle/internal/report"
	"airbundle/internal/rpm"
)

// readChecksum reads a checksum whose type is written in any case.
func readChecksum(kind, value string) (rpm.Checksum, error) {
	return rpm.NewChecksum(strings.ToLower(strings.TrimSpace(kind)), value)
}

// checksumOf is the value of a checksum of a type over data.
func checksumOf(kind string, data []byte) string {
	h := rpm.Checksum{Type: kind}.New()
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// parseChecksum reads "sha256:…", "sha1:…" or another but md5, which protects nothing.
func parseChecksum(s string) (rpm.Checksum, error) {
	kind, digits, _ := strings.Cut(s, ":")
	c, err := readChecksum(kind, digits)
	if err != nil || c.Type == "md5" {
		return rpm.Checksum{}, report.WithClass(report.ClassContent, fmt.Errorf("checksum %.140q is not one that can be checked, want sha256:, sha512: or sha1: and hexadecimal digits", s))
	}
	return c, nil
}
