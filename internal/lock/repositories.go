package lock

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/depsolve"
	"airbundle/internal/rpm/repodata"
)

// A repository is one that sets resolve against, opened once for all of them.
type repository struct {
	wish lockfile.Repo
	arch string // "" where it is the same for all arches
	host string // the arch it is opened for

	*Repository
	index   *repodata.Repomd
	catalog *catalog.Catalog // dropped when all sets are solved
	modules *catalog.Modules
	comps   *catalog.Comps
	err     error

	mu     sync.Mutex
	owners map[string][]int // of the paths that were asked for
}

func (p *repository) String() string {
	if p.arch == "" {
		return p.wish.ID
	}
	return p.wish.ID + " (" + p.arch + ")"
}

// priority is the repository's, with the default.
func (p *repository) priority() int64 {
	if p.wish.Priority == 0 {
		return 99
	}
	return p.wish.Priority
}

// perArch says whether a repository is another one for each arch.
func perArch(w lockfile.Repo) bool {
	return strings.Contains(w.BaseURL+w.MirrorList+w.Metalink+strings.Join(w.GPGKeys, " "), "$basearch")
}

// assign gives each task its repositories, in the order of the request.
func (r *resolver) assign(tasks []*setTask) []*repository {
	var all []*repository
	known := map[string]*repository{}
	for _, t := range tasks {
		for _, w := range r.req.Repos {
			if len(w.Arches) > 0 && !slices.Contains(w.Arches, t.arch) || len(t.set.From) > 0 && !slices.Contains(t.set.From, w.ID) {
				continue
			}
			p := &repository{wish: w, host: t.arch}
			if perArch(w) {
				p.arch = t.arch
			}
			key := w.ID + " " + p.arch
			if known[key] == nil {
				known[key] = p
				all = append(all, p)
			}
			t.repos = append(t.repos, known[key])
		}
	}
	return all
}

// read opens repositories and reads what is needed to resolve against them.
func (r *resolver) read(ctx context.Context, all []*repository) {
	failed := r.each(ctx, len(all), nil, func(i int) error {
		start := time.Now()
		if err := r.load(ctx, all[i]); err != nil {
			return err
		}
		if r.o.Read != nil {
			p := all[i]
			done := Read{Repo: p.wish.ID, Arch: p.arch, Packages: len(p.catalog.Packages), Mirrors: len(p.Metadata.URLs("", "x")), Took: time.Since(start)}
			if p.Skipped != nil {
				done.Skipped = p.Skipped()
			}
			r.o.Read(done)
		}
		return nil
	})
	for i, err := range failed {
		if all[i].err = err; err != nil {
			r.fail(int(all[i].wish.Line), "repo "+all[i].wish.ID, err)
		}
	}
}

func (r *resolver) load(ctx context.Context, p *repository) (err error) {
	if p.Repository, err = r.src.Repositories.Open(ctx, p.wish, p.host, newest); err != nil {
		return err
	}
	for {
		failed := r.parse(ctx, p)
		err = cmp.Or(err, failed) // that of the newest is the one to tell
		if failed == nil || context.Cause(ctx) != nil {
			return failed
		}
		if p.Older == nil {
			return err
		}
		older, ok := p.Older()
		if !ok {
			return err
		}
		p.Repository = older
	}
}

// parse reads the metadata that one repomd.xml names.
func (r *resolver) parse(ctx context.Context, p *repository) (err error) {
	if p.index, err = repodata.ParseRepomd(bytes.NewReader(p.Repomd)); err != nil {
		return err
	}
	if p.catalog, err = r.primary(ctx, p); err != nil {
		return err
	}
	if d, ok := p.index.Find("modules"); ok {
		if p.modules, err = readData(ctx, p, d, repodata.ParseModules); err != nil {
			return err
		}
	}
	p.comps, err = readComps(ctx, p)
	return err
}

// readComps reads the groups, in the first of their forms that can be had: repositories
// list several and do not keep all. dnf asks for the first two.
func readComps(ctx context.Context, p *repository) (*catalog.Comps, error) {
	var first error
	for _, form := range []string{"group_gz", "group", "group_zst", "group_xz"} {
		d, ok := p.index.Find(form)
		if !ok {
			continue
		}
		comps, err := readData(ctx, p, d, repodata.ParseComps)
		if err == nil {
			return comps, nil
		}
		first = cmp.Or(first, err)
	}
	return nil, first
}

// newest is how new a repomd.xml says it is.
func newest(repomd []byte) (int64, error) {
	index, err := repodata.ParseRepomd(bytes.NewReader(repomd))
	if err != nil {
		return 0, err
	}
	return index.Age(), nil
}

// primary reads the list of packages, or the form of it that an earlier run has kept.
func (r *resolver) primary(ctx context.Context, p *repository) (*catalog.Catalog, error) {
	d, ok := p.index.Find("primary")
	if !ok {
		return nil, report.WithClass(report.ClassContent, errors.New("repomd.xml names no primary list"))
	}
	key := "catalog " + d.Checksum.Digest().String()
	if r.src.Cache != nil {
		if rc, ok := r.src.Cache.Cached(key); ok {
			c, err := catalog.Decode(rc)
			_ = rc.Close() // was read to its end, or does not count
			if err == nil {
				return c, nil
			}
		}
	}
	c, err := readData(ctx, p, d, repodata.ParsePrimary)
	if err != nil {
		return nil, err
	}
	if r.src.Cache != nil {
		if err := r.src.Cache.Cache(key, c.Encode); err != nil {
			r.note("the cache keeps nothing of repository %s: %v", p, err)
		}
	}
	return c, nil
}

// open opens one file that repomd.xml names.
func (p *repository) open(ctx context.Context, d repodata.Data) (io.ReadCloser, error) {
	if d.Base != "" {
		return nil, report.WithClass(report.ClassUnavailable, fmt.Errorf("repository %s: repomd.xml says that %s is elsewhere (xml:base), which is not followed", p, d.Location))
	}
	return p.Metadata.File(ctx, d.Location, d.Checksum.Digest().String(), d.Size)
}

// readData reads one file that repomd.xml names.
func readData[T any](ctx context.Context, p *repository, d repodata.Data, parse func(io.Reader) (T, error)) (T, error) {
	var none T
	rc, err := p.open(ctx, d)
	if err != nil {
		return none, err
	}
	defer rc.Close()
	v, err := parse(rc)
	if err != nil {
		return none, damaged(fmt.Errorf("repository %s: %s: %w", p, d.Location, err))
	}
	return v, nil
}

// damaged gives metadata that cannot be read the class of wrong content: its bytes are
// those that repomd.xml names, so to ask again is no help.
func damaged(err error) error {
	if _, malformed := errors.AsType[*repodata.MalformedError](err); malformed {
		return report.WithClass(report.ClassContent, err)
	}
	return err
}

// forSolving is the repository as the solver takes it.
func (p *repository) forSolving() depsolve.Repo {
	s := depsolve.Repo{ID: p.wish.ID, Priority: int(p.wish.Priority), Catalog: p.catalog, Modules: p.modules, Comps: p.comps, Exclude: p.wish.Exclude}
	if d, ok := p.index.Find("filelists"); ok {
		s.Owners = func(ctx context.Context, paths []string) (map[string][]int, error) { return p.owner(ctx, d, paths) }
	}
	return s
}

// owner reads filelists, for the paths that no set has asked for before.
func (p *repository) owner(ctx context.Context, d repodata.Data, paths []string) (map[string][]int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[string]bool{}
	for _, path := range paths {
		if _, known := p.owners[path]; !known {
			wanted[path] = true
		}
	}
	if len(wanted) > 0 {
		ids, err := readData(ctx, p, d, func(r io.Reader) (map[string][]string, error) { return repodata.ParseFilelists(r, wanted) })
		if err != nil {
			return nil, err
		}
		p.remember(wanted, ids)
	}
	out := map[string][]int{}
	for _, path := range paths {
		if list := p.owners[path]; len(list) > 0 {
			out[path] = list
		}
	}
	return out, nil
}

// remember keeps the owners of paths as indices of packages; filelists name them by
// checksum.
func (p *repository) remember(wanted map[string]bool, ids map[string][]string) {
	if p.owners == nil {
		p.owners = map[string][]int{}
	}
	paths := map[string][]string{} // by checksum
	for path := range wanted {
		p.owners[path] = nil
		for _, id := range ids[path] {
			paths[id] = append(paths[id], path)
		}
	}
	for i := range p.catalog.Packages {
		_, id, _ := strings.Cut(p.catalog.Packages[i].Checksum, ":")
		for _, path := range paths[id] {
			p.owners[path] = append(p.owners[path], i)
		}
	}
}
