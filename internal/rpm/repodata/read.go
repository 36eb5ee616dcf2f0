package repodata

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"context"
	"crypto"
	_ "crypto/md5"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/xi2/xz" // the one that bounds its dictionary
	"oras.land/oras-go/v2/errdef"
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
	if raw, err := hex.DecodeString(c.Value); err != nil || len(raw) != algorithm.Size() {
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

// A reference is where repomd.xml says the primary list is, and what it hashes to.
type reference struct {
	location string
	checksum Checksum
}

func readOnce(ctx context.Context, open OpenFunc) (packages map[string]Checksum, err error) {
	var ref reference
	err = readFile(ctx, open, RepomdPath, func(r io.Reader) (err error) {
		ref, err = parseRepomd(&capped{r: r, left: maxRepomd, limit: maxRepomd})
		return err
	})
	if err != nil {
		return nil, err
	}
	err = readFile(ctx, open, ref.location, func(r io.Reader) (err error) {
		packages, err = readVerified(r, ref)
		return err
	})
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, &MalformedError{ref.location, errGone}
	}
	if err != nil {
		return nil, err
	}
	return packages, nil
}

// readVerified reads the list to its end whatever happens: an error of the parser counts only
// when the bytes were the right ones.
func readVerified(f io.Reader, ref reference) (map[string]Checksum, error) {
	raw := &hashing{r: &capped{r: f, left: maxPacked, limit: maxPacked}, hash: algorithms[ref.checksum.Type].New()}
	packages, err := parsePacked(raw)
	if _, drainErr := io.Copy(io.Discard, raw); drainErr != nil {
		return nil, drainErr
	}
	if got := hex.EncodeToString(raw.hash.Sum(nil)); got != ref.checksum.Value {
		return nil, fmt.Errorf("%w: its %s is %s, want %s", ErrMismatch, ref.checksum.Type, got, ref.checksum.Value)
	}
	return packages, err
}

func parsePacked(r io.Reader) (map[string]Checksum, error) {
	open, err := decompress(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return parsePrimary(&capped{r: open, left: maxOpen, limit: maxOpen})
}

// decompress looks at how the content begins, not at its name.
func decompress(r *bufio.Reader) (io.ReadCloser, error) {
	begin, err := r.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.HasPrefix(begin, []byte("\xfd7zXZ\x00")):
		x, err := xz.NewReader(r, maxDictionary)
		return io.NopCloser(x), err
	case bytes.HasPrefix(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(begin, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
	return io.NopCloser(r), nil
}

// A capped reader fails, rather than ends, when there is more than limit.
type capped struct {
	r           io.Reader
	left, limit int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, fmt.Errorf("more than the %d bytes allowed", c.limit)
	}
	// One byte more than allowed, so that the end at the limit is seen as an end.
	n, err := c.r.Read(p[:min(int64(len(p)), c.left+1)])
	if c.left -= int64(n); c.left < 0 {
		return n - 1, fmt.Errorf("more than the %d bytes allowed", c.limit)
	}
	return n, err
}

// A hashing reader hashes what it passes on.
type hashing struct {
	r    io.Reader
	hash hash.Hash
}

func (h *hashing) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.hash.Write(p[:n])
	return n, err
}

// parseRepomd finds the primary list.
func parseRepomd(r io.Reader) (reference, error) {
	var ref reference
	x := newXMLReader(r, "repomd")
	for x.next("data") {
		if x.attribute("type") != "primary" {
			x.err = x.skip()
			continue
		}
		if ref.location != "" {
			return ref, x.errorf("a second primary list")
		}
		entry, err := x.entry()
		if err != nil {
			return ref, err
		}
		if !fs.ValidPath(entry.location) {
			return ref, x.errorf("location %q is not below the repository", entry.location)
		}
		ref = entry
	}
	if x.err == nil && ref.location == "" {
		return ref, errors.New("it names no primary list")
	}
	return ref, x.err
}

// parsePrimary collects the packages. It keeps nothing else of the list.
func parsePrimary(r io.Reader) (map[string]Checksum, error) {
	packages := map[string]Checksum{}
	x := newXMLReader(r, "metadata")
	for x.next("package") {
		entry, err := x.entry()
		if err != nil {
			return nil, err
		}
		if have, ok := packages[entry.location]; ok && have != entry.checksum {
			return nil, x.errorf("%s is listed with two checksums", entry.location)
		}
		if packages[entry.location] = entry.checksum; len(packages) > maxPackages {
			return nil, x.errorf("more than the %d packages allowed", maxPackages)
		}
	}
	if x.err != nil {
		return nil, x.err
	}
	return packages, nil
}
