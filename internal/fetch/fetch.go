// Package fetch opens http, https and file URLs, one at a time. Which of several to
// open, and whether the content is the right one, is for the caller to say; how
// downloads are repeated and resumed is the client's matter (package httpx).
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// An Opener opens URLs.
type Opener struct {
	client *http.Client
	dir    string
}

// New returns an opener that downloads with c, a client of package httpx. Relative
// file: URLs are below dir, the directory of the file that they stand in.
func New(c *http.Client, dir string) *Opener {
	return &Opener{client: c, dir: dir}
}

// A Content is what a URL leads to.
type Content struct {
	io.ReadCloser
	Size int64 // -1: not said
	// Whole says that an end of the content which is not its true end is noticed.
	Whole bool
}

// Open opens an http, https or file URL. Its errors name the URL, redacted. The content
// is not verified.
func (o *Opener) Open(ctx context.Context, rawURL string) (*Content, error) {
	return o.open(ctx, rawURL, 0)
}

// OpenHead is Open for a caller that needs the first n bytes only (n > 0). It may get
// more of the content than that, or all of it: some servers know no ranges. Closing it
// early ends the transfer. A Size is that of the whole content.
func (o *Opener) OpenHead(ctx context.Context, rawURL string, n int64) (*Content, error) {
	return o.open(ctx, rawURL, n)
}

// ReadSmall reads the whole of a small document, of at most limit bytes; a longer one
// is a *digestio.LimitError. A server that does not say where its content ends is
// refused, because a cut document would be taken for the whole.
func (o *Opener) ReadSmall(ctx context.Context, rawURL string, limit int64) ([]byte, error) {
	c, err := o.Open(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	data, err := digestio.ReadCapped(c, c.Size, limit)
	if err == nil && !c.Whole {
		err = noEnd{}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", httpx.Redact(rawURL), err)
	}
	return data, nil
}

// contentCode is the exit code of content that is not what it should be.
const contentCode = 4

// noEnd says that a server does not mark the end of a document.
type noEnd struct{}

func (noEnd) Error() string {
	return "the server says neither how long the content is nor where it ends"
}

// ExitCode makes it an error of content.
func (noEnd) ExitCode() int { return contentCode }

// Size returns how long the content of rawURL is, without downloading it; -1 when
// the server does not say.
func (o *Opener) Size(ctx context.Context, rawURL string) (int64, error) {
	if u, err := url.Parse(rawURL); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		resp, err := o.ask(ctx, http.MethodHead, u, 0)
		if err == nil {
			_ = resp.Body.Close() // a HEAD has none
			if resp.ContentLength > 0 {
				return resp.ContentLength, nil
			}
		} else if _, answered := errors.AsType[*httpx.StatusError](err); !answered {
			return 0, err
		}
	}
	// Signed URLs and some servers refuse HEAD, or answer it with a length of 0: only
	// the answer to a GET is the truth, and has the right error.
	c, err := o.Open(ctx, rawURL)
	if err != nil {
		return 0, err
	}
	_ = c.Close() // nothing was read
	return c.Size, nil
}

func (o *Opener) open(ctx context.Context, rawURL string, head int64) (*Content, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's own words would quote the URL with its secrets.
		return nil, fmt.Errorf("open %s", httpx.Redact(rawURL))
	}
	switch u.Scheme {
	case "http", "https":
		return o.get(ctx, u, head)
	case "file":
		return o.openFile(u)
	default:
		return nil, fmt.Errorf("open %s: neither http, https nor file", httpx.RedactURL(u))
	}
}

func (o *Opener) get(ctx context.Context, u *url.URL, head int64) (*Content, error) {
	resp, err := o.ask(ctx, http.MethodGet, u, head)
	if err != nil {
		return nil, err
	}
	c := &Content{
		ReadCloser: resp.Body,
		Size:       resp.ContentLength,
		Whole:      resp.ContentLength >= 0 || slices.Contains(resp.TransferEncoding, "chunked"),
	}
	if resp.StatusCode != http.StatusPartialContent {
		return c, nil
	}
	part := resp.Header.Get("Content-Range")
	m := firstPart.FindStringSubmatch(part)
	if m == nil {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("GET %s: asked for the first %d bytes, got Content-Range %q", httpx.RedactURL(u), head, part)
	}
	if c.Size, err = strconv.ParseInt(m[1], 10, 64); err != nil {
		c.Size = -1 // "*", or more than there is
	}
	return c, nil
}

// firstPart is the Content-Range of the first bytes of something (RFC 9110, section 14.4).
var firstPart = regexp.MustCompile(`^bytes 0-[0-9]+/([0-9]+|\*)$`)

// ask makes a request that must be answered with 200, or 206 where the first bytes are
// asked for. Its errors name method and URL.
func (o *Opener) ask(ctx context.Context, method string, u *url.URL, head int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		// The parser's own words would quote the URL with its secrets.
		return nil, fmt.Errorf("%s %s: not a URL that can be asked", method, httpx.RedactURL(u))
	}
	want := []int{http.StatusOK}
	if head > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=0-%d", head-1))
		want = append(want, http.StatusPartialContent)
	}
	resp, err := httpx.Do(o.client, req)
	if err != nil {
		return nil, err
	}
	if err := httpx.CheckStatus(resp, want...); err != nil {
		return nil, err
	}
	return resp, nil
}
