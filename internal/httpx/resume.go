package httpx

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// errChanged ends a download whose content became another one in the middle.
var errChanged = errors.New("the content has changed on the server")

// A resumer is the body of a 200 of known length, or of the part that its caller asked
// for. When the transfer breaks it asks for the rest, and never joins two different
// contents: the rest is taken from a 206 that the server gave under If-Range with a strong
// validator, or from a whole 200 that begins with the very bytes that were delivered
// already. A caller's own part is asked for again as it was, and must begin so too.
type resumer struct {
	t     *Transport
	req   *http.Request // bound to a context that Close ends
	stop  context.CancelCauseFunc
	code  int // of the first answer
	first http.Header
	total int64

	mu     sync.Mutex // Close may come while a Read is waiting
	cur    io.ReadCloser
	closed bool

	pos    int64
	prefix maphash.Hash // of the bytes delivered
	broken error        // why cur cannot be read on
	tries  int          // reopenings since the last new byte
	err    error        // sticky
}

// resumable says whether the body of resp can be asked for again.
func resumable(req *http.Request, resp *http.Response) bool {
	part := resp.StatusCode == http.StatusPartialContent && req.Header.Get("Range") != "" && resp.Header.Get("Content-Range") != ""
	return req.Method == http.MethodGet && (req.Body == nil || req.Body == http.NoBody) &&
		(resp.StatusCode == http.StatusOK || part) && resp.ContentLength > 0
}

func newResumer(t *Transport, req *http.Request, resp *http.Response) *resumer {
	ctx, stop := context.WithCancelCause(req.Context())
	return &resumer{
		t: t, req: req.WithContext(ctx), stop: stop,
		code: resp.StatusCode, first: resp.Header, total: resp.ContentLength, cur: resp.Body,
	}
}

// Read implements io.Reader. It yields exactly the promised number of bytes and
// then io.EOF, or an error.
func (b *resumer) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	for b.pos < b.total {
		if b.broken != nil {
			if err := b.reopen(); err != nil {
				return 0, b.end(err)
			}
		}
		n, err := b.readSome(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, b.end(io.EOF)
}

// readSome reads once from the current attempt. A break is kept for the next
// Read, which begins with a new attempt; other errors end the body.
func (b *resumer) readSome(p []byte) (int, error) {
	p = p[:min(int64(len(p)), b.total-b.pos)]
	n, err := b.body().Read(p)
	if n > 0 {
		_, _ = b.prefix.Write(p[:n]) // never fails
		b.pos += int64(n)
		b.tries = 0
	}
	if err == nil {
		return n, nil
	}
	if b.pos == b.total {
		return n, b.end(io.EOF)
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // the end of a part, or of a body that lied about its length
	}
	if b.broken = transferError(err); b.broken == nil {
		return n, b.end(err)
	}
	return n, nil
}

// transferError returns the cause when a transfer broke, nil when the caller
// ended it.
func transferError(err error) error {
	if ua, ok := errors.AsType[*UnavailableError](err); ok {
		return ua.Err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return nil
}

// end makes err final and frees what the body holds.
func (b *resumer) end(err error) error {
	b.err = err
	b.stop(nil)
	_ = b.body().Close() // at EOF there is nothing to lose, else err matters
	return err
}

func (b *resumer) body() io.ReadCloser {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cur
}

// Close implements io.Closer. It may be called while a Read is waiting and ends it.
func (b *resumer) Close() error {
	b.stop(errBodyClosed)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return b.cur.Close()
}

// install makes rc the current attempt, unless the body was closed meanwhile.
func (b *resumer) install(rc io.ReadCloser) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		_ = rc.Close()
		return errBodyClosed
	}
	b.cur, b.broken = rc, nil
	return nil
}

// reopen makes attempts until one delivers the rest or none is left.
func (b *resumer) reopen() error {
	_ = b.body().Close() // it is broken and has given up its slot
	for {
		b.tries++
		if b.tries > b.t.attempts(b.req.Context()) {
			return b.failure(b.broken)
		}
		if err := b.t.backOff(b.req, b.tries, b.broken); err != nil {
			return err
		}
		rc, err := b.ask()
		if err == nil {
			return b.install(rc)
		}
		if b.req.Context().Err() != nil {
			return context.Cause(b.req.Context())
		}
		transient, ok := errors.AsType[*transientError](err)
		if !ok {
			return b.failure(err)
		}
		b.broken = transient.error
	}
}

// failure says where the body broke for good. A refusal stays a *StatusError for
// the caller to see; all else is an *UnavailableError.
func (b *resumer) failure(err error) error {
	err = fmt.Errorf("read %s, at byte %d of %d: %w", RedactURL(b.req.URL), b.pos, b.total, err)
	if status, ok := errors.AsType[*StatusError](err); ok && status.Code < 500 {
		return err
	}
	return &UnavailableError{Host: HostPort(b.req.URL), Attempts: min(b.tries, b.t.attempts(b.req.Context())), Err: err}
}

// A transientError is a failed reopening that may be tried again.
type transientError struct{ error }

// ask makes one attempt to get the bytes from pos on.
func (b *resumer) ask() (io.ReadCloser, error) {
	req := b.req.Clone(b.req.Context())
	ifRange := strongValidator(b.first)
	partial := b.pos > 0 && ifRange != "" && req.Header.Get("Range") == ""
	if partial {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", b.pos))
		req.Header.Set("If-Range", ifRange)
	}
	resp, err := b.t.exchange(req)
	if why := b.t.transient(resp, err); why != nil {
		if resp != nil {
			discard(resp.Body)
		}
		return nil, &transientError{why}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent && partial:
		err = b.checkPart(resp)
	case resp.StatusCode == b.code && resp.Header.Get("Content-Range") == b.first.Get("Content-Range"):
		err = b.skip(resp)
	case resp.StatusCode == http.StatusRequestedRangeNotSatisfiable:
		err = errChanged
	default:
		err = CheckStatus(resp, http.StatusOK, http.StatusPartialContent)
		if err == nil {
			err = errors.New("the server sent another part than was asked for")
		}
	}
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// checkPart accepts a 206 that goes on exactly where the body broke.
func (b *resumer) checkPart(resp *http.Response) error {
	var first, last, total int64
	cr := resp.Header.Get("Content-Range")
	if _, err := fmt.Sscanf(cr, "bytes %d-%d/%d", &first, &last, &total); err != nil || first != b.pos || last < first {
		return fmt.Errorf("asked for the bytes from %d on, got Content-Range %q", b.pos, cr)
	}
	if total != b.total || last >= total || !sameContent(b.first, resp.Header) {
		return errChanged
	}
	if resp.ContentLength >= 0 && resp.ContentLength != last-first+1 {
		return fmt.Errorf("Content-Range %q does not agree with %d bytes of content", cr, resp.ContentLength)
	}
	return nil
}

// skip reads what was delivered already off a whole new body, and makes sure that
// it is the same.
func (b *resumer) skip(resp *http.Response) error {
	if resp.ContentLength != b.total || !sameContent(b.first, resp.Header) {
		return errChanged
	}
	var again maphash.Hash
	again.SetSeed(b.prefix.Seed())
	if _, err := io.CopyN(&again, resp.Body, b.pos); err != nil {
		if why := transferError(err); why != nil {
			return &transientError{why}
		}
		return err
	}
	if again.Sum64() != b.prefix.Sum64() {
		return errChanged
	}
	return nil
}

// strongValidator returns what If-Range may carry: a strong ETag, or a
// Last-Modified that was at least a second old when it was sent (RFC 9110, 8.8.2.2:
// a younger one may stand for two contents). Empty when there is neither.
func strongValidator(h http.Header) string {
	if etag := h.Get("ETag"); strings.HasPrefix(etag, `"`) {
		return etag
	}
	modified, err := http.ParseTime(h.Get("Last-Modified"))
	if err != nil {
		return ""
	}
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || date.Sub(modified) < time.Second {
		return ""
	}
	return h.Get("Last-Modified")
}

// sameContent compares the validators that both answers have; the ETag decides.
func sameContent(a, b http.Header) bool {
	for _, key := range []string{"ETag", "Last-Modified"} {
		if va, vb := a.Get(key), b.Get(key); va != "" && vb != "" {
			return va == vb
		}
	}
	return true
}
