package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/opencontainers/go-digest"
)

// A change anywhere is found: in the structure by Open and Scan, in a blob by the
// reader that carries it. Nothing in the file is covered by neither.
func TestEveryByteCounts(t *testing.T) {
	s := newSample(t, "flip", 600)
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	inBlob := func(at int64) bool {
		for _, d := range s.layout.Blobs() {
			if off, size, _ := s.layout.slot(d.Digest); at >= off && at < off+size {
				return true
			}
		}
		return false
	}
	inHeader := func(at int64) bool {
		for _, e := range s.layout.entries {
			if at >= e.offset-blockSize && at < e.offset {
				return true
			}
		}
		return false
	}
	for at := range s.layout.Size() {
		if !inHeader(at) && at%5 != 0 { // contents and padding have no fields
			continue
		}
		overwrite(t, path, at)
		a, problems, err := Scan(path)
		switch {
		case err != nil:
			if _, ok := errors.AsType[*FormatError](err); !ok {
				t.Errorf("byte %d: %v is no *FormatError", at, err)
			}
		case inBlob(at):
			if bad := fetchAll(t.Context(), a); len(bad) != 1 || len(problems) > 0 {
				t.Errorf("byte %d of a blob: %d bad blobs, problems %v", at, len(bad), problems)
			}
		default:
			if len(problems) != 1 || problems[0].Offset > at || problems[0].Offset < at-2*blockSize {
				t.Errorf("byte %d: problems %v", at, problems)
			}
			// One damaged place does not hide a blob.
			if bad := fetchAll(t.Context(), a); len(bad) > 0 {
				t.Errorf("byte %d: %d blobs cannot be fetched", at, len(bad))
			}
		}
		if a != nil {
			a.Close()
		}
		if strict, err := Open(path); err == nil {
			strict.Close()
			if !inBlob(at) {
				t.Errorf("byte %d: opened", at)
			}
		}
		overwrite(t, path, at)
	}
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
}

// Cut anywhere, an archive is told to be cut, and which blobs it lost.
func TestTruncated(t *testing.T) {
	s := newSample(t, "cut", 3, 600, 2000)
	whole := s.reference(t)
	path := writeFile(t, t.TempDir(), "a.tar", whole)
	for size := range slices.Backward(whole) {
		if err := os.Truncate(path, int64(size)); err != nil {
			t.Fatal(err)
		}
		if a, err := Open(path); err == nil {
			a.Close()
			t.Errorf("%d bytes: opened", size)
		}
		a, problems, err := Scan(path)
		if err != nil {
			if _, ok := errors.AsType[*FormatError](err); !ok {
				t.Errorf("%d bytes: %v is no *FormatError", size, err)
			}
			continue
		}
		var lost []digest.Digest
		for _, d := range s.layout.Blobs() {
			if off, n, _ := s.layout.slot(d.Digest); off+n > int64(size) {
				lost = append(lost, d.Digest)
			}
		}
		last := problems[len(problems)-1]
		if diff := cmp.Diff(lost, last.Digests, cmpopts.EquateEmpty()); diff != "" || !strings.Contains(last.Msg, fmt.Sprintf("%d of %d bytes", size, len(whole))) {
			t.Errorf("%d bytes: %v\nlost (-want +got):\n%s", size, last, diff)
		}
		if diff := cmp.Diff(lost, fetchAll(t.Context(), a), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%d bytes: blobs that cannot be fetched (-want +got):\n%s", size, diff)
		}
		a.Close()
	}
}

// parts cuts an archive into its entries (header, content, padding) and its end.
func (s *sample) parts(t *testing.T) [][]byte {
	t.Helper()
	whole := s.reference(t)
	var parts [][]byte
	for _, e := range s.layout.entries {
		parts = append(parts, whole[e.offset-blockSize:e.offset+e.size+padding(e.size)])
	}
	return append(parts, whole[len(whole)-tailSize:])
}

// What was done to an archive is told by name, and what is still whole can be fetched.
func TestScanNamesTheDamage(t *testing.T) {
	s := newSample(t, "damage", 3, 600, 2000, 513)
	names := []string{}
	for i := range s.layout.entries {
		names = append(names, s.layout.name(i))
	}
	last := len(names) - 1 // the last blob
	stray := encodeHeader("blobs/stray", 5)
	strayEntry := append(stray[:], make([]byte, blockSize)...)
	pax := encodeHeader("PaxHeaders/x", 0)
	pax[156] = 'x'
	fixChecksum(&pax)
	executable := func(p []byte) []byte {
		b := block(p[:blockSize])
		copy(b[100:], "0000755")
		fixChecksum(&b)
		return append(b[:], p[blockSize:]...)
	}
	resized := func(p []byte, size string) []byte {
		b := block(p[:blockSize])
		copy(b.size(), size)
		fixChecksum(&b)
		return append(b[:], p[blockSize:]...)
	}
	type problem struct{ Entry, Msg string }
	for name, test := range map[string]struct {
		edit func(p [][]byte) [][]byte
		want []problem
		bad  []int // entries that cannot be fetched
	}{
		"nothing": {func(p [][]byte) [][]byte { return p }, nil, nil},
		"blob missing": {func(p [][]byte) [][]byte { return slices.Delete(p, last-1, last) },
			[]problem{{names[last-1], "missing"}}, []int{last - 1}},
		"cut between entries, end added": {func(p [][]byte) [][]byte { return slices.Delete(p, last-1, last+1) },
			[]problem{{names[last-1], "missing, and so are 1 others"}}, []int{last - 1, last}},
		"twice": {func(p [][]byte) [][]byte { return slices.Insert(p, last, p[last-1]) },
			[]problem{{names[last-1], "stands twice"}}, nil},
		"second index.json": {func(p [][]byte) [][]byte { return slices.Insert(p, last+1, p[1]) },
			[]problem{{"index.json", "stands twice"}}, nil},
		"stray file": {func(p [][]byte) [][]byte { return slices.Insert(p, last, strayEntry) },
			[]problem{{"blobs/stray", "is no part of the bundle"}}, nil},
		"stray file at the end": {func(p [][]byte) [][]byte { return slices.Insert(p, last+1, strayEntry) },
			[]problem{{"blobs/stray", "is no part of the bundle"}}, nil},
		"pax header": {func(p [][]byte) [][]byte { return slices.Insert(p, last, pax[:]) },
			[]problem{{"PaxHeaders/x", "is no part of the bundle"}}, nil},
		"swapped entries": {func(p [][]byte) [][]byte { p[last], p[last-1] = p[last-1], p[last]; return p },
			[]problem{{names[last-1], "stands out of order"}}, nil},
		"executable": {func(p [][]byte) [][]byte { p[last] = executable(p[last]); return p },
			[]problem{{names[last], "its header is not in canonical form"}}, nil},
		"size lies": {func(p [][]byte) [][]byte { p[last] = resized(p[last], "00000000001\x00"); return p },
			[]problem{{names[last], fmt.Sprintf("its header says 1 bytes, the bundle says %d", s.layout.entries[last].size)}, {names[last], "its padding is not zero"}}, nil},
		"size 2^60": {func(p [][]byte) [][]byte {
			p[last] = resized(p[last], "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00")
			return p
		},
			[]problem{{names[last], fmt.Sprintf("its header says %d bytes, the bundle says %d", 1<<60, s.layout.entries[last].size)}}, nil},
		"burst over three entries": {func(p [][]byte) [][]byte {
			clear(p[last-2])
			clear(p[last-1])
			clear(p[last])
			return p
		}, []problem{{names[last-2], "its header is damaged"}, {names[last-1], "its header is damaged"}, {names[last], "its header is damaged"}}, []int{last - 2, last - 1, last}},
		"data after the end": {func(p [][]byte) [][]byte { return append(p, []byte("more")) },
			[]problem{{"", "4 bytes follow the end of the archive"}}, nil},
		"zeros after the end": {func(p [][]byte) [][]byte { return append(p, make([]byte, blockSize)) },
			[]problem{{"", "512 bytes follow the end of the archive"}}, nil},
		"second archive behind": {func(p [][]byte) [][]byte { return append(p, p...) },
			[]problem{{"", fmt.Sprintf("%d bytes follow the end of the archive", s.layout.Size())}}, nil},
		"end damaged": {func(p [][]byte) [][]byte { p[last+1] = bytes.Repeat([]byte{7}, tailSize); return p },
			[]problem{{"", "the end of the archive is damaged"}}, nil},
		"index.json changed": {func(p [][]byte) [][]byte {
			p[1] = bytes.Replace(bytes.Clone(p[1]), []byte(`"files"`), []byte(`"filet"`), 1)
			return p
		}, []problem{{"index.json", "is not what the root of the bundle makes it"}}, nil},
		"other layout version": {func(p [][]byte) [][]byte {
			p[0] = bytes.Replace(bytes.Clone(p[0]), []byte(`1.0.0`), []byte(`2.0.0`), 1)
			return p
		}, []problem{{"oci-layout", "is not what the root of the bundle makes it"}}, nil},
		"first header zeroed": {func(p [][]byte) [][]byte { p[0] = append(make([]byte, blockSize), p[0][blockSize:]...); return p },
			[]problem{{"oci-layout", "its header is damaged"}}, nil},
		"headers of index.json and root zeroed": {func(p [][]byte) [][]byte {
			p[1] = append(make([]byte, blockSize), p[1][blockSize:]...)
			p[3] = append(make([]byte, blockSize), p[3][blockSize:]...)
			return p
		}, []problem{{"index.json", "its header is damaged"}, {names[3], "its header is damaged"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "a.tar", bytes.Join(test.edit(s.parts(t)), nil))
			a, problems, err := Scan(path)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			var got []problem
			for _, p := range problems {
				got = append(got, problem{p.Entry, p.Msg})
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			var bad []digest.Digest
			for _, i := range test.bad {
				bad = append(bad, s.layout.entries[i].digest)
			}
			if diff := cmp.Diff(bad, fetchAll(t.Context(), a)); diff != "" {
				t.Errorf("blobs that cannot be fetched (-want +got):\n%s", diff)
			}
			strict, err := Open(path)
			if (err == nil) != (len(test.want) == 0) {
				t.Errorf("Open: %v", err)
			}
			if strict != nil {
				strict.Close()
			}
		})
	}
}

// The header of each entry may be lost, whichever it is.
func TestScanWithoutOneHeader(t *testing.T) {
	s := newSample(t, "headless", 3, 600, 2000)
	for i, e := range s.layout.entries {
		parts := s.parts(t)
		parts[i] = append(bytes.Repeat([]byte{0xa5}, blockSize), parts[i][blockSize:]...)
		path := writeFile(t, t.TempDir(), "a.tar", bytes.Join(parts, nil))
		a, problems, err := Scan(path)
		if err != nil {
			t.Errorf("%s: %v", s.layout.name(i), err)
			continue
		}
		if len(problems) != 1 || problems[0].Entry != s.layout.name(i) || problems[0].Offset != e.offset-blockSize {
			t.Errorf("%s: problems %v", s.layout.name(i), problems)
		}
		if bad := fetchAll(t.Context(), a); len(bad) > 0 {
			t.Errorf("%s: %d blobs cannot be fetched", s.layout.name(i), len(bad))
		}
		a.Close()
	}
}

// A hostile file cannot make the list of problems grow without bound.
func TestScanStops(t *testing.T) {
	s := newSample(t, "stop", 3)
	parts := s.parts(t)
	stray := encodeHeader("stray", 0)
	parts = slices.Insert(parts, len(parts)-1, bytes.Repeat(stray[:], 3*maxProblems))
	a, problems, err := Scan(writeFile(t, t.TempDir(), "a.tar", bytes.Join(parts, nil)))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	if len(problems) > maxProblems+2 {
		t.Errorf("%d problems", len(problems))
	}
}

// A sick reader cannot read one of its blocks.
type sick struct {
	io.ReaderAt
	at int64
}

func (r sick) ReadAt(p []byte, off int64) (int, error) {
	if off < r.at+blockSize && off+int64(len(p)) > r.at {
		return 0, syscall.EIO
	}
	return r.ReaderAt.ReadAt(p, off)
}

// A bad sector costs what it hits and is called one, never a short or foreign file.
func TestUnreadableBlock(t *testing.T) {
	s := newSample(t, "sector", 3, 600)
	whole := s.reference(t)
	needed := map[int64]bool{} // contents of root and table
	for _, d := range []digest.Digest{s.bundle.Root.Digest, s.bundle.TableDescriptor().Digest} {
		off, size, _ := s.layout.slot(d)
		for at := off; at < off+size; at += blockSize {
			needed[at] = true
		}
	}
	for at := int64(0); at < int64(len(whole)); at += blockSize {
		r := &scanner{path: "a.tar", r: sick{bytes.NewReader(whole), at}, size: int64(len(whole))}
		_, err := r.scan()
		if (err != nil) != needed[at] {
			t.Errorf("block at %d: %v", at, err)
		}
		if needed[at] {
			// A bad table content is first tried as any other blob behind a bad header.
			got, ok := errors.AsType[*FormatError](err)
			if !ok || !strings.Contains(got.Msg, "input/output") || !errors.Is(err, syscall.EIO) || got.ExitCode() != localCode {
				t.Errorf("block at %d: %v", at, err)
			}
			continue
		}
		for _, p := range r.problems {
			if !strings.Contains(p.Msg, "cannot be read: input/output error") || !errors.Is(p, syscall.EIO) || p.ExitCode() != localCode {
				t.Errorf("block at %d: %v", at, p)
			}
		}
	}
}

// A failing reader fails from its nth read on, or only then.
type failing struct {
	io.ReaderAt
	n, nth int
	once   bool
}

func (r *failing) ReadAt(p []byte, off int64) (int, error) {
	r.n++
	if r.n == r.nth || r.n > r.nth && !r.once {
		return 0, syscall.EIO
	}
	return r.ReaderAt.ReadAt(p, off)
}

// A disk that fails for good in the middle of a scan is never taken for a file with wrong
// content, and not asked for each of its blocks.
func TestScanOnFailingDisk(t *testing.T) {
	s := newSample(t, "failing", 3, 600, 70_000)
	whole := s.reference(t)
	count := &failing{ReaderAt: bytes.NewReader(whole)}
	count.once = true
	if _, err := (&scanner{path: "a.tar", r: count, size: int64(len(whole))}).scan(); err != nil {
		t.Fatal(err)
	}
	for _, once := range []bool{false, true} {
		for nth := 1; nth <= count.n; nth++ {
			r := &failing{ReaderAt: bytes.NewReader(whole), nth: nth, once: once}
			sc := &scanner{path: "a.tar", r: r, size: int64(len(whole))}
			_, err := sc.scan()
			problems := sc.problems
			if f, ok := errors.AsType[*FormatError](err); ok {
				problems = append(problems, f)
			} else if err != nil {
				t.Errorf("read %d once %v: %v", nth, once, err)
			}
			if len(problems) == 0 && !once { // what fails once may be read again
				t.Errorf("read %d once %v: nothing is told", nth, once)
			}
			for _, p := range problems {
				told := strings.Contains(p.Error(), "input/output error") && strings.HasPrefix(p.Error(), "a.tar: at byte ")
				if !told || p.ExitCode() != localCode {
					t.Errorf("read %d once %v: exit %d: %v", nth, once, p.ExitCode(), p)
				}
			}
			if r.n > count.n+2*maxUnread {
				t.Errorf("read %d once %v: %d reads, an undisturbed scan makes %d", nth, once, r.n, count.n)
			}
		}
	}
}
