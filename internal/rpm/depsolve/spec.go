package depsolve

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
)

// A selection is what a spec means: packages of the pool, and how it named them.
type selection struct {
	list     []solvable
	glob     bool // a pattern: its packages are wanted by name, each for itself
	archGlob bool // a pattern for the arch: wanted by name and arch
	justName bool // what obsoletes the packages will do as well
}

// find looks a spec up as dnf does (libdnf, Query::filterSubject): as NEVRA, name.arch, name,
// name-version-release and name-version, then as the pattern of a NEVRA, as a capability
// and as a file.
func (pl *pool) find(spec string, capabilities bool) selection {
	glob := isGlob(spec) && !strings.HasPrefix(spec, "/") && !strings.HasPrefix(spec, "*/")
	for _, form := range nevraForms {
		w, ok := form(spec)
		if !ok {
			continue
		}
		if list := pl.byNEVRA(w); len(list) > 0 {
			return selection{list, glob, isGlob(w.arch), w.version == "" && w.arch == "" && w.epoch < 0}
		}
	}
	if isGlob(spec) && !strings.ContainsAny(spec, "/ ") {
		m := newMatcher(spec)
		if list := pl.each(func(p solvable) bool { return m.match(pl.nevra(p)) }); len(list) > 0 {
			return selection{list: list, glob: glob}
		}
	}
	if !capabilities {
		return selection{}
	}
	if list := pl.byCapability(spec); len(list) > 0 {
		return selection{list: list, glob: glob}
	}
	return selection{list: pl.byFile(spec)}
}

// each lists the packages that can be chosen and that f takes.
func (pl *pool) each(f func(solvable) bool) []solvable {
	var out []solvable
	for p := host + 1; int(p) < len(pl.pkgs); p++ {
		if pl.choosable(p) && f(p) {
			out = append(out, p)
		}
	}
	return out
}

func (pl *pool) choosable(p solvable) bool {
	return p > host && pl.pkgs[p].usable() && !pl.pkgs[p].disabled
}

// A wantedNEVRA is a spec taken apart; empty parts, and an epoch below 0, take anything.
type wantedNEVRA struct {
	name, version, release, arch string
	epoch                        int64
}

// nevraForms take a spec apart, in the order in which dnf tries them (libdnf, nevra.cpp).
var nevraForms = []func(string) (wantedNEVRA, bool){
	func(s string) (w wantedNEVRA, ok bool) { // NEVRA
		at := strings.LastIndexByte(s, '.')
		if at < 0 || strings.Contains(s[at:], "-") {
			return w, false
		}
		w, ok = cutNEVR(s[:at])
		w.arch = s[at+1:]
		return w, ok && plain(w.arch)
	},
	func(s string) (w wantedNEVRA, ok bool) { // name.arch
		at := strings.LastIndexByte(s, '.')
		if at <= 0 {
			return w, false
		}
		w = wantedNEVRA{name: s[:at], arch: s[at+1:], epoch: -1}
		return w, plain(w.name) && plain(w.arch) && !strings.Contains(w.arch, "-")
	},
	func(s string) (wantedNEVRA, bool) { return wantedNEVRA{name: s, epoch: -1}, plain(s) },
	cutNEVR,
	func(s string) (w wantedNEVRA, ok bool) { // name-version
		name, version, ok := cutLast(s)
		w = wantedNEVRA{name: name}
		w.epoch, w.version = cutEpoch(version)
		return w, ok && plain(name) && plain(w.version)
	},
}

func cutNEVR(s string) (w wantedNEVRA, ok bool) {
	head, release, ok := cutLast(s)
	if !ok {
		return w, false
	}
	name, version, ok := cutLast(head)
	w = wantedNEVRA{name: name, release: release}
	w.epoch, w.version = cutEpoch(version)
	return w, ok && plain(w.name) && plain(w.version) && plain(w.release)
}

func cutLast(s string) (before, after string, ok bool) {
	at := strings.LastIndexByte(s, '-')
	if at < 0 {
		return "", "", false
	}
	return s[:at], s[at+1:], true
}

func cutEpoch(version string) (int64, string) {
	if digits, rest, ok := strings.Cut(version, ":"); ok {
		if n, err := strconv.ParseUint(digits, 10, 32); err == nil {
			return int64(n), rest
		}
	}
	return -1, version
}

// plain tells parts of a NEVRA, and patterns of them.
func plain(s string) bool { return s != "" && !strings.ContainsAny(s, ":(/=<> ") }

// byNEVRA lists the packages that can be chosen and that fit.
func (pl *pool) byNEVRA(w wantedNEVRA) []solvable {
	name, arch := newMatcher(w.name), newMatcher(w.arch)
	version, release := newMatcher(w.version), newMatcher(w.release)
	fits := func(p solvable) bool {
		k := &pl.pkgs[p]
		if !pl.choosable(p) || w.arch != "" && !arch.match(pl.texts[k.arch]) {
			return false
		}
		epoch, rest := cutEpoch(pl.texts[k.evr])
		v, r := cutRelease(rest)
		return (w.epoch < 0 || w.epoch == max(epoch, 0)) && version.fits(v) && release.fits(r)
	}
	if isGlob(w.name) {
		return pl.each(func(p solvable) bool { return name.match(pl.texts[pl.pkgs[p].name]) && fits(p) })
	}
	id, known := pl.ids[w.name]
	if !known {
		return nil
	}
	var out []solvable
	pl.samePackages(id, func(p solvable) {
		if fits(p) {
			out = append(out, p)
		}
	})
	return out
}

// A matcher compares with a text, or with a pattern of * ? and [].
type matcher struct {
	text    string
	pattern *regexp.Regexp
}

func isGlob(s string) bool { return strings.ContainsAny(s, "*?[") }

func newMatcher(s string) matcher {
	m := matcher{text: s}
	if !isGlob(s) {
		return m
	}
	var b strings.Builder
	b.WriteString(`\A(?s:`)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '*':
			b.WriteString(".*")
		case '?':
			b.WriteString(".")
		case '[':
			if end := strings.IndexByte(s[i+1:], ']'); end > 0 {
				class := s[i+1 : i+1+end]
				class = strings.ReplaceAll(class, `\`, `\\`)
				if strings.HasPrefix(class, "!") {
					class = "^" + class[1:]
				}
				b.WriteString("[" + class + "]")
				i += end + 1
				continue
			}
			b.WriteString(`\[`)
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	b.WriteString(`)\z`)
	m.pattern, _ = regexp.Compile(b.String()) // a class that cannot be read is taken as text
	return m
}

func (m matcher) match(s string) bool {
	if m.pattern != nil {
		return m.pattern.MatchString(s)
	}
	return m.text == s
}

// fits compares versions: 1.0 is 1.00. An empty one takes anything.
func (m matcher) fits(version string) bool {
	if m.text == "" || m.pattern != nil {
		return m.text == "" || m.pattern.MatchString(version)
	}
	return rpm.CompareVersion(m.text, version) == 0
}

var capability = regexp.MustCompile(`^(\S+)(?:\s*(<=|>=|=|<|>)\s*(\S+))?$`)

// byCapability lists who provides a capability, "name" or "name >= version", or may
// fulfil a condition in parentheses.
func (pl *pool) byCapability(spec string) []solvable {
	if strings.HasPrefix(spec, "(") {
		list := slices.Clone(pl.provides(pl.dep(pl.text(spec), 0, 0)))
		return slices.DeleteFunc(list, func(p solvable) bool { return !pl.choosable(p) })
	}
	m := capability.FindStringSubmatch(strings.TrimSpace(spec))
	if m == nil {
		return nil
	}
	var flags catalog.Flags
	for _, c := range m[2] {
		flags |= map[rune]catalog.Flags{'<': catalog.Less, '>': catalog.Greater, '=': catalog.Equal}[c]
	}
	evr := pl.text(strings.TrimPrefix(m[3], "0:"))
	var out []solvable
	for _, name := range pl.capabilities(m[1]) {
		out = append(out, pl.provides(pl.dep(name, flags, evr))...)
	}
	slices.Sort(out)
	return slices.DeleteFunc(slices.Compact(out), func(p solvable) bool { return !pl.choosable(p) })
}

func (pl *pool) capabilities(name string) []text {
	if !isGlob(name) {
		if id, ok := pl.ids[name]; ok {
			return []text{id}
		}
		return nil
	}
	m := newMatcher(name)
	var out []text
	for id := range pl.files { // paths that somebody depends on
		if m.match(pl.texts[id]) {
			out = append(out, id)
		}
	}
	for id := 1; id < len(pl.start)-1; id++ {
		if pl.start[id] < pl.start[id+1] && m.match(pl.texts[id]) {
			out = append(out, text(id))
		}
	}
	return out
}

// byFile lists who owns a path that the catalogs list, or paths of a pattern.
func (pl *pool) byFile(path string) []solvable {
	if !strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "*/") {
		return nil
	}
	m := newMatcher(path)
	return pl.each(func(p solvable) bool {
		c, l := pl.listed(p)
		return slices.ContainsFunc(c.Files[l.Files.Start:l.Files.End], func(f catalog.File) bool { return m.match(c.Path(f)) })
	})
}

// jobs turns a selection into what is asked for: one of its packages, or of a pattern one
// for each name.
func (pl *pool) jobs(spec string, sel selection, best bool) []job {
	if !sel.glob && !sel.archGlob {
		list := sel.list
		if sel.justName {
			list = merged(list, pl.obsoleters(list))
		}
		return []job{{spec: spec, candidates: list, best: best}}
	}
	type key struct{ name, arch text }
	groups, order := map[key][]solvable{}, []key(nil)
	for _, p := range sel.list {
		k := key{name: pl.pkgs[p].name}
		if sel.archGlob {
			k.arch = pl.pkgs[p].arch
		}
		if groups[k] == nil {
			order = append(order, k)
		}
		groups[k] = append(groups[k], p)
	}
	var out []job
	for _, k := range order {
		list := groups[k]
		if sel.justName || sel.archGlob {
			list = merged(list, pl.obsoleters(list))
		}
		out = append(out, job{spec: spec, candidates: list, best: best})
	}
	return out
}

// obsoleters lists the packages that obsolete one of a list.
func (pl *pool) obsoleters(list []solvable) []solvable {
	target := map[solvable]bool{}
	for _, p := range list {
		target[p] = true
	}
	return pl.each(func(p solvable) bool {
		found := false
		pl.obsoleted(p, func(q solvable, _ dep) { found = found || target[q] })
		return found
	})
}
