package hostile

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
)

// A member is one entry of a tar, of which the writer decides every byte.
type member struct {
	name string
	data []byte
	hole int64 // zero bytes behind data, which take no room on disk
	kind byte  // '0' where it is 0
	link string
	edit func(h *header) // has the last word before the checksum is made
	late func(h *header) // has the last word after it
	pad  []byte          // in place of zero padding
	slim bool            // no padding at all
}

// A header is the first block of an entry.
type header [512]byte

func (h *header) set(at int, s string) { copy(h[at:], s) }

// field fills one whole field with s and zeros.
func (h *header) field(at, n int, s string) {
	clear(h[at : at+n])
	copy(h[at:at+n], s)
}

func (h *header) octal(at, n int, v int64) { h.field(at, n, fmt.Sprintf("%0*o", n-1, v)) }

// base256 writes v as GNU tar writes what octal digits have no room for, or what is negative.
func (h *header) base256(at, n int, v int64) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(v))
	fill := byte(0)
	if v < 0 {
		fill = 0xff
	}
	for i := range n {
		h[at+i] = fill
	}
	copy(h[at+n-8:at+n], b[:])
	h[at] |= 0x80
}

// sum writes the checksum that the header has.
func (h *header) sum() {
	h.set(148, "        ")
	total := 0
	for _, b := range h {
		total += int(b)
	}
	h.set(148, fmt.Sprintf("%06o\x00 ", total))
}

// sized sets the size that a header claims.
func sized(n int64) func(*header) {
	return func(h *header) {
		if n < 0 || n >= 1<<33 {
			h.base256(124, 12, n)
			return
		}
		h.octal(124, 12, n)
	}
}

// block is the header of m.
func (m member) block() *header {
	h := new(header)
	h.field(0, 100, m.name)
	h.octal(100, 8, 0o644)
	h.octal(108, 8, 0)
	h.octal(116, 8, 0)
	sized(int64(len(m.data)) + m.hole)(h)
	h.octal(136, 12, 0)
	h[156] = '0'
	if m.kind != 0 {
		h[156] = m.kind
	}
	h.field(157, 100, m.link)
	h.set(257, "ustar\x0000")
	h.octal(329, 8, 0)
	h.octal(337, 8, 0)
	if m.edit != nil {
		m.edit(h)
	}
	h.sum()
	if m.late != nil {
		m.late(h)
	}
	return h
}

// A tarball is a file made of members. The end is two zero blocks unless it is said; a tail
// follows it.
type tarball struct {
	members []member
	end     []byte
	tail    []byte
}

var zeroEnd = make([]byte, 1024)

// write writes the tar. Holes become holes of the file.
func (t tarball) write(f *os.File) error {
	w := sparse{f: f}
	for _, m := range t.members {
		w.bytes(m.block()[:])
		w.bytes(m.data)
		w.hole(m.hole)
		gap := int(-(int64(len(m.data)) + m.hole) & 511)
		switch {
		case m.slim:
		case m.pad != nil:
			w.bytes(m.pad[:gap])
		default:
			w.bytes(zeroEnd[:gap])
		}
	}
	end := t.end
	if end == nil {
		end = zeroEnd
	}
	w.bytes(end)
	w.bytes(t.tail)
	return w.close()
}

// bytes returns the whole tar, which has no large holes.
func (t tarball) bytes() []byte {
	f, err := os.CreateTemp("", "hostile")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := t.write(f); err != nil {
		panic(err)
	}
	raw, err := os.ReadFile(f.Name())
	if err != nil {
		panic(err)
	}
	return raw
}

// sparse writes to a file and remembers its first error.
type sparse struct {
	f   *os.File
	at  int64
	buf bytes.Buffer
	err error
}

func (s *sparse) bytes(b []byte) {
	s.buf.Write(b)
	if s.buf.Len() > 1<<20 {
		s.flush()
	}
}

func (s *sparse) flush() {
	n, err := s.buf.WriteTo(s.f)
	s.at += n
	if s.err == nil {
		s.err = err
	}
}

func (s *sparse) hole(n int64) {
	if n == 0 {
		return
	}
	s.flush()
	s.at += n
	if _, err := s.f.Seek(s.at, io.SeekStart); err != nil && s.err == nil {
		s.err = err
	}
}

func (s *sparse) close() error {
	s.flush()
	if err := s.f.Truncate(s.at); err != nil && s.err == nil {
		s.err = err
	}
	return s.err
}

// paxRecord is one record of an extended header, its length included.
func paxRecord(key, value string) string {
	n := len(key) + len(value) + 3
	for {
		if s := fmt.Sprintf("%d %s=%s\n", n, key, value); len(s) == n {
			return s
		} else {
			n = len(s)
		}
	}
}

// pax is an extended header for the next member.
func pax(records ...string) member {
	return member{name: "PaxHeaders.0/x", kind: 'x', data: bytes.Join(slices.Collect(byteSeq(records)), nil)}
}

func byteSeq(in []string) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for _, s := range in {
			if !yield([]byte(s)) {
				return
			}
		}
	}
}

// longName is GNU tar's way to give the next member a name.
func longName(name string) member {
	return member{name: "././@LongLink", kind: 'L', data: []byte(name + "\x00")}
}
