package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/manifest"
)

// maxProblems bounds how many problems of one archive are listed.
const maxProblems = 1000

// Scan opens an archive as Open does, but goes on after damage: it reads every
// header, all padding, index.json and the end, and lists each place that is not what
// the root makes it. It needs the root and the table; without them, it fails as
// Open does. Contents of other blobs are not read: that is Fetch's part, so that a
// verify of headers and contents together reads the file once.
//
// Entries that stand at another place than they should are found and can be
// fetched; those that are missing give an error that says so.
func Scan(path string) (*Archive, []*FormatError, error) {
	f, info, err := openArchive(path)
	if err != nil {
		return nil, nil, err
	}
	s := &scanner{path: path, r: f, size: info.Size()}
	bundle, err := s.scan()
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return &Archive{path: path, f: f, size: s.size, bundle: bundle, layout: s.layout, offsets: s.offsets}, s.problems, nil
}

// A scanner reads the structure of one archive.
type scanner struct {
	path     string
	r        io.ReaderAt
	size     int64
	problems []*FormatError

	layout  *Layout
	offsets []int64  // of the content of each entry; -1 when it was not found
	last    string   // name of the entry before
	cut     bool     // the file ended where more had to come
	unread  []unread // on the way to root and table
}

func (s *scanner) scan() (*manifest.Bundle, error) {
	bundle, err := s.bootstrap()
	if err != nil {
		return nil, s.blame(err)
	}
	if s.layout, err = newLayout(bundle.Index(), bundle.NumBlobs(), bundle.EachBlob()); err != nil {
		return nil, s.errorf(0, "", "%w", err)
	}
	s.offsets = make([]int64, len(s.layout.entries))
	for i := range s.offsets {
		s.offsets[i] = -1
	}
	s.walk()
	s.missing()
	s.fixedContents()
	return bundle, nil
}

func (s *scanner) errorf(offset int64, entry, format string, args ...any) *FormatError {
	err := fmt.Errorf(format, args...)
	return &FormatError{Path: s.path, Offset: offset, Entry: entry, Msg: err.Error(), Err: errors.Unwrap(err)}
}

func (s *scanner) problemf(offset int64, entry, format string, args ...any) {
	switch {
	case len(s.problems) < maxProblems:
		s.problems = append(s.problems, s.errorf(offset, entry, format, args...))
	case len(s.problems) == maxProblems:
		s.problems = append(s.problems, s.errorf(offset, "", "damaged further; no more is listed"))
	}
}

// walk goes from header to header and compares what stands there with the layout.
// Where a header cannot be read, it is taken for that of the entry that should
// follow, so that one damaged block does not hide what comes after it.
func (s *scanner) walk() {
	next, end := 0, int64(0) // the entry expected, the end of the content before
	for len(s.problems) <= maxProblems {
		pad := padding(end)
		p := end + pad
		if p+blockSize > s.size {
			s.cut = true
			return
		}
		b, zero, err := s.joint(end, pad)
		switch {
		case err != nil:
			s.problemf(p, s.nameOf(next), "header cannot be read: %w", err)
		case !zero:
			s.problemf(end, s.last, "its padding is not zero")
		}
		if s.ends(p, next, &b) {
			s.checkEnd(p)
			return
		}
		size, ok := s.known(p, &next, &b)
		if !ok {
			size, ok = s.damaged(p, &next, err == nil)
		}
		if !ok {
			return
		}
		if size > s.size-p-blockSize {
			s.cut = true
			return
		}
		end = p + blockSize + size
	}
}

// joint reads padding and header behind a content that ends at end.
func (s *scanner) joint(end, pad int64) (b block, zeroPadding bool, err error) {
	var buf [2 * blockSize]byte
	got := buf[:pad+blockSize]
	if _, err := s.r.ReadAt(got, end); err != nil {
		return b, true, err
	}
	copy(b[:], got[pad:])
	return b, allZero(got[:pad]), nil
}

// ends says whether block b at p is the end of the archive and not a header that
// was zeroed: either nothing is expected, or there is no room for anything more.
func (s *scanner) ends(p int64, next int, b *block) bool {
	return b.zero() && (next >= len(s.layout.entries) || s.size-p <= tailSize)
}

// known handles a readable header: it returns the size of the content that follows.
func (s *scanner) known(p int64, next *int, b *block) (int64, bool) {
	if !b.checksumOK() {
		return 0, false
	}
	size, err := parseNumber(b.size())
	if err != nil {
		return 0, false
	}
	name := cString(b.name())
	s.last = name
	i, ok := s.layout.named(name)
	switch {
	case !ok && size > s.size-p-blockSize:
		return 0, false
	case !ok:
		s.problemf(p, name, "is no part of the bundle")
		return size, true
	case s.offsets[i] >= 0:
		s.problemf(p, name, "stands twice")
		return size, true
	case i < *next:
		s.problemf(p, name, "stands out of order")
	}
	if want := s.layout.entries[i].size; size != want {
		s.problemf(p, name, "its header says %d bytes, the bundle says %d", size, want)
		if size > s.size-p-blockSize {
			size = want
		}
	} else if *b != s.layout.header(i) {
		s.problemf(p, name, "its header is not in canonical form")
	}
	s.offsets[i] = p + blockSize
	*next = s.after(i)
	return size, true
}

// damaged handles a block that is no header: it is taken for the one expected.
func (s *scanner) damaged(p int64, next *int, tell bool) (int64, bool) {
	i := *next
	if i >= len(s.layout.entries) {
		s.problemf(p, "", "the end of the archive is damaged")
		return 0, false
	}
	if tell {
		s.problemf(p, s.nameOf(i), "its header is damaged")
	}
	s.last = s.nameOf(i)
	s.offsets[i] = p + blockSize
	*next = s.after(i)
	return s.layout.entries[i].size, true
}

// after returns the first entry behind i that was not found yet.
func (s *scanner) after(i int) int {
	for i++; i < len(s.offsets) && s.offsets[i] >= 0; i++ {
	}
	return i
}

// nameOf names entry i; the empty string when there is none.
func (s *scanner) nameOf(i int) string {
	if i < 0 || i >= len(s.layout.entries) {
		return ""
	}
	return s.layout.name(i)
}

// named returns the entry of that name.
func (l *Layout) named(name string) (int, bool) {
	switch name {
	case ocispec.ImageLayoutFile:
		return 0, true
	case ocispec.ImageIndexFile:
		return 1, true
	}
	hex, ok := strings.CutPrefix(name, blobPrefix)
	if !ok {
		return 0, false
	}
	return l.find(hex)
}

// checkEnd checks that two zero blocks stand at p, and nothing after them.
func (s *scanner) checkEnd(p int64) {
	if s.size < p+tailSize {
		s.cut = true
		return
	}
	var tail [tailSize]byte
	if _, err := s.r.ReadAt(tail[:], p); err != nil {
		s.problemf(p, "", "the end of the archive cannot be read: %w", err)
	} else if !allZero(tail[:]) {
		s.problemf(p, "", "the end of the archive is damaged")
	}
	if more := s.size - p - tailSize; more > 0 {
		s.problemf(p+tailSize, "", "%d bytes follow the end of the archive", more)
	}
}

// missing tells what is not there, or not whole because the file is too short.
func (s *scanner) missing() {
	var digests []digest.Digest
	names := 0
	first := ""
	for i, e := range s.layout.entries {
		if at := s.offsets[i]; at >= 0 && at+e.size <= s.size {
			continue
		}
		if names++; names == 1 {
			first = s.layout.name(i)
		}
		if e.digest != "" {
			digests = append(digests, e.digest)
		}
	}
	var e *FormatError
	switch {
	case s.cut:
		e = s.errorf(s.size, "", "the file ends after %d of %d bytes; %d entries are missing or cut", s.size, s.layout.size, names)
	case names == 1:
		e = s.errorf(s.size, first, "missing")
	case names > 1:
		e = s.errorf(s.size, first, "missing, and so are %d others", names-1)
	default:
		return
	}
	e.Digests = digests
	s.problems = append(s.problems, e)
}

// fixedContents checks the two entries whose content is known without hashing.
func (s *scanner) fixedContents() {
	for i, e := range s.layout.entries[:2] {
		at := s.offsets[i]
		if at < 0 || at+e.size > s.size {
			continue
		}
		same, err := s.stands(at, s.layout.content(i))
		if err != nil {
			s.problemf(at, s.layout.name(i), "cannot be read: %w", err)
		} else if !same {
			s.problemf(at, s.layout.name(i), "is not what the root of the bundle makes it")
		}
	}
}

// stands says whether the file holds want at an offset. It may be long.
func (s *scanner) stands(at int64, want []byte) (bool, error) {
	var got [32 << 10]byte
	for part := range slices.Chunk(want, len(got)) {
		if _, err := s.r.ReadAt(got[:len(part)], at); err != nil {
			return false, err
		}
		if !bytes.Equal(got[:len(part)], part) {
			return false, nil
		}
		at += int64(len(part))
	}
	return true, nil
}

func allZero(p []byte) bool {
	return len(bytes.TrimLeft(p, "\x00")) == 0
}
