package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/manifest"
)

// A LayoutTar is an OCI image layout in an uncompressed tar of any maker: a
// read-only content store like Archive, but one that nothing binds together. It is
// safe for concurrent use.
type LayoutTar struct {
	path  string
	f     *os.File
	files *tarFiles

	ociLayout, index []byte
}

// maxLayoutFile bounds the file oci-layout, which holds one version number.
const maxLayoutFile = 4 << 10

// maxIndex bounds index.json of a foreign layout: what it lists is held in memory.
const maxIndex = manifest.MaxImageJSON

// OpenLayout opens a tar that holds an OCI image layout. It locates all entries and
// reads oci-layout and index.json; what these say is not judged. Entries that are
// neither regular files nor directories, that stand twice or have an unsafe name,
// and padding that is not zero, are listed. The error is a *FormatError for a file that
// is no tar, a tar that is cut or goes on after its end, or one without a layout, and
// comes with what was listed before.
func OpenLayout(path string) (_ *LayoutTar, problems []*FormatError, err error) {
	f, info, err := openArchive(path)
	if err != nil {
		return nil, nil, err
	}
	t := &LayoutTar{path: path, f: f}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	if t.files, err = readTar(path, f, info.Size()); err != nil {
		return nil, t.files.problems, err
	}
	if t.ociLayout, err = t.readFile(ocispec.ImageLayoutFile, maxLayoutFile); err != nil {
		return nil, t.files.problems, err
	}
	if t.index, err = t.readFile(ocispec.ImageIndexFile, maxIndex); err != nil {
		return nil, t.files.problems, err
	}
	return t, t.files.problems, nil
}

func (t *LayoutTar) readFile(name string, limit int64) ([]byte, error) {
	s, ok := t.files.find(name)
	if !ok {
		return nil, &FormatError{Path: t.path, Entry: name, Msg: "missing: not an OCI image layout, or one of another version, for which a newer tool is needed"}
	}
	if s.size > limit {
		return nil, &FormatError{Path: t.path, Offset: s.offset, Entry: name, Msg: fmt.Sprintf("%d bytes, more than the %d allowed", s.size, limit)}
	}
	data := make([]byte, s.size)
	if _, err := t.f.ReadAt(data, s.offset); err != nil {
		return nil, fmt.Errorf("read %s of %s: %w", name, t.path, err)
	}
	return data, nil
}

// OCILayout returns the content of oci-layout.
func (t *LayoutTar) OCILayout() []byte { return t.ociLayout }

// Index returns the content of index.json.
func (t *LayoutTar) Index() []byte { return t.index }

// Files lists the names of all regular files in the order of the tar, without a
// leading "./".
func (t *LayoutTar) Files() []string { return t.files.names }

// Directories lists the names of all directories, each once.
func (t *LayoutTar) Directories() []string { return t.files.dirs }

// Size returns the size of a file in the tar.
func (t *LayoutTar) Size(name string) (int64, bool) {
	s, ok := t.files.find(name)
	return s.size, ok
}

// Fetch opens the blob of a descriptor. What is read is verified: EOF means that
// size and digest are right. A blob that the tar lacks is errdef.ErrNotFound.
func (t *LayoutTar) Fetch(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	s, err := t.blob(d)
	if err != nil {
		return nil, fmt.Errorf("%s: blob %q: %w", t.path, d.Digest, err)
	}
	if s.size != d.Size {
		return nil, fmt.Errorf("%s: blob %s: has %d bytes, not %d", t.path, d.Digest, s.size, d.Size)
	}
	return verified(ctx, t.f, s.offset, d), nil
}

// Exists says whether the tar has a blob of that digest and size. It does not look
// at the content.
func (t *LayoutTar) Exists(_ context.Context, d ocispec.Descriptor) (bool, error) {
	s, err := t.blob(d)
	if errors.Is(err, errdef.ErrNotFound) {
		return false, nil
	}
	return err == nil && s.size == d.Size, err
}

// blob finds a blob by its digest, which must be a valid one before it makes a name.
func (t *LayoutTar) blob(d ocispec.Descriptor) (section, error) {
	if err := d.Digest.Validate(); err != nil {
		return section{}, err
	}
	s, ok := t.files.find("blobs/" + d.Digest.Algorithm().String() + "/" + d.Digest.Encoded())
	if !ok {
		return section{}, errdef.ErrNotFound
	}
	return s, nil
}

// Close closes the file. Readers that are still open fail.
func (t *LayoutTar) Close() error { return t.f.Close() }
