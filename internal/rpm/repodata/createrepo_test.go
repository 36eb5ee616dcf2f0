package repodata_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// An element is any XML element. Comparing them compares all of a document that has a meaning.
type element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []element  `xml:",any"`
}

func (e element) attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (e element) child(t testing.TB, name string) element {
	t.Helper()
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			return c
		}
	}
	t.Fatalf("element %s has no %s", e.XMLName.Local, name)
	return element{}
}

// normal drops what has no meaning: white space around children, and the time of the file,
// which createrepo_c takes from the disk.
func (e element) normal() element {
	if len(e.Children) > 0 {
		e.Text = ""
	}
	if e.XMLName.Local == "time" {
		e.Attrs = nil
	}
	for i, c := range e.Children {
		e.Children[i] = c.normal()
	}
	return e
}

func parse(t testing.TB, data []byte) element {
	t.Helper()
	var e element
	if err := xml.Unmarshal(data, &e); err != nil {
		t.Fatalf("%v\n%.2000s", err, data)
	}
	return e
}

func gunzip(t testing.TB, data []byte) []byte {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// load reads the three lists of a repository, the packages by pkgid, and checks that everything
// that repomd.xml says of them is true.
func load(t testing.TB, dir string) map[string]map[string]element {
	t.Helper()
	read := func(path string) []byte {
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	lists := map[string]map[string]element{}
	for _, data := range parse(t, read(repodata.RepomdPath)).Children {
		kind := data.attr("type")
		if kind != "primary" && kind != "filelists" && kind != "other" {
			continue
		}
		location := data.child(t, "location").attr("href")
		packed := read(location)
		open := gunzip(t, packed)
		checkReference(t, kind, data, packed, open)
		lists[kind] = packagesOf(t, parse(t, open))
	}
	return lists
}

func checkReference(t testing.TB, kind string, data element, packed, open []byte) {
	t.Helper()
	for name, want := range map[string]string{
		"checksum": sum(packed), "open-checksum": sum(open), "size": itoa(len(packed)), "open-size": itoa(len(open)),
	} {
		if got := data.child(t, name).Text; got != want {
			t.Errorf("%s: %s %s, want %s", kind, name, got, want)
		}
	}
}

func packagesOf(t testing.TB, root element) map[string]element {
	t.Helper()
	packages := map[string]element{}
	for _, p := range root.Children {
		id := p.attr("pkgid")
		if id == "" {
			id = p.child(t, "checksum").Text
		}
		packages[id] = p.normal()
	}
	if root.attr("packages") != itoa(len(root.Children)) {
		t.Errorf("%s says %s packages, has %d", root.XMLName.Local, root.attr("packages"), len(root.Children))
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
