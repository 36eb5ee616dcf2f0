package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/depsolve"
	"airbundle/manifest"
)

// A setTask is one package set for one arch.
type setTask struct {
	set   *lockfile.PackageSet
	arch  string
	repos []*repository
	picks []pick

	streams []string // of modules that picks come from, name:stream
}

// into is the repository path at the target.
func (t *setTask) into() string { return t.set.Into + "/" + t.arch }

func (t *setTask) String() string { return "packages into " + t.set.Into + " for " + t.arch }

// A pick is a package that a set carries, free of the catalogs it was found in.
type pick struct {
	name, evr, arch string
	places          []place // never empty
}

func (p pick) nevra() string { return manifest.NEVRA(p.name, p.evr, p.arch) }

// A place is where a package can be had.
type place struct {
	repo              *repository
	base, location    string
	checksum          string
	size, headerStart int64
}

// lockPackages closes each set over its dependencies, for each of its arches, and pins
// what came out.
func (r *resolver) lockPackages(ctx context.Context, lock *lockfile.Lock) {
	tasks := r.tasks()
	all := r.assign(tasks)
	r.read(ctx, all)
	lock.Absent = r.absences(tasks, lock.Absent)
	r.solveAll(ctx, tasks)
	for _, p := range all {
		p.catalog, p.owners = nil, nil // the largest things there are
	}
	if len(r.errs) > 0 || context.Cause(ctx) != nil {
		return // signers are asked for when all is solvable
	}
	carried := r.carry(tasks)
	r.pin(ctx, carried, lock)
	if len(r.errs) == 0 {
		r.slice(ctx, tasks, lock)
	}
}

func (r *resolver) tasks() []*setTask {
	var tasks []*setTask
	for i := range r.req.Packages {
		set := &r.req.Packages[i]
		arches := set.Arches
		if len(arches) == 0 {
			arches = r.req.Arches
		}
		for _, arch := range arches {
			tasks = append(tasks, &setTask{set: set, arch: arch})
		}
	}
	return tasks
}

// ready says whether all repositories of a task could be read; those that could not have
// been reported.
func (t *setTask) ready() bool {
	return !slices.ContainsFunc(t.repos, func(p *repository) bool { return p.err != nil })
}

func (r *resolver) solveAll(ctx context.Context, tasks []*setTask) {
	name := func(i int) string { return fmt.Sprintf("%s: %d packages", tasks[i], len(tasks[i].picks)) }
	var todo []*setTask
	for _, t := range tasks {
		if t.ready() && len(r.wanted(t)) > 0 {
			todo = append(todo, t)
		}
	}
	tasks = todo
	failed := r.each(ctx, len(tasks), name, func(i int) error { return r.solveSet(ctx, tasks[i]) })
	for i, err := range failed {
		if u, ok := errors.AsType[*depsolve.UnsolvableError](err); ok { // each problem on a line
			for _, p := range u.Problems {
				r.fail(int(tasks[i].set.Line), tasks[i].String(), &depsolve.UnsolvableError{Problems: []string{p + tasks[i].unlistedFiles(p)}})
			}
		} else if err != nil {
			r.fail(int(tasks[i].set.Line), tasks[i].String(), err)
		}
	}
}

// unlistedFiles adds to a problem with a file which repositories do not list theirs.
func (t *setTask) unlistedFiles(problem string) string {
	var out string
	if !strings.HasPrefix(problem, "/") && !strings.Contains(problem, "nothing provides /") {
		return out
	}
	for _, p := range t.repos {
		if _, ok := p.index.Find("filelists"); !ok {
			out += "\n  repomd.xml of repository " + p.String() + " names no filelists: it may have the file"
		}
	}
	return out
}

// wanted is what a set installs on hosts of its arch: not what is said to be absent.
func (r *resolver) wanted(t *setTask) []string {
	return slices.DeleteFunc(slices.Clone(t.set.Install), func(spec string) bool {
		return slices.ContainsFunc(r.result.Lock.Absent, func(a lockfile.Absent) bool { return a.Name == spec && a.Arch == t.arch })
	})
}

func (r *resolver) solveSet(ctx context.Context, t *setTask) error {
	if len(t.repos) == 0 {
		return report.WithClass(report.ClassUsage, fmt.Errorf("no repository of the request is for %s: look at arches and from", t.arch))
	}
	q := depsolve.Request{
		Arch: t.arch, Install: r.wanted(t), Exclude: t.set.Exclude, Present: t.set.Present, Modules: t.set.Modules,
		Weak: t.set.Weak, NotBest: t.set.Best != nil && !*t.set.Best,
	}
	if r.named != nil {
		q.Prefer = r.named.prefer[t.into()]
	}
	for _, p := range t.repos {
		q.Repos = append(q.Repos, p.forSolving())
	}
	s, err := r.solve(ctx, q)
	if err != nil {
		return err
	}
	t.streams = s.Streams
	for _, note := range s.Notes {
		r.note("%s: %s", t, note)
	}
	for _, p := range s.Packages {
		t.picks = append(t.picks, t.pick(p))
	}
	r.otherContent(t)
	return nil
}

// pick takes a package out of the catalogs.
func (t *setTask) pick(picked depsolve.Picked) pick {
	var out pick
	for i, at := range picked.Places {
		repo := t.repos[at.Repo]
		p := &repo.catalog.Packages[at.Package]
		if i == 0 {
			c := repo.catalog
			out.name, out.evr, out.arch = strings.Clone(c.Text(p.Name)), strings.Clone(c.Text(p.EVR)), strings.Clone(c.Text(p.Arch))
		}
		out.places = append(out.places, place{
			repo: repo, base: strings.Clone(repo.catalog.Text(p.Base)), location: strings.Clone(p.Location),
			checksum: strings.Clone(p.Checksum), size: p.Size, headerStart: p.HeaderStart,
		})
	}
	slices.SortFunc(out.places, comparePlaces)
	return out
}

// comparePlaces orders the places of the same bytes, whatever the order of the request.
func comparePlaces(a, b place) int {
	return cmp.Or(cmp.Compare(a.repo.priority(), b.repo.priority()), cmp.Compare(a.repo.wish.ID, b.repo.wish.ID), cmp.Compare(a.location, b.location))
}

// otherContent tells of packages that another repository has with other bytes.
func (r *resolver) otherContent(t *setTask) {
	byName := map[string][]*pick{}
	for i := range t.picks {
		p := &t.picks[i]
		byName[p.name] = append(byName[p.name], p)
	}
	for _, repo := range t.repos {
		c := repo.catalog
		for i := range c.Packages {
			p := &c.Packages[i]
			for _, have := range byName[c.Text(p.Name)] {
				if have.evr == c.Text(p.EVR) && have.arch == c.Text(p.Arch) && differ(have.places[0].checksum, p.Checksum) {
					r.note("%s: repository %s has it as %s, repository %s as %s: took the former", c.NEVRA(p), have.places[0].repo, have.places[0].checksum, repo, p.Checksum)
				}
			}
		}
	}
}

// differ says whether two checksums are of different contents; those of two algorithms
// cannot be compared.
func differ(a, b string) bool {
	kindA, _, _ := strings.Cut(a, ":")
	kindB, _, _ := strings.Cut(b, ":")
	return kindA == kindB && a != b
}

// absences checks what the request says to be absent against what the repositories have.
// A package that is there after all is no absence.
func (r *resolver) absences(tasks []*setTask, said []lockfile.Absent) []lockfile.Absent {
	return slices.DeleteFunc(said, func(a lockfile.Absent) bool {
		for _, t := range tasks {
			if a.Name == "" || a.Arch != t.arch || !slices.Contains(t.set.Install, a.Name) || !t.ready() {
				continue
			}
			for _, p := range t.repos {
				if hasName(p.catalog, a.Name) {
					r.note("%s is said to be absent for %s, but repository %s has it: it is carried; take it out of absent", a.Name, a.Arch, p)
					return true
				}
			}
		}
		return false
	})
}

func hasName(c *catalog.Catalog, name string) bool {
	return slices.ContainsFunc(c.Packages, func(p catalog.Package) bool { return c.Text(p.Name) == name })
}

// A carried package is one entry of the lock in the making.
type carried struct {
	pick
	basearch, repo string
	groups, notes  []string
	line           int
}

// carry unites what sets bring into the same repository.
func (r *resolver) carry(tasks []*setTask) []*carried {
	var all []*carried
	known := map[string]*carried{}
	for _, t := range tasks {
		for _, p := range t.picks {
			key := t.into() + "/" + p.nevra()
			c := known[key]
			if c == nil {
				c = &carried{pick: p, basearch: t.arch, repo: t.into(), line: int(t.set.Line)}
				known[key] = c
				all = append(all, c)
			} else if err := c.unite(p); err != nil {
				r.fail(int(t.set.Line), t.String(), err)
			}
			c.groups = union(c.groups, t.set.Groups)
			if t.set.Note != "" {
				c.notes = union(c.notes, []string{t.set.Note})
			}
		}
	}
	return all
}

// unite adds the places where another set found the same package.
func (c *carried) unite(p pick) error {
	if differ(c.places[0].checksum, p.places[0].checksum) {
		return report.WithClass(report.ClassContent, errors.New(c.nevra()+": two sets bring it into one repository with different contents, from "+
			c.places[0].repo.String()+" and "+p.places[0].repo.String()+": give both sets the same from, or another into"))
	}
	for _, at := range p.places {
		known := slices.ContainsFunc(c.places, func(have place) bool { return have.repo == at.repo && have.location == at.location })
		if !known && at.checksum == c.places[0].checksum {
			c.places = append(c.places, at)
		}
	}
	slices.SortFunc(c.places, comparePlaces)
	return nil
}
