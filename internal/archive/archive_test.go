package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"airbundle/manifest"
)

// A sample is a bundle together with the contents of all its blobs.
type sample struct {
	bundle *manifest.Bundle
	layout *Layout
	data   map[digest.Digest][]byte
}

func newSample(tb testing.TB, name string, sizes ...int) *sample {
	tb.Helper()
	s, err := makeSample(name, sizes...)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

// makeSample makes a bundle of files of the given sizes.
func makeSample(name string, sizes ...int) (*sample, error) {
	s := &sample{data: map[digest.Digest][]byte{}}
	table := manifest.Table{Name: name, Lock: digest.FromString(name), Arches: []string{"x86_64"}}
	random := rand.NewChaCha8(sha256.Sum256([]byte(name)))
	for i, size := range sizes {
		data := make([]byte, size)
		_, _ = random.Read(data)
		d := digest.FromBytes(data)
		s.data[d] = data
		table.Files = append(table.Files, manifest.File{Path: "file-" + string(rune('a'+i)), Digest: d})
		table.Blobs = append(table.Blobs, manifest.Blob{MediaType: manifest.MediaTypeFile, Digest: d, Size: int64(size)})
	}
	var err error
	if s.bundle, err = manifest.New(table); err != nil {
		return nil, err
	}
	maps.Copy(s.data, s.bundle.Generated())
	s.layout, err = NewLayout(s.bundle.Index(), s.bundle.Blobs())
	return s, err
}

// mixedSizes end before, at and after the borders of blocks and buffers.
var mixedSizes = []int{0, 1, 511, 512, 513, 70_000, bufferSize, bufferSize + 1, 3 * bufferSize}

func mixed(tb testing.TB) *sample {
	tb.Helper()
	return newSample(tb, "mixed", mixedSizes...)
}

// reference writes the sample with archive/tar, whose ustar form is ours.
func (s *sample) reference(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(name string, data []byte) {
		h := &tar.Header{Name: name, Size: int64(len(data)), Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			tb.Fatal(err)
		}
	}
	add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	add("index.json", s.bundle.Index())
	for _, d := range s.bundle.Blobs() {
		add("blobs/sha256/"+d.Digest.Encoded(), s.data[d.Digest])
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// write builds the archive the straight way.
func (s *sample) write(tb testing.TB, path string) {
	tb.Helper()
	w, err := Create(tb.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	defer w.Close()
	s.fill(tb, w, w.Missing(), 1)
	if err := w.Seal(); err != nil {
		tb.Fatal(err)
	}
}

func (s *sample) fill(tb testing.TB, w *Writer, blobs []ocispec.Descriptor, jobs int) {
	tb.Helper()
	todo := make(chan ocispec.Descriptor, len(blobs))
	for _, d := range blobs {
		todo <- d
	}
	close(todo)
	var wg sync.WaitGroup
	for range jobs {
		wg.Go(func() {
			for d := range todo {
				if err := w.Fill(tb.Context(), d, bytes.NewReader(s.data[d.Digest])); err != nil {
					tb.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// file returns the descriptor of the i-th largest blob.
func (s *sample) file(i int) ocispec.Descriptor {
	all := slices.SortedFunc(slices.Values(s.layout.Blobs()), func(a, b ocispec.Descriptor) int { return int(b.Size - a.Size) })
	return all[i]
}

// roomy is a disk with space for everything, so that sparse files can be tested.
func roomy() disk {
	return disk{
		statfs: func(_ int, st *unix.Statfs_t) error {
			*st = unix.Statfs_t{Blocks: 1 << 50, Bavail: 1 << 50, Bsize: 4096}
			return nil
		},
		fallocate: func(int, uint32, int64, int64) error { return unix.EOPNOTSUPP },
		getrlimit: func(int, *unix.Rlimit) error { return unix.ENOSYS },
		fsync:     (*os.File).Sync,
	}
}

func readFile(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

func writeFile(tb testing.TB, dir, name string, data []byte) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// fetchAll reads every blob and returns the digests of those that are not right.
func fetchAll(ctx context.Context, a *Archive) (bad []digest.Digest) {
	for _, d := range a.Bundle().Blobs() {
		r, err := a.Fetch(ctx, d)
		if err == nil {
			_, err = io.Copy(io.Discard, r)
			r.Close()
		}
		if err != nil {
			bad = append(bad, d.Digest)
		}
	}
	return bad
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
