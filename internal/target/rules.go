package target

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"airbundle/manifest"
)

// A Rule sends what lies below a prefix to a repository. Of the rules of a kind, the one
// with the longest prefix counts.
type Rule struct {
	Kind       manifest.Kind
	Prefix     string // whole segments of an image's name at the target, of an RPM's repository path, of a file's path, of a chart's name; empty: all
	Repository string
	Path       *string // replaces the prefix; nil: the prefix stays
	Layout     string  // of RPMs: LayoutYum, LayoutRaw, or empty for what the Map says
}

// The layouts of packages at a Nexus: in a yum repository, which makes its metadata itself,
// or in a raw one with metadata of ours.
const (
	LayoutYum = "yum"
	LayoutRaw = "raw"
)

// A Group is a repository that shows its members as one.
type Group struct {
	Name, Format string // format: docker, yum, raw
	Members      []string
}

// below returns what follows a prefix of whole segments.
func below(name, prefix string) (rest string, ok bool) {
	if prefix == "" || name == prefix {
		return strings.TrimPrefix(name, prefix), true
	}
	return strings.CutPrefix(name, prefix+"/")
}

// rule returns the rule for a name; false: the default holds.
func (m Map) rule(kind manifest.Kind, name string) (found Rule, ok bool) {
	for _, r := range m.Rules {
		if _, is := below(name, r.Prefix); is && r.Kind == kind && (!ok || len(r.Prefix) > len(found.Prefix)) {
			found, ok = r, true
		}
	}
	return found, ok
}

// place returns where a name goes; otherwise is the repository where no rule says so.
func (m Map) place(kind manifest.Kind, name, otherwise string) (Place, Rule) {
	r, ok := m.rule(kind, name)
	switch {
	case !ok:
		return Place{otherwise, name}, r
	case r.Path == nil:
		return Place{r.Repository, name}, r
	}
	rest, _ := below(name, r.Prefix)
	return Place{r.Repository, path.Join(*r.Path, rest)}, r
}

// Without returns the map without the rule for all of a kind, so that the map's own default
// holds again. Of RPMs it is only the rule of a layout, "" for LayoutYum.
func (m Map) Without(kind manifest.Kind, layout string) Map {
	m.Rules = slices.DeleteFunc(slices.Clone(m.Rules), func(r Rule) bool {
		return r.Kind == kind && r.Prefix == "" && (r.Layout == LayoutRaw) == (layout == LayoutRaw)
	})
	return m
}

// images returns the items of one image: one for each docker repository that its names go
// to and, where these are split, for each arch.
func (m Map) images(it Item, img manifest.Image) (items []Item) {
	for _, ref := range m.Refs(img) {
		at, _ := m.place(manifest.KindImage, ref.Repository, m.Docker)
		i := slices.IndexFunc(items, func(one Item) bool { return one.Place.Repository == at.Repository })
		if i < 0 {
			i = len(items)
			items = append(items, it)
			items[i].Place = Place{Repository: at.Repository}
		}
		items[i].Refs = append(items[i].Refs, Ref{at.Path, ref.Tag})
	}
	if !m.SplitArch {
		return items
	}
	var split []Item
	for _, whole := range items {
		for _, p := range whole.Platforms {
			one := whole
			one.Digest, one.Arch, one.Platforms, one.Partial = p.Digest, manifest.ArchOf(p.Platform), []manifest.Platform{p}, false
			one.Place.Repository += "-" + manifest.GoArch(one.Arch)
			split = append(split, one)
		}
	}
	return split
}

// misplaced says why an item cannot be where the rules put it.
func misplaced(it Item) error {
	var errs []string
	for _, ref := range it.Refs {
		if manifest.CheckRepository(ref.Repository) != nil {
			errs = append(errs, fmt.Sprintf("%q is no name for it in %s", ref.Repository, it.Place.Repository))
		}
	}
	if it.Kind != manifest.KindImage && manifest.CheckPath(it.Place.Path) != nil {
		errs = append(errs, fmt.Sprintf("%q is no path for it in %s", it.Place.Path, it.Place.Repository))
	}
	if errs == nil {
		return nil
	}
	return fmt.Errorf("the target map misplaces %s %s: %s", it.Kind, it.Name, strings.Join(errs, ", "))
}
