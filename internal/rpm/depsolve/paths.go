package depsolve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// addPaths makes the owners of paths that somebody depends on their providers, as far as
// the catalogs know them.
func (pl *pool) addPaths() {
	wanted := pl.paths()
	if len(wanted) == 0 {
		return
	}
	owners := map[string][]solvable{}
	for r := range pl.repos {
		pl.listedOwners(r, wanted, owners)
	}
	pl.setOwners(owners)
}

// paths collects the paths in the dependencies of all packages.
func (pl *pool) paths() map[string]bool {
	wanted := map[string]bool{}
	for _, r := range pl.repos {
		for _, d := range r.Catalog.Deps {
			for _, path := range paths(r.Catalog.Text(d.Name)) {
				wanted[path] = true
			}
		}
	}
	return wanted
}

// paths returns the paths that the name of a dependency is, or names in a condition.
func paths(name string) []string {
	switch {
	case strings.HasPrefix(name, "/"):
		return []string{name}
	case !strings.HasPrefix(name, "(") || !strings.Contains(name, "/"):
		return nil
	}
	var out []string
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '(' || r == ')' }) {
		if strings.HasPrefix(word, "/") {
			out = append(out, word)
		}
	}
	return out
}

// listedOwners adds the owners that a repository's catalog lists.
func (pl *pool) listedOwners(r int, wanted map[string]bool, owners map[string][]solvable) {
	c := pl.repos[r].Catalog
	dirs := map[string]bool{}
	for path := range wanted {
		dirs[path[:strings.LastIndexByte(path, '/')+1]] = true
	}
	isDir := make([]bool, c.Texts())
	for i := range isDir {
		isDir[i] = dirs[c.Text(catalog.ID(i))]
	}
	for i := range c.Packages {
		p := pl.maps[r].first + solvable(i)
		if !pl.pkgs[p].usable() {
			continue
		}
		for _, f := range c.Files[c.Packages[i].Files.Start:c.Packages[i].Files.End] {
			if !isDir[f.Dir] {
				continue
			}
			if path := c.Path(f); wanted[path] {
				owners[path] = append(owners[path], p)
			}
		}
	}
}

// askOwners asks the repositories, once, for the owners of paths that their catalogs cannot
// know, if one of the specs is such a path, or the packages that a request can reach
// depend on one. It is true when it asked.
func (pl *pool) askOwners(ctx context.Context, specs []string, reached []bool) (bool, error) {
	if pl.asked || !slices.ContainsFunc(pl.repos, func(r Repo) bool { return r.Owners != nil }) {
		return false, nil
	}
	if !slices.ContainsFunc(specs, isUnlistedPath) && !pl.needsOwners(reached) {
		return false, nil
	}
	pl.asked = true
	wanted := pl.paths()
	for _, spec := range specs {
		if isUnlistedPath(spec) {
			wanted[spec] = true
		}
	}
	unknown := slices.Sorted(maps.Keys(wanted))
	unknown = slices.DeleteFunc(unknown, func(path string) bool { return !unlisted(path) })
	owners := map[string][]solvable{}
	for r, repo := range pl.repos {
		if repo.Owners == nil {
			continue
		}
		found, err := repo.Owners(ctx, unknown)
		if err != nil {
			return false, fmt.Errorf("files of repository %s: %w", repo.ID, err)
		}
		for path, list := range found {
			for _, i := range list {
				if p := pl.maps[r].first + solvable(i); i >= 0 && i < len(repo.Catalog.Packages) && pl.pkgs[p].usable() {
					owners[path] = append(owners[path], p)
				}
			}
		}
	}
	pl.setOwners(owners)
	return true, nil
}

func (pl *pool) needsOwners(reached []bool) bool {
	for p, is := range reached {
		if !is {
			continue
		}
		c, l := pl.listed(solvable(p))
		for _, span := range []spanOf{requires, conflicts, recommends, supplements} {
			for _, d := range c.List(span(l)) {
				if slices.ContainsFunc(paths(c.Text(c.Deps[d].Name)), unlisted) {
					return true
				}
			}
		}
	}
	return false
}

// setOwners adds owners of paths to those who provide them by name.
func (pl *pool) setOwners(owners map[string][]solvable) {
	for path, list := range owners {
		id := pl.text(path)
		pl.files[id] = merged(pl.named(id), list)
	}
	clear(pl.providers)
}

// unlisted tells paths that primary.xml does not list: the others are those below /etc, of
// programs, and /usr/lib/sendmail (createrepo_c, misc.c, cr_is_primary).
func unlisted(path string) bool {
	return !strings.HasPrefix(path, "/etc/") && !strings.Contains(path, "bin/") && path != "/usr/lib/sendmail"
}

func isUnlistedPath(spec string) bool {
	return strings.HasPrefix(spec, "/") && !isGlob(spec) && unlisted(spec)
}
