package debian_test

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/catalog"
	"airbundle/test/agreement/debian"
	"airbundle/test/agreement/localrepo"
)

const index = `Package: app
Version: 1:2.0-rc1-3
Architecture: amd64
Multi-Arch: same
Section: libs
Pre-Depends: libc6 (>= 2.36)
Depends: mta | mail-transport-agent, python3:any (>> 3.9~), libfoo (= 1.0-2), git (>> 1:2)
Recommends: extra
Suggests: doc
Enhances: editor
Provides: app-api (= 7), virtual
Conflicts: old (<< 2), foe
Breaks: older (<= 1-1)
Replaces: old (<< 2), plain (<< 3), foe
Description: an app & more
 folded
Filename: pool/main/a/app/app_2.0_amd64.deb
Size: 1234
Installed-Size: 10
SHA256: 00000000000000000000000000000000000000000000000000000000000000aa

Package: libfoo
Version: 1.0-2
Architecture: amd64
Multi-Arch: same
Filename: pool/libfoo.deb
Size: 1
SHA256: 00000000000000000000000000000000000000000000000000000000000000bb

Package: enemy
Version: 5
Architecture: all
Conflicts: virtual (<< 3)
Filename: pool/enemy.deb
Size: 1
SHA256: 00000000000000000000000000000000000000000000000000000000000000cc
`

const second = `Package: libfoo
Version: 1.0-2
Architecture: i386
Multi-Arch: same
Section: libs
Filename: pool/libfoo.deb
Size: 1
SHA256: 00000000000000000000000000000000000000000000000000000000000000dd

Package: tool
Version: 1.0-2
Architecture: i386
Section: utils
Filename: pool/tool.deb
Size: 1
SHA256: 00000000000000000000000000000000000000000000000000000000000000ee
`

func open(t *testing.T) (*catalog.Catalog, string) {
	t.Helper()
	packages, err := debian.Read(debian.Indices{Main: []io.Reader{strings.NewReader(index)}, Multilib: []io.Reader{strings.NewReader(second)}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := debian.Write(dir, packages); err != nil {
		t.Fatal(err)
	}
	r, err := localrepo.Open(dir, "r")
	if err != nil {
		t.Fatal(err)
	}
	return r.Catalog, dir
}

// TestRead: what an index says is what a catalog of the repository says.
func TestRead(t *testing.T) {
	c, _ := open(t)
	var nevras []string
	for i := range c.Packages {
		nevras = append(nevras, c.NEVRA(&c.Packages[i]))
	}
	if diff := cmp.Diff([]string{"app-1:2.0^rc1-3.x86_64", "libfoo-1.0-2.x86_64", "enemy-5-0.noarch", "libfoo-1.0-2.i686"}, nevras); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	p := &c.Packages[0]
	for kind, l := range map[string]struct {
		span catalog.Span
		want []string
	}{
		"requires":   {p.Requires, []string{"libc6 >= 2.36", "(mta or mail-transport-agent)", "python3 >= 3.9~", "libfoo(x86-64) = 1.0-2", "git >= 1:2"}},
		"provides":   {p.Provides, []string{"app = 1:2.0^rc1-3", "app(x86-64) = 1:2.0^rc1-3", "app-api = 7", "virtual = 1:2.0^rc1-3"}},
		"conflicts":  {p.Conflicts, []string{"old < 2", "foe", "older <= 1-1"}},
		"obsoletes":  {p.Obsoletes, []string{"old < 2"}},
		"recommends": {p.Recommends, []string{"extra"}},
		"suggests":   {p.Suggests, []string{"doc"}},
		"enhances":   {p.Enhances, []string{"editor"}},
	} {
		var got []string
		for _, d := range c.List(l.span) {
			got = append(got, c.String(c.Deps[d]))
		}
		if diff := cmp.Diff(l.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
	if p.Size != 1234 || p.Location != "pool/main/a/app/app-2.0^rc1-3.x86_64.rpm" {
		t.Errorf("size %d, location %s", p.Size, p.Location)
	}
}

// TestWriteIsRepeatable: the same indices give the same bytes.
func TestWriteIsRepeatable(t *testing.T) {
	_, first := open(t)
	_, again := open(t)
	read := func(dir string) string {
		data, err := os.ReadFile(filepath.Join(dir, "repodata/repomd.xml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	if diff := cmp.Diff(read(first), read(again)); diff != "" {
		t.Errorf("repomd.xml names the digests of all files:\n%s", diff)
	}
	found, err := filepath.Glob(filepath.Join(first, "repodata/*-primary.xml.gz"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	f, err := os.Open(found[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(z); err != nil || !strings.Contains(string(text), "<summary>an app &amp; more</summary>") {
		t.Errorf("%v\n%s", err, text)
	}
}

func TestReadRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"no field":     "Package app\n",
		"no version":   "Package: app\nArchitecture: all\nSHA256: aa\n",
		"unknown arch": strings.Replace(index, "amd64", "vax", 1),
		"no size":      strings.Replace(index, "Size: 1234", "Size: many", 1),
	} {
		if _, err := debian.Read(debian.Indices{Main: []io.Reader{strings.NewReader(text)}}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
