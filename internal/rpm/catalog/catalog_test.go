package catalog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"airbundle/internal/fuzztest"
)

var asIs = cmp.Options{cmp.AllowUnexported(Catalog{}), cmpopts.EquateEmpty()}

// made is a catalog of n packages, each with what a package can have.
func made(n int) *Catalog {
	b := NewBuilder()
	text := func(format string, args ...any) ID { return b.Text(fmt.Appendf(nil, format, args...)) }
	for i := range n {
		p := Package{
			Name: text("package-%d", i), EVR: b.EVR([]byte("1"), fmt.Appendf(nil, "%d.%d", i%7, i), []byte("1.el9")), Arch: text("x86_64"),
			Location: b.Keep(fmt.Appendf(nil, "Packages/p/package-%d-1.x86_64.rpm", i)), Base: text("media://%d", i%3),
			Checksum: b.Keep(fmt.Appendf(nil, "sha256:%064x", i)), Size: int64(i) << 20, HeaderStart: 280, HeaderEnd: int64(i) + 281,
			SourceRPM: text("source-%d-1.src.rpm", i/3),
		}
		own := b.Dep(Dependency{Name: p.Name, EVR: p.EVR, Flags: Equal})
		var deps []DepID
		for k := range 20 {
			deps = append(deps, b.Dep(Dependency{Name: text("lib%d.so.%d()(64bit)", (i+k*k)%997, k)}))
		}
		deps = append(deps, b.Dep(Dependency{Name: text("package-%d", i/2), EVR: text("2:3-4"), Flags: Greater | Equal}))
		p.Provides, p.Requires = b.List([]DepID{own}), b.List(deps)
		p.Conflicts, p.Obsoletes = b.List(deps[:1]), b.List(nil)
		p.Recommends, p.Suggests, p.Supplements, p.Enhances = b.List(deps[1:2]), b.List(deps[2:4]), b.List(deps[5:5]), b.List(deps[:3])
		p.Files = b.FileList([]File{b.File(fmt.Appendf(nil, "/usr/bin/program-%d", i)), b.File([]byte("/etc/directory/"))})
		b.Add(p)
	}
	return b.Catalog()
}

func encoded(t testing.TB, c *Catalog) []byte {
	t.Helper()
	var out bytes.Buffer
	if err := c.Encode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEncodeDecode(t *testing.T) {
	odd := made(2)
	odd.Packages[0].Requires, odd.Packages[1].Provides = odd.Packages[1].Requires, Span{0, uint32(len(odd.Lists))} // not one behind the other
	for name, c := range map[string]*Catalog{"empty": NewBuilder().Catalog(), "one": made(1), "many": made(300), "odd spans": odd} {
		data := encoded(t, c)
		for how, r := range map[string]io.Reader{"at once": bytes.NewReader(data), "by bytes": iotest.OneByteReader(bytes.NewReader(data)), "data with EOF": iotest.DataErrReader(bytes.NewReader(data))} {
			got, err := Decode(r)
			if diff := cmp.Diff(c, got, asIs); diff != "" || err != nil {
				t.Errorf("%s, %s: error %v, (-want +got):\n%s", name, how, err, diff)
			}
		}
		if again := encoded(t, c); !bytes.Equal(data, again) {
			t.Errorf("%s: encoded twice, different bytes", name)
		}
	}
}

// TestDecodeDamaged: no byte may be missing, change, or come behind.
func TestDecodeDamaged(t *testing.T) {
	data := encoded(t, made(3))
	for at := range data {
		damaged := bytes.Clone(data)
		damaged[at] ^= 1
		for what, d := range map[string][]byte{"cut": data[:at], "changed": damaged} {
			if c, err := Decode(bytes.NewReader(d)); err == nil || c != nil {
				t.Errorf("%s at %d: %v, %v", what, at, c, err)
			}
		}
	}
	if c, err := Decode(bytes.NewReader(append(bytes.Clone(data), 0))); err == nil {
		t.Errorf("one byte more: %v", c)
	}
	broken := errors.New("line cut")
	if _, err := Decode(io.MultiReader(bytes.NewReader(data[:50]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
		t.Errorf("reader broken: %v", err)
	}
}

// sealed adds a CRC that is right.
func sealed(body []byte) []byte {
	return binary.LittleEndian.AppendUint32(bytes.Clone(body), crc32.Checksum(body, castagnoli))
}

// TestDecodeHostile: a right CRC does not make right numbers.
func TestDecodeHostile(t *testing.T) {
	data := encoded(t, made(3))
	body := data[:len(data)-4]
	for at := len(magic); at < len(body); at++ {
		for _, b := range []byte{0, 1, 0x7f, 0x80, 0xff} {
			d := bytes.Clone(body)
			d[at] = b
			if c, err := Decode(bytes.NewReader(sealed(d))); err == nil {
				walk(c)
			}
		}
		if c, err := Decode(bytes.NewReader(sealed(body[:at]))); err == nil {
			t.Errorf("cut at %d: %v", at, c)
		}
	}
	numbers := func(n ...uint64) []byte {
		out := []byte(magic)
		for _, v := range n {
			out = binary.AppendUvarint(out, v)
		}
		return out
	}
	for _, tt := range []struct {
		name string
		body []byte
		want string
	}{
		{"another version", []byte("airbundle catalog\x00\x02"), "not one of this version"},
		{"nothing", nil, "not one of this version"},
		{"magic alone", []byte(magic), "it ends in a number"},
		{"four billion texts", numbers(1<<32-2, 0, 0, 0, 0, 0), "do not fit"},
		{"more texts than that", numbers(1<<32, 0, 0, 0, 0, 0), "number 4294967296"},
		{"texts longer than all", numbers(1, 0, 0, 0, 0, 9), "number 9, want one below"},
		{"texts longer together", append(numbers(2, 0, 0, 0, 0, 2, 2), "abc"...), "do not fit"},
		{"first text not empty", append(numbers(1, 0, 0, 0, 0, 1), "a"...), "text 0"},
		{"no texts", numbers(0, 0, 0, 0, 0), "text 0"},
		{"dependency on no text", numbers(1, 1, 0, 0, 0, 0, 1, 0, 0), "number 1, want one below 1"},
		{"unknown flags", numbers(1, 1, 0, 0, 0, 0, 0, 0, 8), "number 8, want one below 8"},
		{"list of no dependency", numbers(1, 0, 1, 0, 0, 0, 0), "number 0, want one below 0"},
		{"file of no text", numbers(1, 0, 0, 1, 0, 0, 0, 1), "number 1, want one below 1"},
		{"rest", numbers(1, 0, 0, 0, 0, 0, 7), "1 bytes behind its end"},
	} {
		if c, err := Decode(bytes.NewReader(sealed(tt.body))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, c, err, tt.want)
		}
	}
}

// walk uses every index of a catalog.
func walk(c *Catalog) (n int) {
	for i := range c.Packages {
		p := &c.Packages[i]
		n += len(c.NEVRA(p)) + len(c.Text(p.Base)) + len(c.Text(p.SourceRPM)) + len(p.Location) + len(p.Checksum)
		for _, s := range p.lists() {
			for _, d := range c.List(*s) {
				n += len(c.String(c.Deps[d]))
			}
		}
		for _, f := range c.Files[p.Files.Start:p.Files.End] {
			n += len(c.Path(f))
		}
	}
	for _, d := range c.Deps {
		n += len(c.String(d))
	}
	for _, d := range c.Lists {
		n += len(c.String(c.Deps[d]))
	}
	for _, f := range c.Files {
		n += len(c.Path(f))
	}
	return n
}

func FuzzDecode(f *testing.F) {
	for _, c := range []*Catalog{NewBuilder().Catalog(), made(1), made(2)} {
		data := encoded(f, c)
		f.Add(data[len(magic) : len(data)-4])
	}
	fuzztest.Run(f, func(t *testing.T, body []byte) {
		if _, err := Decode(bytes.NewReader(body)); err == nil && !bytes.HasPrefix(body, []byte(magic)) {
			t.Error("no magic, and no error")
		}
		c, err := Decode(bytes.NewReader(sealed(append([]byte(magic), body...))))
		if err != nil {
			return
		}
		walk(c)
		again, err := Decode(bytes.NewReader(encoded(t, c)))
		if err != nil || !reflect.DeepEqual(c, again) { // go-cmp takes another way each time, which misleads a fuzzer
			t.Errorf("encoded and decoded: error %v, (-want +got):\n%s", err, cmp.Diff(c, again, asIs))
		}
	})
}

func TestEVR(t *testing.T) {
	for _, tt := range []struct{ epoch, version, release, want string }{
		{"0", "1", "2", "1-2"}, {"", "1", "2", "1-2"}, {"7", "1", "2", "7:1-2"}, {"0", "1", "", "1"}, {"1", "1", "", "1:1"},
		{"", "1~rc1", "1^git", "1~rc1-1^git"}, {"0", "", "", ""},
	} {
		b := NewBuilder()
		id := b.EVR([]byte(tt.epoch), []byte(tt.version), []byte(tt.release))
		if got := EVR(tt.epoch, tt.version, tt.release); got != tt.want || b.Catalog().Text(id) != tt.want {
			t.Errorf("EVR(%q, %q, %q) = %q, want %q", tt.epoch, tt.version, tt.release, got, tt.want)
		}
	}
}

func TestBuilder(t *testing.T) {
	b := NewBuilder()
	buf := []byte("/usr/bin/bash")
	f := b.File(buf)
	copy(buf, "-------------")
	if b.Text([]byte("bash")) != f.Base || b.Text(nil) != 0 || b.Texts() != 3 || b.Len() != 0 {
		t.Errorf("texts are not kept once: %d", b.Texts())
	}
	long := bytes.Repeat([]byte("x"), chunk)
	kept := []string{b.Keep(long), b.Keep([]byte("a")), b.Keep(long[:chunk/8]), b.Keep([]byte("b"))}
	d := Dependency{Name: f.Base, EVR: b.Text([]byte("5-1")), Flags: Less | Equal}
	if first, again := b.Dep(d), b.Dep(d); first != again {
		t.Error("a dependency is not kept once")
	}
	c := b.Catalog()
	if c.Path(f) != "/usr/bin/bash" || c.String(d) != "bash <= 5-1" || c.String(Dependency{Name: f.Base}) != "bash" {
		t.Errorf("%q, %q", c.Path(f), c.String(d))
	}
	if kept[0] != string(long) || kept[1] != "a" || len(kept[2]) != chunk/8 || kept[3] != "b" {
		t.Error("kept texts have changed")
	}
}

func BenchmarkDecode(b *testing.B) {
	data := encoded(b, made(70_000))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	c := made(70_000)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.Encode(io.Discard); err != nil {
			b.Fatal(err)
		}
	}
}
