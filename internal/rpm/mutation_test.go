package rpm_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// smallPackage is signed and as small as a package gets.
func smallPackage(t *testing.T, key *rpmtest.Signer) []byte {
	t.Helper()
	return rpmtest.Build(t, rpmtest.Spec{Name: "small", Key: key, Files: []rpmtest.File{{Path: "/etc/small", Body: "x"}}})
}

// changes are the ways in which a test changes one byte.
var changes = []func(byte) byte{
	func(b byte) byte { return b ^ 1 },
	func(b byte) byte { return b ^ 0x80 },
	func(b byte) byte { return ^b },
	func(byte) byte { return 0 },
	func(byte) byte { return 0xff },
}

// TestEveryByteOfTheHeaders changes each byte in front of the payload in several ways. Read
// never panics, takes no memory that the file does not have, and says what was there or
// refuses. Verify refuses every change of the main header; one of the lead or of the
// signature header is refused, or changes nothing in who signed what.
func TestEveryByteOfTheHeaders(t *testing.T) {
	key := rpmtest.OtherKey(t)
	pkg := smallPackage(t, key)
	ring := rpmtest.Ring(key)
	p := rpmtest.TakeApart(t, pkg)
	start, end := len(pkg)-len(p.Signed()), len(pkg)-len(p.Payload)
	want, err := rpm.Read(bytes.NewReader(pkg))
	if err != nil {
		t.Fatal(err)
	}
	for at := range end {
		for i, change := range changes {
			mutant := bytes.Clone(pkg)
			if mutant[at] = change(pkg[at]); mutant[at] == pkg[at] {
				continue
			}
			got, err := rpm.Read(bytes.NewReader(mutant))
			if _, ok := errors.AsType[*rpm.FormatError](err); err != nil && !ok {
				t.Errorf("byte %d, change %d: Read: %v is no *FormatError", at, i, err)
			}
			if err == nil && at < start {
				got.ArchiveSize = want.ArchiveSize // which stands in the signature header
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("byte %d, change %d: the package is another by what is not in its header:\n%s", at, i, diff)
				}
			}
			signer, err := rpm.Verify(bytes.NewReader(mutant), ring)
			if err == nil && (at >= start || signer != key.ID) {
				t.Errorf("byte %d, change %d: Verify() = %q, and sees nothing", at, i, signer)
			}
		}
	}
}

// TestHostileIndexMemory sets each field of each entry of the main header, in turn, to numbers
// at the edges: none of them makes Read take memory out of proportion.
func TestHostileIndexMemory(t *testing.T) {
	pkg := smallPackage(t, nil)
	start := len(pkg) - len(rpmtest.TakeApart(t, pkg).Signed())
	entries := int(binary.BigEndian.Uint32(pkg[start+8:]))
	var before, after runtime.MemStats
	for at := start + 8; at < start+16+16*entries; at += 4 {
		for _, n := range []uint32{0, 1, 1 << 16, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1 << 28, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			mutant := bytes.Clone(pkg)
			binary.BigEndian.PutUint32(mutant[at:], n)
			runtime.ReadMemStats(&before)
			p, err := rpm.Read(bytes.NewReader(mutant))
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 1<<20 {
				t.Errorf("%d in byte %d of %d bytes: Read allocates %d bytes", n, at, len(mutant), used)
			}
			if (p == nil) == (err == nil) {
				t.Errorf("%d in byte %d: Read() = %v, %v", n, at, p, err)
			}
		}
	}
}

// TestReadAtTheBounds has counts and offsets that are just allowed.
func TestReadAtTheBounds(t *testing.T) {
	at := func(tag, kind, offset, count uint32) []byte {
		var entry []byte
		for _, n := range []uint32{tag, kind, offset, count} {
			entry = binary.BigEndian.AppendUint32(entry, n)
		}
		return entry
	}
	// with appends entries and data to a header that names a package.
	with := func(data []byte, entries func(size uint32) []byte) []byte {
		header := rpmtest.WriteHeader(named()...)
		count, size := binary.BigEndian.Uint32(header[8:]), binary.BigEndian.Uint32(header[12:])
		more := entries(size)
		rest := bytes.Join([][]byte{header[16 : 16+16*count], more, header[16+16*count:], data}, nil)
		return rpmtest.HeaderBytes(int(count)+len(more)/16, int(size)+len(data), rest)
	}
	many := func(n uint32) func(uint32) []byte {
		return func(uint32) []byte {
			var entries []byte
			for i := range n {
				entries = append(entries, at(1<<20+i, 0, 0, 0)...)
			}
			return entries
		}
	}
	for _, tt := range []struct {
		name    string
		header  []byte
		refused string
	}{
		{"nothing at the very end", with(nil, func(size uint32) []byte { return at(9999, kindInt32, size, 0) }), ""},
		{"nothing behind the end", with(nil, func(size uint32) []byte { return at(9999, kindInt32, size+1, 0) }), "begins at byte"},
		{"the last bytes", with(make([]byte, 8), func(size uint32) []byte { return at(9999, kindInt64, size, 1) }), ""},
		{"one value too many", with(make([]byte, 8), func(size uint32) []byte { return at(9999, kindInt64, size, 2) }), "2 values end behind the header"},
		{"one byte too few", with(make([]byte, 7), func(size uint32) []byte { return at(9999, kindInt64, size, 1) }), "1 values end behind the header"},
		{"a string to the end", with([]byte("end\x00"), func(size uint32) []byte { return at(9999, kindString, size, 1) }), ""},
		{"a string without its end", with([]byte("end"), func(size uint32) []byte { return at(9999, kindString, size, 1) }), "a string ends behind the header"},
		{"most values", with(make([]byte, 1<<20), func(size uint32) []byte { return at(9999, kindInt8, size, 1<<20) }), ""},
		{"more than most values", with(make([]byte, 1<<20+1), func(size uint32) []byte { return at(9999, kindInt8, size, 1<<20+1) }), "more than the 1048576 allowed"},
		{"more bytes than values may be", with(make([]byte, 1<<20+1), func(size uint32) []byte { return at(9999, kindBinary, size, 1<<20+1) }), ""},
		{"most entries", with(nil, many(1<<16-1-uint32(len(named())))), ""},
		{"one entry more", with(nil, many(1<<16-uint32(len(named())))), "65536 entries"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := rpm.Read(bytes.NewReader(unsignedWith(t, tt.header)))
			if tt.refused == "" && (err != nil || p.NEVRA() != "n-1-1.noarch") {
				t.Errorf("Read() = %+v, %v", p, err)
			}
			if tt.refused != "" && (err == nil || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("Read() = %+v, %v; want %q", p, err, tt.refused)
			}
		})
	}
}

// framed are the bodies of a signature packet in all the headers that OpenPGP has for it (RFC
// 9580, section 4.2), right and wrong.
func framed(body []byte) (right, wrong map[string][]byte) {
	n := len(body)
	frame := func(header ...byte) []byte { return append(header, body...) }
	four := binary.BigEndian.AppendUint32(nil, uint32(n))
	short := binary.BigEndian.AppendUint32(nil, uint32(n-1))
	long := binary.BigEndian.AppendUint32(nil, uint32(n+1))
	right = map[string][]byte{
		"old, one byte":   frame(0x88, byte(n)),
		"old, two bytes":  frame(0x89, byte(n>>8), byte(n)),
		"old, four bytes": frame(append([]byte{0x8a}, four...)...),
		"new, one byte":   frame(0xc2, byte(n)),
		"new, five bytes": frame(append([]byte{0xc2, 0xff}, four...)...),
	}
	wrong = map[string][]byte{
		"old, to the end":       frame(0x8b),
		"new, partial":          frame(0xc2, 0xe7),
		"one byte less":         frame(append([]byte{0xc2, 0xff}, short...)...),
		"one byte more":         frame(append([]byte{0xc2, 0xff}, long...)...),
		"4 GiB":                 frame(0xc2, 0xff, 0xff, 0xff, 0xff, 0xff),
		"length cut":            {0xc2, 0xff, 0, 0},
		"length missing":        {0xc2},
		"two-byte length cut":   {0xc2, 0xc0},
		"empty":                 {0xc2, 0},
		"of no packet":          frame(0x08, byte(n)),
		"of a compressed one":   frame(0xc8, byte(n)),
		"with a byte behind":    append(frame(0xc2, byte(n)), 0),
		"with another in it":    frame(0xc2, byte(n), 0xc2, byte(n)),
		"of an unknown version": append([]byte{0xc2, byte(n), 9}, body[1:]...),
	}
	return right, wrong
}

func TestSignatureFrames(t *testing.T) {
	key := rpmtest.OtherKey(t) // its signatures are short enough for a length of one byte
	built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(nil)))
	sig := sign(t, key, built.Main)
	if sig[0] != 0xc2 || int(sig[1]) != len(sig)-2 {
		t.Fatalf("the signature begins with %x, which this test does not understand", sig[:2])
	}
	right, wrong := framed(sig[2:])
	for name, data := range right {
		got, err := rpm.Verify(bytes.NewReader(built.WithSignature(rpmtest.BinaryTag(sigRSA, data)).Bytes()), rpmtest.Ring(key))
		if err != nil || got != key.ID {
			t.Errorf("%s: Verify() = %q, %v", name, got, err)
		}
	}
	for name, data := range wrong {
		err := verifyError(built.WithSignature(rpmtest.BinaryTag(sigRSA, data)).Bytes(), rpmtest.Ring(key))
		if problem := is[*rpm.BadSignatureError]("unreadable")(err); problem != "" {
			t.Errorf("%s: %s", name, problem)
		}
	}
}

// TestEveryByteOfASignature changes each byte of a signature and cuts it everywhere: it is
// then bad or of an unknown key, but for the few bytes that nothing depends on, such as
// the key id that stands beside the fingerprint.
func TestEveryByteOfASignature(t *testing.T) {
	for name, key := range map[string]*rpmtest.Signer{"RSA": rpmtest.Key(t), "Ed25519": rpmtest.OtherKey(t)} {
		built := rpmtest.TakeApart(t, rpmtest.Build(t, signedSpec(nil)))
		sig := sign(t, key, built.Main)
		good := func(data []byte) bool {
			signer, err := rpm.Verify(bytes.NewReader(built.WithSignature(rpmtest.BinaryTag(sigRSA, data)).Bytes()), rpmtest.Ring(key))
			bad, unknown := is[*rpm.BadSignatureError]("")(err) == "", is[*rpm.UnknownSignerError]("")(err) == ""
			if err != nil && !bad && !unknown || err == nil && signer != key.ID {
				t.Errorf("%s: %x: Verify() = %q, %v", name, data, signer, err)
			}
			return err == nil
		}
		still := 0
		for at := range sig {
			if good(flip(sig, at)) {
				still++
			}
			if good(sig[:at]) {
				t.Errorf("%s: good when cut to %d of %d bytes", name, at, len(sig))
			}
		}
		if still > 12 {
			t.Errorf("%s: %d of %d bytes may change and the signature still holds", name, still, len(sig))
		}
	}
}
