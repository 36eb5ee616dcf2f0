package repodata_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
)

// plainOpen opens the site's files without slowing them down.
func (s site) plainOpen(_ context.Context, path string) (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s[path])), nil
}

// packed is a text packed in all the ways that there are writers for, and bzip2 for
// smallPrimary.
func packed(t *testing.T, text string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	pack := func(name string, make func(io.Writer) (io.WriteCloser, error)) {
		var b bytes.Buffer
		w, err := make(&b)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(w, text)
		if err := errors.Join(err, w.Close()); err != nil {
			t.Fatal(err)
		}
		out[name] = b.Bytes()
	}
	pack("gzip", func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
	pack("xz", func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
	pack("zstd", func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
	if text == smallPrimary {
		bz2, err := hex.DecodeString(smallPrimaryBzip2)
		if err != nil {
			t.Fatal(err)
		}
		out["bzip2"] = bz2
	}
	return out
}

// TestPackedListCutAnywhere: a packing that ends too early, or goes on, is an error even when
// repomd.xml says that this is the list; half a list is never taken for a whole one.
func TestPackedListCutAnywhere(t *testing.T) {
	for name, data := range packed(t, smallPrimary) {
		for size := range data {
			got, err := repodata.ReadPrimary(t.Context(), siteOf(data[:size]).plainOpen)
			if _, ok := errors.AsType[*repodata.MalformedError](err); !ok || got != nil {
				t.Errorf("%s cut to %d of %d bytes: %v, %v", name, size, len(data), got, err)
			}
		}
		for what, more := range map[string][]byte{"rubbish": []byte("rubbish behind it"), "itself": data} {
			got, err := repodata.ReadPrimary(t.Context(), siteOf(append(bytes.Clone(data), more...)).plainOpen)
			if _, ok := errors.AsType[*repodata.MalformedError](err); !ok || got != nil {
				t.Errorf("%s with %s behind it: %v, %v", name, what, got, err)
			}
		}
	}
}

// TestPackedListDamagedAnywhere: the checksum of repomd.xml is over the packed bytes, so that
// any change of them is seen, also where the packing itself would not see it.
func TestPackedListDamagedAnywhere(t *testing.T) {
	for name, data := range packed(t, smallPrimary) {
		for at := range data {
			s := siteOf(data)
			damaged := bytes.Clone(data)
			damaged[at] ^= 4
			s["repodata/p.xml"] = damaged
			if got, err := repodata.ReadPrimary(t.Context(), s.plainOpen); !errors.Is(err, repodata.ErrMismatch) || got != nil {
				t.Errorf("%s, byte %d: %v, %v", name, at, got, err)
			}
		}
	}
}

// TestChecksumOfTheListInEveryType: right is accepted, one digit off is not.
func TestChecksumOfTheListInEveryType(t *testing.T) {
	list := []byte(smallPrimary)
	for _, kind := range []string{"md5", "sha", "sha1", "sha224", "sha256", "sha384", "sha512"} {
		value := hashOf(kind, list)
		s := site{rpm.RepomdPath: repomdOf(kind, strings.ToUpper(value), "p"), "p": list}
		if got, err := repodata.ReadPrimary(t.Context(), s.plainOpen); err != nil || len(got) != 1 {
			t.Errorf("%s: %v, %v", kind, got, err)
		}
		last := map[bool]string{true: "1", false: "0"}[strings.HasSuffix(value, "0")]
		s[rpm.RepomdPath] = repomdOf(kind, value[:len(value)-1]+last, "p")
		if _, err := repodata.ReadPrimary(t.Context(), s.plainOpen); !errors.Is(err, repodata.ErrMismatch) || !strings.Contains(err.Error(), value) {
			t.Errorf("%s, one digit off: %v", kind, err)
		}
		for _, wrong := range []string{value[:len(value)-2], value + "00", "0x" + value[2:], ""} {
			s[rpm.RepomdPath] = repomdOf(kind, wrong, "p")
			if _, err := repodata.ReadPrimary(t.Context(), s.plainOpen); err == nil || errors.Is(err, repodata.ErrMismatch) {
				t.Errorf("%s %q: %v", kind, wrong, err)
			}
		}
	}
}

// allocated returns how many bytes f takes in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestOddXML is what XML can hold beside elements: accepted where it changes nothing, else
// refused, and never taken to memory in proportion to what it promises.
func TestOddXML(t *testing.T) {
	const sum = `<checksum type="md5">00000000000000000000000000000000</checksum>`
	pkg := `<package><location href="a"/>` + sum + `</package>`
	doc := func(inner string) string { return "<metadata>" + inner + "</metadata>" }
	bomb := `<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa">` + strings.Repeat(`<!ENTITY b "&a;&a;&a;&a;">`, 1000) + `]>`
	for _, tt := range []struct {
		name, text string
		refused    string
	}{
		{"byte order mark", "\xef\xbb\xbf" + doc(pkg), ""},
		{"processing instructions", `<?xml version="1.0"?><?x y?>` + doc(`<?z?>`+pkg), ""},
		{"doctype that names a DTD", `<!DOCTYPE metadata PUBLIC "-//x" "x.dtd">` + doc(pkg), ""},
		{"doctype that is not used", bomb + doc(pkg), "declarations"},
		{"doctype that is used", bomb + doc(`<package><location href="&b;"/>`+sum+`</package>`), "declarations"},
		{"entity that nothing declares", doc(`<package><location href="&b;"/>` + sum + `</package>`), "entity"},
		{"numeric entities", doc(`<package><location href="&#97;"/>` + sum + `</package>`), ""},
		{"NUL entity", doc(`<package><location href="&#0;a"/>` + sum + `</package>`), "illegal character"},
		{"another encoding", `<?xml version="1.0" encoding="ISO-8859-1"?>` + doc(pkg), "encoding"},
		{"UTF-16", "\xff\xfe<\x00m\x00", ""},
		{"not UTF-8", doc("<package><location href=\"\xff\"/>" + sum + "</package>"), "invalid UTF-8"},
		{"attribute twice", doc(`<package><location href="a" href="b"/>` + sum + `</package>`), "one attribute twice"},
		{"attribute without quotes", doc(`<package><location href=a/>` + sum + `</package>`), "unquoted"},
		{"huge attribute of what is skipped", doc(`<other x="` + strings.Repeat("a", 5<<20) + `"/>` + pkg), "more than the 4194304 bytes"},
		{"large attribute of what is skipped", doc(`<other x="` + strings.Repeat("a", 1<<20) + `"/>` + pkg), ""},
		{"many attributes", doc(`<other ` + manyAttributes(100_000) + `/>` + pkg), "too many attributes"},
		{"some attributes", doc(`<other ` + manyAttributes(200) + `/>` + pkg), ""},
		{"endless name", doc("<" + strings.Repeat("a", 5<<20)), "more than the 4194304 bytes"},
		{"endless comment", doc("<!--" + strings.Repeat("a", 17<<20)), "a comment without end"},
		{"endless CDATA", doc("<x><![CDATA[" + strings.Repeat("a", 17<<20)), "a CDATA without end"},
		{"elements crossed", doc("<package><a></package></a>"), "line 1"},
		{"two locations", doc(`<package><location href="b"/><location href="a"/>` + sum + `</package>`), ""},
		{"empty location", doc(`<package><location href=""/>` + sum + `</package>`), "without location"},
		{"in another root", "<a>" + doc(pkg) + "</a>", `root element "a"`},
		{"two roots", doc(pkg) + doc(pkg), "behind the end"},
		{"text around", doc("text " + pkg + " text"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := siteOf([]byte(tt.text))
			var got map[string]rpm.Checksum
			var err error
			used := allocated(func() { got, err = repodata.ReadPrimary(t.Context(), s.plainOpen) })
			// In all, not at once: a token that grows is copied again and again.
			if limit := uint64(32<<20 + 8*len(tt.text)); used > limit {
				t.Errorf("%d bytes for a text of %d", used, len(tt.text))
			}
			if tt.name == "UTF-16" {
				if err == nil {
					t.Errorf("ReadPrimary() = %v", got)
				}
				return
			}
			if tt.refused == "" && (err != nil || len(got) != 1) {
				t.Errorf("ReadPrimary() = %v, %v", got, err)
			}
			if _, ok := errors.AsType[*repodata.MalformedError](err); tt.refused != "" && (!ok || !strings.Contains(err.Error(), tt.refused)) {
				t.Errorf("ReadPrimary() = %v, %v; want %q", got, err, tt.refused)
			}
		})
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `a%d="" `, i)
	}
	return b.String()
}

// TestHostileWindows: a packed list may say how much memory unpacking it needs, and gets
// no more than real ones need.
func TestHostileWindows(t *testing.T) {
	block := []byte{1, 0, 0} // the last one, raw, empty
	for name, data := range map[string][]byte{
		"zstd of 1 GiB":   append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 20 << 3}, block...),
		"zstd of 3.75 TB": append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0xff}, block...),
		"xz of 4 GiB":     xzWithDictionary(40),
	} {
		var err error
		used := allocated(func() { _, err = repodata.ReadPrimary(t.Context(), siteOf(data).plainOpen) })
		if _, ok := errors.AsType[*repodata.MalformedError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
		if used > 16<<20 {
			t.Errorf("%s: %d bytes for %d", name, used, len(data))
		}
	}
}

// xzWithDictionary is the beginning of a stream of xz with a dictionary of that size code
// (The .xz File Format, sections 2.1.1, 3.1 and 5.3.1).
func xzWithDictionary(code byte) []byte {
	sum := func(p []byte) []byte {
		n := crc32.ChecksumIEEE(p)
		return append(p, byte(n), byte(n>>8), byte(n>>16), byte(n>>24))
	}
	stream := append([]byte("\xfd7zXZ\x00"), sum([]byte{0, 1})...)
	block := sum([]byte{2, 0, 0x21, 1, code, 0, 0, 0})
	return append(append(stream, block...), 0)
}

// TestRepomdIsNotUnpacked: clients do not unpack it either.
func TestRepomdIsNotUnpacked(t *testing.T) {
	for name, data := range packed(t, string(repomdOf("md5", strings.Repeat("0", 32), "p"))) {
		_, err := repodata.ReadPrimary(t.Context(), site{rpm.RepomdPath: data}.plainOpen)
		if _, ok := errors.AsType[*repodata.MalformedError](err); !ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// hashOf is a checksum as repomd.xml has it.
func hashOf(kind string, data []byte) string {
	h := map[string]func() hash.Hash{
		"md5": md5.New, "sha": sha1.New, "sha1": sha1.New, "sha224": sha256.New224,
		"sha256": sha256.New, "sha384": sha512.New384, "sha512": sha512.New,
	}[kind]()
	h.Write(data)
	return hex.EncodeToString(h.Sum(nil))
}
