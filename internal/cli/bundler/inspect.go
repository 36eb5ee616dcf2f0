package bundler

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/manifest"
)

func newInspect(s cli.Streams) *cobra.Command {
	var root string
	var format cli.Output
	cmd := &cobra.Command{
		Use:   "inspect BUNDLE [--root FILE]",
		Short: "Show what an archive carries",
		Long: `inspect prints the artifacts of an archive as a tree, with arch, size, digest and
the bytes that several artifacts share. It reads the root and the image manifests,
not the large content: use seeder verify to check that. With --root it writes the root
and nothing else, to a file or, as -, to standard output; seeder audit and plan take that
file in place of the archive. A signature beside the archive is copied beside that file.`,
		Example: `  bundler inspect k8s.bundle.tar
  bundler inspect k8s.bundle.tar --root k8s.root.json
  bundler inspect k8s.bundle.tar --root - > k8s.root.json`,
		Args: cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 2 {
				return cli.Usage("inspect takes one archive; bundler diff compares two")
			}
			a, err := archive.Open(args[0])
			if err != nil {
				return err
			}
			defer a.Close()
			if root != "" {
				return writeRoot(s, a.Bundle(), args[0], root)
			}
			c, err := contentsOf(cmd.Context(), a)
			if err != nil {
				return report.WithClass(report.ClassContent, fmt.Errorf("%s: %w", args[0], err))
			}
			if format.JSON() {
				return cli.WriteJSON(s.Out, c)
			}
			return c.writeText(s.Out)
		},
	}
	format.AddFlag(cmd.Flags())
	cmd.Flags().StringVar(&root, "root", "", "write the root to this `file` (- is standard output) and print nothing else")
	return cmd
}

func writeRoot(s cli.Streams, b *manifest.Bundle, bundle, path string) error {
	if path == "-" {
		_, err := s.Out.Write(b.EncodeRootFile())
		return err
	}
	if err := replaceable(path, `{"root":`, "no root file"); err != nil {
		return err
	}
	if err := copySignature(s, bundle, path); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, b.EncodeRootFile(), 0o644)
}

// contents is what inspect prints, and its JSON form.
type contents struct {
	Name      string         `json:"name"`
	Root      digest.Digest  `json:"root"`
	Lock      digest.Digest  `json:"lock"`
	Arches    []string       `json:"arches"`
	Size      int64          `json:"archiveSize"`
	Bytes     int64          `json:"bytes"` // of all blobs, each once
	Artifacts []artifactJSON `json:"artifacts"`
}

type artifactJSON struct {
	Kind      manifest.Kind   `json:"kind"`
	Name      string          `json:"name"`
	Arch      string          `json:"arch,omitempty"`
	Digest    digest.Digest   `json:"digest"`
	Original  digest.Digest   `json:"original,omitempty"`
	Size      int64           `json:"size"`   // of all its blobs
	Shared    int64           `json:"shared"` // bytes that other artifacts have too
	Groups    []string        `json:"groups,omitempty"`
	Publish   []string        `json:"publish,omitempty"`
	Platforms []platformJSON  `json:"platforms,omitempty"`
	blobs     []digest.Digest // each once
}

type platformJSON struct {
	Platform string        `json:"platform"`
	Digest   digest.Digest `json:"digest"`
	Size     int64         `json:"size"` // of manifest, config and layers
}

// contentsOf reads the image manifests of an archive and sums up.
func contentsOf(ctx context.Context, a *archive.Archive) (*contents, error) {
	b := a.Bundle()
	c := &contents{Name: b.Table.Name, Root: b.Root.Digest, Lock: b.Table.Lock, Arches: b.Table.Arches, Size: a.Size(), Artifacts: []artifactJSON{}}
	users := map[digest.Digest]int{}
	for _, art := range b.Table.Artifacts() {
		aj := artifactJSON{Kind: art.Kind, Name: art.Name, Arch: art.Arch, Digest: art.Digest, Groups: art.Groups, blobs: []digest.Digest{art.Digest}}
		if art.Kind == manifest.KindImage {
			if err := aj.image(ctx, a, b.Table.Images[art.Index]); err != nil {
				return nil, fmt.Errorf("image %s: %w", art.Name, err)
			}
		}
		for _, d := range aj.blobs {
			users[d]++
		}
		c.Artifacts = append(c.Artifacts, aj)
	}
	for i := range c.Artifacts {
		aj := &c.Artifacts[i]
		for _, d := range aj.blobs {
			desc, _ := b.Blob(d)
			aj.Size += desc.Size
			if users[d] > 1 {
				aj.Shared += desc.Size
			}
		}
	}
	for _, d := range b.Blobs() {
		c.Bytes += d.Size
	}
	return c, nil
}

func (aj *artifactJSON) image(ctx context.Context, a *archive.Archive, img manifest.Image) error {
	b := a.Bundle()
	tree, err := b.ReadImage(ctx, img, a.Read)
	if err != nil {
		return err
	}
	aj.Original, aj.Publish, aj.blobs = img.Original, img.Publish, tree.Needs(img)
	for _, m := range tree.Manifests() {
		p := platformJSON{Platform: m.Platform, Digest: m.Desc.Digest, Size: m.Desc.Size}
		for _, d := range m.Node.Blobs() {
			p.Size += d.Size
		}
		aj.Platforms = append(aj.Platforms, p)
	}
	slices.SortFunc(aj.Platforms, func(a, b platformJSON) int { return strings.Compare(a.Platform, b.Platform) })
	return nil
}

func (c *contents) writeText(w io.Writer) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s\n  root %s\n  lock %s\n  arches %s\n", c.Name, c.Root, c.Lock, strings.Join(c.Arches, ", "))
	kind := manifest.Kind("")
	for _, a := range c.Artifacts {
		if a.Kind != kind {
			kind = a.Kind
			out.WriteString(heading(kind) + "\n")
		}
		fmt.Fprintf(&out, "  %s", a.Name)
		if a.Arch != "" {
			fmt.Fprintf(&out, " [%s]", a.Arch)
		}
		fmt.Fprintf(&out, " %s %d bytes", a.Digest, a.Size)
		if a.Shared > 0 {
			fmt.Fprintf(&out, " (%d shared)", a.Shared)
		}
		out.WriteByte('\n')
		if a.Original != "" {
			fmt.Fprintf(&out, "    derived from %s\n", a.Original)
		}
		for _, p := range a.Platforms {
			fmt.Fprintf(&out, "    %-12s %s %d bytes\n", p.Platform, p.Digest, p.Size)
		}
	}
	fmt.Fprintf(&out, "%d artifacts, %d bytes of content, archive of %d bytes\n", len(c.Artifacts), c.Bytes, c.Size)
	_, err := io.WriteString(w, out.String())
	return err
}

// heading is what stands above the artifacts of a kind.
func heading(kind manifest.Kind) string {
	if kind == manifest.KindMetadata {
		return string(kind)
	}
	return string(kind) + "s"
}
