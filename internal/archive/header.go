package archive

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

const (
	blockSize = 512
	// maxOctal is the first size that eleven octal digits cannot say.
	maxOctal = 1 << 33
)

// A block is one tar header.
type block [blockSize]byte

// The fields of a header that are not constant in our form, and those that the
// reader of foreign tars needs (POSIX.1-2017, pax, "ustar Interchange Format").
func (b *block) name() []byte     { return b[0:100] }
func (b *block) size() []byte     { return b[124:136] }
func (b *block) checksum() []byte { return b[148:156] }
func (b *block) typeflag() byte   { return b[156] }
func (b *block) magic() []byte    { return b[257:265] } // and version
func (b *block) prefix() []byte   { return b[345:500] }

// posix says whether the header is of the form of POSIX, in which a name may have a prefix.
func (b *block) posix() bool { return string(b.magic()) == "ustar\x0000" }

func (b *block) zero() bool { return *b == block{} }

// headerTemplate is the part that all our headers share: a regular file, mode 0644,
// owned by nobody, of no time.
var headerTemplate = func() (b block) {
	copy(b[100:], "0000644\x00")
	copy(b[108:], "0000000\x00") // uid
	copy(b[116:], "0000000\x00") // gid
	copy(b[136:], "00000000000\x00")
	b[156] = '0'
	copy(b[257:], "ustar\x0000")
	copy(b[329:], "0000000\x00") // devmajor
	copy(b[337:], "0000000\x00") // devminor
	return b
}()

// encodeHeader returns the one header that a file of this name and size has. The
// name is at most 99 bytes and the size not negative.
func encodeHeader(name string, size int64) block {
	b := headerTemplate
	copy(b.name(), name)
	if size < maxOctal {
		copy(b.size(), fmt.Sprintf("%011o\x00", size))
	} else {
		// GNU's base-256: the first bit set, then the number in big-endian order.
		b.size()[0] = 0x80
		binary.BigEndian.PutUint64(b.size()[4:], uint64(size))
	}
	unsigned, _ := b.sums()
	copy(b.checksum(), fmt.Sprintf("%06o\x00 ", unsigned))
	return b
}

var errNotCanonical = errors.New("not a header in canonical form")

// decodeHeader reads what encodeHeader wrote and nothing else.
func decodeHeader(b *block) (name string, size int64, err error) {
	name = cString(b.name())
	size, err = parseNumber(b.size())
	if err != nil || size < 0 || len(name) >= len(b.name()) || encodeHeader(name, size) != *b {
		return "", 0, errNotCanonical
	}
	return name, size, nil
}

// sums returns the sum of the header's bytes with the checksum field read as spaces,
// of unsigned bytes as the standard wants it and of signed ones as old tars had it.
func (b *block) sums() (unsigned, signed int64) {
	for i, c := range b {
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	return unsigned, signed
}

// checksumOK says whether the header's checksum is right in either way.
func (b *block) checksumOK() bool {
	want, err := parseNumber(b.checksum())
	unsigned, signed := b.sums()
	return err == nil && (want == unsigned || want == signed)
}

// parseNumber reads a numeric field: octal digits between spaces and NULs, or base-256.
func parseNumber(f []byte) (int64, error) {
	if f[0]&0x80 == 0 {
		s := string(bytes.Trim(f, " \x00"))
		if s == "" {
			return 0, nil
		}
		n, err := strconv.ParseUint(s, 8, 63)
		if err != nil {
			return 0, fmt.Errorf("number field %q", f)
		}
		return int64(n), nil
	}
	if negative(f) {
		return 0, errors.New("negative number field")
	}
	n := uint64(f[0] & 0x3f)
	for _, c := range f[1:] {
		if n > math.MaxInt64>>8 {
			return 0, errors.New("number field overflows")
		}
		n = n<<8 | uint64(c)
	}
	return int64(n), nil
}

// negative says whether a field is a negative number in base-256: two's complement, of
// which the first bit does not count.
func negative(f []byte) bool { return f[0]&0xc0 == 0xc0 }

// checkNumber says why a field that may be negative is no number.
func checkNumber(f []byte) error {
	if !negative(f) {
		_, err := parseNumber(f)
		return err
	}
	inverse := bytes.Clone(f)
	for i := range inverse {
		inverse[i] ^= 0xff
	}
	inverse[0] |= 0x80
	_, err := parseNumber(inverse)
	return err
}

// cString returns the bytes before the first NUL.
func cString(f []byte) string {
	s, _, _ := bytes.Cut(f, []byte{0})
	return string(s)
}

// padding returns how many bytes fill up the last block of a content.
func padding(size int64) int64 { return -size & (blockSize - 1) }
