package archive

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/content"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/fuzztest"
)

var (
	_ content.ReadOnlyStorage = (*Archive)(nil)
	_ content.ReadOnlyStorage = (*LayoutTar)(nil)
)

func TestOpen(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if diff := cmp.Diff(s.bundle.Blobs(), a.Bundle().Blobs()); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
	if a.Size() != s.layout.Size() {
		t.Errorf("size %d", a.Size())
	}
	for _, d := range s.layout.Blobs() {
		if err := drain(t.Context(), a, d); err != nil {
			t.Error(err)
		}
		if ok, err := a.Exists(t.Context(), d); !ok || err != nil {
			t.Errorf("%s: exists %v, %v", d.Digest, ok, err)
		}
		section, ok := a.Section(d.Digest)
		if !ok || section.Size() != d.Size {
			t.Fatalf("%s: no section", d.Digest)
		}
		got, err := io.ReadAll(io.NewSectionReader(section, d.Size/2, d.Size))
		if err != nil || !bytes.Equal(got, s.data[d.Digest][d.Size/2:]) {
			t.Errorf("%s: second half of the section: %d bytes, %v", d.Digest, len(got), err)
		}
		at, _ := a.Offset(d.Digest)
		if want, _, _ := s.layout.slot(d.Digest); at != want {
			t.Errorf("%s: offset %d, want %d", d.Digest, at, want)
		}
	}
	stranger := fake("stranger", 1)
	if _, err := a.Fetch(t.Context(), stranger); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	if _, ok := a.Section(stranger.Digest); ok {
		t.Error("a section of a stranger")
	}
	other := s.file(0)
	other.Size--
	if _, err := a.Fetch(t.Context(), other); err == nil {
		t.Error("fetched by a wrong size")
	}
	if ok, _ := a.Exists(t.Context(), other); ok {
		t.Error("exists with a wrong size")
	}
}

// What is no regular file is refused at once.
func TestOpenRefusesSpecialFiles(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink("fifo", link); err != nil {
		t.Fatal(err)
	}
	for path, wanted := range map[string]string{dir: nameIt, fifo: nameIt, link: fifo, "/dev/zero": nameIt} {
		done := make(chan error, 2)
		go func() {
			_, err := Open(path)
			done <- err
			_, _, err = OpenLayout(path)
			done <- err
		}()
		for range 2 {
			select {
			case err := <-done:
				if fe, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(fe.Todo, wanted) {
					t.Errorf("%s: %v, want a *FormatError that says what is wanted", path, err)
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("%s: hangs", path)
			}
		}
	}
	if _, err := Open(filepath.Join(dir, "nobody")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// A file that shrinks while it is open gives an error, not short content.
func TestFileShrinks(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if err := os.Truncate(path, blockSize); err != nil {
		t.Fatal(err)
	}
	for _, d := range s.layout.Blobs() {
		if err := drain(t.Context(), a, d); err == nil && d.Size > 0 {
			t.Errorf("%s: fetched", d.Digest)
		}
	}
	a.Close()
	if err := drain(t.Context(), a, s.file(0)); !errors.Is(err, os.ErrClosed) || !strings.Contains(err.Error(), "at byte") {
		t.Errorf("after Close: %v", err)
	}
}

// No file makes the readers panic or use much memory; what Open accepts is canonical.
func FuzzOpen(f *testing.F) {
	s := newSample(f, "fuzz", 3, 600)
	whole := s.reference(f)
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(whole[1024:])
	f.Add(append(bytes.Clone(whole), whole...))
	for i := range s.layout.entries {
		damaged := bytes.Clone(whole)
		binary.BigEndian.PutUint64(damaged[s.layout.entries[i].offset-blockSize+124:], 1<<63)
		f.Add(damaged)
	}
	for _, data := range foreignSeeds(f) {
		f.Add(data)
	}
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		path := writeFile(t, t.TempDir(), "a.tar", data)
		if a, problems, err := Scan(path); err == nil {
			bad := fetchAll(t.Context(), a)
			if len(problems) == 0 && len(bad) == 0 && !bytes.Equal(data, rewrite(t, a)) {
				t.Error("accepted a file that is not canonical")
			}
			a.Close()
		}
		if l, _, err := OpenLayout(path); err == nil {
			for _, name := range l.Files() {
				if size, ok := l.Size(name); !ok || size > int64(len(data)) {
					t.Errorf("%q: %d bytes of %d", name, size, len(data))
				}
			}
			l.Close()
		}
	})
}

// rewrite builds the archive anew from what an open one has.
func rewrite(t *testing.T, a *Archive) []byte {
	t.Helper()
	s := &sample{bundle: a.Bundle(), data: map[digest.Digest][]byte{}}
	for _, d := range a.Bundle().Blobs() {
		section, _ := a.Section(d.Digest)
		data, err := io.ReadAll(section)
		if err != nil {
			t.Fatal(err)
		}
		s.data[d.Digest] = data
	}
	return s.reference(t)
}

// foreignSeeds are small tars in all formats that archive/tar writes.
func foreignSeeds(tb testing.TB) (seeds [][]byte) {
	tb.Helper()
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		files := map[string]string{"oci-layout": ociLayout, "index.json": "{}"}
		if format != tar.FormatUSTAR {
			files[blobPrefix+strings.Repeat("a", 120)] = "x"
		}
		seeds = append(seeds, foreignTar(tb, format, files))
	}
	return seeds
}
