package serve

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// An rpmSet is the packages of one directory, which share one repodata.
type rpmSet struct {
	place    target.Place // of the directory
	repo     string       // its path in the bundle
	packages []manifest.RPM

	mu   sync.Mutex
	made map[string][]byte // files of repodata/, by name; nil until somebody asked
}

func (s *Server) addRPM(r manifest.RPM, at target.Place) {
	dir := at.Dir()
	key := path.Join(dir.Repository, dir.Path, "repodata")
	set := s.sets[key]
	if set == nil {
		set = &rpmSet{place: dir, repo: r.Repo}
		s.sets[key] = set
		s.files.addDir(key)
	}
	set.packages = append(set.packages, r)
}

// repodata returns a set's metadata, making it at the first call that succeeds.
// Callers wait for each other. It goes on when the one who asked first has left,
// because the others want it too.
func (s *Server) repodata(ctx context.Context, set *rpmSet) (map[string][]byte, error) {
	set.mu.Lock()
	defer set.mu.Unlock()
	if set.made != nil {
		return set.made, nil
	}
	data, err := createrepo.OfBundle(context.WithoutCancel(ctx), s.bundle, s.store, set.repo)
	if err != nil {
		return nil, err
	}
	made := map[string][]byte{"repomd.xml": data.Repomd}
	for name, raw := range data.Files {
		made[strings.TrimPrefix(name, "repodata/")] = raw
	}
	if s.opts.Sign != nil {
		if made[path.Base(rpm.SignaturePath)], err = s.opts.Sign.Sign(data.Repomd); err != nil {
			return nil, err
		}
	}
	set.made = made
	return made, nil
}

func (s *Server) setRepodata(w http.ResponseWriter, r *http.Request, set *rpmSet) (map[string][]byte, bool) {
	made, err := s.repodata(r.Context(), set)
	if err != nil {
		s.opts.Log.Error("repodata cannot be made", "path", r.URL.Path, "err", err)
		http.Error(w, "repodata cannot be made: "+err.Error(), http.StatusInternalServerError)
	}
	return made, err == nil
}

func (s *Server) serveRepodata(w http.ResponseWriter, r *http.Request, set *rpmSet, name string) {
	made, ok := s.setRepodata(w, r, set)
	if !ok {
		return
	}
	raw, ok := made[name]
	if !ok {
		notFound(w)
		return
	}
	serveBytes(w, r, raw, contentType(name))
}

func (s *Server) serveRepodataDir(w http.ResponseWriter, r *http.Request, dir string, set *rpmSet) {
	if made, ok := s.setRepodata(w, r, set); ok {
		names := maps.Clone(s.files.dirs[dir])
		for name := range made {
			names[name] = true
		}
		s.serveDir(w, r, dir, slices.Sorted(maps.Keys(names)))
	}
}

// addYumConf adds keys and .repo files; the latter are for the host under which the client
// knows this server.
func (s *Server) addYumConf() error {
	t := s.bundle.Table
	o := yumconf.Options{Of: t.Name, Comment: fmt.Sprintf("airbundle %s, root %s", t.Name, s.bundle.Root.Digest), OwnAll: true}
	if s.opts.Sign != nil {
		armor, err := s.opts.Sign.PublicKey()
		if err != nil {
			return err
		}
		o.SignKey = &yumconf.Key{ID: s.opts.Sign.Fingerprint(), Armor: armor}
	}
	conf := yumconf.New(t, s.opts.Target, o)
	for _, k := range conf.Keys {
		s.files.addMade(k.At.Repository+"/"+k.At.Path, func(*http.Request) (string, bool) { return k.Armor, true })
	}
	for _, f := range conf.Repos {
		s.files.addMade(f.At.Repository+"/"+f.At.Path, func(r *http.Request) (string, bool) {
			base, ok := baseURL(r)
			return f.Text(base), ok
		})
	}
	s.repos = conf.Repos
	return nil
}

// hostPattern is a name or address with an optional port, as a Host header has it.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?$`)

// baseURL is scheme and host of the server as the client sees it.
func baseURL(r *http.Request) (string, bool) {
	if !hostPattern.MatchString(r.Host) {
		return "", false
	}
	if r.TLS != nil {
		return "https://" + r.Host, true
	}
	return "http://" + r.Host, true
}
