package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/report"
)

func TestTarFile(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1000)
	path := writeTar(t,
		tarEntry{name: "dir/", typ: tar.TypeDir},
		tarEntry{name: "./dir/a", body: "content of a"},
		tarEntry{name: "empty"},
		tarEntry{name: "dir/sym", link: "a", typ: tar.TypeSymlink},
		tarEntry{name: "other/sym", link: "../dir/sym", typ: tar.TypeSymlink},
		tarEntry{name: "hard", link: "dir/a", typ: tar.TypeLink},
		tarEntry{name: "out", link: "../../etc/passwd", typ: tar.TypeSymlink},
		tarEntry{name: "abs", link: "/etc/passwd", typ: tar.TypeSymlink},
		tarEntry{name: "dangling", link: "nowhere", typ: tar.TypeSymlink},
		tarEntry{name: "loop", link: "loop", typ: tar.TypeSymlink},
		tarEntry{name: "fifo", typ: tar.TypeFifo},
		tarEntry{name: "/rooted", body: "x"},
		tarEntry{name: "../up", body: "x"},
		tarEntry{name: "twice", body: "good"},
		tarEntry{name: "./twice", body: "bad!"},
		tarEntry{name: strings.Repeat("long/", 60) + "big", body: big}, // a GNU or PAX long name
	)
	files := new(archives).at(path)
	for _, tt := range []struct{ name, want, err string }{
		{name: "dir/a", want: "content of a"},
		{name: "empty", want: ""},
		{name: "dir/sym", want: "content of a"},
		{name: "other/sym", want: "content of a"},
		{name: "hard", want: "content of a"},
		{name: strings.Repeat("long/", 60) + "big", want: big},
		{name: "out", err: "leads out of the archive"},
		{name: "abs", err: "leads out of the archive"},
		{name: "dangling", err: "nowhere: no such entry"},
		{name: "loop", err: "more than 8 links"},
		{name: "fifo", err: "not a regular file"},
		{name: "dir", err: "no such entry"},
		{name: "rooted", err: "no such entry"},
		{name: "up", err: "no such entry"},
		{name: "twice", err: "twice"},
	} {
		rc, size, err := files.open(tt.name)
		if tt.err != "" {
			wantError(t, err, path, tt.err)
			if report.Classify(err) != report.ClassContent {
				t.Errorf("class of %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		if err != nil || string(got) != tt.want || size != int64(len(tt.want)) {
			t.Errorf("%s: %d of %d bytes, %v", tt.name, len(got), size, err)
		}
		if err := rc.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestTarFileDamage(t *testing.T) {
	good := tarBytes(t, tarEntry{name: "a", body: strings.Repeat("x", 2000)}, tarEntry{name: "b", body: "y"})
	broken := bytes.Clone(good)
	broken[150] ^= 1 // in the checksum
	huge := bytes.Clone(good)
	copy(huge[124:], "77777777777\x00") // 8 GiB - 1
	for i, b := range checksum(huge[:512]) {
		huge[148+i] = b
	}
	for name, tt := range map[string]struct{ content, err string }{
		"empty":           {"", "not a tar"},
		"zeros":           {strings.Repeat("\x00", 2048), "not a tar"},
		"text":            {strings.Repeat("some text ", 100), "not a tar"},
		"cut header":      {string(good[:300]), "not a tar"},
		"cut content":     {string(good[:1000]), "cut off"},
		"cut at the end":  {string(good[:2200]), "cut off"},
		"bad checksum":    {string(broken), "not a tar"},
		"size too large":  {string(huge), "cut off"},
		"gzip":            {gzipped(t, string(good)), "compressed (gzip)"},
		"zstd":            {"\x28\xb5\x2f\xfd" + string(good), "compressed (zstd)"},
		"xz":              {"\xfd7zXZ\x00" + string(good), "compressed (xz)"},
		"nothing but dir": {string(tarBytes(t, tarEntry{name: "d/", typ: tar.TypeDir})), "no such entry"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "a.tar", tt.content)
			for _, kind := range []string{"oci-archive:", "docker-archive:"} {
				_, err := New(Options{}).Resolve(t.Context(), kind+path)
				wantError(t, err, path, tt.err)
				if c := report.Classify(err); c != report.ClassContent {
					t.Errorf("class %d of %v", c, err)
				}
			}
		})
	}
	_, err := New(Options{}).Resolve(t.Context(), "oci-archive:"+t.TempDir())
	wantError(t, err, "is a directory")
	if c := report.Classify(err); c != report.ClassLocal {
		t.Errorf("class %d of %v", c, err)
	}
	_, err = New(Options{}).Resolve(t.Context(), "oci-archive:/nowhere.tar")
	if !errors.Is(err, fs.ErrNotExist) || report.Classify(err) == report.ClassContent {
		t.Errorf("%v does not say that the file is missing", err)
	}
}

// checksum returns the checksum field of a ustar header.
func checksum(header []byte) []byte {
	sum := 0
	for i, b := range header {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	field := []byte("000000\x00 ")
	for i := 5; i >= 0; i-- {
		field[i] = byte('0' + sum%8)
		sum /= 8
	}
	return field
}

func TestTarFileSparse(t *testing.T) {
	path := writeFile(t, "a.tar", string(sparseTar(t)))
	_, _, err := new(archives).at(path).open("sparse")
	wantError(t, err, "a sparse entry")
}

// sparseTar holds a PAX 1.0 sparse entry, whose content begins with a map of its holes.
func sparseTar(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	records := ""
	for _, record := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=sparse", "GNU.sparse.realsize=1024"} {
		n := len(record) + 4 // two digits, a space, a newline
		records += string(rune('0'+n/10)) + string(rune('0'+n%10)) + " " + record + "\n"
	}
	body := make([]byte, 512)
	copy(body, "1\n0\n4\n")
	b.Write(rawHeader("PaxHeaders/sparse", 'x', len(records)))
	b.WriteString(records + strings.Repeat("\x00", 512-len(records)))
	b.Write(rawHeader("GNUSparseFile/sparse", '0', 516))
	b.Write(body)
	b.WriteString("data" + strings.Repeat("\x00", 508+1024))
	return b.Bytes()
}

func rawHeader(name string, typ byte, size int) []byte {
	h := make([]byte, 512)
	copy(h, name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	for i := 134; i >= 124; i-- {
		h[i] = byte('0' + size%8)
		size /= 8
	}
	copy(h[136:], "00000000000\x00")
	h[156] = typ
	copy(h[257:], "ustar\x0000")
	copy(h[148:], checksum(h))
	return h
}

func TestTarFileReplaced(t *testing.T) {
	path := writeTar(t, tarEntry{name: "a", body: "old"})
	files := new(archives).at(path)
	before, err := files.contents()
	if err != nil {
		t.Fatal(err)
	}
	next := writeTar(t, tarEntry{name: "b", body: "b"}, tarEntry{name: "a", body: "new one"})
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	if _, _, err = before.open("a"); err == nil {
		t.Error("a table of contents was used for another file")
	}
	rc, _, err := files.open("a")
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	if got, _ := io.ReadAll(rc); string(got) != "new one" {
		t.Errorf("content %q", got)
	}
	again, err := files.contents()
	if err != nil {
		t.Fatal(err)
	}
	if same, _ := files.contents(); same != again {
		t.Error("the entries were located anew without need")
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if _, _, err = again.open("a"); err == nil {
		t.Error("a table of contents was used for a changed file")
	}
}

func FuzzLocate(f *testing.F) {
	f.Add(tarBytes(f, tarEntry{name: "a", body: "content"}, tarEntry{name: "b", link: "a", typ: tar.TypeSymlink}))
	f.Add(tarBytes(f, tarEntry{name: strings.Repeat("long/", 60) + "x", body: "x"}))
	f.Add(sparseTar(f))
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		entries, err := locate(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			return
		}
		// What GNU tar's reader in the standard library gives for a name must be what lies at its place.
		want := map[string]string{}
		for tr := tar.NewReader(bytes.NewReader(raw)); ; {
			h, err := tr.Next()
			if err != nil {
				break
			}
			if e, ok := entries[path.Clean(h.Name)]; ok && e.wrong == "" && e.link == "" && h.Typeflag == tar.TypeReg {
				body, err := io.ReadAll(tr)
				if err != nil {
					t.Fatalf("entry %q is located but cannot be read: %v", h.Name, err)
				}
				want[path.Clean(h.Name)] = string(body)
			}
		}
		got := map[string]string{}
		for name, e := range entries {
			if e.wrong != "" || e.link != "" {
				continue
			}
			if e.offset < 0 || e.size < 0 || e.offset+e.size > int64(len(raw)) {
				t.Fatalf("entry %q at %d+%d of %d", name, e.offset, e.size, len(raw))
			}
			got[name] = string(raw[e.offset : e.offset+e.size])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}
