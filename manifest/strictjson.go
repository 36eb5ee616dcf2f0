package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of one JSON document, beside its length.
const (
	maxJSONDepth    = 64      // objects and lists in each other
	maxJSONMembers  = 1 << 16 // of one object
	maxJSONProblems = 100     // that are told of one document
	maxJSONInteger  = 1<<53 - 1
)

// Unambiguous refuses JSON that two decoders could read differently: what is not RFC
// 8259 or not I-JSON (RFC 7493) to the letter, a member twice at any level, a member of a
// manifest or index that differs from a known one by case alone or is of another type
// than the known one has, text behind the object. It takes linear time and little memory.
// All problems are joined.
func Unambiguous(raw []byte) error { return checkJSON(raw, &imageShape) }

// checkJSON checks that raw is one JSON object of the shape.
func checkJSON(raw []byte, s *shape) error {
	switch {
	case bytes.HasPrefix(raw, []byte("\xef\xbb\xbf")):
		return errors.New("not JSON: it begins with a byte order mark")
	case bytes.HasPrefix(raw, []byte("\xfe\xff")), bytes.HasPrefix(raw, []byte("\xff\xfe")), bytes.HasPrefix(raw, []byte("{\x00")), bytes.HasPrefix(raw, []byte("\x00{")):
		return errors.New("not JSON: it is in UTF-16, not UTF-8")
	case !utf8.Valid(raw):
		return errors.New("not JSON: it is not UTF-8")
	}
	c := &jsonScanner{raw: raw}
	if c.space(); c.p < len(raw) && strings.IndexByte("[\"-0123456789ntf", raw[c.p]) >= 0 {
		return errors.New("not a JSON object")
	}
	if err := c.value(s); err != nil {
		return err
	}
	if c.space(); c.p < len(raw) {
		return fmt.Errorf("text follows the JSON object, at byte %d", c.p)
	}
	return errors.Join(c.problems...)
}

// A jsonScanner walks a document once. Syntax ends the walk; what is well-formed and
// yet wrong is noted, and the walk goes on.
type jsonScanner struct {
	raw      []byte
	p        int
	path     []jsonStep // of the value at p
	problems []error
}

// A jsonStep leads from an object or list to a value in it.
type jsonStep struct {
	key   []byte // as it stands, without quotes; nil in a list
	index int
}

func (c *jsonScanner) syntax(format string, args ...any) error {
	return fmt.Errorf("not JSON: %s, at byte %d%s", fmt.Sprintf(format, args...), c.p, c.place(" in "))
}

func (c *jsonScanner) problem(format string, args ...any) {
	switch n := len(c.problems); {
	case n < maxJSONProblems:
		c.problems = append(c.problems, fmt.Errorf("%s%s", c.place(""), fmt.Sprintf(format, args...)))
	case n == maxJSONProblems:
		c.problems = append(c.problems, errors.New("more is wrong with the document; no more is listed"))
	}
}

// place says where the value is: manifests[3].size, with a separator.
func (c *jsonScanner) place(before string) string {
	if len(c.path) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(before)
	for i, s := range c.path {
		switch {
		case s.key == nil:
			fmt.Fprintf(&b, "[%d]", s.index)
		case i > 0:
			b.WriteByte('.')
			fallthrough
		default:
			b.WriteString(shortKey(s.key))
		}
	}
	if before == "" {
		b.WriteString(": ")
	}
	return b.String()
}

// shortKey is a key for an error: it may be long, or hold what a terminal obeys.
func shortKey(key []byte) string {
	const most = 60
	s := string(key[:min(len(key), most)])
	if len(key) > most {
		return strconv.Quote(s + "...")
	}
	if s == "" || CheckText(s) != nil || strings.ContainsAny(s, " .[]") {
		return strconv.Quote(s)
	}
	return s
}

func (c *jsonScanner) space() {
	for c.p < len(c.raw) {
		switch c.raw[c.p] {
		case ' ', '\t', '\n', '\r':
			c.p++
		default:
			return
		}
	}
}

// peek returns the next byte; 0 at the end, which is no byte of JSON.
func (c *jsonScanner) peek() byte {
	if c.p >= len(c.raw) {
		return 0
	}
	return c.raw[c.p]
}

// value reads one value and holds it against the shape; nil takes any.
func (c *jsonScanner) value(s *shape) error {
	if c.p >= len(c.raw) {
		return c.syntax("it ends too early")
	}
	switch b := c.raw[c.p]; {
	case b == '{':
		return c.object(c.fits(s, isObject))
	case b == '[':
		return c.list(c.fits(s, isList))
	case b == '"':
		return c.text(c.fits(s, isText))
	case b == '-' || b >= '0' && b <= '9':
		return c.number(c.fits(s, isNumber))
	}
	for _, l := range []struct {
		word string
		kind jsonKind
	}{{"null", isNull}, {"true", isBoolean}, {"false", isBoolean}} {
		if bytes.HasPrefix(c.raw[c.p:], []byte(l.word)) {
			c.fits(s, l.kind)
			c.p += len(l.word)
			return nil
		}
	}
	return c.syntax("%q begins no value", c.raw[c.p:c.p+1])
}

// fits notes a value of the wrong kind, whose inside is then of no known shape.
func (c *jsonScanner) fits(s *shape, got jsonKind) *shape {
	if s == nil || s.kinds == 0 || s.kinds&got != 0 {
		return s
	}
	c.problem("is %s, not %s", got, s.kinds)
	return nil
}

func (c *jsonScanner) open() error {
	if len(c.path) >= maxJSONDepth {
		return c.syntax("nested deeper than %d", maxJSONDepth)
	}
	c.p++
	c.space()
	return nil
}

// next moves over the comma behind a value; done says that the closing byte came.
func (c *jsonScanner) next(closing byte) (done bool, err error) {
	c.space()
	switch c.peek() {
	case closing:
		c.p++
		return true, nil
	case ',':
		c.p++
		c.space()
		return false, nil
	}
	if c.p >= len(c.raw) {
		return false, c.syntax("it ends too early")
	}
	return false, c.syntax("%q where a comma or %q should stand", c.raw[c.p:c.p+1], closing)
}

func (c *jsonScanner) list(s *shape) error {
	if err := c.open(); err != nil {
		return err
	}
	if c.peek() == ']' {
		c.p++
		return nil
	}
	c.path = append(c.path, jsonStep{})
	at := len(c.path) - 1
	for done := false; !done; c.path[at].index++ {
		if err := c.value(s.itemShape()); err != nil {
			return err
		}
		var err error
		if done, err = c.next(']'); err != nil {
			return err
		}
	}
	c.path = c.path[:at]
	return nil
}

func (c *jsonScanner) object(s *shape) error {
	if err := c.open(); err != nil {
		return err
	}
	var seen keys
	done := c.peek() == '}'
	if done {
		c.p++
	}
	at := len(c.path)
	for !done {
		if c.peek() != '"' {
			return c.syntax("no member name")
		}
		key, err := c.quoted()
		if err != nil {
			return err
		}
		c.path = append(c.path[:at], jsonStep{key: key})
		inner := c.member(s, key, &seen)
		if c.space(); c.peek() != ':' {
			return c.syntax("no colon behind a member name")
		}
		c.p++
		c.space()
		if err := c.value(inner); err != nil {
			return err
		}
		if seen.n > maxJSONMembers {
			return c.syntax("an object of more than %d members", maxJSONMembers)
		}
		if done, err = c.next('}'); err != nil {
			return err
		}
	}
	c.path = c.path[:at]
	c.missing(s, &seen)
	return nil
}

// missing tells of members that the shape requires and the object has not.
func (c *jsonScanner) missing(s *shape, seen *keys) {
	if s == nil {
		return
	}
	for _, name := range s.required {
		if !seen.has([]byte(name)) {
			c.problem("the member %q is missing", name)
		}
	}
}

// member checks the name of a member and returns the shape of its value.
func (c *jsonScanner) member(s *shape, key []byte, seen *keys) *shape {
	if !seen.add(key) {
		c.problem("is there twice")
	}
	if bytes.ContainsFunc(key, isNoncharacter) {
		c.problem("the name holds a code point that is no character")
	}
	if s == nil {
		return nil
	}
	if inner, ok := s.members[string(key)]; ok {
		return inner
	}
	for name := range s.members {
		if len(key) < 3*len(name)+1 && strings.EqualFold(name, string(key)) {
			c.problem("differs from %q only by case", name)
			return nil
		}
	}
	return s.values
}

// keys are the names of the members of one object. Most have few.
type keys struct {
	n     int
	few   [12][]byte
	large map[string]struct{}
}

func (k *keys) has(key []byte) bool {
	for _, other := range k.few[:min(k.n, len(k.few))] {
		if bytes.Equal(key, other) {
			return true
		}
	}
	_, ok := k.large[string(key)]
	return ok
}

// add notes a name, unless it is there already.
func (k *keys) add(key []byte) bool {
	if k.has(key) {
		return false
	}
	if k.n < len(k.few) {
		k.few[k.n] = key
	} else {
		if k.large == nil {
			k.large = map[string]struct{}{}
		}
		k.large[string(key)] = struct{}{}
	}
	k.n++
	return true
}
