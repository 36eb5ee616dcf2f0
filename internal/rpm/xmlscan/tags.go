package xmlscan

import (
	"bytes"
	"errors"
	"slices"
)

// A class says what a byte can be in a tag.
type class uint8

const (
	inName  class = 1 << iota
	special       // in an attribute's value: needs a look
	blank
)

// classes has the classes of all bytes. Those above ASCII are letters of names here: their
// names match nothing that is looked for.
var classes = func() (c [256]class) {
	for b := range c {
		switch {
		case b == ' ' || b == '\t' || b == '\r' || b == '\n':
			c[b] = blank
		case b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '_' || b == ':' || b == '-' || b == '.' || b >= 0x80:
			c[b] = inName
		}
		if b < ' ' || b >= 0x7f || b == '&' || b == '<' || b == '"' || b == '\'' {
			c[b] |= special
		}
	}
	return c
}()

// errShort says that a tag goes on behind what has been read.
var errShort = errors.New("the document ends in a tag")

// startTag reads the tag at pos and enters its element.
func (s *Scanner) startTag() bool {
	for {
		size, name, err := s.tag(s.buf[s.pos:s.end])
		if err == nil {
			s.tagAt = s.base + int64(s.pos)
			s.pos += size
			s.scratch = s.scratch[:0]
			s.enter(name)
			return s.err == nil
		}
		if !errors.Is(err, errShort) {
			s.pos += size
			s.Fail("%w", err)
			return false
		}
		if !s.fill() {
			s.Fail("%w", err)
			return false
		}
	}
}

// tag takes a start tag apart, and returns its size; with an error, how far it came.
func (s *Scanner) tag(b []byte) (size int, name []byte, err error) {
	s.attrs, s.declares, s.closed = s.attrs[:0], false, false
	at := 1
	for at < len(b) && classes[b[at]]&inName != 0 {
		at++
	}
	if name = b[1:at]; len(name) == 0 || !isNameStart(name[0]) {
		return at, nil, errors.New("a tag without a name")
	}
	for {
		for at < len(b) && classes[b[at]]&blank != 0 {
			at++
		}
		if at+1 >= len(b) && (at == len(b) || b[at] != '>') {
			return at, nil, errShort
		}
		switch {
		case b[at] == '>':
			return at + 1, name, nil
		case b[at] == '/' && b[at+1] == '>':
			s.closed = true
			return at + 2, name, nil
		}
		if at, err = s.attribute(b, at); err != nil {
			return at, nil, err
		}
	}
}

// attribute takes the attribute at an offset apart, and returns where it ends.
func (s *Scanner) attribute(b []byte, at int) (int, error) {
	begin := at
	for at < len(b) && classes[b[at]]&inName != 0 {
		at++
	}
	name := b[begin:at]
	for at < len(b) && classes[b[at]]&blank != 0 {
		at++
	}
	if at == len(b) {
		return at, errShort
	}
	if len(name) == 0 || !isNameStart(name[0]) || b[at] != '=' {
		return at, errors.New("an attribute without name or value")
	}
	for at++; at < len(b) && classes[b[at]]&blank != 0; at++ {
	}
	if at == len(b) {
		return at, errShort
	}
	quote := b[at]
	if quote != '"' && quote != '\'' {
		return at, errors.New("unquoted attribute value")
	}
	at++
	begin = at
	for plain := true; at < len(b); at++ {
		if classes[b[at]]&special == 0 {
			continue
		}
		switch b[at] {
		case quote:
			return at + 1, s.keepAttr(Attr{name, b[begin:at], plain})
		case '<':
			return at, errors.New(`"<" in an attribute`)
		}
		plain = false
	}
	return at, errShort
}

func (s *Scanner) keepAttr(a Attr) error {
	if len(s.attrs) == maxAttributes {
		return errors.New("too many attributes")
	}
	for i := range s.attrs {
		if have := s.attrs[i].Name; len(have) == len(a.Name) && string(have) == string(a.Name) {
			return errors.New("one attribute twice")
		}
	}
	s.declares = s.declares || a.Name[0] == 'x'
	s.attrs = append(s.attrs, a)
	return nil
}

func isNameStart(c byte) bool {
	return classes[c]&inName != 0 && c != '-' && c != '.' && (c < '0' || c > '9')
}

// endTag reads the end tag at pos and leaves its element.
func (s *Scanner) endTag() {
	if len(s.open) == 0 {
		s.Fail("an end tag of nothing")
		return
	}
	for {
		b := s.buf[s.pos:s.end]
		if size := s.isEndTag(b); size > 0 {
			s.pos += size
			s.leave()
			return
		}
		if bytes.IndexByte(b, '>') >= 0 {
			s.Fail("element %q is not ended by its own tag", s.names[s.open[len(s.open)-1]:])
			return
		}
		if !s.fill() {
			s.Fail("%w", errShort)
			return
		}
	}
}

// isEndTag returns the size of the end tag of the element at hand, 0 when b does not begin with
// the whole of it.
func (s *Scanner) isEndTag(b []byte) int {
	name := s.names[s.open[len(s.open)-1]:]
	at := 2 + len(name)
	if len(b) <= at || b[0] != '<' || b[1] != '/' || string(b[2:at]) != string(name) {
		return 0
	}
	for at < len(b) && classes[b[at]]&blank != 0 {
		at++
	}
	if at == len(b) || b[at] != '>' {
		return 0
	}
	return at + 1
}

// declaration reads what begins with "<!": a comment, a section of text that is skipped, or a
// document type that declares nothing.
func (s *Scanner) declaration() {
	s.need(9)
	b := s.buf[s.pos:s.end]
	switch {
	case bytes.HasPrefix(b, []byte("<!--")):
		s.until(4, "-->", "comment")
	case bytes.HasPrefix(b, []byte("<![CDATA[")) && len(s.open) > 0:
		s.until(9, "]]>", "CDATA")
	case bytes.HasPrefix(b, []byte("<!DOCTYPE")) && len(s.open) == 0 && !s.rootSeen:
		s.doctype()
	default:
		s.Fail("a declaration that metadata has no use for")
	}
}

// doctype reads a document type. comps.xml names its DTD in one, which no client reads; one
// that goes on with "[" could declare entities, and is refused.
func (s *Scanner) doctype() {
	for {
		b := s.buf[s.pos:s.end]
		at := slices.IndexFunc(b, func(c byte) bool { return c == '>' || c == '[' })
		switch {
		case at >= 0 && b[at] == '>':
			s.pos += at + 1
			return
		case at >= 0:
			s.pos += at
			s.Fail("a document type with declarations, which could be of an entity")
			return
		case len(b) > maxText || !s.fill():
			s.Fail("a document type without end")
			return
		}
	}
}

// instruction reads a processing instruction. The one that begins the document may say its
// encoding.
func (s *Scanner) instruction() {
	first := s.base+int64(s.pos) <= 3 // perhaps behind a byte order mark
	if s.need(6); first && bytes.HasPrefix(s.buf[s.pos:s.end], []byte("<?xml ")) {
		if declaration, _, whole := bytes.Cut(s.buf[s.pos:s.end], []byte("?>")); whole {
			s.encoding(declaration)
		}
	}
	s.until(2, "?>", "processing instruction")
}

// encoding refuses other encodings than UTF-8.
func (s *Scanner) encoding(declaration []byte) {
	_, rest, ok := bytes.Cut(declaration, []byte("encoding"))
	if !ok {
		return
	}
	value := bytes.Trim(bytes.TrimLeft(rest, " \t\r\n="), " \t\r\n")
	if len(value) > 1 {
		value, _, _ = bytes.Cut(value[1:], value[:1])
	}
	if !bytes.EqualFold(value, []byte("utf-8")) && !bytes.EqualFold(value, []byte("us-ascii")) {
		s.Fail("encoding %q, want UTF-8", value)
	}
}

// until goes behind the next end.
func (s *Scanner) until(begin int, end, what string) {
	s.pos += begin
	for s.err == nil {
		b := s.buf[s.pos:s.end]
		if at := bytes.Index(b, []byte(end)); at >= 0 {
			s.pos += at + len(end)
			return
		}
		s.pos = max(s.pos, s.end-len(end)+1) // a part of it may stand at the end
		if !s.fill() {
			s.Fail("a %s without end", what)
		}
	}
}
