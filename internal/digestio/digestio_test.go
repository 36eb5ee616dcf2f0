package digestio

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func descriptor(b []byte) ocispec.Descriptor {
	return ocispec.Descriptor{Digest: digest.FromBytes(b), Size: int64(len(b))}
}

func content(n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(1, uint64(n)))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// readers are the ways in which a source may hand out its bytes.
var readers = map[string]func(io.Reader) io.Reader{
	"plain":    func(r io.Reader) io.Reader { return r },
	"one byte": iotest.OneByteReader,
	"half":     iotest.HalfReader,
	"data+err": iotest.DataErrReader,
}

func TestReaderPassesRightContent(t *testing.T) {
	for _, size := range []int{0, 1, 511, 512, 513, 100_000} {
		want := content(size)
		for name, wrap := range readers {
			got, err := io.ReadAll(NewReader(wrap(bytes.NewReader(want)), descriptor(want)))
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s of %d bytes: %d bytes, %v", name, size, len(got), err)
			}
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	good := content(1000)
	flipped := bytes.Clone(good)
	flipped[999] ^= 1
	for _, c := range []struct {
		name string
		got  []byte
	}{
		{"flipped", flipped},
		{"short", good[:999]},
		{"empty", nil},
		{"long", append(bytes.Clone(good), 0)},
		{"much longer", append(bytes.Clone(good), good...)},
	} {
		for name, wrap := range readers {
			got, err := io.ReadAll(NewReader(wrap(bytes.NewReader(c.got)), descriptor(good)))
			mm, ok := errors.AsType[*MismatchError](err)
			if !ok {
				t.Errorf("%s, %s: error %v, want a *MismatchError", c.name, name, err)
				continue
			}
			if len(got) > len(good) {
				t.Errorf("%s, %s: %d bytes were let through, %d promised", c.name, name, len(got), len(good))
			}
			if mm.Want.Digest != descriptor(good).Digest || (c.name == "flipped") != (mm.Got != "") {
				t.Errorf("%s, %s: %+v", c.name, name, mm)
			}
		}
	}
}

func TestReaderErrors(t *testing.T) {
	good := content(10)
	broken := errors.New("line cut")
	if _, err := io.ReadAll(NewReader(iotest.ErrReader(broken), descriptor(good))); !errors.Is(err, broken) {
		t.Errorf("error of the source: %v", err)
	}
	for _, d := range []ocispec.Descriptor{
		{Digest: "md5:d41d8cd98f00b204e9800998ecf8427e"},
		{Digest: "sha256:abc"},
		{Digest: ""},
		{Digest: digest.FromBytes(good), Size: -1},
	} {
		if _, err := io.ReadAll(NewReader(bytes.NewReader(good), d)); err == nil {
			t.Errorf("descriptor %+v was accepted", d)
		}
	}
}

// A source that never ends must be cut off right behind the promised size.
func TestReaderCutsEndlessSource(t *testing.T) {
	want := descriptor(make([]byte, 4096))
	n, err := io.Copy(io.Discard, NewReader(zeros{}, want))
	if _, ok := errors.AsType[*MismatchError](err); !ok || n != 4096 {
		t.Errorf("%d bytes, %v", n, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestReadAllLimit(t *testing.T) {
	good := content(100)
	if _, err := ReadAll(bytes.NewReader(good), descriptor(good), 99); err == nil {
		t.Error("a descriptor above the limit was read")
	}
	if got, err := ReadAll(bytes.NewReader(good), descriptor(good), 100); err != nil || !bytes.Equal(got, good) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func BenchmarkReader(b *testing.B) {
	data := content(1 << 20)
	d := descriptor(data)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := io.Copy(io.Discard, NewReader(bytes.NewReader(data), d)); err != nil {
			b.Fatal(err)
		}
	}
}
