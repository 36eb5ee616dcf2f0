package createrepo

import (
	"cmp"
	"strings"

	"airbundle/internal/rpm"
)

// A dependency is one entry of a list in primary.xml.
type dependency struct {
	name                    string
	flags                   string // empty: any version
	epoch, version, release string
	pre                     bool
}

func writeDependencies(w *xmlWriter, name string, deps []dependency) {
	if len(deps) == 0 {
		return
	}
	w.printf("    <%s>\n", name)
	for _, d := range deps {
		w.put("      <rpm:entry")
		w.attribute("name", d.name)
		if d.flags != "" {
			w.attribute("flags", d.flags)
			for _, a := range [][2]string{{"epoch", d.epoch}, {"ver", d.version}, {"rel", d.release}} {
				if a[1] != "" {
					w.attribute(a[0], a[1])
				}
			}
		}
		if d.pre {
			w.attribute("pre", "1")
		}
		w.put("/>\n")
	}
	w.printf("    </%s>\n", name)
}

// dependencies turns a list of the header into one of primary.xml.
func dependencies(list []rpm.Dependency) []dependency {
	var out []dependency
	for _, d := range list {
		if dep, ok := newDependency(d); ok {
			out = append(out, dep)
		}
	}
	return out
}

// newDependency takes a version apart. It is false for a dependency that no client could
// read: one without a name, or with something else than a number for an epoch.
func newDependency(d rpm.Dependency) (dependency, bool) {
	if d.Name == "" {
		return dependency{}, false
	}
	out := dependency{name: d.Name, flags: flagNames[d.Flags&(rpm.SenseLess|rpm.SenseGreater|rpm.SenseEqual)]}
	if d.EVR == "" {
		return out, true
	}
	out.epoch, out.version = "0", d.EVR
	if epoch, rest, found := strings.Cut(d.EVR, ":"); found {
		if strings.Trim(epoch, "0123456789") != "" {
			return dependency{}, false
		}
		out.epoch, out.version = cmp.Or(epoch, "0"), rest
	}
	out.version, out.release, _ = strings.Cut(out.version, "-")
	return out, true
}

var flagNames = map[rpm.Sense]string{
	rpm.SenseLess:                     "LT",
	rpm.SenseGreater:                  "GT",
	rpm.SenseEqual:                    "EQ",
	rpm.SenseLess | rpm.SenseEqual:    "LE",
	rpm.SenseGreater | rpm.SenseEqual: "GE",
}

const preSense = rpm.SensePrereq | rpm.SenseScriptPre | rpm.SenseScriptPost

// requires turns the list of requirements into that of primary.xml, which leaves out what a
// client need not look for elsewhere, and of the symbol versions of libc.so.6 all but
// the highest. Requirements that may be missing are returned as what they are:
// recommendations, in the words of older packages.
func requires(p *rpm.Package) (out, recommended []dependency) {
	needless := newNeedless(p)
	var libc *dependency
	for _, d := range p.Requires {
		dep, ok := newDependency(d)
		if !ok || needless.is(d) {
			continue
		}
		dep.pre = d.Flags&preSense != 0
		switch {
		case d.Flags&rpm.SenseMissingOK != 0:
			dep.pre = false
			recommended = append(recommended, dep)
		case !strings.HasPrefix(d.Name, "libc.so.6"):
			out = append(out, dep)
			needless.last[d.Name] = asSaid(d)
		case libc == nil || compareLibc(libc.name, dep.name) < 0:
			libc = &dep
		}
	}
	if libc != nil {
		out = append(out, *libc)
	}
	return out, recommended
}

// needless knows the requirements of a package that primary.xml leaves out: what rpm itself
// provides, what the package provides or has among its primary files, and what is
// the same as the requirement of that name just before.
type needless struct {
	provided map[rpm.Dependency]bool
	files    map[string]bool
	last     map[string]said
}

// said is what a requirement says, but for bits that no client looks at.
type said struct {
	dep rpm.Dependency
	pre bool
}

func asSaid(d rpm.Dependency) said { return said{bare(d), d.Flags&preSense != 0} }

func newNeedless(p *rpm.Package) needless {
	n := needless{provided: map[rpm.Dependency]bool{}, files: map[string]bool{}, last: map[string]said{}}
	for _, d := range p.Provides {
		n.provided[bare(d)] = true
	}
	for _, f := range p.Files {
		if path := f.Path(); strings.HasPrefix(path, "/") && isPrimary(path) {
			n.files[path] = true
		}
	}
	return n
}

func (n needless) is(d rpm.Dependency) bool {
	before, ok := n.last[d.Name]
	return strings.HasPrefix(d.Name, "rpmlib(") || n.files[d.Name] || n.provided[bare(d)] || ok && before == asSaid(d)
}

// bare leaves of the flags only those that are part of what is depended on.
func bare(d rpm.Dependency) rpm.Dependency {
	d.Flags &= rpm.SenseLess | rpm.SenseGreater | rpm.SenseEqual
	return d
}

// compareLibc orders libc.so.6 < libc.so.6() < libc.so.6(GLIBC_2.4)(64bit) < libc.so.6(GLIBC_2.17).
func compareLibc(a, b string) int {
	aRank, aVersion := libcVersion(a)
	bRank, bVersion := libcVersion(b)
	if aRank != bRank {
		return aRank - bRank
	}
	return rpm.CompareVersion(aVersion, bVersion)
}

// libcVersion finds the version in the first parentheses; the rank says how much of a
// version there is.
func libcVersion(name string) (rank int, version string) {
	_, inside, found := strings.Cut(name, "(")
	if !found {
		return 0, ""
	}
	inside, _, found = strings.Cut(inside, ")")
	if !found {
		return 1, ""
	}
	at := strings.IndexAny(inside, "0123456789")
	switch {
	case inside == "":
		return 2, ""
	case at < 0:
		return 3, ""
	}
	return 4, inside[at:]
}
