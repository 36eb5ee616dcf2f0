package serve

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
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

func (s *Server) keyPath(id string) string {
	return s.opts.Target.Raw + "/keys/RPM-GPG-KEY-" + id
}

func (s *Server) addKeys() {
	if s.signKey != "" {
		s.files.addMade(s.keyPath(s.opts.Sign.Fingerprint()), func(*http.Request) (string, bool) { return s.signKey, true })
	}
	for _, k := range s.bundle.Table.Keys { // their ids are hexadecimal, safe in paths and .repo files
		s.files.addMade(s.keyPath(k.ID), func(*http.Request) (string, bool) { return k.Armor, true })
	}
}

// A repoFile is one .repo file: the sets of all arches that differ in nothing but
// the arch at the end of their path, which yum and dnf write as $basearch.
type repoFile struct {
	ID       string
	Title    string
	baseURL  string   // path, escaped
	keys     []string // ids
	unsigned []string // packages that gpgcheck will refuse
	Example  string   // name of a package
}

func (s *Server) addRepoFiles() {
	byBase, ids := map[target.Place]*repoFile{}, map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(s.sets)) {
		set := s.sets[key]
		base, variable := set.place, ""
		if rest, ok := strings.CutSuffix("/"+base.Path, "/"+set.packages[0].BaseArch); ok {
			base.Path, variable = strings.TrimPrefix(rest, "/"), "$basearch/"
		}
		f := byBase[base]
		if f == nil {
			f = &repoFile{
				ID:      repoID(base, ids),
				Title:   cmp.Or(base.Path, base.Repository) + " of " + s.bundle.Table.Name,
				baseURL: escapePath("/repository/"+strings.TrimSuffix(base.Repository+"/"+base.Path, "/")) + "/" + variable,
				Example: set.packages[0].Name,
			}
			byBase[base] = f
			s.repos = append(s.repos, f)
			s.files.addMade(s.repoFilePath(f), func(r *http.Request) (string, bool) { return s.repoText(f, r) })
		}
		s.collectKeys(f, set)
	}
}

func (s *Server) repoFilePath(f *repoFile) string {
	return s.opts.Target.Raw + "/repos/" + f.ID + ".repo"
}

// repoID makes a section name that dnf takes out of a path, different from all others.
func repoID(p target.Place, taken map[string]bool) string {
	plain := strings.Map(func(c rune) rune {
		if c < 0x80 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)) {
			return c
		}
		return '-'
	}, cmp.Or(p.Path, p.Repository))
	id := plain
	for n := 2; taken[id]; n++ {
		id = fmt.Sprintf("%s-%d", plain, n)
	}
	taken[id] = true
	return id
}

// collectKeys notes which keys a set's packages need. A signer is the id or the
// fingerprint of a key, so one may be the end of the other.
func (s *Server) collectKeys(f *repoFile, set *rpmSet) {
	for _, p := range set.packages {
		if p.Signer == "" {
			f.unsigned = append(f.unsigned, p.NEVRA())
			continue
		}
		signer := strings.ToLower(p.Signer)
		for _, k := range s.bundle.Table.Keys {
			id := strings.ToLower(k.ID)
			if (strings.HasSuffix(id, signer) || strings.HasSuffix(signer, id)) && !slices.Contains(f.keys, k.ID) {
				f.keys = append(f.keys, k.ID)
			}
		}
	}
}

// repoText is the .repo file for the host under which the client knows this server.
func (s *Server) repoText(f *repoFile, r *http.Request) (string, bool) {
	base, ok := baseURL(r)
	if !ok {
		return "", false
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# airbundle %s, root %s\n", s.bundle.Table.Name, s.bundle.Root.Digest)
	for _, p := range f.unsigned {
		fmt.Fprintf(&b, "# not signed, needs gpgcheck=0: %s\n", p)
	}
	keys, repoCheck := f.keys, 0
	if s.opts.Sign != nil {
		keys, repoCheck = append([]string{s.opts.Sign.Fingerprint()}, f.keys...), 1
	}
	fmt.Fprintf(&b, "[%s]\nname=%s\nbaseurl=%s%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=%d\n", f.ID, f.Title, base, f.baseURL, repoCheck)
	for i, id := range keys {
		start := "gpgkey="
		if i > 0 {
			start = "       "
		}
		fmt.Fprintf(&b, "%s%s%s\n", start, base, escapePath("/repository/"+s.keyPath(id)))
	}
	return b.String(), true
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

// escapePath escapes each segment, and the dollar sign too, which yum would expand.
func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(parts[i]), "$", "%24")
	}
	return strings.Join(parts, "/")
}
