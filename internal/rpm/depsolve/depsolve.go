// Package depsolve closes a list of wanted packages over their dependencies, and chooses
// as dnf 4 does where there is a choice: what it returns for an empty host is what
// `dnf install` would install there.
//
// It reads no file and opens no socket: it is a function of the catalogs it is given.
package depsolve

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// A Repo is one repository to choose from.
type Repo struct {
	ID       string
	Priority int // the lower one wins; 0 means 99
	Catalog  *catalog.Catalog
	Modules  *catalog.Modules // nil: the repository has no modules
	Comps    *catalog.Comps   // nil: it has no groups
	Exclude  []string         // packages of this repository that do not exist for us, as Request.Exclude

	// Owners finds the packages that own paths in the repository's whole list of files:
	// indices into Catalog.Packages by path. It is asked at most once, for paths that
	// the catalog cannot know. nil: the catalog lists all there are.
	Owners func(ctx context.Context, paths []string) (map[string][]int, error)
}

// A Request is what is wanted for the hosts of one arch.
type Request struct {
	Arch    string // x86_64 or aarch64
	Repos   []Repo
	Install []string // name, name.arch, NEVRA and its parts, glob, file, capability, @group
	Exclude []string // name, name.arch, NEVRA and its parts, glob
	Present []string // what the hosts have already, as Install; with all that it needs
	Modules []string // module streams to enable, name:stream
	Weak    bool     // Recommends and Supplements too
	NotBest bool     // what Install names may come in an older version than the newest
	Prefer  []string // NEVRAs to choose wherever there is a choice: those of an older lock
}

// A Solution is the answer to a request.
type Solution struct {
	Packages []Picked // by NEVRA, bytewise
	Streams  []string // the module streams that packages come from, name:stream, sorted
	Notes    []string // what of the request means nothing in these repositories
}

// A Picked package is carried.
type Picked struct {
	NEVRA  string
	Places []Place // never empty: the chosen one first, then the same package (NEVRA and checksum) elsewhere
}

// A Place is a package of a repository of the request.
type Place struct{ Repo, Package int }

// Solve resolves the whole request at once. A request that has no solution is an
// *UnsolvableError, which tells all that stands against it.
func Solve(ctx context.Context, req Request) (*Solution, error) {
	pl := newPool(req.Repos, req.Arch)
	pl.exclude(req)
	if err := pl.modules(ctx, pl.enabled(req)); err != nil {
		return nil, err
	}
	pl.markMulti()
	pl.prefer(req.Prefer)
	pl.addPaths()
	if _, err := pl.askOwners(ctx, slices.Concat(req.Install, req.Present), nil); err != nil {
		return nil, err
	}
	if err := pl.present(ctx, req); err != nil {
		return nil, err
	}
	jobs, problems := pl.wanted(req.Install, !req.NotBest)
	s, err := pl.solve(ctx, jobs, req.Install, !req.NotBest, req.Weak)
	if err != nil {
		return nil, err
	}
	// What has no match does not hide what cannot be installed: one run tells all.
	if problems = append(problems, s.explain()...); len(problems) > 0 {
		return nil, &UnsolvableError{problems}
	}
	return pl.solution(s), nil
}

// solve runs a solver, for a second time where it turns out that paths matter which the
// catalogs cannot know.
func (pl *pool) solve(ctx context.Context, jobs []job, specs []string, best, weak bool) (*solver, error) {
	s := newSolver(pl, jobs, weak)
	asked, err := pl.askOwners(ctx, nil, s.visited)
	if err != nil {
		return nil, err
	}
	if asked {
		jobs, _ = pl.wanted(specs, best) // what has no match was told before
		s = newSolver(pl, jobs, weak)
	}
	return s, s.run(ctx, weak)
}

// enabled lists the streams that the request enables, by name or by what it installs.
func (pl *pool) enabled(req Request) []string {
	out := slices.Clone(req.Modules)
	for _, spec := range slices.Concat(req.Install, req.Present) {
		if m, ok := pl.moduleSpec(spec); ok && m.stream != "" {
			out = append(out, m.name+":"+m.stream)
		}
	}
	return out
}

// exclude disables what the request excludes, everywhere or in one repository.
func (pl *pool) exclude(req Request) {
	for _, spec := range req.Exclude {
		found := pl.find(spec, false).list
		if len(found) == 0 {
			pl.note("exclude %s: no repository has such a package", spec)
		}
		for _, p := range found {
			pl.pkgs[p].disabled = true
		}
	}
	for r, repo := range req.Repos {
		for _, spec := range repo.Exclude {
			for _, p := range pl.find(spec, false).list {
				if pl.pkgs[p].repo == int32(r) {
					pl.pkgs[p].disabled = true
				}
			}
		}
	}
}

func (pl *pool) note(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(pl.notes, text) {
		pl.notes = append(pl.notes, text)
	}
}

// markMulti marks packages of which hosts keep several versions (dnf.conf, installonlypkgs).
func (pl *pool) markMulti() {
	for _, name := range []string{
		"kernel", "kernel-PAE", "installonlypkg(kernel)", "installonlypkg(kernel-module)", "installonlypkg(vm)", "multiversion(kernel)",
	} {
		if id, ok := pl.ids[name]; ok {
			for _, p := range pl.named(id) {
				pl.pkgs[p].multi = true
			}
		}
	}
}

func (pl *pool) prefer(nevras []string) {
	wanted := map[string]bool{}
	for _, n := range nevras {
		wanted[n] = true
	}
	for p := host + 1; len(wanted) > 0 && int(p) < len(pl.pkgs); p++ {
		pl.pkgs[p].prefer = wanted[pl.nevra(p)]
	}
}

// wanted turns specs into jobs: packages first, then groups, as dnf does.
func (pl *pool) wanted(specs []string, best bool) (jobs []job, problems []string) {
	var groups []string
	for _, spec := range specs {
		if strings.HasPrefix(spec, "@") {
			groups = append(groups, spec)
			continue
		}
		sel := pl.find(spec, true)
		if len(sel.list) == 0 {
			problems = append(problems, pl.noMatch(spec))
			continue
		}
		jobs = append(jobs, pl.jobs(spec, sel, best)...)
	}
	for _, spec := range groups {
		more, err := pl.groupJobs(spec, best)
		if err != nil {
			problems = append(problems, err.Error())
		}
		jobs = append(jobs, more...)
	}
	return jobs, problems
}

// noMatch says why a spec finds nothing.
func (pl *pool) noMatch(spec string) string {
	disabled := make([]bool, len(pl.pkgs))
	for p := range pl.pkgs {
		disabled[p], pl.pkgs[p].disabled = pl.pkgs[p].disabled, false
	}
	hidden := pl.find(spec, true).list
	for p := range pl.pkgs {
		pl.pkgs[p].disabled = disabled[p]
	}
	if len(hidden) > 0 {
		return fmt.Sprintf("%s: the repositories have %s, but it is excluded or of a module stream that is not enabled", spec, pl.nevra(hidden[len(hidden)-1]))
	}
	if p := pl.ofOtherArch(spec); p > host {
		return fmt.Sprintf("%s: the repositories have %s only, of an arch that %s hosts cannot use", spec, pl.nevra(p), pl.arch)
	}
	return fmt.Sprintf("%s: no repository has such a package, capability or file", spec)
}

// ofOtherArch finds a package of that name for other hosts.
func (pl *pool) ofOtherArch(spec string) solvable {
	name, known := pl.ids[spec]
	return solvable(slices.IndexFunc(pl.pkgs, func(k pkg) bool { return known && k.name == name && !k.usable() && k.arch != 0 }))
}

// present marks what the hosts have: what the specs name, with all that it needs. What no
// repository has is there in any version.
func (pl *pool) present(ctx context.Context, req Request) error {
	var known []string
	for _, spec := range req.Present {
		if jobs, problems := pl.wanted([]string{spec}, true); len(problems) == 0 && len(jobs) > 0 {
			known = append(known, spec)
			continue
		}
		pl.note("present %s: no repository has it; taken to be on the hosts, in any version", spec)
		pl.files[pl.text(spec)] = []solvable{host}
		clear(pl.providers)
	}
	if len(known) == 0 {
		return nil
	}
	jobs, _ := pl.wanted(known, true)
	s, err := pl.solve(ctx, jobs, known, true, false)
	if err != nil {
		return err
	}
	have := s.installed()
	if len(s.problems) > 0 { // the hosts' own repositories are not among ours: what they need is theirs
		for _, j := range jobs {
			if len(j.candidates) > 0 {
				have = appendNew(have, s.filter(j.candidates, modeBest)[0])
			}
		}
	}
	for _, p := range have {
		pl.pkgs[p].installed = true
	}
	return nil
}

// solution lists the packages that are to be carried.
func (pl *pool) solution(s *solver) *Solution {
	out := &Solution{Notes: pl.notes}
	streams := map[string]string{}
	for _, m := range pl.active {
		for _, a := range m.Artifacts {
			streams[artifactNEVRA(a)] = m.Name + ":" + m.Stream
		}
	}
	for _, p := range s.installed() {
		if pl.pkgs[p].installed {
			continue
		}
		picked := Picked{NEVRA: pl.nevra(p), Places: []Place{pl.place(p)}}
		_, chosen := pl.listed(p)
		pl.samePackages(pl.pkgs[p].name, func(q solvable) {
			k, o := &pl.pkgs[p], &pl.pkgs[q]
			if _, other := pl.listed(q); q != p && o.evr == k.evr && o.arch == k.arch && other.Checksum == chosen.Checksum {
				picked.Places = append(picked.Places, pl.place(q))
			}
		})
		out.Packages = append(out.Packages, picked)
		if stream := streams[picked.NEVRA]; stream != "" && !slices.Contains(out.Streams, stream) {
			out.Streams = append(out.Streams, stream)
		}
	}
	slices.SortFunc(out.Packages, func(a, b Picked) int { return strings.Compare(a.NEVRA, b.NEVRA) })
	slices.Sort(out.Streams)
	return out
}

func (pl *pool) place(p solvable) Place {
	return Place{int(pl.pkgs[p].repo), int(pl.pkgs[p].index)}
}
