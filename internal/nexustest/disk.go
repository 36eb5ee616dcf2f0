package nexustest

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
)

// disk keeps stored bytes in files.
type disk struct {
	dir  string
	next atomic.Int64
}

// newDisk makes a directory for stored bytes below parent, or below the
// system's temporary directory.
func newDisk(parent string) (*disk, error) {
	dir, err := os.MkdirTemp(parent, "nexustest-")
	if err != nil {
		return nil, fmt.Errorf("nexustest: directory for stored bytes: %w", err)
	}
	return &disk{dir: dir}, nil
}

func (d *disk) close() { os.RemoveAll(d.dir) }

// content is a stored file with the checksums that were asked for. Several
// assets may share it.
type content struct {
	file string
	size int64
	sums map[string]string // by name: md5, sha1, sha256, sha512
	refs int               // guarded by Server.mu
}

func (c *content) open() (*os.File, error) { return os.Open(c.file) }

// release drops one reference; the last one removes the file.
func (c *content) release() {
	if c.refs--; c.refs <= 0 {
		os.Remove(c.file)
	}
}

// bytes reads a whole small file.
func (c *content) bytes() ([]byte, error) { return os.ReadFile(c.file) }

var hashes = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

// An intake receives a file, in one piece or several.
type intake struct {
	f    *os.File
	out  io.Writer
	hash map[string]hash.Hash
	size int64
}

func (d *disk) newIntake(sums []string) (*intake, error) {
	f, err := os.Create(filepath.Join(d.dir, fmt.Sprint(d.next.Add(1))))
	if err != nil {
		return nil, fmt.Errorf("nexustest: %w", err)
	}
	in := &intake{f: f, hash: map[string]hash.Hash{}}
	writers := []io.Writer{f}
	for _, name := range sums {
		in.hash[name] = hashes[name]()
		writers = append(writers, in.hash[name])
	}
	in.out = io.MultiWriter(writers...)
	return in, nil
}

// receive appends what r holds.
func (in *intake) receive(r io.Reader) error {
	n, err := io.CopyBuffer(in.out, struct{ io.Reader }{r}, make([]byte, 128<<10))
	in.size += n
	return err
}

// finish turns what came into content.
func (in *intake) finish() (*content, error) {
	if err := in.f.Close(); err != nil {
		return nil, fmt.Errorf("nexustest: %w", err)
	}
	c := &content{file: in.f.Name(), size: in.size, sums: map[string]string{}}
	for name, h := range in.hash {
		c.sums[name] = hex.EncodeToString(h.Sum(nil))
	}
	return c, nil
}

// drop forgets what came. It does nothing after finish.
func (in *intake) drop() {
	if in.f.Close() == nil {
		os.Remove(in.f.Name())
	}
}
