package repodata_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

const (
	comps = `<?xml version="1.0" encoding="UTF-8"?>
<comps>
  <group>
    <id>tools</id>
    <name>Tools</name>
    <description>All of them.</description>
    <default>false</default>
    <uservisible>true</uservisible>
    <packagelist>
      <packagereq type="mandatory">app</packagereq>
    </packagelist>
  </group>
</comps>
`
	updateinfo = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="security@example.invalid" status="final" type="security" version="1">
    <id>SEC-1</id>
    <title>app</title>
    <issued date="2024-01-02 00:00:00"/>
    <pkglist>
      <collection short="c">
        <name>c</name>
        <package name="app" version="1.0" release="1" epoch="0" arch="x86_64" src="app-1.0-1.src.rpm">
          <filename>app-1.0-1.x86_64.rpm</filename>
        </package>
      </collection>
    </pkglist>
  </update>
</updates>
`
)

// modulesOf is the document of one build of a stream, with a profile that has the package
// of its name.
func modulesOf(name, stream, arch string, artifacts ...string) string {
	return fmt.Sprintf(`---
document: modulemd
version: 2
data:
  name: %[1]s
  stream: %[2]q
  version: 1
  context: c0ffee
  arch: %[3]s
  summary: The module %[1]s
  description: >-
    A module for tests.
  license:
    module: [MIT]
  dependencies:
  - requires: {}
  profiles:
    default:
      rpms: [%[1]s]
  artifacts:
    rpms:
    - %[4]s
...
`, name, stream, arch, strings.Join(artifacts, "\n    - "))
}

func defaultsOf(name, stream string) string {
	return fmt.Sprintf("---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: %s\n  stream: %q\n  profiles:\n    %q: [default]\n...\n", name, stream, stream)
}

// content is what repomd.xml names, by type, opened, after checking all that is said of it.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, data := range parse(t, mustRead(t, filepath.Join(dir, repodata.RepomdPath))).Children {
		if data.XMLName.Local != "data" {
			continue
		}
		kind, location := data.attr("type"), data.child(t, "location").attr("href")
		packed := mustRead(t, filepath.Join(dir, location))
		if !strings.HasSuffix(location, ".gz") {
			for _, c := range data.Children {
				if strings.HasPrefix(c.XMLName.Local, "open-") {
					t.Errorf("%s is not compressed, but has %s", kind, c.XMLName.Local)
				}
			}
			if data.child(t, "checksum").Text != sum(packed) || data.child(t, "size").Text != itoa(len(packed)) {
				t.Errorf("%s: wrong checksum or size", kind)
			}
			out[kind] = string(packed)
			continue
		}
		open := gunzip(t, packed)
		checkReference(t, kind, data, packed, open)
		out[kind] = string(open)
	}
	return out
}

func mustRead(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWriteSlices(t *testing.T) {
	modules := modulesOf("app", "1", "x86_64", "app-0:1.0-1.x86_64")
	entry := entryOf(t, "a.rpm", rpmtest.Build(t, rpmtest.Spec{Name: "a"}))
	for _, tt := range []struct {
		name   string
		slices repodata.Slices
		want   map[string]string
	}{
		{"none", repodata.Slices{}, map[string]string{}},
		{"modules", repodata.Slices{Modules: []byte(modules)}, map[string]string{"modules": modules}},
		{"comps", repodata.Slices{Comps: []byte(comps)}, map[string]string{"group": comps, "group_gz": comps}},
		{"updateinfo", repodata.Slices{Updateinfo: []byte(updateinfo)}, map[string]string{"updateinfo": updateinfo}},
		{"all", repodata.Slices{Modules: []byte(modules), Comps: []byte(comps), Updateinfo: []byte(updateinfo)},
			map[string]string{"modules": modules, "group": comps, "group_gz": comps, "updateinfo": updateinfo}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			set := mustWriteAll(t, []repodata.Entry{entry}, tt.slices)
			writeSet(t, dir, set)
			got := content(t, dir)
			for _, list := range []string{"primary", "filelists", "other"} {
				if !strings.Contains(got[list], "<package") {
					t.Errorf("%s: %s", list, got[list])
				}
				delete(got, list)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(set.Files) != 3+len(tt.want) {
				t.Errorf("%d files", len(set.Files))
			}
			if diff := cmp.Diff(set, mustWriteAll(t, []repodata.Entry{entry}, tt.slices)); diff != "" {
				t.Errorf("a second time it is other metadata (-first +second):\n%s", diff)
			}
		})
	}
}

// TestSlicesLikeCreaterepo compares with what createrepo_c and modifyrepo_c make of the
// same packages and documents.
func TestSlicesLikeCreaterepo(t *testing.T) {
	create, modify := rpmtest.Tool(t, "createrepo_c"), rpmtest.Tool(t, "modifyrepo_c")
	repo := repository{}
	for _, spec := range carriedSpecs(nil) {
		repo[spec.FileName()] = rpmtest.Build(t, spec)
	}
	modules := modulesOf("app", "1", "x86_64", "app-0:1.0-1.x86_64")
	theirs, ours := repo.write(t), t.TempDir()
	for name, text := range map[string]string{"modules.yaml": modules, "comps.xml": comps, "updateinfo.xml": updateinfo} {
		writeFile(t, filepath.Join(theirs, name), []byte(text))
	}
	for _, args := range [][]string{
		{create, "--no-database", "-g", filepath.Join(theirs, "comps.xml"), theirs},
		{modify, filepath.Join(theirs, "updateinfo.xml"), filepath.Join(theirs, "repodata")},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	writeSet(t, ours, mustWriteAll(t, repo.entries(t), repodata.Slices{Modules: []byte(modules), Comps: []byte(comps), Updateinfo: []byte(updateinfo)}))
	want, got := content(t, theirs), content(t, ours)
	maps.DeleteFunc(want, func(kind, _ string) bool { return kind == "modules" }) // libmodulemd writes YAML anew
	if !strings.Contains(got["modules"], "stream: \"1\"") {
		t.Errorf("modules:\n%s", got["modules"])
	}
	delete(got, "modules")
	for _, list := range []string{"primary", "filelists", "other"} { // compared by TestLikeCreaterepo
		delete(want, list)
		delete(got, list)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-createrepo_c +Write):\n%s", diff)
	}
}
