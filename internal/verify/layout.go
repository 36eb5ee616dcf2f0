package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// maxDepth is how deep indexes may nest below index.json.
const maxDepth = 4

// layout judges the OCI layout tar of another tool by the OCI rules.
func (r *run) layout(ctx context.Context) error {
	t, err := archive.OpenLayout(r.path)
	if err != nil {
		return r.unreadable(err)
	}
	defer t.Close()
	w := &layoutWalk{run: r, tar: t, seen: map[digest.Digest]int64{}}
	w.version()
	w.index(ctx)
	w.entries(ctx)
	if r.rep.Bad() == 0 {
		r.rep.Notes = append(r.rep.Notes, "a valid OCI layout, not an airbundle: nothing says whether it is complete or what it should hold")
	}
	for _, p := range t.Warnings() {
		r.rep.Notes = append(r.rep.Notes, p.Error())
	}
	return nil
}

// A layoutWalk follows every descriptor of a layout once.
type layoutWalk struct {
	*run
	tar  *archive.LayoutTar
	seen map[digest.Digest]int64
}

func (w *layoutWalk) finding(name string, d digest.Digest, format string, args ...any) {
	w.rep.Add(report.Record{Kind: kindArchive, Name: name, Digest: d, State: report.Damaged, Reason: fmt.Sprintf(format, args...), Class: report.ClassContent})
}

// version checks the file oci-layout (OCI image-spec 1.1, image-layout.md).
func (w *layoutWalk) version() {
	var v ocispec.ImageLayout
	if err := json.Unmarshal(w.tar.OCILayout(), &v); err != nil {
		w.finding(ocispec.ImageLayoutFile, "", "not JSON: %v", err)
	} else if v.Version != ocispec.ImageLayoutVersion {
		w.finding(ocispec.ImageLayoutFile, "", "layout version %q; only %s is known, a newer tool is needed", v.Version, ocispec.ImageLayoutVersion)
	}
}

// index follows index.json.
func (w *layoutWalk) index(ctx context.Context) {
	node, err := manifest.ParseImage(ocispec.MediaTypeImageIndex, w.tar.Index())
	if err != nil {
		w.finding(ocispec.ImageIndexFile, "", "%v", err)
		return
	}
	if len(node.Manifests) == 0 {
		w.finding(ocispec.ImageIndexFile, "", "it lists nothing")
	}
	names := map[string]digest.Digest{}
	for _, d := range node.Manifests {
		if d.ArtifactType == manifest.ArtifactTypeBundle {
			w.finding(ocispec.ImageIndexFile, d.Digest, "it names the root of an airbundle, but the file is not in the form of one: it was packed anew or changed")
		}
		name := d.Annotations[ocispec.AnnotationRefName]
		if have, ok := names[name]; ok && name != "" {
			w.finding(name, d.Digest, "the name stands twice, also for %s", have)
		}
		names[name] = d.Digest
		before := w.rep.Bad()
		w.descriptor(ctx, d, 1)
		w.sum.Artifacts++
		if w.rep.Bad() == before {
			w.rep.Add(report.Record{Kind: "image", Name: strings.TrimSpace(name), Digest: d.Digest, State: report.OK, Bytes: d.Size})
		}
	}
}

// descriptor verifies one blob and, if it is a manifest or index, what it refers to.
func (w *layoutWalk) descriptor(ctx context.Context, d ocispec.Descriptor, depth int) {
	if ctx.Err() != nil {
		return
	}
	if size, ok := w.seen[d.Digest]; ok {
		if size != d.Size {
			w.finding("blob", d.Digest, "said to have %d bytes and %d bytes", size, d.Size)
		}
		return
	}
	w.seen[d.Digest] = d.Size
	if d.Data != nil && (int64(len(d.Data)) != d.Size || digest.FromBytes(d.Data) != d.Digest) {
		w.finding("blob", d.Digest, "the data embedded in its descriptor is something else")
	}
	if !manifest.IsIndex(d.MediaType) && !manifest.IsManifest(d.MediaType) {
		w.blob(ctx, "blob", d)
		return
	}
	if depth > maxDepth {
		w.finding("manifest", d.Digest, "indexes nest deeper than %d", maxDepth)
		return
	}
	raw, err := w.readJSON(ctx, d)
	if err != nil {
		w.finding("manifest", d.Digest, "%v", err)
		return
	}
	node, err := manifest.ParseImage(d.MediaType, raw)
	if err != nil {
		w.finding("manifest", d.Digest, "%v", err)
		return
	}
	for _, child := range append(node.Blobs(), node.Manifests...) {
		w.descriptor(ctx, child, depth+1)
	}
}

func (w *layoutWalk) readJSON(ctx context.Context, d ocispec.Descriptor) ([]byte, error) {
	if d.Size > manifest.MaxImageJSON {
		return nil, fmt.Errorf("%d bytes, more than the %d allowed", d.Size, manifest.MaxImageJSON)
	}
	rc, err := w.tar.Fetch(ctx, d)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	var b bytes.Buffer
	n, err := io.Copy(&b, rc)
	w.bytes.Add(n)
	w.sum.Blobs++
	return b.Bytes(), err
}

// blob hashes one blob. What cannot be read is told as what it is, not as damage.
func (w *layoutWalk) blob(ctx context.Context, name string, d ocispec.Descriptor) {
	w.sum.Blobs++
	err := w.hashOne(ctx, w.tar, d)
	if err == nil || ctx.Err() != nil {
		return
	}
	class := report.Classify(err)
	if class != report.ClassLocal {
		class = report.ClassContent
	}
	w.rep.AddError(kindArchive, name, d.Digest, report.Damaged, report.WithClass(class, err))
}

// entries checks the blobs that nothing refers to: their content must be what their
// name says, and nothing may stand among them that is no blob.
func (w *layoutWalk) entries(ctx context.Context) {
	for _, name := range w.tar.Files() {
		rest, ok := strings.CutPrefix(name, "blobs/")
		if !ok {
			continue
		}
		algorithm, encoded, _ := strings.Cut(rest, "/")
		d := digest.NewDigestFromEncoded(digest.Algorithm(algorithm), encoded)
		if err := d.Validate(); err != nil {
			w.finding(name, "", "not named by a digest that is known: %v", err)
			continue
		}
		if _, ok := w.seen[d]; ok {
			continue
		}
		size, _ := w.tar.Size(name)
		w.blob(ctx, name, ocispec.Descriptor{Digest: d, Size: size})
	}
}
