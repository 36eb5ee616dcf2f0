package manifest

import (
	"fmt"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Uses say what blobs are to what needs them. By what it is to all of them a blob has its
// media type in the table, and by that its place in the archive.
type Uses map[digest.Digest]use

// A use is the one that says most of a blob.
type use struct {
	mediaType string
	kind      Kind   // of who says it; empty: the bundle itself
	name      string // of the same
}

// Uses returns those that follow from the table: all but those of images.
func (b *Bundle) Uses() Uses {
	u := Uses{}
	u.add(emptyDescriptor(), "", "")
	for _, s := range b.sets {
		u.add(s.desc, "", "")
	}
	for _, r := range b.Table.RPMs {
		u.add(ocispec.Descriptor{MediaType: MediaTypeRPM, Digest: r.Digest}, KindRPM, r.Name)
	}
	for _, f := range b.Table.Files {
		u.add(ocispec.Descriptor{MediaType: MediaTypeFile, Digest: f.Digest}, KindFile, f.Path)
	}
	for _, c := range b.Table.Charts {
		u.add(ocispec.Descriptor{MediaType: MediaTypeChart, Digest: c.Digest}, KindChart, c.Name)
	}
	for _, m := range b.Table.Metadata {
		u.add(ocispec.Descriptor{MediaType: m.MediaType(), Digest: m.Digest}, KindMetadata, m.Repo)
	}
	return u
}

// AddImage adds what an image needs. Of its manifests and indexes only the table says the media
// type, and they were read as what it says.
func (u Uses) AddImage(name string, t *ImageTree) {
	for _, m := range append([]ImageManifest{t.Top}, t.Children...) {
		u.add(m.Desc, KindImage, name)
		for _, d := range m.Node.Blobs() {
			u.add(d, KindImage, name)
		}
	}
	if t.Original.Digest != "" {
		u.add(t.Original, KindImage, name)
	}
}

func (u Uses) add(d ocispec.Descriptor, kind Kind, name string) {
	if have, ok := u[d.Digest]; !ok || compareTypes(d.MediaType, have.mediaType) < 0 {
		u[d.Digest] = use{d.MediaType, kind, name}
	}
}

// Check says why a blob is not listed as the one of its uses that says most. All uses must
// have been added; of a blob that has none it says nothing.
func (u Uses) Check(d ocispec.Descriptor) error {
	is, ok := u[d.Digest]
	if !ok || is.mediaType == d.MediaType {
		return nil
	}
	by := "the bundle"
	if is.kind != "" {
		by = label(string(is.kind), is.name)
	}
	return fmt.Errorf("listed as %q, it is %q by what needs it, %s", d.MediaType, is.mediaType, by)
}
