package nexustest

import (
	"bytes"
	"fmt"
	"os"
	"slices"
)

// An Asset is what the server holds at a path.
type Asset struct {
	Path        string // without a leading slash
	ContentType string
	Size        int64
	Checksums   map[string]string // that the server keeps, by name
	Uploader    string
	Generated   bool // metadata that the server wrote
}

// Assets returns what a repository holds, sorted by path. Docker blobs are at
// v2/-/blobs/<digest>, manifests at v2/<image>/manifests/<tag or digest>.
func (s *Server) Assets(repo string) []Asset {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repo]
	if r == nil {
		return nil
	}
	var out []Asset
	for _, p := range sortedKeys(r.assets) {
		a := r.assets[p]
		sums := map[string]string{}
		for _, name := range s.prof.keptOf(a, r.Format, s.opts.Quirks) {
			sums[name] = a.content.sums[name]
		}
		out = append(out, Asset{Path: p, ContentType: a.contentType, Size: a.content.size, Checksums: sums,
			Uploader: a.uploader, Generated: a.generated})
	}
	return out
}

// Paths returns the paths of what was uploaded to a repository, sorted.
func (s *Server) Paths(repo string) []string {
	var out []string
	for _, a := range s.Assets(repo) {
		if !a.Generated {
			out = append(out, a.Path)
		}
	}
	return out
}

// Read returns the stored bytes of an asset.
func (s *Server) Read(repo, path string) ([]byte, error) {
	a := s.lookup(repo, path)
	if a == nil {
		return nil, fmt.Errorf("nexustest: no asset %s in %s: %w", path, repo, os.ErrNotExist)
	}
	return a.content.bytes()
}

// Put stores bytes without a request, whatever the write policy says.
func (s *Server) Put(repo, path string, data []byte) error {
	s.mu.Lock()
	r := s.repos[repo]
	s.mu.Unlock()
	if r == nil {
		return fmt.Errorf("nexustest: no repository %s", repo)
	}
	in, err := s.disk.newIntake(s.prof.computed(r.Format))
	if err != nil {
		return err
	}
	defer in.drop()
	if err := in.receive(bytes.NewReader(data)); err != nil {
		return fmt.Errorf("nexustest: store %s in %s: %w", path, repo, err)
	}
	c, err := in.finish()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store(r, path, contentTypeOf(path, ""), c, nil)
	s.changed(r)
	return nil
}

// Delete removes an asset without a request and says whether it was there.
func (s *Server) Delete(repo, path string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[repo]
	if r == nil || !s.remove(r, path) {
		return false
	}
	s.changed(r)
	return true
}

// Corrupt inverts one stored byte of an asset; a negative offset counts from
// the end. Checksums, digests and entity tags stay as they were.
func (s *Server) Corrupt(repo, path string, offset int64) error {
	a := s.lookup(repo, path)
	if a == nil {
		return fmt.Errorf("nexustest: no asset %s in %s: %w", path, repo, os.ErrNotExist)
	}
	if offset < 0 {
		offset += a.content.size
	}
	f, err := os.OpenFile(a.content.file, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("nexustest: corrupt %s: %w", path, err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		return fmt.Errorf("nexustest: corrupt %s at %d: %w", path, offset, err)
	}
	b[0] ^= 0xff
	if _, err := f.WriteAt(b[:], offset); err != nil {
		return fmt.Errorf("nexustest: corrupt %s at %d: %w", path, offset, err)
	}
	return f.Close()
}

// CorruptBlob is Corrupt for a docker blob.
func (s *Server) CorruptBlob(repo, digest string, offset int64) error {
	return s.Corrupt(repo, blobPath(digest), offset)
}

// Lose makes the bytes of an asset vanish while the database still lists it:
// HEAD answers 200, GET 500, a docker manifest that needs it BLOB_UNKNOWN. The
// next upload heals it, under any write policy but DENY.
func (s *Server) Lose(repo, path string) bool {
	a := s.lookup(repo, path)
	if a == nil {
		return false
	}
	a.lost.Store(true)
	return true
}

// LoseBlob is Lose for a docker blob.
func (s *Server) LoseBlob(repo, digest string) bool { return s.Lose(repo, blobPath(digest)) }

// Tags returns the tags of a docker image with their digests.
func (s *Server) Tags(repo, image string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]string{}
	if r := s.repos[repo]; r != nil {
		for _, tag := range r.tagsOf(image) {
			out[tag] = digestOf(r.assets[manifestPath(image, tag)].content)
		}
	}
	return out
}

// Images returns the names of the images in a docker repository.
func (s *Server) Images(repo string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.repos[repo]; r != nil {
		return slices.Clone(s.images(r))
	}
	return nil
}
