package depsolve

import (
	"context"
	"fmt"
	"slices"
)

// run decides until every rule holds. Each problem that it meets is noted, and what was
// asked for in it is put aside, so that all problems of a request come out. The error is
// that of ctx.
func (s *solver) run(ctx context.Context, weak bool) error {
	level, base := int32(0), int32(1) // base: below it what was asked for is open again
	for {
		if err := context.Cause(ctx); err != nil {
			return fmt.Errorf("solve: %w", err)
		}
		if level == 0 {
			if level = s.ground(); level == 0 {
				continue
			}
			base = level + 1
		}
		if level < base {
			before := level
			if level = s.resolveJobs(level); level < before {
				continue
			}
			before = level
			if level = s.keepInstalled(level); level < before {
				continue
			}
			base = level
		}
		before := level
		if level = s.resolveDependencies(ctx, level); level < before || ctx.Err() != nil {
			continue
		}
		if weak {
			var more bool
			if level, more = s.resolveWeak(level); more {
				continue
			}
		}
		var more bool
		if level, more = s.minimize(level); !more {
			return nil
		}
	}
}

// ground makes the decisions that are none: what rules of one literal say, and what follows.
// It returns 1, or 0 when there was a problem.
func (s *solver) ground() int32 {
	s.decide(host, 1, 0)
	for i := 1; i < len(s.rules); i++ {
		r := &s.rules[i]
		if r.disabled || len(r.lits) != 1 || s.isTrue(r.lits[0]) {
			continue
		}
		if s.isFalse(r.lits[0]) {
			s.unsolvable(int32(i))
			return 0
		}
		s.decide(r.lits[0], 1, int32(i))
	}
	if conflict := s.propagate(1); conflict != 0 {
		s.unsolvable(conflict)
		return 0
	}
	return 1
}

// open lists the undecided packages of a rule that only they can fulfil, nil when it is
// fulfilled or may still be by what is not to be installed.
func (s *solver) open(r *rule) []solvable {
	var list []solvable
	for _, l := range r.lits {
		switch {
		case l < 0 && s.decision[-l] <= 0, l > 0 && s.decision[l] > 0:
			return nil
		case l > 0 && s.decision[l] == 0:
			list = append(list, l)
		}
	}
	return list
}

// resolveJobs chooses a package for everything that was asked for.
func (s *solver) resolveJobs(level int32) int32 {
	start := level
	for i := s.jobRules; i < s.jobRulesEnd; i++ {
		r := &s.rules[i]
		if r.disabled {
			continue
		}
		list := s.open(r)
		if len(list) == 0 {
			continue
		}
		if have := s.onHosts(list); len(have) > 0 {
			list = have
		}
		before := level
		level = s.choose(level, list, int32(i))
		switch {
		case level > before:
		case level == before:
			i-- // another one
		case level < start:
			return level
		default:
			i = s.jobRules - 1
		}
	}
	return level
}

func (s *solver) onHosts(list []solvable) []solvable {
	var have []solvable
	for _, p := range list {
		if s.pl.pkgs[p].installed {
			have = append(have, p)
		}
	}
	return have
}

// keepInstalled keeps what the hosts have, or takes a newer version where it cannot stay.
func (s *solver) keepInstalled(level int32) int32 {
	for i := s.packageRules; i < s.jobRules; i++ {
		r := &s.rules[i]
		if r.disabled {
			continue
		}
		before := level
		switch p := r.lits[0]; {
		case s.decision[p] == 0:
			level = s.install(level, p, int32(i))
		case s.decision[p] < 0:
			if list := s.open(r); len(list) > 0 {
				level = s.choose(level, list, int32(i))
			}
		}
		if level < before {
			return level
		}
	}
	return level
}

// resolveDependencies decides on every rule that is open: first where the policy leaves one
// package only, then where there is a choice.
func (s *solver) resolveDependencies(ctx context.Context, level int32) int32 {
	start := level
	postponed := 0 // the first rule with a choice; -1 once choices are made
	for i, n := 1, 1; ; i, n = i+1, n+1 {
		if n >= len(s.rules) {
			if postponed <= 0 {
				return level
			}
			i, postponed, n = postponed, -1, 1
		}
		if i == len(s.rules) {
			i = 1
		}
		r := &s.rules[i]
		if r.disabled || len(r.lits) < 2 || r.lits[0] < 0 && (len(r.lits) == 2 || s.decision[-r.lits[0]] <= 0) {
			continue
		}
		list := s.open(r)
		if len(list) < 2 { // those with one have been propagated
			continue
		}
		if postponed >= 0 {
			if list = s.filter(list, modeNarrow); len(list) > 1 {
				if postponed == 0 {
					postponed = i
				}
				continue
			}
		}
		if level = s.choose(level, list, int32(i)); level < start || ctx.Err() != nil {
			return level
		}
		n = 0 // something changed, so look at all again
	}
}

// minimize looks at the choices made: one that was made before another package, which would
// have done as well, came in for another reason is made again with that one. It is false
// when there is none.
func (s *solver) minimize(level int32) (int32, bool) {
	s.weak.update(s)
	at, choice := -1, 0
	for b := len(s.branches) - 1; b >= 0; b-- {
		if c, ok := s.better(&s.branches[b]); ok {
			at, choice = b, c
		}
	}
	if at < 0 {
		return level, false
	}
	return s.rechoose(at, choice), true
}

// better finds a package of a choice that has come in later, or else one that is
// recommended where the chosen one is not.
func (s *solver) better(b *branch) (int, bool) {
	recommended := -1
	for i, p := range b.choices {
		switch {
		case p <= 0:
		case s.decision[p] > b.level:
			return i, true
		case recommended < 0 && s.isRecommended(p):
			recommended = i
		}
	}
	if recommended < 0 {
		return 0, false
	}
	for _, l := range b.choices {
		if p := -l; p > 0 && s.decision[p] == b.level+1 && !s.isRecommended(p) {
			return recommended, true
		}
	}
	return 0, false
}

// rechoose goes back to a choice and takes another of its packages.
func (s *solver) rechoose(at, choice int) int32 {
	b := &s.branches[at]
	level, p := b.level, b.choices[choice]
	b.choices[choice] = -p
	first := slices.IndexFunc(s.trail, func(l int32) bool { return s.level(l) > level })
	why := -s.whys[first]
	b.level = 0 // not to be taken back with the decisions
	s.revert(level)
	b.level = level
	return s.install(level, p, why)
}

// unsolvable notes why a rule cannot hold, puts aside what was asked for in it, and
// begins again.
func (s *solver) unsolvable(conflict int32) {
	proof := s.proof(conflict)
	s.problems = append(s.problems, proof)
	for _, i := range proof {
		switch why := s.rules[i].why; why.kind {
		case ruleJob, ruleBest:
			s.disableJob(why.job)
		case ruleUpdate:
			s.rules[i].disabled = true
		}
	}
	s.rules = s.rules[:s.learntRules]
	s.causes = nil
	s.reset()
}

func (s *solver) disableJob(job int32) {
	for i := range s.rules[:s.learntRules] {
		if r := &s.rules[i]; (r.why.kind == ruleJob || r.why.kind == ruleBest) && r.why.job == job {
			r.disabled = true
		}
	}
}

// reset takes back all decisions.
func (s *solver) reset() {
	clear(s.decision)
	s.trail, s.whys, s.branches = s.trail[:0], s.whys[:0], nil
	s.seen = 0
	s.weak.reverted(0)
	s.watchAll()
}

// proof collects the rules that a conflict at level 1 follows from, the last one first.
func (s *solver) proof(conflict int32) problem {
	var out problem
	known, involved := map[int32]bool{}, map[int32]bool{}
	var add func(i int32)
	add = func(i int32) {
		if known[i] {
			return
		}
		known[i] = true
		if n := int(i) - s.learntRules; n >= 0 {
			for _, c := range s.causes[n] {
				add(c)
			}
			return
		}
		out = append(out, i)
	}
	involve := func(i int32) {
		add(i)
		for _, l := range s.rules[i].lits {
			involved[abs(l)] = true
		}
	}
	involve(conflict)
	for n, l := range slices.Backward(s.trail) {
		if why := s.whys[n]; why > 0 && involved[abs(l)] {
			involve(why)
		}
	}
	return out
}
