// Package verify says whether an archive is exactly what its root makes it: every
// header and padding byte, every digest, every artifact that the root lists, each image for
// every arch that it is not said to lack, and nothing else. It reads the archive once,
// inflates nothing, writes nothing and opens no socket. All findings of a run are reported.
package verify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/progress"
	"airbundle/internal/report"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// Options tune Run. The zero value is ready to use.
type Options struct {
	Jobs     int           // blobs hashed at once; default 2, which a disk still reads in order
	Progress progress.Sink // default progress.Discard
}

// A Summary counts what one run looked at.
type Summary struct {
	Artifacts int     `json:"artifacts"`
	Blobs     int     `json:"blobs"`
	Bytes     int64   `json:"bytes"`
	Seconds   float64 `json:"seconds"`
}

// kindArchive is the kind of records about the archive itself.
const kindArchive = "archive"

// Run verifies the archive at path: a bundle, or the OCI layout tar of another tool.
// The report holds what was found; the error is only for a file that cannot be read
// at all and for an interrupted run.
func Run(ctx context.Context, path string, o Options) (*report.Report, *Summary, error) {
	start := time.Now()
	o.Jobs = cmp.Or(o.Jobs, 2)
	if o.Progress == nil {
		o.Progress = progress.Discard
	}
	r := &run{path: path, o: o, rep: &report.Report{Command: "verify", Trust: "none", Place: path}, bad: map[digest.Digest]error{}}
	err := r.run(ctx)
	r.sum.Bytes, r.sum.Seconds = r.bytes.Load(), time.Since(start).Seconds()
	if cause := context.Cause(ctx); cause != nil {
		return r.rep, &r.sum, fmt.Errorf("verify stopped: %w", cause)
	}
	return r.rep, &r.sum, err
}

type run struct {
	path  string
	o     Options
	rep   *report.Report
	sum   Summary
	bytes atomic.Int64

	mu  sync.Mutex
	bad map[digest.Digest]error // blobs that are not whole

	isLayout bool // of another tool

	unwalked bool // there is an image of which it is not known what it needs
}

func (r *run) run(ctx context.Context) error {
	a, problems, err := archive.Scan(r.path)
	switch {
	case errors.Is(err, archive.ErrNotBundle):
		return r.layout(ctx)
	case err != nil:
		return r.unreadable(err)
	}
	defer a.Close()
	b := a.Bundle()
	r.rep.Bundle, r.rep.Name, r.rep.Serial, r.rep.Expires = b.Root.Digest, b.Table.Name, b.Table.Serial, b.Table.Expires
	for _, p := range problems {
		r.problem(p)
		for _, d := range p.Digests {
			r.bad[d] = errCut
		}
	}
	r.sum.Blobs = b.NumBlobs()
	r.hash(ctx, a, b.EachBlob())
	r.artifacts(ctx, a, b)
	return nil
}

var errCut = errors.New("missing or cut")

// unreadable reports a file in which not even the root can be read, or returns what
// the operating system says of it.
func (r *run) unreadable(err error) error {
	f, ok := errors.AsType[*archive.FormatError](err)
	if !ok {
		return err
	}
	r.problem(f)
	return nil
}

// problem reports a departure from the form. One that concerns one blob names it.
func (r *run) problem(f *archive.FormatError) {
	var about digest.Digest
	if len(f.Digests) == 1 {
		about = f.Digests[0]
	}
	rec := report.Record{Kind: kindArchive, Name: r.path, Digest: about, State: report.Damaged, Class: report.Classify(f)}
	rec.Reason, rec.Next = report.Explain(f)
	r.record(rec)
}

// record takes a finding. What is a layout has no root to compare.
func (r *run) record(rec report.Record) {
	if r.isLayout && rec.Class == report.ClassContent {
		rec.Next = cmp.Or(rec.Next, "do not use it: copy it again from where it was made; if it was made so, ask who made it")
	}
	r.rep.Add(rec)
}

// A store yields blobs whose EOF means that they are whole.
type store interface {
	Fetch(ctx context.Context, desc ocispec.Descriptor) (io.ReadCloser, error)
}

// hash reads all blobs in the order in which they lie.
func (r *run) hash(ctx context.Context, s store, blobs iter.Seq[ocispec.Descriptor]) {
	g := workers.New()
	g.SetLimit(r.o.Jobs)
	cut := maps.Clone(r.bad)
	for d := range blobs {
		if cut[d.Digest] != nil {
			continue
		}
		g.Go(func() error {
			if err := r.hashOne(ctx, s, d); err != nil && ctx.Err() == nil {
				r.mu.Lock()
				r.bad[d.Digest] = err
				r.mu.Unlock()
			}
			return nil
		})
	}
	_ = g.Wait()
}

func (r *run) hashOne(ctx context.Context, s store, d ocispec.Descriptor) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := r.o.Progress.Begin("verify", d.Size)
	defer func() { t.End(err) }()
	rc, err := s.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer rc.Close()
	n, err := io.Copy(io.Discard, progress.Reader(rc, t))
	r.bytes.Add(n)
	return err
}

// artifacts judges each artifact by its blobs, and finds blobs that belong to none.
func (r *run) artifacts(ctx context.Context, a *archive.Archive, b *manifest.Bundle) {
	used, again, uses := map[digest.Digest]bool{}, manifest.Rereads{}, b.Uses()
	read := func(ctx context.Context, desc ocispec.Descriptor) ([]byte, error) {
		if err := r.bad[desc.Digest]; err != nil {
			return nil, notWhole(err) // told with its blob
		}
		if err := again.Count(desc); err != nil {
			return nil, err
		}
		return a.Read(ctx, desc)
	}
	for art := range b.Table.EachArtifact() {
		if ctx.Err() != nil {
			return
		}
		r.sum.Artifacts++
		needs, err := []digest.Digest{art.Digest}, error(nil)
		switch art.Kind {
		case manifest.KindMetadata:
			err = r.metadata(ctx, a, b, b.Table.Metadata[art.Index])
		case manifest.KindImage:
			img := b.Table.Images[art.Index]
			var tree *manifest.ImageTree
			if tree, err = b.ReadImage(ctx, img, read); tree != nil {
				needs = tree.Needs(img)
				uses.AddImage(img.Name, tree)
			}
			r.unwalked = r.unwalked || err != nil
		}
		r.artifact(b, art, needs, err)
		for _, d := range needs {
			used[d] = true
		}
	}
	if r.sum.Artifacts == 0 {
		r.rep.Add(report.Record{Kind: kindArchive, Name: r.path, State: report.Damaged, Reason: "it carries nothing", Class: report.ClassContent})
	}
	r.others(b, used)
	r.listed(b, uses)
}

// metadata reads a slice of repository metadata. One that clients cannot read would take the
// packages of its repository with it.
func (r *run) metadata(ctx context.Context, s store, b *manifest.Bundle, m manifest.Metadata) error {
	if err := r.bad[m.Digest]; err != nil {
		return notWhole(err)
	}
	desc, _ := b.Blob(m.Digest)
	rc, err := s.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	return repodata.CheckSlice(m.Type, rc)
}

// errBad stands for a manifest, config or slice whose blob is not whole.
var errBad = errors.New("not whole")

// notWhole is errBad in the class of what is wrong with the blob.
func notWhole(err error) error { return report.WithClass(blobClass(err), errBad) }

// artifact records one artifact.
func (r *run) artifact(b *manifest.Bundle, a manifest.Artifact, needs []digest.Digest, err error) {
	rec := report.Record{Kind: string(a.Kind), Name: a.Name, Arch: a.Arch, Digest: a.Digest, State: report.OK}
	var reasons []string
	if err != nil && !errors.Is(err, errBad) {
		reasons = append(reasons, err.Error())
	}
	for _, d := range needs {
		desc, _ := b.Blob(d)
		rec.Bytes += desc.Size
		if bad := r.bad[d]; bad != nil {
			reasons = append(reasons, fmt.Sprintf("blob %s: %v", d, bad))
		}
	}
	if len(reasons) == 0 && err != nil {
		reasons = append(reasons, err.Error())
	}
	if len(reasons) > 0 {
		rec.State, rec.Class = report.Damaged, r.class(needs, err)
		rec.Reason = strings.Join(reasons, "; ")
	}
	r.rep.Add(rec)
}

// class is that of the worst blob, or of err, what kept the artifact from being looked into.
func (r *run) class(needs []digest.Digest, err error) report.Class {
	var all []report.Class
	for _, d := range needs {
		if err := r.bad[d]; err != nil {
			all = append(all, blobClass(err))
		}
	}
	if err != nil {
		all = append(all, blobClass(err))
	}
	return report.Worst(all...)
}

// blobClass is local for a blob this machine could not read, and content for one it read
// and found wrong.
func blobClass(err error) report.Class {
	if report.Classify(err) == report.ClassLocal {
		return report.ClassLocal
	}
	return report.ClassContent
}

// others reports blobs that no artifact needs: damaged ones of the bundle's own JSON,
// and carried ones that nobody asked for.
func (r *run) others(b *manifest.Bundle, used map[digest.Digest]bool) {
	ours := b.Ours()
	for d := range b.EachBlob() {
		switch {
		case used[d.Digest]:
		case r.bad[d.Digest] != nil:
			r.rep.AddError(kindArchive, "blob of the bundle", d.Digest, report.Damaged, report.WithClass(blobClass(r.bad[d.Digest]), r.bad[d.Digest]))
		case !ours[d.Digest] && r.allKnown():
			r.rep.Add(report.Record{Kind: kindArchive, Name: "blob of no artifact", Digest: d.Digest, State: report.Damaged, Reason: "it is carried, but no artifact needs it", Class: report.ClassContent})
		}
	}
}

// allKnown says whether it is known of every artifact what it needs.
func (r *run) allKnown() bool { return len(r.bad) == 0 && !r.unwalked }

// listed finds blobs that the table lists as what they are not.
func (r *run) listed(b *manifest.Bundle, uses manifest.Uses) {
	if !r.allKnown() {
		return // one of them may be it to an artifact that could not be read
	}
	for d := range b.EachBlob() {
		if err := uses.Check(d); err != nil {
			r.rep.AddError(kindArchive, "blob of the bundle", d.Digest, report.Damaged, report.WithClass(report.ClassContent, err))
		}
	}
}
