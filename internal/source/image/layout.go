package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/regular"
	"airbundle/manifest"
)

// maxDepth is how deep indexes may lie in indexes: index.json is not counted.
const maxDepth = 4

// A medium holds the files of a layout or an archive.
type medium interface {
	// open opens a regular file by its path inside; the error matches
	// fs.ErrNotExist where there is none.
	open(name string) (rc io.ReadCloser, size int64, err error)
	// place is how errors name a file inside.
	place(name string) string
}

// A directory is a medium in the file system. Symbolic links are followed (build
// tools lay out blobs so): whatever they lead to is verified like all content.
type directory string

func (d directory) place(name string) string {
	return filepath.Join(string(d), filepath.FromSlash(name))
}

func (d directory) open(name string) (io.ReadCloser, int64, error) {
	f, info, err := regular.Open(d.place(name))
	if err != nil {
		return nil, 0, err
	}
	return f, info.Size(), nil
}

// A layout is an OCI image layout.
type layout struct {
	files medium
	ref   string // org.opencontainers.image.ref.name of the entry meant; empty: the only one
}

func (l *layout) resolve(ctx context.Context) (document, error) {
	entries, err := l.index()
	if err != nil {
		return document{}, err
	}
	entry, err := l.pick(entries)
	if err != nil {
		return document{}, err
	}
	return l.read(ctx, entry)
}

// index reads what the layout lists.
func (l *layout) index() ([]ocispec.Descriptor, error) {
	raw, err := readFile(l.files, ocispec.ImageLayoutFile, manifest.MaxImageJSON)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("not an OCI image layout: %w", err)
	} else if err != nil {
		return nil, err
	}
	place := l.files.place(ocispec.ImageLayoutFile)
	var version ocispec.ImageLayout
	if err := json.Unmarshal(raw, &version); err != nil {
		return nil, badContent(place, "not JSON: %w", err)
	}
	if version.Version != ocispec.ImageLayoutVersion {
		return nil, badContent(place, "layout version %q is not %s: a newer tool is needed", version.Version, ocispec.ImageLayoutVersion)
	}
	if raw, err = readFile(l.files, ocispec.ImageIndexFile, manifest.MaxTable); err != nil {
		return nil, err
	}
	place = l.files.place(ocispec.ImageIndexFile)
	if err := manifest.Unambiguous(raw); err != nil {
		return nil, &ContentError{Place: place, Err: err}
	}
	var index ocispec.Index
	if err := json.Unmarshal(raw, &index); err != nil {
		return nil, badContent(place, "%w", err)
	}
	for _, d := range index.Manifests {
		if err := d.Digest.Validate(); err != nil {
			return nil, badContent(place, "descriptor %q: %w", d.Digest, err)
		}
	}
	return index.Manifests, nil
}

// pick finds the entry that the source means.
func (l *layout) pick(entries []ocispec.Descriptor) (ocispec.Descriptor, error) {
	meant := entries
	if l.ref != "" {
		meant = slices.DeleteFunc(slices.Clone(entries), func(d ocispec.Descriptor) bool {
			return d.Annotations[ocispec.AnnotationRefName] != l.ref
		})
	}
	place := l.files.place(ocispec.ImageIndexFile)
	switch {
	case len(entries) == 0:
		return ocispec.Descriptor{}, badContent(place, "lists no image")
	case len(meant) == 0:
		return ocispec.Descriptor{}, badContent(place, "has no image %q; it has %s: %w", l.ref, names(entries), fs.ErrNotExist)
	case l.ref == "" && len(meant) > 1:
		return ocispec.Descriptor{}, badContent(place, "lists %d images, and the source says none of them: %s", len(meant), names(meant))
	}
	for _, d := range meant[1:] {
		if d.Digest != meant[0].Digest {
			return ocispec.Descriptor{}, badContent(place, "gives the name %q to %s and to %s", l.ref, meant[0].Digest, d.Digest)
		}
	}
	return meant[0], nil
}

// names lists entries for an error.
func names(entries []ocispec.Descriptor) string {
	all := make([]string, len(entries))
	for i, d := range entries {
		all[i] = string(d.Digest) + " (no name)"
		if n := d.Annotations[ocispec.AnnotationRefName]; n != "" {
			all[i] = fmt.Sprintf("%q", n)
		}
	}
	return list(all)
}

// list joins words for an error, but not thousands of them.
func list(words []string) string {
	const most = 20
	if len(words) > most {
		words = append(slices.Clone(words[:most]), fmt.Sprintf("and %d more", len(words)-most))
	}
	return strings.Join(words, ", ")
}

// manifest goes by the digest alone: the name may lead elsewhere by now.
func (l *layout) manifest(ctx context.Context, dgst digest.Digest) (document, error) {
	entries, err := l.index()
	if err != nil {
		return document{}, err
	}
	desc, err := l.find(ctx, entries, dgst)
	if err != nil {
		return document{}, err
	}
	return l.read(ctx, desc)
}

// find looks for the descriptor of a manifest or index, level by level down to maxDepth.
func (l *layout) find(ctx context.Context, level []ocispec.Descriptor, dgst digest.Digest) (ocispec.Descriptor, error) {
	seen := map[digest.Digest]bool{}
	var broken error
	for depth := 0; len(level) > 0; depth++ {
		if i := slices.IndexFunc(level, func(d ocispec.Descriptor) bool { return d.Digest == dgst }); i >= 0 {
			return level[i], nil
		}
		var next []ocispec.Descriptor
		for _, d := range level {
			if !manifest.IsIndex(d.MediaType) || seen[d.Digest] {
				continue
			}
			if depth == maxDepth {
				return ocispec.Descriptor{}, badContent(l.files.place(ocispec.ImageIndexFile), "indexes lie more than %d deep in each other", maxDepth)
			}
			seen[d.Digest] = true
			doc, err := l.read(ctx, d)
			if err != nil {
				broken = err // another index may still have what is looked for
				continue
			}
			next = append(next, doc.node.Manifests...)
		}
		level = next
	}
	if broken != nil {
		return ocispec.Descriptor{}, broken
	}
	return ocispec.Descriptor{}, badContent(l.files.place(ocispec.ImageIndexFile), "it and the indexes below do not list it: %w", fs.ErrNotExist)
}

// read reads and checks the manifest or index of a descriptor.
func (l *layout) read(ctx context.Context, desc ocispec.Descriptor) (document, error) {
	name := blobPath(desc.Digest)
	place := l.files.place(name)
	if desc.Size > manifest.MaxImageJSON {
		return document{}, badContent(place, "%d bytes are more than the %d allowed here", desc.Size, manifest.MaxImageJSON)
	}
	rc, err := l.blob(ctx, desc)
	if err != nil {
		return document{}, err
	}
	defer rc.Close()
	raw, err := digestio.ReadAll(untilDone(ctx, rc), desc, manifest.MaxImageJSON)
	if err != nil {
		return document{}, fmt.Errorf("%s: %w", place, err)
	}
	return newDocument(place, raw, desc.Digest, desc.MediaType)
}

func (l *layout) blob(_ context.Context, desc ocispec.Descriptor) (io.ReadCloser, error) {
	name := blobPath(desc.Digest)
	rc, size, err := l.files.open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, badContent(l.files.place(name), "the layout is incomplete: %w", fs.ErrNotExist)
	} else if err != nil {
		return nil, err
	}
	if err := checkSize(l.files.place(name), desc, size); err != nil {
		rc.Close()
		return nil, err
	}
	return rc, nil
}

func readFile(m medium, name string, limit int64) ([]byte, error) {
	rc, size, err := m.open(name)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return readDocument(m.place(name), rc, size, limit)
}

// blobPath is where a layout keeps a blob; the digest must be valid.
func blobPath(d digest.Digest) string {
	return ocispec.ImageBlobsDir + "/" + d.Algorithm().String() + "/" + d.Encoded()
}
