// Package web opens the http, https and file URLs of locks: RPMs, tarballs and
// charts. It opens one URL at a time and leaves the choice among several, and the
// check of the content, to the caller; how downloads are repeated and resumed is
// the client's matter (package httpx).
package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/fetch"
	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// A Source opens URLs.
type Source struct {
	opener *fetch.Opener
}

// New returns a source that downloads with c, a client of package httpx. Relative
// file: URLs are below dir, the directory of the lock that they stand in.
func New(c *http.Client, dir string) *Source {
	return &Source{opener: fetch.New(c, dir)}
}

// Open opens what rawURL leads to. A size that differs from want's is refused
// with a *digestio.MismatchError before anything is downloaded. The content itself
// is not verified: the caller reads it through digestio.NewReader.
func (s *Source) Open(ctx context.Context, rawURL string, want ocispec.Descriptor) (io.ReadCloser, error) {
	c, err := s.opener.Open(ctx, rawURL)
	if err != nil {
		return nil, err
	}
	if c.Size >= 0 && c.Size != want.Size {
		_ = c.Close()
		return nil, fmt.Errorf("open %s: %w", httpx.Redact(rawURL), &digestio.MismatchError{Want: want, GotBytes: c.Size})
	}
	return c.ReadCloser, nil
}

// Pin reads the whole content of rawURL and returns its size and digest. A server that does
// not say where its content ends is refused, because a cut download would be pinned as if
// it were the whole. Without TLS, and
// where the caller wants no certain digest, the content is read twice, since nothing else
// would tell a byte that was changed on the way; different readings are an error of content.
func (s *Source) Pin(ctx context.Context, rawURL string, want digest.Digest) (int64, digest.Digest, error) {
	n, d, err := s.pinOnce(ctx, rawURL)
	if err != nil || want != "" || !strings.HasPrefix(strings.ToLower(rawURL), "http:") {
		return n, d, err
	}
	again, other, err := s.pinOnce(ctx, rawURL)
	if err != nil {
		return 0, "", err
	}
	if again != n || other != d {
		return 0, "", report.WithClass(report.ClassContent, fmt.Errorf(
			"pin %s: read twice, without TLS, it had %d bytes, %s, and then %d bytes, %s: it was changed on the way or on the server; lock again, use https, or name its list of checksums",
			httpx.Redact(rawURL), n, d, again, other))
	}
	return n, d, nil
}

func (s *Source) pinOnce(ctx context.Context, rawURL string) (int64, digest.Digest, error) {
	c, err := s.opener.Open(ctx, rawURL)
	if err != nil {
		return 0, "", err
	}
	defer c.Close()
	if !c.Whole {
		return 0, "", fmt.Errorf("pin %s: the server says neither how long the content is nor where it ends", httpx.Redact(rawURL))
	}
	hash := digest.Canonical.Digester()
	n, err := io.Copy(hash.Hash(), c)
	if err != nil {
		return 0, "", fmt.Errorf("pin %s: %w", httpx.Redact(rawURL), err)
	}
	if c.Size >= 0 && n != c.Size {
		return 0, "", fmt.Errorf("pin %s: read %d bytes of %d: it changed while it was read", httpx.Redact(rawURL), n, c.Size)
	}
	return n, hash.Digest(), nil
}

// Read returns the whole content of rawURL, of at most limit bytes, as fetch.Opener does.
func (s *Source) Read(ctx context.Context, rawURL string, limit int64) ([]byte, error) {
	return s.opener.ReadSmall(ctx, rawURL, limit)
}

// Size returns how long the content of rawURL is, without downloading it; -1 when
// the server does not say.
func (s *Source) Size(ctx context.Context, rawURL string) (int64, error) {
	return s.opener.Size(ctx, rawURL)
}
