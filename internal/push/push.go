// Package push brings the selected artifacts of a bundle to a target, straight from the
// archive: blobs before manifests, manifests before indexes, everything before tags.
// Beside RPMs in raw repositories it puts the metadata that follows from the bundle; for
// the metadata that a server makes it waits until it lists what was sent.
//
// It keeps no state: it asks the target what is there, so a second run moves only what
// is missing. It speaks no protocol and makes no repositories; adapters and callers do.
package push

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/httpx"
	"airbundle/internal/progress"
	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// A Store is an opened archive. What Fetch yields is verified: EOF means that it is
// what the descriptor says.
type Store interface {
	createrepo.Store
	// Read returns the verified bytes of a small blob.
	Read(ctx context.Context, desc ocispec.Descriptor) ([]byte, error)
}

// An Opener opens the content to send; a retry opens it anew.
type Opener = func(context.Context) (io.ReadCloser, error)

// Blobs is the part of a registry that holds configs and layers.
type Blobs interface {
	// StatBlob returns the size of a blob; errdef.ErrNotFound only when it is absent.
	StatBlob(ctx context.Context, repo string, d digest.Digest) (int64, error)
	// PushBlob makes a blob present in repo, by mounting it from one of the repositories
	// in from where the registry can, and returns the bytes it sent and how it did it, in a
	// word for people.
	PushBlob(ctx context.Context, repo string, d ocispec.Descriptor, from []string, open Opener) (sent int64, how string, err error)
	// UploadBlob sends a blob whatever the registry says of it.
	UploadBlob(ctx context.Context, repo string, d ocispec.Descriptor, open Opener) (sent int64, err error)
}

// Manifests is the part of a registry that holds manifests, indexes and tags.
type Manifests interface {
	// Resolve returns what a tag or digest names; errdef.ErrNotFound only when it is absent.
	Resolve(ctx context.Context, repo, ref string) (ocispec.Descriptor, error)
	// PushManifest puts a manifest under a digest or a tag; a tag is read back. The error
	// holds UnknownBlobs when the registry misses something that the manifest refers to.
	PushManifest(ctx context.Context, repo, ref, mediaType string, raw []byte) error
}

// Images is a registry. All its methods are idempotent.
type Images interface {
	Blobs
	Manifests
}

// UnknownBlobs is a registry's refusal of a manifest for blobs that it does not have.
type UnknownBlobs interface {
	error
	UnknownBlobs() []digest.Digest
}

// Assets is a server of plain files in repositories: RPMs, files, charts.
type Assets interface {
	// Put makes content present at a path and returns the bytes it sent. Equal content is
	// left alone; other content is an error unless overwrite.
	Put(ctx context.Context, repo, path string, d ocispec.Descriptor, overwrite bool, open Opener) (sent int64, how string, err error)
	// Present says whether equal content is at the path already; other content is an error.
	Present(ctx context.Context, repo, path string, d ocispec.Descriptor, open Opener) (bool, error)
	// Open reads what is served at a path; errdef.ErrNotFound only when it is absent.
	Open(ctx context.Context, repo, path string) (io.ReadCloser, int64, error)
}

// A Target is where artifacts go. Assets is nil for a plain registry, which takes images
// only.
type Target struct {
	Name   string                         // for messages: URL or host, without credentials
	Images func(repository string) Images // the registry in a repository of a Nexus; "" for a plain one
	Assets Assets
	OCI    target.OCI // how far Images take the OCI form
	// Version is what the server calls itself, "3.40.1-01"; empty when that is not known.
	Version string
	// Writable asks whether the target takes writes now; nil where it does not tell.
	Writable func(context.Context) error
}

// Options tune Run. The zero value is ready to use.
type Options struct {
	Jobs         int                // transfers at once; default 8
	Overwrite    bool               // replace what the target holds under the same name
	DryRun       bool               // ask, send nothing
	MetadataWait time.Duration      // for the served metadata to list what was sent; default 15 min and 1 s for each
	MetadataPoll time.Duration      // until the second look, longer before each further one; default 5 s
	ReadyWait    time.Duration      // for the first metadata of a new yum repository; default 5 min, MetadataWait at most
	Waiting      func(Wait)         // told at each look at metadata that is not there yet; by several goroutines
	AcceptOCI    bool               // put also what the target is known not to take, or not for good
	FrozenWait   time.Duration      // for a target that becomes read-only, in all; default 1 min
	Sign         *createrepo.Signer // of the metadata beside RPMs in raw repositories; nil: it is not signed
	Progress     progress.Sink      // default progress.Discard; what is present already counts as done
	Planned      func(int64)        // told once of the bytes to settle, before the first is sent
	Done         func(report.Record)
}

// A Summary counts what one run did.
type Summary struct {
	Artifacts int     `json:"artifacts"`
	Sent      int64   `json:"bytesSent"`    // bodies of blobs and files
	Skipped   int64   `json:"bytesSkipped"` // present or mounted; planned ones of a dry run count as sent
	Seconds   float64 `json:"seconds"`
	Requests  int64   `json:"requests,omitempty"` // to the target, failed ones too; set by who made the transport
}

// A run is one push.
type run struct {
	bundle  *manifest.Bundle
	store   Store
	to      Target
	o       Options
	rep     *report.Report
	sent    atomic.Int64
	skipped atomic.Int64 // present or mounted
	total   atomic.Int64

	mu    sync.Mutex
	there map[string]bool // packages that were tried, by their path in the bundle: are they there?
	oci   int             // images that the target takes, but not officially
	held  []held          // RPMs and charts that are there but not seen in metadata yet
	zstd  []string        // paths of packages that the server may not be able to read

	yum     map[string]*yumRepository // that packages go to, by name; none where the metadata is ours
	made    []made                    // repodata that is to be put; none where the server makes it
	watches map[target.Place]*watch   // of the metadata that lists what was put
	opened  chan struct{}             // one for each yum repository that has become ready
	sums    map[sumKey]string         // of content, beside the bundle's digests
}

// A task is one transfer; larger ones start first, and shared blobs of later
// repositories after their first upload.
type task struct {
	late bool
	size int64
	name string // makes the order complete
	do   func(context.Context)
	yum  *yumRepository // that must be ready before; nil: none
}

// Run pushes the items. Collisions among them, and
// packages that lie too deep for a yum repository, are refused before a byte is sent. The
// report has a record for each name of each artifact; the error is only for a run
// that could not be started or was interrupted.
func Run(ctx context.Context, b *manifest.Bundle, store Store, items []target.Item, to Target, o Options) (*report.Report, *Summary, error) {
	start := time.Now()
	o.Jobs = cmp.Or(o.Jobs, 8)
	if o.Progress == nil {
		o.Progress = progress.Discard
	}
	rep := &report.Report{Command: "push", Bundle: b.Root.Digest, Name: b.Table.Name, Place: to.Name}
	if err := Check(items, to.Assets != nil); err != nil {
		return rep, nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	to = newGuard(stop, to, cmp.Or(o.FrozenWait, time.Minute)).around(to)
	r := &run{bundle: b, store: store, to: to, o: o, rep: rep, there: map[string]bool{}, sums: map[sumKey]string{}, watches: map[target.Place]*watch{}}
	r.yumRepositories(items)
	r.makeRepodata(ctx, items)
	tasks := r.assetTasks(items)
	imageTasks := r.imageTasks(ctx, items)
	rep.Notes = r.ociNotes()
	if o.Planned != nil {
		o.Planned(r.total.Load())
	}
	r.transfer(ctx, append(tasks, imageTasks...))
	r.putRepodata(ctx)
	r.awaitMetadata(ctx)
	r.putYumConf(ctx, items)
	rep.Notes = append(rep.Notes, r.yumNotes(items)...)
	sum := &Summary{Artifacts: target.Artifacts(items), Sent: r.sent.Load(), Skipped: r.skipped.Load(), Seconds: time.Since(start).Seconds()}
	return rep, sum, interrupted(ctx)
}

// interrupted returns why a run ended early; an answer of the target is in the report.
func interrupted(ctx context.Context) error {
	err := context.Cause(ctx)
	if err == nil || isHalted(err) {
		return nil
	}
	return fmt.Errorf("push stopped, the same command sends what is missing: %w", err)
}

// Check says what is wrong with the items before anything is asked of the target, a Nexus or a
// plain registry.
func Check(items []target.Item, nexus bool) error {
	var errs []error
	for _, c := range append(target.Collisions(items), target.Nested(items)...) {
		errs = append(errs, c)
	}
	if nexus {
		if err := target.CheckDepth(items); err != nil {
			errs = append(errs, err)
		}
	}
	return report.WithClass(report.ClassContent, errors.Join(errs...))
}

// transfer runs all tasks, the largest first, while yum repositories are made ready for
// theirs.
func (r *run) transfer(ctx context.Context, tasks []task) {
	slices.SortFunc(tasks, func(a, b task) int {
		if a.late != b.late {
			if a.late {
				return 1
			}
			return -1
		}
		return cmp.Or(cmp.Compare(b.size, a.size), cmp.Compare(a.name, b.name))
	})
	ready, g := workers.New(), workers.New()
	for _, y := range r.yum {
		ready.Go(func() error { r.prepare(ctx, y); return nil })
	}
	g.SetLimit(r.o.Jobs)
	r.start(tasks, func(t task) {
		g.Go(func() error { t.do(ctx); return nil })
	})
	_, _ = g.Wait(), ready.Wait()
}

// add takes a record and tells whoever listens.
func (r *run) add(rec report.Record) {
	r.rep.Add(rec)
	if r.o.Done != nil {
		r.o.Done(rec)
	}
}

// failed records a failure.
func (r *run) failed(rec report.Record, err error) {
	rec.State, rec.Class = report.Failed, report.Classify(err)
	rec.Reason, rec.Next = report.Explain(err)
	_, ours := errors.AsType[*rpmRefusal](err)
	_, parts := errors.AsType[UnknownBlobs](err)
	if httpx.StatusCode(err) == http.StatusNotFound && !ours && !parts && rec.Class != report.ClassIncomplete {
		// Reads take 404 as absence; for a write it means that the place itself is missing, unless
		// it is parts of a manifest, or what was taken and is not shown.
		rec.Class = report.ClassRefused
		if rec.Next == "" {
			rec.Reason += "; the target has no such repository"
			rec.Next = "create it or name another one"
		}
	}
	if rec.Next == "" {
		rec.Next = next(err)
	}
	r.add(rec)
}

func isUnauthorized(err error) bool { return httpx.StatusCode(err) == http.StatusUnauthorized }

// A reading is one blob on its way, and how much of it was counted. What a failed try
// has sent is taken back when the next one opens.
type reading struct {
	source  Opener
	desc    ocispec.Descriptor
	t       progress.Task
	counted int64
}

func (r *run) reading(desc ocispec.Descriptor, t progress.Task) *reading {
	return &reading{source: func(ctx context.Context) (io.ReadCloser, error) { return r.store.Fetch(ctx, desc) }, desc: desc, t: t}
}

// open implements Opener.
func (p *reading) open(ctx context.Context) (io.ReadCloser, error) {
	rc, err := p.source(ctx)
	if err != nil {
		return nil, err
	}
	p.count(-p.counted)
	return &countedReader{rc, p}, nil
}

// settle counts the blob as done, however much of it had to be read.
func (p *reading) settle() { p.count(p.desc.Size - p.counted) }

// skip counts a blob that is at the target already.
func (r *run) skip(desc ocispec.Descriptor) { r.skipped.Add(desc.Size) }

func (p *reading) count(n int64) {
	p.counted += n
	p.t.Add(n)
}

type countedReader struct {
	io.ReadCloser
	p *reading
}

func (c *countedReader) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.p.count(int64(n))
	return n, err
}
