package repodata_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

const smallFilelists = `<?xml version="1.0"?>
<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="3">
<package pkgid="aa" name="a" arch="x86_64"><version epoch="0" ver="1" rel="1"/>
  <file>/usr/bin/a&amp;b</file><file type="dir">/usr/share/a</file><file>/usr/bin/a&amp;b</file><file>/not/wanted</file>
</package>
<package name="b" pkgid='bb'><file type="ghost">/usr/share/a</file><file/><x><file>/usr/bin/deep</file></x></package>
<package pkgid="aa"><file><![CDATA[/usr/share/a]]></file></package>
<other><package pkgid="no"><file>/usr/share/a</file></package></other>
</filelists>`

func TestParseFilelists(t *testing.T) {
	wanted := map[string]bool{"/usr/bin/a&b": true, "/usr/share/a": true, "/nowhere": true, "/usr/bin/deep": true, "/not/wanted": false}
	for name, data := range packed(t, smallFilelists) {
		got, err := repodata.ParseFilelists(strings.NewReader(string(data)), wanted)
		want := map[string][]string{"/usr/bin/a&b": {"aa"}, "/usr/share/a": {"aa", "bb", "aa"}}
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-want +got):\n%s", name, err, diff)
		}
	}
}

func TestParseFilelistsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"root", primaryOf(), `root element "metadata", want "filelists"`},
		{"no pkgid", "<filelists><package/></filelists>", "a package without a pkgid"},
		{"long pkgid", `<filelists><package pkgid="` + strings.Repeat("a", 2000) + `"/></filelists>`, "a package without a pkgid"},
		{"long path", `<filelists><package pkgid="a"><file>/` + strings.Repeat("a", 70_000), "a text of more than 65536 bytes"},
		{"element in a path", `<filelists><package pkgid="a"><file>/<b/></file></package></filelists>`, `markup in the text of element "file"`},
	} {
		got, err := repodata.ParseFilelists(strings.NewReader(tt.text), nil)
		if m, ok := errors.AsType[*repodata.MalformedError](err); !ok || got != nil || m.Path != "filelists" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, got, err, tt.want)
		}
	}
	for size := range smallFilelists {
		if got, err := repodata.ParseFilelists(strings.NewReader(smallFilelists[:size]), nil); err == nil || got != nil {
			t.Errorf("cut to %d bytes: %v", size, got)
		}
	}
}

// TestParseFilelistsDistribution: a list of a distribution names the owners that its primary
// list has.
func TestParseFilelistsDistribution(t *testing.T) {
	dir := filepath.Join(rpmtest.Testdata(t, "rpm", "cs9-baseos"), "repodata")
	paths, _ := filepath.Glob(filepath.Join(dir, "*filelists.xml.gz"))
	f, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got, err := repodata.ParseFilelists(f, map[string]bool{"/usr/bin/bash": true, "/usr/share/doc/bash/FAQ": true, "/usr/bin/nothing": true})
	if err != nil || len(got) != 2 || len(got["/usr/bin/bash"]) == 0 {
		t.Fatalf("%v, %v", got, err)
	}
	paths, _ = filepath.Glob(filepath.Join(dir, "*primary.xml.gz"))
	p, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := repodata.ParsePrimary(p)
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.Packages {
		if k := &c.Packages[i]; k.Checksum == "sha256:"+got["/usr/bin/bash"][0] && c.Text(k.Name) == "bash" {
			return
		}
	}
	t.Errorf("/usr/bin/bash is of %v, which is not bash", got["/usr/bin/bash"])
}
