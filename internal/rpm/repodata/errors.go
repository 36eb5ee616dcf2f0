package repodata

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// unavailableCode is the exit code of a remote that does not give what it should.
const unavailableCode = 6

// ErrMismatch says that a file of the metadata is not the one that repomd.xml names. It may
// just have been replaced: ReadPrimary has read once more from repomd.xml on.
var ErrMismatch error = mismatch{}

type mismatch struct{}

func (mismatch) Error() string { return "it is not the file that repomd.xml names" }

// ExitCode says that the remote does not give what it should.
func (mismatch) ExitCode() int { return unavailableCode }

// errGone says that a list is not where repomd.xml has it.
var errGone = errors.New("repomd.xml names it, but it is not there")

// A MalformedError says that a repository serves metadata that cannot be read.
type MalformedError struct {
	Path string // below the repository
	Err  error  // says where
}

func (e *MalformedError) Error() string { return "read " + e.Path + ": " + e.Err.Error() }

// Unwrap returns what is wrong and where.
func (e *MalformedError) Unwrap() error { return e.Err }

// ExitCode says that the remote does not give what it should.
func (e *MalformedError) ExitCode() int { return unavailableCode }

// A source remembers the error by which a reader ended, so that it can be told from what
// parsers make of a stream that ends too early.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

// readFile opens a file of a repository and has parse read it. What parse finds wrong is a
// *MalformedError, unless the source broke: then that is the error.
func readFile(ctx context.Context, open OpenFunc, path string, parse func(io.Reader) error) error {
	f, err := open(ctx, path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer f.Close()
	s := &source{r: f}
	return s.outcome(path, parse(s))
}

// outcome tells what was wrong with the content from what was wrong with the source.
func (s *source) outcome(path string, err error) error {
	switch {
	case s.err != nil:
		return fmt.Errorf("read %s: %w", path, s.err)
	case errors.Is(err, ErrMismatch):
		return fmt.Errorf("read %s: %w", path, err)
	case err != nil:
		return &MalformedError{path, err}
	}
	return nil
}
