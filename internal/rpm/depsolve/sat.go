package depsolve

import "slices"

// A solver decides on packages until all rules hold. It is a SAT solver with conflict-driven
// clause learning, made to decide as libsolv does (solver.c): what to decide next, and
// for which of several packages, follows the same order.
type solver struct {
	pl    *pool
	jobs  []job
	rules []rule

	packageRules int // rules below it are those of packages
	jobRules     int // and below it those of the hosts' packages
	jobRulesEnd  int
	learntRules  int

	watches  []int32 // head of the chain of rules of each literal, at literal+len(decision)
	decision []int32 // level by solvable, negative when it is not to be installed, 0 when open
	trail    []int32 // literals in the order of their decisions
	whys     []int32 // the rule of each, or the negative of that which left the choice
	seen     int     // of trail: propagated so far
	branches []branch
	causes   [][]int32 // the rules that each learnt rule follows from

	weak     weakState
	visited  []bool // packages that the request can reach
	problems []problem
}

// A job is one thing that was asked for: one of these packages.
type job struct {
	spec       string
	candidates []solvable
	condition  *rich // instead of candidates
	best       bool  // in its newest version
}

// A branch is a choice among several packages; those tried are negative.
type branch struct {
	choices []int32
	level   int32
}

// A problem is a set of rules that cannot all hold, in the order in which they explain it.
type problem []int32

// newSolver makes the rules of a request; weak says that recommendations count.
func newSolver(pl *pool, jobs []job, weak bool) *solver {
	b := &builder{pl: pl, rules: make([]rule, 1), added: make([]bool, len(pl.pkgs)), soft: weak}
	s := &solver{pl: pl, jobs: jobs, decision: make([]int32, len(pl.pkgs)), visited: b.added}
	var updates []rule
	for p := host + 1; int(p) < len(pl.pkgs); p++ {
		if pl.pkgs[p].installed {
			updates = append(updates, b.update(p))
		}
	}
	rules := s.visitJobs(b)
	if weak {
		b.weak()
	}
	b.unify()
	s.packageRules = len(b.rules)
	b.rules = append(b.rules, updates...)
	s.jobRules = len(b.rules)
	b.rules = append(b.rules, rules...)
	s.jobRulesEnd = len(b.rules)
	b.worseArches(s.asked())
	s.rules = append(b.rules, s.bestRules(rules)...)
	s.learntRules = len(s.rules)
	s.watchAll()
	return s
}

// asked marks the packages that jobs name: their arch is what was asked for.
func (s *solver) asked() map[solvable]bool {
	out := map[solvable]bool{}
	for _, j := range s.jobs {
		for _, p := range j.candidates {
			out[p] = true
		}
	}
	return out
}

// update visits what the hosts have, and what may take its place: newer versions, and
// packages that obsolete it.
func (b *builder) update(p solvable) rule {
	pl := b.pl
	r := rule{lits: []int32{p}, why: reason{kind: ruleUpdate}}
	pl.samePackages(pl.pkgs[p].name, func(q solvable) {
		if q != p && pl.pkgs[q].arch == pl.pkgs[p].arch && pl.choosable(q) && pl.newer(q, p) >= 0 {
			r.lits = append(r.lits, q)
		}
	})
	r.lits = appendNew(r.lits, pl.obsoleters([]solvable{p})...)
	for _, q := range r.lits {
		b.visit(q)
	}
	return r
}

// visitJobs visits what was asked for, and returns the rules of that.
func (s *solver) visitJobs(b *builder) []rule {
	var rules []rule
	for i, j := range s.jobs {
		why := reason{kind: ruleJob, job: int32(i)}
		if j.condition == nil {
			rules = append(rules, rule{lits: j.candidates, why: why})
		} else if blocks, t := s.pl.blocks(j.condition, false); t == depends {
			for _, block := range blocks {
				rules = append(rules, rule{lits: block, why: why})
			}
		}
	}
	for _, r := range rules {
		for _, l := range r.lits {
			if l > 0 {
				b.visit(l)
			}
		}
	}
	return rules
}

// bestRules adds that what was asked for comes in its best version.
func (s *solver) bestRules(jobs []rule) []rule {
	var out []rule
	for _, r := range jobs {
		if !s.jobs[r.why.job].best {
			continue
		}
		first := slices.IndexFunc(r.lits, func(l int32) bool { return l > 0 })
		if first < 0 {
			continue
		}
		list := slices.DeleteFunc(slices.Clone(r.lits[first:]), func(p solvable) bool { return s.pl.pkgs[p].disabled })
		best := s.filter(list, modeBest)
		if len(list) > 0 && len(best) < len(list) {
			out = append(out, rule{lits: append(slices.Clone(r.lits[:first]), best...), why: reason{kind: ruleBest, job: r.why.job}})
		}
	}
	return out
}

// installed lists what was decided to be installed, ascending.
func (s *solver) installed() []solvable {
	var out []solvable
	for p := host + 1; int(p) < len(s.decision); p++ {
		if s.decision[p] > 0 {
			out = append(out, p)
		}
	}
	return out
}

func (s *solver) isTrue(l int32) bool {
	if l > 0 {
		return s.decision[l] > 0
	}
	return s.decision[-l] < 0
}

func (s *solver) isFalse(l int32) bool { return s.isTrue(-l) }

func (s *solver) level(l int32) int32 { return abs(s.decision[abs(l)]) }

func abs(l int32) int32 {
	if l < 0 {
		return -l
	}
	return l
}

// decide notes a decision and the rule that it follows from.
func (s *solver) decide(l, level, why int32) {
	if l > 0 {
		s.decision[l] = level
	} else {
		s.decision[-l] = -level
	}
	s.trail = append(s.trail, l)
	s.whys = append(s.whys, why)
}

func (s *solver) head(l int32) *int32 { return &s.watches[int(l)+len(s.decision)] }

// watch puts a rule of two or more literals into the chains of the two that it watches.
func (s *solver) watch(i int32) {
	r := &s.rules[i]
	for n, l := range r.watched {
		r.next[n] = *s.head(l)
		*s.head(l) = i
	}
}

// watchAll sets up the chains, lower rules first.
func (s *solver) watchAll() {
	s.watches = make([]int32, 2*len(s.decision)+1)
	for i := len(s.rules) - 1; i > 0; i-- {
		if r := &s.rules[i]; len(r.lits) > 1 {
			r.watched = [2]int32{r.lits[0], r.lits[1]}
			s.watch(int32(i))
		}
	}
}

// propagate makes the decisions that follow from those on the trail, and returns the rule
// that cannot hold any more, or 0.
func (s *solver) propagate(level int32) int32 {
	for s.seen < len(s.trail) {
		fallen := -s.trail[s.seen]
		s.seen++
		link := s.head(fallen)
		for *link != 0 {
			i := *link
			r := &s.rules[i]
			n := 0
			if r.watched[0] != fallen {
				n = 1
			}
			other := r.watched[1-n]
			if r.disabled || s.isTrue(other) {
				link = &r.next[n]
				continue
			}
			if l := s.replacement(r, other); l != 0 {
				*link = r.next[n]
				r.watched[n] = l
				r.next[n] = *s.head(l)
				*s.head(l) = i
				continue
			}
			if s.isFalse(other) {
				return i
			}
			s.decide(other, level, i)
			link = &r.next[n]
		}
	}
	return 0
}

// replacement finds a literal that a rule can watch instead of a fallen one.
func (s *solver) replacement(r *rule, other int32) int32 {
	if len(r.lits) > 2 {
		for _, l := range r.lits {
			if l != other && !s.isFalse(l) {
				return l
			}
		}
	}
	return 0
}

// revert takes back the decisions above a level, and the choices made at it or above.
func (s *solver) revert(level int32) {
	for n := len(s.trail); n > 0 && s.level(s.trail[n-1]) > level; n-- {
		s.decision[abs(s.trail[n-1])] = 0
		s.trail, s.whys = s.trail[:n-1], s.whys[:n-1]
		s.seen = n - 1
	}
	for n := len(s.branches); n > 0 && s.branches[n-1].level >= level; n-- {
		s.branches = s.branches[:n-1]
	}
	s.weak.reverted(len(s.trail))
}

// learn turns a conflict into a rule that keeps out of it, takes back what led into it,
// and returns the rule and its level.
func (s *solver) learn(level, conflict int32) (int32, int32) {
	var lits []int32
	var causes []int32
	var uip int32
	seen := map[int32]bool{}
	open, ground, to := 0, 0, int32(1) // literals of this level and of level 1 still to be looked at
	idx := len(s.trail)
	for c := conflict; ; {
		causes = append(causes, c)
		for _, l := range s.rules[c].lits {
			if s.isTrue(l) || seen[abs(l)] {
				continue
			}
			seen[abs(l)] = true
			switch at := s.level(l); at {
			case 1:
				ground++
			case level:
				open++
			default:
				lits = append(lits, l)
				to = max(to, at)
			}
		}
		var more bool
		if c, uip, more = s.nextCause(&idx, &open, &ground, uip, seen, lits); !more {
			break
		}
	}
	s.revert(to)
	r := rule{lits: append([]int32{uip}, lits...), why: reason{kind: ruleLearnt}}
	i := int32(len(s.rules))
	s.causes = append(s.causes, causes)
	if len(lits) > 0 {
		r.watched = [2]int32{uip, s.highest(lits)}
	}
	s.rules = append(s.rules, r)
	if len(lits) > 0 {
		s.watch(i)
	}
	return i, to
}

// nextCause walks back over the trail to the next decision that had a part in the conflict,
// and returns its rule. The last of the conflict's level is the one to turn around; after
// it only those of level 1 count, for the proof.
func (s *solver) nextCause(idx, open, ground *int, uip int32, seen map[int32]bool, lits []int32) (cause, newUIP int32, more bool) {
	for {
		if *open == 0 && *ground == 0 {
			return 0, uip, false
		}
		for {
			*idx--
			if seen[abs(s.trail[*idx])] {
				break
			}
		}
		l := s.trail[*idx]
		delete(seen, abs(l))
		switch {
		case *open == 1:
			*open = 0
			uip = -l
			for _, other := range lits {
				delete(seen, abs(other))
			}
			continue
		case *open > 1:
			*open--
		default:
			*ground--
		}
		if why := s.whys[*idx]; why > 0 {
			return why, uip, true
		}
	}
}

// highest returns the literal that was decided at the highest level, the first of those.
func (s *solver) highest(lits []int32) int32 {
	return slices.MaxFunc(lits, func(a, b int32) int {
		return int(s.level(a) - s.level(b))
	})
}

// install decides on a literal and follows what it brings, learning from conflicts. It
// returns the level reached, which is lower than before after a conflict, and 0 when
// there is a problem that no decision caused.
func (s *solver) install(level, l, why int32) int32 {
	level++
	s.decide(l, level, -why)
	for {
		conflict := s.propagate(level)
		if conflict == 0 {
			return level
		}
		if level == 1 {
			s.unsolvable(conflict)
			return 0
		}
		var learnt int32
		learnt, level = s.learn(level, conflict)
		s.decide(s.rules[learnt].lits[0], level, learnt)
	}
}

// choose installs the best of several packages, and remembers the others.
func (s *solver) choose(level int32, list []solvable, why int32) int32 {
	if len(list) > 1 {
		list = s.filter(list, modeChoose)
	}
	if len(list) > 1 {
		s.branch(level, list)
	}
	return s.install(level, list[0], why)
}

func (s *solver) branch(level int32, list []solvable) {
	b := branch{slices.Clone(list), level}
	b.choices[0] = -b.choices[0]
	s.branches = append(s.branches, b)
}
