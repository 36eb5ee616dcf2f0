// Package progress lets long work say how far it is without knowing who
// listens. It draws nothing: terminals belong to package cli.
package progress

import "io"

// A Sink is told of pieces of work. Its methods are safe for concurrent use,
// never block for long and never fail.
type Sink interface {
	// Begin announces a piece of work of total bytes (-1: unknown).
	Begin(name string, total int64) Task
}

// A Task is one piece of work.
type Task interface {
	// Add reports n more bytes done; a negative n takes bytes back that a retry will send again.
	Add(n int64)
	// End closes the task; err is nil when it succeeded.
	End(err error)
}

// Discard is a Sink that listens to nothing.
var Discard Sink = discard{}

type discard struct{}

func (discard) Begin(string, int64) Task { return discard{} }
func (discard) Add(int64)                {}
func (discard) End(error)                {}

// Reader returns a reader over r that reports to t what was read.
func Reader(r io.Reader, t Task) io.Reader { return &reader{r, t} }

type reader struct {
	r io.Reader
	t Task
}

func (p *reader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	if n > 0 {
		p.t.Add(int64(n))
	}
	return n, err
}
