// Package digestio checks content while it streams: a reader made here reaches
// EOF only when size and digest are what the descriptor promised, so a caller
// that has seen EOF holds verified content and no caller can forget to check.
//
// It does not fetch, store or retry anything.
package digestio

import (
	_ "crypto/sha256" // what go-digest accepts is what is linked
	_ "crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A MismatchError says that content is not what its descriptor promised.
// Got is empty when the size alone was already wrong.
type MismatchError struct {
	Want     ocispec.Descriptor
	Got      digest.Digest
	GotBytes int64
}

func (e *MismatchError) Error() string {
	switch {
	case e.GotBytes < e.Want.Size:
		return fmt.Sprintf("content of %s ends after %d of %d bytes", e.Want.Digest, e.GotBytes, e.Want.Size)
	case e.GotBytes > e.Want.Size:
		return fmt.Sprintf("content of %s is longer than its %d bytes", e.Want.Digest, e.Want.Size)
	default:
		return fmt.Sprintf("content hashes to %s, want %s (%d bytes)", e.Got, e.Want.Digest, e.Want.Size)
	}
}

// A Reader verifies what passes through it against a descriptor.
type Reader struct {
	r    io.Reader
	want ocispec.Descriptor
	h    hash.Hash
	n    int64
	err  error // sticky
}

// NewReader returns a reader over r that yields at most want.Size bytes and then
// io.EOF if, and only if, r ended there and the content hashes to want.Digest.
// Otherwise the final error is a *MismatchError, or the error of r. A digest
// with an unknown algorithm or a negative size fails at the first Read.
func NewReader(r io.Reader, want ocispec.Descriptor) *Reader {
	v := &Reader{r: r, want: want}
	if err := want.Digest.Validate(); err != nil {
		v.err = fmt.Errorf("descriptor %q: %w", want.Digest, err)
		return v
	}
	if want.Size < 0 {
		v.err = fmt.Errorf("descriptor %s: size %d is negative", want.Digest, want.Size)
		return v
	}
	v.h = want.Digest.Algorithm().Hash()
	return v
}

// Read implements io.Reader.
func (v *Reader) Read(p []byte) (int, error) {
	if v.err != nil {
		return 0, v.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	left := v.want.Size - v.n
	if left == 0 {
		v.err = v.finish()
		return 0, v.err
	}
	if int64(len(p)) > left {
		p = p[:left]
	}
	n, err := v.r.Read(p)
	v.h.Write(p[:n])
	v.n += int64(n)
	switch {
	case err == nil:
	case !errors.Is(err, io.EOF):
		v.err = err
	case v.n < v.want.Size:
		v.err = v.mismatch("")
	default:
		v.err = v.checkSum()
	}
	return n, v.err
}

// finish is called when all promised bytes were read: nothing may follow.
func (v *Reader) finish() error {
	var one [1]byte
	for range 100 {
		n, err := v.r.Read(one[:])
		if n > 0 {
			v.n++
			return v.mismatch("")
		}
		if errors.Is(err, io.EOF) {
			return v.checkSum()
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

func (v *Reader) checkSum() error {
	got := digest.NewDigest(v.want.Digest.Algorithm(), v.h)
	if got != v.want.Digest {
		return v.mismatch(got)
	}
	return io.EOF
}

func (v *Reader) mismatch(got digest.Digest) error {
	return &MismatchError{Want: v.want, Got: got, GotBytes: v.n}
}

// ReadAll reads and verifies a whole small blob. It refuses a descriptor larger
// than limit before the first byte is read, and never allocates by a promised size.
func ReadAll(r io.Reader, want ocispec.Descriptor, limit int64) ([]byte, error) {
	if want.Size > limit {
		return nil, fmt.Errorf("%s: %w", want.Digest, &LimitError{Limit: limit, Size: want.Size})
	}
	return io.ReadAll(NewReader(r, want))
}
