package xmlscan

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// Text leaves the element at hand, which holds a text and no elements, and returns the text.
func (s *Scanner) Text() []byte {
	if s.closed {
		s.closed = false
		s.leave()
		return nil
	}
	b := s.buf[s.pos:s.end]
	if at := bytes.IndexByte(b, '<'); at >= 0 && at <= maxText {
		if size := s.isEndTag(b[at:]); size > 0 && isPlain(b[:at]) {
			s.pos += at + size
			s.leave()
			return b[:at]
		}
	}
	return s.mixedText()
}

// Trimmed is Text without the white space around it.
func (s *Scanner) Trimmed() []byte { return bytes.Trim(s.Text(), " \t\r\n") }

// isPlain tells text that means what it says, byte by byte.
func isPlain(b []byte) bool {
	for _, c := range b {
		if c < ' ' && c != '\n' && c != '\t' || c >= 0x7f || c == '&' {
			return false
		}
	}
	return true
}

// mixedText is Text for one that has references, CDATA and comments in it, or is not
// in the buffer as a whole.
func (s *Scanner) mixedText() []byte {
	begin := len(s.scratch)
	for s.err == nil {
		at := bytes.IndexByte(s.buf[s.pos:s.end], '<')
		if at < 0 && s.end-s.pos <= maxText && s.fill() {
			continue
		}
		if at < 0 || at+len(s.scratch)-begin > maxText {
			s.Fail("a text of more than %d bytes, or without end", maxText)
			break
		}
		s.decode(s.buf[s.pos:s.pos+at], false)
		s.pos += at
		s.need(9)
		switch b := s.buf[s.pos:s.end]; {
		case bytes.HasPrefix(b, []byte("</")):
			s.endTag()
			return s.scratch[begin:]
		case bytes.HasPrefix(b, []byte("<![CDATA[")):
			s.cdata()
		case bytes.HasPrefix(b, []byte("<!--")):
			s.until(4, "-->", "comment")
		case bytes.HasPrefix(b, []byte("<?")):
			s.until(2, "?>", "processing instruction")
		default:
			s.Fail("markup in the text of element %q", s.names[s.open[len(s.open)-1]:])
		}
	}
	return nil
}

// cdata adds the section at pos to the text.
func (s *Scanner) cdata() {
	s.pos += 9
	for {
		b := s.buf[s.pos:s.end]
		at := bytes.Index(b, []byte("]]>"))
		if at >= 0 && at <= maxText {
			s.decodePlain(b[:at], false)
			s.pos += at + 3
			return
		}
		if at >= 0 || len(b) > maxText || !s.fill() {
			s.Fail("a CDATA of more than %d bytes, or without end", maxText)
			return
		}
	}
}

// Value returns what an attribute says.
func (s *Scanner) Value(a Attr) []byte {
	if a.plain {
		return a.value
	}
	begin := len(s.scratch)
	s.decode(a.value, true)
	return s.scratch[begin:]
}

// Attr returns the attribute of that name of the tag at hand, nil without one.
func (s *Scanner) Attr(name string) []byte {
	for _, a := range s.attrs {
		if string(a.Name) == name {
			return s.Value(a)
		}
	}
	return nil
}

// Number returns the attribute of that name as a number that is not negative, 0 without one.
func (s *Scanner) Number(name string) int64 {
	return s.ParseNumber(s.Attr(name), name)
}

// ParseNumber reads a number that is not negative, 0 of an empty text; what names it in the
// error.
func (s *Scanner) ParseNumber(text []byte, what string) int64 {
	if len(text) == 0 {
		return 0
	}
	n, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		s.Fail("%s %q is not a number", what, text)
	}
	return int64(n)
}

// decode adds text that may have references in it to scratch.
func (s *Scanner) decode(b []byte, isAttr bool) {
	for s.err == nil {
		at := bytes.IndexByte(b, '&')
		if at < 0 {
			s.decodePlain(b, isAttr)
			return
		}
		s.decodePlain(b[:at], isAttr)
		b = b[at+1:]
		end := bytes.IndexByte(b, ';')
		if end < 0 || end > maxReference {
			s.Fail("an entity without end")
			return
		}
		c, err := reference(b[:end])
		if err != nil {
			s.Fail("%w", err)
			return
		}
		s.scratch = utf8.AppendRune(s.scratch, c)
		b = b[end+1:]
	}
}

// decodePlain adds text to scratch, with line ends as XML 1.0 has them: one way (section
// 2.11), and in attributes, like tabs, as spaces (section 3.3.3).
func (s *Scanner) decodePlain(b []byte, isAttr bool) {
	for at := 0; at < len(b); {
		c, size := rune(b[at]), 1
		if c >= utf8.RuneSelf {
			if c, size = utf8.DecodeRune(b[at:]); c == utf8.RuneError && size == 1 {
				s.Fail("invalid UTF-8")
				return
			}
		}
		switch {
		case !Allowed(c):
			s.Fail("illegal character %U", c)
			return
		case c == '\r' && at+1 < len(b) && b[at+1] == '\n': // one line end
		case isAttr && c < ' ':
			s.scratch = append(s.scratch, ' ')
		case c == '\r':
			s.scratch = append(s.scratch, '\n')
		default:
			s.scratch = append(s.scratch, b[at:at+size]...)
		}
		at += size
	}
}

// reference returns the character that a reference stands for, by what is between & and ;.
func reference(name []byte) (rune, error) {
	switch string(name) {
	case "lt":
		return '<', nil
	case "gt":
		return '>', nil
	case "amp":
		return '&', nil
	case "quot":
		return '"', nil
	case "apos":
		return '\'', nil
	}
	digits, isNumber := bytes.CutPrefix(name, []byte("#"))
	base := 10
	if hex, isHex := bytes.CutPrefix(digits, []byte("x")); isHex {
		digits, base = hex, 16
	}
	if !isNumber {
		return 0, fmt.Errorf("entity %q, which nothing declares", name)
	}
	n, err := strconv.ParseUint(string(digits), base, 21)
	if c := rune(n); err == nil && Allowed(c) && utf8.ValidRune(c) {
		return c, nil
	}
	return 0, errors.New("a reference to an illegal character")
}

// Allowed tells the characters of XML 1.0.
func Allowed(r rune) bool {
	return r >= ' ' && r != 0xfffe && r != 0xffff || r == '\t' || r == '\n' || r == '\r'
}
