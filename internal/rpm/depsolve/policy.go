package depsolve

import (
	"cmp"
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// A mode says how far a list of packages that would all do is cut down (libsolv, policy.c,
// policy_filter_unwanted).
type mode uint8

const (
	modeChoose mode = iota // to the best ones, the best one first
	modeNarrow             // the same, in no order
	modeBest               // without a look at what is recommended
)

// filter leaves of a list those packages that are no worse than another: of the repository
// that comes first, of the best arch, of the newest version, not obsoleted by another,
// recommended.
func (s *solver) filter(list []solvable, m mode) []solvable {
	pl := s.pl
	if wanted := slices.DeleteFunc(slices.Clone(list), func(p solvable) bool { return !pl.pkgs[p].prefer }); len(wanted) > 0 {
		list = wanted
	}
	list = pl.newest(pl.bestArch(pl.firstRepo(list)))
	if m == modeBest || len(list) < 2 {
		return list
	}
	list = s.recommended(list)
	if m == modeNarrow || len(list) < 2 {
		return list
	}
	list = pl.oldToBack(list)
	pl.sortByCommonProvides(list)
	list = front(list, func(p solvable) bool { return pl.onHosts(pl.pkgs[p].name) })
	pl.localesToBack(list, s.decision)
	return front(list, s.isSuggested)
}

// front brings some packages to the front; both parts keep their order.
func front(list []solvable, is func(solvable) bool) []solvable {
	var first, last []solvable
	for _, p := range list {
		if is(p) {
			first = append(first, p)
		} else {
			last = append(last, p)
		}
	}
	return append(first, last...)
}

func (pl *pool) onHosts(name text) bool {
	found := false
	pl.samePackages(name, func(p solvable) { found = found || pl.pkgs[p].installed })
	return found
}

// firstRepo keeps the packages of the repositories that come first.
func (pl *pool) firstRepo(list []solvable) []solvable {
	best, set := int32(0), false
	for _, p := range list {
		if k := &pl.pkgs[p]; !k.installed && (!set || k.prio > best) {
			best, set = k.prio, true
		}
	}
	return slices.DeleteFunc(slices.Clone(list), func(p solvable) bool {
		k := &pl.pkgs[p]
		return set && !k.installed && k.prio != best
	})
}

// bestArch keeps the packages of the best class of arch, and those of no arch.
func (pl *pool) bestArch(list []solvable) []solvable {
	best := uint32(0)
	for _, p := range list {
		if score := pl.pkgs[p].score; score != noarch && (best == 0 || score < best) {
			best = score
		}
	}
	if best == 0 || len(list) < 2 {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(p solvable) bool {
		score := pl.pkgs[p].score
		return score != noarch && !sameClass(score, best)
	})
}

// newest keeps the newest package of each name, by name, and of these those that no other
// obsoletes.
func (pl *pool) newest(list []solvable) []solvable {
	if len(list) < 2 {
		return list
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b solvable) int {
		x, y := &pl.pkgs[a], &pl.pkgs[b]
		if x.name != y.name {
			return strings.Compare(pl.texts[x.name], pl.texts[y.name])
		}
		if x.score != y.score && x.score != noarch && y.score != noarch {
			return cmp.Compare(x.score, y.score)
		}
		if x.installed != y.installed {
			if x.installed {
				return -1
			}
			return 1
		}
		return cmp.Compare(a, b)
	})
	out := list[:0]
	for _, p := range list {
		switch n := len(out) - 1; {
		case n < 0 || pl.pkgs[out[n]].name != pl.pkgs[p].name:
			out = append(out, p)
		case pl.newer(out[n], p) < 0:
			out[n] = p
		}
	}
	return pl.notObsoleted(out)
}

// notObsoleted drops packages that others of the list obsolete, unless in a circle.
func (pl *pool) notObsoleted(list []solvable) []solvable {
	if len(list) < 2 {
		return list
	}
	at := make(map[solvable]int, len(list))
	for i, p := range list {
		at[p] = i
	}
	next := make([][]int, len(list))
	some := false
	for i, p := range list {
		pl.obsoleted(p, func(q solvable, _ dep) {
			if j, ok := at[q]; ok && pl.pkgs[q].name != pl.pkgs[p].name {
				next[i] = append(next[i], j)
				some = true
			}
		})
	}
	if !some {
		return list
	}
	reach := make([]map[int]bool, len(list))
	for i := range list {
		reach[i] = map[int]bool{}
		for todo := slices.Clone(next[i]); len(todo) > 0; todo = todo[1:] {
			if j := todo[0]; !reach[i][j] {
				reach[i][j] = true
				todo = append(todo, next[j]...)
			}
		}
	}
	var out []solvable
	for j, p := range list {
		gone := false
		for i := range list {
			gone = gone || i != j && reach[i][j] && !reach[j][i]
		}
		if !gone {
			out = append(out, p)
		}
	}
	return out
}

// oldToBack brings packages to the back of which another repository has a newer version, or
// one that comes first.
func (pl *pool) oldToBack(list []solvable) []solvable {
	return front(list, func(p solvable) bool {
		k := &pl.pkgs[p]
		if k.installed {
			return true
		}
		old := false
		pl.samePackages(k.name, func(q solvable) {
			o := &pl.pkgs[q]
			if q == p || o.arch != k.arch {
				return
			}
			old = old || o.prio > k.prio || o.prio == k.prio && pl.newer(q, p) > 0
		})
		return !old
	})
}

// sortByCommonProvides brings packages to the back that provide something in an older
// version than another of the list does.
func (pl *pool) sortByCommonProvides(list []solvable) {
	type entry struct {
		at   int
		name text
		evr  string
		less bool // provided in versions below evr
	}
	var entries []entry
	for i, p := range list {
		for _, e := range pl.versioned(p) {
			entries = append(entries, entry{i, e.name, pl.texts[e.evr], e.flags == catalog.Less})
		}
	}
	compare := func(a, b entry) int {
		if c := cmp.Compare(a.name, b.name); c != 0 || a.evr == b.evr && a.less == b.less {
			return c
		}
		c := compareRange(b.evr, a.evr)
		if c == 0 && a.less != b.less {
			if b.less {
				return -1
			}
			return 1
		}
		return c
	}
	slices.SortStableFunc(entries, compare)
	badness := make(map[solvable]int, len(list))
	bad := 0
	for i, e := range entries {
		if i == 0 || entries[i-1].name != e.name {
			bad = 0
		} else if entries[i-1].at != e.at && compare(entries[i-1], e) == -1 {
			bad++
		}
		badness[list[e.at]] += bad
	}
	for _, p := range list {
		if pl.pkgs[p].installed {
			badness[p] = 0
		}
	}
	slices.SortStableFunc(list, func(a, b solvable) int { return badness[a] - badness[b] })
}

// versioned lists what a package provides in an exact version or below one. Versions that
// are hashes have no order.
func (pl *pool) versioned(p solvable) []dependency {
	k := &pl.pkgs[p]
	out := []dependency{{name: k.name, evr: k.evr, flags: catalog.Equal}}
	c, l := pl.listed(p)
	texts := pl.maps[k.repo].texts
	for _, id := range c.List(l.Provides) {
		d := c.Deps[id]
		switch d.Flags {
		case catalog.Equal, catalog.Less, catalog.Less | catalog.Equal:
			out = append(out, dependency{name: texts[d.Name], evr: texts[d.EVR], flags: d.Flags})
		}
	}
	return slices.DeleteFunc(out, func(d dependency) bool {
		evr := pl.texts[d.evr]
		return d.flags == catalog.Equal && len(evr) >= 4 && strings.Trim(evr, "0123456789abcdef") == ""
	})
}

// localesToBack brings packages to the back that need a language pack nobody has, and
// those whose language pack is there to the front.
func (pl *pool) localesToBack(list []solvable, decision []int32) {
	score := make(map[solvable]int, len(list))
	for _, p := range list {
		score[p] = pl.localeScore(p, decision)
	}
	slices.SortStableFunc(list, func(a, b solvable) int { return score[b] - score[a] })
}

func (pl *pool) localeScore(p solvable, decision []int32) int {
	const wanted, english, plain, needless = 4, 2, 1, 0
	score := plain
	for _, d := range pl.list(p, requires) {
		name := pl.firstName(d)
		_, language, found := strings.Cut(pl.texts[pl.deps[name].name], "locales-")
		if !found {
			continue
		}
		if strings.HasPrefix(language, "en") {
			score = english
			continue
		}
		for _, q := range pl.named(pl.deps[name].name) {
			if decision[q] > 0 {
				return wanted
			}
		}
		return needless
	}
	return score
}

// firstName returns the first plain dependency of a condition.
func (pl *pool) firstName(d dep) dep {
	r := pl.deps[d].rich
	if r == nil {
		return d
	}
	for r.op != opLeaf {
		r = r.a
	}
	return r.dep
}
