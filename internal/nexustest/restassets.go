package nexustest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// page is one page of a list.
type page[T any] struct {
	Items []T     `json:"items"`
	Token *string `json:"continuationToken"`
}

// assetXO is an asset as the API prints it. Later versions say more.
type assetXO struct {
	DownloadURL string            `json:"downloadUrl"`
	Path        string            `json:"path"`
	ID          string            `json:"id"`
	Repository  string            `json:"repository"`
	Format      string            `json:"format"`
	Checksum    map[string]string `json:"checksum"`
	*asset330
	*asset340
	*asset377
	*asset394
}

type asset330 struct {
	ContentType  string `json:"contentType"`
	LastModified string `json:"lastModified"`
}

type asset340 struct {
	LastDownloaded *string `json:"lastDownloaded"`
	Uploader       string  `json:"uploader"`
	UploaderIP     string  `json:"uploaderIp"`
	FileSize       int64   `json:"fileSize"`
}

type asset377 struct {
	BlobCreated   string `json:"blobCreated"`
	BlobStoreName string `json:"blobStoreName"`
}

type asset394 struct {
	BlobRef      string  `json:"blobRef"`
	BlobUpdated  string  `json:"blobUpdated"`
	LastVerified *string `json:"lastVerified"`
	RegistryURL  *string `json:"registryUrl"`
}

// componentXO is a component as the API prints it.
type componentXO struct {
	ID         string    `json:"id"`
	Repository string    `json:"repository"`
	Format     string    `json:"format"`
	Group      *string   `json:"group"`
	Name       string    `json:"name"`
	Version    *string   `json:"version"`
	Assets     []assetXO `json:"assets"`
}

// listed is an asset together with what prints it.
type listed struct {
	*asset
	format string
	store  string // the blob store
}

// isComponent tells the assets that count as a component of their own.
func isComponent(format, p string) bool {
	switch format {
	case "docker":
		t := parseDocker(p)
		return t.kind == dockerManifest && !isDigest(t.ref)
	case "yum":
		return strings.HasSuffix(p, ".rpm")
	case "helm":
		return strings.HasSuffix(p, ".tgz")
	}
	return true
}

// id is opaque to clients.
func (a *asset) id() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s:%032x", a.repo, a.seq))
}

func (x *exchange) timestamp(t time.Time) string {
	if x.s.opts.Quirks.OldTimestamps {
		return t.UTC().Format("2006-01-02T15:04:05.000-0700")
	}
	return t.UTC().Format("2006-01-02T15:04:05.000-07:00")
}

// assetOf prints an asset.
func (x *exchange) assetOf(l listed) assetXO {
	p := x.s.prof
	sums := map[string]string{}
	for _, name := range p.keptOf(l.asset, l.format, x.s.opts.Quirks) {
		sums[name] = l.content.sums[name]
	}
	out := assetXO{DownloadURL: x.base() + "/repository/" + l.repo + "/" + l.path, Path: p.apiPath(l.path), ID: l.id(),
		Repository: l.repo, Format: l.format, Checksum: sums}
	if p.since(30) {
		out.asset330 = &asset330{l.contentType, x.timestamp(l.updated)}
	}
	if p.since(40) {
		out.asset340 = &asset340{nil, l.uploader, l.address, l.content.size}
	}
	if p.since(77) {
		out.asset377 = &asset377{x.timestamp(l.created), l.store}
	}
	if p.since(94) {
		out.asset394 = &asset394{l.store + "@" + l.id(), x.timestamp(l.updated), nil, nil}
	}
	return out
}

// componentOf prints the component that an asset stands for.
func (x *exchange) componentOf(l listed) componentXO {
	out := componentXO{ID: l.id(), Repository: l.repo, Format: l.format, Name: path.Base(l.path), Assets: []assetXO{x.assetOf(l)}}
	switch l.format {
	case "docker":
		t := parseDocker(l.path)
		out.Name, out.Version = t.image, &t.ref
	case "yum":
		if pkg, err := l.rpm(x.s.opts.Quirks); err == nil {
			version := pkg.version + "-" + pkg.release
			out.Name, out.Version = pkg.name, &version
		}
	case "helm":
		if ch := l.helmChart(); ch != nil {
			out.Name, out.Version = ch.Name, &ch.Version
		}
	default:
		group := path.Dir("/" + l.path)
		out.Group, out.Name = &group, x.s.prof.apiPath(l.path)
	}
	return out
}

// contents returns the assets of a repository and its members in the order of
// their ids. The caller holds s.mu.
func (s *Server) contents(r *repository) []listed {
	var out []listed
	for _, a := range r.assets {
		out = append(out, listed{a, r.Format, r.BlobStore})
	}
	for _, member := range r.Members {
		if m := s.repos[member]; m != nil {
			out = append(out, s.contents(m)...)
		}
	}
	slices.SortFunc(out, func(a, b listed) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// serveAssets answers the list of assets, or one asset.
func (x *exchange) serveAssets(args []string) {
	if len(args) == 1 {
		x.serveOne(args[0], func(l listed) { x.json(http.StatusOK, x.assetOf(l)) }, func(string, string) bool { return true })
		return
	}
	items, ok := x.listContents()
	if ok {
		answerPage(x, items, x.s.prof.pageSize(), x.assetOf)
	}
}

// serveComponents answers the list of components, or one component.
func (x *exchange) serveComponents(args []string) {
	if len(args) == 1 {
		x.serveOne(args[0], func(l listed) { x.json(http.StatusOK, x.componentOf(l)) }, isComponent)
		return
	}
	if x.r.Method == http.MethodPost {
		x.uploadComponents()
		return
	}
	items, ok := x.listContents()
	if ok {
		items = slices.DeleteFunc(items, func(l listed) bool { return l.generated || !isComponent(l.format, l.path) })
		answerPage(x, items, x.s.prof.pageSize(), x.componentOf)
	}
}

// listContents returns the assets of the repository parameter. It answers, and
// returns false, when that is missing, unknown or forbidden.
func (x *exchange) listContents() ([]listed, bool) {
	if x.r.Method == http.MethodDelete {
		x.htmlError(http.StatusMethodNotAllowed, "HTTP method DELETE is not supported by this URL")
		return nil, false
	}
	name := x.r.URL.Query().Get("repository")
	if name == "" {
		x.textError(http.StatusUnprocessableEntity, "Required query parameter 'repository' is missing")
		return nil, false
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	r := x.s.repos[name]
	if r == nil {
		x.notFound()
		return nil, false
	}
	if !x.mayBrowse(name) {
		x.status(http.StatusForbidden)
		return nil, false
	}
	return x.s.contents(r), true
}

// answerPage answers with the page that the continuation token points to.
func answerPage[T any](x *exchange, items []listed, size int, show func(listed) T) {
	if token := x.r.URL.Query().Get("continuationToken"); token != "" {
		seq, err := strconv.ParseInt(token, 16, 64)
		if err != nil || len(token) != 32 {
			x.status(http.StatusNotAcceptable)
			return
		}
		if i := slices.IndexFunc(items, func(l listed) bool { return l.seq == seq }); i >= 0 {
			items = items[i+1:]
		} else { // deleted since; the lists that matter are in this order
			items = slices.DeleteFunc(items, func(l listed) bool { return l.seq <= seq })
		}
	}
	out := page[T]{Items: []T{}}
	if len(items) > size {
		items = items[:size]
		token := fmt.Sprintf("%032x", items[size-1].seq)
		out.Token = &token
	}
	for _, l := range items {
		out.Items = append(out.Items, show(l))
	}
	x.json(http.StatusOK, out)
}

// serveOne answers or deletes the entity with an id.
func (x *exchange) serveOne(id string, show func(listed), known func(format, path string) bool) {
	raw, err := base64.RawURLEncoding.DecodeString(id)
	repo, hex, ok := strings.Cut(string(raw), ":")
	seq, err2 := strconv.ParseInt(hex, 16, 64)
	if err != nil || err2 != nil || !ok {
		x.status(http.StatusUnprocessableEntity)
		return
	}
	x.s.mu.Lock()
	var found *listed
	r := x.s.repos[repo]
	if r != nil {
		for _, a := range r.assets {
			if a.seq == seq && known(r.Format, a.path) {
				found = &listed{a, r.Format, r.BlobStore}
			}
		}
	}
	if found != nil && x.r.Method == http.MethodDelete && x.user.may(repo, "delete") {
		x.s.remove(r, found.path)
		x.s.changed(r)
	}
	x.s.mu.Unlock()
	switch {
	case found == nil:
		x.notFound()
	case x.r.Method != http.MethodDelete:
		show(*found)
	case !x.user.may(repo, "delete"):
		x.status(http.StatusForbidden)
	default:
		x.w.WriteHeader(http.StatusNoContent)
	}
}
