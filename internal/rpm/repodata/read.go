// Package repodata reads the metadata of yum repositories: repomd.xml and the lists it
// names, into a catalog to resolve against or into checksums to compare with. It also
// cuts slices out of what repositories say of modules, groups and advisories, for those
// who carry a part of their packages.
//
// It does not resolve dependencies, and whole metadata is written by package createrepo.
package repodata

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/xmlscan"
)

// Bounds of reading. The largest distribution repositories have 75,000 packages, and
// 120 MB of primary.xml that is 15 MB when compressed.
const (
	maxPacked     = 256 << 20
	maxOpen       = 2 << 30
	maxPackages   = 1 << 20
	maxZstdWindow = 128 << 20
	maxDictionary = 64 << 20 // of xz -9
	maxLocation   = 4096
	maxChecksum   = 1 << 10 // of a checksum, with the white space around it
)

// ReadPrimary reads what a repository says it has: the checksum of each package by its
// location. It opens repomd.xml and then the primary list that it names, by their paths
// below the repository, and verifies the latter's checksum; where these two do not fit,
// the list may just have been replaced, and both are read once more. The list may be
// compressed by gzip, xz, zstd, bzip2 or not at all, whatever its name. It is read as a
// stream. The error is ErrMismatch, a *MalformedError that names file and line, or comes
// from open and what it opened.
func ReadPrimary(ctx context.Context, open OpenFunc) (map[string]rpm.Checksum, error) {
	_, packages, err := readListed(ctx, open, "")
	return packages, err
}

// readListed reads repomd.xml and, unless it is the one known already, the primary list.
func readListed(ctx context.Context, open OpenFunc, known digest.Digest) (entrance, map[string]rpm.Checksum, error) {
	for again := true; ; again = false {
		e, err := readEntrance(ctx, open)
		if err != nil || e.digest == known {
			return e, nil, err
		}
		packages, err := e.packages(ctx, open)
		if again && (errors.Is(err, ErrMismatch) || errors.Is(err, errGone)) {
			continue
		}
		return e, packages, err
	}
}

// An entrance is what repomd.xml says as far as reading the primary list needs it.
type entrance struct {
	revision string
	digest   digest.Digest // of repomd.xml
	primary  Data
}

func readEntrance(ctx context.Context, open OpenFunc) (e entrance, err error) {
	err = readFile(ctx, open, rpm.RepomdPath, func(r io.Reader) error {
		d := digest.Canonical.Digester()
		m, err := readRepomd(io.TeeReader(r, d.Hash()))
		if err != nil {
			return err
		}
		list, ok := m.Find("primary")
		if !ok {
			return errors.New("it names no primary list")
		}
		e = entrance{m.Revision, d.Digest(), list}
		return nil
	})
	return e, err
}

// packages reads the primary list.
func (e entrance) packages(ctx context.Context, open OpenFunc) (packages map[string]rpm.Checksum, err error) {
	err = readFile(ctx, open, e.primary.Location, func(r io.Reader) (err error) {
		packages, err = readVerified(r, e.primary.Checksum)
		return err
	})
	if errors.Is(err, errdef.ErrNotFound) {
		return nil, &MalformedError{e.primary.Location, errGone}
	}
	if err != nil {
		return nil, err
	}
	return packages, nil
}

// readVerified reads the list to its end whatever happens: an error of the parser counts only
// when the bytes were the right ones.
func readVerified(f io.Reader, want rpm.Checksum) (map[string]rpm.Checksum, error) {
	raw := &hashing{r: &capped{r: f, left: maxPacked, limit: maxPacked}, hash: want.New()}
	var packages map[string]rpm.Checksum
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
