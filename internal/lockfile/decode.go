package lockfile

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A decoder turns the nodes of one YAML document into structs whose fields have
// yaml tags. It goes on after a problem, so that one run finds them all.
type decoder struct {
	*problems
	at     map[any]int  // line of each value, by the pointer to where it was stored
	bad    map[any]bool // values that could not be stored, by the same pointer
	fields map[reflect.Type]map[string]int
}

// An itemKey stands in for the pointer to a map's value, which cannot be taken.
type itemKey struct {
	of  any // pointer to the map
	key string
}

func newDecoder(file string) *decoder {
	return &decoder{
		problems: &problems{file: file},
		at:       map[any]int{},
		bad:      map[any]bool{},
		fields:   map[reflect.Type]map[string]int{},
	}
}

func (d *decoder) checker() *checker {
	return &checker{problems: d.problems, at: d.at, bad: d.bad}
}

// document decodes data into the struct that into points to. It reports false
// when data is no such document at all, so that checking it further would only
// add noise.
func (d *decoder) document(data []byte, kind string, into any) bool {
	root := d.parse(data)
	if root == nil {
		return false
	}
	d.refuseFeatures(root)
	if !d.header(root, kind) {
		return false
	}
	d.mapping(root, reflect.ValueOf(into).Elem(), map[string]bool{"apiVersion": true, "kind": true})
	return true
}

// header asks for this version and kind first: in another kind of file every
// field would be a problem.
func (d *decoder) header(root *yaml.Node, kind string) bool {
	if root.Kind != yaml.MappingNode {
		d.add(root.Line, "the file is %s, want fields beginning with apiVersion: %s", describe(root), APIVersion)
		return false
	}
	before := len(d.list)
	for _, want := range [][2]string{{"apiVersion", APIVersion}, {"kind", kind}} {
		switch n := lookup(root, want[0]); {
		case n == nil:
			d.add(root.Line, "%s is missing, want %s: %s", want[0], want[0], want[1])
		case n.Kind != yaml.ScalarNode || n.Value != want[1]:
			d.add(n.Line, "%s is %s, want %s", want[0], describe(n), want[1])
		}
	}
	return len(d.list) == before
}

func lookup(mapping *yaml.Node, name string) *yaml.Node {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == name {
			return mapping.Content[i+1]
		}
	}
	return nil
}

// refuseFeatures reports what our files do not use of YAML, wherever it stands.
func (d *decoder) refuseFeatures(n *yaml.Node) {
	if n.Anchor != "" {
		d.add(n.Line, "anchor &%s: anchors are not used here", n.Anchor)
	}
	switch {
	case n.Kind == yaml.AliasNode:
		d.add(n.Line, "alias *%s: aliases are not used here", n.Value)
	case n.Tag == "!!merge":
		d.add(n.Line, "merge key <<: merging is not used here")
	case n.Style&yaml.TaggedStyle != 0:
		d.add(n.Line, "tag %s: tags are not used here", n.Tag)
	}
	for _, c := range n.Content {
		d.refuseFeatures(c)
	}
}

// mapping decodes the fields of n into the struct v; names in skip were
// decoded before.
func (d *decoder) mapping(n *yaml.Node, v reflect.Value, skip map[string]bool) {
	index := d.index(v.Type())
	d.keys(n, func(key, val *yaml.Node) {
		if skip[key.Value] {
			return
		}
		i, ok := index[key.Value]
		if !ok {
			d.add(key.Line, "unknown field %q, known here: %s", show(key.Value), strings.Join(fieldNames(v.Type()), ", "))
			return
		}
		d.value(key.Value, lineOf(key, val), val, v.Field(i))
	})
}

// keys calls f for the entries of a mapping, without duplicate keys and keys
// that are no text.
func (d *decoder) keys(n *yaml.Node, f func(key, val *yaml.Node)) {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		line, dup := seen[key.Value]
		switch {
		case key.Kind == yaml.AliasNode || key.Tag == "!!merge":
			// Reported as a feature that is not used.
		case key.Kind != yaml.ScalarNode:
			d.add(key.Line, "a field name is %s, want text", describe(key))
		case dup:
			d.add(key.Line, "duplicate key %q, first at line %d", show(key.Value), line)
		default:
			seen[key.Value] = key.Line
			f(key, val)
		}
	}
}

// lineOf is where to look for the value of a field: at its name, unless it is
// text that begins further down.
func lineOf(key, val *yaml.Node) int {
	if val.Kind == yaml.ScalarNode {
		return val.Line
	}
	return key.Line
}

// value decodes n, the value of the field name, into v.
func (d *decoder) value(name string, line int, n *yaml.Node, v reflect.Value) {
	ptr := v.Addr().Interface()
	d.at[ptr] = line
	if n.Kind == yaml.AliasNode {
		d.bad[ptr] = true // reported as a feature that is not used
		return
	}
	if want := d.store(name, n, v); want != "" {
		d.bad[ptr] = true
		d.add(line, "%s is %s, want %s", name, describe(n), want)
	}
}

// store sets v from n, or says what is wanted instead.
func (d *decoder) store(name string, n *yaml.Node, v reflect.Value) (want string) {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		return storeTime(n, p)
	case *bool:
		return storeBool(n, p)
	case **bool:
		*p = new(bool)
		return storeBool(n, *p)
	case **string:
		if !isScalar(n, "!!str") {
			return wantText(n)
		}
		*p = &n.Value
		return ""
	case *int64:
		return storeInt(n, p)
	}
	switch v.Kind() {
	case reflect.String:
		if !isScalar(n, "!!str") {
			return wantText(n)
		}
		v.SetString(n.Value)
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return "a list"
		}
		d.sequence(name, n, v)
	case reflect.Map:
		if n.Kind != yaml.MappingNode {
			return "a mapping"
		}
		d.stringMap(n, v)
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			return "a mapping"
		}
		v.FieldByName("Line").SetInt(int64(n.Line))
		d.mapping(n, v, nil)
	default:
		panic(fmt.Sprintf("lockfile: no decoding into %s", v.Type()))
	}
	return ""
}

// sequence leaves an empty list nil: it says the same as no list.
func (d *decoder) sequence(name string, n *yaml.Node, v reflect.Value) {
	if len(n.Content) == 0 {
		return
	}
	// The slice gets its final size first, because pointers to its items are kept.
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value("an entry of "+name, item.Line, item, v.Index(i))
	}
}

func (d *decoder) stringMap(n *yaml.Node, v reflect.Value) {
	if len(n.Content) == 0 {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	ptr := v.Addr().Interface()
	d.keys(n, func(key, val *yaml.Node) {
		item := reflect.New(v.Type().Elem())
		d.value(show(key.Value), lineOf(key, val), val, item.Elem())
		place := itemKey{ptr, key.Value}
		d.at[place] = lineOf(key, val)
		if d.bad[item.Interface()] {
			d.bad[place] = true
		}
		v.SetMapIndex(reflect.ValueOf(key.Value), item.Elem())
	})
}

func (d *decoder) index(t reflect.Type) map[string]int {
	if m, ok := d.fields[t]; ok {
		return m
	}
	m := map[string]int{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "-" {
			m[name] = i
		}
	}
	d.fields[t] = m
	return m
}

func fieldNames(t reflect.Type) []string {
	var out []string
	for f := range t.Fields() {
		if name := f.Tag.Get("yaml"); name != "-" {
			out = append(out, name)
		}
	}
	return out
}

func isScalar(n *yaml.Node, tag string) bool { return n.Kind == yaml.ScalarNode && n.Tag == tag }

// decimal leaves out what readers of YAML disagree about: octal, underscores.
var decimal = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)

func storeInt(n *yaml.Node, p *int64) string {
	const want = "a decimal number"
	if !isScalar(n, "!!int") || !decimal.MatchString(n.Value) {
		return want
	}
	i, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil {
		return want
	}
	*p = i
	return ""
}

func storeBool(n *yaml.Node, p *bool) string {
	if !isScalar(n, "!!bool") || n.Value != "true" && n.Value != "false" {
		return "true or false"
	}
	*p = n.Value == "true"
	return ""
}

// storeTime takes RFC 3339 or a plain date. Years that RFC 3339 could not write
// again in UTC, and those before computers, are no expiry dates.
func storeTime(n *yaml.Node, p *time.Time) string {
	if isScalar(n, "!!str") || isScalar(n, "!!timestamp") {
		for _, layout := range []string{time.RFC3339, time.DateOnly} {
			t, err := time.Parse(layout, n.Value)
			if err == nil && checkTime(t.UTC()) == nil {
				*p = t.UTC()
				return ""
			}
		}
	}
	return "a time such as 2030-12-31T00:00:00Z"
}

func wantText(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		return fmt.Sprintf("text: put it in quotes, %q", show(n.Value))
	}
	return "text"
}

// describe says what a node is, for messages about what it should be.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!null":
		return "empty"
	case "!!int", "!!float":
		return "the number " + show(n.Value)
	case "!!bool":
		return "the truth value " + show(n.Value)
	case "!!timestamp":
		return "the date " + show(n.Value)
	default:
		return fmt.Sprintf("%q", show(n.Value))
	}
}
