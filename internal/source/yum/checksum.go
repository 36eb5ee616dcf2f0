package yum

import (
	"crypto"
	_ "crypto/md5" // metalinks have it; it counts where nothing better is there
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	"airbundle/internal/report"
)

// kinds are the hash functions that metadata names.
var kinds = map[string]crypto.Hash{
	"md5": crypto.MD5, "sha1": crypto.SHA1, "sha224": crypto.SHA224,
	"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

// kindOf normalises the name of a hash function: old metadata says sha for sha1.
func kindOf(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	if s == "sha" {
		return "sha1"
	}
	return s
}

// validHex says whether h, in lower case, is a hash of that kind.
func validHex(kind, h string) bool {
	k, ok := kinds[kind]
	return ok && len(h) == 2*k.Size() && strings.Trim(h, "0123456789abcdef") == ""
}

// A checksum is what content must hash to: "sha256:…".
type checksum struct{ kind, hex string }

func (c checksum) String() string { return c.kind + ":" + c.hex }

func (c checksum) new() hash.Hash { return kinds[c.kind].New() }

func (c checksum) of(data []byte) string {
	h := c.new()
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}

// parseChecksum reads "sha256:…", "sha1:…" or another but md5, which protects nothing.
func parseChecksum(s string) (checksum, error) {
	kind, digits, _ := strings.Cut(s, ":")
	c := checksum{kindOf(kind), strings.ToLower(digits)}
	if !validHex(c.kind, c.hex) || c.kind == "md5" {
		return checksum{}, report.WithClass(report.ClassContent, fmt.Errorf("checksum %.140q is not one that can be checked, want sha256:, sha512: or sha1: and hexadecimal digits", s))
	}
	return c, nil
}
