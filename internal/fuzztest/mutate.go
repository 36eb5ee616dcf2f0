package fuzztest

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
)

// A mutator makes mutants of arguments.
type mutator struct {
	rand   *rand.Rand
	others [][]byte
}

// maxMutant bounds a mutant, whatever its seed repeats. A larger seed keeps its size.
const maxMutant = 64 << 10

// value is a mutant of one argument: text, a bool or an integer, which are all that our
// targets take. A bool or a number often stays.
func (m *mutator) value(v reflect.Value) reflect.Value {
	if b, ok := bytesOf(v); ok {
		return reflect.ValueOf(m.bytes(b)).Convert(v.Type())
	}
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	if m.rand.IntN(2) == 0 {
		return out
	}
	switch {
	case v.Kind() == reflect.Bool:
		out.SetBool(m.rand.IntN(2) == 0)
	case v.CanInt():
		out.SetInt(m.number(v.Int()))
	case v.CanUint():
		out.SetUint(uint64(m.number(int64(v.Uint()))))
	}
	return out
}

func (m *mutator) number(n int64) int64 {
	switch m.rand.IntN(4) {
	case 0:
		return n + int64(m.rand.IntN(7)) - 3
	case 1:
		return -n
	case 2:
		return int64(m.rand.IntN(256))
	}
	return int64(m.rand.Uint64() >> m.rand.IntN(64))
}

// bytes makes one to four changes to a copy.
func (m *mutator) bytes(in []byte) []byte {
	out := bytes.Clone(in)
	for range 1 + m.rand.IntN(4) {
		out = m.change(out)
	}
	if limit := max(len(in), maxMutant); len(out) > limit {
		out = out[:limit]
	}
	if out == nil {
		out = []byte{}
	}
	return out
}

// texts is what parsers of ours trip over, or what they must refuse: numbers at the edges
// of their types, ends and beginnings of nesting, names that lead out, encodings.
var texts = [...]string{
	"0", "-1", "1e9", "2147483648", "4294967296", "9223372036854775807", "9223372036854775808", "18446744073709551616", "0x10", "NaN", "null", "true", "\"\"", "{}", "[]",
	"{", "}", "[", "]", "\"", "'", ":", ",", "&", "*a", "<", ">", "</", "/>", "<![CDATA[", "]]>", "&#0;", "&#x110000;", "<!--", "<?", "- ", "\t", "\n", "\r\n", "\x00", "\x7f", "\xff", "\xfe\xff",
	"\u2028", "\u202e", "\ufeff", "\ufffd", "../", "/", "//", "..", ".", "%2e%2e", "%", "\\", "\\u0000", "\\ud800", "a:b@", "@sha256:", "sha256:", "sha512:", "?x=1", "#", " ", "=", ";", "(", ")", "~", "^",
	"\x1f\x8b", "\x28\xb5\x2f\xfd", "\xfd7zXZ\x00", "\x8e\xad\xe8\x01", "ustar\x00", "!!binary ", "<<: ",
}

func (m *mutator) change(b []byte) []byte {
	from, to := m.span(b)
	switch m.rand.IntN(13) {
	case 0: // a bit
		if len(b) > 0 {
			b[m.rand.IntN(len(b))] ^= 1 << m.rand.IntN(8)
		}
	case 1: // a byte
		if len(b) > 0 {
			b[m.rand.IntN(len(b))] = byte(m.rand.Uint32())
		}
	case 2: // an end
		return b[:to]
	case 3: // a beginning
		return b[from:]
	case 4: // a hole
		return splice(b, from, to, nil)
	case 5: // twice
		return splice(b, to, to, bytes.Clone(b[from:to]))
	case 6: // many times
		return splice(b, to, to, bytes.Repeat(b[from:to], 1+m.rand.IntN(16)))
	case 7: // elsewhere
		at, _ := m.span(b)
		return splice(b, at, at, bytes.Clone(b[from:to]))
	case 8: // something of another seed, or of this
		o := b
		if len(m.others) > 0 {
			o = m.others[m.rand.IntN(len(m.others))]
		}
		f, t := m.span(o)
		return splice(b, from, to, bytes.Clone(o[f:t]))
	case 9: // a text for a text
		return splice(b, from, to, []byte(texts[m.rand.IntN(len(texts))]))
	case 10: // a text between
		return splice(b, from, from, []byte(texts[m.rand.IntN(len(texts))]))
	case 11: // a field: a line, a word, a number, what stands in quotes
		f, t := m.token(b)
		return m.field(b, f, t)
	case 12: // a big-endian number
		m.word(b)
	}
	return b
}

// word puts another number in the place of one of 32 bits.
func (m *mutator) word(b []byte) {
	if len(b) >= 8 {
		at := m.rand.IntN(len(b)-7) &^ 3
		binary.BigEndian.PutUint32(b[at:], uint32(m.number(int64(b[at+3]))))
	}
}

// field leaves a token out, doubles it, empties it or puts another in its place.
func (m *mutator) field(b []byte, from, to int) []byte {
	switch m.rand.IntN(4) {
	case 0:
		return splice(b, from, to, nil)
	case 1:
		return splice(b, to, to, bytes.Clone(b[from:to]))
	case 2:
		f, t := m.token(b)
		return splice(b, from, to, bytes.Clone(b[f:t]))
	}
	return splice(b, from, to, []byte(texts[m.rand.IntN(len(texts))]))
}

// span is a part of b, often short.
func (m *mutator) span(b []byte) (from, to int) {
	if len(b) == 0 {
		return 0, 0
	}
	from = m.rand.IntN(len(b))
	n := 1 + m.rand.IntN(len(b)-from)
	if m.rand.IntN(3) > 0 {
		n = min(n, 1+m.rand.IntN(8))
	}
	return from, from + n
}

// token is what stands between two separators of a kind.
func (m *mutator) token(b []byte) (from, to int) {
	at, _ := m.span(b)
	sep := [...]string{"\n", " \n\t", "\",:{}[]\n", "<>", "\"", "/", ", \n"}[m.rand.IntN(7)]
	from = bytes.LastIndexAny(b[:at], sep) + 1
	to = len(b)
	if i := bytes.IndexAny(b[at:], sep); i >= 0 {
		to = at + i
	}
	if sep == "\n" && to < len(b) {
		to++
	}
	return from, max(from, to)
}

func splice(b []byte, from, to int, part []byte) []byte {
	out := make([]byte, 0, len(b)-(to-from)+len(part))
	return append(append(append(out, b[:from]...), part...), b[to:]...)
}
