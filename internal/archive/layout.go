package archive

import (
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

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
	index   []byte
	entries []entry
	order   []int32 // the entries of blobs, by digest
	size    int64
}

// An entry is one file in the tar. There may be very many.
type entry struct {
	mediaType string
	digest    digest.Digest // of a blob; empty for the two files of the layout itself
	offset    int64         // of the content; the header stands one block before
	size      int64
}

// NewLayout lays out an archive of index.json and the blobs, in the order given,
// the root of the bundle first. Digests are sha256, each stands once.
func NewLayout(index []byte, blobs []ocispec.Descriptor) (*Layout, error) {
	return newLayout(index, len(blobs), slices.Values(blobs))
}

// newLayout is NewLayout for n blobs of which there is no list.
func newLayout(index []byte, n int, blobs iter.Seq[ocispec.Descriptor]) (*Layout, error) {
	switch {
	case n == 0:
		return nil, errors.New("lay out archive: no blobs, not even a root")
	case n > maxEntries-2:
		return nil, fmt.Errorf("lay out archive: %d blobs, more than the %d that are allowed", n, maxEntries-2)
	}
	l := &Layout{index: index, entries: make([]entry, 0, n+2), order: make([]int32, 0, n), size: tailSize}
	l.entries = append(l.entries, entry{size: int64(len(ociLayout))}, entry{size: int64(len(index))})
	for d := range blobs {
		if err := l.addBlob(d); err != nil {
			return nil, fmt.Errorf("lay out archive: blob %q: %w", d.Digest, err)
		}
	}
	byDigest := func(i, j int32) int { return cmp.Compare(l.entries[i].digest, l.entries[j].digest) }
	slices.SortFunc(l.order, byDigest)
	for i, e := range l.order[1:] {
		if byDigest(l.order[i], e) == 0 {
			return nil, fmt.Errorf("lay out archive: blob %q: stands twice", l.entries[e].digest)
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
	l.order = append(l.order, int32(len(l.entries)))
	l.entries = append(l.entries, entry{mediaType: d.MediaType, digest: d.Digest, size: d.Size})
	return nil
}

// place gives each entry its offset and the layout its size.
func (l *Layout) place() error {
	for i := range l.entries {
		e := &l.entries[i]
		if e.size > math.MaxInt64-l.size-2*blockSize {
			return fmt.Errorf("lay out archive: blob %s: the sizes add up to more than a file can hold", e.digest)
		}
		e.offset = l.size - tailSize + blockSize
		l.size += blockSize + e.size + padding(e.size)
	}
	return nil
}

// id identifies the layout: all that stands in the archive beside the blobs follows from it.
func (l *Layout) id() digest.Digest {
	h := sha256.New()
	h.Write(l.index)
	for i, e := range l.entries {
		fmt.Fprintf(h, "\n%s %d", l.name(i), e.size)
	}
	return digest.NewDigest(digest.SHA256, h)
}

// Size returns the size of the whole archive.
func (l *Layout) Size() int64 { return l.size }

// Blobs returns the blobs in the order of the archive.
func (l *Layout) Blobs() []ocispec.Descriptor {
	all := make([]ocispec.Descriptor, 0, len(l.order))
	for _, e := range l.entries[2:] {
		all = append(all, e.descriptor())
	}
	return all
}

func (e *entry) descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: e.mediaType, Digest: e.digest, Size: e.size}
}

// name returns the name of entry i.
func (l *Layout) name(i int) string {
	switch i {
	case 0:
		return ocispec.ImageLayoutFile
	case 1:
		return ocispec.ImageIndexFile
	}
	return blobPrefix + l.entries[i].digest.Encoded()
}

// content returns that of the two files of the layout itself.
func (l *Layout) content(i int) []byte {
	switch i {
	case 0:
		return []byte(ociLayout)
	case 1:
		return l.index
	}
	return nil
}

// find returns the entry of a blob by the hexadecimal form of its digest.
func (l *Layout) find(hex string) (int, bool) {
	i, ok := slices.BinarySearchFunc(l.order, hex, func(e int32, hex string) int { return cmp.Compare(l.entries[e].digest.Encoded(), hex) })
	if !ok {
		return 0, false
	}
	return int(l.order[i]), true
}

// blob returns the entry of a blob.
func (l *Layout) blob(d digest.Digest) (int, bool) {
	hex, ok := strings.CutPrefix(string(d), "sha256:")
	if !ok {
		return 0, false
	}
	return l.find(hex)
}

// slot says where the content of a blob stands; false when the layout has no such blob.
func (l *Layout) slot(d digest.Digest) (offset, size int64, ok bool) {
	i, ok := l.blob(d)
	if !ok {
		return 0, 0, false
	}
	return l.entries[i].offset, l.entries[i].size, true
}

// header returns the header of entry i.
func (l *Layout) header(i int) block {
	return encodeHeader(l.name(i), l.entries[i].size)
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
