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

// Served reads the metadata that clients of dir would read, and returns the checksum of
// each package by its path from the server's root. A server may keep one list for a
// whole tree, so where dir has no repodata, that of the nearest directory above counts.
// The error is errdef.ErrNotFound when there is none at all.
func Served(ctx context.Context, open OpenFunc, dir string) (map[string]digest.Digest, error) {
	for base := dir; ; base = path.Dir(base) {
		if base == "." || base == "/" {
			base = ""
		}
		listed, err := ReadPrimary(ctx, func(ctx context.Context, name string) (io.ReadCloser, error) {
			return open(ctx, path.Join(base, name))
		})
		if errors.Is(err, errdef.ErrNotFound) && base != "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Join(base, rpm.RepomdPath), err)
		}
		byPath := make(map[string]digest.Digest, len(listed))
		for location, sum := range listed {
			byPath[path.Join(base, location)] = sum.Digest()
		}
		return byPath, nil
	}
}
