package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// Decode reads a catalog that Encode wrote. It takes nothing on trust: another version, a
// damaged file, and one whose numbers point outside of it are errors, after which the metadata
// has to be read again. Memory is in proportion to what r has, and r is read to its end.
func Decode(r io.Reader) (*Catalog, error) {
	var in bytes.Buffer // grows twofold, which io.ReadAll does not
	if _, err := in.ReadFrom(io.LimitReader(r, maxEncoded+1)); err != nil {
		return nil, fmt.Errorf("read the encoded catalog: %w", err)
	}
	data := in.Bytes()
	if len(data) > maxEncoded {
		return nil, fmt.Errorf("encoded catalog: more than the %d bytes allowed", maxEncoded)
	}
	c, err := decode(data)
	if err != nil {
		return nil, fmt.Errorf("encoded catalog: %w", err)
	}
	return c, nil
}

func decode(data []byte) (*Catalog, error) {
	body, isCatalog := bytes.CutPrefix(data, []byte(magic))
	if !isCatalog {
		return nil, errors.New("not one of this version")
	}
	if len(body) < 4 {
		return nil, errors.New("it ends too early")
	}
	end := len(data) - 4
	if got, want := crc32.Checksum(data[:end], castagnoli), binary.LittleEndian.Uint32(data[end:]); got != want {
		return nil, fmt.Errorf("its CRC-32C is %08x, want %08x", got, want)
	}
	d := &decoder{rest: body[:len(body)-4]}
	c := d.catalog()
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes behind its end", len(d.rest))
	}
	if d.err != nil {
		return nil, d.err
	}
	return c, nil
}

// A decoder takes numbers from the front of rest.
type decoder struct {
	rest  []byte
	err   error
	spans [2]uint32
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
		d.rest = nil
	}
}

// number takes a number that is below limit.
func (d *decoder) number(limit uint64) uint64 {
	n, size := uint64(0), 1
	if len(d.rest) > 0 && d.rest[0] < 0x80 {
		n = uint64(d.rest[0])
	} else {
		n, size = binary.Uvarint(d.rest)
	}
	if size <= 0 {
		d.fail("it ends in a number")
		return 0
	}
	if d.rest = d.rest[size:]; n >= limit {
		d.fail("number %d, want one below %d", n, limit)
		return 0
	}
	return n
}

// count takes how many things of at least that many bytes follow.
func (d *decoder) count(size int) int {
	n := d.number(math.MaxUint32)
	if n > uint64(len(d.rest)/size) {
		d.fail("%d things do not fit into the rest of %d bytes", n, len(d.rest))
		return 0
	}
	return int(n)
}

// span takes a part of a list of that length.
func (d *decoder) span(length, kind int) Span {
	off, size := binary.Varint(d.rest)
	if size <= 0 {
		d.fail("it ends in a span")
		return Span{}
	}
	d.rest = d.rest[size:]
	start := int64(d.spans[kind]) + off
	if off > math.MaxUint32 || off < -math.MaxUint32 || start < 0 || start > int64(length) {
		d.fail("a span from %d of a list of %d", start, length)
		return Span{}
	}
	n := d.number(uint64(int64(length)-start) + 1)
	d.spans[kind] = uint32(start) + uint32(n)
	return Span{uint32(start), d.spans[kind]}
}

// Bytes that things take at least.
const (
	leastText    = 1
	leastDep     = 3
	leastFile    = 2
	leastPackage = 2 + 5 + 3 + 9*2
)

func (d *decoder) catalog() *Catalog {
	texts, deps, lists := d.count(leastText), d.count(leastDep), d.count(1)
	files, packages := d.count(leastFile), d.count(leastPackage)
	if d.err != nil {
		return nil
	}
	c := &Catalog{texts: make([]string, texts), Packages: make([]Package, packages)}
	d.texts(c)
	c.Deps = make([]Dependency, deps)
	for i := range c.Deps {
		c.Deps[i] = Dependency{d.id(texts), d.id(texts), Flags(d.number(uint64(Less|Greater|Equal) + 1))}
	}
	c.Lists = make([]DepID, lists)
	for i := range c.Lists {
		c.Lists[i] = DepID(d.number(uint64(deps)))
	}
	c.Files = make([]File, files)
	for i := range c.Files {
		c.Files[i] = File{d.id(texts), d.id(texts)}
	}
	for i := range c.Packages {
		if d.pkg(&c.Packages[i], c); d.err != nil {
			return nil
		}
	}
	return c
}

func (d *decoder) id(texts int) ID { return ID(d.number(uint64(texts))) }

// texts takes all strings. They are cut from one that holds them all, so that what else is in
// the encoded form need not be kept.
func (d *decoder) texts(c *Catalog) {
	sizes := make([]uint32, 0, len(c.texts)+2*len(c.Packages))
	total := uint64(0)
	for range c.strings {
		n := d.number(uint64(len(d.rest)) + 1)
		sizes = append(sizes, uint32(n))
		total += n
	}
	if total > uint64(len(d.rest)) {
		d.fail("%d bytes of text do not fit into the rest of %d", total, len(d.rest))
		return
	}
	all := string(d.rest[:total])
	d.rest = d.rest[total:]
	next := 0
	for s := range c.strings {
		*s, all = all[:sizes[next]], all[sizes[next]:]
		next++
	}
	if len(c.texts) == 0 || c.texts[0] != "" {
		d.fail("text 0 is not the empty one")
	}
}

func (d *decoder) pkg(p *Package, c *Catalog) {
	for _, id := range p.ids() {
		*id = d.id(len(c.texts))
	}
	for _, n := range p.numbers() {
		*n = int64(d.number(math.MaxInt64))
	}
	for _, s := range p.lists() {
		*s = d.span(len(c.Lists), 0)
	}
	p.Files = d.span(len(c.Files), 1)
}
