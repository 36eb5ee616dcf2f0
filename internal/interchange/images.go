package interchange

import (
	"bytes"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// readImages reads images.txt, as Rancher, k3s, RKE2 and others publish it: one
// reference a line, with a tag, a digest or both; empty lines and what follows a
// # at the beginning of a line or after white space do not count.
func readImages(r *reader, data []byte) {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if !r.utf8(data) {
		return
	}
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		fields := strings.Fields(line)
		for i, f := range fields {
			if strings.HasPrefix(f, "#") {
				fields = fields[:i]
				break
			}
		}
		switch len(fields) {
		case 0:
		case 1:
			r.image(lockfile.ImageWish{Source: fields[0], Note: r.from(), Line: lockfile.Line(number)}, "")
		default:
			r.bad(number, "%d words, want one image reference a line", len(fields))
		}
	}
}

// from is the note of a wish: which file asked for it. Without line and directory,
// so that it does not change when the file is edited or moved.
func (r *reader) from() string { return "from " + filepath.Base(r.file) }

const (
	imagesLockVersion = "imgpkg.carvel.dev/v1alpha1"
	imagesLockKind    = "ImagesLock"
	// kbldID is where kbld and imgpkg keep the reference that was resolved to the image.
	kbldID = "kbld.carvel.dev/id"
)

// readImagesLock reads an ImagesLock of Carvel's imgpkg (carvel.dev/imgpkg,
// "Resources"; package lockconfig): images by digest, each with annotations. The
// annotation kbld.carvel.dev/id keeps the reference that was resolved. Where it
// is a tag of the same repository, the wish is for that tag with the digest as
// its pin; where it is of another repository, because the image was relocated,
// its path and tag become the published name.
func readImagesLock(r *reader, data []byte) {
	root := r.document(data)
	if root == nil {
		return
	}
	f := r.fields(root, "the file", "apiVersion", "kind", "images")
	if !r.is(root, f, "apiVersion", imagesLockVersion) || !r.is(root, f, "kind", imagesLockKind) {
		return
	}
	for _, n := range r.list(f, "images") {
		r.lockedImage(n)
	}
}

func (r *reader) lockedImage(n *yaml.Node) {
	f := r.fields(n, "an entry of images", "image", "annotations")
	image := r.must(f, n.Line, "image")
	if image == "" {
		return
	}
	pinned, d := splitDigest(image)
	if d == "" {
		r.bad(n.Line, "image %q is not pinned: an ImagesLock has NAME@sha256:…", lockfile.Show(image))
		return
	}
	w := lockfile.ImageWish{Source: image, Note: r.from(), Line: lockfile.Line(n.Line)}
	id := ""
	if a := f["annotations"]; a != nil {
		id = r.text(r.fields(a, "annotations"), kbldID)
	}
	if tagged, ok := parseTagged(id); ok {
		if tagged.Name() == pinned.Name() {
			w.Source = id + "@" + string(d)
		} else if publish := reference.Path(tagged) + ":" + tagged.Tag(); manifest.CheckPublish(publish) == nil {
			w.Publish = []string{publish}
		}
	}
	r.image(w, "")
}

// parseTagged reads a reference with a tag and without a digest.
func parseTagged(s string) (reference.NamedTagged, bool) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return nil, false
	}
	_, pinned := named.(reference.Digested)
	tagged, ok := named.(reference.NamedTagged)
	return tagged, ok && !pinned
}

// splitDigest gives the name and digest of a pinned reference; the digest is
// empty when it has none.
func splitDigest(s string) (reference.Named, digest.Digest) {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return nil, ""
	}
	if d, ok := named.(reference.Digested); ok {
		return named, d.Digest()
	}
	return named, ""
}
