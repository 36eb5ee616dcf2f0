package depsolve

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// modules decides which module streams are active, and disables the packages that they
// hide (libdnf, dnf-sack.cpp, setModuleExcludes): those of streams that are not active,
// and those of no module that go by the name of a package of an active one.
func (pl *pool) modules(ctx context.Context, enable []string) error {
	all := pl.allModules()
	active, err := activeModules(ctx, all, pl.defaultStreams(), enable)
	if err != nil || len(all) == 0 {
		return err
	}
	pl.active = active
	inside, outside := map[string]bool{}, map[string]bool{}
	names := map[string]bool{}
	for _, m := range all {
		for _, artifact := range m.Artifacts {
			if !slices.Contains(active, m) {
				outside[artifactNEVRA(artifact)] = true
				continue
			}
			inside[artifactNEVRA(artifact)] = true
			if w, ok := nevraForms[0](artifact); ok && w.arch != "src" && w.arch != "nosrc" && !slices.Contains(m.Demodularized, w.name) {
				names[w.name] = true
			}
		}
	}
	hide := func(p solvable, is bool) {
		if is && !inside[pl.nevra(p)] {
			pl.pkgs[p].disabled = true
		}
	}
	for p := host + 1; int(p) < len(pl.pkgs); p++ {
		hide(p, outside[pl.nevra(p)])
	}
	for name := range names {
		if id, ok := pl.ids[name]; ok {
			for _, p := range pl.named(id) {
				hide(p, p > host)
			}
		}
	}
	return nil
}

// artifactNEVRA is how the pool writes the NEVRA of a module's package.
func artifactNEVRA(artifact string) string { return strings.Replace(artifact, "-0:", "-", 1) }

// allModules lists the modules that hosts of the arch can have.
func (pl *pool) allModules() []*catalog.Module {
	var out []*catalog.Module
	for _, r := range pl.repos {
		if r.Modules == nil {
			continue
		}
		for i := range r.Modules.Streams {
			out = append(out, &r.Modules.Streams[i])
		}
	}
	return out
}

// defaultStreams returns the default stream of each module. Where repositories disagree
// the document modified last counts, and where that does not decide there is none.
func (pl *pool) defaultStreams() map[string]string {
	type choice struct {
		stream   string
		modified uint64
	}
	choices := map[string]choice{}
	for _, r := range pl.repos {
		if r.Modules == nil {
			continue
		}
		for _, d := range r.Modules.Defaults {
			have, ok := choices[d.Module]
			switch {
			case !ok || d.Modified > have.modified:
				choices[d.Module] = choice{d.Stream, d.Modified}
			case d.Modified == have.modified && d.Stream != have.stream:
				choices[d.Module] = choice{"", d.Modified}
			}
		}
	}
	out := map[string]string{}
	for name, c := range choices {
		if c.stream != "" {
			out[name] = c.stream
		}
	}
	return out
}

// activeModules solves which builds of the enabled and of the default streams go together,
// by the dependencies between modules. Enabled streams must be there; defaults that do
// not go with them are left out.
func activeModules(ctx context.Context, all []*catalog.Module, defaults map[string]string, enable []string) ([]*catalog.Module, error) {
	streams, err := enabledStreams(all, defaults, enable)
	if err != nil {
		return nil, err
	}
	pl := modulePool(all)
	wanted := slices.Sorted(maps.Keys(streams))
	chosen, err := solveModules(ctx, pl, all, streams, wanted)
	if err != nil {
		return nil, err
	}
	var optional []string
	for name, stream := range defaults {
		if _, ok := streams[name]; !ok {
			streams[name] = stream
			optional = append(optional, name)
		}
	}
	slices.Sort(optional)
	together, err := solveModules(ctx, pl, all, streams, slices.Concat(wanted, optional))
	if err == nil || ctx.Err() != nil {
		return together, err
	}
	for _, name := range optional {
		more, err := solveModules(ctx, pl, all, streams, append(slices.Clone(wanted), name))
		if ctx.Err() != nil {
			return nil, err
		}
		if err == nil {
			chosen, wanted = more, append(wanted, name)
		}
	}
	return chosen, nil
}

// enabledStreams reads name:stream, or name for the default stream. Each must exist, one
// for a module.
func enabledStreams(all []*catalog.Module, defaults map[string]string, enable []string) (map[string]string, error) {
	streams := map[string]string{}
	var problems []string
	for _, spec := range enable {
		name, stream, named := strings.Cut(spec, ":")
		if !named {
			stream = defaults[name]
		}
		if other, ok := streams[name]; ok && other != stream {
			problems = append(problems, fmt.Sprintf("module %s is enabled in two streams, %s and %s", name, other, stream))
		}
		if !slices.ContainsFunc(all, func(m *catalog.Module) bool { return m.Name == name && m.Stream == stream }) {
			problems = append(problems, fmt.Sprintf("no repository has module stream %s%s", spec, knownStreams(all, name)))
		}
		streams[name] = stream
	}
	if len(problems) > 0 {
		return nil, &UnsolvableError{Problems: problems}
	}
	return streams, nil
}

func knownStreams(all []*catalog.Module, name string) string {
	var streams []string
	for _, m := range all {
		if m.Name == name {
			streams = append(streams, m.Stream)
		}
	}
	if len(streams) == 0 {
		return ""
	}
	slices.Sort(streams)
	return "; there are " + strings.Join(slices.Compact(streams), ", ")
}

// modulePool makes each build of a stream a package, as libdnf does (ModulePackage.cpp).
func modulePool(all []*catalog.Module) *pool {
	b := catalog.NewBuilder()
	id := func(s string) catalog.ID { return b.Text([]byte(s)) }
	capability := func(s string) catalog.DepID { return b.Dep(catalog.Dependency{Name: id(s)}) }
	for _, m := range all {
		own := capability("module(" + m.Name + ")")
		need, conflict := moduleRequires(m, capability)
		b.Add(catalog.Package{
			Name: id(m.Name + ":" + m.Stream + ":" + m.Context), EVR: id(m.Version), Arch: id("noarch"),
			Provides:  b.List([]catalog.DepID{own, capability("module(" + m.Name + ":" + m.Stream + ")")}),
			Requires:  b.List(need),
			Conflicts: b.List(append(conflict, own)),
		})
	}
	return newPool([]Repo{{ID: "modules", Catalog: b.Catalog()}}, "noarch")
}

// moduleRequires translates what a build of a stream needs. That it needs a platform is not
// asked: the repositories are those of the hosts.
func moduleRequires(m *catalog.Module, capability func(string) catalog.DepID) (need, conflict []catalog.DepID) {
	for _, required := range m.Requires {
		for _, name := range slices.Sorted(maps.Keys(required)) {
			if name == "platform" {
				continue
			}
			var streams []string
			for _, stream := range required[name] {
				if not, ok := strings.CutPrefix(stream, "-"); ok {
					conflict = append(conflict, capability("module("+name+":"+not+")"))
				} else {
					streams = append(streams, "module("+name+":"+stream+")")
				}
			}
			switch len(streams) {
			case 0:
				need = append(need, capability("module("+name+")"))
			case 1:
				need = append(need, capability(streams[0]))
			default:
				need = append(need, capability("("+strings.Join(streams, " or ")+")"))
			}
		}
	}
	return need, conflict
}

// solveModules solves for the streams of the wanted modules.
func solveModules(ctx context.Context, pl *pool, all []*catalog.Module, streams map[string]string, wanted []string) ([]*catalog.Module, error) {
	var jobs []job
	for _, name := range wanted {
		stream := name + ":" + streams[name]
		list := pl.byCapability("module(" + stream + ")")
		if len(list) > 0 {
			jobs = append(jobs, job{spec: "module stream " + stream, candidates: list, best: true})
		}
	}
	s := newSolver(pl, jobs, false)
	if err := s.run(ctx, false); err != nil {
		return nil, err
	}
	if len(s.problems) > 0 {
		return nil, &UnsolvableError{s.explain()}
	}
	var out []*catalog.Module
	for _, p := range s.installed() {
		pl.samePackages(pl.pkgs[p].name, func(q solvable) { // older builds stay visible
			out = append(out, all[pl.pkgs[q].index])
		})
	}
	return out, nil
}
