// Package build turns a plan into an archive: it fetches every blob once, in parallel,
// each into its own slot, verified as it passes, and gives the archive its name when
// all of it is whole. It knows neither registries nor URLs; the plan brings its own
// sources.
package build

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/digestio"
	"airbundle/internal/plan"
	"airbundle/internal/progress"
	"airbundle/internal/report"
	"airbundle/internal/workers"
)

// rounds is how often all origins of a blob are tried at most. Retries of one request are
// the transport's work; a second round helps where content arrived wrong, and a further one
// where it was wrong in another way: that is the network, not the source.
const rounds = 6

// Options tune Run. The zero value is ready to use.
type Options struct {
	Jobs     int           // blobs fetched at once; 0 means 8
	Progress progress.Sink // default progress.Discard
	Done     func(Fetched) // told of each blob that is in its slot, from several goroutines

	// Claim is that on the archive, released when Run ends; nil: Run makes its own.
	Claim *archive.Claim
	// Whole is called when all blobs are in place, before the archive gets its name, also
	// where it has it already: what belongs beside the archive is made here. On its error
	// the archive does not get its name.
	Whole func() error
}

// A Fetched is one blob that was fetched into its slot.
type Fetched struct {
	Blob  plan.Blob
	Place string // where it came from
	Took  time.Duration
}

// A Result says what a build did.
type Result struct {
	Size    int64 // of the archive, in bytes
	Blobs   int   // fetched by this run
	Fetched int64 // bytes fetched by this run
	Kept    int64 // bytes that an earlier run had fetched
}

// A BlobError says which blob could not be fetched, for which artifact and from where.
type BlobError struct {
	Artifact string // kind and name
	Desc     ocispec.Descriptor
	Places   []string // that were tried
	Err      error    // joined, one per place and try
}

func (e *BlobError) Error() string {
	return fmt.Sprintf("%s: blob %s: %s", e.Artifact, e.Desc.Digest, strings.ReplaceAll(e.Err.Error(), "\n", "; "))
}

// Unwrap returns the cause.
func (e *BlobError) Unwrap() error { return e.Err }

// Subject returns what a record of the error is about, and where it should have come from.
func (e *BlobError) Subject() report.Record {
	kind, name, _ := strings.Cut(e.Artifact, " ")
	return report.Record{Kind: kind, Name: name, Digest: e.Desc.Digest, Place: strings.Join(e.Places, ", ")}
}

// Run builds the archive of p at path. Where that archive stands already, it is read and
// checked, and nothing is fetched; any other file at path is replaced at the very end.
// What a killed run left beside path is continued. On failure nothing stands at path
// that was not there before, finished slots are kept for the next run, and the
// error joins a *BlobError for each blob that is missing.
func Run(ctx context.Context, p *plan.Plan, path string, o Options) (_ *Result, err error) {
	layout, err := archive.NewLayout(p.Bundle.Index(), p.Bundle.Blobs())
	if err != nil {
		return nil, fmt.Errorf("lay out the archive: %w", err)
	}
	sink := o.Progress
	if sink == nil {
		sink = progress.Discard
	}
	o.Jobs = cmp.Or(o.Jobs, 8)
	if o.Claim == nil {
		if o.Claim, err = archive.Reserve(path); err != nil {
			return nil, err
		}
	}
	defer func() { err = errors.Join(err, o.Claim.Release()) }()
	switch already, err := whole(ctx, p, path, sink, o); {
	case err != nil:
		return nil, err
	case already:
		return &Result{Size: layout.Size(), Kept: layout.Size()}, o.whole()
	}
	w, err := archive.Create(ctx, path, layout, archive.CreateOptions{Jobs: o.Jobs, Progress: sink, Claim: o.Claim})
	if err != nil {
		return nil, err
	}
	defer w.Close()
	res := &Result{Size: layout.Size(), Kept: w.Kept()}
	if err := fill(ctx, w, p, sink, o, res); err != nil {
		return res, err
	}
	if err := o.whole(); err != nil {
		return res, err
	}
	return res, w.Seal()
}

func (o Options) whole() error {
	if o.Whole == nil {
		return nil
	}
	return o.Whole()
}

// whole says whether the very archive stands at path already, every blob of it. The
// error is only for an interrupted check.
func whole(ctx context.Context, p *plan.Plan, path string, sink progress.Sink, o Options) (bool, error) {
	a, err := archive.Open(path)
	if err != nil {
		return false, nil //nolint:nilerr // what is no archive is replaced
	}
	defer a.Close()
	if a.Bundle().Root.Digest != p.Bundle.Root.Digest {
		return false, nil
	}
	g, gctx := workers.WithContext(ctx)
	g.SetLimit(o.Jobs)
	for _, d := range a.Bundle().Blobs() {
		g.Go(func() error {
			task := sink.Begin("check", d.Size)
			rc, err := a.Fetch(gctx, d)
			if err == nil {
				_, err = io.Copy(io.Discard, progress.Reader(rc, task))
				rc.Close()
			}
			task.End(err)
			return err
		})
	}
	err = g.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return false, fmt.Errorf("build stopped: %w", cause)
	}
	return err == nil, nil
}

// fill fetches all missing blobs, the largest first.
func fill(ctx context.Context, w *archive.Writer, p *plan.Plan, sink progress.Sink, o Options, res *Result) error {
	byDigest := map[digest.Digest]plan.Blob{}
	for _, b := range p.Blobs {
		byDigest[b.Desc.Digest] = b
	}
	missing := w.Missing()
	failed := make([]error, len(missing))
	var bytes, blobs atomic.Int64
	g := workers.New()
	g.SetLimit(o.Jobs)
	for i, desc := range missing {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			b := byDigest[desc.Digest]
			if err := fetch(ctx, w, b, sink, o); err != nil {
				failed[i] = &BlobError{b.Artifact, desc, places(b), err}
			} else if !b.Local {
				bytes.Add(desc.Size)
				blobs.Add(1)
			}
			return nil // one blob's failure is data: all are told
		})
	}
	_ = g.Wait()
	res.Fetched, res.Blobs = bytes.Load(), int(blobs.Load())
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("build stopped, the same command goes on where it was: %w", err)
	}
	return errors.Join(failed...)
}

func places(b plan.Blob) (all []string) {
	for _, o := range b.Origins {
		all = append(all, o.Place)
	}
	return all
}

// fetch tries the blob's origins in turn until one gives the right content.
func fetch(ctx context.Context, w *archive.Writer, b plan.Blob, sink progress.Sink, o Options) error {
	start := time.Now()
	var errs []error
	var before []string // what was wrong in the round before
	for round := range rounds {
		var said []string
		for _, origin := range b.Origins {
			err := fetchFrom(ctx, w, b, origin, sink)
			if err == nil {
				if o.Done != nil && !b.Local {
					o.Done(Fetched{b, origin.Place, time.Since(start)})
				}
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			err = fmt.Errorf("%s: %w", origin.Place, err)
			if _, final := errors.AsType[*checkError](err); final {
				return err
			}
			if wrong, ok := errors.AsType[*digestio.MismatchError](err); ok {
				said = append(said, wrong.Error())
			}
			if round == 0 || !again(err) {
				errs = append(errs, err)
			}
		}
		if !slices.ContainsFunc(errs, again) || round > 0 && slices.Equal(said, before) {
			break
		}
		before = said
	}
	return errors.Join(errs...)
}

// again says whether a second round may help: content that arrived wrong may arrive
// right, an answer such as 404 will not change.
func again(err error) bool {
	_, mismatch := errors.AsType[*digestio.MismatchError](err)
	return mismatch || errors.Is(err, io.ErrUnexpectedEOF)
}

func fetchFrom(ctx context.Context, w *archive.Writer, b plan.Blob, origin plan.Origin, sink progress.Sink) (err error) {
	rc, err := origin.Open(ctx)
	if err != nil {
		return err
	}
	defer rc.Close()
	var r io.Reader = rc
	if !b.Local {
		task := sink.Begin(b.Artifact, b.Desc.Size)
		defer func() { task.End(err) }()
		r = progress.Reader(r, task)
	}
	if len(b.Checks) > 0 {
		checked := newCheckedReader(digestio.NewReader(r, b.Desc), b.Checks)
		defer checked.stop()
		r = checked
	}
	return w.Fill(ctx, b.Desc, r)
}
