// Package localrepo reads a yum repository of the disk for package depsolve, as bundler
// reads one of the network.
package localrepo

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/depsolve"
	"airbundle/internal/rpm/repodata"
)

// Open reads the repository in dir.
func Open(dir, id string) (depsolve.Repo, error) {
	r := depsolve.Repo{ID: id}
	md, err := read(filepath.Join(dir, rpm.RepomdPath), repodata.ParseRepomd)
	if err != nil {
		return r, err
	}
	data := func(kinds ...string) string {
		for _, kind := range kinds {
			if d, ok := md.Find(kind); ok {
				if path := filepath.Join(dir, d.Location); exists(path) {
					return path
				}
			}
		}
		return ""
	}
	if r.Catalog, err = read(data("primary"), repodata.ParsePrimary); err != nil {
		return r, err
	}
	if path := data("modules"); path != "" {
		if r.Modules, err = read(path, repodata.ParseModules); err != nil {
			return r, err
		}
	}
	if path := data("group_gz", "group"); path != "" {
		if r.Comps, err = read(path, repodata.ParseComps); err != nil {
			return r, err
		}
	}
	if path := data("filelists"); path != "" {
		r.Owners = owners(path, r.Catalog)
	}
	return r, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}

func read[T any](path string, parse func(r io.Reader) (T, error)) (T, error) {
	f, err := os.Open(path)
	if err != nil {
		var none T
		return none, err
	}
	defer f.Close()
	return parse(f)
}

func owners(path string, c *catalog.Catalog) func(context.Context, []string) (map[string][]int, error) {
	return func(_ context.Context, paths []string) (map[string][]int, error) {
		wanted := map[string]bool{}
		for _, p := range paths {
			wanted[p] = true
		}
		ids, err := read(path, func(r io.Reader) (map[string][]string, error) { return repodata.ParseFilelists(r, wanted) })
		if err != nil {
			return nil, err
		}
		byID := map[string][]int{}
		for i := range c.Packages {
			_, id, _ := strings.Cut(c.Packages[i].Checksum, ":")
			byID[id] = append(byID[id], i)
		}
		found := map[string][]int{}
		for p, list := range ids {
			for _, id := range list {
				found[p] = append(found[p], byID[id]...)
			}
		}
		return found, nil
	}
}
