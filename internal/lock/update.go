package lock

import (
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// A selection is what --update names, and the part of the request that is resolved for it.
type selection struct {
	req                           *lockfile.Request
	sources, paths, charts, whole map[string]bool     // whole: sets by into
	packages                      map[string]bool     // by name
	intos                         map[string]bool     // sets that are resolved: whole ones and those of the packages
	prefer                        map[string][]string // packages to keep, by repository path
}

// selectNamed finds what the names mean in the request and in the old lock. A name may
// mean things of several kinds.
func selectNamed(req *lockfile.Request, old *lockfile.Lock, names []string) (*selection, error) {
	if old == nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("update %s: there is no lock yet: lock everything first", strings.Join(names, ", ")))
	}
	if !sameSet(req.Arches, old.Arches) {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("update: the request is for %s, the lock for %s: lock everything anew", strings.Join(req.Arches, ", "), strings.Join(old.Arches, ", ")))
	}
	s := &selection{sources: map[string]bool{}, paths: map[string]bool{}, charts: map[string]bool{}, whole: map[string]bool{}, packages: map[string]bool{}, intos: map[string]bool{}, prefer: map[string][]string{}}
	files, err := expandFiles(req)
	if err != nil {
		return nil, err
	}
	var unknown []string
	for _, name := range names {
		if !s.find(req, files, old, name) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("update: neither request nor lock has an image by source, packages by into or name, a file by path, or a chart by name called %s", strings.Join(unknown, ", ")))
	}
	s.cut(req, files)
	for _, p := range old.RPMs {
		if s.intos[intoOf(p)] && !s.renewed(p) {
			s.prefer[p.Repo] = append(s.prefer[p.Repo], p.NEVRA())
		}
	}
	return s, nil
}

// renewed says whether a package of the old lock is named.
func (s *selection) renewed(p lockfile.RPM) bool { return s.whole[intoOf(p)] || s.packages[p.Name] }

// intoOf is the into of the set that an RPM belongs to.
func intoOf(p lockfile.RPM) string { return strings.TrimSuffix(p.Repo, "/"+p.BaseArch) }

// find notes everything that one name means.
func (s *selection) find(req *lockfile.Request, files []lockfile.FileWish, old *lockfile.Lock, name string) bool {
	for _, part := range []struct {
		in      map[string]bool
		request bool
		lock    bool
	}{
		{s.sources, has(req.Images, func(w lockfile.ImageWish) bool { return w.Source == name }), has(old.Images, func(i lockfile.Image) bool { return i.Source == name })},
		{s.charts, has(req.Charts, func(w lockfile.ChartWish) bool { return w.Name == name }), has(old.Charts, func(c lockfile.Chart) bool { return c.Name == name })},
		{s.whole, has(req.Packages, func(p lockfile.PackageSet) bool { return p.Into == name }), has(old.RPMs, func(p lockfile.RPM) bool { return intoOf(p) == name })},
		{s.paths, has(files, func(w lockfile.FileWish) bool { return w.Path == name }), has(old.Files, func(f lockfile.File) bool { return f.Path == name })},
	} {
		if part.request || part.lock {
			part.in[name] = true
		}
	}
	found := s.sources[name] || s.charts[name] || s.whole[name] || s.paths[name]
	if s.whole[name] {
		s.intos[name] = true
	}
	for _, w := range req.Files { // a path with placeholders means all its files
		if w.Path == name {
			expanded, _ := w.Expand(req.Arches) // was expanded before
			for _, one := range expanded {
				s.paths[one.Path], found = true, true
			}
		}
	}
	return s.findPackage(req, old, name) || found
}

// findPackage finds the sets that list or carry a package.
func (s *selection) findPackage(req *lockfile.Request, old *lockfile.Lock, name string) bool {
	found := false
	for _, set := range req.Packages {
		carries := has(old.RPMs, func(p lockfile.RPM) bool { return p.Name == name && intoOf(p) == set.Into })
		if carries || slices.Contains(set.Install, name) {
			s.packages[name], s.intos[set.Into], found = true, true, true
		}
	}
	return found
}

func has[T any](list []T, is func(T) bool) bool { return slices.ContainsFunc(list, is) }

// cut makes the part of the request that is resolved.
func (s *selection) cut(req *lockfile.Request, files []lockfile.FileWish) {
	part := *req
	part.Images = only(req.Images, func(w lockfile.ImageWish) bool { return s.sources[w.Source] })
	part.Packages = only(req.Packages, func(p lockfile.PackageSet) bool { return s.intos[p.Into] })
	part.Files = only(files, func(w lockfile.FileWish) bool { return s.paths[w.Path] })
	part.Charts = only(req.Charts, func(w lockfile.ChartWish) bool { return s.charts[w.Name] })
	s.req = &part
}

// only gives a new list of the items that keep wants.
func only[T any](items []T, keep func(T) bool) []T {
	return slices.DeleteFunc(slices.Clone(items), func(i T) bool { return !keep(i) })
}

func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// splice puts what was resolved into the old lock. What was not named stays byte for byte.
func (r *resolver) splice(part *lockfile.Lock) *lockfile.Lock {
	s, old, out := r.named, r.o.Old, *r.o.Old
	out.Images = append(only(old.Images, func(i lockfile.Image) bool { return !s.sources[i.Source] }), part.Images...)
	out.Files = append(only(old.Files, func(f lockfile.File) bool { return !s.paths[f.Path] }), part.Files...)
	out.Charts = append(only(old.Charts, func(c lockfile.Chart) bool { return !s.charts[c.Name] }), part.Charts...)
	out.RPMs = append(only(old.RPMs, func(p lockfile.RPM) bool { return !s.intos[intoOf(p)] }), r.kept(part.RPMs)...)
	out.Keys = usedKeys(out.RPMs, old.Keys, part.Keys)
	resolved := map[string]bool{}
	for _, p := range slices.Concat(old.RPMs, part.RPMs) {
		if s.intos[intoOf(p)] {
			resolved[p.Repo] = true
		}
	}
	out.Metadata = append(only(old.Metadata, func(m lockfile.Metadata) bool { return !resolved[m.Repo] }), part.Metadata...)
	out.Absent = only(old.Absent, func(a lockfile.Absent) bool { return !s.about(a) })
	for _, a := range part.Absent {
		if s.about(a) {
			out.Absent = append(out.Absent, a)
		}
	}
	out.Accept = slices.Clone(old.Accept)
	for _, a := range part.Accept {
		concerns := has(part.RPMs, func(p lockfile.RPM) bool { return a.Artifact == p.Name || a.Artifact == p.Path() })
		if concerns && !has(out.Accept, func(have lockfile.Accept) bool { return have.Finding == a.Finding && have.Artifact == a.Artifact }) {
			out.Accept = append(out.Accept, a)
		}
	}
	return &out
}

// about says whether an absence is about something that was resolved.
func (s *selection) about(a lockfile.Absent) bool {
	if s.sources[a.Source] || s.paths[a.Path] || a.Name != "" && s.charts[a.Name] {
		return true
	}
	return has(s.req.Packages, func(p lockfile.PackageSet) bool { return slices.Contains(p.Install, a.Name) })
}

// kept gives the entries of resolved sets: the old ones of packages that are not named and
// have not changed.
func (r *resolver) kept(fresh []lockfile.RPM) []lockfile.RPM {
	old := map[string]lockfile.RPM{}
	for _, p := range r.o.Old.RPMs {
		old[p.Path()] = p
	}
	out := slices.Clone(fresh)
	for i, p := range out {
		have, ok := old[p.Path()]
		if !ok || r.named.renewed(p) {
			continue
		}
		if have.Digest != p.Digest {
			r.note("upstream changed %s: the lock has %s, %s is now %s; kept: --update %s takes the new one", p.Path(), have.Digest, p.URLs[0], p.Digest, p.Name)
		}
		out[i] = have
	}
	return out
}

// usedKeys gives the keys that packages name, as the first of the rings has them.
func usedKeys(rpms []lockfile.RPM, rings ...[]lockfile.Key) []lockfile.Key {
	used := map[string]bool{}
	for _, p := range rpms {
		used[p.Signer] = true
	}
	var out []lockfile.Key
	for _, k := range slices.Concat(rings...) {
		if used[k.ID] {
			out = append(out, k)
			delete(used, k.ID)
		}
	}
	return out
}
