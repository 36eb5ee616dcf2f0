package lockfile

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"go.yaml.in/yaml/v3"
)

func everything(t testing.TB) *Lock {
	t.Helper()
	const path = "testdata/good/everything.lock.yaml"
	l, err := DecodeLock(path, read(t, path))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestScalar(t *testing.T) {
	tests := []struct{ in, want string }{
		{"", `""`},
		{"v1.20.12", "v1.20.12"},
		{"registry.k8s.io/kube-apiserver:v1.20.12", "registry.k8s.io/kube-apiserver:v1.20.12"},
		{"https://example.com/a%20b&c#d", "https://example.com/a%20b&c#d"},
		{"https://example.com/a?b=c", `"https://example.com/a?b=c"`},
		{"/usr/bin/socat", "/usr/bin/socat"},
		{"15.0.1", "15.0.1"},
		{"24c6a8a7f4a80eb5", "24c6a8a7f4a80eb5"},
		{"plain words here", "plain words here"},
		{"a: b", `"a: b"`},
		{"a #b", `"a #b"`},
		{"a:", `"a:"`},
		{"a,b", `"a,b"`},
		{"[a]", `"[a]"`},
		{" a", `" a"`},
		{"a ", `"a "`},
		{"a  b", `"a  b"`},
		{"-a", `"-a"`},
		{"*a", `"*a"`},
		{"~", `"~"`},
		{"<<", `"<<"`},
		{".inf", `".inf"`},
		{"NO", `"NO"`},
		{"y", `"y"`},
		{"null", `"null"`},
		{"True", `"True"`},
		{"12", `"12"`},
		{"1_2", `"1_2"`},
		{"1.10", `"1.10"`},
		{"1.", `"1."`},
		{"1e5", `"1e5"`},
		{"24e61234", `"24e61234"`},
		{"0x1f", `"0x1f"`},
		{"0o17", `"0o17"`},
		{"7:2.02.187-6.el7_9.5", `"7:2.02.187-6.el7_9.5"`},
		{"1:30", `"1:30"`},
		{"2030-12-31", `"2030-12-31"`},
		{"2030-1-1T00:00:00Z", `"2030-1-1T00:00:00Z"`},
		{`a"b\c`, `"a\"b\\c"`},
		{"a\nb\tc", `"a\nb\tc"`},
		{"\x00\x1b\x7f\u0085\u00a0", `"\x00\x1B\x7F\x85\xA0"`},
		{"\u2028\ufeff\uffff", `"\u2028\uFEFF\uFFFF"`},
		{"käse 🧀", `"käse 🧀"`},
	}
	for _, tt := range tests {
		if got := scalar(tt.in); got != tt.want {
			t.Errorf("scalar(%q) = %s, want %s", tt.in, got, tt.want)
		}
		var back any
		if err := yaml.Unmarshal([]byte("a: ["+scalar(tt.in)+"]"), &back); err != nil {
			t.Errorf("%q: %v", tt.in, err)
		} else if diff := cmp.Diff(any(map[string]any{"a": []any{tt.in}}), back); diff != "" {
			t.Errorf("%q (-want +read back):\n%s", tt.in, diff)
		}
	}
}

// Each character comes back, at the beginning, in the middle and at the end.
func TestScalarEveryCharacter(t *testing.T) {
	var want []string
	var doc strings.Builder
	for r := rune(0); r <= 0x1ffff; r++ {
		if !utf8.ValidRune(r) || r > 0x3000 && r%97 != 0 && r < 0xfe00 {
			continue // of the large blocks of letters a sample is enough
		}
		in := string(r) + "a" + string(r) + "b" + string(r)
		want = append(want, in)
		doc.WriteString("- " + scalar(in) + "\n")
	}
	var got []string
	if err := yaml.Unmarshal([]byte(doc.String()), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +read back):\n%s", diff)
	}
}

func TestTextBlocks(t *testing.T) {
	tests := []struct {
		in    string
		block bool
	}{
		{"a\nb\n", true},
		{"a\n\nb\n", true},
		{"a: b\n# c\n---\n", true},
		{"a\n", false},
		{"a\nb", false},
		{"a\nb\n\n", false},
		{"\na\n", false},
		{"\n", false},
		{" a\nb\n", false},
		{"a\n b\n", false},
		{"a \nb\n", false},
		{"a\tb\nc\n", false},
		{"a\r\nb\r\n", false},
		{"ä\nb\n", false},
		{"a\n \nb\n", false},
	}
	for _, tt := range tests {
		e := &encoder{}
		e.text(4, "note", tt.in)
		if got := strings.HasPrefix(e.String(), "    note: |\n"); got != tt.block {
			t.Errorf("%q: block is %v, want %v", tt.in, got, tt.block)
		}
		var back map[string]string
		if err := yaml.Unmarshal(e.Bytes(), &back); err != nil || back["note"] != tt.in {
			t.Errorf("%q came back as %q (%v) from\n%s", tt.in, back["note"], err, e.String())
		}
	}
}

func TestLongLists(t *testing.T) {
	long := "https://example.com/" + strings.Repeat("x", 100)
	e := &encoder{}
	e.list(2, "one", []string{long})
	e.list(2, "two", []string{long, "b"})
	e.list(2, "short", []string{"a", "b"})
	e.list(2, "none", []string{})
	want := "  one: [" + long + "]\n  two:\n    - " + long + "\n    - b\n  short: [a, b]\n"
	if diff := cmp.Diff(want, e.String()); diff != "" {
		t.Errorf("lists (-want +got):\n%s", diff)
	}
}

// The order of a lock's entries, groups and arches says nothing, and encoding
// leaves them as they are.
func TestEncodeIgnoresOrder(t *testing.T) {
	l := everything(t)
	want, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(l.Arches)
	slices.Reverse(l.Images)
	slices.Reverse(l.RPMs)
	slices.Reverse(l.Files)
	slices.Reverse(l.Files[len(l.Files)-1].Groups)
	slices.Reverse(l.Charts)
	slices.Reverse(l.Keys)
	slices.Reverse(l.Metadata)
	slices.Reverse(l.Derived)
	slices.Reverse(l.Absent)
	slices.Reverse(l.Accept)
	l.Expires = l.Expires.In(time.FixedZone("east", 3600))
	before := *l
	before.Images = slices.Clone(l.Images)
	before.Files = slices.Clone(l.Files)
	before.Files[len(l.Files)-1].Groups = slices.Clone(l.Files[len(l.Files)-1].Groups)
	got, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("encoding of the reversed lock (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(&before, l); diff != "" {
		t.Errorf("encoding changed the lock (-before +after):\n%s", diff)
	}
	if l.Digest() != digest.FromBytes(want) {
		t.Error("Digest is not that of the canonical encoding")
	}
}

// The order of publish and urls has a meaning.
func TestEncodeKeepsOrder(t *testing.T) {
	l := everything(t)
	want := l.Digest()
	i := slices.IndexFunc(l.Images, func(i Image) bool { return len(i.Publish) > 1 })
	slices.Reverse(l.Images[i].Publish)
	if l.Digest() == want {
		t.Error("another order of publish has the same digest")
	}
	l = everything(t)
	f := slices.IndexFunc(l.Files, func(f File) bool { return len(f.URLs) > 1 })
	slices.Reverse(l.Files[f].URLs)
	if l.Digest() == want {
		t.Error("another order of urls has the same digest")
	}
}

// What is encoded can be decoded: Encode refuses what DecodeLock refuses.
func TestEncodeRefuses(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Lock)
		want   string
	}{
		{"no name", func(l *Lock) { l.Name = "" }, "name is missing"},
		{"no digest", func(l *Lock) { l.Files[0].Digest = "" }, "file etcd/v3.4.14/amd64/etcd-v3.4.14-linux-amd64.tar.gz: digest is missing"},
		{"no size", func(l *Lock) { l.Files[0].Size = 0 }, "file etcd/v3.4.14/amd64/etcd-v3.4.14-linux-amd64.tar.gz: size is missing"},
		{"negative serial", func(l *Lock) { l.Serial = -1 }, "serial -1 is not above 0"},
		{"far expiry", func(l *Lock) { l.Expires = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, "expires: the year 10000 is not between 1970 and 9999"},
		{"not UTF-8", func(l *Lock) { l.Files[0].Note = "\xff" }, `file etcd/v3.4.14/amd64/etcd-v3.4.14-linux-amd64.tar.gz: note "\xff" is not UTF-8`},
		{"duplicate", func(l *Lock) { l.Charts = append(l.Charts, l.Charts[0]) }, `chart prometheus 14.12.0: chart "prometheus-14.12.0.tgz" is a duplicate of the one before`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := everything(t)
			// As if it had not been read from a file.
			for i := range l.Files {
				l.Files[i].Line = 0
			}
			for i := range l.Charts {
				l.Charts[i].Line = 0
			}
			tt.change(l)
			data, err := l.Encode()
			if errs, ok := errors.AsType[*Errors](err); !ok || len(errs.List) != 1 || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got error %v, want %s", err, tt.want)
			}
			if data != nil {
				t.Error("Encode gives bytes with its error")
			}
		})
	}
}

func TestEncodeTooLarge(t *testing.T) {
	data, err := finish(&checker{problems: &problems{}}, make([]byte, MaxSize+1))
	if data != nil || err == nil || err.Error() != "encoding takes 33554433 bytes, more than the 33554432 that are read" {
		t.Errorf("got %d bytes, error %v", len(data), err)
	}
}

// Digest is asked for before anything is checked, so it takes any value.
func TestDigestOfAnything(t *testing.T) {
	if (&Lock{}).Digest() == (&Lock{Files: []File{{}}}).Digest() {
		t.Error("an entry that says nothing changes nothing")
	}
	empty := &Lock{Images: []Image{{Source: "a", Platforms: map[string]digest.Digest{}, Publish: []string{}}}}
	if empty.Digest() != (&Lock{Images: []Image{{Source: "a"}}}).Digest() {
		t.Error("an empty list and no list differ")
	}
}

func TestRequestEncodeRefuses(t *testing.T) {
	r := &Request{Name: "a", Arches: []string{"x86_64"}, Files: []FileWish{{Path: "a"}}}
	if _, err := r.Encode(); err == nil || err.Error() != "file a: url is missing" {
		t.Errorf("got error %v", err)
	}
}

func BenchmarkDecodeLock(b *testing.B) {
	l := everything(b)
	rpm := l.RPMs[0]
	l.RPMs = nil
	for i := range 5000 {
		rpm.Name = "package-" + strings.Repeat("x", i%10) + string(rune('a'+i%26)) + digest.FromString(string(rune(i))).Encoded()[:8]
		rpm.Digest = digest.FromString(rpm.Name)
		l.RPMs = append(l.RPMs, rpm)
	}
	data, err := l.Encode()
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeLock("bench", data); err != nil {
			b.Fatal(err)
		}
	}
}
