package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestNewSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		spoil func(*Table)
		want  string
	}{
		{func(t *Table) { t.Name = "a\x1b[2J" }, `name: "a\x1b[2J" is not a name`},
		{func(t *Table) { t.Arches = []string{"x86_64", "amd64"} }, `arches: arch "amd64" is not known, known are x86_64, aarch64`},
		{func(t *Table) { t.Arches = slices.Repeat([]string{"x86_64"}, 3) }, "arches: there are 3, known are x86_64, aarch64"},
		{func(t *Table) { t.Arches = []string{"x86_64", "x86_64"} }, "arches: entry 2 is out of order or stands twice"},
		{func(t *Table) { t.Groups = []string{"a\nb"} }, `the selection: group: "a\nb" is not a name`},
		{func(t *Table) { t.Expires = "2030-12-31" }, `expires "2030-12-31": want a time such as`},
		{func(t *Table) { t.Expires = "2030-02-31T00:00:00Z" }, "want a time such as"},
		{func(t *Table) { t.Expires = "2030-12-31T00:00:00.5Z" }, "want a time such as"},
		{func(t *Table) { t.Expires = "2030-12-31T00:00:00+01:00" }, "want a time such as"},
		{func(t *Table) { t.Images[0].Name = "a\x1bb" }, `image "a\x1bb": its name is no valid image reference`},
		{func(t *Table) { t.Images[0].Groups = []string{""} }, `image quay.io/z/z:1: group: "" is not a name`},
		{func(t *Table) { t.Images[0].Publish = []string{strings.Repeat("a", 256) + ":1"} }, "is a repository name of 256 characters"},
		{func(t *Table) { t.Images[0].Platforms[0].Platform = "linux/\u202eamd64" }, `platform "linux/\u202eamd64" is of none of the bundle's arches, which are aarch64, x86_64`},
		{func(t *Table) { t.Images[0].Platforms[0].Platform = "linux/s390x" }, `platform "linux/s390x" is of none of the bundle's arches`},
		{func(t *Table) { t.Arches = []string{"aarch64"} }, `image quay.io/a/a:1: platform "linux/amd64" is of none of the bundle's arches, which are aarch64`},
		{func(t *Table) { t.Arches = []string{"aarch64"} }, `arch "x86_64" is not one of the bundle's, which are aarch64`},
		{func(t *Table) { t.RPMs[0].BaseArch = "noarch" }, `arch "noarch" is not one of the bundle's, which are aarch64, x86_64`},
		{func(t *Table) { t.RPMs[0].Signer = "somebody" }, `rpm os/x86_64/socat-1.7-2.el7.x86_64.rpm: its signer "somebody" is not one of the keys`},
		{func(t *Table) { t.RPMs[0].Unsigned = "a\rb" }, `"a\rb" holds the control or invisible character U+000D`},
		{func(t *Table) { t.RPMs[0].Groups = []string{"\u009b"} }, `group: "\u009b" is not a name`},
		{func(t *Table) { t.Files[0].Arch = "noarch" }, `file b/c d: arch "noarch" is not one of the bundle's`},
		{func(t *Table) { t.Files[0].Groups = []string{"a\tb"} }, `file b/c d: group: "a\tb" is not a name`},
		{func(t *Table) { t.Charts[0].Name = "a/b" }, `chart a/b-15.0.1.tgz: name "a/b" is not the name of a chart`},
		{func(t *Table) { t.Charts[0].Version = "1/2" }, `chart prometheus-1/2.tgz: version "1/2" is not the version of a chart`},
		{func(t *Table) {
			t.Charts = []Chart{{Name: "a", Version: "1-2", Digest: sum("chart")}, {Name: "a-1", Version: "2", Digest: sum("chart")}}
		}, "chart a-1-2.tgz: two of them want this path"},
		{func(t *Table) { t.Absent = nil }, "image quay.io/z/z:1: it has no platform of aarch64, and nothing says that it is absent"},
		{func(t *Table) { t.Absent[0].Name = "quay.io/z/z:2" }, "image quay.io/z/z:1: it has no platform of aarch64"},
		{func(t *Table) { t.Absent[0].Arch = "x86_64" }, "image quay.io/z/z:1: it has x86_64, and is said to be absent for it"},
		{func(t *Table) { t.Images[1].Name = "a:1"; t.Absent = []Absent{{"a:1", "x86_64", "w"}} }, "image a:1: it has x86_64, and is said to be absent for it"},
		{func(t *Table) {
			t.Images[1].Name = "docker.io/library/z:latest"
			t.Absent = append(t.Absent, Absent{"docker.io/library/z:latest", "x86_64", "w"}, Absent{"z", "x86_64", "a package"})
		}, "image docker.io/library/z:latest: it has x86_64, and is said to be absent for it"},
		{func(t *Table) { t.Absent = []Absent{{"a", "arm64", "w"}} }, `absent a: arch "arm64" is not one of the bundle's`},
		{func(t *Table) { t.Absent = []Absent{{"a\x07", "x86_64", "w"}} }, `absent "a\a": it is no name of an image, and no path: it holds the control`},
		{func(t *Table) { t.Absent = []Absent{{"oci-layout:/srv/a", "x86_64", "w"}} }, "absent oci-layout:/srv/a: it is "},
		{func(t *Table) { t.Absent = []Absent{{"docker-archive:a.tar", "x86_64", "w"}} }, "absent docker-archive:a.tar: it is a place on a disk"},
		{func(t *Table) { t.Absent = []Absent{{"a", "x86_64", "w\nw"}} }, `absent a: "w\nw" holds the control`},
		{func(t *Table) { t.Absent = []Absent{{"a", "x86_64", ""}} }, "absent a: it has no reason"},
		{func(t *Table) { t.Keys[0].ID = "24C6A8A7F4A80EB5" }, `key: "24C6A8A7F4A80EB5" is not a key ID`},
		{func(t *Table) { t.Keys[0].Armor = strings.Replace(armor, "key", "a\x1b]0;b\x07", 1) }, "key 24c6a8a7f4a80eb5: armor holds the control"},
		{func(t *Table) { t.Keys[0].Armor = strings.ReplaceAll(armor, "PUBLIC", "PRIVATE") }, "key 24c6a8a7f4a80eb5: armor holds a private key"},
		{func(t *Table) { t.Keys[0].Armor = "armor" }, "key 24c6a8a7f4a80eb5: armor is not an armored public key"},
		{func(t *Table) { t.Keys[0].ID = "24c6a8a7f4a80eb6" }, `its signer "24c6a8a7f4a80eb5" is not one of the keys`},
		{func(t *Table) { t.RPMs[0].Signer = "" }, "it has neither a signer nor a reason why it is unsigned"},
		{func(t *Table) { t.RPMs[0].Unsigned = "a" }, "it has both a signer and a reason why it is unsigned"},
		{func(t *Table) { t.RPMs[0].Name = "" }, `name "" is not the name of an RPM`},
		{func(t *Table) { t.RPMs[0].Arch = "" }, `arch "" is not the arch of an RPM`},
		{func(t *Table) { t.RPMs[0].Arch = "aarch64" }, `a package of "aarch64" in a set of "x86_64"`},
		{func(t *Table) { t.RPMs[0].EVR = "" }, `evr "" is not version-release`},
		{func(t *Table) { t.RPMs[0].EVR = "a:1-1" }, `evr "a:1-1" is not version-release`},
		{func(t *Table) { t.RPMs[0].EVR = "0:1-1" }, `evr "0:1-1" is not version-release`},
		{func(t *Table) { t.RPMs[0].EVR = "99999999999:1-1" }, `evr "99999999999:1-1" is not version-release`},
		{func(t *Table) { t.Charts[0].Name = "" }, `name "" is not the name of a chart`},
		{func(t *Table) { t.Charts[0].Version = "" }, `version "" is not the version of a chart`},
		{func(t *Table) { t.Files[0].Path = "a/b/c" }, `file a/b/c: it is below the file "a"`},
		{func(t *Table) { t.Images[0].Publish = []string{"a:1"} }, `publish name "a:1" stands twice`},
		{func(t *Table) { t.Images[0].Publish = []string{"b:1", "b:1"} }, `publish name "b:1" stands twice`},
		{func(t *Table) { t.Images[0].Groups = []string{"g", "g"} }, `image quay.io/z/z:1: group "g" stands twice`},
		{func(t *Table) { t.Groups = []string{"g"}; t.Images[0].Groups = t.Groups }, "chart prometheus-15.0.1.tgz: it has none of the groups selected"},
		{func(t *Table) { t.Blobs[0].MediaType = "a/\x1b" }, `: "a/\x1b" is no media type`},
		{func(t *Table) { t.Blobs[0].MediaType = "" }, `: "" is no media type`},
		{func(t *Table) { t.Blobs[0].MediaType = "a/b c" }, `: "a/b c" is no media type`},
		{func(t *Table) { t.Blobs[0].Digest = "sha256:\x1b" }, `blob: digest "sha256:\x1b" is not`},
		{func(t *Table) { t.Images[0].Name = "a b" }, "image a b: its name is no valid image reference"},
		{func(t *Table) { t.Images[0].Name = "z:1" }, "image z:1: its name is not written out as docker.io/library/z:1"},
		{func(t *Table) { t.Images[0].Publish = []string{"y:1", "z:1"}; t.Images[0].Name = "z:1" }, "image z:1: its name is not written out as docker.io/library/z:1"},
		{func(t *Table) { t.Images[0].Name = "quay.io/z@" + string(sum("a1")) }, "its name pins a digest that is neither that of the image nor that of its original"},
		{func(t *Table) { t.Absent = []Absent{{"", "x86_64", "w"}} }, "absent : it is no name of an image, and no path: it is empty"},
		{func(t *Table) {
			t.RPMs[0].Repo = "a:1"
			t.Images[0].Name, t.Images[0].Publish = "rpms/a:1", []string{"rpms/a:1"}
			t.Absent[0].Name = "rpms/a:1"
		}, "index.json would have the name rpms/a:1 twice"},
	} {
		table := sample()
		c.spoil(&table)
		b, err := New(table)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
			continue
		}
		if b != nil {
			t.Errorf("%s: there is a bundle beside the error", c.want)
		}
		if strings.ContainsFunc(err.Error(), func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
			t.Errorf("%q would reach a terminal", err)
		}
	}
}

// Every name that a lock gives is taken: references in full, digests of what they named, the
// first name at the target of what lay on disk.
func TestNewTakesNames(t *testing.T) {
	for _, c := range []struct {
		name    string
		publish []string
	}{
		{"docker.io/library/z:1", nil}, {"localhost/z:1", nil}, {"Z/z:1", nil}, {"[::1]:5000/z:1", nil}, {"z:1", []string{"z:1", "y:1"}},
		{"quay.io/z/z@" + string(sum("ix")), nil}, {"quay.io/z/z@" + string(sum("full")), nil},
	} {
		table := sample()
		table.Images[1].Name, table.Images[1].Publish = c.name, c.publish
		table.Absent = append(table.Absent, Absent{"z", "x86_64", "w"}, Absent{"d/e f", "x86_64", "w"})
		mustNew(t, table)
	}
}

// Absences are said in any way that a lock can say them, and what may be about something else
// contradicts nothing.
func TestNewTakesAbsences(t *testing.T) {
	for _, c := range []struct{ image, absent string }{
		{"docker.io/library/z:latest", "z"}, {"docker.io/library/z:latest", "library/z:latest"}, {"quay.io/z/z:1", "quay.io/z/z:1@" + string(sum("z"))},
		{"z:1", "z:1"},
	} {
		table := sample()
		table.Images[0].Name, table.Absent[0].Name = c.image, c.absent
		if c.image == "z:1" {
			table.Images[0].Publish = []string{"z:1"}
		}
		mustNew(t, table)
	}
	table := sample()
	table.Images[1].Name = "docker.io/library/socat:latest"
	table.Absent = append(table.Absent, Absent{"socat", "x86_64", "a package"})
	mustNew(t, table)
}

// A wrong list of arches is told once, and not with each entry.
func TestWrongArchesAreToldOnce(t *testing.T) {
	for _, arches := range [][]string{nil, {""}, {"s390x", "x86_64"}, {"aarch64", "s390x", "x86_64"}} {
		table := sample()
		table.Arches = arches
		if _, err := New(table); err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "arch") {
			t.Errorf("%q: %v", arches, err)
		}
	}
}

// What a selection or a lock says twice is kept once, whatever came first.
func TestNewMergesWhatIsSaidTwice(t *testing.T) {
	table := Table{Name: "n", Lock: sum("l"), Arches: []string{"x86_64"}}
	table.Groups = []string{"b", "a", "b"}
	table.Absent = []Absent{{"x", "x86_64", "two"}, {"x", "x86_64", "one"}, {"x", "x86_64", "two"}}
	got := mustNew(t, table).Table
	if want := []string{"a", "b"}; !slices.Equal(got.Groups, want) {
		t.Errorf("groups %v", got.Groups)
	}
	if want := []Absent{{"x", "x86_64", "one"}, {"x", "x86_64", "two"}}; !slices.Equal(got.Absent, want) {
		t.Errorf("absent %v", got.Absent)
	}
}

func TestProblemsAreCapped(t *testing.T) {
	table := sample()
	for i := range 3 * maxProblems {
		table.Files = append(table.Files, File{Path: fmt.Sprintf("missing/%d", i), Digest: sum("none")})
	}
	_, err := New(table)
	if err == nil || strings.Count(err.Error(), "\n") != maxProblems-1 {
		t.Errorf("%d lines", strings.Count(fmt.Sprint(err), "\n")+1)
	}
}

// What is told of a table does not grow with the names in it, however often they come up.
func TestProblemsOfLongNames(t *testing.T) {
	table := sample()
	table.Images[0].Name = strings.Repeat("a", 8<<20)
	for i := range 1000 {
		table.Images[0].Groups = append(table.Images[0].Groups, fmt.Sprint("g", i/2))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := New(table)
	runtime.ReadMemStats(&after)
	if err == nil || len(err.Error()) > 2*maxProblemText || !strings.Contains(err.Error(), "stands twice") {
		t.Errorf("%d bytes are told", len(fmt.Sprint(err)))
	}
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 200 {
		t.Errorf("it takes %d MiB", mib)
	}
}

// Every order of a table's lists gives the same root.
func TestNewIsDeterministic(t *testing.T) {
	want := mustNew(t, sample()).Root.Digest
	random := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		s := sample()
		shuffle(random, s.Images, s.Images[1].Platforms)
		shuffle(random, s.RPMs, s.Files)
		shuffle(random, s.Blobs, s.Arches)
		if got := mustNew(t, s).Root.Digest; got != want {
			t.Fatalf("root %s, want %s", got, want)
		}
	}
}

func shuffle[A, B any](random *rand.Rand, a []A, b []B) {
	random.Shuffle(len(a), func(i, j int) { a[i], a[j] = a[j], a[i] })
	random.Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
}

// The root is the identity of bundles that exist: the form never changes.
func TestRootIsStable(t *testing.T) {
	const want = "sha256:8e0329ce4314aa54f7d7389115ee5046dc6190811b5cbc3bbbb7e2a10e59a5f7"
	if got := mustNew(t, sample()).Root.Digest; got != want {
		t.Errorf("root %s, want %s", got, want)
	}
}

// tokens splits JSON into its tokens, white space being none.
func tokens(t *testing.T, raw []byte) []string {
	t.Helper()
	var out []string
	d := json.NewDecoder(bytes.NewReader(raw))
	for at := int64(0); at < int64(len(raw)); at = d.InputOffset() {
		if _, err := d.Token(); err != nil {
			t.Fatal(err)
		}
		out = append(out, string(raw[at:d.InputOffset()]))
	}
	return out
}

// No token can be left out, doubled, or spelt in another way without the table being
// refused, or saying something else.
func TestEveryTokenCounts(t *testing.T) {
	_, raw := mustNew(t, sample()).raw()
	parts := tokens(t, raw)
	if strings.Join(parts, "") != string(raw) {
		t.Fatal("tokens do not make up the table")
	}
	for i, token := range parts {
		for _, with := range []string{"", token + token, token + " ", " " + token, strings.ToUpper(token), token + ".0", strings.Replace(token, "e", `\u0065`, 1), "null", "0", `""`, "[]", "{}"} {
			if with == token {
				continue
			}
			changed := []byte(strings.Join(slices.Concat(parts[:i], []string{with}, parts[i+1:]), ""))
			b, err := openRaw(rootOf(changed), changed)
			if err != nil {
				continue
			}
			again, err := New(*b.Table)
			if err != nil || again.Root.Digest != digest.FromBytes(rootOf(changed)) {
				t.Fatalf("token %d, %s for %s: opened, but New makes another bundle: %v", i, with, token, err)
			}
		}
	}
}

func TestSetsOfSeveralParts(t *testing.T) {
	for _, c := range []struct {
		n    int
		want []int
	}{{1, []int{1}}, {maxSetLayers, []int{maxSetLayers}}, {maxSetLayers + 1, []int{maxSetLayers, 1}}, {2 * maxSetLayers, []int{maxSetLayers, maxSetLayers}}} {
		table := Table{Name: "n", Lock: sum("l"), Arches: []string{"x86_64"}, Blobs: []Blob{{MediaTypeRPM, sum("r"), 7}}}
		for i := range c.n {
			table.RPMs = append(table.RPMs, RPM{Name: fmt.Sprintf("p%05d", i), EVR: "1-1", Arch: "noarch", BaseArch: "x86_64", Repo: "os", Digest: sum("r"), Unsigned: "ours"})
		}
		b := mustNew(t, table)
		var ix ocispec.Index
		if err := json.Unmarshal(b.Index(), &ix); err != nil {
			t.Fatal(err)
		}
		var got []int
		for i, d := range ix.Manifests[1:] {
			name := "rpms/os"
			if i > 0 {
				name = fmt.Sprintf("rpms/os+%d", i+1)
			}
			if d.Annotations[ocispec.AnnotationRefName] != name {
				t.Errorf("%d RPMs: part %d is called %v", c.n, i+1, d.Annotations)
			}
			var m ocispec.Manifest
			if err := json.Unmarshal(b.Generated()[d.Digest], &m); err != nil {
				t.Fatal(err)
			}
			got = append(got, len(m.Layers))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%d RPMs: parts of %v, want %v", c.n, got, c.want)
		}
	}
}

func TestBigTablesAreMadeInTime(t *testing.T) {
	const n = 50_000
	table := Table{Name: "n", Lock: sum("l"), Arches: []string{"x86_64"}}
	for i := range n {
		d := sum(fmt.Sprint(i))
		table.RPMs = append(table.RPMs, RPM{Name: fmt.Sprintf("p%d", i), EVR: "1-1", Arch: "x86_64", BaseArch: "x86_64", Repo: fmt.Sprintf("os/%d", i%100), Digest: d, Unsigned: "ours"})
		table.Blobs = append(table.Blobs, Blob{MediaTypeRPM, d, int64(i)})
	}
	before := processorTime(t)
	root, raw := mustNew(t, table).raw()
	if _, err := Open(root, string(raw)); err != nil {
		t.Fatal(err)
	}
	if used := processorTime(t) - before; used > 30*time.Second {
		t.Errorf("%d RPMs took %s of the processor", n, used)
	}
}

// processorTime is what this process has used; unlike the time of the clock it does not
// depend on what else the machine does.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// To open a table takes little more memory than its bytes: what is allocated in all, not
// only what is held at once, is a few times as much.
func TestOpenAllocatesLittle(t *testing.T) {
	table := Table{Name: "n", Lock: sum("l"), Arches: []string{"x86_64"}}
	for i := range 20_000 {
		d := sum(fmt.Sprint(i))
		table.Files = append(table.Files, File{Path: fmt.Sprint("f", i), Digest: d})
		table.Blobs = append(table.Blobs, Blob{MediaTypeFile, d, 1})
	}
	_, raw := mustNew(t, table).raw()
	text := string(raw)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := DecodeTable(text); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(6*len(raw)); got > most {
		t.Errorf("a table of %d bytes: %d bytes allocated, want %d at most", len(raw), got, most)
	}
}

// What no root can list is refused where it is made, as it is where it is read.
func TestTooLargeIsNotMade(t *testing.T) {
	_, err := New(Table{
		Name: "n", Lock: sum("l"), Arches: []string{"x86_64"}, Files: []File{{Path: strings.Repeat("x", MaxTable), Digest: sum("f")}},
		Blobs: []Blob{{MediaTypeFile, sum("f"), 1}},
	})
	if size, ok := errors.AsType[*SizeError](err); !ok || size.What != "table" || size.Bytes <= MaxTable {
		t.Errorf("got %v", err)
	}
}
