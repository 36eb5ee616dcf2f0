package web

import (
	"context"
	"io"
)

// Begin opens the first n bytes of what rawURL leads to; more where the server does not
// answer ranges, or where it is a file. It is for looking at what a file begins with:
// nothing is verified.
func (s *Source) Begin(ctx context.Context, rawURL string, n int64) (io.ReadCloser, error) {
	c, err := s.opener.OpenHead(ctx, rawURL, n)
	if err != nil {
		return nil, err
	}
	return c.ReadCloser, nil
}
