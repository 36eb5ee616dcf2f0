package interchange

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// exporters by the name of the format.
func exporters() map[string]func(*lockfile.Lock) ([]byte, error) {
	return map[string]func(*lockfile.Lock) ([]byte, error){
		"images":     exportImages,
		"imageslock": exportImagesLock,
		"sha256sums": exportSums,
		"cyclonedx":  exportCycloneDX,
	}
}

// ExportFormats are the names of the formats that Export knows, sorted.
func ExportFormats() []string {
	var out []string
	for name := range exporters() {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Export writes what a lock pins in another format:
//
//   - images: one line an image, the reference that it is pulled by, with its tag
//     and its digest, NAME:TAG@sha256:…, sorted;
//   - imageslock: an ImagesLock of imgpkg, NAME@sha256:… with the tag in the annotation
//     kbld.carvel.dev/id;
//   - sha256sums: the sums of RPMs, files and charts by their path at the target, as
//     sha256sum -c reads them below a copy of it;
//   - cyclonedx: a software bill of materials, CycloneDX JSON.
//
// The same lock gives the same bytes. Images that are on disk have no reference; the
// first two formats name them in a comment.
func Export(format string, l *lockfile.Lock) ([]byte, error) {
	write, ok := exporters()[format]
	if !ok {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("export format %q is not known, known are %s", format, strings.Join(ExportFormats(), ", ")))
	}
	return write(l)
}

// A pinnedImage is an image as others pull it.
type pinnedImage struct {
	named  reference.Named
	tag    string // NAME:TAG as the lock writes it; empty when its source has no tag
	digest digest.Digest
}

// pinnedImages gives the images at registries, sorted, and the comments for all others.
func pinnedImages(l *lockfile.Lock) (out []pinnedImage, comments []string, err error) {
	images := slices.SortedFunc(slices.Values(l.Images), func(a, b lockfile.Image) int { return cmp.Compare(a.Source, b.Source) })
	for _, i := range images {
		if i.Local() {
			comments = append(comments, fmt.Sprintf("# on disk, not at a registry: %s %s\n", i.Source, i.Digest))
			continue
		}
		named, err := reference.ParseNormalizedNamed(i.Source)
		if err != nil {
			return nil, nil, fmt.Errorf("image %s: %w", lockfile.Show(i.Source), err)
		}
		p := pinnedImage{named: reference.TrimNamed(named), digest: i.Digest}
		tag, _, pinned := strings.Cut(i.Source, "@")
		_, tagged := named.(reference.Tagged)
		switch {
		case tagged:
			p.tag = tag
		case !pinned:
			p.tag = tag + ":latest" // what the source means
		}
		out = append(out, p)
	}
	return out, comments, nil
}

func exportImages(l *lockfile.Lock) ([]byte, error) {
	images, comments, err := pinnedImages(l)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Images of %s, by digest\n", l.Name)
	for _, p := range images {
		fmt.Fprintf(&b, "%s@%s\n", cmp.Or(p.tag, p.named.Name()), p.digest)
	}
	b.WriteString(strings.Join(comments, ""))
	return b.Bytes(), nil
}

func exportImagesLock(l *lockfile.Lock) ([]byte, error) {
	images, comments, err := pinnedImages(l)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# ImagesLock of %s\n%s---\napiVersion: %s\nkind: %s\nimages:", l.Name, strings.Join(comments, ""), imagesLockVersion, imagesLockKind)
	if len(images) == 0 {
		b.WriteString(" []")
	}
	b.WriteByte('\n')
	for _, p := range images {
		fmt.Fprintf(&b, "- image: %s@%s\n", p.named.Name(), p.digest)
		if p.tag != "" {
			fmt.Fprintf(&b, "  annotations:\n    %s: %q\n", kbldID, p.tag)
		}
	}
	return b.Bytes(), nil
}

// exportSums refuses a path that two artifacts have with different content: they are
// in different repositories at the target, and one list cannot tell them apart.
func exportSums(l *lockfile.Lock) ([]byte, error) {
	sums := map[string]digest.Digest{}
	var clash []string
	add := func(path string, d digest.Digest) {
		if old, known := sums[path]; known && old != d {
			clash = append(clash, path)
		}
		sums[path] = d
	}
	for _, p := range l.RPMs {
		add(p.Path(), p.Digest)
	}
	for _, f := range l.Files {
		add(f.Path, f.Digest)
	}
	for _, c := range l.Charts {
		add(c.File(), c.Digest)
	}
	if len(clash) > 0 {
		return nil, report.WithClass(report.ClassContent, fmt.Errorf("a list of sums names each path once, and these have two contents: %s", strings.Join(clash, ", ")))
	}
	var paths []string
	for p := range sums {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var b bytes.Buffer
	fmt.Fprintf(&b, "# SHA-256 sums of %s\n", l.Name)
	for _, p := range paths {
		fmt.Fprintf(&b, "%s  %s\n", sums[p].Encoded(), p)
	}
	return b.Bytes(), nil
}
