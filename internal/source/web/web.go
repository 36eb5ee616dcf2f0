// Package web opens the http, https and file URLs of locks: RPMs, tarballs and
// charts. It opens one URL at a time and leaves the choice among several, and the
// check of the content, to the caller; how downloads are repeated and resumed is
// the client's matter (package httpx).
package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// A Source opens URLs.
type Source struct {
	client *http.Client
	dir    string
}

// New returns a source that downloads with c, a client of package httpx. Relative
// file: URLs are below dir, the directory of the lock that they stand in.
func New(c *http.Client, dir string) *Source {
	return &Source{client: c, dir: dir}
}

// A content is what a URL leads to.
type content struct {
	io.ReadCloser
	size int64 // -1: not said
	// whole says that an end of the content which is not its true end is noticed.
	whole bool
}

// Open opens what rawURL leads to. A size that differs from want's is refused
// with a *digestio.MismatchError before anything is downloaded. The content itself
// is not verified: the caller reads it through digestio.NewReader.
func (s *Source) Open(ctx context.Context, rawURL string, want ocispec.Descriptor) (io.ReadCloser, error) {
	c, err := s.open(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	if c.size >= 0 && c.size != want.Size {
		_ = c.Close()
		return nil, fmt.Errorf("open %s: %w", httpx.Redact(rawURL), &digestio.MismatchError{Want: want, GotBytes: c.size})
	}
	return c.ReadCloser, nil
}

// Pin reads the whole content of rawURL and returns its size and digest. A server that does not say where its content ends is refused,
// because a cut download would be pinned as if it were the whole.
func (s *Source) Pin(ctx context.Context, rawURL string) (int64, digest.Digest, error) {
	c, err := s.open(ctx, rawURL)
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	if !c.whole {
		return 0, "", fmt.Errorf("pin %s: the server says neither how long the content is nor where it ends", httpx.Redact(rawURL))
	}
	hash := digest.Canonical.Digester()
	n, err := io.Copy(hash.Hash(), c)
	if err != nil {
		return 0, "", fmt.Errorf("pin %s: %w", httpx.Redact(rawURL), err)
	}
	if c.size >= 0 && n != c.size {
		return 0, "", fmt.Errorf("pin %s: read %d bytes of %d: it changed while it was read", httpx.Redact(rawURL), n, c.size)
	}
	return n, hash.Digest(), nil
}

// Size returns how long the content of rawURL is, without downloading it; -1 when
// the server does not say.
func (s *Source) Size(ctx context.Context, rawURL string) (int64, error) {
	if u, err := url.Parse(rawURL); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		resp, err := s.ask(ctx, http.MethodHead, u)
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
	c, err := s.open(ctx, rawURL)
	if err != nil {
		return 0, err
	}
	_ = c.Close() // nothing was read
	return c.size, nil
}

// open opens an http, https or file URL.
func (s *Source) open(ctx context.Context, rawURL string) (*content, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// The parser's own words would quote the URL with its secrets.
		return nil, fmt.Errorf("open %s", httpx.Redact(rawURL))
	}
	switch u.Scheme {
	case "http", "https":
		return s.get(ctx, u)
	case "file":
		return s.openFile(u)
	default:
		return nil, fmt.Errorf("open %s: neither http, https nor file", httpx.RedactURL(u))
	}
}

func (s *Source) get(ctx context.Context, u *url.URL) (*content, error) {
	resp, err := s.ask(ctx, http.MethodGet, u) //nolint:bodyclose // the content is its body
	if err != nil {
		return nil, err
	}
	return &content{
		ReadCloser: resp.Body,
		size:       resp.ContentLength,
		whole:      resp.ContentLength >= 0 || slices.Contains(resp.TransferEncoding, "chunked"),
	}, nil
}

// ask makes a request that must be answered with 200. Its errors name method and URL.
func (s *Source) ask(ctx context.Context, method string, u *url.URL) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		// The parser's own words would quote the URL with its secrets.
		return nil, fmt.Errorf("%s %s: not a URL that can be asked", method, httpx.RedactURL(u))
	}
	resp, err := httpx.Do(s.client, req)
	if err != nil {
		return nil, err
	}
	if err := httpx.CheckStatus(resp, http.StatusOK); err != nil {
		return nil, err
	}
	return resp, nil
}
