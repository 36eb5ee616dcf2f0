package depsolve

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An UnsolvableError says why a request has no solution: a text for each problem, whose
// first line names what was asked for, and the others the chain of reasons.
type UnsolvableError struct{ Problems []string }

func (e *UnsolvableError) Error() string { return strings.Join(e.Problems, "\n") }

// ExitCode says that the content is not what it should be.
func (e *UnsolvableError) ExitCode() int { return 4 }

// explain writes each problem in words.
func (s *solver) explain() []string {
	var out []string
	for _, p := range s.problems {
		if text := s.explainOne(p); !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	return out
}

// maxReasons bounds how long a chain is told.
const maxReasons = 12

func (s *solver) explainOne(p problem) string {
	var specs, lines []string
	reached := map[solvable]bool{}
	best := false
	for _, i := range p {
		r := &s.rules[i]
		switch r.why.kind {
		case ruleJob, ruleBest:
			specs = append(specs, s.jobs[r.why.job].spec)
			best = best || r.why.kind == ruleBest
			for _, l := range r.lits {
				reached[abs(l)] = true
			}
		case ruleUpdate:
			reached[r.lits[0]] = true
		}
	}
	slices.Sort(specs)
	specs = slices.Compact(specs)
	for _, i := range s.chain(p, reached) {
		if line := s.reason(&s.rules[i]); !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	if n := len(lines) - maxReasons; n > 0 {
		lines = append(lines[:maxReasons], fmt.Sprintf("and %d more reasons", n))
	}
	head := strings.Join(specs, " and ") + " cannot be installed"
	if best {
		head += " in the newest version"
	}
	return head + ":\n  " + strings.Join(lines, "\n  ")
}

// chain orders the rules of packages from what was asked for on downwards.
func (s *solver) chain(p problem, reached map[solvable]bool) []int32 {
	var rest, out []int32
	for _, i := range p {
		if k := s.rules[i].why.kind; k != ruleJob && k != ruleBest {
			rest = append(rest, i)
		}
	}
	slices.SortFunc(rest, func(a, b int32) int { return cmp.Compare(a, b) })
	for len(rest) > 0 {
		next := slices.IndexFunc(rest, func(i int32) bool { return reached[s.rules[i].why.from] })
		if next < 0 {
			return append(out, rest...)
		}
		for _, l := range s.rules[rest[next]].lits {
			reached[abs(l)] = true
		}
		out = append(out, rest[next])
		rest = slices.Delete(rest, next, next+1)
	}
	return out
}

// reason writes a rule in the words that dnf users know.
func (s *solver) reason(r *rule) string {
	pl, from := s.pl, r.why.from
	other := func() string {
		for _, l := range r.lits {
			if q := abs(l); q != from {
				return pl.nevra(q)
			}
		}
		return pl.nevra(from)
	}
	switch r.why.kind {
	case ruleRequires:
		return fmt.Sprintf("%s requires %s, but none of its providers can be installed", pl.nevra(from), pl.depText(r.why.dep))
	case ruleNothing:
		return fmt.Sprintf("nothing provides %s, needed by %s", pl.depText(r.why.dep), pl.nevra(from))
	case ruleConflicts:
		return fmt.Sprintf("%s conflicts with %s, provided by %s", pl.nevra(from), pl.depText(r.why.dep), other())
	case ruleObsoletes:
		return fmt.Sprintf("%s obsoletes %s, provided by %s", pl.nevra(from), pl.depText(r.why.dep), other())
	case ruleSameName:
		return fmt.Sprintf("%s and %s cannot both be installed", pl.nevra(from), other())
	case ruleArch:
		return fmt.Sprintf("%s is of a lesser arch than another package of its name", pl.nevra(from))
	case ruleDisabled:
		return fmt.Sprintf("%s is excluded, or of a module stream that is not enabled", pl.nevra(from))
	case ruleUpdate:
		return fmt.Sprintf("%s is on the hosts already", pl.nevra(r.lits[0]))
	}
	return "a rule of the solver"
}
