package lock

import (
	"cmp"
	"context"
	"io"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
)

// A target is one repository at the target: all sets that go into it.
type target struct {
	into    string // with the arch
	repos   []*repository
	nevras  []string
	names   []string
	streams []string
	line    int
}

// targets gives the repositories at the target, sorted, each with where its packages came
// from, sorted.
func targets(tasks []*setTask) []*target {
	byInto := map[string]*target{}
	for _, t := range tasks {
		g := byInto[t.into()]
		if g == nil {
			g = &target{into: t.into(), line: int(t.set.Line)}
			byInto[t.into()] = g
		}
		for _, p := range t.picks {
			g.nevras = append(g.nevras, p.nevra())
			g.names = append(g.names, p.name)
		}
		g.streams = union(g.streams, t.streams)
		for _, p := range t.repos {
			if !slices.Contains(g.repos, p) {
				g.repos = append(g.repos, p)
			}
		}
	}
	var all []*target
	for _, into := range sortedKeys(byInto) {
		g := byInto[into]
		slices.Sort(g.nevras)
		slices.Sort(g.names)
		g.nevras, g.names = slices.Compact(g.nevras), slices.Compact(g.names)
		slices.SortFunc(g.repos, func(a, b *repository) int { return cmp.Compare(a.wish.ID, b.wish.ID) })
		all = append(all, g)
	}
	return all
}

// slice makes side files of the metadata that belongs to carried packages: module
// streams, groups, advisories.
func (r *resolver) slice(ctx context.Context, tasks []*setTask, lock *lockfile.Lock) {
	all := targets(tasks)
	made := make([][3][]byte, len(all))
	failed := r.each(ctx, len(all), nil, func(i int) (err error) {
		g := all[i]
		var modules []*catalog.Modules
		var comps []*catalog.Comps
		for _, p := range g.repos {
			if p.modules != nil {
				modules = append(modules, p.modules)
			}
			if p.comps != nil {
				comps = append(comps, p.comps)
			}
		}
		made[i][0], made[i][1] = repodata.SliceModules(modules, g.nevras), repodata.SliceComps(comps, g.names)
		made[i][2], err = g.updateinfo(ctx)
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(all[i].line, "advisories of the packages into "+all[i].into, err)
			continue
		}
		for n, kind := range []struct{ name, end string }{{"modules", "yaml"}, {"comps", "xml"}, {"updateinfo", "xml"}} {
			m := r.side(all[i].into, kind.name, kind.end, made[i][n])
			if m.Size == 0 {
				continue
			}
			if kind.name == "modules" && len(all[i].streams) > 0 {
				m.Note = "streams " + strings.Join(slices.Sorted(slices.Values(all[i].streams)), ", ")
			}
			lock.Metadata = append(lock.Metadata, m)
		}
	}
}

// updateinfo cuts the advisories of all repositories to the carried packages.
func (g *target) updateinfo(ctx context.Context) ([]byte, error) {
	var all []io.Reader
	for _, p := range g.repos {
		d, ok := p.index.Find("updateinfo")
		if !ok {
			continue
		}
		rc, err := p.open(ctx, d)
		if err != nil {
			return nil, err
		}
		defer rc.Close()
		all = append(all, rc)
	}
	if len(all) == 0 {
		return nil, nil
	}
	slice, err := repodata.SliceUpdateinfo(all, g.nevras)
	return slice, damaged(err)
}

// side keeps one side file and pins it. Its name holds its digest, so that the lock which
// stands there stays whole until the new one takes its place. Without content or a place
// for it there is no pin.
func (r *resolver) side(into, kind, end string, content []byte) lockfile.Metadata {
	if len(content) == 0 {
		return lockfile.Metadata{}
	}
	if r.o.Side == "" {
		r.note("%s of %s are left out: a lock on standard output has no place for side files", kind, into)
		return lockfile.Metadata{}
	}
	d := digest.FromBytes(content)
	name := path.Join(r.o.Side, strings.ReplaceAll(into, "/", "-")+"."+kind+"."+d.Encoded()[:12]+"."+end)
	r.result.Files[name] = content
	return lockfile.Metadata{
		Repo: into, Type: kind, URLs: []string{"file:" + (&url.URL{Path: name}).EscapedPath()}, Size: int64(len(content)), Digest: d,
	}
}
