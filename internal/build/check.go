package build

import (
	"errors"
	"io"

	"airbundle/internal/workers"
)

// A checkError is the verdict of a blob's own check on content of the right digest. No
// other place can give anything else.
type checkError struct{ err error }

func (e *checkError) Error() string { return e.err.Error() }

// Unwrap returns what the check said.
func (e *checkError) Unwrap() error { return e.err }

// A checkedReader lets checks read along. It ends with their verdict in place of EOF
// where one is bad, so that content counts as read only when all agree.
type checkedReader struct {
	r        io.Reader // of verified content
	feeds    []*io.PipeWriter
	verdicts []chan error
	err      error // sticky
}

func newCheckedReader(r io.Reader, checks []func(io.Reader) error) *checkedReader {
	c := &checkedReader{r: r}
	for _, check := range checks {
		pr, pw := io.Pipe()
		verdict := make(chan error, 1)
		go func() {
			err := guarded(check, pr)
			_, _ = io.Copy(io.Discard, pr) // a check that stops early must not stall the stream
			verdict <- err
		}()
		c.feeds = append(c.feeds, pw)
		c.verdicts = append(c.verdicts, verdict)
	}
	return c
}

// guarded is check, whose panic is a verdict, too: it reads what others have made.
func guarded(check func(io.Reader) error, r io.Reader) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = workers.Recovered(v)
		}
	}()
	return check(r)
}

// Read implements io.Reader.
func (c *checkedReader) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.r.Read(p)
	for _, feed := range c.feeds {
		_, _ = feed.Write(p[:n]) // fails only when stopped
	}
	if errors.Is(err, io.EOF) {
		err = c.verdict()
	}
	c.err = err
	return n, err
}

// verdict ends the streams of all checks and returns io.EOF when none objects.
func (c *checkedReader) verdict() error {
	var errs []error
	for i, feed := range c.feeds {
		feed.Close()
		if err := <-c.verdicts[i]; err != nil {
			errs = append(errs, err)
		}
	}
	err := errors.Join(errs...)
	switch {
	case err == nil:
		return io.EOF
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF // in a stream, EOF would say that all is well
	}
	return &checkError{err}
}

// stop ends checks that wait for more; after a verdict it does nothing.
func (c *checkedReader) stop() {
	for _, feed := range c.feeds {
		feed.CloseWithError(io.ErrClosedPipe)
	}
}
