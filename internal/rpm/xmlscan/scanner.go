// Package xmlscan reads the XML of yum metadata as a stream, without setting memory aside
// for what nobody asks for: a primary list of a distribution has 120 MB. It knows no
// element of that metadata.
package xmlscan

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds of one piece of a document. A tag is held as a whole, and so are the names of the
// elements that are open and every text that is kept; all else passes through.
const (
	maxToken      = 4 << 20
	maxText       = 64 << 10
	maxDepth      = 64
	maxAttributes = 256
	maxReference  = 32 // "&#x0010ffff;"
	scanAhead     = 128 << 10
)

// A Scanner walks over the elements of an XML document, as a stream: Child enters the next
// element inside the one at hand, and Text, Skip or a loop over Child leaves it. The first
// error ends it: from then on nothing is found, and Err has it.
//
// It knows of XML what metadata uses (references to characters, CDATA, comments,
// processing instructions, namespaces) and refuses what could declare entities. What it
// does not keep it does not judge: of a text that is skipped, only tags and references count.
//
// Slices that it returns are good until the next call that moves it.
type Scanner struct {
	r        io.Reader
	buf      []byte // [pos:end] is unread; what stands before pos is gone at the next fill
	pos, end int
	drained  bool // r has ended

	base, lineAt int64 // offsets in the document: of buf[0], of the line that buf[0] is in
	lines        int   // line ends before buf[0]

	name     []byte // of the element at hand, without prefix; nil in a foreign namespace
	attrs    []Attr
	tagAt    int64 // offset of the tag of the element at hand
	declares bool  // there may be a namespace among attrs
	closed   bool  // the element at hand was an empty one: its end comes next
	names    []byte
	open     []int // where the name of each open element begins in names
	spaces   []space
	scratch  []byte // texts and attribute values that were written with references
	err      error
	rootSeen bool
}

// An Attr is an attribute of a tag; Scanner.Value has what it says.
type Attr struct {
	Name  []byte
	value []byte
	plain bool // value needs no decoding
}

// A space is a declaration of a namespace.
type space struct {
	prefix  string
	foreign bool // none of rpm's metadata
	depth   int  // of the element that it stands in
}

// duke is how the names of all namespaces of rpm's metadata begin.
const duke = "http://linux.duke.edu/metadata/"

// New returns a Scanner of the document in r. How much of it is read is for r to bound.
func New(r io.Reader) *Scanner { return &Scanner{r: r, buf: make([]byte, scanAhead)} }

// Name is that of the element at hand, without prefix; nil in a foreign namespace.
func (s *Scanner) Name() []byte { return s.name }

// Attrs are the attributes of the tag at hand.
func (s *Scanner) Attrs() []Attr { return s.attrs }

// TagOffset is where the tag of the element at hand begins, in bytes of the document.
func (s *Scanner) TagOffset() int64 { return s.tagAt }

// Offset is where the scanner is, in bytes of the document.
func (s *Scanner) Offset() int64 { return s.base + int64(s.pos) }

// Err is the error that ended the scanning, nil without one. It says line and column.
func (s *Scanner) Err() error { return s.err }

// Fail ends the scanning, with an error that says where.
func (s *Scanner) Fail(format string, args ...any) {
	if s.err == nil {
		s.err = s.errorf(format, args...)
	}
}

// errorf makes an error that says where the scanner is.
func (s *Scanner) errorf(format string, args ...any) error {
	read := s.buf[:s.pos]
	line, column := s.lines+bytes.Count(read, newline)+1, s.base+int64(s.pos)-s.lineAt+1
	if at := bytes.LastIndexByte(read, '\n'); at >= 0 {
		column = int64(s.pos - at)
	}
	return fmt.Errorf("line %d, column %d: %w", line, column, fmt.Errorf(format, args...))
}

var newline = []byte{'\n'}

// fill reads on behind what is unread. It is false when nothing came, and then has failed
// unless the document ended where it may.
func (s *Scanner) fill() bool {
	if s.err != nil || s.drained {
		return false
	}
	read := s.buf[:s.pos]
	s.lines += bytes.Count(read, newline)
	if at := bytes.LastIndexByte(read, '\n'); at >= 0 {
		s.lineAt = s.base + int64(at) + 1
	}
	s.base += int64(s.pos)
	switch unread := s.buf[s.pos:s.end]; {
	case len(unread) >= maxToken:
		s.Fail("a tag of more than the %d bytes allowed", maxToken)
		return false
	case len(unread) > len(s.buf)/2: // a long tag: twice the room each time, so that it is not read again too often
		s.buf = make([]byte, min(2*len(s.buf), maxToken))
		s.end = copy(s.buf, unread)
	default:
		s.end = copy(s.buf, unread)
	}
	s.pos = 0
	before := s.end
	for s.end < len(s.buf) && !s.drained {
		n, err := s.r.Read(s.buf[s.end:])
		s.end += n
		if errors.Is(err, io.EOF) {
			s.drained = true
		} else if err != nil {
			s.Fail("%w", err)
			return false
		}
	}
	return s.end > before
}

// need sees to it that n bytes are unread, if the document has them.
func (s *Scanner) need(n int) bool {
	for s.end-s.pos < n {
		if !s.fill() {
			return false
		}
	}
	return true
}

// Root enters the root element, which has to be of that name.
func (s *Scanner) Root(name string) bool {
	if s.need(3) && bytes.HasPrefix(s.buf[s.pos:s.end], []byte("\xef\xbb\xbf")) {
		s.pos += 3
	}
	if !s.Child() {
		s.Fail("there is no element %q", name)
		return false
	}
	if string(s.name) != name {
		s.Fail("root element %q, want %q", s.name, name)
		return false
	}
	s.rootSeen = true
	return true
}

// Finish reads what follows the root element: nothing but white space and comments. Only
// then the document was whole.
func (s *Scanner) Finish() error {
	if s.err == nil && s.Child() {
		s.Fail("element %q behind the end", s.name)
	}
	return s.err
}

// Child goes to the next element inside the one at hand and enters it. It is false when there
// is none, and the scanner has left the element at hand, or has failed.
func (s *Scanner) Child() bool {
	if s.closed {
		s.closed = false
		s.leave()
		return false
	}
	for s.err == nil {
		if !s.markup() {
			if s.err == nil && len(s.open) > 0 {
				s.Fail("the document ends in element %q", s.names[s.open[len(s.open)-1]:])
			}
			return false
		}
		switch s.buf[s.pos+1] {
		case '/':
			s.endTag()
			return false
		case '!':
			s.declaration()
		case '?':
			s.instruction()
		default:
			return s.startTag()
		}
	}
	return false
}

// markup goes to the next "<", with one byte behind it.
func (s *Scanner) markup() bool {
	for s.pos < s.end && classes[s.buf[s.pos]]&blank != 0 { // mostly all there is
		s.pos++
	}
	for {
		unread := s.buf[s.pos:s.end]
		at := 0
		if len(unread) == 0 || unread[0] != '<' {
			at = bytes.IndexByte(unread, '<')
		}
		text := unread
		if at >= 0 {
			text = unread[:at]
		}
		if len(s.open) == 0 && len(bytes.TrimLeft(text, " \t\r\n")) > 0 {
			s.Fail("text outside of the root element")
			return false
		}
		if s.references(text, at >= 0); s.err != nil {
			return false
		}
		if at >= 0 {
			if s.end-s.pos < 2 && !s.need(2) {
				s.Fail("the document ends in a tag")
				return false
			}
			return true
		}
		if !s.fill() {
			return false
		}
	}
}

// references goes over a text that is skipped, and checks that the references in it are ones:
// others would need declarations. It stays before one that may go on behind the text.
func (s *Scanner) references(text []byte, whole bool) {
	for {
		at := bytes.IndexByte(text, '&')
		if at < 0 {
			s.pos += len(text)
			return
		}
		s.pos += at
		text = text[at:]
		end := bytes.IndexByte(text[:min(len(text), maxReference)], ';')
		if end < 0 && !whole && len(text) < maxReference && !s.drained {
			return
		}
		if end < 0 {
			s.Fail("an entity without end")
			return
		}
		if _, err := reference(text[1:end]); err != nil {
			s.Fail("%w", err)
			return
		}
		s.pos += end
		text = text[end:]
	}
}

// Skip leaves the element at hand.
func (s *Scanner) Skip() {
	for s.Child() {
		s.Skip()
	}
}

// enter makes an element the one at hand.
func (s *Scanner) enter(name []byte) {
	if len(s.open) == maxDepth {
		s.Fail("more than %d elements in one another", maxDepth)
		return
	}
	s.open = append(s.open, len(s.names))
	s.names = append(s.names, name...)
	if s.declares {
		s.declare()
	}
	local, prefix := name, name[:0]
	if at := bytes.IndexByte(name, ':'); at > 0 && at < len(name)-1 { // a colon at an end parts nothing
		prefix, local = name[:at], name[at+1:]
	}
	if s.name = local; s.foreign(prefix) {
		s.name = nil
	}
}

// leave forgets the element at hand.
func (s *Scanner) leave() {
	last := len(s.open) - 1
	s.names = s.names[:s.open[last]]
	s.open = s.open[:last]
	for n := len(s.spaces); n > 0 && s.spaces[n-1].depth > last; n-- {
		s.spaces = s.spaces[:n-1]
	}
}

// declare takes note of the namespaces that the tag at hand declares.
func (s *Scanner) declare() {
	for _, a := range s.attrs {
		rest, ok := bytes.CutPrefix(a.Name, []byte("xmlns"))
		if !ok || len(rest) > 0 && rest[0] != ':' {
			continue
		}
		uri := s.Value(a)
		known := len(uri) == 0 || bytes.HasPrefix(uri, []byte(duke))
		s.spaces = append(s.spaces, space{string(bytes.TrimPrefix(rest, []byte(":"))), !known, len(s.open)})
	}
}

// foreign tells prefixes of other vocabularies. One that nothing declares is taken for ours,
// as by clients that know no namespaces.
func (s *Scanner) foreign(prefix []byte) bool {
	for _, declared := range slices.Backward(s.spaces) {
		if declared.prefix == string(prefix) {
			return declared.foreign
		}
	}
	return false
}
