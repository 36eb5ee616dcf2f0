package repodata

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz" // the one that bounds its dictionary

	"airbundle/internal/rpm/xmlscan"
)

// read reads one file of the metadata, packed in any way, and has scan walk over it to the end
// of the document. What is wrong with the content is a *MalformedError with that
// name; where r itself breaks, that is the error.
func read(name string, r io.Reader, open int64, scan func(*xmlscan.Scanner) error) error {
	s := &source{r: r}
	return s.outcome(name, unpack(&capped{r: s, left: maxPacked, limit: maxPacked}, open, scan))
}

// unpack has scan walk over what is packed in r. The document must be whole, and nothing
// may follow it, in the packing or behind it.
func unpack(r io.Reader, limit int64, scan func(*xmlscan.Scanner) error) error {
	open, err := decompress(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return err
	}
	defer open.Close()
	s := xmlscan.New(&capped{r: open, left: limit, limit: limit})
	if err := scan(s); err != nil {
		return err
	}
	return s.Finish()
}

// unpackWhole returns what is packed in r.
func unpackWhole(r io.Reader, limit int64) ([]byte, error) {
	open, err := decompress(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return nil, err
	}
	defer open.Close()
	return io.ReadAll(&capped{r: open, left: limit, limit: limit})
}

// decompress looks at how the content begins, not at its name.
func decompress(r *bufio.Reader) (io.ReadCloser, error) {
	begin, err := r.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(begin, []byte{0x1f, 0x8b}):
		return gzip.NewReader(r)
	case bytes.HasPrefix(begin, []byte("\xfd7zXZ\x00")):
		x, err := xz.NewReader(r, maxDictionary)
		return io.NopCloser(x), err
	case bytes.HasPrefix(begin, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(begin, []byte("BZh")):
		return io.NopCloser(bzip2.NewReader(r)), nil
	}
	return io.NopCloser(r), nil
}

// A capped reader fails, rather than ends, when there is more than limit.
type capped struct {
	r           io.Reader
	left, limit int64
}

func (c *capped) Read(p []byte) (int, error) {
	if c.left < 0 {
		return 0, fmt.Errorf("more than the %d bytes allowed", c.limit)
	}
	// One byte more than allowed, so that the end at the limit is seen as an end.
	n, err := c.r.Read(p[:min(int64(len(p)), c.left+1)])
	if c.left -= int64(n); c.left < 0 {
		return n - 1, fmt.Errorf("more than the %d bytes allowed", c.limit)
	}
	return n, err
}

// A hashing reader hashes what it passes on.
type hashing struct {
	r    io.Reader
	hash hash.Hash
}

func (h *hashing) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	h.hash.Write(p[:n])
	return n, err
}
