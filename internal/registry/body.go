package registry

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
)

const bodyBuffer = 64 << 10

var errBodyClosed = errors.New("read from a closed request body")

// A Body is a request body that gives its last byte away only when the whole
// content has been verified. A request with an exact Content-Length therefore
// never completes with wrong content: the server is left with a cut upload.
type Body struct {
	mu     sync.Mutex // the transport may still read when the answer is there
	rc     io.ReadCloser
	r      *bufio.Reader
	sent   int64
	err    error // sticky
	closed bool
}

// newBody returns a body over rc, whose content must be that of d.
func newBody(rc io.ReadCloser, d ocispec.Descriptor) *Body {
	return &Body{rc: rc, r: bufio.NewReaderSize(digestio.NewReader(rc, d), bodyBuffer)}
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, errBodyClosed
	}
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	// A byte may go when another one follows it, or when the end is known.
	ahead, err := b.r.Peek(2)
	switch {
	case err == nil:
		p = p[:min(len(p), b.r.Buffered()-1)]
	case !errors.Is(err, io.EOF) || len(ahead) == 0:
		b.err = err
		return 0, err
	}
	n, err := b.r.Read(p)
	b.sent += int64(n)
	return n, err
}

// Request returns a request that carries the body. Content-Length is exact, and
// GetBody is not set: the body can be sent once.
func (b *Body) Request(ctx context.Context, method, url string, d ocispec.Descriptor) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, b)
	if err != nil {
		return nil, err
	}
	req.ContentLength = d.Size
	req.Header.Set("Content-Type", "application/octet-stream")
	if d.Size > 0 {
		return req, nil
	}
	// net/http takes a zero length with a body for an unknown one.
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		return nil, err
	}
	req.Body = http.NoBody
	return req, nil
}

// Close implements io.Closer. After it the source is not read any more.
func (b *Body) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	return b.rc.Close()
}

// outcome tells how many bytes were given away, and why the source did not give
// the content of the descriptor: a *digestio.MismatchError, or an error of its
// own. The error is nil while the source is not to blame.
func (b *Body) outcome() (sent int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil && !errors.Is(b.err, io.EOF) {
		err = b.err
	}
	return b.sent, err
}
