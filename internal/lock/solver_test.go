package lock_test

import (
	"context"
	"slices"
	"sort"
	"strings"
	"sync"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/depsolve"
)

// A solver takes the newest of each name, or what is preferred, and what it requires by
// name. It keeps what it was asked.
type solver struct {
	mu    sync.Mutex
	asked []depsolve.Request

	streams []string // that packages come from
}

func (s *solver) solve(ctx context.Context, q depsolve.Request) (*depsolve.Solution, error) {
	s.mu.Lock()
	s.asked = append(s.asked, q)
	s.mu.Unlock()
	all := map[string]*depsolve.Picked{}
	for todo := slices.Clone(q.Install); len(todo) > 0; todo = todo[1:] {
		name := todo[0]
		if strings.HasPrefix(name, "/") {
			var err error
			if name, err = owner(ctx, q, name); err != nil {
				return nil, err
			}
		}
		if strings.HasPrefix(name, "rpmlib(") || all[name] != nil {
			continue
		}
		best := newest(q, name)
		if best == nil {
			return nil, &depsolve.UnsolvableError{Problems: []string{"nothing provides " + name + "\nfor you", "and more"}}
		}
		all[name] = best
		at := best.Places[0]
		c := q.Repos[at.Repo].Catalog
		for _, d := range c.List(c.Packages[at.Package].Requires) {
			todo = append(todo, c.Text(c.Deps[d].Name))
		}
	}
	out := &depsolve.Solution{Streams: s.streams}
	for _, p := range all {
		out.Packages = append(out.Packages, *p)
	}
	sort.Slice(out.Packages, func(i, j int) bool { return out.Packages[i].NEVRA < out.Packages[j].NEVRA })
	return out, nil
}

func owner(ctx context.Context, q depsolve.Request, path string) (string, error) {
	for _, r := range q.Repos {
		found, err := r.Owners(ctx, []string{path})
		if err != nil {
			return "", err
		}
		for _, i := range found[path] {
			return r.Catalog.Text(r.Catalog.Packages[i].Name), nil
		}
	}
	return path, nil
}

func newest(q depsolve.Request, name string) *depsolve.Picked {
	var best *depsolve.Picked
	var bestEVR string
	var first *catalog.Package
	for i, r := range q.Repos {
		c := r.Catalog
		for n := range c.Packages {
			p := &c.Packages[n]
			if c.Text(p.Name) != name || c.Text(p.Arch) != "noarch" && c.Text(p.Arch) != q.Arch {
				continue
			}
			nevra, evr := c.NEVRA(p), c.Text(p.EVR)
			order := 1
			if best != nil {
				order = rpm.CompareEVR(evr, bestEVR)
				if slices.Contains(q.Prefer, best.NEVRA) {
					order = -1
				} else if slices.Contains(q.Prefer, nevra) {
					order = 1
				}
			}
			switch {
			case best != nil && nevra == best.NEVRA && p.Checksum == first.Checksum:
				best.Places = append(best.Places, depsolve.Place{Repo: i, Package: n})
			case order > 0:
				best, bestEVR, first = &depsolve.Picked{NEVRA: nevra, Places: []depsolve.Place{{Repo: i, Package: n}}}, evr, p
			}
		}
	}
	return best
}
