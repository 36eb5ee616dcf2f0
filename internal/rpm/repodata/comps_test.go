package repodata_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

const (
	compsHead = `<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE comps PUBLIC "-//Red Hat, Inc.//DTD Comps info//EN" "comps.dtd">
<comps>
  `
	compsGroup = `<group >
    <id>core</id><name xml:lang="de">Kern</name><name>Core &amp; more</name><name xml:lang="fr">Noyau</name>
    <packagelist>
      <packagereq type="mandatory">bash</packagereq><packagereq>coreutils</packagereq>
      <packagereq type="default" arch="x86_64, i386">a</packagereq><packagereq type="optional">b</packagereq>
      <packagereq requires="kde" type="conditional">c</packagereq><packagereq type="strange">no</packagereq><packagereq type="mandatory"/>
      <other>no</other>
    </packagelist>
  </group>`
	compsEnvironment = `<environment><id>server</id><name>Server</name><display_order>1</display_order>
    <grouplist><groupid>core</groupid><x/></grouplist>
    <optionlist><groupid default="true">ftp</groupid><groupid default="false">dns</groupid><groupid>web</groupid></optionlist>
  </environment>`
)

func TestParseComps(t *testing.T) {
	text := compsHead + compsGroup + "<category><id>no</id></category>" + compsEnvironment + "<group><id>empty</id></group></comps>\n"
	want := &catalog.Comps{
		Groups: []catalog.Group{{
			ID: "core", Name: "Core & more", Raw: []byte(compsGroup), Packages: []catalog.GroupPackage{
				{Name: "bash"}, {Name: "coreutils"}, {Name: "a", Type: catalog.Default, Arches: []string{"x86_64", "i386"}},
				{Name: "b", Type: catalog.Optional}, {Name: "c", Type: catalog.Conditional, Requires: "kde"},
			},
		}, {ID: "empty", Raw: []byte("<group><id>empty</id></group>")}},
		Environments: []catalog.Environment{{
			ID: "server", Name: "Server", Groups: []string{"core"}, Options: []string{"ftp", "dns", "web"}, Defaults: []string{"ftp"}, Raw: []byte(compsEnvironment),
		}},
	}
	for name, data := range packed(t, text) {
		got, err := repodata.ParseComps(bytes.NewReader(data))
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b []string) bool { return strings.Join(a, ",") == strings.Join(b, ",") })); diff != "" || err != nil {
			t.Errorf("%s: error %v, (-want +got):\n%s", name, err, diff)
		}
	}
	end := strings.LastIndex(text, "</comps>") + len("</comps>")
	for size := range end {
		if got, err := repodata.ParseComps(strings.NewReader(text[:size])); err == nil || got != nil {
			t.Errorf("cut to %d of %d bytes: %v", size, end, got)
		}
	}
}

func TestParseCompsRefuses(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"root", "<metadata/>", `root element "metadata", want "comps"`},
		{"group without id", "<comps><group/></comps>", "a group without an id"},
		{"environment without id", "<comps><environment><id> </id></environment></comps>", "an environment without an id"},
		{"entities", `<!DOCTYPE comps [<!ENTITY a "b">]><comps/>`, "a document type with declarations"},
		{"endless doctype", `<!DOCTYPE comps ` + strings.Repeat("a", 1<<20), "a document type without end"},
		{"element in a name", "<comps><group><id>a<b/></id></group></comps>", `markup in the text of element "id"`},
		{"too large", "<comps>" + strings.Repeat(" ", 33<<20) + "</comps>", "more than the 33554432 bytes"},
	} {
		got, err := repodata.ParseComps(strings.NewReader(tt.text))
		if m, ok := errors.AsType[*repodata.MalformedError](err); !ok || got != nil || m.Path != "comps" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestParseCompsSamples(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm")
	for pattern, want := range map[string][3]int{ // groups, packages in them, environments
		"cs9-appstream/repodata/*-comps-*.xml": {63, 1237, 4},
		"cs9-baseos/repodata/*-comps-*.xml.gz": {34, 454, 3},
		"rpms/pulp-modular/comps.xml":          {2, 26, 0},
	} {
		paths, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil || len(paths) != 1 {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		data, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := repodata.ParseComps(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		packages := 0
		for _, g := range c.Groups {
			packages += len(g.Packages)
			if !bytes.HasPrefix(g.Raw, []byte("<group>")) || !bytes.HasSuffix(g.Raw, []byte("</group>")) || bytes.Count(g.Raw, []byte("<packagereq")) != len(g.Packages) {
				t.Errorf("%s: group %s is %q", pattern, g.ID, g.Raw)
			}
		}
		if got := [3]int{len(c.Groups), packages, len(c.Environments)}; got != want {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
	}
}
