package repodata_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"
	"github.com/ulikunitz/xz"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
)

// A site is the files of a repository that a test makes.
type site map[string][]byte

func (s site) open(ctx context.Context, path string) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	data, ok := s[path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(iotest.OneByteReader(bytes.NewReader(data))), nil
}

// siteOf is a repository whose primary list holds what is given, packed in any way.
func siteOf(primary []byte) site {
	return site{
		rpm.RepomdPath:   repomdOf("sha256", hashOf("sha256", primary), "repodata/p.xml"),
		"repodata/p.xml": primary,
	}
}

func repomdOf(kind, checksum, location string) []byte {
	return fmt.Appendf(nil, `<?xml version="1.0"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>
 <data type="other"><location href="repodata/o.xml"/></data>
 <data type="primary"><checksum type=%q>
   %s </checksum><location href=%q/><size>1</size></data>
</repomd>`, kind, checksum, location)
}

const smallPrimary = `<?xml version="1.0"?>
<metadata packages="1"><package><checksum type="sha">aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</checksum><location href="a.rpm"/></package></metadata>
`

// smallPrimaryBzip2 is smallPrimary packed by bzip2, for which there is no writer in Go.
const smallPrimaryBzip2 = "" +
	"425a6839314159265359082d05bc00000dd98000105401e007afefdf6020006a1a9935031a834d1ea0006927a469a36a341a" +
	"34c108065662bc2a2bc1bca17b94c2c44881172b4a426732c62e5e9ad479874c8c48a2233c91a48141b208296378630b970a" +
	"3ccc86096455da7b88f3d0954be9e7dcc6c8c281015b982df4fc5dc914e1424020b416f0"

func TestReadPrimaryPacked(t *testing.T) {
	pack := func(w io.WriteCloser, out *bytes.Buffer) []byte {
		if _, err := io.WriteString(w, smallPrimary); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	var gzOut, xzOut, zstOut bytes.Buffer
	xzWriter, err := xz.NewWriter(&xzOut)
	if err != nil {
		t.Fatal(err)
	}
	zstWriter, err := zstd.NewWriter(&zstOut)
	if err != nil {
		t.Fatal(err)
	}
	bz2, err := hex.DecodeString(smallPrimaryBzip2)
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{
		"plain": []byte(smallPrimary), "bzip2": bz2,
		"gzip": pack(gzip.NewWriter(&gzOut), &gzOut), "xz": pack(xzWriter, &xzOut), "zstd": pack(zstWriter, &zstOut),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := repodata.ReadPrimary(t.Context(), siteOf(packed).open)
			want := map[string]rpm.Checksum{"a.rpm": {Type: "sha1", Value: strings.Repeat("a", 40)}}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("error %v, (-want +got):\n%s", err, diff)
			}
			damaged := bytes.Clone(packed)
			damaged[len(damaged)/2] ^= 0x10
			s := siteOf(packed)
			s["repodata/p.xml"] = damaged
			if _, err := repodata.ReadPrimary(t.Context(), s.open); !errors.Is(err, repodata.ErrMismatch) {
				t.Errorf("damaged: %v", err)
			}
			if name == "plain" {
				return
			}
			// Cut, but with the right checksum: the packing itself is broken.
			if _, err := repodata.ReadPrimary(t.Context(), siteOf(packed[:len(packed)-9]).open); err == nil || errors.Is(err, repodata.ErrMismatch) {
				t.Errorf("cut: %v", err)
			}
		})
	}
}

func TestReadPrimaryChecksumTypes(t *testing.T) {
	for _, tt := range []struct{ written, digits, want string }{
		{"sha", strings.Repeat("0a", 20), "sha1:"},
		{"sha1", strings.Repeat("0A", 20), "sha1:"},
		{"md5", strings.Repeat("0a", 16), "md5:"},
		{"sha224", strings.Repeat("0a", 28), "sha224:"},
		{"sha256", strings.Repeat("0a", 32), "sha256:"},
		{"sha384", strings.Repeat("0a", 48), "sha384:"},
		{"sha512", strings.Repeat("0a", 64), "sha512:"},
	} {
		primary := fmt.Sprintf(`<metadata><package><checksum type=%q>%s</checksum><location href="a"/></package></metadata>`, tt.written, tt.digits)
		got, err := repodata.ReadPrimary(t.Context(), siteOf([]byte(primary)).open)
		if want := digest.Digest(tt.want + strings.ToLower(tt.digits)); err != nil || got["a"].Digest() != want {
			t.Errorf("%s: %v, %v; want %s", tt.written, got, err, want)
		}
	}
	hash := sha1.Sum([]byte(smallPrimary))
	for _, kind := range []string{"sha", "sha1"} { // of the list itself
		s := site{rpm.RepomdPath: repomdOf(kind, hex.EncodeToString(hash[:]), "p"), "p": []byte(smallPrimary)}
		if got, err := repodata.ReadPrimary(t.Context(), s.open); err != nil || len(got) != 1 {
			t.Errorf("repomd with %s: %v, %v", kind, got, err)
		}
	}
}

func TestReadPrimaryLenient(t *testing.T) {
	primary := `<?xml version="1.0" encoding="UTF-8"?><!-- a comment -->
<m:metadata xmlns:m="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="2">
 <surprise><package>not here</package></surprise>
 <m:package type="rpm">
  <m:location xml:base="http://x/" href="a&amp;b &#228;.rpm"/><future deep="1"><checksum type="sha256">no</checksum><location href="no"/></future>
  <m:checksum type="sha256" pkgid="YES"> ` + strings.Repeat("0a", 32) + `
  </m:checksum><m:summary><![CDATA[<location href="no"/>]]></m:summary>
 </m:package>
 <package><location href="same"/><checksum type="md5">` + strings.Repeat("00", 16) + `</checksum></package>
 <package><location href="same"/><checksum type="md5">` + strings.Repeat("00", 16) + `</checksum></package>
</m:metadata>
<!-- the end -->
`
	got, err := repodata.ReadPrimary(t.Context(), siteOf([]byte(primary)).open)
	want := map[string]rpm.Checksum{
		"a&b ä.rpm": {Type: "sha256", Value: strings.Repeat("0a", 32)}, "same": {Type: "md5", Value: strings.Repeat("00", 16)},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v, (-want +got):\n%s", err, diff)
	}
}

func TestReadPrimaryRefuses(t *testing.T) {
	sha := strings.Repeat("0a", 32)
	pkg := func(href, hash string) string {
		return fmt.Sprintf("<package><location href=%q/><checksum type=\"sha256\">%s</checksum></package>", href, hash)
	}
	primary := func(text string) site { return siteOf([]byte(text)) }
	repomd := func(text string) site { return site{rpm.RepomdPath: []byte(text)} }
	deep := strings.Repeat("<a>", 100)
	for _, tt := range []struct {
		name string
		site site
		want string
	}{
		{"no repomd", site{}, "open repodata/repomd.xml: file does not exist"},
		{"no primary", repomd(string(repomdOf("sha256", sha, "p"))), "open p: file does not exist"},
		{"repomd empty", repomd(""), `repomd.xml: line 1, column 1: there is no element "repomd"`},
		{"repomd of HTML", repomd("<html><body>login</body></html>"), `root element "html", want "repomd"`},
		{"repomd cut", repomd("<repomd>\n<data type='primary'>\n<location"), "repomd.xml: line 3, column 1: the document ends in a tag"},
		{"repomd without primary", repomd("<repomd><data type='other'/></repomd>"), "names no primary list"},
		{"repomd without checksum", repomd("<repomd>\n<data type='primary'><location href='p'/></data></repomd>"), "line 2"},
		{"repomd with two", repomd(strings.Replace(string(repomdOf("sha256", sha, "p")), "other", "primary", 1)), "without location or checksum"},
		{"repomd with two primaries", repomd("<repomd><data type='primary'><location href='p'/><checksum type='sha256'>" + sha + "</checksum></data><data type='primary'><location href='q'/><checksum type='sha256'>" + sha + "</checksum></data></repomd>"), "a second primary list"},
		{"unknown checksum", repomd(string(repomdOf("crc32", sha, "p"))), `line 5, column 80: unknown checksum type "crc32"`},
		{"short checksum", repomd(string(repomdOf("sha256", "00", "p"))), `"00" is not a sha256`},
		{"no hexadecimal", repomd(string(repomdOf("sha256", strings.Repeat("xy", 32), "p"))), "is not a sha256"},
		{"location above", repomd(string(repomdOf("sha256", sha, "../p"))), "not below the repository"},
		{"location elsewhere", repomd(string(repomdOf("sha256", sha, "http://evil.invalid/p"))), "not below the repository"},
		{"repomd too large", repomd("<repomd>" + strings.Repeat(" ", 4<<20) + "</repomd>"), "more than the 4194304 bytes allowed"},
		{"wrong bytes", site{rpm.RepomdPath: repomdOf("sha256", sha, "p"), "p": []byte(smallPrimary)}, "read p: it is not the file that repomd.xml names"},
		{"empty list", primary(""), `there is no element "metadata"`},
		{"other root", primary("<filelists/>"), `root element "filelists", want "metadata"`},
		{"cut", primary("<metadata>\n<package>\n<name>a</na"), "line 3"},
		{"entity", primary("<metadata>\n&bomb;</metadata>"), "line 2"},
		{"no checksum", primary("<metadata>\n<package>\n<location href='a'/></package></metadata>"), "line 3, column 31: a package without location or checksum"},
		{"no location", primary("<metadata><package><checksum type='sha256'>" + sha + "</checksum></package></metadata>"), "without location or checksum"},
		{"two checksums", primary("<metadata>\n" + pkg("a", sha) + "\n" + pkg("a", strings.Repeat("0b", 32)) + "</metadata>"), "line 3, column 139: a is listed with two checksums"},
		{"long checksum", primary("<metadata><package><checksum type='sha256'>" + strings.Repeat(" ", 2000) + sha + "</checksum></package></metadata>"), "a checksum of more than 1024 bytes"},
		{"markup in a checksum", primary("<metadata><package><checksum type='sha256'><b>" + sha + "</b></checksum></package></metadata>"), `markup in the text of element "checksum"`},
		{"long location", primary("<metadata>" + pkg(strings.Repeat("a", 5000), sha) + "</metadata>"), "a location of 5000 bytes"},
		{"deep", primary("<metadata>" + deep), "more than 64 elements in one another"},
		{"deep in a package", primary("<metadata><package>" + deep), "more than 64 elements in one another"},
		{"huge token", primary("<metadata><package><checksum type='sha256'>" + strings.Repeat("a", 17<<20) + "</checksum></package></metadata>"), "a text of more than 65536 bytes"},
		{"something behind", primary("<metadata></metadata><metadata></metadata>"), `element "metadata" behind the end`},
		{"rubbish behind", primary("<metadata></metadata></x>"), "line 1"},
		{"no XML", primary("\x00\x01\x02"), "line 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			open := func(_ context.Context, path string) (io.ReadCloser, error) {
				if data, ok := tt.site[path]; ok {
					return io.NopCloser(bytes.NewReader(data)), nil
				}
				return nil, fs.ErrNotExist
			}
			got, err := repodata.ReadPrimary(t.Context(), open)
			if got != nil || err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ReadPrimary() = %v, %v; want an error with %q", got, err, tt.want)
			}
		})
	}
}

func TestReadPrimarySourceBreaks(t *testing.T) {
	broken := errors.New("line cut")
	s := siteOf([]byte(smallPrimary))
	for path, data := range s {
		for _, size := range []int{0, 30, len(data) - 1} {
			open := func(ctx context.Context, p string) (io.ReadCloser, error) {
				if p == path {
					return io.NopCloser(io.MultiReader(bytes.NewReader(data[:size]), iotest.ErrReader(broken))), nil
				}
				return s.open(ctx, p)
			}
			if _, err := repodata.ReadPrimary(t.Context(), open); !errors.Is(err, broken) || errors.Is(err, repodata.ErrMismatch) {
				t.Errorf("%s breaks after %d bytes: %v", path, size, err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := repodata.ReadPrimary(ctx, s.open); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// TestReadPrimaryMemory: of 10,000 packages with long descriptions, only locations and
// checksums are kept, and not much more is in memory at any time.
func TestReadPrimaryMemory(t *testing.T) {
	const packages = 10_000
	long := strings.Repeat("A long description. ", 80)
	var out bytes.Buffer
	gz := gzip.NewWriter(&out)
	fmt.Fprint(gz, "<metadata>")
	for i := range packages {
		fmt.Fprintf(gz, "<package><description>%s</description><checksum type='sha256'>%064x</checksum><location href='p%d.rpm'/></package>", long, i, i)
	}
	fmt.Fprint(gz, "</metadata>")
	if err := gz.Close(); err != nil {
		t.Fatal(err)
	}
	s := siteOf(out.Bytes())
	peak := uint64(0)
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	base := stats.HeapAlloc
	open := func(_ context.Context, path string) (io.ReadCloser, error) {
		return io.NopCloser(&watched{r: bytes.NewReader(s[path]), each: func() {
			runtime.GC()
			runtime.ReadMemStats(&stats)
			peak = max(peak, stats.HeapAlloc-min(base, stats.HeapAlloc))
		}}), nil
	}
	got, err := repodata.ReadPrimary(t.Context(), open)
	if err != nil || len(got) != packages {
		t.Fatalf("%d packages, %v", len(got), err)
	}
	if limit := uint64(6 << 20); peak > limit {
		t.Errorf("%d bytes in memory while reading a list of 17 MB, want at most %d", peak, limit)
	}
}

// A watched reader calls each once in a while.
type watched struct {
	r    io.Reader
	each func()
	n    int
}

func (w *watched) Read(p []byte) (int, error) {
	if w.n++; w.n%2 == 0 {
		w.each()
	}
	return w.r.Read(p[:min(len(p), 8<<10)])
}

func FuzzReadPrimary(f *testing.F) {
	f.Add([]byte(smallPrimary))
	f.Add([]byte(`<metadata><package><location href="a"/><checksum type="md5">00</checksum></package></metadata>`))
	f.Add([]byte("\x1f\x8b"))
	f.Add([]byte("\xfd7zXZ\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Add([]byte("BZh9"))
	fuzztest.Run(f, func(t *testing.T, primary []byte) {
		for _, s := range []site{siteOf(primary), {rpm.RepomdPath: primary}} {
			open := func(_ context.Context, path string) (io.ReadCloser, error) {
				return io.NopCloser(bytes.NewReader(s[path])), nil
			}
			got, err := repodata.ReadPrimary(t.Context(), open)
			if (got == nil) == (err == nil) {
				t.Errorf("ReadPrimary() = %v, %v", got, err)
			}
			for location, c := range got {
				if location == "" || c.Type == "" || c.Value == "" {
					t.Errorf("%q: %+v", location, c)
				}
			}
		}
	})
}

func BenchmarkReadPrimary(b *testing.B) {
	s := written(b, 1000)
	open := func(_ context.Context, path string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(s[path])), nil
	}
	b.ReportAllocs()
	for b.Loop() {
		if got, err := repodata.ReadPrimary(b.Context(), open); err != nil || len(got) != 1000 {
			b.Fatal(len(got), err)
		}
	}
}
