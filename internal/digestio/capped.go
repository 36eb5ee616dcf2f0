package digestio

import (
	"fmt"
	"io"
)

// contentCode is the exit code of content that is not what it should be.
const contentCode = 4

// A LimitError says that a document is longer than may be read into memory.
type LimitError struct {
	Limit int64
	Size  int64 // as announced; -1: it came out while reading
}

func (e *LimitError) Error() string {
	if e.Size > e.Limit {
		return fmt.Sprintf("%d bytes are more than the %d allowed here", e.Size, e.Limit)
	}
	return fmt.Sprintf("more than the %d bytes allowed here", e.Limit)
}

// ExitCode makes the error one of content, unless whoever wraps it knows better.
func (e *LimitError) ExitCode() int { return contentCode }

// ReadCapped reads r to its end, which must come within limit bytes; otherwise the
// error is a *LimitError. The announced length (-1: unknown) is refused before the
// first byte, and never trusted beyond that. The content is not verified.
func ReadCapped(r io.Reader, announced, limit int64) ([]byte, error) {
	if announced > limit {
		return nil, &LimitError{Limit: limit, Size: announced}
	}
	// One byte more tells a document of exactly limit bytes from a longer one.
	data, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &LimitError{Limit: limit, Size: -1}
	}
	return data, nil
}
