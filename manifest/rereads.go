package manifest

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// MaxReread bounds how many bytes of image JSON are read a second time and more: images may
// share manifests and configs, and a few large ones that very many share would take hours.
const MaxReread = 32 << 20

// Rereads counts the image JSON of a bundle that is read more than once. The zero value is
// ready to use, by one goroutine.
type Rereads struct {
	seen  map[digest.Digest]bool
	bytes int64
}

// Count takes note of reading a document. Where that makes more than MaxReread bytes, the
// error is a *RereadError, and the document should not be read.
func (r *Rereads) Count(d ocispec.Descriptor) error {
	if r.seen == nil {
		r.seen = map[digest.Digest]bool{}
	}
	if !r.seen[d.Digest] {
		r.seen[d.Digest] = true
		return nil
	}
	if r.bytes += d.Size; r.bytes > MaxReread {
		return &RereadError{d}
	}
	return nil
}

// A RereadError says that images share more JSON than readers of a bundle read again.
type RereadError struct{ Document ocispec.Descriptor }

func (e *RereadError) Error() string {
	return fmt.Sprintf("%s of %d bytes: more than %d bytes of manifests and configs that images share would be read again: %s",
		e.Document.Digest, e.Document.Size, MaxReread, e.Advice())
}

// Advice says what to do, for reports.
func (*RereadError) Advice() string {
	return "give one image several names by publish, or build in parts by group"
}
