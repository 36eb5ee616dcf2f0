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
	r.isLayout = true
	t, problems, err := archive.OpenLayout(r.path)
	for _, p := range problems {
		r.problem(p)
	}
	if err != nil {
		return r.unreadable(err)
	}
	defer t.Close()
	w := &layoutWalk{run: r, tar: t, seen: map[digest.Digest]*blob{}}
	if err := manifest.CheckLayoutFile(t.OCILayout()); err != nil {
		w.finding(ocispec.ImageLayoutFile, "", "%v", err)
	}
	w.index(ctx)
	w.followSubjects(ctx)
	w.entries(ctx)
	if w.more > 0 {
		r.record(report.Record{Kind: kindArchive, Name: r.path, State: report.Damaged, Reason: fmt.Sprintf("%d more findings are not listed", w.more), Class: report.ClassContent})
	}
	if r.rep.Bad() == 0 {
		r.rep.Notes = append(r.rep.Notes, "a valid OCI layout, not an airbundle: nothing says whether it is complete or what it should hold")
	}
	return nil
}

// A layoutWalk follows every descriptor of a layout once.
type layoutWalk struct {
	*run
	tar      *archive.LayoutTar
	seen     map[digest.Digest]*blob
	subjects []ocispec.Descriptor // at hand, and still to be judged
	partial  bool                 // something could not be read that may refer to more
	repacked bool                 // the root of a bundle was told
	found    int
	more     int // findings beyond maxFindings
	reread   manifest.Rereads
}

// maxText is how much is kept and told of what a layout says: it may have a document of a
// single string, and many of them.
const maxText = 1000

func clipped(s string) string {
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + " [...]"
	}
	return s
}

func (w *layoutWalk) add(rec report.Record) {
	rec.Reason = clipped(rec.Reason)
	if w.found++; w.found > maxFindings {
		w.more++
		return
	}
	w.record(rec)
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
		w.notRoot(d.Digest, d.ArtifactType)
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

// notRoot tells of the root of an airbundle in a file that is none. Its descriptor may have
// lost the artifact type, and its manifest is the root all the same.
func (w *layoutWalk) notRoot(d digest.Digest, artifactType string) {
	if artifactType != manifest.ArtifactTypeBundle || w.repacked {
		return
	}
	w.repacked = true
	w.finding("root", d, "it is the root of an airbundle, but the file is not in the form of one: it was packed anew or changed")
}

// image reads a manifest or index and follows what it refers to.
func (w *layoutWalk) image(ctx context.Context, d ocispec.Descriptor, n *node, depth int) error {
	n.height = 1
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
	w.notRoot(d.Digest, image.ArtifactType)
	if t := image.ArtifactType; t != "" && manifest.CheckMediaType(t) != nil {
		w.finding("manifest", d.Digest, "artifact type %q is no media type", t)
	}
	if c := image.Config; c != nil && c.MediaType == ocispec.MediaTypeEmptyJSON && image.ArtifactType == "" {
		w.finding("manifest", d.Digest, "its config is the empty one, and it has no artifact type")
	}
	w.entriesOf(ctx, d, image, n, depth)
	if c := w.partsOf(ctx, d, image, n, depth); c != nil && c.isImage && c.bad == "" && err == nil {
		w.layers(ctx, d, image)
	}
	if image.Subject != nil {
		w.subject(*image.Subject)
	}
	switch {
	case n.height > maxDepth:
		err = errors.Join(err, errTooDeep)
	case manifest.IsIndex(d.MediaType) && len(image.Manifests) == 0 && err == nil:
		err = errors.New("the index lists nothing")
	}
	return err
}

// subject notes what a manifest is about, to be judged when all entries are: it need not be
// at hand, belongs to no index for that, and may have a subject itself, and so on without
// end.
func (w *layoutWalk) subject(d ocispec.Descriptor) {
	w.rules(d, asSubject)
	if _, ok := w.tar.Size(blobName(d.Digest)); !ok {
		return
	}
	if b := w.blobOf(d); !b.isSubject {
		b.isSubject = true
		w.subjects = append(w.subjects, ocispec.Descriptor{MediaType: clipped(d.MediaType), Digest: d.Digest, Size: d.Size})
	}
}

func (w *layoutWalk) followSubjects(ctx context.Context) {
	for n := len(w.subjects); n > 0; n = len(w.subjects) {
		d := w.subjects[n-1]
		w.subjects = w.subjects[:n-1]
		w.judge(ctx, d, asSubject, 1)
	}
}

// entriesOf follows the entries of an index.
func (w *layoutWalk) entriesOf(ctx context.Context, d ocispec.Descriptor, image *manifest.ImageNode, n *node, depth int) {
	at := "index " + string(d.Digest)
	platforms := map[string]digest.Digest{}
	for _, child := range image.Manifests {
		w.alike(at, child, "", platforms)
		c := w.descriptor(ctx, child, asEntry, depth+1)
		w.platformOf(at, child, c)
		n.needs(c)
		n.leads(c)
		n.height = max(n.height, 2) // an entry of an unknown type is one, too
	}
}

// partsOf follows config and layers of a manifest, and returns the config.
func (w *layoutWalk) partsOf(ctx context.Context, d ocispec.Descriptor, image *manifest.ImageNode, n *node, depth int) (c *node) {
	if image.Config != nil {
		c = w.descriptor(ctx, *image.Config, asConfig, depth+1)
		n.platform, n.isImage = c.platform, c.isImage
		n.needs(c)
	}
	w.titles(d, image.Layers)
	for _, layer := range image.Layers {
		n.needs(w.descriptor(ctx, layer, asLayer, depth+1))
	}
	return c
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
	return b.Bytes(), err
}

// blob hashes one blob.
func (w *layoutWalk) blob(ctx context.Context, d ocispec.Descriptor) error {
	return told(d, w.hashOne(ctx, w.tar, d))
}

// blobName is the name of the entry that a blob has.
func blobName(d digest.Digest) string {
	return "blobs/" + strings.Replace(string(d), ":", "/", 1)
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
	return fmt.Errorf("missing: there is no entry %s%s", blobName(d.Digest), where)
}
