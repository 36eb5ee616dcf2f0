package archive

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"
)

// foreignTar writes files with archive/tar, sorted by name.
func foreignTar(tb testing.TB, format tar.Format, files map[string]string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: name, Size: int64(len(files[name])), Mode: 0o600, Typeflag: tar.TypeReg, Format: format}
		if err := w.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := w.Write([]byte(files[name])); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// Every way in which GNU tar writes a layout is read.
func TestOpenLayoutOfGNUTar(t *testing.T) {
	dir := t.TempDir()
	layer := strings.Repeat("layer", 1000)
	big := digest.SHA512.FromString(layer)
	files := map[string]string{
		"oci-layout": ociLayout,
		"index.json": `{"schemaVersion":2,"manifests":[]}`,
		"blobs/sha256/" + digest.FromString(layer).Encoded(): layer,
		"blobs/sha512/" + big.Encoded():                      layer,
		"blobs/sha256/" + digest.FromString("").Encoded():    "",
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Dir(path), filepath.Base(path), []byte(data))
	}
	for _, args := range [][]string{
		{"--format=gnu", "."}, {"--format=posix", "."}, {"--format=ustar", "./oci-layout", "./index.json", "./blobs/sha256"}, {"--format=v7", "oci-layout", "index.json", "blobs/sha256"},
		{"--format=gnu", "index.json", "blobs", "oci-layout"}, {"--format=posix", "--pax-option=globexthdr.name=g,comment=hello", "oci-layout", "index.json", "blobs"},
		{"--blocking-factor=1", "oci-layout", "index.json", "blobs"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			cmd := exec.CommandContext(t.Context(), "tar", append([]string{"-C", dir, "-cf", path}, args...)...)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			l, problems, err := OpenLayout(path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if string(l.OCILayout()) != ociLayout || string(l.Index()) != files["index.json"] || len(problems) > 0 {
				t.Errorf("oci-layout %s, index.json %s, problems %v", l.OCILayout(), l.Index(), problems)
			}
			want := slices.Sorted(maps.Keys(files))
			if args[len(args)-1] != "." && !slices.Contains(args, "blobs") { // no room for sha512 names
				want = slices.DeleteFunc(want, func(n string) bool { return strings.Contains(n, "sha512") })
			}
			if diff := cmp.Diff(want, slices.Sorted(slices.Values(l.Files()))); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			d := ocispec.Descriptor{Digest: digest.FromString(layer), Size: int64(len(layer))}
			if err := drain(t.Context(), l, d); err != nil {
				t.Error(err)
			}
			if _, err := Open(path); !errors.Is(err, ErrNotBundle) {
				t.Errorf("Open: %v, want ErrNotBundle", err)
			}
		})
	}
}

func TestOpenLayoutOfGoTar(t *testing.T) {
	long := "blobs/sha256/" + strings.Repeat("a", 200)
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatPAX, tar.FormatGNU} {
		files := map[string]string{"./oci-layout": ociLayout, "./index.json": "{}", "blobs/ü": "x"}
		if format == tar.FormatUSTAR {
			delete(files, "blobs/ü")
		} else {
			files[long] = "content"
		}
		l, problems, err := OpenLayout(writeFile(t, t.TempDir(), "a.tar", foreignTar(t, format, files)))
		if err != nil || len(problems) > 0 {
			t.Fatalf("%v: %v, %v", format, err, problems)
		}
		if size, ok := l.Size(long); format != tar.FormatUSTAR && (!ok || size != 7) {
			t.Errorf("%v: long name: %d bytes, %v", format, size, ok)
		}
		if _, ok := l.Size("./index.json"); ok {
			t.Errorf("%v: the name keeps its ./", format)
		}
		l.Close()
	}
}

// Only POSIX headers have a prefix for the name; GNU's have times there.
func TestPrefix(t *testing.T) {
	name := strings.Repeat("directory/", 12) + "x"
	file := foreignTar(t, tar.FormatUSTAR, map[string]string{"index.json": "{}", "oci-layout": ociLayout, name: "content"})
	if !bytes.Contains(file, []byte("ustar\x0000")) || bytes.Contains(file, []byte(name)) {
		t.Fatal("archive/tar did not split the name")
	}
	l, problems, err := OpenLayout(writeFile(t, t.TempDir(), "a.tar", file))
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	defer l.Close()
	if size, ok := l.Size(name); !ok || size != 7 {
		t.Errorf("%d bytes, %v; files %q", size, ok, l.Files())
	}
	h := encodeHeader("x", 0)
	copy(h[257:], "ustar  \x00")
	copy(h.prefix(), "14721234567")
	if got := headerName(&h); got != "x" {
		t.Errorf("GNU header with an access time: name %q", got)
	}
}

// A bundle of ours is a layout too.
func TestOpenLayoutOfBundle(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	l, problems, err := OpenLayout(path)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	defer l.Close()
	for _, d := range s.layout.Blobs() {
		if err := drain(t.Context(), l, d); err != nil {
			t.Error(err)
		}
		if ok, err := l.Exists(t.Context(), d); !ok || err != nil {
			t.Errorf("%s: exists %v, %v", d.Digest, ok, err)
		}
		d.Size++
		if _, err := l.Fetch(t.Context(), d); err == nil {
			t.Errorf("%s: fetched by a wrong size", d.Digest)
		}
		if ok, _ := l.Exists(t.Context(), d); ok {
			t.Errorf("%s: exists with a wrong size", d.Digest)
		}
	}
	if _, err := l.Fetch(t.Context(), fake("stranger", 1)); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	if ok, err := l.Exists(t.Context(), fake("stranger", 1)); ok || err != nil {
		t.Errorf("a stranger exists: %v, %v", ok, err)
	}
	for _, bad := range []digest.Digest{"", "sha256:../../index.json", "md5:0123456789abcdef0123456789abcdef", "sha256:ABC"} {
		if _, err := l.Fetch(t.Context(), ocispec.Descriptor{Digest: bad}); err == nil || errors.Is(err, errdef.ErrNotFound) {
			t.Errorf("digest %q: %v, want it refused", bad, err)
		}
	}
}

// A member is one raw entry of a hostile tar.
type member struct {
	name, data string
	flag       byte
	size       string // the size field, when it is not that of data
}

// hostile writes members after a good oci-layout and index.json.
func hostile(members ...member) []byte {
	b := slices.Concat(entryOf("oci-layout", []byte(ociLayout)), entryOf("index.json", []byte("{}")))
	for _, m := range members {
		h := encodeHeader("", int64(len(m.data)))
		copy(h.name(), m.name)
		if m.flag != 0 {
			h[156] = m.flag
		}
		copy(h.size(), m.size)
		fixChecksum(&h)
		b = slices.Concat(b, h[:], []byte(m.data), make([]byte, padding(int64(len(m.data)))))
	}
	return append(b, make([]byte, tailSize)...)
}

func pax(records ...string) member {
	data := ""
	for _, r := range records {
		n := len(r) + 3
		for len(fmt.Sprint(n))+len(r)+2 != n {
			n++
		}
		data += fmt.Sprintf("%d %s\n", n, r)
	}
	return member{name: "PaxHeaders/x", flag: 'x', data: data}
}

func TestOpenLayoutRefuses(t *testing.T) {
	good := member{name: "blobs/x", data: "content"}
	global := pax("size=3")
	global.flag = 'g'
	damaged := hostile(good)
	damaged[2*blockSize*2+5] ^= 1
	whole := hostile(good)
	padded := hostile(good)
	padded[len(padded)-tailSize-1] = 1
	for name, test := range map[string]struct {
		file []byte
		msg  string
	}{
		"symlink":             {hostile(member{name: "blobs/x", flag: '2'}), "is a link"},
		"hard link":           {hostile(member{name: "blobs/x", flag: '1'}), "is a link"},
		"long link":           {hostile(member{name: "././@LongLink", flag: 'K', data: "target"}), "is a link"},
		"pax link":            {hostile(pax("linkpath=/etc/passwd"), good), "a link"},
		"pax link global":     {hostile(member{name: "g", flag: 'g', data: pax("linkpath=x").data}, good), "a link"},
		"pax charset":         {hostile(pax("hdrcharset=BINARY"), good), "character set"},
		"pax other name":      {hostile(pax("path=blobs/y"), good), `its own header calls it "blobs/x"`},
		"L other name":        {hostile(member{name: "L", flag: 'L', data: "blobs/y\x00"}, good), `its own header calls it "blobs/x"`},
		"L name with NUL":     {hostile(member{name: "L", flag: 'L', data: "blobs/x\x00y"}, good), "text behind its end"},
		"name with NUL":       {hostile(member{name: "blobs/x\x00y", data: "content"}), "text behind its end"},
		"pax name with NUL":   {hostile(pax("path=blobs/x\x00y"), good), "control characters"},
		"drive":               {hostile(member{name: "C:/x"}), "absolute"},
		"name of 1 MiB":       {hostile(member{name: "x", flag: 'L', data: strings.Repeat("a", 1<<20)}, good), "a name of 1048576 bytes"},
		"directories":         {hostile(directories(maxDirectories + 1)...), "more entries than"},
		"star sparse":         {hostile(pax("SCHILY.realsize=10"), good), "a sparse entry"},
		"directory and file":  {hostile(member{name: "blobs/x/", flag: '5'}, good), "first as a directory"},
		"directory twice":     {hostile(member{name: "blobs/", flag: '5'}, member{name: "./BLOBS", flag: '5'}, good), "stands twice"},
		"file and directory":  {hostile(good, member{name: "blobs/X/", flag: '5'}), "first as a file"},
		"padding":             {padded, "padding, at byte 2567, is not zero"},
		"link with content":   {hostile(member{name: "blobs/x", flag: '1', data: "content"}), "is a link"},
		"zeros":               {make([]byte, 4096), "begins with zeros"},
		"zeros without end":   {append(bytes.Clone(whole), make([]byte, maxBlocking+1)...), "follow the end"},
		"zstd":                {append([]byte("\x28\xb5\x2f\xfd"), make([]byte, 2000)...), "compressed (zstd)"},
		"xz":                  {append([]byte("\xfd7zXZ\x00"), make([]byte, 2000)...), "compressed (xz)"},
		"random":              {bytes.Repeat([]byte("random"), 1000), "not a tar archive"},
		"device":              {hostile(member{name: "blobs/x", flag: '3'}), "is a device"},
		"block device":        {hostile(member{name: "blobs/x", flag: '4'}), "is a device"},
		"FIFO":                {hostile(member{name: "blobs/x", flag: '6'}), "is a device or FIFO"},
		"GNU sparse":          {hostile(member{name: "blobs/x", flag: 'S'}), "is sparse"},
		"pax sparse":          {hostile(pax("GNU.sparse.major=1"), good), "a sparse entry"},
		"unknown type":        {hostile(member{name: "blobs/x", flag: 'V'}), `unknown type 'V'`},
		"absolute":            {hostile(member{name: "/etc/passwd"}), "absolute"},
		"traversal":           {hostile(member{name: "blobs/../../x"}), "leads out"},
		"pax traversal":       {hostile(pax("path=../x"), good), "leads out"},
		"backslash":           {hostile(member{name: `blobs\x`}), "backslash"},
		"control character":   {hostile(member{name: "blobs/\x1b[2J"}), "control characters"},
		"not UTF-8":           {hostile(member{name: "blobs/\xff"}), "not UTF-8"},
		"no name":             {hostile(member{}), "empty"},
		"directory traversal": {hostile(member{name: "../x/", flag: '5'}), "leads out"},
		"directory content":   {hostile(member{name: "blobs/", flag: '5', data: "x"}), "directory with content"},
		"file as directory":   {hostile(member{name: "blobs/", data: "x"}), "name of a directory"},
		"dot":                 {hostile(member{name: ".", data: "x"}), "name of a directory"},
		"duplicate":           {hostile(good, good), "stands twice"},
		"second index.json":   {hostile(member{name: "index.json"}), "stands twice"},
		"second by dot":       {hostile(member{name: "./index.json"}), "stands twice"},
		"second by slashes":   {hostile(member{name: "blobs//x"}, good), "stands twice"},
		"second by case":      {hostile(member{name: "Index.JSON"}), "stands twice"},
		"second by pax":       {hostile(pax("path=index.json"), good), "stands twice"},
		"second by L":         {hostile(member{name: "././@LongLink", flag: 'L', data: "index.json\x00"}, good), "stands twice"},
		"size 2^60":           {hostile(member{name: "x", size: "\x80\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"}), "the file ends after"},
		"size 2^63":           {hostile(member{name: "x", size: "\x80\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00"}), "overflows"},
		"size negative":       {hostile(member{name: "x", size: "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}), "negative"},
		"size text":           {hostile(member{name: "x", size: "lots"}), "number field"},
		"pax size differs":    {hostile(pax("size=3"), good), "its pax header 3"},
		"pax size negative":   {hostile(pax("size=-1"), good), "pax size"},
		"pax size 2^63":       {hostile(pax("size=9223372036854775808"), good), "pax size"},
		"pax size twice":      {hostile(pax("size=7", "size=7"), good), "pax size"},
		"pax path twice":      {hostile(pax("path=a", "path=b"), good), "stands twice"},
		"pax path and L":      {hostile(pax("path=a"), member{name: "L", flag: 'L', data: "b"}, good), "stands twice"},
		"pax path empty":      {hostile(pax("path="), good), "empty"},
		"pax path global":     {hostile(member{name: "g", flag: 'g', data: pax("path=a").data}), "of all entries"},
		"pax size global":     {hostile(global, good), "of all entries"},
		"pax malformed":       {hostile(member{name: "x", flag: 'x', data: "99 path=a\n"}, good), "malformed"},
		"pax no number":       {hostile(member{name: "x", flag: 'x', data: "path=a\n"}, good), "malformed"},
		"pax no value":        {hostile(member{name: "x", flag: 'x', data: "7 path\n"}, good), "malformed"},
		"pax short number":    {hostile(member{name: "x", flag: 'x', data: "1 \n"}, good), "malformed"},
		"pax huge":            {hostile(member{name: "x", flag: 'x', size: "00010000000\x00"}), "more than the 1048576"},
		"L huge":              {hostile(member{name: "x", flag: 'L', size: "10000000000\x00"}), "more than the 1048576"},
		"name long":           {hostile(member{name: "x", flag: 'L', data: strings.Repeat("a", 5000)}, good), "a name of 5000 bytes"},
		"extensions chained":  {hostile(slices.Repeat([]member{pax("mtime=1")}, 5)...), "more than 4 extended"},
		"extension alone":     {hostile(pax("mtime=1")), "without an entry"},
		"extension cut":       {hostile(member{name: "x", flag: 'x', size: "00000010000\x00"}), "in an extended header"},
		"header damaged":      {damaged, "damaged"},
		"no end":              {whole[:len(whole)-tailSize], "without the end"},
		"half an end":         {whole[:len(whole)-blockSize], "without the end"},
		"cut content":         {whole[:len(whole)-tailSize-blockSize+3], "after 3 of its 7 bytes"},
		"cut padding":         {whole[:len(whole)-tailSize-3], "in the padding"},
		"lone zero block":     {append(whole[:len(whole)-blockSize], whole...), "single zero block"},
		"data after the end":  {append(bytes.Clone(whole), whole...), "data follows"},
		"byte after the end":  {append(bytes.Clone(whole), 1), "data follows"},
		"no oci-layout":       {slices.Concat(entryOf("index.json", nil), make([]byte, tailSize)), "missing: not an OCI image layout"},
		"no index.json":       {slices.Concat(entryOf("oci-layout", nil), make([]byte, tailSize)), "missing: not an OCI image layout"},
		"huge oci-layout":     {slices.Concat(entryOf("oci-layout", make([]byte, 5000)), make([]byte, tailSize)), "more than the 4096"},
		"empty":               {nil, "the file is empty"},
		"gzip":                {append([]byte{0x1f, 0x8b, 8}, make([]byte, 2000)...), "compressed (gzip)"},
	} {
		t.Run(name, func(t *testing.T) {
			l, problems, err := OpenLayout(writeFile(t, t.TempDir(), "a.tar", test.file))
			if err == nil {
				l.Close()
			}
			all := slices.Clone(problems)
			if fe, ok := errors.AsType[*FormatError](err); ok {
				all = append(all, fe)
			} else if err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(all, func(p *FormatError) bool { return strings.Contains(p.Msg, test.msg) }) {
				t.Errorf("problems %v, want one with %q", all, test.msg)
			}
		})
	}
}

func directories(n int) (all []member) {
	for i := range n {
		all = append(all, member{name: fmt.Sprintf("d%d/", i), flag: '5'})
	}
	return all
}

// What is wrong with one entry does not hide what is wrong with the next.
func TestOpenLayoutTellsAll(t *testing.T) {
	file := hostile(member{name: "a", flag: '2'}, member{name: "../b"}, member{name: "/c", data: "x"}, member{name: "index.json"}, member{name: "d", flag: '6'}, member{name: "blobs/e", data: "content"})
	l, problems, err := OpenLayout(writeFile(t, t.TempDir(), "a.tar", file))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, ok := l.Size("blobs/e"); !ok || len(problems) != 5 || string(l.Index()) != "{}" {
		t.Errorf("%v; files %q", problems, l.Files())
	}
	many := hostile(slices.Repeat([]member{{name: "../x"}}, 3000)...)
	l, problems, err = OpenLayout(writeFile(t, t.TempDir(), "a.tar", many))
	if err != nil || len(problems) != maxProblems {
		t.Errorf("%d problems, %v", len(problems), err)
	}
	l.Close()
}

func TestOpenLayoutAccepts(t *testing.T) {
	paxOfContent := pax("path=blobs/long", "size=7", "mtime=1.5", "SCHILY.xattr.user.x=a=b\nc")
	for name, file := range map[string][]byte{
		"pax":           hostile(paxOfContent, member{name: "blobs/long", data: "content"}),
		"contiguous":    hostile(member{name: "blobs/long", flag: '7', data: "content"}),
		"directories":   hostile(member{name: "./", flag: '5'}, member{name: "blobs/", flag: '5'}, member{name: "blobs/long", data: "content"}),
		"L":             hostile(member{name: "L", flag: 'L', data: "blobs/long\x00"}, member{name: "blobs/long", data: "content"}),
		"global":        hostile(append(slices.Repeat([]member{{name: "g", flag: 'g', data: pax("comment=x").data}}, 9), member{name: "blobs/long", data: "content"})...),
		"blocking zero": append(hostile(member{name: "blobs/long", data: "content"}), make([]byte, 9*blockSize+bufferSize)...),
	} {
		t.Run(name, func(t *testing.T) {
			l, problems, err := OpenLayout(writeFile(t, t.TempDir(), "a.tar", file))
			if err != nil || len(problems) > 0 {
				t.Fatal(err, problems)
			}
			defer l.Close()
			if size, ok := l.Size("blobs/long"); !ok || size != 7 || len(l.Files()) != 3 {
				t.Errorf("%d bytes, %v; files %q", size, ok, l.Files())
			}
		})
	}
}

// A pax size above 8 GiB goes with what writers put into the ustar field then.
func TestPaxSizeAbove8GiB(t *testing.T) {
	for _, size := range []string{"00000000000\x00", "77777777777\x00"} {
		file := hostile(pax("size=9663676416"), member{name: "blobs/big", size: size})
		path := writeFile(t, t.TempDir(), "a.tar", file[:len(file)-tailSize])
		at := int64(len(file) - tailSize)
		if err := os.Truncate(path, at+9663676416+tailSize); err != nil {
			t.Fatal(err)
		}
		l, problems, err := OpenLayout(path)
		if err != nil || len(problems) > 0 {
			t.Fatal(err, problems)
		}
		if got, _ := l.Size("blobs/big"); got != 9663676416 {
			t.Errorf("size %d", got)
		}
		l.Close()
	}
}
