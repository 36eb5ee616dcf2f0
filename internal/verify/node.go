package verify

import (
	"context"
	"fmt"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
	"airbundle/manifest"
)

// What a descriptor stands for where it stands.
type role int

const (
	asEntry role = iota // of an index
	asConfig
	asLayer
	asSubject
)

// A form is how the content of a blob is read. A manifest or index has its media type.
type form string

const (
	formBytes       form = "bytes" // hashed, and nothing else
	formOpaque      form = "entry of an unknown type"
	formImageConfig form = "image config"
	formJSONConfig  form = "JSON config"
	formConfig      form = "config"
)

// formOf says how the content of a descriptor is read. There are few forms, so that a blob
// is read few times however often it is referred to.
func formOf(d ocispec.Descriptor, as role) form {
	switch t := d.MediaType; {
	case manifest.IsIndex(t), manifest.IsManifest(t):
		return form(t)
	case as == asConfig && isConfig(t):
		return formImageConfig
	case as == asLayer, d.Size > manifest.MaxImageJSON:
		return formBytes
	case as == asConfig && strings.HasSuffix(t, "+json"):
		return formJSONConfig
	case as == asConfig:
		return formConfig
	}
	return formOpaque
}

// A blob is what descriptors refer to by one digest. In what other roles it was met first
// says nothing about it in this one: it is judged in each form in which it would be read.
type blob struct {
	size      int64
	mediaType string
	isSubject bool
	nodes     []*node
}

// A node is a blob in one form.
type node struct {
	form     form
	height   int    // of manifests and indexes: how many are in each other from this one on
	bad      string // why it is not whole, or what of it
	class    report.Class
	platform *ocispec.Platform
	isImage  bool // platform is that of an image config

	platforms []string // of an index: os/architecture of the images below
	many      bool     // there are too many of them to be known
}

var errTooDeep = fmt.Errorf("indexes nest deeper than %d", maxDepth)

// tooDeep stands for a node below the depth to which indexes are followed.
var tooDeep = &node{height: 1, bad: errTooDeep.Error(), class: report.ClassContent}

// needs makes a node as bad as what it refers to, and higher.
func (n *node) needs(c *node) {
	if n.bad == "" {
		n.bad = c.bad
	}
	n.class = report.Worst(n.class, c.class)
	n.height = max(n.height, c.height+1)
}

// descriptor verifies one blob and, if it is a manifest or index, what it refers to.
func (w *layoutWalk) descriptor(ctx context.Context, d ocispec.Descriptor, as role, depth int) *node {
	w.rules(d, as)
	w.blobOf(d)
	return w.judge(ctx, d, as, depth)
}

// blobOf notes a descriptor, and holds it against the first one of the same blob.
func (w *layoutWalk) blobOf(d ocispec.Descriptor) *blob {
	b, ok := w.seen[d.Digest]
	if !ok {
		b = &blob{size: d.Size, mediaType: clipped(d.MediaType)}
		w.seen[d.Digest] = b
		return b
	}
	if b.size != d.Size {
		w.finding("blob", d.Digest, "said to have %d bytes and %d bytes", b.size, d.Size)
	}
	if b.mediaType != d.MediaType && (strict(b.mediaType) || strict(d.MediaType)) {
		w.finding("blob", d.Digest, "said to be %q and %q", b.mediaType, d.MediaType)
	}
	return b
}

// strict says whether a media type says how its content is read.
func strict(mediaType string) bool {
	return manifest.IsIndex(mediaType) || manifest.IsManifest(mediaType) || isConfig(mediaType)
}

// judge reads a blob in the form that its role wants, once. A node knows its height, so that
// one that was read at another depth needs no second walk.
func (w *layoutWalk) judge(ctx context.Context, d ocispec.Descriptor, as role, depth int) *node {
	b, f := w.seen[d.Digest], formOf(d, as)
	for _, n := range b.nodes {
		if n.form == f {
			return n
		}
	}
	if depth > maxDepth && (manifest.IsIndex(d.MediaType) || manifest.IsManifest(d.MediaType)) {
		w.partial = true
		return tooDeep
	}
	n := &node{form: f}
	if b.nodes = append(b.nodes, n); len(b.nodes) == 1 {
		w.sum.Blobs++
	}
	if ctx.Err() != nil {
		return n
	}
	if err := w.read(ctx, d, n, depth); err != nil && ctx.Err() == nil {
		class := blobClass(err)
		n.bad, n.class = clipped(fmt.Sprintf("blob %s: %v", d.Digest, err)), report.Worst(n.class, class)
		w.add(report.Record{Kind: kindArchive, Name: "blob", Digest: d.Digest, State: report.Damaged, Reason: err.Error(), Class: class})
	}
	return n
}

func (w *layoutWalk) read(ctx context.Context, d ocispec.Descriptor, n *node, depth int) error {
	switch n.form {
	case formBytes:
		return w.blob(ctx, d)
	case formOpaque:
		return w.opaque(ctx, d)
	case formImageConfig, formJSONConfig, formConfig:
		return w.config(ctx, d, n)
	}
	return w.image(ctx, d, n, depth)
}
