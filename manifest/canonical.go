package manifest

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A canonical reads a JSON document in the form that encode gives its value, and no other:
// what is read is compared with what would be written, so that nothing is written for it.
// The strings of the value are parts of the document, which stays in memory with them; that
// is what lets a table of many megabytes be read in little more memory than it takes itself.
type canonical struct {
	s    string
	at   int
	plan map[reflect.Type][]member
}

// A member is one field of a struct, as encoding/json writes it.
type member struct {
	first, later string // its name, with what stands around it
	omitEmpty    bool
}

// decodeCanonical reads s into v, a pointer to a struct of strings, int64s, structs and slices
// of them. An error tells the first byte that is not in canonical form.
func decodeCanonical(s string, v any) error {
	c := &canonical{s: s, plan: map[reflect.Type][]member{}}
	if !c.value(reflect.ValueOf(v).Elem()) || c.at != len(s) {
		return fmt.Errorf("not in canonical form, first difference at byte %d", c.at)
	}
	return nil
}

func (c *canonical) value(v reflect.Value) (ok bool) {
	switch v.Kind() {
	case reflect.Struct:
		return c.object(v)
	case reflect.Slice:
		return c.list(v)
	case reflect.String:
		s, ok := c.text()
		v.SetString(s)
		return ok
	case reflect.Int64:
		n, ok := c.integer()
		v.SetInt(n)
		return ok
	}
	panic("no canonical form of " + v.Type().String())
}

// literal passes over one text, if it is what follows.
func (c *canonical) literal(s string) bool {
	if !strings.HasPrefix(c.s[c.at:], s) {
		return false
	}
	c.at += len(s)
	return true
}

func (c *canonical) object(v reflect.Value) bool {
	if !c.literal("{") {
		return false
	}
	empty := true
	for i, m := range c.members(v.Type()) {
		name := m.later
		if empty {
			name = m.first
		}
		if !c.literal(name) {
			if m.omitEmpty {
				continue
			}
			return false
		}
		empty = false
		start, field := c.at, v.Field(i)
		if !c.value(field) {
			return false
		}
		if m.omitEmpty && (field.Kind() == reflect.Slice && field.Len() == 0 || field.IsZero()) {
			c.at = start
			return false
		}
	}
	return c.literal("}")
}

func (c *canonical) members(t reflect.Type) []member {
	all, ok := c.plan[t]
	if !ok {
		for f := range t.Fields() {
			name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
			key := strconv.Quote(name) + ":"
			all = append(all, member{key, "," + key, option == "omitempty"})
		}
		c.plan[t] = all
	}
	return all
}

func (c *canonical) list(v reflect.Value) bool {
	if !c.literal("[") {
		return false
	}
	if v.Type().Elem().Kind() == reflect.String {
		v.Grow(c.texts()) // of short strings the list takes more than the document
	}
	v.SetLen(0)
	if c.literal("]") {
		v.Set(reflect.MakeSlice(v.Type(), 0, 0)) // not nil, which is null
		return true
	}
	for {
		n := v.Len()
		v.Grow(1)
		v.SetLen(n + 1)
		switch {
		case !c.value(v.Index(n)):
			return false
		case c.literal("]"):
			return true
		case !c.literal(","):
			return false
		}
	}
}

// texts counts the strings of a list and passes over none.
func (c *canonical) texts() int {
	ahead := canonical{s: c.s, at: c.at}
	for n := 0; ; n++ {
		if _, ok := ahead.text(); !ok {
			return n
		}
		if !ahead.literal(",") {
			return n + 1
		}
	}
}

// integer reads a number without sign or zeros that it does not need.
func (c *canonical) integer() (int64, bool) {
	end := c.at
	for end < len(c.s) && end-c.at < 20 && (c.s[end] == '-' || c.s[end] >= '0' && c.s[end] <= '9') {
		end++
	}
	n, err := strconv.ParseInt(c.s[c.at:end], 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != c.s[c.at:end] {
		return 0, false
	}
	c.at = end
	return n, true
}

// text reads a string. One without escapes is a part of the document.
func (c *canonical) text() (string, bool) {
	if !strings.HasPrefix(c.s[c.at:], `"`) {
		return "", false
	}
	start, escapes, ascii := c.at+1, false, true
	for i := start; i < len(c.s); i++ {
		switch b := c.s[i]; {
		case b == '"':
			return c.string(start, i, escapes, ascii)
		case b == '\\':
			escapes = true
			i++
		case b < ' ':
			c.at = i
			return "", false
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", false
}

// string returns the text between two quotes.
func (c *canonical) string(start, end int, escapes, ascii bool) (string, bool) {
	s := c.s[start:end]
	if !ascii && (!utf8.ValidString(s) || strings.ContainsAny(s, "\u2028\u2029")) {
		return "", false
	}
	if escapes {
		var ok bool
		if s, ok = unescape(s); !ok {
			return "", false
		}
	}
	c.at = end + 1
	return s, true
}

// shortEscapes are those of two characters, each with what it stands for.
const shortEscapes = "\"\"\\\\n\nr\rt\tb\bf\f"

// unescape resolves escapes, each of which must be the one that encode writes.
func unescape(s string) (string, bool) {
	var b strings.Builder
	b.Grow(len(s))
	for {
		plain, rest, more := strings.Cut(s, `\`)
		b.WriteString(plain)
		if !more {
			return b.String(), true
		}
		if rest == "" {
			return "", false
		}
		if i := strings.IndexByte(shortEscapes, rest[0]); i >= 0 && i%2 == 0 {
			b.WriteByte(shortEscapes[i+1])
			s = rest[1:]
			continue
		}
		if len(rest) < 5 || rest[0] != 'u' {
			return "", false
		}
		n, err := strconv.ParseUint(rest[1:5], 16, 16)
		short := n < 0x80 && strings.IndexByte(shortEscapes, byte(n))%2 == 1
		if err != nil || fmt.Sprintf("%04x", n) != rest[1:5] || n >= ' ' && n != 0x2028 && n != 0x2029 || short {
			return "", false
		}
		b.WriteRune(rune(n))
		s = rest[5:]
	}
}
