package agreement

import (
	"hash/crc32"
	"math/rand/v2"
	"slices"
	"strings"

	"airbundle/test/agreement/oracle"
)

// pick tells whether a name is the rest-th of every n, by its checksum: the same in every run.
func pick(name string, n, rest uint32) bool { return crc32.ChecksumIEEE([]byte(name))%n == rest }

// names are those of the packages of the first arch.
func (s *set) names() []string {
	seen := map[string]bool{}
	for _, r := range s.repos {
		for i := range r.Catalog.Packages {
			p := &r.Catalog.Packages[i]
			if arch := r.Catalog.Text(p.Arch); arch == s.arch || arch == "noarch" {
				seen[r.Catalog.Text(p.Name)] = true
			}
		}
	}
	out := make([]string, 0, len(seen))
	for n := range seen {
		out = append(out, n)
	}
	slices.Sort(out)
	return out
}

// first are requests that need no answer to be made.
func (s *set) first() (all []oracle.Request) {
	for _, n := range s.names() {
		switch {
		case pick(n, s.share, 0):
			all = append(all, oracle.Request{ID: n, Install: []string{n}})
		case pick(n, s.share*4, 1):
			all = append(all, oracle.Request{ID: n + ", weak", Install: []string{n}, Weak: true})
		case pick(n, s.share*6, 2):
			all = append(all, oracle.Request{ID: n + ", not best", Install: []string{n}, NotBest: true})
		case pick(n, s.share*12, 3):
			all = append(all, oracle.Request{ID: n + "*", Install: []string{n + "*"}})
		case pick(n, s.share*12, 4) && s.arch == "x86_64":
			all = append(all, oracle.Request{ID: n + ".i686", Install: []string{n + ".i686"}})
		}
	}
	if s.modular {
		all = append(all, s.streams()...)
		all = append(all, s.groups()...)
	}
	return all
}

// streams asks for packages of every module stream, with it enabled.
func (s *set) streams() (all []oracle.Request) {
	done := map[string]bool{}
	for _, r := range s.repos {
		if r.Modules == nil {
			continue
		}
		for _, m := range r.Modules.Streams {
			if !full && m.Name != "nodejs" && m.Name != "redis" {
				continue // each enabled stream has dnf read everything once more
			}
			stream := m.Name + ":" + m.Stream
			for _, a := range m.Artifacts {
				name := a[:strings.LastIndex(a[:strings.LastIndexByte(a, '-')], "-")]
				if done[stream+name] || strings.HasSuffix(a, ".src") || !pick(name, 6, 0) && name != m.Name {
					continue
				}
				done[stream+name] = true
				all = append(all, oracle.Request{ID: stream + " " + name, Install: []string{name}, Modules: []string{stream}})
			}
			if !done[m.Name] {
				done[m.Name] = true
				all = append(all, oracle.Request{ID: m.Name + ", default stream", Install: []string{m.Name}})
			}
		}
	}
	return all
}

// groups asks for every group, in the small form for some.
func (s *set) groups() (all []oracle.Request) {
	for _, r := range s.repos {
		if r.Comps == nil {
			continue
		}
		var ids []string
		for _, g := range r.Comps.Groups {
			ids = append(ids, g.ID)
		}
		for _, e := range r.Comps.Environments {
			ids = append(ids, e.ID)
		}
		for _, id := range ids {
			request := oracle.Request{ID: "@" + id, Install: []string{"@" + id}}
			if (full || pick(id, 40, 0)) && !slices.ContainsFunc(all, func(r oracle.Request) bool { return r.ID == request.ID }) {
				all = append(all, request)
			}
		}
	}
	return all
}

// second are requests made of what can be installed: lists of many names, and answers that
// must do without a package of the first answer, or name a version.
func (s *set) second(first []*outcome) (all []oracle.Request) {
	random := rand.New(rand.NewPCG(1, uint64(len(s.arch))))
	var names []string
	var single []*outcome
	for _, o := range first {
		if !o.dnfRefuses() && o.ID == o.Install[0] && !strings.ContainsAny(o.ID, "@*") && len(o.dnf.Packages) > 3 {
			names = append(names, o.ID)
			single = append(single, o)
		}
	}
	lists, others := 10, 8
	if full {
		lists, others = 70, 70
	}
	for i := range lists {
		n := 5 + random.IntN(46)
		if i%3 == 0 || n > len(names) {
			n = 2 + random.IntN(9)
		}
		var list []string
		for _, k := range random.Perm(len(names))[:min(n, len(names))] {
			list = append(list, names[k])
		}
		all = append(all, oracle.Request{ID: "list of " + strings.Join(list, ","), Install: list, Weak: i%5 == 3, NotBest: i%5 == 4})
	}
	for range others {
		o := single[random.IntN(len(single))]
		nevra := o.dnf.Packages[random.IntN(len(o.dnf.Packages))]
		dash := strings.LastIndexByte(nevra, '-')
		name := nevra[:strings.LastIndexByte(nevra[:dash], '-')]
		if name != o.ID {
			all = append(all, oracle.Request{ID: o.ID + " without " + name, Install: o.Install, Exclude: []string{name}})
		}
		for _, spec := range []string{nevra, nevra[:dash], name + " >= " + nevra[len(name)+1:dash]} {
			all = append(all, oracle.Request{ID: spec, Install: []string{spec}})
		}
	}
	return all
}
