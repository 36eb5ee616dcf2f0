package lockfile

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// Groups lists the groups that entries of the lock name, sorted.
func (l *Lock) Groups() []string {
	all := map[string]bool{}
	add := func(groups []string) {
		for _, g := range groups {
			all[g] = true
		}
	}
	for _, i := range l.Images {
		add(i.Groups)
	}
	for _, r := range l.RPMs {
		add(r.Groups)
	}
	for _, f := range l.Files {
		add(f.Groups)
	}
	for _, c := range l.Charts {
		add(c.Groups)
	}
	return slices.Sorted(maps.Keys(all))
}

// A selection is what Select was asked for; no groups means everything.
type selection struct {
	arches, groups map[string]bool
}

func (s selection) member(groups []string) bool {
	return len(s.groups) == 0 || slices.ContainsFunc(groups, func(g string) bool { return s.groups[g] })
}

// Select gives the lock without what is of other arches or, when groups are
// given, of none of these groups. No arches means all of the lock. Entries that
// depend on others go with them: derived files with their image, metadata with
// the RPMs of their repository, absences with their image. The lock itself
// does not change. An arch or group that the lock does not have is an error.
func (l *Lock) Select(arches, groups []string) (*Lock, error) {
	if err := known("arch", arches, l.Arches); err != nil {
		return nil, err
	}
	if err := known("group", groups, l.Groups()); err != nil {
		return nil, err
	}
	if len(arches) == 0 {
		arches = l.Arches
	}
	s := selection{set(arches), set(groups)}
	out := *l
	out.Arches = only(l.Arches, func(a string) bool { return s.arches[a] })
	out.Images = s.images(l.Images)
	out.RPMs = only(l.RPMs, func(r RPM) bool { return s.arches[r.BaseArch] && s.member(r.Groups) })
	out.Files = only(l.Files, func(f File) bool { return (f.Arch == "" || s.arches[f.Arch]) && s.member(f.Groups) })
	out.Charts = only(l.Charts, func(c Chart) bool { return s.member(c.Groups) })

	images := carried(out.Images)
	out.Derived = only(l.Derived, func(d Derived) bool { return images[d.From+" "+manifest.PlatformFor(d.Arch)] })
	repos := repos(out.RPMs)
	out.Metadata = only(l.Metadata, func(m Metadata) bool { return repos[m.Repo] })
	dropped := map[string]bool{} // images of other groups
	for _, i := range l.Images {
		dropped[sourceKey(i.Source)] = !s.member(i.Groups)
	}
	out.Absent = only(l.Absent, func(a Absent) bool { return s.arches[a.Arch] && !dropped[sourceKey(a.Source)] })
	return &out, nil
}

func (s selection) images(images []Image) []Image {
	var out []Image
	for _, i := range images {
		if !s.member(i.Groups) {
			continue
		}
		platforms := map[string]digest.Digest{}
		for p, d := range i.Platforms {
			if s.arches[manifest.ArchOf(p)] {
				platforms[p] = d
			}
		}
		if len(platforms) > 0 {
			i.Platforms = platforms
			out = append(out, i)
		}
	}
	return out
}

// carried names the platforms of images.
func carried(images []Image) map[string]bool {
	out := map[string]bool{}
	for _, i := range images {
		for p := range i.Platforms {
			out[i.Source+" "+p] = true
		}
	}
	return out
}

func repos(rpms []RPM) map[string]bool {
	out := map[string]bool{}
	for _, r := range rpms {
		out[r.Repo] = true
	}
	return out
}

// known checks that everything asked for exists.
func known(kind string, asked, exist []string) error {
	for _, name := range asked {
		switch {
		case slices.Contains(exist, name):
		case len(exist) == 0:
			return fmt.Errorf("select %s %q: the lock has none", kind, name)
		default:
			return fmt.Errorf("select %s %q: the lock has %s", kind, name, strings.Join(exist, ", "))
		}
	}
	return nil
}

func set(items []string) map[string]bool {
	out := map[string]bool{}
	for _, i := range items {
		out[i] = true
	}
	return out
}

// only gives a new list of the items that keep wants, nil when there is none.
func only[T any](items []T, keep func(T) bool) []T {
	var out []T
	for _, i := range items {
		if keep(i) {
			out = append(out, i)
		}
	}
	return out
}
