package cli

import (
	"fmt"
	"io"
	"sync"
)

// A printer is standard output that remembers the first result that it could not take, and
// takes no more after it: no command that printed a part ends well.
type printer struct {
	w   io.Writer
	mu  sync.Mutex
	err error
}

// Write implements io.Writer.
func (p *printer) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err != nil {
		return 0, p.err
	}
	n, err := p.w.Write(b)
	if err != nil {
		p.err = fmt.Errorf("write the result: %w", err)
	}
	return n, p.err
}

// failed returns the first error of Write.
func (p *printer) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}
