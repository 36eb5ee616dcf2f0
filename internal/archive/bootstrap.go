package archive

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/manifest"
)

// maxResync is how much is read for damaged headers in all: to look for the next one, and
// to try whether the table stands behind one. Before root and table are found there are
// only JSON documents, none larger than these.
const maxResync = 4 * (manifest.MaxTable + manifest.MaxImageJSON)

// Where a canonical archive has its second entry.
const indexHeader = 2 * blockSize

// bootstrap finds root and table without knowing the layout, which follows from
// them. Each header on the way may be damaged: what is looked for has a digest.
func (s *scanner) bootstrap() (*manifest.Bundle, error) {
	p, err := s.rootHeader()
	if err != nil {
		return nil, err
	}
	root, at, err := s.findRoot(p)
	if err != nil {
		return nil, err
	}
	rootText, err := s.read(root, at)
	rootRaw := []byte(rootText)
	switch {
	case err != nil && s.indexOfOther(p):
		return nil, s.notBundle("index.json does not name the root of a bundle")
	case err != nil:
		return nil, s.errorf(at, blobPrefix+root.Digest.Encoded(), "the root of the bundle cannot be read: %w", err)
	}
	m, err := manifest.DecodeRoot(rootRaw)
	if errors.Is(err, manifest.ErrNotRoot) || err != nil && !json.Valid(rootRaw) {
		return nil, s.notBundle("its first blob is not the root of a bundle")
	}
	if err != nil {
		return nil, s.errorf(at, blobPrefix+root.Digest.Encoded(), "%w", err)
	}
	tableRaw, err := s.findTable(m.Config, at+root.Size+padding(root.Size))
	if err != nil {
		return nil, err
	}
	b, err := manifest.Open(rootRaw, tableRaw)
	if err != nil {
		return nil, s.errorf(at, blobPrefix+root.Digest.Encoded(), "%w", err)
	}
	return b, nil
}

func (s *scanner) notBundle(why string) error {
	return fmt.Errorf("%s: %w: %s; %s", s.path, ErrNotBundle, why, notBundle{}.Advice())
}

// block reads the block at p; the error is io.EOF when the file ends before its end.
// Another one is remembered: what is not found then may stand where nothing could be read.
func (s *scanner) block(p int64) (b block, err error) {
	_, err = s.r.ReadAt(b[:], p)
	s.note(p, err)
	return b, err
}

// note remembers what the system said of reading at p.
func (s *scanner) note(p int64, err error) {
	if ofSystem(err) {
		s.unread = append(s.unread, unread{p, err})
	}
}

// An unread block is one that the system could not read.
type unread struct {
	at  int64
	err error
}

// maxUnread is how many blocks may be unreadable while root and table are looked for. A sick
// disk takes seconds for each.
const maxUnread = 64

// blame returns err, or, when it may come of blocks that could not be read, an error that
// says so: it is then not known that anything is wrong with the file.
func (s *scanner) blame(err error) error {
	if f, ok := errors.AsType[*FormatError](err); len(s.unread) == 0 || ok && f.ExitCode() == localCode {
		return err
	}
	first, what := s.unread[0], err.Error()
	if f, ok := errors.AsType[*FormatError](err); ok {
		what = f.Msg
	}
	return s.errorf(first.at, "", "the medium cannot be read: %w; what was read is not enough: %s", first.err, what)
}

// unreadable is the error for a block that is needed and cannot be had.
func (s *scanner) unreadable(p int64, entry, what string, err error) error {
	if errors.Is(err, io.EOF) {
		return s.errorf(s.size, entry, "the file ends after %d bytes, before %s", s.size, what)
	}
	return s.errorf(p, entry, "%s cannot be read: %w", what, err)
}

// read reads and verifies a document of which nothing but the descriptor is known.
func (s *scanner) read(d ocispec.Descriptor, at int64) (string, error) {
	var raw strings.Builder
	if d.Size > manifest.MaxTable {
		return "", &digestio.LimitError{Limit: manifest.MaxTable, Size: d.Size}
	}
	raw.Grow(int(max(0, min(d.Size, s.size-at)))) // the file has it: to grow by and by takes twice as much
	_, err := io.Copy(&raw, digestio.NewReader(place(s.r, at, d), d))
	s.note(at, err)
	return raw.String(), err
}

// rootHeader decides whether the file has our form at all, and returns where the
// header of the root should be.
func (s *scanner) rootHeader() (int64, error) {
	first, firstErr := s.block(0)
	ours := first == encodeHeader(ocispec.ImageLayoutFile, int64(len(ociLayout)))
	if !ours && first.checksumOK() {
		return 0, s.notBundle("its first entry is not that of a bundle")
	}
	second, _ := s.block(indexHeader)
	name, size, err := decodeHeader(&second)
	isIndex := err == nil && name == ocispec.ImageIndexFile && size <= manifest.MaxTable
	switch {
	case s.size == 0:
		return 0, s.errorf(0, "", "the file is empty; %s", wantLayout)
	case firstErr != nil && !errors.Is(firstErr, io.EOF) && !isIndex:
		return 0, s.unreadable(0, ocispec.ImageLayoutFile, "its header", firstErr)
	case !ours && !isIndex:
		return 0, notTar(s.path, first[:])
	case err == nil && name == ocispec.ImageIndexFile && !isIndex:
		return 0, s.errorf(indexHeader, name, "%d bytes, more than the %d allowed", size, manifest.MaxTable)
	case !isIndex && second.checksumOK() && cString(second.name()) != ocispec.ImageIndexFile:
		return 0, s.notBundle("its second entry is not index.json")
	}
	if isIndex {
		return indexHeader + blockSize + size + padding(size), nil
	}
	if s.size < indexHeader+blockSize {
		return 0, s.errorf(s.size, "", "the file ends after %d bytes, before its second entry", s.size)
	}
	budget := int64(maxResync)
	p, ok := s.resync(indexHeader+blockSize, &budget)
	if !ok {
		return 0, s.errorf(indexHeader, ocispec.ImageIndexFile, "its header is damaged and no other entry follows")
	}
	return p, nil
}

// resync returns the first block at or after p that is a canonical header of a blob.
func (s *scanner) resync(p int64, budget *int64) (int64, bool) {
	for ; *budget > 0 && len(s.unread) < maxUnread; *budget -= blockSize {
		b, err := s.block(p)
		if errors.Is(err, io.EOF) {
			return 0, false
		}
		if _, ok := blobOf(&b); ok && err == nil {
			return p, true
		}
		p += blockSize
	}
	return 0, false
}

// blobOf returns what a canonical header of a blob says.
func blobOf(b *block) (ocispec.Descriptor, bool) {
	name, size, err := decodeHeader(b)
	if err != nil || len(name) <= len(blobPrefix) || name[:len(blobPrefix)] != blobPrefix {
		return ocispec.Descriptor{}, false
	}
	d := digest.NewDigestFromEncoded(digest.SHA256, name[len(blobPrefix):])
	return ocispec.Descriptor{Digest: d, Size: size}, d.Validate() == nil
}

// findRoot returns the root's descriptor and where its content stands: what the
// header at p says, or, when that is damaged, what index.json says.
func (s *scanner) findRoot(p int64) (d ocispec.Descriptor, at int64, err error) {
	b, err := s.block(p)
	d, isBlob := blobOf(&b)
	switch {
	case (!isBlob || err != nil) && s.indexOfOther(p):
		return d, 0, s.notBundle("index.json does not name the root of a bundle")
	case errors.Is(err, io.EOF):
		return d, 0, s.unreadable(p, "", "the root of the bundle", err)
	case isBlob:
		if d.Size > manifest.MaxRootManifest {
			return d, 0, s.notBundle("its first blob is too large for the root of a bundle")
		}
		return d, p + blockSize, nil
	case b.checksumOK():
		return d, 0, s.notBundle("its third entry is not a blob in the form of a bundle")
	}
	if d, ok := s.rootOfIndex(p); ok {
		return d, p + blockSize, nil
	}
	return d, 0, s.errorf(p, "", "the header of the root is damaged, and index.json does not name the root")
}

// maxRootEntry bounds how much of index.json is read for the descriptor of the root,
// which is the first that it lists.
const maxRootEntry = 4 << 10

// rootOfIndex returns the root's descriptor out of an index.json that ends before p.
func (s *scanner) rootOfIndex(p int64) (d ocispec.Descriptor, ok bool) {
	d, ok = s.firstOfIndex(p)
	// What a file says of itself is no digest and no size until it is checked.
	valid := d.Digest.Validate() == nil && d.Size >= 0 && d.Size <= manifest.MaxRootManifest
	return d, ok && valid && d.ArtifactType == manifest.ArtifactTypeBundle
}

// indexOfOther says whether an index.json that ends before p can be read, and is not that of
// a bundle: what is damaged behind it is then a layout of another tool.
func (s *scanner) indexOfOther(p int64) bool {
	d, ok := s.firstOfIndex(p)
	return ok && d.ArtifactType != manifest.ArtifactTypeBundle
}

// firstOfIndex returns the first descriptor in an index.json that ends before p, an empty one
// when it lists nothing. The rest of it may be large, and is not read.
func (s *scanner) firstOfIndex(p int64) (d ocispec.Descriptor, ok bool) {
	start := int64(indexHeader + blockSize)
	j := json.NewDecoder(io.NewSectionReader(s.r, start, min(p-start, maxRootEntry)))
	for {
		t, err := j.Token()
		if err != nil {
			return d, false
		}
		if t == "manifests" {
			break
		}
	}
	t, err := j.Token()
	if err != nil || t != json.Delim('[') {
		return d, false
	}
	if j.More() {
		return d, j.Decode(&d) == nil
	}
	t, err = j.Token()
	return d, err == nil && t == json.Delim(']')
}

// findTable returns the content of the table, which is one of the blobs behind p.
func (s *scanner) findTable(table ocispec.Descriptor, p int64) (string, error) {
	budget := int64(maxResync)
	for range maxEntries {
		b, err := s.block(p)
		if errors.Is(err, io.EOF) {
			return "", s.unreadable(p, blobPrefix+table.Digest.Encoded(), "the table of the bundle", err)
		}
		d, ok := blobOf(&b)
		if !ok || d.Digest == table.Digest {
			if budget -= table.Size; budget < 0 {
				break
			}
			if raw, err := s.read(table, p+blockSize); err == nil {
				return raw, nil
			} else if ok {
				return "", s.errorf(p+blockSize, blobPrefix+table.Digest.Encoded(), "the table of the bundle is damaged: %w", err)
			}
			if p, ok = s.resync(p+blockSize, &budget); !ok {
				break
			}
			continue
		}
		if d.Size > s.size-p {
			break
		}
		p += blockSize + d.Size + padding(d.Size)
	}
	return "", s.errorf(min(p, s.size), blobPrefix+table.Digest.Encoded(), "the table of the bundle is missing")
}
