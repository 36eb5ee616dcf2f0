package lockfile

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"airbundle/manifest"
)

// flowWidth is how long a line with a list in [brackets] may be. A list of one
// never takes a line of its own, whatever its length.
const flowWidth = 120

// encode writes the struct that v points to, field by field, without those
// that are zero.
func encode(kind string, v any) []byte {
	e := &encoder{}
	e.line(0, "apiVersion: "+APIVersion)
	e.line(0, "kind: "+kind)
	e.fields(0, reflect.ValueOf(v).Elem())
	return e.Bytes()
}

// finish ends an encoding: with the bytes, unless the value has problems or the
// bytes could not be read again.
func finish(c *checker, data []byte) ([]byte, error) {
	if len(data) > MaxSize {
		c.add(0, "encoding takes %d bytes, more than the %d that are read", len(data), MaxSize)
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return data, nil
}

type encoder struct{ bytes.Buffer }

func (e *encoder) line(indent int, s string) {
	e.WriteString(strings.Repeat(" ", indent))
	e.WriteString(s)
	e.WriteByte('\n')
}

func (e *encoder) fields(indent int, v reflect.Value) {
	for i := range v.NumField() {
		name, f := v.Type().Field(i).Tag.Get("yaml"), v.Field(i)
		if name != "-" && !f.IsZero() {
			e.field(indent, name, f)
		}
	}
}

func (e *encoder) field(indent int, name string, v reflect.Value) {
	switch x := v.Interface().(type) {
	case time.Time:
		e.line(indent, name+": "+x.UTC().Format(time.RFC3339Nano))
		return
	case []string:
		e.list(indent, name, x)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		e.field(indent, name, v.Elem())
	case reflect.String:
		e.text(indent, name, v.String())
	case reflect.Int64:
		e.line(indent, name+": "+strconv.FormatInt(v.Int(), 10))
	case reflect.Bool:
		e.line(indent, name+": "+strconv.FormatBool(v.Bool()))
	case reflect.Map:
		e.stringMap(indent, name, v)
	case reflect.Slice:
		e.entries(indent, name, v)
	default:
		panic(fmt.Sprintf("lockfile: no encoding of %s", v.Type()))
	}
}

func (e *encoder) list(indent int, name string, items []string) {
	if len(items) == 0 {
		return
	}
	quoted := make([]string, len(items))
	for i, s := range items {
		quoted[i] = scalar(s)
	}
	flow := name + ": [" + strings.Join(quoted, ", ") + "]"
	if len(items) == 1 || indent+len(flow) <= flowWidth {
		e.line(indent, flow)
		return
	}
	e.line(indent, name+":")
	for _, s := range quoted {
		e.line(indent+2, "- "+s)
	}
}

func (e *encoder) stringMap(indent int, name string, v reflect.Value) {
	if v.Len() == 0 {
		return
	}
	e.line(indent, name+":")
	items := map[string]string{}
	for key, val := range v.Seq2() {
		items[key.String()] = val.String()
	}
	for _, key := range slices.Sorted(maps.Keys(items)) {
		e.line(indent+2, scalar(key)+": "+scalar(items[key]))
	}
}

func (e *encoder) entries(indent int, name string, v reflect.Value) {
	if v.Len() == 0 {
		return
	}
	e.line(indent, name+":")
	for i := range v.Len() {
		begin := e.Len()
		e.fields(indent+4, v.Index(i))
		if e.Len() == begin {
			e.line(indent+2, "- {}") // an entry that says nothing
			continue
		}
		e.Bytes()[begin+indent+2] = '-' // in the indentation of the first field
	}
}

// text writes armored keys and other simple texts of several lines as a block,
// anything else on one line.
func (e *encoder) text(indent int, name, s string) {
	if !isBlock(s) {
		e.line(indent, name+": "+scalar(s))
		return
	}
	e.line(indent, name+": |")
	for l := range strings.Lines(s) {
		if l == "\n" {
			e.WriteByte('\n')
		} else {
			e.line(indent+2, strings.TrimSuffix(l, "\n"))
		}
	}
}

// isBlock reports whether s can be written as a literal block in which nothing
// is invisible or special: printable ASCII, no spaces at the ends of lines,
// text in the first and last line, one line break at the end.
func isBlock(s string) bool {
	body, ok := strings.CutSuffix(s, "\n")
	if !ok || !strings.Contains(body, "\n") || body[0] == '\n' || strings.HasSuffix(body, "\n") {
		return false
	}
	for l := range strings.SplitSeq(body, "\n") {
		if strings.TrimSpace(l) != l || strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r > '~' }) {
			return false
		}
	}
	return true
}

var (
	// plain text needs no quotes, in lists neither, unless it looks like
	// something else to a YAML reader.
	plain = regexp.MustCompile(`^[A-Za-z0-9/][A-Za-z0-9/._:@+~^=%&()$#-]*( [A-Za-z0-9/._:@+~^=%&()$#-]+)*$`)
	// special is what YAML 1.1 or 1.2 readers may take for a comment, a field, a
	// truth value, a null, a number, base 60 included, or a date.
	special = regexp.MustCompile(`: | #|:$` +
		`|^(?i:y|n|yes|no|on|off|true|false|null)$` +
		`|^[0-9][0-9_]*(\.[0-9_]*)?([eE][-+]?[0-9_]*)?$|^0[xXoObB]` +
		`|^[0-9][0-9_]*:[0-9]|^[0-9]{4}-[0-9]{1,2}-[0-9]`)
)

func scalar(s string) string {
	if plain.MatchString(s) && !special.MatchString(s) {
		return s
	}
	return quote(s)
}

// quote gives s as a YAML double-quoted scalar. What is escaped is fixed here
// and not taken from Unicode tables, which change.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x100 && !manifest.Shown(r), r == 0xa0:
			fmt.Fprintf(&b, `\x%02X`, r)
		case !manifest.Shown(r):
			fmt.Fprintf(&b, `\u%04X`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
