package bundler

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/cli"
	"airbundle/manifest"
)

func newDiff(s cli.Streams) *cobra.Command {
	var format cli.Output
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what a new archive adds, removes and changes",
		Long: `diff compares two archives, or two files written by inspect --root: artifacts
added, removed and changed, and the bytes of NEW that OLD does not have.`,
		Example: `  bundler diff k8s-1.bundle.tar k8s-2.bundle.tar`,
		Args:    cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			older, err := archive.OpenRoot(args[0])
			if err != nil {
				return err
			}
			newer, err := archive.OpenRoot(args[1])
			if err != nil {
				return err
			}
			d := compare(older, newer)
			if format.JSON() {
				return cli.WriteJSON(s.Out, d)
			}
			return d.writeText(s.Out)
		},
	}
	format.AddFlag(cmd.Flags())
	return cmd
}

// difference is what diff prints, and its JSON form.
type difference struct {
	Old     digest.Digest `json:"old"`
	New     digest.Digest `json:"new"`
	Added   []change      `json:"added"`
	Removed []change      `json:"removed"`
	Changed []change      `json:"changed"`
	Bytes   int64         `json:"newBytes"` // of blobs that OLD does not have
	Blobs   int           `json:"newBlobs"`
}

type change struct {
	Kind manifest.Kind `json:"kind"`
	Name string        `json:"name"`
	Arch string        `json:"arch,omitempty"`
	Old  digest.Digest `json:"old,omitempty"`
	New  digest.Digest `json:"new,omitempty"`
}

// identity is what makes two artifacts of two bundles the same thing. RPMs are the same
// package when name, arch and repository agree, whatever the version.
func identity(b *manifest.Bundle, a manifest.Artifact) string {
	switch a.Kind {
	case manifest.KindRPM:
		r := b.Table.RPMs[a.Index]
		return strings.Join([]string{"rpm", r.Repo, r.Name, r.Arch}, "\x00")
	case manifest.KindChart:
		return "chart\x00" + b.Table.Charts[a.Index].Name
	}
	return string(a.Kind) + "\x00" + a.Name
}

// compare pairs the artifacts of two bundles. Several versions of one package pair up
// by digest first, then in order.
func compare(older, newer *manifest.Bundle) *difference {
	d := &difference{Old: older.Root.Digest, New: newer.Root.Digest, Added: []change{}, Removed: []change{}, Changed: []change{}}
	before := map[string][]manifest.Artifact{}
	for _, a := range older.Table.Artifacts() {
		id := identity(older, a)
		before[id] = append(before[id], a)
	}
	take := func(id string, ok func(manifest.Artifact) bool) (manifest.Artifact, bool) {
		i := slices.IndexFunc(before[id], ok)
		if i < 0 {
			return manifest.Artifact{}, false
		}
		a := before[id][i]
		before[id] = slices.Delete(before[id], i, i+1)
		return a, true
	}
	var rest []manifest.Artifact
	for _, a := range newer.Table.Artifacts() {
		if _, same := take(identity(newer, a), func(o manifest.Artifact) bool { return o.Digest == a.Digest }); !same {
			rest = append(rest, a)
		}
	}
	for _, a := range rest {
		if o, ok := take(identity(newer, a), func(manifest.Artifact) bool { return true }); ok {
			d.Changed = append(d.Changed, change{a.Kind, a.Name, a.Arch, o.Digest, a.Digest})
		} else {
			d.Added = append(d.Added, change{Kind: a.Kind, Name: a.Name, Arch: a.Arch, New: a.Digest})
		}
	}
	for _, a := range older.Table.Artifacts() {
		if slices.ContainsFunc(before[identity(older, a)], func(o manifest.Artifact) bool { return o.Index == a.Index }) {
			d.Removed = append(d.Removed, change{Kind: a.Kind, Name: a.Name, Arch: a.Arch, Old: a.Digest})
		}
	}
	for _, b := range newer.Table.Blobs {
		if _, have := older.Blob(b.Digest); !have {
			d.Blobs++
			d.Bytes += b.Size
		}
	}
	return d
}

func (d *difference) writeText(w io.Writer) error {
	var out strings.Builder
	for _, part := range []struct {
		sign string
		list []change
	}{{"+", d.Added}, {"-", d.Removed}, {"~", d.Changed}} {
		for _, c := range part.list {
			fmt.Fprintf(&out, "%s %-5s %s", part.sign, c.Kind, c.Name)
			if c.Arch != "" {
				fmt.Fprintf(&out, " [%s]", c.Arch)
			}
			fmt.Fprintf(&out, " %s\n", strings.Join(slices.DeleteFunc([]string{string(c.Old), string(c.New)}, func(s string) bool { return s == "" }), " -> "))
		}
	}
	fmt.Fprintf(&out, "%d added, %d removed, %d changed; %d new blobs, %d bytes\n", len(d.Added), len(d.Removed), len(d.Changed), d.Blobs, d.Bytes)
	_, err := io.WriteString(w, out.String())
	return err
}
