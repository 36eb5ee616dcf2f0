package audit

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/receipt"
)

// maxLedger caps what a receipt takes of one repository.
const maxLedger = 500_000

// A ledger collects for a receipt what is known of each repository. A nil one takes nothing.
type ledger struct {
	mu      sync.Mutex
	entries map[string]map[string]receipt.Entry
	blobs   map[string]map[digest.Digest]receipt.Blob
}

func newLedger() *ledger {
	return &ledger{entries: map[string]map[string]receipt.Entry{}, blobs: map[string]map[digest.Digest]receipt.Blob{}}
}

// entry takes what is known of a name, unless something more certain is known.
func (l *ledger) entry(repo string, e receipt.Entry) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.entries[repo] == nil {
		l.entries[repo] = map[string]receipt.Entry{}
	}
	if old, ok := l.entries[repo][e.Name]; !ok || e.Proof.MoreCertain(old.Proof) {
		if e.Digest != "" {
			e.SHA1 = ""
		}
		l.entries[repo][e.Name] = e
	}
}

// blob takes content that is known by its digest.
func (l *ledger) blob(repo string, d ocispec.Descriptor, proof receipt.Proof) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.blobs[repo] == nil {
		l.blobs[repo] = map[digest.Digest]receipt.Blob{}
	}
	if old, ok := l.blobs[repo][d.Digest]; !ok || proof.MoreCertain(old.Proof) {
		l.blobs[repo][d.Digest] = receipt.Blob{Digest: d.Digest, Size: d.Size, Proof: proof}
	}
}

// blobsOf takes the blobs that a docker repository lists, and says whether that is all.
func (r *run) blobsOf(ctx context.Context, repo string) bool {
	if context.Cause(ctx) != nil {
		return false
	}
	taken := 0
	for h, err := range r.to.Lists.Blobs(ctx, repo) {
		if err != nil {
			r.note("%s: not all of its blobs are known: %v", repo, err)
			return false
		}
		if taken++; taken > maxLedger {
			r.note("%s: of its blobs the receipt has the first %d", repo, maxLedger)
			return false
		}
		if d, err := digest.Parse(h.Path); err == nil && d.Algorithm() == digest.SHA256 {
			r.ledger.blob(repo, ocispec.Descriptor{Digest: d, Size: h.Size}, receipt.Listed)
		}
	}
	return true
}

// write fills the receipt. What a server calls by a name that no line can have is left out.
func (r *run) write() {
	to := r.o.Receipt
	if to == nil {
		return
	}
	to.Target = receipt.Target{Name: r.to.Name, Version: r.to.Version, Edition: r.to.Edition}
	to.Roots = []digest.Digest{r.bundle.Root.Digest}
	for name, c := range r.contents {
		gap := c.gap.Load() != nil
		out := receipt.Repository{Name: name, Format: c.format, Listed: c.complete && c.blobs && !gap && len(c.all) < maxLedger}
		for _, h := range c.all {
			if strings.ContainsFunc(h.Path, func(r rune) bool { return r < ' ' || r == 0x7f || r == '\ufffd' }) {
				out.Listed = false
				continue
			}
			r.ledger.entry(name, receipt.Entry{Name: h.Path, Digest: h.SHA256, SHA1: h.SHA1, Size: h.Size, Proof: receipt.Listed})
		}
		out.Entries = slices.Collect(maps.Values(r.ledger.entries[name]))
		out.Blobs = slices.Collect(maps.Values(r.ledger.blobs[name]))
		to.Repositories = append(to.Repositories, out)
	}
}
