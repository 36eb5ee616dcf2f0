package archive

import (
	"archive/tar"
	"bytes"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
)

const someName = blobPrefix + "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestEncodeHeader(t *testing.T) {
	for _, size := range []int64{0, 1, 511, 1 << 20, maxOctal - 1, maxOctal, maxOctal + 1, 1 << 40, math.MaxInt64} {
		h := encodeHeader(someName, size)
		name, got, err := decodeHeader(&h)
		if err != nil || name != someName || got != size {
			t.Errorf("size %d: decoded as %q, %d, %v", size, name, got, err)
		}
		std, err := tar.NewReader(bytes.NewReader(h[:])).Next()
		if err != nil {
			t.Errorf("size %d: archive/tar: %v", size, err)
			continue
		}
		// archive/tar names no format for ustar with base-256, but reads it.
		std.Format = 0
		want := &tar.Header{Typeflag: tar.TypeReg, Name: someName, Size: size, Mode: 0o644, ModTime: time.Unix(0, 0)}
		if diff := cmp.Diff(want, std); diff != "" {
			t.Errorf("size %d, archive/tar (-want +got):\n%s", size, diff)
		}
		if size < maxOctal {
			var b bytes.Buffer
			want.Format = tar.FormatUSTAR
			if err := tar.NewWriter(&b).WriteHeader(want); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(b.Bytes(), h[:]); diff != "" {
				t.Errorf("size %d, bytes of archive/tar (-want +got):\n%s", size, diff)
			}
		}
	}
}

// No other block than the encoder's is a header of ours.
func TestDecodeHeaderIsStrict(t *testing.T) {
	for _, size := range []int64{30, maxOctal + 7} {
		h := encodeHeader(someName, size)
		for i := range h {
			for bit := range 8 {
				damaged := h
				damaged[i] ^= 1 << bit
				if name, n, err := decodeHeader(&damaged); err == nil {
					t.Errorf("byte %d, bit %d: accepted as %q, %d", i, bit, name, n)
				}
				fixChecksum(&damaged)
				if name, n, err := decodeHeader(&damaged); err == nil && encodeHeader(name, n) != damaged {
					t.Errorf("byte %d, bit %d, checksum right: accepted as %q, %d", i, bit, name, n)
				}
			}
		}
	}
	base256 := encodeHeader(someName, 30)
	copy(base256.size(), "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x1e")
	fixChecksum(&base256)
	if _, _, err := decodeHeader(&base256); err == nil {
		t.Error("accepted base-256 for a small size")
	}
}

func fixChecksum(b *block) {
	unsigned, _ := b.sums()
	octal := "0123456701234567"
	for i := range 6 {
		b.checksum()[i] = octal[unsigned>>(3*(5-i))&7]
	}
	copy(b.checksum()[6:], "\x00 ")
}

func TestParseNumber(t *testing.T) {
	for _, test := range []struct {
		field string
		want  int64
		bad   bool
	}{
		{"00000000036\x00", 30, false},
		{"         36 ", 30, false},
		{"36\x00\x00\x00\x00", 30, false},
		{"77777777777\x00", maxOctal - 1, false},
		{"777777777777", 1<<36 - 1, false},
		{strings.Repeat("\x00", 12), 0, false},
		{"\x80\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x00", maxOctal, false},
		{"\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff", math.MaxInt64, false},
		{"\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", 0, true},
		{"\x80\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 0, true},
		{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 0, true},
		{"-0000000036\x00", 0, true},
		{"00000000038\x00", 0, true},
		{"0x1e\x00", 0, true},
		{"1 2\x00", 0, true},
	} {
		got, err := parseNumber([]byte(test.field))
		if got != test.want || (err != nil) != test.bad {
			t.Errorf("%q: %d, %v; want %d", test.field, got, err, test.want)
		}
	}
}

func TestPadding(t *testing.T) {
	for size, want := range map[int64]int64{0: 0, 1: 511, 511: 1, 512: 0, 513: 511, maxOctal + 1: 511} {
		if got := padding(size); got != want {
			t.Errorf("padding(%d) = %d, want %d", size, got, want)
		}
	}
}

// What the decoder accepts, the encoder gives back byte by byte.
func FuzzHeader(f *testing.F) {
	for _, size := range []int64{0, 30, maxOctal - 1, maxOctal} {
		h := encodeHeader(someName, size)
		f.Add(h[:])
	}
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		var b block
		copy(b[:], data)
		name, size, err := decodeHeader(&b)
		if err == nil && encodeHeader(name, size) != b {
			t.Errorf("%q, %d: other bytes", name, size)
		}
	})
}
