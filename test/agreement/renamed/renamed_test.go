package renamed_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/test/agreement/localrepo"
	"airbundle/test/agreement/renamed"
)

const primary = `<?xml version="1.0" encoding="UTF-8"?>
<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="3">
<package type="rpm"><name>lib</name><arch>x86_64</arch><version epoch="0" ver="1" rel="1"/><checksum type="sha256" pkgid="YES">aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa</checksum><size package="1"/><location href="lib-1-1.x86_64.rpm"/><format><rpm:provides><rpm:entry name="lib(x86-64)"/></rpm:provides></format></package>
<package type="rpm"><name>lib</name><arch>i686</arch><version epoch="0" ver="1" rel="1"/><checksum type="sha256" pkgid="YES">bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb</checksum><size package="1"/><location href="lib-1-1.i686.rpm"/><format/></package>
<package type="rpm"><name>doc</name><arch>noarch</arch><version epoch="0" ver="1" rel="1"/><checksum type="sha256" pkgid="YES">cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc</checksum><size package="1"/><location href="doc-1-1.noarch.rpm"/><format/></package>
</metadata>
`

const repomd = `<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location href="repodata/primary.xml"/></data>
<data type="group"><location href="repodata/not-there.xml"/></data><data type="other"><location href="repodata/other.xml"/></data></repomd>`

func TestWrite(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	if err := os.Mkdir(filepath.Join(from, "repodata"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"primary.xml": primary, "repomd.xml": repomd} {
		if err := os.WriteFile(filepath.Join(from, "repodata", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := renamed.Write(to, from); err != nil {
		t.Fatal(err)
	}
	r, err := localrepo.Open(to, "r")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range r.Catalog.Packages {
		got = append(got, r.Catalog.NEVRA(&r.Catalog.Packages[i]))
	}
	if diff := cmp.Diff([]string{"lib-1-1.aarch64", "doc-1-1.noarch"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if provides := r.Catalog.List(r.Catalog.Packages[0].Provides); r.Catalog.String(r.Catalog.Deps[provides[0]]) != "lib(aarch-64)" {
		t.Error("the arch in a capability is the old one")
	}
}
