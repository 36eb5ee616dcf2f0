package rpmtest

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"testing"
)

// Types of header entries, as the format numbers them.
const (
	kindString = 6
	kindBinary = 7
)

// A Tag is one entry of a header that a test writes itself.
type Tag struct {
	number, kind, count uint32
	data                []byte
}

// RawTag is an entry of any kind, right or wrong.
func RawTag(number, kind, count uint32, data []byte) Tag { return Tag{number, kind, count, data} }

// BinaryTag is an entry of bytes.
func BinaryTag(number uint32, data []byte) Tag {
	return Tag{number, kindBinary, uint32(len(data)), data}
}

// StringTag is an entry of one string.
func StringTag(number uint32, value string) Tag {
	return Tag{number, kindString, 1, append([]byte(value), 0)}
}

// WriteHeader writes a header structure, the data of each entry at the next multiple of 8.
func WriteHeader(tags ...Tag) []byte {
	var index, data []byte
	for _, e := range tags {
		data = append(data, make([]byte, -len(data)&7)...)
		for _, n := range []uint32{e.number, e.kind, uint32(len(data)), e.count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		data = append(data, e.data...)
	}
	return HeaderBytes(len(tags), len(data), append(index, data...))
}

// HeaderBytes writes a header that promises so many entries and bytes, whatever follows.
func HeaderBytes(entries, size int, rest []byte) []byte {
	out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	out = binary.BigEndian.AppendUint32(out, uint32(entries))
	out = binary.BigEndian.AppendUint32(out, uint32(size))
	return append(out, rest...)
}

// Parts are a package taken apart: lead, signature header without padding, main header
// and payload.
type Parts struct{ Lead, Signature, Main, Payload []byte }

// TakeApart takes a well-formed package apart.
func TakeApart(t testing.TB, pkg []byte) Parts {
	t.Helper()
	size := func(p []byte) int {
		return 16 + 16*int(binary.BigEndian.Uint32(p[8:])) + int(binary.BigEndian.Uint32(p[12:]))
	}
	lead, rest := pkg[:96], pkg[96:]
	n := size(rest)
	sig, rest := rest[:n], rest[n+(-n&7):]
	n = size(rest)
	return Parts{Lead: lead, Signature: sig, Main: rest[:n], Payload: rest[n:]}
}

// Bytes puts the package together again.
func (p Parts) Bytes() []byte {
	padded := append(bytes.Clone(p.Signature), make([]byte, -len(p.Signature)&7)...)
	return bytes.Join([][]byte{p.Lead, padded, p.Main, p.Payload}, nil)
}

// Signed is what a signature over header and payload covers.
func (p Parts) Signed() []byte { return append(bytes.Clone(p.Main), p.Payload...) }

// WithSignature returns the parts with another signature header.
func (p Parts) WithSignature(tags ...Tag) Parts {
	region := Tag{62, kindBinary, 16, make([]byte, 16)} // rpm wants the region first, its trailer last
	trailer := binary.BigEndian.AppendUint32(nil, 62)
	trailer = binary.BigEndian.AppendUint32(trailer, kindBinary)
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(-16*(len(tags)+1)))
	trailer = binary.BigEndian.AppendUint32(trailer, 16)
	region.data = trailer
	header := WriteHeader(append(tags, region)...)
	index := header[16 : 16+16*(len(tags)+1)]
	last := bytes.Clone(index[len(index)-16:])
	copy(index[16:], bytes.Clone(index[:len(index)-16]))
	copy(index, last)
	p.Signature = header
	return p
}

// Without renames a tag of the main header to one that nobody knows.
func (p Parts) Without(t testing.TB, number uint32) Parts {
	t.Helper()
	p.Main = bytes.Clone(p.Main)
	for i := 16; i < 16+16*int(binary.BigEndian.Uint32(p.Main[8:])); i += 16 {
		if binary.BigEndian.Uint32(p.Main[i:]) == number {
			binary.BigEndian.PutUint32(p.Main[i:], number+1_000_000)
			return p
		}
	}
	t.Fatalf("the header has no tag %d", number)
	return p
}

// SignV3 makes a signature of version 3, as rpmsign of CentOS 7 does: the time and the key
// are fields of their own, and only type and time are hashed after the content.
func SignV3(t testing.TB, key *Signer, algorithm crypto.Hash, content []byte) []byte {
	t.Helper()
	hashID := map[crypto.Hash]byte{crypto.MD5: 1, crypto.SHA1: 2, crypto.SHA256: 8}[algorithm]
	created := binary.BigEndian.AppendUint32(nil, uint32(Built.Unix()))
	h := algorithm.New()
	h.Write(content)
	h.Write(append([]byte{0}, created...))
	sum := h.Sum(nil)
	private := key.Entity.PrivateKey.PrivateKey.(*rsa.PrivateKey)
	number, err := rsa.SignPKCS1v15(rand.Reader, private, algorithm, sum)
	if err != nil {
		t.Fatal(err)
	}
	number = bytes.TrimLeft(number, "\x00")
	body := append([]byte{3, 5, 0}, created...)
	body = binary.BigEndian.AppendUint64(body, key.Entity.PrimaryKey.KeyId)
	body = append(body, 1, hashID, sum[0], sum[1])
	bits := 8 * len(number)
	for b := number[0]; b&0x80 == 0; b <<= 1 {
		bits--
	}
	body = binary.BigEndian.AppendUint16(body, uint16(bits))
	body = append(body, number...)
	packet := binary.BigEndian.AppendUint16([]byte{0x89}, uint16(len(body)))
	return append(packet, body...)
}
