package createrepo_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
)

// content is what repomd.xml names, by type, opened, after checking all that is said of it.
func content(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, data := range rpmtest.ParseXML(t, mustRead(t, filepath.Join(dir, rpm.RepomdPath))).Children {
		if data.XMLName.Local != "data" {
			continue
		}
		kind, location := data.Attr("type"), data.Child(t, "location").Attr("href")
		packed := mustRead(t, filepath.Join(dir, location))
		if !strings.HasSuffix(location, ".gz") {
			for _, c := range data.Children {
				if strings.HasPrefix(c.XMLName.Local, "open-") {
					t.Errorf("%s is not compressed, but has %s", kind, c.XMLName.Local)
				}
			}
			if data.Child(t, "checksum").Text != sum(packed) || data.Child(t, "size").Text != itoa(len(packed)) {
				t.Errorf("%s: wrong checksum or size", kind)
			}
			out[kind] = string(packed)
			continue
		}
		open := rpmtest.Gunzip(t, packed)
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
	modules := rpmtest.Module("app", "1", "x86_64", "app-0:1.0-1.x86_64")
	entry := entryOf(t, "a.rpm", rpmtest.Build(t, rpmtest.Spec{Name: "a"}))
	for _, tt := range []struct {
		name   string
		slices createrepo.Slices
		want   map[string]string
	}{
		{"none", createrepo.Slices{}, map[string]string{}},
		{"modules", createrepo.Slices{Modules: []byte(modules)}, map[string]string{"modules": modules}},
		{"comps", createrepo.Slices{Comps: []byte(rpmtest.Comps)}, map[string]string{"group": rpmtest.Comps, "group_gz": rpmtest.Comps}},
		{"updateinfo", createrepo.Slices{Updateinfo: []byte(rpmtest.Updateinfo)}, map[string]string{"updateinfo": rpmtest.Updateinfo}},
		{"all", createrepo.Slices{Modules: []byte(modules), Comps: []byte(rpmtest.Comps), Updateinfo: []byte(rpmtest.Updateinfo)},
			map[string]string{"modules": modules, "group": rpmtest.Comps, "group_gz": rpmtest.Comps, "updateinfo": rpmtest.Updateinfo}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			set := mustWriteAll(t, []createrepo.Entry{entry}, tt.slices)
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
			if diff := cmp.Diff(set, mustWriteAll(t, []createrepo.Entry{entry}, tt.slices)); diff != "" {
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
	modules := rpmtest.Module("app", "1", "x86_64", "app-0:1.0-1.x86_64")
	theirs, ours := repo.write(t), t.TempDir()
	for name, text := range map[string]string{"modules.yaml": modules, "comps.xml": rpmtest.Comps, "updateinfo.xml": rpmtest.Updateinfo} {
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
	writeSet(t, ours, mustWriteAll(t, repo.entries(t), createrepo.Slices{Modules: []byte(modules), Comps: []byte(rpmtest.Comps), Updateinfo: []byte(rpmtest.Updateinfo)}))
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
