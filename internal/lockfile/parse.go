package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"airbundle/manifest"
)

// parse gives the root node of the only document in data, or nil after
// reporting why there is none.
func (d *decoder) parse(data []byte) *yaml.Node {
	if len(data) > MaxSize {
		d.add(0, "the file has more than the %d bytes that are read", MaxSize)
		return nil
	}
	data = bytes.TrimPrefix(data, []byte("\uFEFF")) // what editors of Windows put in front
	if !d.cleanText(data) {
		return nil
	}
	src := &lineReader{rest: data}
	dec := yaml.NewDecoder(src)
	var doc, second yaml.Node
	if err := decodeNode(dec, &doc); err != nil {
		d.syntax(err, src.lines)
		return nil
	}
	switch err := decodeNode(dec, &second); {
	case err == nil:
		d.add(second.Line, "a second document begins: a file holds one")
		return nil
	case !errors.Is(err, io.EOF):
		d.syntax(err, src.lines)
		return nil
	}
	return doc.Content[0]
}

// decodeNode is Decode, with a panic of the YAML library as an error: it has
// some for input that it did not expect.
func decodeNode(dec *yaml.Decoder, n *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return dec.Decode(n)
}

// cleanText reports each line with bytes that are not UTF-8 and characters that
// YAML forbids or that nobody can see. The YAML library stops at the first of
// them, does not say where, and counts some of them as line breaks.
func (d *decoder) cleanText(data []byte) bool {
	clean, number := true, 0
	for line := range bytes.Lines(data) {
		number++
		for len(line) > 0 {
			r, n := utf8.DecodeRune(line)
			if r == utf8.RuneError && n == 1 {
				d.add(number, "byte 0x%02x: not UTF-8", line[0])
				clean = false
				break
			}
			if r != '\t' && r != '\n' && r != '\r' && !manifest.Shown(r) {
				d.add(number, "control or invisible character %U", r)
				clean = false
				break
			}
			line = line[n:]
		}
	}
	return clean
}

// A lineReader hands out one line a Read. The YAML scanner reads only when it
// needs more, so lines tells how far it got when it stopped.
type lineReader struct {
	rest  []byte
	lines int
	mid   bool // in the middle of a line
}

// Read implements io.Reader.
func (r *lineReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		return 0, io.EOF
	}
	if !r.mid {
		r.lines++
	}
	line := r.rest
	if i := bytes.IndexByte(line, '\n'); i >= 0 {
		line = line[:i+1]
	}
	n := copy(p, line)
	r.mid = n < len(line)
	r.rest = r.rest[n:]
	return n, nil
}

var yamlError = regexp.MustCompile(`^yaml: (?:line ([0-9]+): )?`)

// syntax reports an error of the YAML library. Its scanner names the line of
// the problem; its parser names, counted from 0, the line where the enclosing
// structure begins, which may be hundreds of lines above. Then the last line
// read is nearer: the problem is there or shortly before.
func (d *decoder) syntax(err error, read int) {
	if errors.Is(err, io.EOF) {
		d.add(1, "the file is empty")
		return
	}
	m := yamlError.FindStringSubmatch(err.Error())
	msg, line, inside := err.Error(), read, ""
	if m != nil {
		msg = strings.TrimPrefix(msg, m[0])
		begin, numErr := strconv.Atoi(m[1])
		switch {
		case numErr != nil:
		case strings.HasPrefix(msg, "did not find expected"):
			inside = fmt.Sprintf(" (here or shortly above, in what begins at line %d)", begin+1)
		default:
			line = begin
		}
	}
	d.add(line, "not valid YAML: %s%s", msg, inside)
}
