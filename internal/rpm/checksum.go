package rpm

import (
	"crypto"
	"fmt"
	"hash"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A Checksum is what metadata of a repository says of a file. Type is "sha256", "sha1",
// "sha512"…, in the one spelling that package digest has, too.
type Checksum struct {
	Type  string
	Value string // hexadecimal, lower case
}

// checksumTypes are the algorithms that repositories use.
var checksumTypes = map[string]crypto.Hash{
	"md5": crypto.MD5, "sha1": crypto.SHA1, "sha224": crypto.SHA224,
	"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

// NewChecksum accepts the algorithms that repositories use; "sha" is what createrepo wrote
// for SHA-1. White space around the value does not count, nor does its case.
func NewChecksum(kind, value string) (Checksum, error) {
	if kind == "sha" {
		kind = "sha1"
	}
	c := Checksum{Type: kind, Value: strings.ToLower(strings.TrimSpace(value))}
	algorithm, ok := checksumTypes[kind]
	if !ok {
		return Checksum{}, fmt.Errorf("unknown checksum type %q", kind)
	}
	if len(c.Value) != 2*algorithm.Size() || strings.Trim(c.Value, "0123456789abcdef") != "" {
		return Checksum{}, fmt.Errorf("%q is not a %s", c.Value, kind)
	}
	return c, nil
}

// Digest is the checksum in the form that the rest of the program uses.
func (c Checksum) Digest() digest.Digest {
	return digest.NewDigestFromEncoded(digest.Algorithm(c.Type), c.Value)
}

// New returns a hash by which content can be held against a checksum that NewChecksum made.
func (c Checksum) New() hash.Hash { return checksumTypes[c.Type].New() }
