package nexustest

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// serveYum answers requests for a yum repository.
func (x *exchange) serveYum() {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		x.getYum()
	case http.MethodPut:
		x.putYum()
	case http.MethodDelete:
		x.deleteAsset(http.StatusNoContent)
	default:
		x.methodNotAllowed("GET,HEAD,PUT,DELETE")
	}
}

func (x *exchange) getYum() {
	if x.path == "" {
		x.write(http.StatusOK, "text/html", []byte("<html><head><title>"+x.repo+"</title></head><body></body></html>\n"))
		return
	}
	a := x.s.lookup(x.repo, x.path)
	if x.s.recallMiss(x.repo+"/"+x.path, a == nil) {
		x.htmlError(http.StatusNotFound, x.s.prof.apiPath(x.path))
		return
	}
	x.serveAsset(a, x.s.prof.datastore)
}

// recallMiss says whether a path is absent, or was when it was asked for not long
// ago.
func (s *Server) recallMiss(key string, absent bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, keep := s.opts.Now(), s.opts.Quirks.NegativeCache
	if at, missed := s.missed[key]; missed && now.Sub(at) < keep {
		return true
	}
	delete(s.missed, key)
	if absent && keep > 0 {
		s.missed[key] = now
	}
	return absent
}

// putYum stores an RPM, 200, and lets the metadata follow later.
func (x *exchange) putYum() {
	if err := x.yumPath(x.repository(), x.path); err != nil {
		x.refuse(err)
		return
	}
	x.storeListed(orDefault(x.s.opts.Quirks.YumPutStatus, http.StatusOK), x.yumCheck(x.path))
}

// yumPath says why a repository takes nothing at a path.
func (x *exchange) yumPath(r Repository, p string) error {
	quirks, isRPM := x.s.opts.Quirks, strings.HasSuffix(p, ".rpm")
	switch {
	case isRPM && strings.Count(p, "/") < r.Depth:
		return &refusal{orDefault(quirks.ShallowStatus, http.StatusBadRequest),
			fmt.Sprintf("Path %s is above the repodata depth %d", p, r.Depth)}
	case !isRPM && !isRepodata(p) && r.DeployPolicy == "STRICT":
		return &refusal{orDefault(quirks.StrictStatus, http.StatusBadRequest), "Invalid path for a Yum repository: " + p}
	case quirks.EarlyUploadFails && r.Depth == 0 && x.s.lookup(r.Name, "repodata/repomd.xml") == nil:
		return &refusal{http.StatusInternalServerError, "Metadata of the repository does not exist yet"}
	}
	return nil
}

// yumCheck says what is wrong with an RPM, where the server looks at once.
func (x *exchange) yumCheck(p string) func(*content) error {
	return func(c *content) error {
		if !strings.HasSuffix(p, ".rpm") || !x.s.opts.Quirks.CheckRPM {
			return nil
		}
		if _, err := readRPM(c, x.s.opts.Quirks); err != nil {
			return &refusal{http.StatusBadRequest, "Invalid RPM: " + p}
		}
		return nil
	}
}

// storeListed stores a file that the repository's metadata is to list, which follows
// later, and answers with code.
func (x *exchange) storeListed(code int, check func(*content) error) {
	if !x.storeFile(check) {
		return
	}
	x.s.mu.Lock()
	if r := x.s.repos[x.repo]; r != nil {
		x.s.changed(r)
	}
	x.s.mu.Unlock()
	x.status(code)
}

// isRepodata says whether path lies in a repodata directory.
func isRepodata(p string) bool { return path.Base(path.Dir(p)) == "repodata" }

// changed makes the repository rebuild its metadata after the delay. Changes
// that come while it waits are covered by that rebuild. The caller holds s.mu.
func (s *Server) changed(r *repository) {
	if r.Format != "yum" && r.Format != "helm" {
		return
	}
	if r.held {
		r.dirty = true
		return
	}
	if r.timer != nil || s.ctx.Err() != nil {
		return
	}
	s.rebuilds.Add(1)
	r.timer = time.AfterFunc(s.opts.RebuildDelay, func() {
		defer s.rebuilds.Done()
		s.mu.Lock()
		r.timer = nil
		s.mu.Unlock()
		_ = s.rebuild(r) // kept for RebuildError
	})
}

// stopTimer gives up a rebuild that waits. The caller holds Server.mu.
func (r *repository) stopTimer(wg *sync.WaitGroup) {
	if r.timer != nil && r.timer.Stop() {
		wg.Done()
	}
	r.timer = nil
}

// HoldRebuilds stops the metadata of a yum or helm repository from ever being
// rebuilt, or lets it go on.
func (s *Server) HoldRebuilds(repo string, hold bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repo]
	if r == nil {
		return
	}
	r.held = hold
	if hold && r.timer != nil {
		r.stopTimer(&s.rebuilds)
		r.dirty = true
	}
	if !hold && r.dirty {
		r.dirty = false
		s.changed(r)
	}
}

// Rebuild rebuilds the metadata of a yum or helm repository now. It fails, and
// leaves the old metadata, when one RPM cannot be read.
func (s *Server) Rebuild(repo string) error {
	s.mu.Lock()
	r := s.repos[repo]
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("nexustest: no repository %s", repo)
	}
	return s.rebuild(r)
}

// RebuildError returns why the latest rebuild failed, nil when it did not.
func (s *Server) RebuildError(repo string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[repo]; r != nil {
		return r.failure
	}
	return nil
}

func (s *Server) rebuild(r *repository) error {
	r.rebuilding.Lock() // so that an older state is never published over a newer one
	defer r.rebuilding.Unlock()
	var err error
	switch {
	case r.Format == "helm":
		s.mu.Lock()
		err = s.publishIndex(r)
		s.mu.Unlock()
	case r.Type == "group":
		err = s.publishGroup(r)
	default:
		err = s.rebuildYum(r)
	}
	s.mu.Lock()
	r.failure = err
	s.mu.Unlock()
	return err
}

// rebuildYum reads the header of every RPM and publishes what they say. The
// reading is done without the lock, as it takes long; a change meanwhile
// schedules the next rebuild.
func (s *Server) rebuildYum(r *repository) error {
	s.mu.Lock()
	depth := r.Depth
	var rpms []*asset
	for _, a := range r.assets {
		if strings.HasSuffix(a.path, ".rpm") {
			rpms = append(rpms, a)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(rpms, func(a, b *asset) int { return strings.Compare(a.path, b.path) })
	dirs := map[string][]yumEntry{}
	if depth == 0 {
		dirs[""] = nil
	}
	for _, a := range rpms {
		pkg, err := a.rpm(s.opts.Quirks)
		if isNotExist(err) {
			continue // deleted or replaced meanwhile, which is a change of its own
		}
		if err != nil {
			return fmt.Errorf("InvalidContentException: Invalid RPM: %s: %w", a.path, err)
		}
		dir, href := splitDepth(a.path, depth)
		dirs[dir] = append(dirs[dir], yumEntry{asset: a, pkg: pkg, href: href})
	}
	if err := s.publishYum(r, dirs); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.repos {
		if slices.Contains(g.Members, r.Name) {
			s.changed(g)
		}
	}
	return nil
}

// publishGroup merges what the members list.
func (s *Server) publishGroup(g *repository) error {
	s.mu.Lock()
	dirs := map[string][]yumEntry{"": nil}
	for _, name := range g.Members {
		if m := s.repos[name]; m != nil {
			for dir, entries := range m.dirs {
				dirs[dir] = append(dirs[dir], entries...)
			}
		}
	}
	s.mu.Unlock()
	return s.publishYum(g, dirs)
}

// splitDepth cuts a path after the directories that repodata lies below.
func splitDepth(p string, depth int) (dir, href string) {
	parts := strings.SplitN(p, "/", depth+1)
	return strings.Join(parts[:depth], "/"), parts[depth]
}

// publishYum replaces the repository's repodata directories.
func (s *Server) publishYum(r *repository, dirs map[string][]yumEntry) error {
	files := map[string]*content{}
	for dir, entries := range dirs {
		meta, err := buildRepodata(entries, s.opts.Now())
		if err != nil {
			return err
		}
		for name, data := range meta {
			c, err := s.disk.save(data, s.prof.computed("yum"))
			if err != nil {
				return err
			}
			files[path.Join(dir, "repodata", name)] = c
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, a := range maps.Clone(r.assets) {
		if _, stays := files[p]; a.generated && !stays {
			s.remove(r, p)
		}
	}
	for p, c := range files {
		if old := r.assets[p]; old != nil && old.content.sums["sha1"] == c.sums["sha1"] {
			c.release()
			continue
		}
		s.store(r, p, contentTypeOf(p, ""), c, nil).generated = true
	}
	r.dirs = dirs
	return nil
}

// save stores bytes that the server made itself.
func (d *disk) save(data []byte, sums []string) (*content, error) {
	in, err := d.newIntake(sums)
	if err != nil {
		return nil, err
	}
	_, err = in.out.Write(data)
	in.size = int64(len(data))
	c, err2 := in.finish()
	return c, errors.Join(err, err2)
}
