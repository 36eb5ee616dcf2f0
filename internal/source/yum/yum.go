// Package yum reads yum repositories on the network and on disk: it finds mirrors, picks
// the newest metadata that is whole, checks its signature, and hands out files that
// repomd.xml names, verified, and the URLs and signers of packages.
//
// What the files say is not its matter: repomd.xml is bytes to it, of which its caller
// says how old they are.
package yum

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"

	"airbundle/internal/fetch"
	"airbundle/internal/lockfile"
)

// Options say how a Source reads.
type Options struct {
	Client *http.Client // of package httpx
	Dir    string       // what relative key files and file: URLs are below: the request's directory
	Cache  string       // directory that keeps what was read, made when missing; empty: nothing is kept
	Log    *slog.Logger // gets what is skipped and why (nil: nothing is told)

	// MirrorWait bounds the wait for repomd.xml of one of several mirrors (default 15 s).
	MirrorWait time.Duration
	// Grace is how long the others are still waited for when three mirrors agree
	// (default 3 s).
	Grace time.Duration
}

const (
	defaultMirrorWait = 15 * time.Second
	defaultGrace      = 3 * time.Second
)

// A Source opens repositories. It may be used by several goroutines at once.
type Source struct {
	o      Options
	opener *fetch.Opener
	cache  cache
}

// New returns a source that reads as o says.
func New(o Options) *Source {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MirrorWait <= 0 {
		o.MirrorWait = defaultMirrorWait
	}
	if o.Grace <= 0 {
		o.Grace = defaultGrace
	}
	return &Source{o: o, opener: fetch.New(o.Client, o.Dir), cache: cache{dir: o.Cache, log: o.Log}}
}

// A Repository is one repository for one arch, as one repomd.xml describes it. Its methods
// may be called by several goroutines at once.
type Repository struct {
	Repomd []byte // verified as far as the request asks for it
	// Skipped are the mirrors that are not used, as "URL: reason" with the URL redacted.
	// It grows when a mirror fails to give a file that another one has; it is not to be
	// read while a method runs.
	Skipped []string
	Keys    []lockfile.Key // every key of gpgkeys, each once: 16-digit id of its primary key, armor of that key alone

	s     *Source
	name  string // for errors: id and arch
	ring  openpgp.EntityList
	older []edition // that other mirrors have, the next best first
	local bool      // file: URLs are in order

	mu      sync.Mutex
	mirrors []mirror // that have Repomd, in the order of the list
	useless []string // lines of Skipped that hold for older editions too
}

// Open gets repomd.xml of the repository r for an arch: x86_64 or aarch64, which stands
// for $basearch. age tells how old a repomd.xml is (a larger number is newer) and that
// it is one at all.
//
// Of several mirrors the one with the newest repomd.xml counts, or of a metalink the one
// that it names; mirrors that are older, cannot be reached or hold something else
// are skipped. When none is left, the error is a *MirrorsError. With RepoGPGCheck
// a repomd.xml without a good signature by one of GPGKeys is no better than none.
func (s *Source) Open(ctx context.Context, r lockfile.Repo, arch string, age func(repomd []byte) (int64, error)) (*Repository, error) {
	name := fmt.Sprintf("repository %s (%s)", r.ID, arch)
	rep, err := s.open(ctx, r, arch, age, name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return rep, nil
}

func (s *Source) open(ctx context.Context, r lockfile.Repo, arch string, age func([]byte) (int64, error), name string) (*Repository, error) {
	ring, err := s.readKeys(ctx, r.GPGKeys)
	if err != nil {
		return nil, err
	}
	keys, err := exportKeys(ring)
	if err != nil {
		return nil, err
	}
	found, err := s.findMirrors(ctx, r, arch)
	if err != nil {
		return nil, err
	}
	ask := &inquiry{s: s, list: found, age: age, signed: r.RepoGPGCheck, ring: ring}
	editions, err := ask.run(ctx)
	if err != nil {
		return nil, err
	}
	rep := &Repository{Keys: keys, s: s, name: name, ring: ring, local: found.local, useless: ask.skipped()}
	rep.use(editions)
	for _, line := range rep.Skipped {
		s.o.Log.Warn("mirror skipped", "repository", r.ID, "arch", arch, "mirror", line)
	}
	return rep, nil
}

// use makes the first edition that of the repository.
func (r *Repository) use(editions []edition) {
	first := editions[0]
	r.Repomd, r.mirrors, r.older = first.repomd, first.mirrors, editions[1:]
	r.Skipped = append([]string(nil), r.useless...)
	for _, e := range r.older {
		for _, m := range e.mirrors {
			r.Skipped = append(r.Skipped, m.shown()+": "+e.lag(first))
		}
	}
}

// Older returns the repository as the next older repomd.xml that a mirror has describes
// it, for when no mirror has the files that the newest one names. It reports false when
// there is none.
func (r *Repository) Older() (*Repository, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.older) == 0 {
		return nil, false
	}
	useless := append([]string(nil), r.useless...)
	for _, m := range r.mirrors {
		useless = append(useless, m.shown()+": its repomd.xml is newer, but no mirror has the files that it names")
	}
	old := &Repository{Keys: r.Keys, s: r.s, name: r.name, ring: r.ring, local: r.local, useless: useless}
	old.use(r.older)
	r.s.o.Log.Warn("older metadata is used, because no mirror has the files that the newest names",
		"repository", r.name, "mirror", old.mirrors[0].shown())
	return old, true
}
