// Package repodata reads the metadata of yum repositories: repomd.xml and the lists it
// names, into a catalog to resolve against or into checksums to compare with. It also
// cuts slices out of what repositories say of modules, groups and advisories, for those
// who carry a part of their packages.
//
// It does not resolve dependencies, and whole metadata is written by package createrepo.
package repodata

import (
	"context"
	"crypto"
	_ "crypto/md5"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/xmlscan"
)

// Bounds of reading. The largest distribution repositories have 75,000 packages, and
// 120 MB of primary.xml that is 15 MB when compressed.
const (
	maxRepomd     = 4 << 20
	maxPacked     = 256 << 20
	maxOpen       = 2 << 30
	maxPackages   = 1 << 20
	maxZstdWindow = 128 << 20
	maxDictionary = 64 << 20 // of xz -9
	maxLocation   = 4096
	maxChecksum   = 1 << 10 // of a checksum, with the white space around it
)

// A Checksum is what metadata says of a file. Type is "sha256", "sha1", "sha512"…, in
// the one spelling that package digest has, too.
type Checksum struct {
	Type  string
	Value string // hexadecimal, lower case
}

// Digest is the checksum in the form that the rest of the program uses.
func (c Checksum) Digest() digest.Digest {
	return digest.NewDigestFromEncoded(digest.Algorithm(c.Type), c.Value)
}

// newChecksum accepts the algorithms that repositories use.
func newChecksum(kind, value string) (Checksum, error) {
	if kind == "sha" { // what createrepo writes for SHA-1
		kind = "sha1"
	}
	c := Checksum{Type: kind, Value: strings.ToLower(strings.TrimSpace(value))}
	algorithm, ok := algorithms[kind]
	if !ok {
		return Checksum{}, fmt.Errorf("unknown checksum type %q", kind)
	}
	if len(c.Value) != 2*algorithm.Size() || strings.Trim(c.Value, "0123456789abcdef") != "" {
		return Checksum{}, fmt.Errorf("%q is not a %s", c.Value, kind)
	}
	return c, nil
}

var algorithms = map[string]crypto.Hash{
	"md5": crypto.MD5, "sha1": crypto.SHA1, "sha224": crypto.SHA224,
	"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512,
}

// ReadPrimary reads what a repository says it has: the checksum of each package by its
// location. It opens repomd.xml and then the primary list that it names, by their paths
// below the repository, and verifies the latter's checksum; where these two do not fit,
// the list may just have been replaced, and both are read once more. The list may be
// compressed by gzip, xz, zstd, bzip2 or not at all, whatever its name. It is read as a
// stream. The error is ErrMismatch, a *MalformedError that names file and line, or comes
// from open and what it opened.
func ReadPrimary(ctx context.Context, open OpenFunc) (map[string]Checksum, error) {
	packages, err := readOnce(ctx, open)
	if errors.Is(err, ErrMismatch) || errors.Is(err, errGone) {
		return readOnce(ctx, open)
	}
	return packages, err
}

func readOnce(ctx context.Context, open OpenFunc) (packages map[string]Checksum, err error) {
	var list Data
	err = readFile(ctx, open, rpm.RepomdPath, func(r io.Reader) (err error) {
		list, err = primaryOf(r)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = readFile(ctx, open, list.Location, func(r io.Reader) (err error) {
		packages, err = readVerified(r, list.Checksum)
		return err
	})
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, &MalformedError{list.Location, errGone}
	}
	if err != nil {
		return nil, err
	}
	return packages, nil
}

// primaryOf finds the primary list.
func primaryOf(r io.Reader) (Data, error) {
	m, err := readRepomd(r)
	if err != nil {
		return Data{}, err
	}
	list, ok := m.Find("primary")
	if !ok {
		return Data{}, errors.New("it names no primary list")
	}
	return list, nil
}

// readVerified reads the list to its end whatever happens: an error of the parser counts only
// when the bytes were the right ones.
func readVerified(f io.Reader, want Checksum) (map[string]Checksum, error) {
	raw := &hashing{r: &capped{r: f, left: maxPacked, limit: maxPacked}, hash: algorithms[want.Type].New()}
	var packages map[string]Checksum
	err := unpack(raw, maxOpen, func(s *xmlscan.Scanner) (err error) {
		packages, err = scanListed(s)
		return err
	})
	if _, drainErr := io.Copy(io.Discard, raw); drainErr != nil {
		return nil, drainErr
	}
	if got := hex.EncodeToString(raw.hash.Sum(nil)); got != want.Value {
		return nil, fmt.Errorf("%w: its %s is %s, want %s", ErrMismatch, want.Type, got, want.Value)
	}
	return packages, err
}
