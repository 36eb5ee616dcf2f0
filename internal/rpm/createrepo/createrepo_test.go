package createrepo_test

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// normal drops what has no meaning: white space around children, and the time of the file,
// which createrepo_c takes from the disk.
func normal(e rpmtest.Element) rpmtest.Element {
	if len(e.Children) > 0 {
		e.Text = ""
	}
	if e.XMLName.Local == "time" {
		e.Attrs = nil
	}
	for i, c := range e.Children {
		e.Children[i] = normal(c)
	}
	return e
}

// load reads the three lists of a repository, the packages by pkgid, and checks that everything
// that repomd.xml says of them is true.
func load(t testing.TB, dir string) map[string]map[string]rpmtest.Element {
	t.Helper()
	read := func(path string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	lists := map[string]map[string]rpmtest.Element{}
	for _, data := range rpmtest.ParseXML(t, read(rpm.RepomdPath)).Children {
		kind := data.Attr("type")
		if kind != "primary" && kind != "filelists" && kind != "other" {
			continue
		}
		location := data.Child(t, "location").Attr("href")
		packed := read(location)
		open := rpmtest.Gunzip(t, packed)
		checkReference(t, kind, data, packed, open)
		lists[kind] = packagesOf(t, rpmtest.ParseXML(t, open))
	}
	return lists
}

func checkReference(t testing.TB, kind string, data rpmtest.Element, packed, open []byte) {
	t.Helper()
	for name, want := range map[string]string{
		"checksum": sum(packed), "open-checksum": sum(open), "size": itoa(len(packed)), "open-size": itoa(len(open)),
	} {
		if got := data.Child(t, name).Text; got != want {
			t.Errorf("%s: %s %s, want %s", kind, name, got, want)
		}
	}
}

func packagesOf(t testing.TB, root rpmtest.Element) map[string]rpmtest.Element {
	t.Helper()
	packages := map[string]rpmtest.Element{}
	for _, p := range root.Children {
		id := p.Attr("pkgid")
		if id == "" {
			id = p.Child(t, "checksum").Text
		}
		packages[id] = normal(p)
	}
	if root.Attr("packages") != itoa(len(root.Children)) {
		t.Errorf("%s says %s packages, has %d", root.XMLName.Local, root.Attr("packages"), len(root.Children))
	}
	return packages
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// TestLikeCreaterepo compares with createrepo_c, by meaning but to the last attribute.
func TestLikeCreaterepo(t *testing.T) {
	for name, packages := range map[string]func(*testing.T) repository{
		"odd":  func(t *testing.T) repository { return oddPackages(t) },
		"real": realPackages,
		"none": func(*testing.T) repository { return repository{} },
	} {
		t.Run(name, func(t *testing.T) {
			tool := rpmtest.Tool(t, "createrepo_c")
			repo := packages(t)
			theirs, ours := repo.write(t), t.TempDir()
			out, err := exec.CommandContext(t.Context(), tool, "--no-database", theirs).CombinedOutput()
			if err != nil {
				t.Fatalf("createrepo_c: %v\n%s", err, out)
			}
			writeSet(t, ours, mustWrite(t, repo.entries(t)))
			want, got := load(t, theirs), load(t, ours)
			for kind := range want {
				if len(want[kind]) != len(repo) {
					t.Fatalf("createrepo_c lists %d of %d packages:\n%s", len(want[kind]), len(repo), out)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-createrepo_c +Write):\n%s", diff)
			}
		})
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
