package yum

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"airbundle/internal/atomicfile"
	"airbundle/internal/regular"
	"airbundle/internal/rpm"
)

// A cache keeps files in a directory: content/<kind>/<hash> what repomd.xml names, and
// derived/<sha256 of the key> what is made of it. A file is there only when it is whole, so
// that several processes may use the directory at once, and any file may be deleted at
// any time. Nothing is deleted by us but what is damaged. A directory that cannot be
// written is no cache, and no failure.
type cache struct {
	dir string
	log *slog.Logger
}

// open opens a file of the cache; false when it is not there.
func (c cache) open(path string) (*os.File, bool) {
	if c.dir == "" {
		return nil, false
	}
	f, _, err := regular.Open(path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			c.log.Warn("cache not used", "cause", err.Error())
		}
		return nil, false
	}
	return f, true
}

func (c cache) content(sum rpm.Checksum) string {
	return filepath.Join(c.dir, "content", sum.Type, sum.Value)
}

func (c cache) derived(key string) string {
	name := sha256.Sum256([]byte(key))
	return filepath.Join(c.dir, "derived", hex.EncodeToString(name[:]))
}

// verified opens a content that is in the cache and still what it was; one that is not
// is thrown away.
func (c cache) verified(sum rpm.Checksum) (*os.File, bool) {
	f, ok := c.open(c.content(sum))
	if !ok {
		return nil, false
	}
	h := sum.New()
	_, err := io.Copy(h, f)
	if err == nil && hex.EncodeToString(h.Sum(nil)) != sum.Value {
		err = errors.New("it is damaged")
	}
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		return f, true
	}
	f.Close()
	os.Remove(f.Name())
	c.log.Warn("cached file thrown away", "file", f.Name(), "cause", err.Error())
	return nil, false
}

// Cached opens the derived form that was kept under a key; false when there is none. The
// form must tell by itself whether it is whole.
func (s *Source) Cached(key string) (io.ReadCloser, bool) {
	f, ok := s.cache.open(s.cache.derived(key))
	if !ok {
		return nil, false // and not a nil *os.File
	}
	return f, true
}

// Cache keeps what write writes under a key, which names content, form and version. Its
// error is that of write: where the cache cannot be written, that is logged only.
func (s *Source) Cache(key string, write func(io.Writer) error) error {
	if s.o.Cache == "" {
		return nil
	}
	path := s.cache.derived(key)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		var failed error
		out := &localWriter{}
		err = atomicfile.Write(path, 0o644, func(w io.Writer) error {
			out.w = w
			failed = write(out)
			return failed
		})
		if failed != nil && out.err == nil {
			return failed
		}
	}
	if err != nil {
		s.o.Log.Warn("cache not written", "cause", err.Error())
	}
	return nil
}

// A localWriter remembers that it was the file that failed, not what is written to it.
type localWriter struct {
	w   io.Writer
	err error
}

func (l *localWriter) Write(p []byte) (int, error) {
	n, err := l.w.Write(p)
	if err != nil {
		l.err = err
	}
	return n, err
}

// place returns a path for a content and what ends its use: in the cache, or, where there
// is none or it cannot be written, in a directory that done removes.
func (c cache) place(sum rpm.Checksum) (path string, done func(), err error) {
	if c.dir != "" {
		path := c.content(sum)
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = writable(filepath.Dir(path))
		}
		if err == nil {
			return path, func() {}, nil
		}
		c.log.Warn("cache not written", "cause", err.Error())
	}
	dir, err := os.MkdirTemp("", "airbundle-")
	if err != nil {
		return "", nil, fmt.Errorf("a place for metadata below %s (TMPDIR), for want of a cache: %w", os.TempDir(), err)
	}
	return filepath.Join(dir, sum.Value), func() { os.RemoveAll(dir) }, nil
}

// writable says whether files can be made in dir, as far as that can be told without making one.
func writable(dir string) error {
	if err := unix.Access(dir, unix.W_OK|unix.X_OK); err != nil {
		return &fs.PathError{Op: "write", Path: dir, Err: err}
	}
	return nil
}
