package web

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// maxChecksums caps a checksum file: the largest real ones list some ten thousand
// names in 2 MB.
const maxChecksums = 4 << 20

// Checksums reads a checksum file of at most 4 MiB and returns the sha256 of each
// name in it. Known are the forms of sha256sum ("hash  name", "hash *name"), of
// BSD and openssl ("SHA256 (name) = hash"), both also inside a PGP clear-signed
// message (the signature is not checked), and a file that is one bare hash, which
// is returned under the name "". Checksums of other kinds are skipped; a file
// without any sha256, or with a line of another form, is an error.
func (s *Source) Checksums(ctx context.Context, rawURL string) (map[string]digest.Digest, error) {
	c, err := s.opener.Open(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	shown := httpx.Redact(rawURL)
	data, err := digestio.ReadCapped(c, c.Size, maxChecksums)
	if err != nil {
		return nil, fmt.Errorf("read checksums %s: %w", shown, err)
	}
	if !c.Whole {
		return nil, fmt.Errorf("read checksums %s: the server says neither how long the file is nor where it ends", shown)
	}
	sums, err := parseChecksums(data)
	if err != nil {
		return nil, fmt.Errorf("read checksums %s: %w", shown, err)
	}
	return sums, nil
}

var (
	// "hash", "hash  name", "hash *name"; a backslash before the hash says that the
	// name is escaped.
	gnuLine = regexp.MustCompile(`^(\\?)([0-9A-Fa-f]{32,128})(?:[ \t]+\*?(.+))?$`)
	bsdLine = regexp.MustCompile(`^([A-Za-z][A-Za-z0-9/-]*) ?\((.+)\) ?= ?([0-9A-Fa-f]{32,128})$`)
	// hexLengths are those of md5, sha1, sha224, sha256, sha384 and sha512.
	hexLengths = map[int]bool{32: true, 40: true, 56: true, 64: true, 96: true, 128: true}
)

// A checksumLine is one line's name and hash; sha256 is false for other kinds.
type checksumLine struct {
	name, hex string
	sha256    bool
}

func parseChecksums(data []byte) (map[string]digest.Digest, error) {
	sums := make(map[string]digest.Digest)
	text := string(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")))
	armor := false // in the headers of a clear-signed message, up to an empty line
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \t\r\n")
		switch {
		case strings.HasPrefix(line, "-----BEGIN PGP SIGNED MESSAGE"):
			armor = true
			continue
		case strings.HasPrefix(line, "-----BEGIN PGP SIGNATURE"):
			return finished(sums)
		case line == "":
			armor = false
			continue
		case armor || strings.HasPrefix(line, "#"):
			continue
		}
		l, err := parseChecksumLine(line)
		if err == nil && l.sha256 {
			err = add(sums, l)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	return finished(sums)
}

// finished checks what only the whole file shows.
func finished(sums map[string]digest.Digest) (map[string]digest.Digest, error) {
	if len(sums) == 0 {
		return nil, errors.New("no sha256 in it")
	}
	if _, bare := sums[""]; bare && len(sums) > 1 {
		return nil, errors.New("a hash without a name among others")
	}
	return sums, nil
}

func parseChecksumLine(line string) (checksumLine, error) {
	if m := bsdLine.FindStringSubmatch(line); m != nil && hexLengths[len(m[3])] {
		kind := strings.ToUpper(m[1])
		is256 := (kind == "SHA256" || kind == "SHA2-256" || kind == "SHA-256") && len(m[3]) == 64
		return checksumLine{m[2], m[3], is256}, nil
	}
	m := gnuLine.FindStringSubmatch(line)
	if m == nil || !hexLengths[len(m[2])] {
		// Not quoted: what a server sends in place of a list may repeat the URL, with its token.
		return checksumLine{}, errors.New("not a checksum with a file name")
	}
	name := m[3]
	if m[1] != "" {
		name = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r").Replace(name)
	}
	return checksumLine{name, m[2], len(m[2]) == 64}, nil
}

func add(sums map[string]digest.Digest, l checksumLine) error {
	name := strings.TrimPrefix(l.name, "./")
	d := digest.NewDigestFromEncoded(digest.SHA256, strings.ToLower(l.hex))
	if other, ok := sums[name]; ok && other != d {
		return fmt.Errorf("%q has two checksums, %s and %s", name, other, d)
	}
	sums[name] = d
	return nil
}
