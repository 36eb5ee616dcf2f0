// Package serve offers a bundle over HTTP straight from its archive, read-only and
// under the paths that a Nexus would have:
//
//	/                                    a start page with commands to copy
//	/v2/…                                OCI distribution API, pull side: all images
//	/repository/<docker>/v2/…            the same for those of one repository
//	/repository/<yum>/<set>/…            RPMs, and repodata made from their headers and
//	                                     the carried slices of modules, comps, updateinfo
//	/repository/<raw>/<path>             files
//	/repository/<raw>/keys/…             the public keys of the RPMs, and of the repodata
//	/repository/<raw>/repos/<set>.repo   a yum configuration that fits the request
//	/repository/<helm>/<chart>.tgz       charts
//	/repository/<helm>/index.yaml        an index of them, as helm repo add wants it
//
// Content that is served from its first byte is hashed as it goes, and its last bytes
// are held back until the digest is right: a damaged blob ends as a broken connection,
// never as a complete answer. Of a range that starts further in nothing can be hashed;
// it goes out as it lies in the archive, and the client has to check the whole, as
// registry clients and dnf do. Repodata is made from package headers as they lie
// there; the package checksums in it are those of the bundle's table.
//
// Nothing is written and nothing is unpacked. In memory are the names, one small
// record an artifact and, once somebody asked, the repodata and the index of charts.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A Store holds the blobs of a bundle.
type Store = createrepo.Store

// Options tune a Server. The zero value is ready to use.
type Options struct {
	Target    target.Map    // repository names and naming policy; empty names are the defaults
	AccessLog io.Writer     // one line a request; nil: none
	Log       *slog.Logger  // faults of the archive; nil: silent
	Grace     time.Duration // for open responses when Run ends; default 10 s
	Stall     time.Duration // a client that takes no byte for so long is cut off; default 60 s

	// Sign signs the repomd.xml of every repository, and its public key is offered with
	// those of the RPMs; nil: they are not signed.
	Sign *createrepo.Signer
}

// A Server is an http.Handler over one bundle.
type Server struct {
	bundle *manifest.Bundle
	store  Store
	opts   Options

	images     *catalog            // of the registry at /
	registries map[string]*catalog // by docker repository
	files      tree
	sets       map[string]*rpmSet // by path of the repodata directory
	repos      []*yumconf.Repo
	access     *accessLog
}

// New reads the manifests of all images and lays out the names. Contents that claim
// the same name are an error that holds *target.Collision; an image that is not what the
// table says is an error too.
func New(ctx context.Context, b *manifest.Bundle, store Store, opts Options) (*Server, error) {
	def := target.Default()
	opts.Target.Docker = cmp.Or(opts.Target.Docker, def.Docker)
	opts.Target.Yum = cmp.Or(opts.Target.Yum, def.Yum)
	opts.Target.Raw = cmp.Or(opts.Target.Raw, def.Raw)
	opts.Target.Helm = cmp.Or(opts.Target.Helm, def.Helm)
	opts.Grace = cmp.Or(opts.Grace, 10*time.Second)
	opts.Stall = cmp.Or(opts.Stall, time.Minute)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{bundle: b, store: store, opts: opts, access: newAccessLog(opts.AccessLog)}
	items, err := opts.Target.Items(b.Table, target.Selection{})
	if err != nil {
		return nil, fmt.Errorf("place the bundle's artifacts: %w", err)
	}
	whole := def // what the registry at / has, where the map parts it
	whole.Naming = opts.Target.Naming
	atRoot, err := whole.Items(b.Table, target.Selection{})
	if err != nil {
		return nil, fmt.Errorf("place the bundle's artifacts: %w", err)
	}
	atRoot = slices.DeleteFunc(atRoot, func(it target.Item) bool { return it.Kind != manifest.KindImage })
	collisions := target.Collisions(items)
	if len(collisions) == 0 {
		collisions = target.Collisions(atRoot)
	}
	var errs []error
	for _, c := range collisions {
		errs = append(errs, c)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, report.WithClass(report.ClassContent, fmt.Errorf("place the bundle's artifacts: %w", err))
	}
	if err := s.readImages(ctx, items); err != nil {
		return nil, err
	}
	if err := s.layOut(items); err != nil {
		return nil, err
	}
	return s, nil
}

// layOut builds the tree below /repository/: what is carried first, then what is
// made here, where its name is still free.
func (s *Server) layOut(items []target.Item) error {
	s.files, s.sets = newTree(), map[string]*rpmSet{}
	charts := map[string][]indexedChart{} // by repository
	for _, it := range items {
		if it.Kind == manifest.KindImage {
			continue
		}
		desc, ok := s.bundle.Blob(it.Digest)
		if !ok {
			return report.WithClass(report.ClassContent, fmt.Errorf("%s %s: blob %s is not in the bundle", it.Kind, it.Name, it.Digest))
		}
		s.files.add(it.Place.Repository+"/"+it.Place.Path, file{desc: desc})
		switch it.Kind {
		case manifest.KindRPM:
			s.addRPM(s.bundle.Table.RPMs[it.Index], it.Place)
		case manifest.KindChart:
			in := it.Place.Repository
			charts[in] = append(charts[in], indexedChart{s.bundle.Table.Charts[it.Index], desc})
		}
	}
	for repository := range s.registries {
		s.files.addDir(repository)
	}
	s.addChartIndexes(charts)
	return s.addYumConf()
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := newRecorder(w, s.opts.Stall)
	start, done := time.Now(), false
	defer func() { s.access.write(rec, r, start, !done) }()
	rec.Header().Set("X-Content-Type-Options", "nosniff")
	rec.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
	s.route(rec, r)
	done = true
}

// route finds the handler by the decoded path. Paths are never cleaned or joined:
// what is not literally the name of something is not found.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	p := r.URL.Path
	if rest, ok := strings.CutPrefix(p, "/v2"); ok && (rest == "" || rest[0] == '/') {
		s.serveRegistry(w, r, s.images, "", rest)
		return
	}
	below, inRepository := strings.CutPrefix(p, "/repository/")
	repository, inside, _ := strings.Cut(below, "/")
	docker := s.registries[repository]
	if rest, ok := strings.CutPrefix(inside, "v2"); ok && inRepository && docker != nil && (rest == "" || rest[0] == '/') {
		s.serveRegistry(w, r, docker, "/repository/"+repository, rest)
		return
	}
	if !isRead(r) {
		w.Header().Set("Allow", allowed)
		http.Error(w, "this server is read-only", http.StatusMethodNotAllowed)
		return
	}
	switch {
	case p == "/":
		s.serveStart(w, r)
	case p == "/repository":
		redirectToDir(w, "repository")
	case inRepository && docker != nil && below == repository+"/":
		s.serveImages(w, r, docker)
	case inRepository:
		s.serveTree(w, r, below)
	default:
		notFound(w)
	}
}

const allowed = "GET, HEAD"

func isRead(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead
}

func notFound(w http.ResponseWriter) {
	http.Error(w, "not found", http.StatusNotFound)
}
