package interchange

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// documents gives the roots of the YAML documents in data, without empty ones.
// Nodes are not resolved here: aliases stay aliases, so a file cannot grow.
func (r *reader) documents(data []byte) []*yaml.Node {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	if !r.utf8(data) {
		return nil
	}
	var out []*yaml.Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var doc yaml.Node
		err := decodeNode(dec, &doc)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			r.bad(0, "not valid YAML: %s", strings.TrimPrefix(err.Error(), "yaml: "))
			return nil
		}
		if root := doc.Content[0]; root.Kind != yaml.ScalarNode || root.Tag != "!!null" {
			out = append(out, root)
		}
	}
}

// document gives the root of the only document in data.
func (r *reader) document(data []byte) *yaml.Node {
	docs := r.documents(data)
	switch {
	case len(r.errs.List) > 0:
		return nil
	case len(docs) == 0:
		r.bad(1, "the file is empty")
		return nil
	case len(docs) > 1:
		r.bad(docs[1].Line, "a second document begins: this format has one")
		return nil
	}
	return docs[0]
}

func (r *reader) utf8(data []byte) bool {
	if utf8.Valid(data) {
		return true
	}
	number := 0
	for line := range bytes.Lines(data) {
		number++
		if !utf8.Valid(line) {
			r.bad(number, "not UTF-8")
			return false
		}
	}
	return false
}

// decodeNode is Decode, with a panic of the YAML library as an error: it has
// some for input that it did not expect.
func decodeNode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v", p)
		}
	}()
	return dec.Decode(n)
}

// fields gives the values of a mapping by name. Names that are not among known
// are problems, unless known is empty.
func (r *reader) fields(n *yaml.Node, what string, known ...string) map[string]*yaml.Node {
	if n.Kind != yaml.MappingNode {
		r.bad(n.Line, "%s is %s, want fields", what, describe(n))
		return nil
	}
	out := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		switch {
		case key.Kind != yaml.ScalarNode:
			r.bad(key.Line, "%s has a field name that is %s, want text", what, describe(key))
		case out[key.Value] != nil:
			r.bad(key.Line, "%s has the field %q twice", what, lockfile.Show(key.Value))
		case len(known) > 0 && !slices.Contains(known, key.Value):
			r.bad(key.Line, "%s has an unknown field %q, known are %s", what, lockfile.Show(key.Value), strings.Join(known, ", "))
		default:
			out[key.Value] = n.Content[i+1]
		}
	}
	return out
}

// text gives a field that is text, or empty when it is not there.
func (r *reader) text(fields map[string]*yaml.Node, name string) string {
	n := fields[name]
	if n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null" {
		return ""
	}
	if n.Kind != yaml.ScalarNode {
		r.bad(n.Line, "%s is %s, want text", name, describe(n))
		return ""
	}
	if err := manifest.CheckText(n.Value); err != nil && n.Value != "" {
		r.bad(n.Line, "%s %q %v", name, lockfile.Show(n.Value), err)
		return ""
	}
	return n.Value
}

// must is text that has to be there; at is the line of what it belongs to.
func (r *reader) must(fields map[string]*yaml.Node, at int, name string) string {
	before := len(r.errs.List)
	s := r.text(fields, name)
	if s == "" && fields != nil && len(r.errs.List) == before { // without fields, that was the problem
		r.bad(at, "%s is missing", name)
	}
	return s
}

// list gives the items of a field that is a list; no field and null are none.
func (r *reader) list(fields map[string]*yaml.Node, name string) []*yaml.Node {
	n := fields[name]
	switch {
	case n == nil || n.Kind == yaml.ScalarNode && n.Tag == "!!null":
		return nil
	case n.Kind != yaml.SequenceNode:
		r.bad(n.Line, "%s is %s, want a list", name, describe(n))
		return nil
	}
	return n.Content
}

// is asks for a field with one of some values, which makes the file what it is.
func (r *reader) is(root *yaml.Node, fields map[string]*yaml.Node, name string, want ...string) bool {
	n := fields[name]
	switch {
	case fields == nil: // that was the problem
	case n == nil:
		r.bad(root.Line, "%s is missing, want %s: %s", name, name, strings.Join(want, " or "))
	case n.Kind != yaml.ScalarNode || !slices.Contains(want, n.Value):
		r.bad(n.Line, "%s is %s, want %s", name, describe(n), strings.Join(want, " or "))
	default:
		return true
	}
	return false
}

// describe says what a node is.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	if n.Tag == "!!null" {
		return "empty"
	}
	return fmt.Sprintf("%q", lockfile.Show(n.Value))
}
