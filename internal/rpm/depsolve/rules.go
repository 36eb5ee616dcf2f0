package depsolve

import (
	"cmp"
	"slices"
)

// A rule is a disjunction of literals: one of them at least must hold.
type rule struct {
	lits     []int32
	why      reason
	watched  [2]int32 // literals whose falling makes us look again
	next     [2]int32 // the next rule that watches the same literal
	disabled bool
}

// A reason says where a rule comes from, for those who have to read why a request fails.
type reason struct {
	kind reasonKind
	from solvable // who asks, 0 for a job
	dep  dep      // what is asked
	job  int32    // index of the job, of ruleJob and ruleBest
}

type reasonKind uint8

const (
	ruleRequires reasonKind = iota
	ruleNothing             // provides what from requires
	ruleConflicts
	ruleObsoletes
	ruleSameName
	ruleDisabled
	ruleUpdate // the hosts keep it, or a newer one
	ruleJob
	ruleArch
	ruleBest
	ruleLearnt
)

// A builder makes the rules of all packages that a request can reach.
type builder struct {
	pl    *pool
	rules []rule
	added []bool // packages that have their rules
	soft  bool   // recommendations count, too
	queue []solvable
}

// add adds a package rule. One that always holds, or says the same as the one before, is
// left out.
func (b *builder) add(why reason, lits ...int32) {
	if len(lits) == 2 && lits[0] > lits[1] {
		lits[0], lits[1] = lits[1], lits[0]
	}
	if len(b.rules) > 1 && slices.Equal(b.rules[len(b.rules)-1].lits, lits) || slices.Contains(lits[1:], -lits[0]) {
		return
	}
	b.rules = append(b.rules, rule{lits: lits, why: why})
}

// visit adds the rules of a package and of all that it may bring along.
func (b *builder) visit(p solvable) {
	b.queue = append(b.queue[:0], p)
	for len(b.queue) > 0 {
		n := b.queue[0]
		b.queue = b.queue[1:]
		if b.added[n] {
			continue
		}
		b.added[n] = true
		b.rulesOf(n)
	}
}

func (b *builder) later(list []solvable) {
	for _, p := range list {
		if p != host && !b.added[p] {
			b.queue = append(b.queue, p)
		}
	}
}

func (b *builder) rulesOf(n solvable) {
	pl := b.pl
	if pl.pkgs[n].disabled {
		b.add(reason{kind: ruleDisabled, from: n}, -n)
	}
	for _, d := range pl.list(n, requires) {
		b.require(n, d)
	}
	for _, d := range pl.list(n, conflicts) {
		b.conflict(n, d)
	}
	b.replaces(n)
	b.lockstep(n)
	if !b.soft {
		return
	}
	for _, span := range []spanOf{recommends, suggests} {
		for _, d := range pl.list(n, span) {
			b.later(b.mayBring(d))
		}
	}
}

// mayBring lists the packages that a weak dependency can add.
func (b *builder) mayBring(d dep) []solvable {
	if r := b.pl.deps[d].rich; r != nil && r.complex() {
		return b.pl.positive(r)
	}
	return b.pl.provides(d)
}

// positive lists the packages that a condition may ask for.
func (pl *pool) positive(r *rich) []solvable {
	switch r.op {
	case opAnd, opOr:
		return slices.Concat(pl.positive(r.a), pl.positive(r.b))
	case opIf, opUnless:
		out := pl.positive(r.a)
		if r.b.op == opElse {
			out = slices.Concat(out, pl.positive(r.b.b))
		}
		return out
	}
	return pl.richProviders(r)
}

func (b *builder) require(n solvable, d dep) {
	why := reason{kind: ruleRequires, from: n, dep: d}
	if r := b.pl.deps[d].rich; r != nil && r.complex() {
		b.blocks(n, why, r, false)
		return
	}
	list := b.pl.provides(d)
	switch {
	case len(list) == 0 && b.pl.pkgs[n].installed:
	case len(list) == 0:
		b.add(reason{kind: ruleNothing, from: n, dep: d}, -n)
	case list[0] == host || slices.Contains(list, n):
	case b.pl.pkgs[n].installed && !slices.ContainsFunc(list, func(p solvable) bool { return b.pl.pkgs[p].installed }):
		// The hosts live with that.
	default:
		b.add(why, append([]int32{-n}, list...)...)
		b.later(list)
	}
}

// blocks adds the rules of a complex condition that n requires, or conflicts with.
func (b *builder) blocks(n solvable, why reason, r *rich, conflict bool) {
	blocks, t := b.pl.blocks(r, conflict)
	if conflict {
		blocks, t = inverted(blocks, t)
	}
	if t == never {
		if !conflict {
			why.kind = ruleNothing
		}
		b.add(why, -n)
		return
	}
	for _, block := range blocks {
		if slices.Contains(block, n) {
			continue
		}
		if len(block) == 1 && block[0] == -n {
			if !conflict {
				b.add(why, -n)
			}
			continue
		}
		b.add(why, merged(block, []int32{-n})...)
		for _, l := range block {
			if l > 0 {
				b.later([]solvable{l})
			}
		}
	}
}

func (b *builder) conflict(n solvable, d dep) {
	why := reason{kind: ruleConflicts, from: n, dep: d}
	if r := b.pl.deps[d].rich; r != nil && r.complex() {
		b.blocks(n, why, r, true)
		return
	}
	for _, p := range b.pl.provides(d) {
		bothThere := b.pl.pkgs[n].installed && b.pl.pkgs[p].installed
		if p != n && p != host && !bothThere { // conflicts with itself are meant for others
			b.add(why, -n, -p)
		}
	}
}

// replaces adds that a package excludes what it obsoletes, and its other versions.
func (b *builder) replaces(n solvable) {
	pl := b.pl
	k := &pl.pkgs[n]
	if !k.multi {
		pl.obsoleted(n, func(p solvable, by dep) {
			if p != n {
				b.add(reason{kind: ruleObsoletes, from: n, dep: by}, -n, -p)
			}
		})
	}
	pl.samePackages(k.name, func(p solvable) {
		o := &pl.pkgs[p]
		if p == n || b.added[p] && !o.multi || !pl.sameColor(n, p) {
			return
		}
		if k.multi && (k.evr != o.evr || k.arch != o.arch) {
			return
		}
		b.add(reason{kind: ruleSameName, from: n}, -n, -p)
	})
}

// lockstep looks at the better arches of a package, since it may only come with them.
func (b *builder) lockstep(n solvable) {
	k := &b.pl.pkgs[n]
	if k.score == noarch {
		return
	}
	b.pl.samePackages(k.name, func(p solvable) {
		o := &b.pl.pkgs[p]
		if o.evr == k.evr && o.score != noarch && o.score < k.score {
			b.later([]solvable{p})
		}
	})
}

// weak visits the packages that supplement or enhance one that has been visited.
func (b *builder) weak() {
	type candidate struct {
		p    solvable
		deps []dep
	}
	var all []candidate
	for p := host + 1; int(p) < len(b.pl.pkgs); p++ {
		if k := &b.pl.pkgs[p]; k.usable() && !k.disabled {
			if deps := append(b.pl.list(p, supplements), b.pl.list(p, enhances)...); len(deps) > 0 {
				all = append(all, candidate{p, deps})
			}
		}
	}
	for again := true; again; {
		again = false
		for _, c := range all {
			if !b.added[c.p] && slices.ContainsFunc(c.deps, b.possible) {
				b.visit(c.p)
				again = true
			}
		}
	}
}

func (b *builder) possible(d dep) bool {
	if r := b.pl.deps[d].rich; r != nil {
		return b.possibleRich(r)
	}
	return slices.ContainsFunc(b.pl.provides(d), func(p solvable) bool { return p == host || b.added[p] })
}

func (b *builder) possibleRich(r *rich) bool {
	switch r.op {
	case opIf, opUnless:
		return true
	case opAnd:
		return b.possibleRich(r.a) && b.possibleRich(r.b)
	case opOr:
		return b.possibleRich(r.a) || b.possibleRich(r.b)
	}
	return slices.ContainsFunc(b.pl.richProviders(r), func(p solvable) bool { return b.added[p] })
}

// unify sorts the package rules and drops those that are there twice. Their order decides
// which of several open questions is asked first.
func (b *builder) unify() {
	slices.SortStableFunc(b.rules[1:], compareRules)
	b.rules = append(b.rules[:1], slices.CompactFunc(b.rules[1:], func(x, y rule) bool { return compareRules(x, y) == 0 })...)
}

// compareRules orders rules as libsolv does (rules.c, unifyrules_sortcmp): by their first
// literal, then those of two before longer ones that go on alike.
func compareRules(x, y rule) int {
	a, b := x.lits, y.lits
	if c := cmp.Compare(a[0], b[0]); c != 0 {
		return c
	}
	for i := 1; i < len(a) || i < len(b); i++ {
		c := cmp.Compare(literal(a, i), literal(b, i))
		if i == 2 && (len(a) == 2 || len(b) == 2) {
			return cmp.Compare(len(a), len(b))
		}
		if c != 0 {
			return c
		}
	}
	return 0
}

// literal returns one of a rule's literals, 0 behind its end.
func literal(lits []int32, i int) int32 {
	if i < len(lits) {
		return lits[i]
	}
	return 0
}

// worseArches adds that a package of a worse arch (i686) only comes beside the better one
// of its name and version (libsolv, rules.c, solver_addinfarchrules), but for packages
// that were asked for.
func (b *builder) worseArches(asked map[solvable]bool) {
	pl := b.pl
	done := map[text]bool{}
	for p := host + 1; int(p) < len(pl.pkgs); p++ {
		name := pl.pkgs[p].name
		if !b.added[p] || done[name] {
			continue
		}
		done[name] = true
		best := uint32(0)
		var group []solvable
		pl.samePackages(name, func(q solvable) {
			if !b.added[q] {
				return
			}
			group = append(group, q)
			if s := pl.pkgs[q].score; s != noarch && (best == 0 || s < best) {
				best = s
			}
		})
		for _, q := range group {
			if k := &pl.pkgs[q]; best != 0 && k.score != noarch && !sameClass(k.score, best) && !asked[q] {
				b.rules = append(b.rules, rule{why: reason{kind: ruleArch, from: q}, lits: append([]int32{-q}, pl.partners(q, best)...)})
			}
		}
	}
}

func sameClass(a, b uint32) bool { return (a^b)&0xffff0000 == 0 }

// partners lists the packages beside which one of a worse arch may stand.
func (pl *pool) partners(q solvable, best uint32) []solvable {
	var out []solvable
	k := &pl.pkgs[q]
	pl.samePackages(k.name, func(p solvable) {
		o := &pl.pkgs[p]
		if p != q && o.evr == k.evr && o.arch != k.arch && (o.score == noarch || sameClass(o.score, best)) {
			out = append(out, p)
		}
	})
	return out
}
