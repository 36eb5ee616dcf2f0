package nexustest

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// repository is a Repository with what it holds.
type repository struct {
	Repository
	assets    map[string]*asset // by path without a leading slash
	connector *http.Server      // nil without a port

	// Yum and helm rebuild their metadata some time after a change.
	timer      *time.Timer
	held       bool // no rebuild happens
	dirty      bool // a change came while held
	failure    error
	dirs       map[string][]yumEntry // what the yum metadata of each directory lists
	rebuilding sync.Mutex            // held during a rebuild, and taken before Server.mu
}

// asset is one file of a repository.
type asset struct {
	seq         int64
	repo, path  string
	content     *content
	contentType string
	created     time.Time
	updated     time.Time
	uploader    string
	address     string
	lost        atomic.Bool // the bytes are gone although the database knows the asset
	generated   bool        // metadata that the server wrote
	form        bool        // came in a multipart upload

	once  sync.Once // guards the two below
	pkg   *rpmInfo  // yum: what the header says
	bad   error     // yum: why it cannot be read
	chart *chart    // helm
}

// withType returns the asset with another content type. Assets that requests may
// be reading are never changed in place.
func (a *asset) withType(contentType string) *asset {
	return &asset{seq: a.seq, repo: a.repo, path: a.path, content: a.content, contentType: contentType,
		created: a.created, updated: a.updated, uploader: a.uploader, address: a.address}
}

// kept returns the checksums that the server keeps of the asset.
func (p profile) kept(format string) []string {
	switch {
	case format == "docker":
		return []string{"sha1", "sha256"}
	case p.datastore:
		return []string{"md5", "sha1", "sha256", "sha512"}
	default:
		return []string{"md5", "sha1"}
	}
}

// keptOf is kept for an asset that may have come in a multipart upload, of which
// the Orient generation keeps all checksums.
func (p profile) keptOf(a *asset, format string, q Quirks) []string {
	if a.form && !q.PlainFormSums && format != "docker" {
		return []string{"md5", "sha1", "sha256", "sha512"}
	}
	return p.kept(format)
}

// computedOfForm is computed for a multipart upload.
func (p profile) computedOfForm(format string, q Quirks) []string {
	if q.PlainFormSums {
		return p.computed(format)
	}
	return []string{"md5", "sha1", "sha256", "sha512"}
}

// computed returns the checksums to take of an upload: the kept ones and what
// metadata needs.
func (p profile) computed(format string) []string {
	sums := p.kept(format)
	if (format == "yum" || format == "helm") && !slices.Contains(sums, "sha256") {
		sums = append(sums, "sha256")
	}
	return sums
}

// A refusal is why the server does not take an upload.
type refusal struct {
	code   int
	reason string
}

// Error implements error.
func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.code, r.reason) }

var repositoryName = regexp.MustCompile(`^[a-zA-Z0-9\-][a-zA-Z0-9_\-.]*$`)

// CreateRepository adds a repository, as the REST API does.
func (s *Server) CreateRepository(r Repository) error {
	r.setDefaults()
	if err := r.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name := range s.repos {
		if strings.EqualFold(name, r.Name) {
			return fmt.Errorf("%s: %w", r.Name, errNameTaken)
		}
	}
	if _, ok := s.stores[r.BlobStore]; !ok {
		return fmt.Errorf("%s: no blob store %q", r.Name, r.BlobStore)
	}
	if err := s.portFree(r.Name, r.Port); err != nil {
		return err
	}
	repo := &repository{Repository: r, assets: map[string]*asset{}, dirs: map[string][]yumEntry{},
		held: r.Format == "yum" && (s.opts.Quirks.NoRebuild || strings.HasPrefix(s.prof.version, "3.76.0-"))}
	if err := s.openConnector(repo); err != nil {
		return errors.Join(errPortTaken, err)
	}
	s.repos[r.Name] = repo
	switch r.Format {
	case "yum":
		s.changed(repo)
	case "helm":
		return s.publishIndex(repo)
	}
	return nil
}

var (
	errNameTaken = errors.New("Name is already used, must be unique (ignoring case)") //nolint:staticcheck // Nexus's words
	errPortTaken = errors.New("port is already in use")
)

// portFree says which other repository has a connector port. The caller holds
// s.mu.
func (s *Server) portFree(name string, port int) error {
	for _, other := range s.repos {
		if port > 0 && other.Name != name && (other.Port == port || other.HTTPSPort == port) {
			return fmt.Errorf("%s: port %d is that of %s: %w", name, port, other.Name, errPortTaken)
		}
	}
	return nil
}

// Formats that the server serves, and those of repositories that only exist.
var (
	served = []string{"docker", "yum", "raw", "helm"}
	inert  = []string{"apt", "maven2", "npm", "nuget", "pypi", "go", "oci"}
)

func (r *Repository) setDefaults() {
	r.Type = orText(r.Type, "hosted")
	r.BlobStore = orText(r.BlobStore, defaultBlobStore)
	r.WritePolicy = orText(strings.ToUpper(r.WritePolicy), "ALLOW")
	r.DeployPolicy = orText(strings.ToUpper(r.DeployPolicy), "STRICT")
	r.Disposition = orText(strings.ToUpper(r.Disposition), "ATTACHMENT")
}

func orText(s, def string) string {
	if s == "" {
		return def
	}
	return s
}

func (r *Repository) check() error {
	switch {
	case !repositoryName.MatchString(r.Name):
		return fmt.Errorf("repository name %q has characters that are not allowed", r.Name)
	case !slices.Contains(served, r.Format) && !slices.Contains(inert, r.Format):
		return fmt.Errorf("repository %s: unknown format %q", r.Name, r.Format)
	case !slices.Contains([]string{"hosted", "group", "proxy"}, r.Type):
		return fmt.Errorf("repository %s: unknown type %q", r.Name, r.Type)
	case !slices.Contains([]string{"ALLOW", "ALLOW_ONCE", "DENY"}, r.WritePolicy):
		return fmt.Errorf("repository %s: unknown write policy %q", r.Name, r.WritePolicy)
	case r.DeployPolicy != "STRICT" && r.DeployPolicy != "PERMISSIVE":
		return fmt.Errorf("repository %s: unknown deploy policy %q", r.Name, r.DeployPolicy)
	case r.Disposition != "ATTACHMENT" && r.Disposition != "INLINE":
		return fmt.Errorf("repository %s: unknown content disposition %q", r.Name, r.Disposition)
	case r.Depth < 0 || r.Depth > 5:
		return fmt.Errorf("repository %s: repodata depth %d is not in 0..5", r.Name, r.Depth)
	}
	return nil
}

// DeleteRepository removes a repository and what it holds.
func (s *Server) DeleteRepository(name string) bool {
	s.mu.Lock()
	r := s.repos[name]
	if r != nil {
		delete(s.repos, name)
		r.stopTimer(&s.rebuilds)
		for _, a := range r.assets {
			a.content.release()
		}
	}
	s.mu.Unlock()
	if r != nil && r.connector != nil {
		r.connector.Close()
	}
	return r != nil
}

// find returns the asset at path, looking into the members of a group. The
// caller holds s.mu.
func (s *Server) find(r *repository, path string) *asset {
	return s.findWithin(r, path, 8)
}

func (s *Server) findWithin(r *repository, path string, depth int) *asset {
	if r == nil || depth == 0 {
		return nil
	}
	if a := r.assets[path]; a != nil {
		return a
	}
	for _, name := range r.Members {
		if a := s.findWithin(s.repos[name], path, depth-1); a != nil {
			return a
		}
	}
	return nil
}

// lookup is find by names.
func (s *Server) lookup(repo, path string) *asset {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(s.repos[repo], path)
}

// writable says why the write policy refuses an asset at path. The caller
// holds s.mu.
func (s *Server) writable(r *repository, path string) error {
	old := r.assets[path]
	switch {
	case r.WritePolicy == "DENY":
		return &refusal{http.StatusBadRequest, r.Name + "/" + path + " is read-only"}
	case r.WritePolicy == "ALLOW_ONCE" && old != nil && !old.lost.Load() && !old.generated && !mayChange(r.Format, path):
		code := http.StatusBadRequest
		if s.prof.community {
			code = http.StatusConflict
		}
		if r.Format != "raw" {
			code = orDefault(s.opts.Quirks.RedeployStatus, code)
		}
		return &refusal{code, s.prof.redeployText(r.Name, path)}
	case old == nil && isComponent(r.Format, path) && s.atCap():
		return &refusal{http.StatusForbidden, paymentText}
	}
	return nil
}

// mayChange tells the files that ALLOW_ONCE spares: in helm repositories all but
// the charts.
func mayChange(format, path string) bool { return format == "helm" && !strings.HasSuffix(path, ".tgz") }

// requestCount counts the requests of a day, failed ones too.
type requestCount struct {
	day string
	n   int
}

func (c *requestCount) add(now time.Time) {
	if day := now.UTC().Format(time.DateOnly); day != c.day {
		c.day, c.n = day, 0
	}
	c.n++
}

// atCap says whether the usage caps of the Community Edition are used up. The
// caller holds s.mu.
func (s *Server) atCap() bool {
	quirks := s.opts.Quirks
	if s.prof.edition != "COMMUNITY" {
		return false
	}
	if quirks.RequestCap > 0 && s.today.n > quirks.RequestCap {
		return true
	}
	if quirks.ComponentCap == 0 {
		return false
	}
	n := 0
	for _, r := range s.repos {
		for _, a := range r.assets {
			if !a.generated && isComponent(r.Format, a.path) {
				n++
			}
		}
	}
	return n >= quirks.ComponentCap
}

// store puts content at path. The caller holds s.mu and has asked writable.
func (s *Server) store(r *repository, path, contentType string, c *content, x *exchange) *asset {
	now := s.opts.Now()
	a := &asset{repo: r.Name, path: path, content: c, contentType: contentType, created: now, updated: now}
	if x != nil {
		x.stored = a
		a.address, _, _ = strings.Cut(x.r.RemoteAddr, ":")
		if x.user != nil {
			a.uploader = x.user.Name
		}
	}
	c.refs++
	if old := r.assets[path]; old != nil {
		a.seq, a.created = old.seq, old.created
		old.content.release()
	} else {
		s.seq++
		a.seq = s.seq
	}
	r.assets[path] = a
	return a
}

// remove deletes the asset at path. The caller holds s.mu.
func (s *Server) remove(r *repository, path string) bool {
	a := r.assets[path]
	if a == nil {
		return false
	}
	delete(r.assets, path)
	a.content.release()
	return true
}

// accept receives an upload into the disk. It answers, and returns nil, when
// that goes wrong.
func (x *exchange) accept() *content {
	in, err := x.s.disk.newIntake(x.s.prof.computed(x.format))
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return nil
	}
	defer in.drop()
	if !x.receive(in) {
		return nil
	}
	c, err := in.finish()
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return nil
	}
	return c
}

// receive reads the request body into in. It answers, and returns false, when
// the body is too large or breaks off.
func (x *exchange) receive(in *intake) bool {
	err := in.receive(x.r.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		x.proxyError(http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge))
		return false
	}
	if x.s.opts.Quirks.KeepShortUploads && errors.Is(err, io.ErrUnexpectedEOF) {
		return true
	}
	if err != nil {
		x.htmlError(http.StatusBadRequest, "Early EOF")
		return false
	}
	return true
}
