package repodata

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
)

// Bounds of one element that is read as a tree.
const (
	maxTreeBytes = 8 << 20
	maxTreeNodes = 1 << 17
	maxTreeDepth = 32
)

// A node is an element of a document and where it stands in it, so that an element can be
// passed on as it is but for what is cut out.
type node struct {
	name       string
	attrs      []xml.Attr
	text       []byte // of its own, without that of its children
	start, end int64  // offsets in the document; those of its first and behind its last byte
	inner      int64  // offset of its end tag; end for <a/>
	children   []*node
}

func (n *node) attr(name string) string {
	for _, a := range n.attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// A treeReader reads a document element by element, each as a tree with its bytes. It
// reads by encoding/xml and not by a Scanner, which does not judge what it skips: here
// every byte is passed on to parsers of others, so every byte has to be XML.
type treeReader struct {
	d     *xml.Decoder
	bytes *recorder
	nodes int
	depth int  // elements that are open
	begun bool // the root element was read
	typed bool // a DOCTYPE was read
}

func newTreeReader(r io.Reader) *treeReader {
	rec := &recorder{r: r}
	return &treeReader{d: xml.NewDecoder(rec), bytes: rec}
}

// token returns the next token and the offset at which it begins.
func (t *treeReader) token() (xml.Token, int64, error) {
	at := t.d.InputOffset()
	token, err := t.d.Token()
	if err != nil {
		line, column := t.d.InputPos()
		if _, ok := errors.AsType[*xml.SyntaxError](err); !ok && !errors.Is(err, io.EOF) {
			err = fmt.Errorf("line %d, column %d: %w", line, column, err)
		}
		return nil, at, err
	}
	if wrong := t.misplaced(token, at); wrong != "" && t.d.Strict {
		line, column := t.d.InputPos()
		return nil, at, fmt.Errorf("line %d, column %d: %s", line, column, wrong)
	}
	return token, at, nil
}

const byteOrderMark = "\uFEFF"

// misplaced says what encoding/xml lets pass and parsers of others do not: XML 1.0, sections
// 2.1, 2.8 and 3.1.
func (t *treeReader) misplaced(token xml.Token, at int64) string {
	switch token := token.(type) {
	case xml.StartElement:
		t.depth, t.begun = t.depth+1, true
		have := make(map[xml.Name]bool, len(token.Attr))
		for _, a := range token.Attr {
			if have[a.Name] {
				return fmt.Sprintf("element %q has the attribute %q twice", token.Name.Local, a.Name.Local)
			}
			have[a.Name] = true
		}
	case xml.EndElement:
		t.depth--
	case xml.CharData:
		if at == 0 {
			token = bytes.TrimPrefix(token, []byte(byteOrderMark))
		}
		if t.depth == 0 && len(bytes.Trim(token, " \t\r\n")) > 0 {
			return "there is text outside of the root element"
		}
	case xml.ProcInst:
		if token.Target == "xml" && at != 0 && at != int64(len(byteOrderMark)) {
			return "there is an XML declaration that is not at the beginning"
		}
	case xml.Directive:
		if t.begun || t.typed || !bytes.HasPrefix(token, []byte("DOCTYPE")) {
			return "there is a declaration that does not belong there"
		}
		t.typed = true
	}
	return ""
}

// forget lets go of all bytes before the next token.
func (t *treeReader) forget() {
	t.bytes.forget(t.d.InputOffset())
	t.nodes = 0
}

// tree reads an element whose start was read at an offset.
func (t *treeReader) tree(start xml.StartElement, at int64, depth int) (*node, error) {
	if t.nodes++; t.nodes > maxTreeNodes || depth > maxTreeDepth {
		return nil, t.tooMany()
	}
	n := &node{name: start.Name.Local, attrs: start.Attr, start: at}
	for {
		token, at, err := t.token()
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			child, err := t.tree(token, at, depth+1)
			if err != nil {
				return nil, err
			}
			n.children = append(n.children, child)
		case xml.CharData:
			if len(n.children) == 0 {
				n.text = append(n.text, token...)
			}
		case xml.EndElement:
			n.inner, n.end = at, t.d.InputOffset()
			return n, nil
		}
	}
}

func (t *treeReader) tooMany() error {
	line, column := t.d.InputPos()
	return fmt.Errorf("line %d, column %d: more than %d elements in one, or %d in one another", line, column, maxTreeNodes, maxTreeDepth)
}

// eachChild reads a document with the root element named and calls visit with each child of
// a name: its tree, and the bytes from its start to its end. Other children are read
// over. Bytes and tree are not valid after the call.
func eachChild(r io.Reader, root, name string, visit func(n *node, raw []byte)) error {
	t := newTreeReader(r)
	begun := false
	for {
		t.forget()
		token, at, err := t.token()
		switch {
		case errors.Is(err, io.EOF) && begun && t.depth == 0:
			return nil
		case errors.Is(err, io.EOF):
			return fmt.Errorf("there is no whole element %q", root)
		case err != nil:
			return err
		}
		switch token := token.(type) {
		case xml.Directive:
			if bytes.ContainsRune(token, '[') {
				return errors.New("it declares entities")
			}
		case xml.StartElement:
			if t.depth == 1 && (begun || token.Name.Local != root) {
				line, column := t.d.InputPos()
				return fmt.Errorf("line %d, column %d: root element %q, want one %q", line, column, token.Name.Local, root)
			}
			if t.depth != 2 || token.Name.Local != name {
				if begun = true; t.depth > maxTreeDepth {
					return t.tooMany()
				}
				continue
			}
			n, err := t.tree(token, at, 0)
			if err != nil {
				return err
			}
			visit(n, t.bytes.cut(n.start, n.end))
		}
	}
}

// A recorder remembers what was read of it, up to a bound.
type recorder struct {
	r    io.Reader
	kept []byte
	base int64 // offset of the first byte that is kept
}

func (r *recorder) Read(p []byte) (int, error) {
	if len(r.kept) > maxTreeBytes {
		return 0, fmt.Errorf("an element of more than %d bytes", maxTreeBytes)
	}
	n, err := r.r.Read(p)
	r.kept = append(r.kept, p[:n]...)
	return n, err
}

func (r *recorder) forget(before int64) {
	r.kept = append(r.kept[:0], r.kept[before-r.base:]...)
	r.base = before
}

func (r *recorder) cut(from, to int64) []byte { return r.kept[from-r.base : to-r.base] }

// An edit replaces a part of an element's bytes.
type edit struct {
	from, to int64 // offsets in the document
	text     []byte
}

// edited returns the bytes of an element with edits made. White space before what is cut
// out goes with it.
func edited(raw []byte, start int64, edits []edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return int(a.from - b.from) })
	out, at := make([]byte, 0, len(raw)), start
	for _, e := range edits {
		out = append(out, raw[at-start:e.from-start]...)
		if e.to > e.from {
			out = bytes.TrimRight(out, " \t\r\n")
		}
		out, at = append(out, e.text...), e.to
	}
	return append(out, raw[at-start:]...)
}
