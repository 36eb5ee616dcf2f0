package depsolve

import (
	"fmt"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// groupJobs asks for the packages of a group, or of an environment's groups, as dnf
// installs them: mandatory and default ones, and conditional ones together with the
// package that they are for. Packages that no repository has are passed over.
func (pl *pool) groupJobs(spec string, best bool) ([]job, error) {
	id := strings.TrimPrefix(strings.TrimPrefix(spec, "@"), "^")
	groups := pl.groups(id)
	if len(groups) == 0 {
		return nil, fmt.Errorf("no repository has a group %s", id)
	}
	var out []job
	for _, g := range groups {
		for _, p := range g.Packages {
			if p.Type == catalog.Optional {
				continue
			}
			list := pl.byNEVRA(wantedNEVRA{name: p.Name, epoch: -1})
			if len(list) == 0 {
				continue
			}
			j := job{spec: spec, candidates: merged(list, pl.obsoleters(list)), best: best}
			if p.Type == catalog.Conditional && p.Requires != "" {
				j = job{spec: spec, condition: pl.parseRich("(" + p.Name + " if " + p.Requires + ")"), best: best}
			}
			out = append(out, j)
		}
	}
	return out, nil
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
