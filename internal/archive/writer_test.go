package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
)

// Any order and any number of jobs give the bytes that archive/tar writes in one go.
func TestBytesDoNotDependOnOrder(t *testing.T) {
	s := mixed(t)
	want := s.reference(t)
	if got := s.layout.Size(); got != int64(len(want)) {
		t.Fatalf("layout has %d bytes, want %d", got, len(want))
	}
	for _, jobs := range []int{1, 2, 8} {
		for seed := range uint64(3) {
			t.Run(fmt.Sprintf("%d jobs, seed %d", jobs, seed), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "a.tar")
				w, err := Create(t.Context(), path, s.layout, CreateOptions{})
				if err != nil {
					t.Fatal(err)
				}
				defer w.Close()
				blobs := w.Missing()
				rand.New(rand.NewPCG(seed, 0)).Shuffle(len(blobs), func(i, j int) { blobs[i], blobs[j] = blobs[j], blobs[i] })
				s.fill(t, w, blobs, jobs)
				if exists(path) {
					t.Error("the final name is there before Seal")
				}
				if err := w.Seal(); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(readFile(t, path), want) {
					t.Error("other bytes than archive/tar writes")
				}
				if names := dirNames(t, filepath.Dir(path)); len(names) != 1 {
					t.Errorf("left beside the archive: %v", names)
				}
			})
		}
	}
}

func dirNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		names = append(names, e.Name())
	}
	return names
}

func TestMissingIsLargestFirst(t *testing.T) {
	s := mixed(t)
	w, err := Create(t.Context(), filepath.Join(t.TempDir(), "a.tar"), s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	missing := w.Missing()
	if len(missing) != len(s.layout.Blobs()) {
		t.Errorf("%d missing, want %d", len(missing), len(s.layout.Blobs()))
	}
	if !slices.IsSortedFunc(missing, func(a, b ocispec.Descriptor) int { return int(b.Size - a.Size) }) {
		t.Errorf("not the largest first: %v", missing)
	}
}

// A body that is wrong in any way leaves its slot unfilled, and harms no other.
func TestFillRefusesWrongContent(t *testing.T) {
	s := mixed(t)
	d := s.file(1)
	good := s.data[d.Digest]
	broken := errors.New("line cut")
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	canceled, cancel := context.WithCancelCause(t.Context())
	// The cause wraps io.EOF, as errors of HTTP clients do; it is no end of content.
	cancel(fmt.Errorf("get: %w", io.EOF))
	for name, test := range map[string]struct {
		canceled bool
		d        ocispec.Descriptor
		r        io.Reader
		mismatch bool
		is       error
	}{
		"flipped":      {d: d, r: bytes.NewReader(flipped), mismatch: true},
		"short":        {d: d, r: bytes.NewReader(good[:len(good)-1]), mismatch: true},
		"empty":        {d: d, r: bytes.NewReader(nil), mismatch: true},
		"long":         {d: d, r: io.MultiReader(bytes.NewReader(good), strings.NewReader("x")), mismatch: true},
		"endless":      {d: d, r: io.MultiReader(bytes.NewReader(good), zeros{}), mismatch: true},
		"broken":       {d: d, r: io.MultiReader(bytes.NewReader(good[:1000]), iotest.ErrReader(broken)), is: broken},
		"broken late":  {d: d, r: io.MultiReader(bytes.NewReader(good), iotest.ErrReader(broken)), is: broken},
		"cut":          {d: d, r: io.MultiReader(bytes.NewReader(good[:1000]), iotest.ErrReader(io.ErrUnexpectedEOF)), is: io.ErrUnexpectedEOF},
		"idle":         {d: d, r: idle{}, is: io.ErrNoProgress},
		"canceled":     {canceled: true, d: d, r: bytes.NewReader(good)},
		"other size":   {d: ocispec.Descriptor{Digest: d.Digest, Size: d.Size + 1}, r: bytes.NewReader(good)},
		"not a member": {d: ocispec.Descriptor{Digest: digest.FromString("stranger"), Size: 1}, r: zeros{}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			w, err := Create(t.Context(), path, s.layout, CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			ctx := t.Context()
			if test.canceled {
				ctx = canceled
			}
			others := slices.DeleteFunc(w.Missing(), func(o ocispec.Descriptor) bool { return o.Digest == d.Digest })
			s.fill(t, w, others, 1)
			err = w.Fill(ctx, test.d, test.r)
			if err == nil {
				t.Fatal("filled")
			}
			if _, ok := errors.AsType[*digestio.MismatchError](err); ok != test.mismatch {
				t.Errorf("error %v: mismatch %v, want %v", err, ok, test.mismatch)
			}
			if test.is != nil && !errors.Is(err, test.is) {
				t.Errorf("error %v, want %v", err, test.is)
			}
			if got := w.Missing(); len(got) != 1 || got[0].Digest != d.Digest {
				t.Errorf("missing afterwards: %v", got)
			}
			incomplete, ok := errors.AsType[*IncompleteError](w.Seal())
			if !ok || incomplete.Blobs != 1 || incomplete.Bytes != d.Size || !strings.Contains(incomplete.Error(), "1 blobs") {
				t.Errorf("seal: %v", incomplete)
			}
			s.fill(t, w, w.Missing(), 1)
			if err := w.Seal(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(readFile(t, path), s.reference(t)) {
				t.Error("the failure left a trace in the archive")
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestFillReadsInAnyPieces(t *testing.T) {
	s := newSample(t, "pieces", 2*blockSize+7)
	d := s.file(0)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"one byte":  iotest.OneByteReader,
		"half":      iotest.HalfReader,
		"data, EOF": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			w, err := Create(t.Context(), filepath.Join(t.TempDir(), "a.tar"), s.layout, CreateOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			if err := w.Fill(t.Context(), d, wrap(bytes.NewReader(s.data[d.Digest]))); err != nil {
				t.Fatal(err)
			}
			s.fill(t, w, w.Missing(), 1)
			if err := w.Seal(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Many goroutines with good and bad content for the same blob: the good one wins.
func TestFillTwice(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	blobs := w.Missing()
	var wg sync.WaitGroup
	for i := range 16 {
		for _, d := range blobs {
			data, good := s.data[d.Digest], i%2 == 0
			if !good {
				data = append(bytes.Clone(data), 'x')
			}
			wg.Go(func() {
				if err := w.Fill(t.Context(), d, bytes.NewReader(data)); err != nil && good {
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, path), s.reference(t)) {
		t.Error("other bytes")
	}
}

func TestFillOfFilledBlobReadsNothing(t *testing.T) {
	s := mixed(t)
	w, err := Create(t.Context(), filepath.Join(t.TempDir(), "a.tar"), s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d := s.file(0)
	s.fill(t, w, []ocispec.Descriptor{d}, 1)
	if err := w.Fill(t.Context(), d, iotest.ErrReader(errors.New("was read"))); err != nil {
		t.Error(err)
	}
}

// A second Fill of a blob that waits for the first can be called off.
func TestFillWaitsAndCanBeCanceled(t *testing.T) {
	s := mixed(t)
	w, err := Create(t.Context(), filepath.Join(t.TempDir(), "a.tar"), s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	d := s.file(0)
	pr, pw := io.Pipe()
	first := make(chan error)
	go func() { first <- w.Fill(t.Context(), d, pr) }()
	if _, err := pw.Write(s.data[d.Digest][:10]); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("called off")
	cancel(cause)
	if err := w.Fill(ctx, d, zeros{}); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	if _, err := pw.Write(s.data[d.Digest][10:]); err != nil {
		t.Fatal(err)
	}
	pw.Close()
	if err := <-first; err != nil {
		t.Error(err)
	}
}

// Sealing replaces an existing file, and only then; what is no file is never replaced.
func TestSealReplaces(t *testing.T) {
	s := newSample(t, "replace", 10)
	path := writeFile(t, t.TempDir(), "a.tar", []byte("old"))
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	s.fill(t, w, w.Missing(), 1)
	if got := string(readFile(t, path)); got != "old" {
		t.Errorf("before Seal the file is %q", got)
	}
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, path), s.reference(t)) {
		t.Error("not replaced")
	}
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := st.Mode(), os.FileMode(0o644)&^umask(); got != want {
		t.Errorf("mode %v, want %v", got, want)
	}
	if err := w.Seal(); !errors.Is(err, os.ErrClosed) {
		t.Errorf("second Seal: %v", err)
	}
	if err := errors.Join(w.Close(), w.Discard()); err != nil || !exists(path) {
		t.Errorf("after Seal: %v", err)
	}
	if _, err := Create(t.Context(), t.TempDir(), s.layout, CreateOptions{}); err == nil {
		t.Error("a directory is taken for the output")
	}
}

func umask() os.FileMode {
	old := syscall.Umask(0)
	syscall.Umask(old)
	return os.FileMode(old)
}

func TestDiscard(t *testing.T) {
	s := newSample(t, "discard", 10)
	path := writeFile(t, t.TempDir(), "a.tar", []byte("old"))
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Discard(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"a.tar"}, dirNames(t, filepath.Dir(path))); diff != "" {
		t.Errorf("left (-want +got):\n%s", diff)
	}
}

// Another program's hands on the .part file are noticed before the rename.
func TestSealNoticesReplacedPart(t *testing.T) {
	s := newSample(t, "replaced", 10)
	path := filepath.Join(t.TempDir(), "a.tar")
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.fill(t, w, w.Missing(), 1)
	if err := os.Remove(path + ".part"); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Dir(path), "a.tar.part", []byte("something else"))
	if err := w.Seal(); err == nil || exists(path) {
		t.Errorf("sealed a file that is not ours: %v", err)
	}
}

// Neither the .part file nor the journal is opened through a link.
func TestCreateFollowsNoLinks(t *testing.T) {
	s := newSample(t, "links", 10)
	for _, suffix := range []string{partSuffix, journalSuffix} {
		dir := t.TempDir()
		victim := writeFile(t, dir, "victim", []byte("precious"))
		if err := os.Symlink(victim, filepath.Join(dir, "a.tar"+suffix)); err != nil {
			t.Fatal(err)
		}
		if w, err := Create(t.Context(), filepath.Join(dir, "a.tar"), s.layout, CreateOptions{}); err == nil {
			w.Close()
			t.Errorf("%s: followed", suffix)
		}
		if got := string(readFile(t, victim)); got != "precious" {
			t.Errorf("%s: the target of the link is now %q", suffix, got)
		}
	}
}

func BenchmarkFill(b *testing.B) {
	const blobs, size = 16, 4 << 20
	sizes := slices.Repeat([]int{size}, blobs)
	s := newSample(b, "bench", sizes...)
	for _, jobs := range []int{1, 2, 4, 8} {
		b.Run(fmt.Sprintf("jobs=%d", jobs), func(b *testing.B) {
			b.SetBytes(blobs * size)
			b.ReportAllocs()
			path := filepath.Join(b.TempDir(), "a.tar")
			for b.Loop() {
				w, err := Create(b.Context(), path, s.layout, CreateOptions{})
				if err != nil {
					b.Fatal(err)
				}
				s.fill(b, w, w.Missing(), jobs)
				if err := w.Discard(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
