package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/archive"
	"airbundle/internal/report"
	"airbundle/manifest"
)

const (
	maxDepth    = 4   // indexes in each other, below index.json
	maxFindings = 999 // of one layout that are told
)

// layout judges the OCI layout tar of another tool by the OCI rules.
func (r *run) layout(ctx context.Context) error {
	t, problems, err := archive.OpenLayout(r.path)
	for _, p := range problems {
		r.problem(p)
	}
	if err != nil {
		return r.unreadable(err)
	}
	defer t.Close()
	w := &layoutWalk{run: r, tar: t, seen: map[digest.Digest]*node{}}
	if err := manifest.CheckLayoutFile(t.OCILayout()); err != nil {
		w.finding(ocispec.ImageLayoutFile, "", "%v", err)
	}
	w.index(ctx)
	w.entries(ctx)
	if !w.carried && w.found == 0 {
		w.finding(ocispec.ImageIndexFile, "", "it lists indexes of nothing")
	}
	if w.more > 0 {
		r.rep.Add(report.Record{Kind: kindArchive, Name: r.path, State: report.Damaged, Reason: fmt.Sprintf("%d more findings are not listed", w.more), Class: report.ClassContent})
	}
	if r.rep.Bad() == 0 {
		r.rep.Notes = append(r.rep.Notes, "a valid OCI layout, not an airbundle: nothing says whether it is complete or what it should hold")
	}
	return nil
}

// A layoutWalk follows every descriptor of a layout once.
type layoutWalk struct {
	*run
	tar     *archive.LayoutTar
	seen    map[digest.Digest]*node
	partial bool // something could not be read that may refer to more
	carried bool // there is something that is no index
	found   int
	more    int // findings beyond maxFindings
	reread  manifest.Rereads
}

// A node is one blob that a descriptor refers to.
type node struct {
	size      int64
	mediaType string
	bad       string // why it is not whole, or what of it
	class     report.Class
	platform  *ocispec.Platform
	isImage   bool // platform is that of an image config
}

func (w *layoutWalk) add(rec report.Record) {
	if w.found++; w.found > maxFindings {
		w.more++
		return
	}
	w.rep.Add(rec)
}

func (w *layoutWalk) finding(name string, d digest.Digest, format string, args ...any) {
	w.add(report.Record{Kind: kindArchive, Name: name, Digest: d, State: report.Damaged, Reason: fmt.Sprintf(format, args...), Class: report.ClassContent})
}

// index follows index.json.
func (w *layoutWalk) index(ctx context.Context) {
	ix, err := manifest.ParseImage(ocispec.MediaTypeImageIndex, w.tar.Index())
	if err != nil {
		w.partial = true
		w.finding(ocispec.ImageIndexFile, "", "%v", err)
	}
	if ix == nil {
		return
	}
	if err == nil && len(ix.Manifests) == 0 {
		w.finding(ocispec.ImageIndexFile, "", "it lists nothing")
	}
	names := map[string]digest.Digest{}
	platforms := map[string]digest.Digest{}
	for _, d := range ix.Manifests {
		if d.ArtifactType == manifest.ArtifactTypeBundle {
			w.finding(ocispec.ImageIndexFile, d.Digest, "it names the root of an airbundle, but the file is not in the form of one: it was packed anew or changed")
		}
		name := w.name(d, names)
		w.alike(ocispec.ImageIndexFile, d, name, platforms)
		before := w.found
		n := w.descriptor(ctx, d, asEntry, 1)
		w.platformOf(ocispec.ImageIndexFile, d, n)
		w.sum.Artifacts++
		rec := report.Record{Kind: string(manifest.KindImage), Name: name, Digest: d.Digest, State: report.OK, Bytes: d.Size}
		switch {
		case n.bad != "":
			rec.State, rec.Class, rec.Reason = report.Damaged, n.class, n.bad
		case w.found > before:
			continue
		}
		if rec.State == report.OK {
			w.rep.Add(rec)
		} else {
			w.add(rec)
		}
	}
}

// What a descriptor stands for where it stands.
type role int

const (
	asEntry role = iota // of an index
	asConfig
	asLayer
	asSubject
)

// descriptor verifies one blob and, if it is a manifest or index, what it refers to.
func (w *layoutWalk) descriptor(ctx context.Context, d ocispec.Descriptor, as role, depth int) *node {
	w.rules(d, as)
	if n, ok := w.seen[d.Digest]; ok {
		w.again(d, n)
		return n
	}
	n := &node{size: d.Size, mediaType: d.MediaType}
	w.seen[d.Digest] = n
	if ctx.Err() != nil {
		return n
	}
	var err error
	switch {
	case manifest.IsIndex(d.MediaType), manifest.IsManifest(d.MediaType):
		err = w.manifest(ctx, d, n, depth)
	case as == asConfig:
		err = w.config(ctx, d, n)
	case as == asEntry || as == asSubject:
		w.carried = true
		err = w.opaque(ctx, d)
	default:
		err = w.blob(ctx, d)
	}
	if err != nil && ctx.Err() == nil {
		class := blobClass(err)
		n.bad, n.class = fmt.Sprintf("blob %s: %v", d.Digest, err), report.Worst(n.class, class)
		w.add(report.Record{Kind: kindArchive, Name: "blob", Digest: d.Digest, State: report.Damaged, Reason: err.Error(), Class: class})
	}
	return n
}

// again holds a further descriptor of a blob against the first.
func (w *layoutWalk) again(d ocispec.Descriptor, n *node) {
	if n.size != d.Size {
		w.finding("blob", d.Digest, "said to have %d bytes and %d bytes", n.size, d.Size)
	}
	if n.mediaType != d.MediaType && (strict(n.mediaType) || strict(d.MediaType)) {
		w.finding("blob", d.Digest, "said to be %q and %q", n.mediaType, d.MediaType)
	}
}

// strict says whether a media type says how its content is read.
func strict(mediaType string) bool {
	return manifest.IsIndex(mediaType) || manifest.IsManifest(mediaType) || isConfig(mediaType)
}

// manifest reads a manifest or index and follows what it refers to.
func (w *layoutWalk) manifest(ctx context.Context, d ocispec.Descriptor, n *node, depth int) error {
	if depth > maxDepth {
		w.partial = true
		return fmt.Errorf("indexes nest deeper than %d", maxDepth)
	}
	raw, err := w.readJSON(ctx, d)
	if err != nil {
		w.partial = true
		return err
	}
	image, err := manifest.ParseImage(d.MediaType, raw)
	if err != nil {
		w.partial = true
	}
	if image == nil {
		return err
	}
	w.carried = w.carried || image.Config != nil
	if t := image.ArtifactType; t != "" && !mediaTypeGrammar.MatchString(t) {
		w.finding("manifest", d.Digest, "artifact type %q is no media type", t)
	}
	w.entriesOf(ctx, d, image, n, depth)
	w.partsOf(ctx, d, image, n, depth)
	if image.Config != nil && err == nil {
		w.layers(ctx, d, image)
	}
	if s := image.Subject; s != nil {
		if ok, _ := w.tar.Exists(ctx, *s); ok || w.seen[s.Digest] != nil {
			w.descriptor(ctx, *s, asSubject, depth+1)
		} else {
			w.rules(*s, asSubject) // it need not be at hand
		}
	}
	return err
}

// entriesOf follows the entries of an index.
func (w *layoutWalk) entriesOf(ctx context.Context, d ocispec.Descriptor, image *manifest.ImageNode, n *node, depth int) {
	at := "index " + string(d.Digest)
	platforms := map[string]digest.Digest{}
	for _, child := range image.Manifests {
		w.alike(at, child, "", platforms)
		c := w.descriptor(ctx, child, asEntry, depth+1)
		w.platformOf(at, child, c)
		n.spoil(c)
	}
}

// partsOf follows config and layers of a manifest.
func (w *layoutWalk) partsOf(ctx context.Context, d ocispec.Descriptor, image *manifest.ImageNode, n *node, depth int) {
	if image.Config != nil {
		c := w.descriptor(ctx, *image.Config, asConfig, depth+1)
		n.platform, n.isImage = c.platform, c.isImage
		n.spoil(c)
	}
	titles := map[string]digest.Digest{}
	for _, layer := range image.Layers {
		if title := layer.Annotations[ocispec.AnnotationTitle]; title != "" {
			if have, ok := titles[title]; ok && have != layer.Digest {
				w.finding("manifest", d.Digest, "ambiguous name: title %q stands for %s and %s", title, have, layer.Digest)
			}
			titles[title] = layer.Digest
		}
		n.spoil(w.descriptor(ctx, layer, asLayer, depth+1))
	}
}

// spoil makes a node as bad as what it needs.
func (n *node) spoil(by *node) {
	if n.bad == "" {
		n.bad = by.bad
	}
	n.class = report.Worst(n.class, by.class)
}

func (w *layoutWalk) readJSON(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > manifest.MaxImageJSON {
		return nil, fmt.Errorf("%d bytes, more than the %d allowed", d.Size, manifest.MaxImageJSON)
	}
	rc, err := w.tar.Fetch(ctx, d)
	if err != nil {
		return nil, told(d, err)
	}
	defer rc.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, rc)
	w.bytes.Add(n)
	w.sum.Blobs++
	return b.Bytes(), err
}

// blob hashes one blob.
func (w *layoutWalk) blob(ctx context.Context, d ocispec.Descriptor) error {
	w.sum.Blobs++
	return told(d, w.hashOne(ctx, w.tar, d))
}

// told says of a missing blob what is missing. Places in the network that its
// descriptor names are never asked.
func told(d ocispec.Descriptor, err error) error {
	if !errors.Is(err, errdef.ErrNotFound) {
		return err
	}
	where := ""
	if len(d.URLs) > 0 {
		where = "; its descriptor names URLs, which are never contacted"
	}
	return fmt.Errorf("missing: there is no entry blobs/%s%s", strings.Replace(string(d.Digest), ":", "/", 1), where)
}
