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
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
)

func create(t *testing.T, s *sample, path string) *Writer {
	t.Helper()
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// flaky reads data and fails somewhere on the way, or gives other data.
func flaky(random *rand.Rand, data []byte) io.Reader {
	cut := random.IntN(len(data) + 1)
	switch random.IntN(4) {
	case 0:
		return bytes.NewReader(data)
	case 1:
		return io.MultiReader(bytes.NewReader(data[:cut]), errorReader{fmt.Errorf("after %d bytes: %w", cut, io.ErrUnexpectedEOF)})
	case 2:
		return bytes.NewReader(append(bytes.Clone(data), 'x'))
	default:
		return io.MultiReader(bytes.NewReader(data[:cut]), bytes.NewReader(bytes.Repeat([]byte{0xff}, len(data)-cut)))
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// Many goroutines fill the same blobs from readers that fail: what a Fill reported as
// done is done, whatever the others met, and is found again by the next run.
func TestFillFromFlakyReaders(t *testing.T) {
	s := mixed(t)
	blobs := s.layout.Blobs()
	for round := range uint64(4) {
		path := filepath.Join(t.TempDir(), "a.tar")
		w := create(t, s, path)
		done := make([]atomic.Bool, len(blobs))
		var wg sync.WaitGroup
		for job := range uint64(12) {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(round, job))
				for _, i := range random.Perm(len(blobs)) {
					ctx, cancel := context.WithCancel(t.Context())
					if random.IntN(8) == 0 {
						cancel()
					}
					if w.Fill(ctx, blobs[i], flaky(random, s.data[blobs[i].Digest])) == nil {
						done[i].Store(true)
					}
					cancel()
				}
			})
		}
		wg.Wait()
		var filled int64
		var missing []string
		for i, d := range blobs {
			if done[i].Load() {
				filled += d.Size
			} else {
				missing = append(missing, d.Digest.String())
			}
		}
		if len(missing) != len(w.Missing()) {
			t.Errorf("round %d: %d blobs are missing, Missing names %d", round, len(missing), len(w.Missing()))
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		again := create(t, s, path)
		if again.Kept() != filled {
			t.Errorf("round %d: kept %d bytes, %d were filled", round, again.Kept(), filled)
		}
		s.fill(t, again, again.Missing(), 4)
		if err := again.Seal(); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(readFile(t, path), s.reference(t)) {
			t.Errorf("round %d: other bytes", round)
		}
	}
}

// The end of a Writer is an end, in whatever order its methods are called.
func TestWriterAfterItsEnd(t *testing.T) {
	for _, test := range []struct {
		name   string
		end    func(w *Writer) error
		left   []string // in the directory
		filled bool     // before the end
	}{
		{"Close", (*Writer).Close, []string{"a.tar.part", "a.tar.part.journal"}, false},
		{"Close of a whole one", (*Writer).Close, []string{"a.tar.part", "a.tar.part.journal"}, true},
		{"Discard", (*Writer).Discard, nil, true},
		{"Seal", (*Writer).Seal, []string{"a.tar"}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSample(t, "end", 0, 10, 600)
			path := filepath.Join(t.TempDir(), "a.tar")
			w := create(t, s, path)
			if test.filled {
				s.fill(t, w, w.Missing(), 1)
			}
			if err := test.end(w); err != nil {
				t.Fatal(err)
			}
			for _, d := range s.layout.Blobs() {
				err := w.Fill(t.Context(), d, bytes.NewReader(s.data[d.Digest]))
				if (err == nil) != test.filled || err != nil && !errors.Is(err, os.ErrClosed) {
					t.Errorf("Fill of %d bytes: %v", d.Size, err)
				}
			}
			if err := w.Seal(); !errors.Is(err, os.ErrClosed) {
				t.Errorf("Seal: %v", err)
			}
			if err := errors.Join(w.Close(), w.Discard(), w.Close()); err != nil {
				t.Errorf("Close and Discard: %v", err)
			}
			if diff := cmp.Diff(test.left, dirNames(t, filepath.Dir(path))); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}

// A Seal that comes too early ends nothing.
func TestSealTooEarly(t *testing.T) {
	s := newSample(t, "early", 10, 600)
	path := filepath.Join(t.TempDir(), "a.tar")
	w := create(t, s, path)
	for len(w.Missing()) > 0 {
		if _, ok := errors.AsType[*IncompleteError](w.Seal()); !ok || exists(path) {
			t.Fatal("an archive with holes was sealed")
		}
		s.fill(t, w, w.Missing()[:1], 1)
	}
	if err := w.Seal(); err != nil || !bytes.Equal(readFile(t, path), s.reference(t)) {
		t.Errorf("seal: %v", err)
	}
}

// A name that is taken at the last moment costs nothing but another Seal.
func TestSealWhereADirectoryCame(t *testing.T) {
	s := newSample(t, "directory", 10, 600)
	path := filepath.Join(t.TempDir(), "a.tar")
	w := create(t, s, path)
	s.fill(t, w, w.Missing(), 1)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := w.Seal(); report.Classify(err) != report.ClassLocal {
		t.Fatalf("class %d: %v", report.Classify(err), err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	w = create(t, s, path)
	if len(w.Missing()) > 0 {
		t.Errorf("%d blobs were lost", len(w.Missing()))
	}
	if err := w.Seal(); err != nil || !bytes.Equal(readFile(t, path), s.reference(t)) {
		t.Errorf("second Seal: %v", err)
	}
}

// A link that has the final name is replaced, and what it leads to stays as it is.
func TestOutputIsALink(t *testing.T) {
	for _, target := range []string{"old.tar", "nobody", "a.tar"} {
		t.Run(target, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "old.tar", []byte("old"))
			path := filepath.Join(dir, "a.tar")
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			s := newSample(t, "link", 600)
			s.write(t, path)
			if st, err := os.Lstat(path); err != nil || !st.Mode().IsRegular() {
				t.Errorf("the archive: %v, %v", st, err)
			}
			if got := string(readFile(t, filepath.Join(dir, "old.tar"))); got != "old" {
				t.Errorf("the target of the link is now %q", got)
			}
			if diff := cmp.Diff([]string{"a.tar", "old.tar"}, dirNames(t, dir)); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}

// What stands where we write and is no file stays, and the place is named.
func TestCreateAmongOthers(t *testing.T) {
	s := newSample(t, "others", 10)
	for _, suffix := range []string{"", partSuffix, journalSuffix} {
		for name, place := range map[string]func(path string) error{
			"directory": func(path string) error { return os.Mkdir(path, 0o700) },
			"FIFO":      func(path string) error { return syscall.Mkfifo(path, 0o600) },
		} {
			dir := t.TempDir()
			path := filepath.Join(dir, "a.tar")
			if err := place(path + suffix); err != nil {
				t.Fatal(err)
			}
			w, err := Create(t.Context(), path, s.layout, CreateOptions{})
			if err == nil {
				w.Close()
			}
			if report.Classify(err) != report.ClassLocal {
				t.Errorf("%s at %q: class %d, %v", name, suffix, report.Classify(err), err)
			}
			if diff := cmp.Diff([]string{"a.tar" + suffix}, dirNames(t, dir)); diff != "" {
				t.Errorf("%s at %q: left (-want +got):\n%s", name, suffix, diff)
			}
		}
	}
}

// In a directory that cannot be written to, root's or not, Create leaves nothing.
func TestCreateInReadOnlyDirectory(t *testing.T) {
	dir := "/sys"
	if os.Geteuid() != 0 {
		dir = t.TempDir()
		if err := os.Chmod(dir, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	s := newSample(t, "read only", 10)
	path := filepath.Join(dir, "airbundle-test.tar")
	_, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if report.Classify(err) != report.ClassLocal || exists(path+partSuffix) || exists(path+journalSuffix) {
		t.Errorf("class %d: %v", report.Classify(err), err)
	}
}

// Missing may be asked while others fill, and only ever shrinks.
func TestMissingWhileFilling(t *testing.T) {
	s := mixed(t)
	w := create(t, s, filepath.Join(t.TempDir(), "a.tar"))
	blobs, stop := w.Missing(), make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for last := len(blobs); ; {
			var now []ocispec.Descriptor
			if now = w.Missing(); len(now) > last {
				t.Errorf("%d are missing after %d were", len(now), last)
			}
			last = len(now)
			select {
			case <-stop:
				return
			default:
			}
		}
	})
	s.fill(t, w, blobs, 4)
	close(stop)
	wg.Wait()
	if left := w.Missing(); len(left) > 0 {
		t.Errorf("%d are still missing", len(left))
	}
}
