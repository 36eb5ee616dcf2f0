package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"math"
	"strconv"
)

// The strings and numbers of a jsonScanner; strictjson.go has objects and lists.

// quoted reads a string and returns what it says.
func (c *jsonScanner) quoted() ([]byte, error) {
	start := c.p + 1
	escaped := false
	for c.p = start; c.p < len(c.raw); c.p++ {
		switch b := c.raw[c.p]; {
		case b == '"':
			s := c.raw[start:c.p]
			c.p++
			if !escaped {
				return s, nil
			}
			var out string
			if err := json.Unmarshal(c.raw[start-1:c.p], &out); err != nil {
				return nil, c.syntax("a malformed string")
			}
			return []byte(out), nil
		case b < ' ':
			return nil, c.syntax("a control character in a string")
		case b == '\\':
			escaped = true
			if err := c.escape(); err != nil {
				return nil, err
			}
		}
	}
	return nil, c.syntax("it ends in a string")
}

// escape moves to the last byte of an escape. Halves of surrogate pairs say no
// character, and decoders make different ones of them.
func (c *jsonScanner) escape() error {
	c.p++
	switch c.peek() {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return nil
	case 'u':
	default:
		return c.syntax("an unknown escape in a string")
	}
	r, err := c.unit()
	switch {
	case err != nil:
		return err
	case r >= 0xdc00 && r <= 0xdfff:
		return c.syntax("half of a surrogate pair in a string")
	case r < 0xd800 || r > 0xdbff:
		return nil
	}
	if !bytes.HasPrefix(c.raw[c.p+1:], []byte(`\u`)) {
		return c.syntax("half of a surrogate pair in a string")
	}
	c.p += 2
	if r, err = c.unit(); err == nil && (r < 0xdc00 || r > 0xdfff) {
		err = c.syntax("half of a surrogate pair in a string")
	}
	return err
}

// unit reads the four digits behind \u, and stays on the last of them.
func (c *jsonScanner) unit() (uint64, error) {
	digits := c.raw[min(c.p+1, len(c.raw)):min(c.p+5, len(c.raw))]
	r, err := strconv.ParseUint(string(digits), 16, 16)
	if err != nil || len(digits) != 4 || bytes.ContainsAny(digits, "+-_") {
		return 0, c.syntax("a malformed \\u escape in a string")
	}
	c.p += 4
	return r, nil
}

// isNoncharacter knows the code points that I-JSON forbids beside surrogates (RFC 7493,
// section 2.1): readers drop, replace or keep them.
func isNoncharacter(r rune) bool {
	return r&0xfffe == 0xfffe || r >= 0xfdd0 && r <= 0xfdef
}

func (c *jsonScanner) text(s *shape) error {
	v, err := c.quoted()
	if err == nil && bytes.ContainsFunc(v, isNoncharacter) {
		c.problem("holds a code point that is no character")
	}
	if err != nil || s == nil || !s.base64 {
		return err
	}
	if _, err := base64.StdEncoding.Strict().DecodeString(string(v)); err != nil || bytes.ContainsAny(v, "\r\n") {
		c.problem("is not base64 in canonical form")
	}
	return nil
}

// number reads a number. Where an integer belongs, it has no fraction, no exponent and
// no more digits than every decoder keeps; elsewhere it must not leave a double's range.
func (c *jsonScanner) number(s *shape) error {
	start := c.p
	if c.peek() == '-' {
		c.p++
	}
	whole := c.digits()
	if whole == 0 || whole > 1 && c.raw[c.p-whole] == '0' {
		return c.syntax("a malformed number")
	}
	integer := true
	if c.peek() == '.' {
		integer = false
		if c.p++; c.digits() == 0 {
			return c.syntax("a malformed number")
		}
	}
	if b := c.peek(); b == 'e' || b == 'E' {
		integer = false
		if c.p++; c.peek() == '+' || c.peek() == '-' {
			c.p++
		}
		if c.digits() == 0 {
			return c.syntax("a malformed number")
		}
	}
	v := string(c.raw[start:min(c.p, start+40)])
	switch {
	case s != nil && s.integer:
		n, err := strconv.ParseInt(v, 10, 64)
		if !integer || err != nil || v == "-0" || n > maxJSONInteger || n < -maxJSONInteger {
			c.problem("the number %s is not an integer that every reader takes for the same", v)
		}
	case c.p-start > len(v):
		c.problem("a number of %d characters", c.p-start)
	default:
		if f, err := strconv.ParseFloat(v, 64); err != nil || math.IsInf(f, 0) {
			c.problem("the number %s is out of range", v)
		}
	}
	return nil
}

func (c *jsonScanner) digits() (n int) {
	for b := c.peek(); b >= '0' && b <= '9'; b = c.peek() {
		c.p++
		n++
	}
	return n
}
