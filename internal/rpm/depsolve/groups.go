package depsolve

import (
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// groupJobs asks for the packages of a group, or of an environment's groups, as dnf
// installs them: mandatory and default ones, and conditional ones together with the
// package that they are for. Packages that no repository has are passed over.
func (pl *pool) groupJobs(spec string, best bool) ([]job, error) {
	if m, ok := pl.moduleSpec(spec); ok {
		return pl.moduleJobs(spec, m, best)
	}
	id := strings.TrimPrefix(strings.TrimPrefix(spec, "@"), "^")
	groups := pl.groups(id)
	if len(groups) == 0 {
		return nil, fmt.Errorf("no repository has a group %s", id)
	}
	var out []job
	for _, g := range groups {
		for _, p := range g.Packages {
			if p.Type == catalog.Optional || len(p.Arches) > 0 && !slices.Contains(p.Arches, pl.arch) {
				continue
			}
			list := pl.byNEVRA(wantedNEVRA{name: p.Name, epoch: -1})
			if len(list) == 0 {
				pl.note("%s: no repository has its package %s", spec, p.Name)
				continue
			}
			name := p.Name + " of " + spec
			j := job{spec: name, candidates: merged(list, pl.obsoleters(list)), best: best}
			if p.Type == catalog.Conditional && p.Requires != "" {
				j = job{spec: name, condition: pl.parseRich("(" + p.Name + " if " + p.Requires + ")"), best: best}
			}
			out = append(out, j)
		}
	}
	return out, nil
}

// A moduleSpec is a spec of a module's packages, @name[:stream][/profile].
type moduleSpec struct{ name, stream, profile string }

// moduleSpec reads a spec. It is false when no repository has a module of that name: then
// the spec is that of a group.
func (pl *pool) moduleSpec(spec string) (moduleSpec, bool) {
	rest, found := strings.CutPrefix(spec, "@")
	if !found {
		return moduleSpec{}, false
	}
	var m moduleSpec
	rest, m.profile, _ = strings.Cut(rest, "/")
	m.name, m.stream, _ = strings.Cut(rest, ":")
	return m, slices.ContainsFunc(pl.allModules(), func(o *catalog.Module) bool { return o.Name == m.name })
}

// moduleJobs asks for the packages of a profile of an active stream; when none is named,
// of the stream's default profiles.
func (pl *pool) moduleJobs(spec string, m moduleSpec, best bool) ([]job, error) {
	var out []job
	for _, a := range pl.active {
		if a.Name != m.name || m.stream != "" && a.Stream != m.stream {
			continue
		}
		profiles := pl.defaultProfiles(a.Name, a.Stream)
		if m.profile != "" {
			profiles = []string{m.profile}
		}
		for _, profile := range profiles {
			for _, name := range a.Profiles[profile] {
				if list := pl.byNEVRA(wantedNEVRA{name: name, epoch: -1}); len(list) > 0 {
					out = append(out, job{spec: spec, candidates: list, best: best})
				}
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s: no active stream of module %s has such a profile, or a default one: write @%s:STREAM/PROFILE", spec, m.name, m.name)
	}
	return out, nil
}

func (pl *pool) defaultProfiles(name, stream string) []string {
	for _, r := range pl.repos {
		if r.Modules == nil {
			continue
		}
		for _, d := range r.Modules.Defaults {
			if d.Module == name && len(d.Profiles[stream]) > 0 {
				return d.Profiles[stream]
			}
		}
	}
	return nil
}

// groups finds a group by its ID or name; of an environment, its mandatory groups.
func (pl *pool) groups(id string) []*catalog.Group {
	var out []*catalog.Group
	for _, r := range pl.repos {
		if r.Comps == nil {
			continue
		}
		for i := range r.Comps.Groups {
			if g := &r.Comps.Groups[i]; g.ID == id || g.Name == id {
				out = append(out, g)
			}
		}
	}
	if len(out) > 0 {
		return out
	}
	for _, r := range pl.repos {
		if r.Comps == nil {
			continue
		}
		for _, e := range r.Comps.Environments {
			if e.ID == id || e.Name == id {
				for _, g := range e.Groups {
					out = append(out, pl.groups(g)...)
				}
			}
		}
	}
	return out
}
