package serve

import (
	"bytes"
	_ "embed"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
	"airbundle/manifest"
)

//go:embed pages.html
var pagesHTML string

// pages are plain HTML: no script, no image, nothing from elsewhere.
var pages = template.Must(template.New("").Funcs(template.FuncMap{"quote": shellQuote, "place": placePath}).Parse(pagesHTML))

// render answers with a page. The policy forbids whatever a page does not need.
func (s *Server) render(w http.ResponseWriter, r *http.Request, name string, data any) {
	var b bytes.Buffer
	if err := pages.ExecuteTemplate(&b, name, data); err != nil {
		s.opts.Log.Error("page cannot be made", "path", r.URL.Path, "err", err)
		http.Error(w, "page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'")
	serveBytes(w, r, b.Bytes(), "text/html; charset=utf-8")
}

// startPage is what the page at / shows.
type startPage struct {
	Table    *manifest.Table
	Root     digest.Digest
	Base     string // http://host:port
	Host     string
	Bytes    int64
	Image    string          // one name to pull; empty when there is none
	Dockers  []string        // the docker repositories
	Repos    []*yumconf.Repo // one for each kind of yum configuration
	FilePath string          // one file, escaped; empty when there is none
	FileRepo string          // its repository
	Chart    string          // the name of one chart; empty when there is none
	HelmRepo string          // its repository
}

func (s *Server) serveStart(w http.ResponseWriter, r *http.Request) {
	base, ok := baseURL(r)
	if !ok {
		http.Error(w, "the Host header names no host", http.StatusBadRequest)
		return
	}
	t := s.bundle.Table
	p := startPage{Table: t, Root: s.bundle.Root.Digest, Base: base, Host: r.Host, Repos: s.repos}
	for b := range s.bundle.EachBlob() {
		p.Bytes += b.Size
	}
	if len(t.Images) > 0 {
		p.Image = reference(s.opts.Target.Refs(t.Images[0])[0], t.Images[0].Digest)
		p.Dockers = slices.Sorted(maps.Keys(s.registries))
	}
	if len(t.Files) > 0 {
		at := s.opts.Target.File(t.Files[0])
		p.FilePath, p.FileRepo = placePath(at), at.Repository
	}
	if len(t.Charts) > 0 {
		p.Chart, p.HelmRepo = t.Charts[0].Name, s.opts.Target.Chart(t.Charts[0]).Repository
	}
	s.render(w, r, "start", p)
}

// placePath is a place as a path of a URL, escaped.
func placePath(p target.Place) string { return yumconf.EscapePath(p.Repository + "/" + p.Path) }

// reference names an image by its tag or, where it has none, its digest.
func reference(ref target.Ref, d digest.Digest) string {
	if ref.Tag == "" {
		return ref.Repository + "@" + string(d)
	}
	return ref.String()
}

// dirEntry is one line of a directory page.
type dirEntry struct {
	Href, Name string
	Size       int64 // -1: not known before it is asked for
	Digest     digest.Digest
}

// serveDir answers with the page of a directory below /repository/.
func (s *Server) serveDir(w http.ResponseWriter, r *http.Request, dir string, names []string) {
	entries := make([]dirEntry, 0, len(names))
	for _, name := range names {
		e := dirEntry{Name: name, Size: -1}
		bare, slash := strings.CutSuffix(name, "/")
		e.Href = "./" + url.PathEscape(bare)
		if slash {
			e.Href += "/"
		} else if f, ok := s.files.files[strings.TrimPrefix(dir+"/"+name, "/")]; ok && f.make == nil {
			e.Size, e.Digest = f.desc.Size, f.desc.Digest
		}
		entries = append(entries, e)
	}
	s.render(w, r, "directory", struct {
		Path    string
		Entries []dirEntry
	}{strings.TrimSuffix("/repository/"+dir, "/") + "/", entries})
}

// imageLine is one line of the page of images.
type imageLine struct {
	Ref string
	manifest.Image
}

func (s *Server) serveImages(w http.ResponseWriter, r *http.Request, c *catalog) {
	s.render(w, r, "images", struct {
		Host   string
		Images []imageLine
	}{r.Host, c.lines})
}

// shellQuote makes a word of a command that a shell takes as it is.
func shellQuote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
