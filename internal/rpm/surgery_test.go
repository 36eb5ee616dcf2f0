package rpm_test

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"testing"

	"airbundle/internal/rpmtest"
)

// Types and tags of entries, as the format numbers them.
const (
	kindInt8    = 2
	kindInt16   = 3
	kindInt32   = 4
	kindInt64   = 5
	kindString  = 6
	kindBinary  = 7
	kindStrings = 8

	sigDSA     = 267
	sigRSA     = 268
	sigSHA1    = 269
	sigSHA256  = 273
	sigOpenPGP = 278
	sigPGP     = 1002
	sigMD5     = 1004

	tagPayloadDigest     = 5092
	tagPayloadDigestAlgo = 5093
)

// A tag is one entry of a header that a test writes itself.
type tag struct {
	tag, kind, count uint32
	data             []byte
}

func binaryTag(number uint32, data []byte) tag {
	return tag{number, kindBinary, uint32(len(data)), data}
}

func stringTag(number uint32, value string) tag {
	return tag{number, kindString, 1, append([]byte(value), 0)}
}

// writeHeader writes a header structure, the data of each entry at the next multiple of 8.
func writeHeader(tags ...tag) []byte {
	var index, data []byte
	for _, e := range tags {
		data = append(data, make([]byte, -len(data)&7)...)
		for _, n := range []uint32{e.tag, e.kind, uint32(len(data)), e.count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		data = append(data, e.data...)
	}
	return headerBytes(len(tags), len(data), append(index, data...))
}

// headerBytes writes a header that promises so many entries and bytes, whatever follows.
func headerBytes(entries, size int, rest []byte) []byte {
	out := []byte{0x8e, 0xad, 0xe8, 1, 0, 0, 0, 0}
	out = binary.BigEndian.AppendUint32(out, uint32(entries))
	out = binary.BigEndian.AppendUint32(out, uint32(size))
	return append(out, rest...)
}

// parts are a package taken apart.
type parts struct {
	lead, signature, main, payload []byte
}

func takeApart(t testing.TB, pkg []byte) parts {
	t.Helper()
	size := func(p []byte) int {
		return 16 + 16*int(binary.BigEndian.Uint32(p[8:])) + int(binary.BigEndian.Uint32(p[12:]))
	}
	lead, rest := pkg[:96], pkg[96:]
	n := size(rest)
	sig, rest := rest[:n], rest[n+(-n&7):]
	n = size(rest)
	return parts{lead: lead, signature: sig, main: rest[:n], payload: rest[n:]}
}

// bytes puts the package together again.
func (p parts) bytes() []byte {
	padded := append(bytes.Clone(p.signature), make([]byte, -len(p.signature)&7)...)
	return bytes.Join([][]byte{p.lead, padded, p.main, p.payload}, nil)
}

func (p parts) signed() []byte { return append(bytes.Clone(p.main), p.payload...) }

// withSignature returns the parts with another signature header.
func (p parts) withSignature(tags ...tag) parts {
	region := tag{62, kindBinary, 16, make([]byte, 16)} // rpm wants the region first, its trailer last
	trailer := binary.BigEndian.AppendUint32(nil, 62)
	trailer = binary.BigEndian.AppendUint32(trailer, kindBinary)
	trailer = binary.BigEndian.AppendUint32(trailer, uint32(-16*(len(tags)+1)))
	trailer = binary.BigEndian.AppendUint32(trailer, 16)
	region.data = trailer
	header := writeHeader(append(tags, region)...)
	index := header[16 : 16+16*(len(tags)+1)]
	last := bytes.Clone(index[len(index)-16:])
	copy(index[16:], bytes.Clone(index[:len(index)-16]))
	copy(index, last)
	p.signature = header
	return p
}

// without renames a tag of the main header to one that nobody knows.
func (p parts) without(t testing.TB, number uint32) parts {
	t.Helper()
	p.main = bytes.Clone(p.main)
	for i := 16; i < 16+16*int(binary.BigEndian.Uint32(p.main[8:])); i += 16 {
		if binary.BigEndian.Uint32(p.main[i:]) == number {
			binary.BigEndian.PutUint32(p.main[i:], number+1_000_000)
			return p
		}
	}
	t.Fatalf("the header has no tag %d", number)
	return p
}

// signV3 makes a signature of version 3, as rpmsign of CentOS 7 does: the time and the key
// are fields of their own, and only type and time are hashed after the content.
func signV3(t testing.TB, key *rpmtest.Signer, algorithm crypto.Hash, content []byte) []byte {
	t.Helper()
	hashID := map[crypto.Hash]byte{crypto.MD5: 1, crypto.SHA1: 2, crypto.SHA256: 8}[algorithm]
	created := binary.BigEndian.AppendUint32(nil, uint32(rpmtest.Built.Unix()))
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
