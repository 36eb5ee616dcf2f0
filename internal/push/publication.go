package push

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A publication is one image on its way to one repository, under one or more tags.
type publication struct {
	item    target.Item
	images  Images // where the blobs and manifests go
	repo    string
	tags    []string
	top     manifest.ImageManifest   // what the tags will name
	below   []manifest.ImageManifest // its children, to be put first
	right   map[string]bool          // tags that name top already
	start   time.Time
	pending atomic.Int32 // blobs that are not settled yet
	sent    atomic.Int64

	mu     sync.Mutex
	failed []error
}

func (p *publication) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = append(p.failed, err)
}

// blobs lists the configs and layers of a publication, each once.
func (p *publication) blobs() []digest.Digest {
	var all []digest.Digest
	for _, m := range p.manifests() {
		for _, d := range m.Node.Blobs() {
			all = append(all, d.Digest)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// manifests lists children first, the top last. Of an image that is known by digest only,
// and of which not all platforms are pushed, the platforms are all there is: its digest
// names an index of more, and nothing names a smaller one.
func (p *publication) manifests() []manifest.ImageManifest {
	if p.nameless() {
		return p.below
	}
	return append(slices.Clone(p.below), p.top)
}

// untagged are the manifests to be put under their digests. A top with tags is put under
// them and no more: a Nexus on OrientDB that allows no redeployment takes a manifest for
// one name only, and every registry finds by its digest what has a tag.
func (p *publication) untagged() []manifest.ImageManifest {
	if slices.Contains(p.tags, "") {
		return p.manifests()
	}
	return p.below
}

func (p *publication) nameless() bool {
	return p.item.Partial && slices.Equal(p.tags, []string{""})
}

func (p *publication) record(tag string) report.Record {
	rec := record(p.item, p.item.At(target.Ref{Repository: p.repo, Tag: tag}))
	rec.Digest, rec.Bytes, rec.Seconds = p.top.Desc.Digest, p.sent.Load(), time.Since(p.start).Seconds()
	if p.nameless() {
		rec.Digest, rec.Proof = p.item.Digest, "selected platforms only, by their own digests: this digest names an index of more and will not resolve"
	}
	return rec
}
