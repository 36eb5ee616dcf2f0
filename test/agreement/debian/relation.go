package debian

import (
	"strings"
)

// A relation is one dependency on one package, as rpm knows it.
type relation struct{ name, flags, epoch, version, release string }

// comparisons are Debian's operators (policy 7.1) and rpm's flags for them.
var comparisons = map[string]string{"<<": "LT", "<=": "LE", "=": "EQ", ">=": "GE", ">>": "GT", "<": "LE", ">": "GE"}

// operators are rpm's flags as rich dependencies write them.
var operators = map[string]string{"LT": "<", "LE": "<=", "EQ": "=", "GE": ">=", "GT": ">"}

// evr maps a Debian version, [epoch:]upstream[-revision], to rpm's three parts. A dash, which
// rpm does not allow in a version, becomes a caret, which compares as the dash does there:
// above the end of a version and below a dot. A version without a revision has no release.
func evr(version string) (epoch, ver, rel string) {
	epoch = "0"
	if e, rest, found := strings.Cut(version, ":"); found {
		epoch, version = e, rest
	}
	ver = version
	if at := strings.LastIndexByte(version, '-'); at > 0 {
		ver, rel = version[:at], version[at+1:]
	}
	return epoch, plain(ver), plain(rel)
}

func plain(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= '0' && r <= '9', r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '.', r == '+', r == '~':
			return r
		case r == '-':
			return '^'
		}
		return '_'
	}, s)
}

// alternatives reads a relationship field: every element is a list of alternatives.
func alternatives(field string) [][]relation {
	var all [][]relation
	for part := range strings.SplitSeq(field, ",") {
		var group []relation
		for one := range strings.SplitSeq(part, "|") {
			if r, ok := newRelation(one); ok {
				group = append(group, r)
			}
		}
		if group != nil {
			all = append(all, group)
		}
	}
	return all
}

// newRelation reads "name[:arch] [(op version)]".
func newRelation(text string) (relation, bool) {
	name, version, versioned := strings.Cut(text, "(")
	name, _, _ = strings.Cut(strings.TrimSpace(name), ":")
	r := relation{name: name}
	if versioned {
		version = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(version), ")"))
		at := strings.IndexFunc(version, func(c rune) bool { return !strings.ContainsRune("<=>", c) })
		if at <= 0 {
			return relation{}, false
		}
		r.flags = comparisons[version[:at]]
		r.epoch, r.version, r.release = evr(strings.TrimSpace(version[at:]))
		if r.flags == "GT" && r.release == "" {
			r.flags = "GE" // to rpm 2.36-9 is not above 2.36: it compares no release with one that is missing
		}
	}
	return r, name != ""
}

// String writes a relation as rich dependencies do.
func (r relation) String() string {
	if r.flags == "" {
		return r.name
	}
	var s strings.Builder
	s.WriteString(r.name + " " + operators[r.flags] + " ")
	if r.epoch != "0" {
		s.WriteString(r.epoch + ":")
	}
	s.WriteString(r.version)
	if r.release != "" {
		s.WriteString("-" + r.release)
	}
	return s.String()
}

// either makes one dependency of alternatives: a rich one where there are several.
func either(group []relation) relation {
	if len(group) == 1 {
		return group[0]
	}
	texts := make([]string, len(group))
	for i, r := range group {
		texts[i] = r.String()
	}
	return relation{name: "(" + strings.Join(texts, " or ") + ")"}
}

// hard and flat are the two readings of a field: alternatives kept as rich dependencies,
// and every package by itself (Conflicts, Provides and their like have no alternatives).
func hard(fields ...string) []relation {
	var out []relation
	for _, f := range fields {
		for _, g := range alternatives(f) {
			out = append(out, either(g))
		}
	}
	return unique(out)
}

func flat(fields ...string) []relation {
	var out []relation
	for _, f := range fields {
		for _, g := range alternatives(f) {
			out = append(out, g...)
		}
	}
	return unique(out)
}

func unique(list []relation) []relation {
	seen := make(map[relation]bool, len(list))
	out := list[:0]
	for _, r := range list {
		if !seen[r] {
			seen[r] = true
			out = append(out, r)
		}
	}
	return out
}
