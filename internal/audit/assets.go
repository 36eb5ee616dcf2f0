package audit

import (
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // it is what servers keep; content is known by its SHA-256
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/helm"
	"airbundle/internal/receipt"
	"airbundle/internal/report"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

var errImagesOnly = report.WithClass(report.ClassUsage, report.Advise(errors.New("a plain registry holds images only"), "audit a Nexus with --nexus, or select --only image"))

// assets audits RPMs, files and charts.
func (r *run) assets(ctx context.Context, items []target.Item) {
	var todo []target.Item
	for _, it := range items {
		switch {
		case it.Kind == manifest.KindImage, it.Made != nil:
		case r.to.Assets == nil:
			rec := record(it)
			r.judge(&rec, errImagesOnly)
			r.rep.Add(rec)
		default:
			todo = append(todo, it)
		}
	}
	served, verdicts := r.metadata(), make([]verdict, len(todo))
	r.each(len(todo), func(i int) { verdicts[i] = r.asset(ctx, todo[i], served) })
	r.await(ctx, todo, verdicts)
	for i, it := range todo {
		rec, v := record(it), verdicts[i]
		if r.judge(&rec, v.err); rec.State == report.Present {
			rec.Proof = v.proof
		}
		if v.entry.Name != "" {
			r.ledger.entry(it.Place.Repository, v.entry)
		}
		r.rep.Add(rec)
	}
}

func record(it target.Item) report.Record {
	return report.Record{Kind: string(it.Kind), Name: it.Name, Arch: it.Arch, Digest: it.Digest, Place: it.Place.Repository + "/" + it.Place.Path}
}

// A verdict is what was found out of one item.
type verdict struct {
	proof string        // for people
	entry receipt.Entry // for a receipt; without a name there is nothing to say
	err   error         // nil: it is there, equal
}

// asset finds the strongest proof that the target gives without a download; where it
// names no sha256, or in a deep audit, the content is read and hashed.
func (r *run) asset(ctx context.Context, it target.Item, served *metadata) (v verdict) {
	if v.err = context.Cause(ctx); v.err != nil {
		return v
	}
	desc, _ := r.bundle.Blob(it.Digest)
	held, found, err := r.stat(ctx, it)
	if err != nil {
		v.err = err
		return v
	}
	v.entry = receipt.Entry{Name: it.Place.Path, Digest: held.SHA256, SHA1: held.SHA1, Size: held.Size, Proof: receipt.Listed}
	if held.Size >= 0 && held.Size != desc.Size {
		v.err = &differentError{fmt.Sprintf("%d bytes", held.Size), fmt.Sprintf("%d bytes", desc.Size)}
		return v
	}
	listed, proof, late := r.named(ctx, it, served)
	if held.SHA256 != "" && held.SHA256 != it.Digest {
		v.err = &differentError{string(held.SHA256), string(it.Digest)}
		return v
	}
	switch {
	case late != nil:
		v.err = late
	case r.o.Deep:
		v.err = r.readAll(ctx, it, desc, &v)
	case listed != "":
		v.proof, v.entry.Proof = proof+found, receipt.Metadata
	case held.SHA256 != "":
		v.proof, v.entry.Proof = "the server names this sha256"+found, receipt.Named
	case r.o.SHA1 && r.o.Store != nil && held.SHA1 != "" && held.Size == desc.Size:
		if v.err = r.sameSHA1(ctx, desc, held.SHA1); v.err == nil {
			v.proof, v.entry.Proof = "the server names the SHA-1 of this content, and its size"+found+": weaker than a sha256", receipt.SHA1
		}
	default:
		v.err = r.readAll(ctx, it, desc, &v)
	}
	if v.err == nil {
		v.entry.Digest, v.entry.Size = it.Digest, desc.Size
	}
	return v
}

// stat asks for a file by the cheapest sound way. A list has the checksums that an answer
// lacks, and counts where both are about the same content; above many items, the word of a
// whole list is enough for what stands in it as it should be.
func (r *run) stat(ctx context.Context, it target.Item) (held Held, found string, err error) {
	c, at := r.contents[it.Place.Repository], it.Place.Path
	listed, ok := c.held[at]
	if ok && c.complete && c.items > maxHeads && !r.o.Deep {
		if desc, _ := r.bundle.Blob(it.Digest); listed.Size == desc.Size && (listed.SHA256 == "" || listed.SHA256 == it.Digest) {
			return listed, ", found in the server's list", nil
		}
	}
	c.asked.Add(1)
	if ok && r.to.Lists.Head != nil {
		held, err = r.to.Lists.Head(ctx, it.Place.Repository, at)
		if err != nil {
			return held, "", err
		}
		if listed.describes(held) {
			held.SHA256, held.SHA1 = listed.SHA256, cmp.Or(held.SHA1, listed.SHA1)
		}
		if held.SHA256 != "" {
			return held, "", nil
		}
		if held.SHA1 == "" || listed.describes(held) {
			return held, "", nil // nothing else knows more
		}
	}
	size, named, err := r.to.Assets.Digest(ctx, it.Place.Repository, at)
	if err == nil && c.complete && !ok {
		c.gap.Store(at)
	}
	return Held{Path: at, Size: size, SHA256: named, SHA1: held.SHA1}, "", err
}

// describes says whether a list's record is about the content that was just seen: by size
// and SHA-1, else by the time of its writing.
func (h Held) describes(seen Held) bool {
	if h.Size >= 0 && seen.Size >= 0 && h.Size != seen.Size {
		return false
	}
	if seen.SHA1 != "" {
		return h.SHA1 == seen.SHA1
	}
	return !seen.Modified.IsZero() && h.Modified.Truncate(time.Second).Equal(seen.Modified)
}

// named returns the sha256 that the metadata of clients has for an item, empty where there
// is none that proves anything, and what to call that. An error is a *lateError where the
// server makes the metadata.
func (r *run) named(ctx context.Context, it target.Item, served *metadata) (d digest.Digest, proof string, err error) {
	switch it.Kind {
	case manifest.KindRPM:
		d, err = served.check(ctx, it)
		proof = "listed in the served metadata with this sha256"
	case manifest.KindChart:
		d, err = served.checkChart(ctx, it, r.bundle.Table.Charts[it.Index])
		proof = "listed in the served index.yaml with this sha256"
	default:
		return "", "", nil
	}
	if err == nil && d != "" && d != it.Digest {
		err = &differentError{"metadata that says " + string(d), string(it.Digest)}
	}
	switch {
	case err == nil && it.Raw:
		return "", "", nil // a push made it: it says nothing of the content
	case err == nil:
		return d, proof, nil
	case it.Raw || isUnauthorized(err):
		return "", "", err
	}
	return "", "", &lateError{err}
}

func (r *run) readAll(ctx context.Context, it target.Item, desc ocispec.Descriptor, v *verdict) error {
	v.proof, v.entry.Proof = "read and hashed", receipt.Read
	err := r.hash(it.Name, desc, func() (io.ReadCloser, error) { return r.download(ctx, it, desc) })
	if err != nil {
		v.entry.Digest, v.entry.Proof = "", receipt.Listed // whatever the server says of it
	}
	return err
}

// sameSHA1 holds the server's SHA-1 against that of our own content.
func (r *run) sameSHA1(ctx context.Context, desc ocispec.Descriptor, is string) error {
	rc, err := r.o.Store.Fetch(ctx, desc)
	if err != nil {
		return err
	}
	defer rc.Close()
	h := sha1.New() //nolint:gosec // it is what the server keeps
	if _, err := io.Copy(h, rc); err != nil {
		return err
	}
	if own := hex.EncodeToString(h.Sum(nil)); own != is {
		return &differentError{"sha1:" + is, "sha1:" + own}
	}
	return nil
}

func (r *run) download(ctx context.Context, it target.Item, desc ocispec.Descriptor) (io.ReadCloser, error) {
	rc, _, err := r.to.Assets.Open(ctx, it.Place.Repository, it.Place.Path)
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{digestio.NewReader(rc, desc), rc}, nil
}

// metadata returns what reads the served metadata, as it is from now on.
func (r *run) metadata() *metadata {
	return &metadata{assets: r.to.Assets, byDir: map[target.Place]func() (map[string]digest.Digest, error){}, charts: map[string]func() (*helm.Index, error){}}
}

// metadata is the served yum metadata, read once for each directory.
type metadata struct {
	assets Assets
	mu     sync.Mutex
	byDir  map[target.Place]func() (map[string]digest.Digest, error)
	charts map[string]func() (*helm.Index, error) // by repository
}

// These say that clients would not find the package, or the chart.
var (
	errUnlisted      = report.WithClass(report.ClassIncomplete, errors.New("the file is there, but the served yum metadata does not list it"))
	errUnlistedChart = report.WithClass(report.ClassIncomplete, errors.New("the file is there, but the served index.yaml does not list it"))
)

// checkChart returns the checksum that the served index has for a chart; empty when it
// lists the chart without one.
func (m *metadata) checkChart(ctx context.Context, it target.Item, c manifest.Chart) (digest.Digest, error) {
	m.mu.Lock()
	once, ok := m.charts[it.Place.Repository]
	if !ok {
		once = sync.OnceValues(func() (*helm.Index, error) {
			return helm.Served(ctx, func(ctx context.Context, path string) (io.ReadCloser, error) {
				rc, _, err := m.assets.Open(ctx, it.Place.Repository, path)
				return rc, err
			})
		})
		m.charts[it.Place.Repository] = once
	}
	m.mu.Unlock()
	index, err := once()
	if err != nil {
		return "", fmt.Errorf("served index.yaml: %w", err)
	}
	d, ok, err := index.Lists(c.Name, c.Version)
	if err == nil && !ok {
		err = errUnlistedChart
	}
	return d, err
}

// check returns the checksum that the served metadata has for a package.
func (m *metadata) check(ctx context.Context, it target.Item) (digest.Digest, error) {
	listed, err := m.dir(ctx, it.Place.Dir())
	if err != nil {
		return "", fmt.Errorf("served yum metadata: %w", err)
	}
	d, ok := listed[it.Place.Path]
	if !ok {
		return "", errUnlisted
	}
	return d, nil
}

func (m *metadata) dir(ctx context.Context, dir target.Place) (map[string]digest.Digest, error) {
	m.mu.Lock()
	once, ok := m.byDir[dir]
	if !ok {
		once = sync.OnceValues(func() (map[string]digest.Digest, error) {
			return repodata.Served(ctx, func(ctx context.Context, path string) (io.ReadCloser, error) {
				rc, _, err := m.assets.Open(ctx, dir.Repository, path)
				return rc, err
			}, dir.Path)
		})
		m.byDir[dir] = once
	}
	m.mu.Unlock()
	return once()
}
