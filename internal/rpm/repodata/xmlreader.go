package repodata

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// Bounds of one piece of a document. The decoder keeps a whole token, and the name of each
// element that is open, so without them a document could be one that fills the memory.
const (
	maxToken = 16 << 20
	maxDepth = 64
)

// An xmlReader walks over the children of a document's root element, as a stream.
type xmlReader struct {
	d     *xml.Decoder
	input *capped // of the current token
	depth int
	root  string
	begun bool
	start xml.StartElement // of the child that next found
	err   error
}

func newXMLReader(r io.Reader, root string) *xmlReader {
	input := &capped{r: r, limit: maxToken}
	return &xmlReader{d: xml.NewDecoder(input), input: input, root: root}
}

// token returns the next token, or an error that says where it is.
func (x *xmlReader) token() (xml.Token, error) {
	x.input.left = maxToken
	token, err := x.d.Token()
	if err != nil {
		return nil, x.place(err)
	}
	switch token.(type) {
	case xml.StartElement:
		if x.depth++; x.depth > maxDepth {
			return nil, x.errorf("more than %d elements in one another", maxDepth)
		}
	case xml.EndElement:
		x.depth--
	}
	return token, nil
}

// errorf makes an error that says where the reader is.
func (x *xmlReader) errorf(format string, args ...any) error {
	line, column := x.d.InputPos()
	return fmt.Errorf("line %d, column %d: %w", line, column, fmt.Errorf(format, args...))
}

// place adds to an error of the decoder where it is, unless it says so already.
func (x *xmlReader) place(err error) error {
	if _, ok := errors.AsType[*xml.SyntaxError](err); ok || errors.Is(err, io.EOF) {
		return err
	}
	return x.errorf("%w", err)
}

// next goes to the next child of that name, over all others. Whoever calls it reads the child
// to its end, by entry or skip. It is false at the end of the root element, and
// when x.err is set.
func (x *xmlReader) next(name string) bool {
	for x.err == nil {
		token, err := x.token()
		if errors.Is(err, io.EOF) {
			err = x.errorf("there is no element %q", x.root)
		}
		if err != nil {
			x.err = err
			return false
		}
		switch t := token.(type) {
		case xml.EndElement: // of the root: children are read to their ends
			x.err = x.end()
			return false
		case xml.StartElement:
			switch {
			case !x.begun && t.Name.Local != x.root:
				x.err = x.errorf("root element %q, want %q", t.Name.Local, x.root)
			case !x.begun:
				x.begun = true
			case t.Name.Local == name:
				x.start = t
				return true
			default:
				x.err = x.skip()
			}
		}
	}
	return false
}

// end reads what follows the root element: nothing but white space and comments.
func (x *xmlReader) end() error {
	for {
		token, err := x.token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t, ok := token.(xml.StartElement); ok {
			return x.errorf("element %q behind the end", t.Name.Local)
		}
	}
}

// skip reads to the end of the element whose start was the last token.
func (x *xmlReader) skip() error {
	for outside := x.depth - 1; x.depth > outside; {
		if _, err := x.token(); err != nil {
			return err
		}
	}
	return nil
}

func (x *xmlReader) attribute(name string) string { return attribute(x.start, name) }

func attribute(start xml.StartElement, name string) string {
	for _, a := range start.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// entry reads the child that next found, and returns the location and the checksum in it.
func (x *xmlReader) entry() (reference, error) {
	var ref reference
	for {
		token, err := x.token()
		if err != nil {
			return ref, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			if err := x.field(t, &ref); err != nil {
				return ref, err
			}
		case xml.EndElement:
			if ref.location == "" || ref.checksum.Type == "" {
				return ref, x.errorf("a %s without location or checksum", t.Name.Local)
			}
			return ref, nil
		}
	}
}

// field reads one element of an entry.
func (x *xmlReader) field(t xml.StartElement, ref *reference) error {
	switch t.Name.Local {
	case "location":
		ref.location = attribute(t, "href")
		if len(ref.location) > maxLocation {
			return x.errorf("a location of %d bytes", len(ref.location))
		}
	case "checksum":
		value, err := x.text()
		if err != nil {
			return err
		}
		if ref.checksum, err = newChecksum(attribute(t, "type"), value); err != nil {
			return x.errorf("%w", err)
		}
		return nil
	}
	return x.skip()
}

// text reads an element that holds a short text.
func (x *xmlReader) text() (string, error) {
	var out []byte
	for {
		token, err := x.token()
		if err != nil {
			return "", err
		}
		switch t := token.(type) {
		case xml.CharData:
			if out = append(out, t...); len(out) > maxChecksum {
				return "", x.errorf("a checksum of more than %d bytes", maxChecksum)
			}
		case xml.StartElement:
			return "", x.errorf("element %q in a checksum", t.Name.Local)
		case xml.EndElement:
			return string(out), nil
		}
	}
}
