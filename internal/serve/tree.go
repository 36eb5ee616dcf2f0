package serve

import (
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A file is something that has a path below /repository/: a blob of the store or,
// where make is set, text that may depend on the request, or an index of charts.
type file struct {
	desc  ocispec.Descriptor
	index *chartIndex
	make  func(r *http.Request) (text string, ok bool) // false: the request's Host is of no use
}

// A tree is all paths below /repository/. A path may be a file and a directory at
// once, as in a Nexus: the slash at the end tells which is meant.
type tree struct {
	files map[string]file
	dirs  map[string]map[string]bool // the names in it; those of directories end in a slash
}

func newTree() tree {
	return tree{map[string]file{}, map[string]map[string]bool{"": {}}}
}

func (t *tree) add(p string, f file) {
	t.files[p] = f
	dir, base := path.Split(p)
	t.addName(strings.TrimSuffix(dir, "/"), base)
}

// addMade adds a file that is made here, unless something carried has its path.
func (t *tree) addMade(p string, makeText func(r *http.Request) (string, bool)) {
	if _, taken := t.files[p]; !taken {
		t.add(p, file{make: makeText})
	}
}

func (t *tree) addDir(p string) {
	if t.dirs[p] != nil {
		return
	}
	t.dirs[p] = map[string]bool{}
	dir, base := path.Split(p)
	t.addName(strings.TrimSuffix(dir, "/"), base+"/")
}

func (t *tree) addName(dir, name string) {
	t.addDir(dir)
	t.dirs[dir][name] = true
}

// serveTree answers for a path below /repository/.
func (s *Server) serveTree(w http.ResponseWriter, r *http.Request, p string) {
	if f, ok := s.files.files[p]; ok {
		s.serveFile(w, r, p, f)
		return
	}
	parent, base := path.Split(p)
	if set := s.sets[strings.TrimSuffix(parent, "/")]; set != nil && base != "" {
		s.serveRepodata(w, r, set, base)
		return
	}
	dir, slash := strings.CutSuffix(p, "/")
	names, isDir := s.files.dirs[dir]
	switch {
	case !isDir || dir == "" && slash:
		notFound(w)
	case !slash && dir != "":
		redirectToDir(w, base)
	case s.sets[dir] != nil:
		s.serveRepodataDir(w, r, dir, s.sets[dir])
	default:
		s.serveDir(w, r, dir, slices.Sorted(maps.Keys(names)))
	}
}

func (s *Server) serveFile(w http.ResponseWriter, r *http.Request, p string, f file) {
	if f.index != nil {
		s.serveChartIndex(w, r, f.index)
		return
	}
	if f.make == nil {
		s.serveBlob(w, r, f.desc, contentType(p))
		return
	}
	text, ok := f.make(r)
	if !ok {
		http.Error(w, "the Host header names no host", http.StatusBadRequest)
		return
	}
	serveBytes(w, r, []byte(text), "text/plain; charset=utf-8")
}

// redirectToDir adds the slash that relative links need. The location is relative
// too, so that it is right behind any proxy and can never lead to another host.
func redirectToDir(w http.ResponseWriter, base string) {
	w.Header().Set("Location", "./"+url.PathEscape(base)+"/")
	w.WriteHeader(http.StatusMovedPermanently)
}

// contentType goes by the name. Nothing carried is called HTML, so that no browser
// shows it as a page of this server.
func contentType(p string) string {
	switch path.Ext(p) {
	case ".rpm":
		return "application/x-rpm"
	case ".gz", ".tgz":
		return "application/gzip"
	case ".xml":
		return "application/xml"
	case ".txt", ".repo", ".asc", ".sha256":
		return "text/plain; charset=utf-8"
	default:
		return "application/octet-stream"
	}
}
