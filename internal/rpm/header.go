package rpm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of reading. librpm has the first three; the fourth keeps small headers from
// growing into large lists, far above what any distribution has in one package.
const (
	maxEntries       = 0xffff
	maxHeaderData    = 256 << 20
	maxSignatureData = 64 << 20
	maxCount         = 1 << 20
)

const (
	leadSize  = 96
	introSize = 16
	entrySize = 16
)

var (
	leadMagic   = []byte{0xed, 0xab, 0xee, 0xdb}
	headerMagic = []byte{0x8e, 0xad, 0xe8, 0x01}
)

// A FormatError says that something is not a well-formed RPM package.
type FormatError struct {
	Msg string
	Err error // what was found below, if anything
}

func (e *FormatError) Error() string {
	if e.Err != nil {
		return "malformed RPM package: " + e.Msg + ": " + e.Err.Error()
	}
	return "malformed RPM package: " + e.Msg
}

// Unwrap returns what was found below.
func (e *FormatError) Unwrap() error { return e.Err }

func malformed(format string, args ...any) error {
	return &FormatError{Msg: fmt.Sprintf(format, args...)}
}

// kinds of header entries, as the format numbers them
type kind uint32

const (
	kindNull kind = iota
	kindChar
	kindInt8
	kindInt16
	kindInt32
	kindInt64
	kindString
	kindBinary
	kindStrings
	kindI18N
	kindEnd
)

// width is the size of one value, 0 for those that end with a zero byte.
func (k kind) width() int64 {
	switch k {
	case kindChar, kindInt8, kindBinary:
		return 1
	case kindInt16:
		return 2
	case kindInt32:
		return 4
	case kindInt64:
		return 8
	}
	return 0
}

// An entry is one tag's value: count values of a kind, in bytes.
type entry struct {
	kind  kind
	count uint32
	bytes []byte
}

// A header is one header structure of a package, checked when it is read, so
// that reading a tag out of it cannot fail for want of bytes.
type header struct {
	raw     []byte // as it is in the file, without the padding: what digests and signatures cover
	entries map[uint32]entry
}

// headers are what precedes the payload of a package.
type headers struct {
	signature  *header
	main       *header
	start, end int64 // of the main header in the file
}

// readHeaders reads lead, signature header and main header from r, and not a byte more.
func readHeaders(r io.Reader) (*headers, error) {
	sig, err := readSignatureHeader(r)
	if err != nil {
		return nil, err
	}
	padding := -len(sig.raw) & 7
	if err := readFull(r, make([]byte, padding), "padding of the signature header"); err != nil {
		return nil, err
	}
	main, err := readHeader(r, "header", maxHeaderData)
	if err != nil {
		return nil, err
	}
	start := int64(leadSize + len(sig.raw) + padding)
	return &headers{signature: sig, main: main, start: start, end: start + int64(len(main.raw))}, nil
}

// readSignatureHeader reads lead and signature header from r, without the padding.
func readSignatureHeader(r io.Reader) (*header, error) {
	var lead [leadSize]byte
	if err := readFull(r, lead[:], "lead"); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(lead[:], leadMagic) {
		return nil, malformed("it begins with %x, want %x", lead[:len(leadMagic)], leadMagic)
	}
	return readHeader(r, "signature header", maxSignatureData)
}

func readHeader(r io.Reader, what string, limit uint32) (*header, error) {
	var intro [introSize]byte
	if err := readFull(r, intro[:], what); err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(intro[:], headerMagic) {
		return nil, malformed("the %s begins with %x, want %x", what, intro[:len(headerMagic)], headerMagic)
	}
	count, size := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
	if count > maxEntries || size > limit {
		return nil, malformed("the %s says it has %d entries and %d bytes: more than the %d and %d allowed",
			what, count, size, maxEntries, limit)
	}
	// The buffer grows with what really comes, not by what the intro promises.
	raw := bytes.NewBuffer(intro[:])
	want := int64(count)*entrySize + int64(size)
	if _, err := io.CopyN(raw, r, want); err != nil {
		return nil, readError(err, what)
	}
	h := &header{raw: raw.Bytes(), entries: make(map[uint32]entry, min(count, 1024))}
	if err := h.parse(int(count)); err != nil {
		return nil, &FormatError{Msg: what, Err: err}
	}
	return h, nil
}

// parse checks and collects the entries. Together they may not hold more bytes than there
// are, so entries that overlap cannot make reading expensive.
func (h *header) parse(count int) error {
	index := h.raw[introSize : introSize+count*entrySize]
	data := h.raw[introSize+count*entrySize:]
	left := len(data)
	for ; len(index) > 0; index = index[entrySize:] {
		tag := binary.BigEndian.Uint32(index)
		e := entry{kind: kind(binary.BigEndian.Uint32(index[4:])), count: binary.BigEndian.Uint32(index[12:])}
		offset := binary.BigEndian.Uint32(index[8:])
		if int64(offset) > int64(len(data)) {
			return fmt.Errorf("tag %d begins at byte %d of %d", tag, offset, len(data))
		}
		size, err := e.size(data[offset:])
		if err != nil {
			return fmt.Errorf("tag %d: %w", tag, err)
		}
		if left -= size; left < 0 {
			return fmt.Errorf("tag %d overlaps with other tags", tag)
		}
		if _, ok := h.entries[tag]; ok {
			return fmt.Errorf("tag %d is there twice", tag)
		}
		e.bytes = data[offset : int(offset)+size]
		h.entries[tag] = e
	}
	return nil
}

// size finds how many of the bytes of data the entry takes.
func (e entry) size(data []byte) (int, error) {
	switch {
	case e.kind >= kindEnd:
		return 0, fmt.Errorf("unknown type %d", e.kind)
	case e.kind == kindNull:
		return 0, nil
	case e.kind != kindBinary && e.count > maxCount:
		return 0, fmt.Errorf("%d values are more than the %d allowed", e.count, maxCount)
	case e.kind == kindString && e.count != 1:
		return 0, fmt.Errorf("%d values of a type that has one", e.count)
	}
	if width := e.kind.width(); width > 0 {
		if size := width * int64(e.count); size <= int64(len(data)) {
			return int(size), nil
		}
		return 0, fmt.Errorf("%d values end behind the header", e.count)
	}
	size := 0
	for range e.count {
		n := bytes.IndexByte(data[size:], 0)
		if n < 0 {
			return 0, errors.New("a string ends behind the header")
		}
		size += n + 1
	}
	return size, nil
}

// readFull fills p from r.
func readFull(r io.Reader, p []byte, what string) error {
	if _, err := io.ReadFull(r, p); err != nil {
		return readError(err, what)
	}
	return nil
}

// readError tells a package that is too short from a source that broke.
func readError(err error, what string) error {
	// These errors themselves are made here; a source that broke off wraps them, or its
	// own error, and is not a malformed package.
	if err == io.EOF || err == io.ErrUnexpectedEOF { //nolint:errorlint // see above
		return &FormatError{Msg: "it ends inside the " + what, Err: io.ErrUnexpectedEOF}
	}
	return fmt.Errorf("read RPM %s: %w", what, err)
}

// strings returns the values of a tag of strings; none when there is no such tag.
func (h *header) strings(tag uint32) ([]string, error) {
	e, ok := h.entries[tag]
	if !ok {
		return nil, nil
	}
	switch e.kind {
	case kindString, kindStrings, kindI18N:
	default:
		return nil, malformed("tag %d has type %d, want strings", tag, e.kind)
	}
	if e.count == 0 {
		return nil, nil
	}
	// One copy for all: the values share it, and the header can go.
	all := string(e.bytes[:len(e.bytes)-1])
	return strings.SplitN(all, "\x00", int(e.count)), nil
}

// ints returns the values of a tag of integers; none when there is no such tag.
func (h *header) ints(tag uint32) ([]uint64, error) {
	e, ok := h.entries[tag]
	if !ok {
		return nil, nil
	}
	if e.kind < kindChar || e.kind > kindInt64 {
		return nil, malformed("tag %d has type %d, want integers", tag, e.kind)
	}
	out := make([]uint64, e.count)
	for i := range out {
		switch e.kind {
		case kindChar, kindInt8:
			out[i] = uint64(e.bytes[i])
		case kindInt16:
			out[i] = uint64(binary.BigEndian.Uint16(e.bytes[2*i:]))
		case kindInt32:
			out[i] = uint64(binary.BigEndian.Uint32(e.bytes[4*i:]))
		case kindInt64:
			out[i] = binary.BigEndian.Uint64(e.bytes[8*i:])
		}
	}
	return out, nil
}

// binary returns the bytes of a binary tag, nil when there is no such tag.
func (h *header) binary(tag uint32) ([]byte, error) {
	e, ok := h.entries[tag]
	if !ok {
		return nil, nil
	}
	if e.kind != kindBinary {
		return nil, malformed("tag %d has type %d, want bytes", tag, e.kind)
	}
	return e.bytes, nil
}
