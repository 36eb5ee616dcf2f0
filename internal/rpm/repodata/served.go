package repodata

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/rpm"
)

// An OpenFunc reads what a server has at a path; errdef.ErrNotFound only when nothing is
// there.
type OpenFunc = func(ctx context.Context, path string) (io.ReadCloser, error)

// A Listing is what the metadata that clients read says of a directory.
type Listing struct {
	Base     string                  // the directory that has the repodata: the one asked for, or one above
	Repomd   digest.Digest           // of repomd.xml: another one means that the metadata was made anew
	Revision string                  // as repomd.xml has it, mostly seconds since 1970
	Packages map[string]rpm.Checksum // by path from the server's root
}

// List reads the metadata that clients of dir would read. A server may keep one list for a
// whole tree, so where dir has no repodata, that of the nearest directory above counts.
// Where repomd.xml is still that of last, which may be nil, nothing else is read, and last
// is returned. The error is errdef.ErrNotFound when there is none at all.
func List(ctx context.Context, open OpenFunc, dir string, last *Listing) (*Listing, error) {
	return nearest(dir, func(base string) (*Listing, error) { return listAt(ctx, open, base, last) })
}

// Peek is List without the packages: it reads repomd.xml only.
func Peek(ctx context.Context, open OpenFunc, dir string) (*Listing, error) {
	return nearest(dir, func(base string) (*Listing, error) {
		e, err := readEntrance(ctx, below(open, base))
		return &Listing{Base: base, Repomd: e.digest, Revision: e.revision}, err
	})
}

// nearest reads the metadata of dir, or of the directory above that has some.
func nearest(dir string, read func(base string) (*Listing, error)) (*Listing, error) {
	for base := dir; ; base = path.Dir(base) {
		if base == "." || base == "/" {
			base = ""
		}
		l, err := read(base)
		if errors.Is(err, errdef.ErrNotFound) && base != "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(base, rpm.RepomdPath), err)
		}
		return l, nil
	}
}

// below opens files of a directory.
func below(open OpenFunc, base string) OpenFunc {
	return func(ctx context.Context, name string) (io.ReadCloser, error) { return open(ctx, path.Join(base, name)) }
}

func listAt(ctx context.Context, open OpenFunc, base string, last *Listing) (*Listing, error) {
	var known digest.Digest
	if last != nil && last.Base == base {
		known = last.Repomd
	}
	e, listed, err := readListed(ctx, below(open, base), known)
	switch {
	case err != nil:
		return nil, err
	case e.digest == known:
		return last, nil
	}
	l := &Listing{Base: base, Repomd: e.digest, Revision: e.revision, Packages: make(map[string]rpm.Checksum, len(listed))}
	for location, sum := range listed {
		l.Packages[path.Join(base, location)] = sum
	}
	return l, nil
}

// Served is List for those who ask once and need the checksums only.
func Served(ctx context.Context, open OpenFunc, dir string) (map[string]digest.Digest, error) {
	l, err := List(ctx, open, dir, nil)
	if err != nil {
		return nil, err
	}
	byPath := make(map[string]digest.Digest, len(l.Packages))
	for at, sum := range l.Packages {
		byPath[at] = sum.Digest()
	}
	return byPath, nil
}
