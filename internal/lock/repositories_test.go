package lock_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
)

// chartContents are chart repositories that hold these charts, by name and version.
type chartContents map[string]string

func (c chartContents) Resolve(_ context.Context, w lockfile.ChartWish) (lockfile.Chart, error) {
	content, ok := c[w.Name+" "+w.Version]
	if !ok {
		return lockfile.Chart{}, &httpx.StatusError{Method: "GET", URL: w.Repo, Code: 404}
	}
	return lockfile.Chart{Name: w.Name, Version: w.Version, URLs: []string{w.Repo + "/" + w.Name + ".tgz"}, Size: int64(len(content)), Digest: digest.FromString(content)}, nil
}

// repositories are yum repositories by ID, and by ID and arch where they differ.
type repositories map[string]*repository

func (r repositories) Open(_ context.Context, w lockfile.Repo, arch string, age func([]byte) (int64, error)) (*lock.Repository, error) {
	repo, ok := r[w.ID+" "+arch]
	if !ok {
		repo, ok = r[w.ID]
	}
	if !ok {
		return nil, &httpx.StatusError{Method: "GET", URL: "https://m/" + w.ID, Code: 404}
	}
	repo.mu.Lock()
	defer repo.mu.Unlock()
	repo.opened++
	if _, err := age(repo.repomd); err != nil {
		return nil, err
	}
	return &lock.Repository{
		Repomd: repo.repomd, Keys: repo.keys, Metadata: repo, Packages: repo,
		Skipped: func() []string { return repo.skipped },
		Older: func() (*lock.Repository, bool) {
			if repo.older == nil {
				return nil, false
			}
			o := repo.older
			return &lock.Repository{Repomd: o.repomd, Keys: o.keys, Metadata: o, Packages: o}, true
		},
	}, nil
}

// A repository holds real packages and the metadata that we write of them. Faults are set
// by changing it before use.
type repository struct {
	repomd  []byte
	files   map[string][]byte // metadata by location
	rpms    map[string][]byte // packages by location
	keys    []lockfile.Key
	mirrors []string
	skipped []string
	older   *repository
	signer  func(location string) (string, error) // nil: reads the package

	mu     sync.Mutex
	opened int
	read   []string // locations of metadata
	looked []string // packages whose signers were asked for
	pinned []string
}

// newRepository makes a repository at a place, with the test's key.
func newRepository(t *testing.T, at string, specs ...rpmtest.Spec) *repository {
	t.Helper()
	return withSlices(t, at, createrepo.Slices{}, specs...)
}

// withSlices makes a repository that has modules, groups and advisories, too.
func withSlices(t *testing.T, at string, slices createrepo.Slices, specs ...rpmtest.Spec) *repository {
	t.Helper()
	key := rpmtest.Key(t)
	repo := &repository{rpms: map[string][]byte{}, mirrors: []string{at}, keys: []lockfile.Key{{ID: key.ID, Armor: key.Armor}}}
	var entries []createrepo.Entry
	for _, s := range specs {
		raw := rpmtest.Build(t, s)
		p, err := rpm.Read(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		location := "Packages/" + s.FileName()
		repo.rpms[location] = raw
		entries = append(entries, createrepo.Entry{Package: p, Location: location, Digest: digest.FromBytes(raw), Size: int64(len(raw)), Time: 1})
	}
	set, err := createrepo.Write(entries, slices)
	if err != nil {
		t.Fatal(err)
	}
	repo.repomd, repo.files = set.Repomd, set.Files
	return repo
}

// rewrite gives the file whose name ends so another content, which repomd.xml names.
func (r *repository) rewrite(end, content string) {
	for name, raw := range r.files {
		if strings.HasSuffix(name, end) {
			was, is := digest.FromBytes(raw).Encoded(), digest.FromString(content).Encoded()
			delete(r.files, name)
			r.files[strings.ReplaceAll(name, was, is)] = []byte(content)
			r.repomd = bytes.ReplaceAll(r.repomd, []byte(was), []byte(is))
			return
		}
	}
}

// signed is a package with the test's signature.
func signed(t *testing.T, name, version, arch string, requires ...string) rpmtest.Spec {
	t.Helper()
	return rpmtest.Spec{Name: name, Version: version, Arch: arch, Requires: requires, Key: rpmtest.Key(t)}
}

func (r *repository) File(_ context.Context, location, checksum string, _ int64) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.read = append(r.read, location)
	raw, ok := r.files[location]
	if !ok {
		return nil, &httpx.StatusError{Method: "GET", URL: r.mirrors[0] + location, Code: 404}
	}
	if got := digest.FromBytes(raw).String(); got != checksum {
		return nil, fmt.Errorf("%s hashes to %s, want %s", location, got, checksum)
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (r *repository) URLs(_, location string) []string {
	var urls []string
	for _, m := range r.mirrors {
		urls = append(urls, m+location)
	}
	return urls
}

func (r *repository) Signer(_ context.Context, _, location string, headerStart int64) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.looked = append(r.looked, location)
	if headerStart <= 96 {
		return "", fmt.Errorf("the header of %s does not begin at %d", location, headerStart)
	}
	if r.signer != nil {
		return r.signer(location)
	}
	var armor strings.Builder
	for _, k := range r.keys {
		armor.WriteString(k.Armor + "\n")
	}
	ring, err := rpm.ReadKeys(armor.String())
	if err != nil {
		return "", err
	}
	id, err := rpm.Verify(bytes.NewReader(r.rpms[location]), ring)
	if errors.Is(err, rpm.ErrUnsigned) {
		return "", nil
	}
	return id, err
}

func (r *repository) Pin(_ context.Context, _, location, _ string, size int64) (digest.Digest, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pinned = append(r.pinned, location)
	if raw := r.rpms[location]; int64(len(raw)) == size {
		return digest.FromBytes(raw), nil
	}
	return "", errors.New("another size")
}

// memory is a cache.
type memory struct {
	mu   sync.Mutex
	kept map[string][]byte
	hits int
}

func (m *memory) Cached(key string) (io.ReadCloser, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.kept[key]
	if ok {
		m.hits++
	}
	return io.NopCloser(bytes.NewReader(raw)), ok
}

func (m *memory) Cache(key string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept[key] = b.Bytes()
	return nil
}
