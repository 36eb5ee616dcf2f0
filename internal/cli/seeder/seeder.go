// Package seeder is the command tree of the air-gapped side. It reads flags and files,
// wires adapters to use cases, and prints what they return.
package seeder

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airbundle/internal/archive"
	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
	"airbundle/targets"
)

// New returns the seeder command.
func New(s cli.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "seeder",
		Short: "Bring a carried archive into registries and repositories, and prove it",
		Long: `seeder is the air-gapped side of airbundle: it verifies an archive that bundler
built, pushes it into a Nexus or a registry straight from the file, audits what the
target holds, or serves the file itself.`,
	}
	root.AddCommand(newVerify(s), newPlan(s), newPush(s), newAudit(s), newServe(s), newProbe(s))
	for _, cmd := range root.Commands() {
		complete(cmd)
	}
	return root
}

// selection are the flags that choose artifacts and name their places. Push and audit
// share them, so that an audit asks for what a push put.
type selection struct {
	only, arches []string
	naming       string
	layout       string
	file         string // of the target map, or the name of a ready one
	public       string
	repoFiles    bool
	places       target.Map
	flags        *pflag.FlagSet
}

func (o *selection) addFlags(f *pflag.FlagSet) {
	f.StringSliceVar(&o.only, "only", nil, "take only this `KIND|GROUP|NAME` (image, rpm, file, chart; a group of the lock; a name); may be repeated")
	f.StringSliceVar(&o.arches, "arch", nil, "take only this arch (x86_64, aarch64); may be repeated")
	f.StringVar(&o.layout, "rpm-layout", target.LayoutYum, "RPMs go into the yum repository, which writes its metadata itself, or into the raw one with the metadata of seeder serve: `yum|raw`; a rule of --target with a layout wins")
	f.StringVar(&o.public, "public-url", "", "`URL` of the Nexus as its clients know it, for the .repo files (default: that of --nexus)")
	f.BoolVar(&o.repoFiles, "repo-files", true, "public keys and a .repo file for each set of RPMs in the raw repository, below keys/ and repos/")
	o.addPlaces(f)
}

func (o *selection) addPlaces(f *pflag.FlagSet) {
	o.places, o.flags = target.Default(), f
	f.StringVar(&o.file, "target", "", "target map: a `FILE` that says which repository takes what, or the name of a ready one ("+strings.Join(targets.Names(), ", ")+")")
	f.BoolVar(&o.places.SplitArch, "split-arch", false, "a docker repository for each arch, NAME-amd64 and NAME-arm64, with the manifests of its platform in place of indexes")
	f.StringVar(&o.naming, "naming", "keep", "image names at the target: keep, prefix:NAME or flatten:NAME")
	f.StringVar(&o.places.Docker, "docker-repo", o.places.Docker, "docker repository of the Nexus, where no rule with a prefix in --target names another")
	f.StringVar(&o.places.Yum, "yum-repo", o.places.Yum, "yum repository of the Nexus, likewise")
	f.StringVar(&o.places.Raw, "raw-repo", o.places.Raw, "raw repository of the Nexus, likewise")
	f.StringVar(&o.places.Helm, "helm-repo", o.places.Helm, "helm repository of the Nexus, likewise")
}

// items returns the selected artifacts. A plain registry takes images only: of a bundle
// that holds more, the rest is left out, and the note says so. Who selects something
// else in words is told that it cannot be done.
func (o *selection) items(t *manifest.Table, imagesOnly bool) (m target.Map, items []target.Item, note string, err error) {
	if m, err = o.targets(); err != nil {
		return m, nil, "", err
	}
	if imagesOnly && m.RawRPMs {
		return m, nil, "", cli.Usage("--rpm-layout raw is for a Nexus: a plain registry takes images only")
	}
	if imagesOnly && (o.file != "" || m.SplitArch) {
		return m, nil, "", cli.Usage("--target and --split-arch are for a Nexus: a plain registry has no repositories to choose among")
	}
	if imagesOnly {
		m.Docker = "" // a plain registry is one
	}
	if items, err = m.Items(t, target.Selection{Only: o.only, Arches: o.arches}); err != nil {
		return m, nil, "", report.WithClass(report.ClassUsage, err)
	}
	if imagesOnly {
		all := len(items)
		items = slices.DeleteFunc(items, func(it target.Item) bool { return it.Kind != manifest.KindImage })
		if left := all - len(items); left > 0 {
			note = fmt.Sprintf("%d RPMs, files or charts are left out: a plain registry takes images only; use --nexus for all", left)
		}
	}
	switch {
	case len(items) == 0 && note != "":
		return m, nil, "", cli.Usage("nothing to do: %s", note)
	case len(items) == 0:
		return m, nil, "", cli.Usage("the selection is empty: nothing of the bundle matches")
	}
	return m, items, note, nil
}

// metadataNote says what becomes of the slices of repository metadata that belong to the
// selected RPMs: a hosted yum repository of a Nexus writes its metadata itself, of the
// packages alone.
func metadataNote(t *manifest.Table, items []target.Item) string {
	repos, modular, n := map[string]bool{}, "", 0
	for _, it := range items {
		if it.Kind == manifest.KindRPM && !it.Raw {
			repos[t.RPMs[it.Index].Repo] = true
		}
	}
	for _, m := range t.Metadata {
		if !repos[m.Repo] {
			continue
		}
		n++
		if m.Type == manifest.MetadataModules {
			modular = "; clients of modular packages need module_hotfixes=1 there"
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("slices of repository metadata (%d of modules, comps, updateinfo) stay in the bundle: a hosted yum repository takes none of them, seeder serve and a push with --rpm-layout raw offer them%s", n, modular)
}

// anyRaw says whether an RPM goes into a raw repository.
func anyRaw(items []target.Item) bool {
	return slices.ContainsFunc(items, func(it target.Item) bool { return it.Raw })
}

// open opens an archive for push and serve.
func open(path string, t *trust) (*archive.Archive, *verdict, error) {
	if err := t.prepare(); err != nil {
		return nil, nil, err
	}
	a, err := archive.Open(path)
	if err != nil {
		return nil, nil, err
	}
	v := t.judge(factsOf(path, a.Bundle()))
	if err := v.err(); err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, v, nil
}
