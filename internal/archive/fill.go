package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/progress"
	"airbundle/internal/workers"
)

// bufferSize is large enough that a write costs little beside the hashing, and
// small enough that many jobs need little memory.
const bufferSize = 256 << 10

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// Fill reads the whole of r into the slot of blob d and checks size and digest as it
// passes. Only when they are right does the blob count as filled; a wrong one is a
// *digestio.MismatchError, and the slot can be filled again. When the blob is there
// already, r is not read; when another goroutine is filling it, Fill waits for that.
func (w *Writer) Fill(ctx context.Context, d ocispec.Descriptor, r io.Reader) (err error) {
	i, ok := w.layout.blob(d.Digest)
	if !ok || w.layout.entries[i].size != d.Size {
		return fmt.Errorf("the layout has no blob %s of %d bytes", d.Digest, d.Size)
	}
	taken, err := w.take(ctx, i)
	if !taken {
		return err
	}
	err = errUnfinished // should r panic
	defer func() { err = w.release(i, err) }()
	at := io.NewOffsetWriter(w.f, w.layout.entries[i].offset)
	err = pump(ctx, digestio.NewReader(r, d), func(p []byte) error {
		if _, err := at.Write(p); err != nil {
			return w.explain(err)
		}
		return nil
	})
	return err
}

var errUnfinished = errors.New("not filled to the end")

// take claims entry i for the caller; false without error when it is filled.
func (w *Writer) take(ctx context.Context, i int) (bool, error) {
	for {
		w.mu.Lock()
		if w.filled[i] {
			w.mu.Unlock()
			return false, nil
		}
		other, taken := w.busy[i]
		if !taken {
			w.busy[i] = make(chan struct{})
		}
		w.mu.Unlock()
		if !taken {
			return true, nil
		}
		select {
		case <-other:
		case <-ctx.Done():
			return false, context.Cause(ctx)
		}
	}
}

// release ends what take began. Without an error, the blob goes into the journal
// and counts as filled.
func (w *Writer) release(i int, err error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err == nil {
		err = w.journal.add(w.layout.entries[i].digest)
	}
	w.filled[i] = err == nil
	close(w.busy[i])
	delete(w.busy, i)
	return err
}

// keep takes over what an earlier run finished: the named entries are read back and
// count as filled when their content is right.
func (w *Writer) keep(ctx context.Context, named []int, o CreateOptions) error {
	if len(named) == 0 {
		return nil
	}
	total := int64(0)
	for _, i := range named {
		total += w.layout.entries[i].size
	}
	sink := o.Progress
	if sink == nil {
		sink = progress.Discard
	}
	jobs := o.Jobs
	if jobs <= 0 {
		jobs = runtime.GOMAXPROCS(0)
	}
	task := sink.Begin("check what is there", total)
	g, gctx := workers.WithContext(ctx)
	g.SetLimit(jobs)
	for _, i := range named {
		g.Go(func() error { return w.keepOne(gctx, i, task) })
	}
	err := g.Wait()
	task.End(err)
	return err
}

func (w *Writer) keepOne(ctx context.Context, i int, task progress.Task) error {
	e := w.layout.entries[i]
	r := digestio.NewReader(io.NewSectionReader(w.f, e.offset, e.size), ocispec.Descriptor{Digest: e.digest, Size: e.size})
	err := pump(ctx, r, func(p []byte) error {
		task.Add(int64(len(p)))
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	// Wrong content and content that cannot be read are both a blob to fetch again.
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.filled[i] = true
		w.kept += e.size
	}
	return nil
}

// pump passes r on in large pieces until its end, which is verified content. It is
// io.Copy with whole buffers of our size and a stop by ctx.
func pump(ctx context.Context, r *digestio.Reader, sink func([]byte) error) error {
	buf := buffers.Get().(*[bufferSize]byte)
	defer buffers.Put(buf)
	n, idle := 0, 0
	for {
		// The cause of a stop may well wrap io.EOF: it must not pass for an end of r.
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m, err := r.Read(buf[n:])
		n += m
		if idle++; m > 0 {
			idle = 0
		}
		if n == len(buf) || err != nil {
			if err := sink(buf[:n]); err != nil {
				return err
			}
			n = 0
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		case idle == 100:
			return io.ErrNoProgress
		}
	}
}
