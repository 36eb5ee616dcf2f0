package debian

import (
	"fmt"
	"path"
	"strconv"
)

// arches are Debian's names of architectures and rpm's.
var arches = map[string]string{"all": "noarch", "amd64": "x86_64", "arm64": "aarch64", "i386": "i686"}

// isa are the architectures as rpm's %{_isa} writes them behind a name.
var isa = map[string]string{"x86_64": "(x86-64)", "aarch64": "(aarch-64)", "i686": "(x86-32)"}

// A Package is one package as rpm-md lists it.
type Package struct {
	name, epoch, version, release, arch string
	summary, url, section               string
	digest, location, source            string
	size, installed                     int64
	same                                bool // may stand beside itself for another arch

	provides, requires, conflicts, obsoletes []relation
	recommends, suggests, enhances           []relation
}

func newPackage(s stanza) (*Package, error) {
	p := &Package{
		name: s["Package"], arch: arches[s["Architecture"]], summary: s["Description"], url: s["Homepage"],
		section: s["Section"], digest: s["SHA256"], same: s["Multi-Arch"] == "same",
		requires: hard(s["Pre-Depends"], s["Depends"]), recommends: hard(s["Recommends"]), suggests: hard(s["Suggests"]),
		enhances: hard(s["Enhances"]), conflicts: flat(s["Conflicts"], s["Breaks"]),
	}
	if p.name == "" || p.arch == "" || s["Version"] == "" || p.digest == "" {
		return nil, fmt.Errorf("package %q %q %q: a field is missing or unheard of", p.name, s["Version"], s["Architecture"])
	}
	p.epoch, p.version, p.release = evr(s["Version"])
	if p.release == "" {
		p.release = "0"
	}
	var err error
	if p.size, err = strconv.ParseInt(s["Size"], 10, 64); err != nil {
		return nil, fmt.Errorf("package %s: size: %w", p.name, err)
	}
	if kib, err := strconv.ParseInt(s["Installed-Size"], 10, 64); err == nil {
		p.installed = kib << 10
	}
	file := fmt.Sprintf("%s-%s-%s.%s.rpm", p.name, p.version, p.release, p.arch)
	p.location = path.Join(path.Dir(s["Filename"]), file)
	p.source = p.name + "-" + p.version + "-" + p.release + ".src.rpm"
	p.provide(s)
	p.obsolete(s)
	return p, nil
}

func (p *Package) self(suffix string) relation {
	return relation{p.name + suffix, "EQ", p.epoch, p.version, p.release}
}

// provide adds what every rpm provides, its own name, once more with the arch where
// requirements may ask for it.
func (p *Package) provide(s stanza) {
	p.provides = []relation{p.self("")}
	if p.same && p.arch != "noarch" {
		p.provides = append(p.provides, p.self(isa[p.arch]))
	}
	p.provides = unique(append(p.provides, flat(s["Provides"])...))
}

// obsolete keeps of Replaces what rpm would call Obsoletes: versioned ones where the older
// package must go too, since Debian mostly replaces files, not packages. Names that a package
// itself provides are left out: many would obsolete each other.
func (p *Package) obsolete(s stanza) {
	gone := map[relation]bool{}
	for _, r := range p.conflicts {
		gone[r] = true
	}
	own := map[string]bool{}
	for _, r := range p.provides {
		own[r.name] = true
	}
	for _, r := range flat(s["Replaces"]) {
		if gone[r] && !own[r.name] && (r.flags == "LT" || r.flags == "LE") {
			p.obsoletes = append(p.obsoletes, r)
		}
	}
}

// stamp gives what a package provides without a version its own one where somebody conflicts
// with versions of that name: to Debian no version is none, to rpm it is any.
func (p *Package) stamp(contested map[string]bool) {
	for i, r := range p.provides {
		if r.flags == "" && contested[r.name] {
			p.provides[i] = relation{r.name, "EQ", p.epoch, p.version, p.release}
		}
	}
	p.provides = unique(p.provides)
}

// bind makes exact requirements between packages that stand beside themselves ask for the
// same arch, as rpm's packagers write them.
func (p *Package) bind(same map[string]bool) {
	if !p.same || p.arch == "noarch" {
		return
	}
	for i, r := range p.requires {
		if r.flags == "EQ" && same[r.name] {
			p.requires[i].name += isa[p.arch]
		}
	}
}
