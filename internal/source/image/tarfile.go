package image

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"airbundle/internal/regular"
)

const (
	// maxEntries bounds the table of contents of a tar, and with it the memory it costs.
	maxEntries = 1 << 18
	// maxHops bounds the links that one name leads over.
	maxHops = 8
)

// archives keeps the tables of contents of the tar files of one Source.
type archives struct {
	mu     sync.Mutex
	byPath map[string]*tarFile
}

// at returns the tar file at path; it is opened when something in it is.
func (a *archives) at(path string) *tarFile {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.byPath == nil {
		a.byPath = map[string]*tarFile{}
	}
	if a.byPath[path] == nil {
		a.byPath[path] = &tarFile{path: path}
	}
	return a.byPath[path]
}

// A tarFile is a medium in a tar that stays where and as it is: its entries are
// located once and then read in place. They are located anew when the file was
// replaced in between.
type tarFile struct {
	path string

	mu   sync.Mutex
	last *contents
}

func (t *tarFile) place(name string) string { return t.path + ": " + name }

// open implements medium.
func (t *tarFile) open(name string) (io.ReadCloser, int64, error) {
	c, err := t.contents()
	if err != nil {
		return nil, 0, err
	}
	return c.open(name)
}

// contents returns what is in the file now.
func (t *tarFile) contents() (*contents, error) {
	f, info, err := regular.Open(t.path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != nil && t.last.sameFile(info) {
		return t.last, nil
	}
	entries, err := locate(f, info.Size())
	if err != nil {
		return nil, &ContentError{Place: t.path, Err: err}
	}
	t.last = &contents{path: t.path, info: info, entries: entries, images: map[string]*savedImage{}}
	return t.last, nil
}

// contents are the table of contents of one state of a tar.
type contents struct {
	path    string
	info    fs.FileInfo
	entries map[string]entry

	reading sync.Mutex             // held while an image is read through
	images  map[string]*savedImage // of a docker archive, by REF
}

// An entry is what a tar says of one name.
type entry struct {
	offset, size int64  // of a regular file
	link         string // path inside the archive that it leads to
	wrong        string // why it cannot be opened
}

func (c *contents) sameFile(info fs.FileInfo) bool {
	return os.SameFile(c.info, info) && c.info.Size() == info.Size() && c.info.ModTime().Equal(info.ModTime())
}

func (c *contents) place(name string) string { return c.path + ": " + name }

// open implements medium. Links are followed inside the archive only.
func (c *contents) open(name string) (io.ReadCloser, int64, error) {
	e, err := c.find(name)
	if err != nil {
		return nil, 0, err
	}
	f, info, err := regular.Open(c.path)
	if err != nil {
		return nil, 0, err
	}
	if !c.sameFile(info) {
		f.Close()
		return nil, 0, badContent(c.path, "the file changed while it was being read")
	}
	return section{io.NewSectionReader(f, e.offset, e.size), f}, e.size, nil
}

// A section is an open entry.
type section struct {
	io.Reader
	io.Closer
}

// find looks a name up, over links.
func (c *contents) find(name string) (entry, error) {
	at := name
	for range maxHops {
		e, ok := c.entries[at]
		switch {
		case !ok:
			return entry{}, badContent(c.place(at), "no such entry: %w", fs.ErrNotExist)
		case e.wrong != "":
			return entry{}, badContent(c.place(at), "%s", e.wrong)
		case e.link == "":
			return e, nil
		}
		at = e.link
	}
	return entry{}, badContent(c.place(name), "leads over more than %d links", maxHops)
}

// locate reads the headers of a tar and seeks over everything else.
func locate(r io.ReaderAt, size int64) (map[string]entry, error) {
	if kind := compression(r); kind != "" {
		return nil, fmt.Errorf("the archive is compressed (%s): its entries cannot be read in place, decompress it first", kind)
	}
	// archive/tar reads no further than the header, so the position behind it is where the content begins.
	s := io.NewSectionReader(r, 0, size)
	tr := tar.NewReader(s)
	entries := map[string]entry{}
	for n := 0; ; n++ {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) && n > 0 {
			return entries, nil
		} else if err != nil {
			return nil, fmt.Errorf("not a tar, or a damaged one: header %d: %w", n+1, err)
		}
		if n == maxEntries {
			return nil, fmt.Errorf("more than %d entries", maxEntries)
		}
		offset, err := s.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		e := newEntry(h, offset)
		if e.wrong == "" && e.link == "" && e.size > size-offset {
			return nil, fmt.Errorf("entry %q is cut off: %d bytes of %d are there", h.Name, size-offset, e.size)
		}
		name := path.Clean(h.Name)
		if _, twice := entries[name]; twice {
			e = entry{wrong: "the archive has this entry twice"}
		}
		entries[name] = e
	}
}

// newEntry judges one header.
func newEntry(h *tar.Header, offset int64) entry {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return entry{wrong: "a sparse entry"}
		}
	}
	switch h.Typeflag {
	case tar.TypeReg:
		return entry{offset: offset, size: h.Size}
	case tar.TypeSymlink:
		return newLink(h, path.Join(path.Dir(h.Name), h.Linkname))
	case tar.TypeLink:
		return newLink(h, path.Clean(h.Linkname))
	case tar.TypeGNUSparse:
		return entry{wrong: "a sparse entry"}
	}
	return entry{wrong: fmt.Sprintf("not a regular file (tar type %q)", h.Typeflag)}
}

func newLink(h *tar.Header, to string) entry {
	if path.IsAbs(h.Linkname) || !fs.ValidPath(to) {
		return entry{wrong: fmt.Sprintf("a link that leads out of the archive, to %q", h.Linkname)}
	}
	return entry{link: to}
}

// compression names the compression that a file begins with, if any.
func compression(r io.ReaderAt) string {
	var head [6]byte
	n, _ := r.ReadAt(head[:], 0)
	return compressionOf(head[:n])
}

func compressionOf(head []byte) string {
	for _, c := range []struct{ magic, name string }{
		{"\x1f\x8b", "gzip"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"BZh", "bzip2"}, {"\xfd7zXZ\x00", "xz"},
	} {
		if bytes.HasPrefix(head, []byte(c.magic)) {
			return c.name
		}
	}
	return ""
}

// untilDone reads r as long as ctx lasts: hashing large layers must not outlive an interrupt.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	return readerFunc(func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		return r.Read(p)
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
