package catalog

import (
	"bufio"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
)

// The encoded form of a catalog is for caches of the same program, and changes with it:
//
//	magic   "airbundle catalog", 0, version
//	counts  of texts, dependencies, list items, files, packages
//	texts   lengths, of them all and then of locations and checksums; then all their bytes
//	…       dependencies, list items, files, packages: their fields in order
//	crc     CRC-32C of all before, 4 bytes, little-endian
//
// Numbers are unsigned varints. A span is how far it starts behind the end of the one before
// (zigzag) and its length, so that most are two bytes.
const (
	magic = "airbundle catalog\x00\x01"
	// maxEncoded bounds what Decode reads; 74,000 packages take 30 MB.
	maxEncoded = 1 << 30
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode writes the catalog in the form that Decode reads. The same catalog gives the same
// bytes. The error is that of w.
func (c *Catalog) Encode(w io.Writer) error {
	e := &encoder{sum: crc32.New(castagnoli)}
	e.out = bufio.NewWriterSize(io.MultiWriter(w, e.sum), 64<<10)
	e.text(magic)
	for _, n := range []int{len(c.texts), len(c.Deps), len(c.Lists), len(c.Files), len(c.Packages)} {
		e.number(uint64(n))
	}
	c.encodeTexts(e)
	for _, d := range c.Deps {
		e.number(uint64(d.Name))
		e.number(uint64(d.EVR))
		e.number(uint64(d.Flags))
	}
	for _, d := range c.Lists {
		e.number(uint64(d))
	}
	for _, f := range c.Files {
		e.number(uint64(f.Dir))
		e.number(uint64(f.Base))
	}
	for i := range c.Packages {
		e.pkg(&c.Packages[i])
	}
	if err := e.out.Flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint32(nil, e.sum.Sum32()))
	return err
}

// strings yields all the strings of the catalog, in the order in which they are encoded.
func (c *Catalog) strings(yield func(*string) bool) {
	for i := range c.texts {
		if !yield(&c.texts[i]) {
			return
		}
	}
	for i := range c.Packages {
		if p := &c.Packages[i]; !yield(&p.Location) || !yield(&p.Checksum) {
			return
		}
	}
}

func (c *Catalog) encodeTexts(e *encoder) {
	for s := range c.strings {
		e.number(uint64(len(*s)))
	}
	for s := range c.strings {
		e.text(*s)
	}
}

// An encoder writes numbers and texts; its errors come back from out.
type encoder struct {
	out   *bufio.Writer
	sum   hash.Hash32
	bytes [binary.MaxVarintLen64]byte
	spans [2]uint32 // ends of the spans before, of lists and of files
}

func (e *encoder) number(n uint64) {
	_, _ = e.out.Write(binary.AppendUvarint(e.bytes[:0], n))
}

func (e *encoder) text(s string) { _, _ = e.out.WriteString(s) }

func (e *encoder) span(s Span, kind int) {
	_, _ = e.out.Write(binary.AppendVarint(e.bytes[:0], int64(s.Start)-int64(e.spans[kind])))
	e.number(uint64(s.End - s.Start))
	e.spans[kind] = s.End
}

func (e *encoder) pkg(p *Package) {
	for _, id := range p.ids() {
		e.number(uint64(*id))
	}
	for _, n := range p.numbers() {
		e.number(uint64(*n))
	}
	for _, s := range p.lists() {
		e.span(*s, 0)
	}
	e.span(p.Files, 1)
}

// ids, numbers and lists are the fields of a package, in the order in which they are encoded.
func (p *Package) ids() [5]*ID { return [...]*ID{&p.Name, &p.EVR, &p.Arch, &p.Base, &p.SourceRPM} }

func (p *Package) numbers() [3]*int64 { return [...]*int64{&p.Size, &p.HeaderStart, &p.HeaderEnd} }

func (p *Package) lists() [8]*Span {
	return [...]*Span{&p.Provides, &p.Requires, &p.Conflicts, &p.Obsoletes, &p.Recommends, &p.Suggests, &p.Supplements, &p.Enhances}
}
