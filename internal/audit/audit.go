// Package audit proves what a target holds, from the root of a bundle and the target
// alone: it needs nothing that a push remembered, and the archive only where the target
// names less than the root has: for repodata that a push made, and for SHA-1 in place of
// SHA-256. Each artifact is present, missing, different or unknown, and the report says
// what that rests on. What the repositories hold beside the bundle is foreign; a receipt
// takes down all of it. Nothing is changed at the target.
package audit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
	"airbundle/internal/progress"
	"airbundle/internal/receipt"
	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
	"airbundle/internal/workers"
	"airbundle/manifest"
)

// Images is a registry to be read. Absence is errdef.ErrNotFound, and nothing else is.
type Images interface {
	// Manifest returns what a tag or digest names, hashed by the adapter.
	Manifest(ctx context.Context, repo, ref string, limit int64) (raw []byte, d ocispec.Descriptor, err error)
	StatBlob(ctx context.Context, repo string, d digest.Digest) (size int64, err error)
	// OpenBlob reads a blob; EOF means that it is what the descriptor says.
	OpenBlob(ctx context.Context, repo string, d ocispec.Descriptor) (io.ReadCloser, error)
}

// Assets is a server of plain files to be read. Absence is errdef.ErrNotFound.
type Assets interface {
	// Digest returns the size of what is at a path and the sha256 that the server names
	// for it; the digest is empty where the server keeps none.
	Digest(ctx context.Context, repo, path string) (size int64, d digest.Digest, err error)
	Open(ctx context.Context, repo, path string) (io.ReadCloser, int64, error)
}

// A Target is what is audited. Assets is nil for a plain registry.
type Target struct {
	Name string // for messages, without credentials
	// Version and Edition are of a Nexus that tells them, for a receipt.
	Version, Edition string
	Images           func(repository string) Images // the registry in a repository of a Nexus; "" for a plain one
	Assets           Assets
	Lists            Lists
}

// Options tune Run. The zero value is ready to use.
type Options struct {
	Jobs     int                // requests at once; default 8
	Deep     bool               // download and hash everything
	SHA1     bool               // where the server names no sha256, its SHA-1 against that of the Store's content is enough
	Exact    bool               // what the target holds beside the bundle is a finding, and so is not to know it
	Wait     time.Duration      // for metadata that does not list what is there; 0: not at all
	Whole    []target.Item      // all of the bundle, where the items are a selection; nil: the items
	Receipt  *receipt.Receipt   // nil, or what takes all that the target holds
	Store    createrepo.Store   // to make the metadata beside RPMs in raw repositories from and compare; nil: what lists them is good enough
	RepoKeys openpgp.EntityList // that such metadata must be signed by; none: signatures are not looked at
	Progress progress.Sink      // default progress.Discard
}

// A Summary counts what one audit did.
type Summary struct {
	Artifacts int     `json:"artifacts"`
	Claimed   int     `json:"blobsNotRead"` // of images: known by the target's word only
	Read      int64   `json:"bytesRead"`    // downloaded and hashed
	Listed    int     `json:"listed"`       // files and tags, in lists of the target
	Pages     int     `json:"pages"`        // of these lists
	Asked     int64   `json:"asked"`        // files that were asked for one by one
	Seconds   float64 `json:"seconds"`
	Requests  int64   `json:"requests,omitempty"` // to the target, failed ones too; set by who made the transport
}

type run struct {
	bundle  *manifest.Bundle
	to      Target
	o       Options
	rep     *report.Report
	stop    context.CancelCauseFunc
	read    atomic.Int64
	claimed int

	contents map[string]*contents // by repository
	ledger   *ledger              // nil without a receipt
	mu       sync.Mutex           // guards the notes of rep
}

// Run audits the items at the target. The error is only for an interrupted run.
func Run(ctx context.Context, b *manifest.Bundle, items []target.Item, to Target, o Options) (*report.Report, *Summary, error) {
	start := time.Now()
	o.Jobs = cmp.Or(o.Jobs, 8)
	if o.Progress == nil {
		o.Progress = progress.Discard
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r := &run{bundle: b, to: to, o: o, stop: stop, rep: &report.Report{Command: "audit", Bundle: b.Root.Digest, Name: b.Table.Name, Place: to.Name}}
	if o.Receipt != nil {
		r.ledger = newLedger()
	}
	r.expect(items)
	r.list(ctx)
	r.images(ctx, items)
	r.assets(ctx, items)
	r.repodata(ctx, items)
	r.yumConf(ctx, items)
	r.extras(ctx)
	r.write()
	sum := r.summary(target.Artifacts(items))
	sum.Seconds = time.Since(start).Seconds()
	if err := context.Cause(ctx); err != nil && !isUnauthorized(err) {
		return r.rep, sum, fmt.Errorf("audit stopped: %w", err)
	}
	return r.rep, sum, nil
}

func (r *run) summary(items int) *Summary {
	sum := &Summary{Artifacts: items, Claimed: r.claimed, Read: r.read.Load()}
	for _, c := range r.contents {
		sum.Listed, sum.Pages, sum.Asked = sum.Listed+c.files, sum.Pages+c.pages, sum.Asked+c.asked.Load()
	}
	return sum
}

// each runs f for 0..n-1 on Jobs goroutines.
func (r *run) each(n int, f func(i int)) {
	g := workers.New()
	g.SetLimit(r.o.Jobs)
	for i := range n {
		g.Go(func() error { f(i); return nil })
	}
	_ = g.Wait()
}

// judge fills a record's state from the error of asking for it.
func (r *run) judge(rec *report.Record, err error) {
	if _, different := errors.AsType[*differentError](err); different {
		rec.State, rec.Reason, rec.Class = report.Different, err.Error(), report.ClassContent
		return
	}
	if errors.Is(err, errdef.ErrNotFound) || errors.Is(err, errUnlisted) {
		rec.State, rec.Reason, rec.Class = report.Missing, err.Error(), report.ClassIncomplete
		return
	}
	switch class := report.Classify(err); class {
	case report.ClassOK:
		rec.State = report.Present
	case report.ClassContent:
		rec.State, rec.Class = report.Different, class
		rec.Reason, rec.Next = report.Explain(err)
		if _, read := errors.AsType[*digestio.MismatchError](err); read && rec.Next == "" {
			rec.Next = deleteDamaged
		}
	default:
		rec.State, rec.Class = report.Unknown, class
		rec.Reason, rec.Next = report.Explain(err)
		if _, later := errors.AsType[*refusedLogin](err); isUnauthorized(err) && !later {
			rec.Next = "is there a login, and is it right?"
			r.stop(&refusedLogin{err}) // further tries would lock the account
		}
	}
}

// deleteDamaged is what helps where content is not what its server says that it is: a push
// believes the server, and a registry keeps the blob that it has.
const deleteDamaged = "audit again; what is still damaged has to be deleted there, then push the bundle again"

func isUnauthorized(err error) bool { return httpx.StatusCode(err) == http.StatusUnauthorized }

// A refusedLogin ends everything that was not begun.
type refusedLogin struct{ err error }

func (e *refusedLogin) Error() string { return "not asked, because the login was refused" }

// Unwrap returns the server's answer.
func (e *refusedLogin) Unwrap() error { return e.err }

// A differentError says that something else is at the place.
type differentError struct{ have, want string }

func (e *differentError) Error() string {
	return fmt.Sprintf("the target holds %s, the bundle has %s", e.have, e.want)
}

// hash downloads content and verifies it against the descriptor.
func (r *run) hash(name string, desc ocispec.Descriptor, open func() (io.ReadCloser, error)) (err error) {
	rc, err := open()
	if err != nil {
		return err
	}
	defer rc.Close()
	t := r.o.Progress.Begin(name, desc.Size)
	defer func() { t.End(err) }()
	n, err := io.Copy(io.Discard, progress.Reader(rc, t))
	r.read.Add(n)
	return err
}
