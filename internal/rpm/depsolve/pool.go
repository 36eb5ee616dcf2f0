package depsolve

import (
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// A solvable is the number of a package in the pool. The numbers rise with the order of the
// repositories and of the packages in them, which decides where all else is equal.
// A literal is a solvable that is to be installed, or its negative: not to be.
type solvable = int32

// A text is the number of a text in the pool, the same for all repositories.
type text = int32

// A dep is the number of a dependency in the pool.
type dep = int32

// host stands for what rpm itself provides. It is always installed.
const host solvable = 1

// A pkg is a package of a repository.
type pkg struct {
	name, evr, arch text
	repo, index     int32
	score           uint32 // of its arch, see archScores
	prio            int32  // the higher one wins

	disabled  bool // excluded, or of a module stream that is not active
	installed bool // the hosts have it
	multi     bool // versions of it live beside each other, as kernels do
	prefer    bool // wanted where a choice allows
}

// A dependency is what one package wants of others.
type dependency struct {
	name, evr text
	flags     catalog.Flags
	rich      *rich // set: name is the whole condition
}

// A pool holds the packages of all repositories and knows who provides what.
type pool struct {
	arch   string
	repos  []Repo
	maps   []repoMap
	active []*catalog.Module // streams
	pkgs   []pkg             // from 2 on

	texts []string
	ids   map[string]text

	deps      []dependency
	depIDs    map[dependency]dep
	richIDs   map[text]dep
	providers map[dep][]solvable // found so far

	start []uint32 // of each text's providers in lists
	lists []solvable
	notes []string            // see Solution
	files map[text][]solvable // who owns or provides a path, of those that somebody depends on
	asked bool                // the repositories, for what is not in their catalogs
}

// A repoMap translates the numbers of one catalog.
type repoMap struct {
	first solvable // of its packages
	texts []text
	deps  []dep // 0: not yet translated
}

// newPool takes over the packages of all repositories that hosts of the arch can have.
func newPool(repos []Repo, arch string) *pool {
	pl := &pool{
		arch: arch, repos: repos, pkgs: make([]pkg, host+1), texts: []string{""}, ids: map[string]text{"": 0},
		deps: make([]dependency, 1), depIDs: map[dependency]dep{}, richIDs: map[text]dep{},
		providers: map[dep][]solvable{}, files: map[text][]solvable{},
	}
	scores := archScores(arch)
	for r, repo := range repos {
		c := repo.Catalog
		m := repoMap{first: solvable(len(pl.pkgs)), texts: make([]text, c.Texts()), deps: make([]dep, len(c.Deps))}
		for i := range m.texts {
			m.texts[i] = pl.text(c.Text(catalog.ID(i)))
		}
		prio := int32(repo.Priority)
		if prio == 0 {
			prio = 99
		}
		for i := range c.Packages {
			p := &c.Packages[i]
			pl.pkgs = append(pl.pkgs, pkg{
				name: m.texts[p.Name], evr: m.texts[p.EVR], arch: m.texts[p.Arch],
				repo: int32(r), index: int32(i), prio: -prio, score: scores[c.Text(p.Arch)],
			})
		}
		pl.maps = append(pl.maps, m)
	}
	pl.indexProvides()
	return pl
}

func (pl *pool) text(s string) text {
	id, ok := pl.ids[s]
	if !ok {
		id = text(len(pl.texts))
		pl.texts = append(pl.texts, s)
		pl.ids[s] = id
	}
	return id
}

// listed returns the catalog's entry of a package.
func (pl *pool) listed(p solvable) (*catalog.Catalog, *catalog.Package) {
	k := &pl.pkgs[p]
	c := pl.repos[k.repo].Catalog
	return c, &c.Packages[k.index]
}

func (pl *pool) nevra(p solvable) string {
	if p == host {
		return "the hosts"
	}
	k := &pl.pkgs[p]
	return pl.texts[k.name] + "-" + pl.texts[k.evr] + "." + pl.texts[k.arch]
}

// usable tells packages that hosts of this arch can have. Others are nobody's providers.
func (k *pkg) usable() bool { return k.score != 0 }

// indexProvides makes the list of providers of every text, ascending. A package provides
// its own name, too.
func (pl *pool) indexProvides() {
	count := make([]uint32, len(pl.texts)+1)
	pl.eachProvide(func(_ solvable, name text) { count[name+1]++ })
	for i := 1; i < len(count); i++ {
		count[i] += count[i-1]
	}
	pl.start = slices.Clone(count)
	pl.lists = make([]solvable, count[len(count)-1])
	end := count[:len(pl.texts)]
	pl.eachProvide(func(p solvable, name text) {
		if at := end[name]; at == pl.start[name] || pl.lists[at-1] != p {
			pl.lists[at] = p
			end[name]++
		}
	})
	// Names that a package provides in several versions leave holes.
	for name := range end {
		for i := end[name]; i < pl.start[name+1]; i++ {
			pl.lists[i] = 0
		}
	}
}

func (pl *pool) eachProvide(f func(p solvable, name text)) {
	for p := host + 1; int(p) < len(pl.pkgs); p++ {
		k := &pl.pkgs[p]
		if !k.usable() {
			continue
		}
		f(p, k.name)
		c, l := pl.listed(p)
		texts := pl.maps[k.repo].texts
		for _, d := range c.List(l.Provides) {
			f(p, texts[c.Deps[d].Name])
		}
	}
}

// named returns who provides a text in any version, ascending.
func (pl *pool) named(name text) []solvable {
	if owners, ok := pl.files[name]; ok {
		return owners
	}
	if int(name)+1 >= len(pl.start) { // came up later, so nobody provides it
		return nil
	}
	list := pl.lists[pl.start[name]:pl.start[name+1]]
	for len(list) > 0 && list[len(list)-1] == 0 {
		list = list[:len(list)-1]
	}
	return list
}

// samePackages calls f for the packages of a name, ascending.
func (pl *pool) samePackages(name text, f func(solvable)) {
	for _, p := range pl.named(name) {
		if pl.pkgs[p].name == name {
			f(p)
		}
	}
}

// list translates a list of dependencies of a package.
func (pl *pool) list(p solvable, span spanOf) []dep {
	c, l := pl.listed(p)
	ids := c.List(span(l))
	out := make([]dep, len(ids))
	m := &pl.maps[pl.pkgs[p].repo]
	for i, id := range ids {
		if m.deps[id] == 0 {
			d := c.Deps[id]
			m.deps[id] = pl.dep(m.texts[d.Name], d.Flags, m.texts[d.EVR])
		}
		out[i] = m.deps[id]
	}
	return out
}

// A spanOf names one of the lists of a package.
type spanOf func(*catalog.Package) catalog.Span

// The lists of a package, for list.
func requires(p *catalog.Package) catalog.Span    { return p.Requires }
func conflicts(p *catalog.Package) catalog.Span   { return p.Conflicts }
func obsoletes(p *catalog.Package) catalog.Span   { return p.Obsoletes }
func recommends(p *catalog.Package) catalog.Span  { return p.Recommends }
func suggests(p *catalog.Package) catalog.Span    { return p.Suggests }
func supplements(p *catalog.Package) catalog.Span { return p.Supplements }
func enhances(p *catalog.Package) catalog.Span    { return p.Enhances }

// dep names a dependency. A name in parentheses is a rich one, unless it cannot be read:
// then it is the name of something that nobody provides.
func (pl *pool) dep(name text, flags catalog.Flags, evr text) dep {
	if strings.HasPrefix(pl.texts[name], "(") {
		if d, ok := pl.richIDs[name]; ok {
			return d
		}
		if r := pl.parseRich(pl.texts[name]); r != nil {
			d := pl.addDep(dependency{name: name, rich: r})
			pl.richIDs[name] = d
			return d
		}
	}
	key := dependency{name: name, flags: flags, evr: evr}
	if d, ok := pl.depIDs[key]; ok {
		return d
	}
	d := pl.addDep(key)
	pl.depIDs[key] = d
	return d
}

func (pl *pool) addDep(d dependency) dep {
	pl.deps = append(pl.deps, d)
	return dep(len(pl.deps) - 1)
}

// provides returns who provides a dependency, ascending: for a rich one, who may.
func (pl *pool) provides(d dep) []solvable {
	if list, ok := pl.providers[d]; ok {
		return list
	}
	var list []solvable
	switch q := &pl.deps[d]; {
	case q.rich != nil:
		list = pl.richProviders(q.rich)
	case q.flags == 0:
		list = pl.named(q.name)
	default:
		for _, p := range pl.named(q.name) {
			if pl.provided(p, q) {
				list = append(list, p)
			}
		}
	}
	if len(list) == 0 && strings.HasPrefix(pl.texts[pl.deps[d].name], "rpmlib(") {
		list = []solvable{host}
	}
	pl.providers[d] = list
	return list
}

// provided says whether a package that provides the name of q does so in a fitting version.
// What is provided without a version fits any.
func (pl *pool) provided(p solvable, q *dependency) bool {
	k := &pl.pkgs[p]
	if p == host || k.name == q.name && pl.fits(catalog.Equal, k.evr, q.flags, q.evr) {
		return true
	}
	c, l := pl.listed(p)
	texts := pl.maps[k.repo].texts
	for _, id := range c.List(l.Provides) {
		d := c.Deps[id]
		if texts[d.Name] == q.name && (d.Flags == 0 || pl.fits(d.Flags, texts[d.EVR], q.flags, q.evr)) {
			return true
		}
	}
	return false
}

// isNamed says whether a dependency means a package by its name and version, as Obsoletes do.
func (pl *pool) isNamed(p solvable, d dep) bool {
	q := &pl.deps[d]
	k := &pl.pkgs[p]
	if q.rich != nil {
		return q.rich.names(pl, p)
	}
	if k.name != q.name {
		return false
	}
	return q.flags == 0 || pl.fits(catalog.Equal, k.evr, q.flags, q.evr)
}

// obsoleted calls f for the packages that p obsoletes by its Obsoletes.
func (pl *pool) obsoleted(p solvable, f func(q solvable, by dep)) {
	for _, d := range pl.list(p, obsoletes) {
		for _, q := range pl.provides(d) {
			if q != host && pl.isNamed(q, d) {
				f(q, d)
			}
		}
	}
}

// depText writes a dependency as packagers do.
func (pl *pool) depText(d dep) string {
	q := &pl.deps[d]
	if q.flags == 0 {
		return pl.texts[q.name]
	}
	return pl.texts[q.name] + " " + q.flags.String() + " " + pl.texts[q.evr]
}
