package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/manifest"
)

// An Archive is an open archive: a read-only content store (oras-go's
// content.ReadOnlyStorage). It is safe for concurrent use.
type Archive struct {
	path    string
	f       *os.File
	size    int64
	bundle  *manifest.Bundle
	layout  *Layout
	offsets []int64
}

// Open opens an archive and checks everything but the contents of the blobs, which
// are checked when they are read: every byte of every header, index.json, padding,
// end and size must be what follows from the root. The error is ErrNotBundle for a
// tar archive of another form, an *fs.PathError for what is no regular file or cannot be
// opened, else a *FormatError with the first departure.
func Open(path string) (*Archive, error) {
	a, problems, err := Scan(path)
	if err != nil {
		return nil, err
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems[0], a.Close())
	}
	return a, nil
}

// Bundle returns root and table.
func (a *Archive) Bundle() *manifest.Bundle { return a.bundle }

// Size returns the size of the file.
func (a *Archive) Size() int64 { return a.size }

// Offset returns where in the file the content of a blob stands; false when it is
// not there.
func (a *Archive) Offset(d digest.Digest) (int64, bool) {
	i, ok := a.layout.blob(d)
	if !ok || a.offsets[i] < 0 {
		return 0, false
	}
	return a.offsets[i], true
}

// Fetch opens a blob. What is read is verified: EOF means that size and digest are
// right. A blob that the bundle does not have is errdef.ErrNotFound; one that it
// should have and the file lacks is a *FormatError.
func (a *Archive) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	at, err := a.find(ctx, d)
	if err != nil {
		return nil, err
	}
	return verified(ctx, a.f, at, d), nil
}

// Read returns the verified content of a blob that is small by its nature: root and
// table, and of any other at most manifest.MaxImageJSON bytes. Its errors are those of
// Fetch. It is a manifest.ReadFunc.
func (a *Archive) Read(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	at, err := a.find(ctx, d)
	if err != nil {
		return nil, err
	}
	limit := int64(manifest.MaxImageJSON)
	if d.Digest == a.bundle.Root.Digest || d.Digest == a.bundle.TableDescriptor().Digest {
		limit = manifest.MaxTable
	}
	raw, err := digestio.ReadAll(place(a.f, at, d), d, limit)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a.path, err)
	}
	return raw, nil
}

// find returns where the content of a blob stands.
func (a *Archive) find(ctx context.Context, d ocispec.Descriptor) (int64, error) {
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	i, ok := a.layout.blob(d.Digest)
	if !ok {
		return 0, fmt.Errorf("%s: blob %s: %w", a.path, d.Digest, errdef.ErrNotFound)
	}
	e := &a.layout.entries[i]
	if e.size != d.Size {
		return 0, fmt.Errorf("%s: blob %s: has %d bytes, not %d", a.path, d.Digest, e.size, d.Size)
	}
	if a.offsets[i] < 0 {
		return 0, &FormatError{Path: a.path, Entry: a.layout.name(i), Digests: []digest.Digest{d.Digest}, Msg: "missing"}
	}
	return a.offsets[i], nil
}

// Exists says whether the archive has a blob of that digest and size. It does not
// look at the content.
func (a *Archive) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	i, ok := a.layout.blob(d.Digest)
	return ok && a.layout.entries[i].size == d.Size && a.offsets[i] >= 0, nil
}

// Section returns the content of a blob for reading in any order. Nothing is
// verified: it is for serving ranges to clients that verify.
func (a *Archive) Section(d digest.Digest) (*io.SectionReader, bool) {
	at, ok := a.Offset(d)
	if !ok {
		return nil, false
	}
	_, size, _ := a.layout.slot(d)
	return io.NewSectionReader(a.f, at, size), true
}

// Close closes the file. Readers that are still open fail.
func (a *Archive) Close() error { return a.f.Close() }

// verified returns a reader of the content at offset that checks it against d, and ends
// with ctx: to hash some gigabytes takes longer than a signal may be left waiting.
func verified(ctx context.Context, f *os.File, offset int64, d ocispec.Descriptor) io.ReadCloser {
	r := place(f, offset, d)
	return io.NopCloser(digestio.NewReader(readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	}), d))
}

// A readerFunc is an io.Reader.
type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// place returns a reader of the content at offset, unverified.
func place(f io.ReaderAt, offset int64, d ocispec.Descriptor) *placed {
	return &placed{f, offset, offset + max(0, d.Size)}
}

// A placed reader reads part of a file and says in its errors where it was.
type placed struct {
	f       io.ReaderAt
	at, end int64
}

func (r *placed) Read(p []byte) (int, error) {
	if r.at >= r.end {
		return 0, io.EOF
	}
	n, err := r.f.ReadAt(p[:min(int64(len(p)), r.end-r.at)], r.at)
	r.at += int64(n)
	switch {
	case n > 0 && errors.Is(err, io.EOF):
		return n, nil
	case err != nil && !errors.Is(err, io.EOF):
		return n, fmt.Errorf("at byte %d: %w", r.at, err)
	}
	return n, err
}
