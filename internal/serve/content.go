package serve

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// etag is the entity tag of content: its digest, so it is strong and the same for
// the same bytes everywhere.
func etag(d digest.Digest) string { return `"` + string(d) + `"` }

// serveBlob answers with a blob of the store: whole, a range, or 304.
func (s *Server) serveBlob(w http.ResponseWriter, r *http.Request, desc ocispec.Descriptor, contentType string) {
	w.Header().Set("Content-Type", contentType) // else ServeContent reads ahead to guess
	w.Header().Set("ETag", etag(desc.Digest))
	section, seekable := s.store.Section(desc.Digest)
	b := &body{size: desc.Size, open: func(offset int64) (io.ReadCloser, error) {
		if offset > 0 {
			return io.NopCloser(io.NewSectionReader(section, offset, desc.Size-offset)), nil
		}
		return s.store.Fetch(r.Context(), desc)
	}}
	defer b.close()
	if desc.Size == 0 {
		_, b.err = b.Read(make([]byte, 1)) // no bytes to hold back: look before
		if errors.Is(b.err, io.EOF) {
			b.err = nil
		}
	}
	if b.err == nil {
		http.ServeContent(w, simpleRange(r, seekable), "", time.Time{}, b)
	}
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		if r.Context().Err() == nil {
			s.opts.Log.Error("answer cut: the archive's content is not what it should be", "path", r.URL.Path, "digest", desc.Digest, "err", b.err)
		}
		panic(http.ErrAbortHandler) // the only way to break a response off
	}
}

// serveBytes answers with content that was made here.
func serveBytes(w http.ResponseWriter, r *http.Request, raw []byte, contentType string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("ETag", etag(digest.FromBytes(raw)))
	http.ServeContent(w, simpleRange(r, true), "", time.Time{}, bytes.NewReader(raw))
}

// simpleRange drops a Range header that will not be obeyed, as RFC 9110 section 14.2
// allows: on HEAD, of another unit than bytes, several ranges at once, or over
// content that cannot be read from the middle.
func simpleRange(r *http.Request, seekable bool) *http.Request {
	rng := r.Header.Get("Range")
	if rng == "" || r.Method == http.MethodGet && seekable && strings.HasPrefix(rng, "bytes=") && !strings.Contains(rng, ",") {
		return r
	}
	r = r.Clone(r.Context())
	r.Header.Del("Range")
	return r
}

// A body is content as http.ServeContent reads it: it opens at the first Read, where
// Seek has left it. Whoever reads to the end gets the last bytes only after the
// reader below has come to its end without an error.
type body struct {
	size int64
	open func(offset int64) (io.ReadCloser, error)
	pos  int64
	rc   io.ReadCloser
	err  error // sticky; io.EOF at the end
}

// Seek implements io.Seeker.
func (b *body) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += b.pos
	case io.SeekEnd:
		offset += b.size
	}
	if b.rc != nil && offset != b.pos {
		return 0, errors.New("seek in content that is being read")
	}
	b.pos = offset
	return offset, nil
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if b.rc == nil && b.err == nil {
		b.rc, b.err = b.open(b.pos)
	}
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.rc.Read(p)
	left := b.size - b.pos - int64(n)
	switch {
	case left == 0 && err == nil:
		err = atEnd(b.rc)
	case left > 0 && errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	case left < 0:
		err = fmt.Errorf("more than the %d bytes that it should have", b.size)
	}
	b.err = err
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	b.pos += int64(n)
	return n, err
}

// atEnd returns io.EOF when nothing follows.
func atEnd(r io.Reader) error {
	var one [1]byte
	_, err := io.ReadFull(r, one[:])
	if err == nil {
		return errors.New("more bytes than it should have")
	}
	return err
}

// close closes what was opened. Nothing was written, so there is no error to tell.
func (b *body) close() {
	if b.rc != nil {
		b.rc.Close()
	}
}
