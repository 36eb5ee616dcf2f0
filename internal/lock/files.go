package lock

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

func (r *resolver) lockFiles(ctx context.Context, lock *lockfile.Lock) {
	wishes, err := expandFiles(r.req)
	if err != nil {
		r.errs = append(r.errs, err)
		return
	}
	locked := make([]lockfile.File, len(wishes))
	failed := r.each(ctx, len(wishes), func(i int) string { return wishes[i].Path }, func(i int) (err error) {
		locked[i], err = r.file(ctx, wishes[i])
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(int(wishes[i].Line), "file "+wishes[i].Path, err)
			continue
		}
		lock.Files = append(lock.Files, locked[i])
	}
}

// expandFiles gives the files that the wishes stand for. A decoded request has none that
// cannot be expanded.
func expandFiles(req *lockfile.Request) ([]lockfile.FileWish, error) {
	var all []lockfile.FileWish
	var errs []error
	for _, w := range req.Files {
		expanded, err := w.Expand(req.Arches)
		if err != nil {
			errs = append(errs, report.WithClass(report.ClassUsage, err))
		}
		all = append(all, expanded...)
	}
	return all, errors.Join(errs...)
}

// file pins one file: by a download, held against the list of checksums where the request
// names one. The list's word alone is enough where the old lock has the same pin, so that
// locking again downloads nothing, and where the user trusts it: build compares anyway.
func (r *resolver) file(ctx context.Context, w lockfile.FileWish) (lockfile.File, error) {
	f := lockfile.File{Path: w.Path, URLs: []string{w.URL}, Groups: w.Groups, Note: w.Note}
	if len(w.Arches) == 1 {
		f.Arch = w.Arches[0]
	}
	var want digest.Digest
	if w.Checksums != "" {
		var err error
		if want, err = r.checksum(ctx, w); err != nil {
			return f, err
		}
		f.Digest = want
		if f.Size, err = r.sizeUnread(ctx, f); err != nil || f.Size > 0 {
			return f, err
		}
	}
	size, got, err := r.src.Files.Pin(ctx, w.URL, want)
	if err != nil {
		return f, err
	}
	if size == 0 {
		return f, fmt.Errorf("%s is empty: an empty file is not carried", httpx.Redact(w.URL))
	}
	if want != "" && want != got {
		return f, fmt.Errorf("%s hashes to %s, %s says %s", httpx.Redact(w.URL), got, httpx.Redact(w.Checksums), want)
	}
	f.Size, f.Digest = size, got
	return f, nil
}

// sizeUnread asks for the size of a file whose digest a list tells, 0 when it has to be
// downloaded.
func (r *resolver) sizeUnread(ctx context.Context, f lockfile.File) (int64, error) {
	var pinned int64
	if r.o.Old != nil {
		for _, have := range r.o.Old.Files {
			if have.Path == f.Path && have.Digest == f.Digest && slices.Equal(have.URLs, f.URLs) {
				pinned = have.Size
			}
		}
	}
	if pinned == 0 && !r.o.TrustChecksums {
		return 0, nil
	}
	size, err := r.src.Files.Size(ctx, f.URLs[0])
	switch {
	case err != nil:
		return 0, err
	case size <= 0, pinned != 0 && size != pinned:
		return 0, nil
	case pinned == 0:
		r.note("file %s: pinned by the word of its list of checksums, not downloaded", f.Path)
	}
	return size, nil
}

// checksum finds a file's line in its list: by the last part of its URL, or the only
// line of a list without names.
func (r *resolver) checksum(ctx context.Context, w lockfile.FileWish) (digest.Digest, error) {
	sums, err := r.src.Files.Checksums(ctx, w.Checksums)
	if err != nil {
		return "", err
	}
	url, _, _ := strings.Cut(w.URL, "?")
	for _, name := range []string{path.Base(url), path.Base(w.Path), ""} {
		if d, ok := sums[name]; ok {
			return d, nil
		}
	}
	return "", fmt.Errorf("%s does not name %s", httpx.Redact(w.Checksums), path.Base(url))
}
