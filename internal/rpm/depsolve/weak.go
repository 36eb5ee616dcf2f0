package depsolve

import (
	"slices"
)

// A weakState knows what the packages decided on recommend and suggest.
type weakState struct {
	done        int // of the trail
	recommended map[solvable]bool
	suggested   map[solvable]bool
	conditions  []weakCondition
}

// A weakCondition is looked at again whenever something was decided.
type weakCondition struct {
	r   *rich
	set map[solvable]bool
}

// reverted notes that the trail is shorter now.
func (w *weakState) reverted(trail int) {
	if w.done > trail {
		*w = weakState{}
	}
}

// update takes over what was decided since.
func (w *weakState) update(s *solver) {
	if w.recommended == nil {
		w.recommended, w.suggested = map[solvable]bool{}, map[solvable]bool{}
	}
	if w.done == len(s.trail) {
		return
	}
	for ; w.done < len(s.trail); w.done++ {
		p := s.trail[w.done]
		if p <= host {
			continue
		}
		w.add(s, p, recommends, w.recommended)
		w.add(s, p, suggests, w.suggested)
	}
	for _, c := range w.conditions {
		s.applicable(c.r, c.set)
	}
}

func (w *weakState) add(s *solver, p solvable, span spanOf, set map[solvable]bool) {
	for _, d := range s.pl.list(p, span) {
		if r := s.pl.deps[d].rich; r != nil && r.complex() {
			w.conditions = append(w.conditions, weakCondition{r, set})
			continue
		}
		for _, q := range s.pl.provides(d) {
			set[q] = true
		}
	}
}

// applicable adds what a condition recommends in the present state.
func (s *solver) applicable(r *rich, set map[solvable]bool) {
	blocks, t := s.pl.blocks(r, false)
	if t != depends {
		return
	}
	for _, block := range blocks {
		if slices.ContainsFunc(block, func(l int32) bool { return l < 0 && s.decision[-l] <= 0 }) {
			continue
		}
		for _, l := range block {
			if l > 0 {
				set[l] = true
			}
		}
	}
}

// recommended keeps the packages of a list that are recommended or supplement something,
// and those on the hosts; all of them when there is none.
func (s *solver) recommended(list []solvable) []solvable {
	if n := len(list) - len(s.onHosts(list)); n < 2 {
		return list
	}
	s.weak.update(s)
	if !slices.ContainsFunc(list, func(p solvable) bool { return !s.pl.pkgs[p].installed && s.isRecommended(p) }) {
		return list
	}
	return slices.DeleteFunc(slices.Clone(list), func(p solvable) bool {
		return !s.pl.pkgs[p].installed && !s.isRecommended(p)
	})
}

func (s *solver) isRecommended(p solvable) bool {
	return s.weak.recommended[p] || s.supports(p, supplements)
}

func (s *solver) isSuggested(p solvable) bool {
	s.weak.update(s)
	return s.pl.pkgs[p].installed || s.weak.suggested[p] || s.supports(p, enhances)
}

// supports says whether a package supplements, or enhances, what is installed.
func (s *solver) supports(p solvable, span spanOf) bool {
	return slices.ContainsFunc(s.pl.list(p, span), s.fulfilled)
}

func (s *solver) fulfilled(d dep) bool {
	if r := s.pl.deps[d].rich; r != nil {
		return s.holds(r)
	}
	return slices.ContainsFunc(s.pl.provides(d), func(p solvable) bool { return s.decision[p] > 0 })
}

func (s *solver) holds(r *rich) bool {
	switch r.op {
	case opAnd:
		return s.holds(r.a) && s.holds(r.b)
	case opOr:
		return s.holds(r.a) || s.holds(r.b)
	case opIf:
		if r.b.op != opElse {
			return s.holds(r.a) || !s.holds(r.b)
		}
		if s.holds(r.b.a) {
			return s.holds(r.a)
		}
		return s.holds(r.b.b)
	case opUnless:
		if r.b.op != opElse {
			return s.holds(r.a) && !s.holds(r.b)
		}
		if !s.holds(r.b.a) {
			return s.holds(r.a)
		}
		return s.holds(r.b.b)
	}
	return slices.ContainsFunc(s.pl.richProviders(r), func(p solvable) bool { return s.decision[p] > 0 })
}

// resolveWeak installs what is recommended and what supplements. It is true when it found
// something, so that everything has to be looked at again.
func (s *solver) resolveWeak(level int32) (int32, bool) {
	wanted, supplementing := s.weakWishes()
	all := appendNew(slices.Clone(wanted), supplementing...)
	switch len(all) {
	case 0:
		return level, false
	case 1:
		return s.install(level, all[0], 0), true
	}
	best := map[solvable]bool{}
	for _, p := range s.filter(all, modeBest) {
		best[p] = true
	}
	supplementing = slices.DeleteFunc(supplementing, func(p solvable) bool { return !best[p] })
	decided := len(s.trail)
	if len(supplementing) > 1 {
		supplementing = s.orderSupplements(supplementing)
	}
	for _, p := range supplementing {
		if s.decision[p] != 0 {
			continue
		}
		before := level
		if level = s.install(level, p, 0); level <= before {
			return level, true
		}
	}
	if len(s.trail) < decided {
		return level, true
	}
	return s.installRecommended(level, s.trail[:decided], best), true
}

func appendNew(list []solvable, more ...solvable) []solvable {
	for _, p := range more {
		if !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// weakWishes lists the undecided packages that installed ones recommend, and those that
// supplement installed ones.
func (s *solver) weakWishes() (wanted, supplementing []solvable) {
	known := map[solvable]bool{}
	for p := host + 1; int(p) < len(s.decision); p++ {
		k := &s.pl.pkgs[p]
		switch {
		case s.decision[p] > 0 && !k.installed:
			for _, d := range s.pl.list(p, recommends) {
				for _, q := range s.lacking(d) {
					if !known[q] {
						known[q] = true
						wanted = append(wanted, q)
					}
				}
			}
		case s.decision[p] == 0 && k.usable() && !k.disabled && s.supports(p, supplements):
			if !s.otherArch(p) && s.supportsNew(p) {
				supplementing = append(supplementing, p)
			}
		}
	}
	return wanted, supplementing
}

// supportsNew says whether what a package supplements is not on the hosts already, which
// would have it by now if they wanted it.
func (s *solver) supportsNew(p solvable) bool {
	if !slices.ContainsFunc(s.pl.pkgs, func(k pkg) bool { return k.installed }) {
		return true
	}
	return slices.ContainsFunc(s.pl.list(p, supplements), func(d dep) bool {
		return s.fulfilled(d) && slices.ContainsFunc(s.pl.provides(d), func(q solvable) bool {
			return q > host && s.decision[q] > 0 && !s.pl.pkgs[q].installed
		})
	})
}

func (s *solver) otherArch(p solvable) bool {
	found := false
	s.pl.samePackages(s.pl.pkgs[p].name, func(q solvable) {
		found = found || s.decision[q] > 0 && s.pl.pkgs[q].arch != s.pl.pkgs[p].arch
	})
	return found
}

// lacking lists the undecided packages that would fulfil a recommendation that nothing
// installed fulfils.
func (s *solver) lacking(d dep) []solvable {
	if r := s.pl.deps[d].rich; r != nil && r.complex() {
		return s.lackingRich(r)
	}
	var out []solvable
	for _, q := range s.pl.provides(d) {
		switch {
		case s.decision[q] > 0:
			return nil
		case s.decision[q] == 0:
			out = append(out, q)
		}
	}
	return out
}

func (s *solver) lackingRich(r *rich) []solvable {
	blocks, t := s.pl.blocks(r, false)
	if t != depends {
		return nil
	}
	var out []solvable
	for _, block := range blocks {
		out = appendNew(out, s.open(&rule{lits: block})...)
	}
	return out
}

func (s *solver) orderSupplements(list []solvable) []solvable {
	list = s.pl.oldToBack(list)
	s.pl.sortByCommonProvides(list)
	s.pl.localesToBack(list, s.decision)
	return front(list, s.isSuggested)
}

// installRecommended installs, in the order of the decisions, what they recommend.
func (s *solver) installRecommended(level int32, decided []int32, best map[solvable]bool) int32 {
	for _, p := range slices.Clone(decided) {
		if p <= host || s.pl.pkgs[p].installed {
			continue
		}
		for _, d := range s.pl.list(p, recommends) {
			list := slices.DeleteFunc(s.lacking(d), func(q solvable) bool { return !best[q] })
			if len(list) == 0 {
				continue
			}
			before := level
			if level = s.choose(level, list, 0); level <= before || len(s.trail) < len(decided) {
				return level
			}
		}
	}
	return level
}
