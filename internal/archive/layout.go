package archive

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// ociLayout is the content of the first entry (OCI image-spec 1.1, image-layout.md).
const ociLayout = `{"imageLayoutVersion":"` + ocispec.ImageLayoutVersion + `"}`

const (
	blobPrefix = "blobs/sha256/"
	tailSize   = 2 * blockSize // the two zero blocks that end a tar
)

// A Layout is the plan of an archive: what stands where, to the byte. It follows
// from index.json and the list of blobs, and does not change.
type Layout struct {
	index    []byte
	blobs    []ocispec.Descriptor
	entries  []entry
	byDigest map[digest.Digest]int // index into entries
	size     int64
	id       digest.Digest
}

// An entry is one file in the tar.
type entry struct {
	name    string
	digest  digest.Digest // of a blob; empty for the two files of the layout itself
	offset  int64         // of the content; the header stands one block before
	size    int64
	content []byte // of the two files of the layout itself
}

// NewLayout lays out an archive of index.json and the blobs, in the order given,
// the root of the bundle first. Digests are sha256, each stands once.
func NewLayout(index []byte, blobs []ocispec.Descriptor) (*Layout, error) {
	switch {
	case len(blobs) == 0:
		return nil, errors.New("lay out archive: no blobs, not even a root")
	case len(blobs) > maxEntries-2:
		return nil, fmt.Errorf("lay out archive: %d blobs, more than the %d that are allowed", len(blobs), maxEntries-2)
	}
	l := &Layout{
		index:    index,
		blobs:    blobs,
		entries:  make([]entry, 0, len(blobs)+2),
		byDigest: make(map[digest.Digest]int, len(blobs)),
		size:     tailSize,
	}
	l.entries = append(l.entries,
		entry{name: ocispec.ImageLayoutFile, size: int64(len(ociLayout)), content: []byte(ociLayout)},
		entry{name: ocispec.ImageIndexFile, size: int64(len(index)), content: index})
	for _, d := range blobs {
		if err := l.addBlob(d); err != nil {
			return nil, fmt.Errorf("lay out archive: blob %q: %w", d.Digest, err)
		}
	}
	return l, l.place()
}

func (l *Layout) addBlob(d ocispec.Descriptor) error {
	if err := d.Digest.Validate(); err != nil {
		return err
	}
	if d.Digest.Algorithm() != digest.SHA256 {
		return errors.New("only sha256 digests are carried")
	}
	if d.Size < 0 {
		return fmt.Errorf("size %d is negative", d.Size)
	}
	if _, ok := l.byDigest[d.Digest]; ok {
		return errors.New("stands twice")
	}
	l.byDigest[d.Digest] = len(l.entries)
	l.entries = append(l.entries, entry{name: blobPrefix + d.Digest.Encoded(), digest: d.Digest, size: d.Size})
	return nil
}

// place gives each entry its offset and the layout its size and identity.
func (l *Layout) place() error {
	h := sha256.New()
	h.Write(l.index)
	for i := range l.entries {
		e := &l.entries[i]
		if e.size > math.MaxInt64-l.size-2*blockSize {
			return fmt.Errorf("lay out archive: blob %s: the sizes add up to more than a file can hold", e.digest)
		}
		e.offset = l.size - tailSize + blockSize
		l.size += blockSize + e.size + padding(e.size)
		fmt.Fprintf(h, "\n%s %d", e.name, e.size)
	}
	l.id = digest.NewDigest(digest.SHA256, h)
	return nil
}

// Size returns the size of the whole archive.
func (l *Layout) Size() int64 { return l.size }

// Blobs returns the blobs in the order of the archive. It must not be changed.
func (l *Layout) Blobs() []ocispec.Descriptor { return l.blobs }

// slot says where the content of a blob stands; false when the layout has no such blob.
func (l *Layout) slot(d digest.Digest) (offset, size int64, ok bool) {
	i, ok := l.byDigest[d]
	if !ok {
		return 0, 0, false
	}
	return l.entries[i].offset, l.entries[i].size, true
}

// header returns the header of entry i.
func (l *Layout) header(i int) block {
	return encodeHeader(l.entries[i].name, l.entries[i].size)
}

// joint returns what stands before the content of entry i, from the end of the
// content before it: padding, then the header. For i == len(entries) that is the
// end of the file: padding, then the two zero blocks.
func (l *Layout) joint(i int) (offset int64, data []byte) {
	if i > 0 {
		last := &l.entries[i-1]
		offset = last.offset + last.size
		data = make([]byte, padding(last.size), blockSize+tailSize)
	}
	if i == len(l.entries) {
		return offset, append(data, make([]byte, tailSize)...)
	}
	h := l.header(i)
	return offset, append(data, h[:]...)
}
