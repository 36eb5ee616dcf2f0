package lockfile

import (
	"cmp"
	"slices"

	"airbundle/manifest"
)

// canonical gives the lock in the one order in which it is written. It leaves
// the lock itself as it is. The order of publish and urls has a meaning and
// stays.
func (l *Lock) canonical() *Lock {
	out := *l
	out.Arches = sortArches(l.Arches)
	out.Images = sorted(l.Images, func(i Image) []string { return []string{i.Source} })
	for n := range out.Images {
		out.Images[n].Groups = sorted(out.Images[n].Groups, itself)
	}
	out.RPMs = sorted(l.RPMs, func(r RPM) []string { return []string{r.Repo, r.Name, r.EVR, r.Arch} })
	for n := range out.RPMs {
		out.RPMs[n].Groups = sorted(out.RPMs[n].Groups, itself)
	}
	out.Keys = sorted(l.Keys, func(k Key) []string { return []string{k.ID} })
	out.Files = sorted(l.Files, func(f File) []string { return []string{f.Path} })
	for n := range out.Files {
		out.Files[n].Groups = sorted(out.Files[n].Groups, itself)
	}
	out.Charts = sorted(l.Charts, func(c Chart) []string { return []string{c.Name, c.Version} })
	for n := range out.Charts {
		out.Charts[n].Groups = sorted(out.Charts[n].Groups, itself)
	}
	out.Metadata = sorted(l.Metadata, func(m Metadata) []string { return []string{m.Repo, m.Type} })
	out.Derived = sorted(l.Derived, func(d Derived) []string { return []string{d.Path} })
	out.Absent = sorted(l.Absent, func(a Absent) []string { return []string{a.Source, a.Path, a.Name, a.Arch} })
	out.Accept = sorted(l.Accept, func(a Accept) []string { return []string{a.Finding, a.Artifact} })
	return &out
}

func itself(s string) []string { return []string{s} }

// sorted gives a new list, sorted bytewise by key, nil when it is empty.
func sorted[T any](items []T, key func(T) []string) []T {
	if len(items) == 0 {
		return nil
	}
	out := slices.Clone(items)
	slices.SortStableFunc(out, func(a, b T) int { return slices.Compare(key(a), key(b)) })
	return out
}

// sortArches gives arches in the order of manifest.Arches, unknown ones last.
func sortArches(arches []string) []string {
	known := manifest.Arches()
	rank := func(arch string) int {
		if i := slices.Index(known, arch); i >= 0 {
			return i
		}
		return len(known)
	}
	out := slices.Clone(arches)
	slices.SortStableFunc(out, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	return out
}
