package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/fuzztest"
)

func sum(s string) digest.Digest { return digest.FromString(s) }

const armor = "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\tkey\r\n-----END PGP PUBLIC KEY BLOCK-----\n"

// sample is a table with one of everything, in wrong order on purpose.
func sample() Table {
	return Table{
		Name: "demo", Serial: 3, Lock: sum("lock"), Arches: []string{"x86_64", "aarch64"},
		Images: []Image{
			{Name: "quay.io/z/z:1", Digest: sum("z"), Platforms: []Platform{{"linux/amd64", sum("z")}}},
			{Name: "quay.io/a/a:1", Digest: sum("ix"), Original: sum("full"), Publish: []string{"a:1"}, Platforms: []Platform{{"linux/arm64", sum("a2")}, {"linux/amd64", sum("a1")}}},
		},
		RPMs: []RPM{
			{Name: "socat", EVR: "1.7-2.el7", Arch: "x86_64", BaseArch: "x86_64", Repo: "os/x86_64", Digest: sum("rpm1"), Signer: "24c6a8a7f4a80eb5"},
			{Name: "lvm2", EVR: "7:2.02-6.el7", Arch: "aarch64", BaseArch: "aarch64", Repo: "os/aarch64", Digest: sum("rpm2"), Unsigned: "ours"},
		},
		Files:  []File{{Path: "b/c d", Digest: sum("f2")}, {Path: "a", Digest: sum("f1"), Arch: "x86_64"}},
		Charts: []Chart{{Name: "prometheus", Version: "15.0.1", Digest: sum("chart")}},
		Absent: []Absent{{"quay.io/z/z:1", "aarch64", "not made"}},
		Keys:   []Key{{"24c6a8a7f4a80eb5", armor}},
		Blobs: []Blob{
			{MediaTypeRPM, sum("rpm1"), 4}, {MediaTypeRPM, sum("rpm2"), 4}, {MediaTypeFile, sum("f1"), 2}, {MediaTypeFile, sum("f2"), 2}, {MediaTypeChart, sum("chart"), 5},
			{ocispec.MediaTypeImageIndex, sum("ix"), 2}, {ocispec.MediaTypeImageIndex, sum("full"), 4},
			{ocispec.MediaTypeImageManifest, sum("a1"), 2}, {ocispec.MediaTypeImageManifest, sum("a2"), 2}, {MediaTypeDockerManifest, sum("z"), 1},
			{ocispec.MediaTypeImageLayerGzip, sum("layer"), 5}, {"application/x-twice", sum("layer"), 5},
		},
	}
}

// withMetadata is the sample with slices of metadata, in wrong order too. Two repositories
// share one.
func withMetadata() Table {
	t := sample()
	t.Metadata = []Metadata{
		{"os/x86_64", MetadataUpdateinfo, sum("upd")}, {"os/x86_64", MetadataComps, sum("comps")},
		{"os/x86_64", MetadataModules, sum("mod")}, {"os/aarch64", MetadataModules, sum("mod")},
	}
	t.Blobs = append(t.Blobs, Blob{MediaTypeModules, sum("mod"), 3}, Blob{MediaTypeComps, sum("comps"), 5}, Blob{MediaTypeUpdateinfo, sum("upd"), 3})
	return t
}

func mustNew(t testing.TB, table Table) *Bundle {
	t.Helper()
	b, err := New(table)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *Bundle) raw() (root, table []byte) {
	return b.rootRaw, []byte(b.tableRaw)
}

func TestNewOpenRoundTrip(t *testing.T) {
	b := mustNew(t, sample())
	again, err := openRaw(b.raw())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.Table, again.Table); diff != "" {
		t.Errorf("table differs:\n%s", diff)
	}
	if b.Root.Digest != again.Root.Digest || !bytes.Equal(b.Index(), again.Index()) || !slices.EqualFunc(b.Blobs(), again.Blobs(), func(x, y ocispec.Descriptor) bool { return cmp.Equal(x, y) }) {
		t.Error("what follows from root and table differs")
	}
	shuffled := sample()
	for _, list := range []func(){
		func() { slices.Reverse(shuffled.Images) }, func() { slices.Reverse(shuffled.RPMs) },
		func() { slices.Reverse(shuffled.Files) }, func() { slices.Reverse(shuffled.Blobs) }, func() { slices.Reverse(shuffled.Arches) },
	} {
		list()
	}
	if got := mustNew(t, shuffled).Root.Digest; got != b.Root.Digest {
		t.Errorf("another order gives another root: %s, %s", got, b.Root.Digest)
	}
}

func TestNewLeavesCallersTableAlone(t *testing.T) {
	in := sample()
	mustNew(t, in)
	if diff := cmp.Diff(sample(), in); diff != "" {
		t.Errorf("the caller's table changed:\n%s", diff)
	}
}

func TestBlobOrder(t *testing.T) {
	b := mustNew(t, sample())
	blobs := b.Blobs()
	if blobs[0].Digest != b.Root.Digest {
		t.Error("the root is not first")
	}
	jsonPart := true
	seen := map[digest.Digest]bool{}
	for i, d := range blobs {
		if seen[d.Digest] {
			t.Errorf("%s stands twice", d.Digest)
		}
		seen[d.Digest] = true
		isJSON := IsJSON(d.MediaType, d.Size)
		if isJSON && !jsonPart {
			t.Errorf("%s: JSON behind large blobs", d.Digest)
		}
		if i > 1 && isJSON == jsonPart && blobs[i-1].Digest >= d.Digest {
			t.Errorf("%s: out of order", d.Digest)
		}
		jsonPart = isJSON
	}
	if !seen[b.TableDescriptor().Digest] || len(blobs) != len(b.Table.Blobs)+2 {
		t.Errorf("%d blobs for %d in the table", len(blobs), len(b.Table.Blobs))
	}
}

// An image's manifest that is carried as a file, too, stays a manifest.
func TestMediaTypeThatSaysMostIsKept(t *testing.T) {
	for _, kept := range []string{ocispec.MediaTypeImageIndex, MediaTypeDockerManifest, ocispec.MediaTypeImageConfig} {
		for _, order := range [][]string{{MediaTypeFile, kept}, {kept, MediaTypeFile}} {
			table := Table{Name: "n", Lock: sum("l"), Arches: []string{"x86_64"}}
			for _, mt := range order {
				table.Blobs = append(table.Blobs, Blob{mt, sum("twice"), 5})
			}
			if d, _ := mustNew(t, table).Blob(sum("twice")); d.MediaType != kept {
				t.Errorf("%v: kept %s", order, d.MediaType)
			}
		}
	}
}

func TestIndexNamesEverything(t *testing.T) {
	b := mustNew(t, sample())
	var ix ocispec.Index
	if err := json.Unmarshal(b.Index(), &ix); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range ix.Manifests {
		got = append(got, d.Annotations[ocispec.AnnotationRefName])
	}
	want := []string{"", "quay.io/a/a:1", "quay.io/z/z:1", "rpms/os/aarch64", "rpms/os/x86_64", "files", "charts/prometheus"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names differ:\n%s", diff)
	}
	if ix.Manifests[0].Digest != b.Root.Digest || ix.Manifests[0].ArtifactType != ArtifactTypeBundle {
		t.Errorf("the root is not first: %+v", ix.Manifests[0])
	}
	var set ocispec.Manifest
	if err := json.Unmarshal(b.Generated()[ix.Manifests[3].Digest], &set); err != nil {
		t.Fatal(err)
	}
	if title := set.Layers[0].Annotations[ocispec.AnnotationTitle]; title != "os/aarch64/lvm2-2.02-6.el7.aarch64.rpm" || set.Layers[0].Size != 4 {
		t.Errorf("RPM set: %+v", set)
	}
}

func TestSetsAreCut(t *testing.T) {
	table := Table{Name: "many", Lock: sum("l"), Arches: []string{"x86_64"}}
	for i := range 2*maxSetLayers + 1 {
		name := fmt.Sprintf("f%05d", i)
		table.Files = append(table.Files, File{Path: name, Digest: sum(name)})
		table.Blobs = append(table.Blobs, Blob{MediaTypeFile, sum(name), 6})
	}
	var ix ocispec.Index
	if err := json.Unmarshal(mustNew(t, table).Index(), &ix); err != nil {
		t.Fatal(err)
	}
	if len(ix.Manifests) != 4 || ix.Manifests[3].Annotations[ocispec.AnnotationRefName] != "files+3" {
		t.Errorf("%d manifests, last %v", len(ix.Manifests), ix.Manifests[len(ix.Manifests)-1].Annotations)
	}
}

func TestNewRefuses(t *testing.T) {
	for name, spoil := range map[string]func(*Table){
		"no name":              func(t *Table) { t.Name = "" },
		"no arch":              func(t *Table) { t.Arches = nil },
		"bad lock digest":      func(t *Table) { t.Lock = "sha256:ABC" },
		"negative serial":      func(t *Table) { t.Serial = -1 },
		"two sizes":            func(t *Table) { t.Blobs = append(t.Blobs, Blob{MediaTypeRPM, sum("rpm1"), 5}) },
		"negative size":        func(t *Table) { t.Blobs[0].Size = -1 },
		"sizes overflow":       func(t *Table) { t.Blobs[0].Size, t.Blobs[1].Size = 1<<62, 1<<62 },
		"blob not listed":      func(t *Table) { t.Blobs = t.Blobs[1:] },
		"path climbs":          func(t *Table) { t.Files[0].Path = "a/../../b" },
		"path absolute":        func(t *Table) { t.Files[0].Path = "/etc/passwd" },
		"path with backslash":  func(t *Table) { t.Files[0].Path = `a\b` },
		"path with escape":     func(t *Table) { t.Files[0].Path = "a\x1bb" },
		"file twice":           func(t *Table) { t.Files[0] = t.Files[1] },
		"rpm name with slash":  func(t *Table) { t.RPMs[0].Name = "../x" },
		"two rpms, one path":   func(t *Table) { t.RPMs = append(t.RPMs, t.RPMs[0]); t.RPMs[2].EVR = "1:" + t.RPMs[0].EVR },
		"image without name":   func(t *Table) { t.Images[0].Name = "" },
		"image with space":     func(t *Table) { t.Images[0].Name = "a b" },
		"image twice":          func(t *Table) { t.Images[0].Name = t.Images[1].Name },
		"no platform":          func(t *Table) { t.Images[0].Platforms = nil },
		"platform twice":       func(t *Table) { t.Images[1].Platforms[1].Platform = "linux/arm64" },
		"odd platform":         func(t *Table) { t.Images[0].Platforms[0].Platform = "amd64" },
		"publish without tag":  func(t *Table) { t.Images[1].Publish = []string{"a"} },
		"publish upper case":   func(t *Table) { t.Images[1].Publish = []string{"A:1"} },
		"platform not carried": func(t *Table) { t.Images[0].Platforms[0].Digest = sum("none") },
		"original is itself":   func(t *Table) { t.Images[1].Original = t.Images[1].Digest },
		"key id with a slash":  func(t *Table) { t.Keys[0].ID = "../key" },
		"key twice":            func(t *Table) { t.Keys = append(t.Keys, t.Keys[0]) },
		"original not carried": func(t *Table) { t.Images[1].Original = sum("none") },
	} {
		table := sample()
		spoil(&table)
		if _, err := New(table); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Whatever is not byte for byte what New writes is refused.
func TestOpenIsStrict(t *testing.T) {
	root, table := mustNew(t, sample()).raw()
	relink := func(table string) (r, tb []byte) { return rootOf([]byte(table)), []byte(table) }
	for name, edit := range map[string]func() (r, tb []byte){
		"root with space":   func() ([]byte, []byte) { return append(bytes.Clone(root), ' '), table },
		"root with member":  func() ([]byte, []byte) { return bytes.Replace(root, []byte(`{`), []byte(`{"x":1,`), 1), table },
		"other table":       func() ([]byte, []byte) { return root, append(bytes.Clone(table), ' ') },
		"table with space":  func() ([]byte, []byte) { return relink(string(table) + " ") },
		"table with member": func() ([]byte, []byte) { return relink(`{"x":1,` + string(table[1:])) },
		"duplicate key":     func() ([]byte, []byte) { return relink(`{"name":"demo",` + string(table[1:])) },
		"case-folded key":   func() ([]byte, []byte) { return relink(strings.Replace(string(table), `"name"`, `"Name"`, 1)) },
		"number form": func() ([]byte, []byte) {
			return relink(strings.Replace(string(table), `"serial":3`, `"serial":3.0`, 1))
		},
		"second document": func() ([]byte, []byte) { return relink(string(table) + string(table)) },
		"blob left out": func() ([]byte, []byte) {
			return relink(strings.Replace(string(table), fmt.Sprintf(`,{"mediaType":%q,"digest":%q,"size":2}`, MediaTypeFile, sum("f1")), "", 1))
		},
		"generated left out": func() ([]byte, []byte) {
			return relink(strings.Replace(string(table), fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":2},`, ocispec.MediaTypeEmptyJSON, digest.FromBytes(emptyJSON)), "", 1))
		},
		"generated of another type": func() ([]byte, []byte) {
			d := setsOf(t)[0].desc
			return relink(strings.Replace(string(table), fmt.Sprintf(`{"mediaType":%q,"digest":%q`, d.MediaType, d.Digest), fmt.Sprintf(`{"mediaType":"application/x+json","digest":%q`, d.Digest), 1))
		},
		"generated of another size": func() ([]byte, []byte) {
			d := setsOf(t)[0].desc
			return relink(strings.Replace(string(table), fmt.Sprintf(`%q,"size":%d`, d.Digest, d.Size), fmt.Sprintf(`%q,"size":%d`, d.Digest, d.Size+1), 1))
		},
		"size of the table": func() ([]byte, []byte) {
			return bytes.Replace(root, fmt.Appendf(nil, `"size":%d`, len(table)), []byte(`"size":99999999999`), 1), table
		},
		"invalid UTF-8":       func() ([]byte, []byte) { return relink(strings.Replace(string(table), `"demo"`, "\"de\xffmo\"", 1)) },
		"escaped differently": func() ([]byte, []byte) { return relink(strings.Replace(string(table), `"demo"`, "\"d\\u0065mo\"", 1)) },
	} {
		r, tb := edit()
		if bytes.Equal(r, root) && bytes.Equal(tb, table) {
			t.Errorf("%s: the edit changed nothing", name)
		} else if _, err := openRaw(r, tb); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for i := range table {
		bad := bytes.Clone(table)
		bad[i] ^= 0x20
		if _, err := openRaw(rootOf(bad), bad); err == nil && !harmless(table, i) {
			t.Errorf("byte %d of the table flipped (%q): accepted", i, bad[max(0, i-20):min(len(bad), i+20)])
		}
	}
}

// What follows from the table and is not listed is told with the name of its list.
func TestOpenNamesTheList(t *testing.T) {
	_, table := mustNew(t, sample()).raw()
	for _, s := range setsOf(t) {
		raw := strings.Replace(string(table), fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d},`, s.desc.MediaType, s.desc.Digest, s.desc.Size), "", 1)
		want := fmt.Sprintf("table: the artifact manifest of %s: blob %s is not listed", s.ref, s.desc.Digest)
		if _, err := Open(rootOf([]byte(raw)), raw); err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func setsOf(t *testing.T) []set {
	t.Helper()
	sets, err := mustNew(t, sample()).sets, error(nil)
	if err != nil || len(sets) == 0 {
		t.Fatalf("%d sets, %v", len(sets), err)
	}
	return sets
}

// harmless says that a flipped byte lies in a free text or number, where another value
// is as good in itself; only the root's digest tells them apart.
func harmless(table []byte, at int) bool {
	var a, b Table
	bad := bytes.Clone(table)
	bad[at] ^= 0x20
	return json.Unmarshal(table, &a) == nil && json.Unmarshal(bad, &b) == nil && !cmp.Equal(a, b)
}

func TestRootFile(t *testing.T) {
	b := mustNew(t, sample())
	raw := b.EncodeRootFile()
	again, err := OpenRootFile(raw)
	if err != nil || again.Root.Digest != b.Root.Digest {
		t.Fatalf("%v", err)
	}
	for _, bad := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), '\n'), bytes.Replace(raw, []byte("demo"), []byte("dem0"), 1), []byte("{}"), nil} {
		if _, err := OpenRootFile(bad); err == nil {
			t.Errorf("accepted %.60q", bad)
		}
	}
}

func FuzzOpen(f *testing.F) {
	root, table := mustNew(f, sample()).raw()
	f.Add(root, table)
	f.Add([]byte("{}"), []byte("{}"))
	fuzztest.Run(f, func(t *testing.T, _, table []byte) {
		agree(t, table)
		b, err := openRaw(rootOf(table), table)
		if err != nil {
			return
		}
		again, err := New(*b.Table)
		if err != nil || again.Root.Digest != b.Root.Digest {
			t.Fatalf("encode(decode(x)) differs: %v", err)
		}
	})
}

// agree holds the reader of tables against encoding/json: it accepts what that would write of
// what it read, and reads the same.
func agree(t *testing.T, raw []byte) {
	t.Helper()
	if hollow(string(raw)) {
		return
	}
	var want Table
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	again, err := []byte(nil), d.Decode(&want)
	if err == nil {
		again, err = encode(want)
	}
	canonical := err == nil && bytes.Equal(again, raw)
	got, err := DecodeTable(string(raw))
	switch {
	case err == nil && !canonical:
		t.Errorf("accepted, but it would be written as %s", again)
	case err != nil && canonical && !bytes.Contains(raw, []byte(":null")):
		t.Errorf("refused: %v", err)
	case err == nil:
		if diff := cmp.Diff(&want, got); diff != "" {
			t.Errorf("(-encoding/json +ours):\n%s", diff)
		}
	}
}

// Every form of every value is read as encoding/json reads it, or refused with its place.
func TestDecodeTable(t *testing.T) {
	const head = `{"name":"n","lock":"l","arches":["x"],`
	for _, s := range []string{
		"", "{}", "null", "[]", `{"name":"n"}`, head + `"blobs":[]}`, head + `"blobs":null}`, head + `"blobs":[],}`, head + `"blobs":[]} `, head + `"blobs":[{}]}`,
		head + `"groups":[],"blobs":[]}`, head + `"groups":[""],"blobs":[]}`, head + `"groups":["a","b","c"],"blobs":[]}`, head + `"groups":["a",],"blobs":[]}`,
		head + `"files":[{"path":"p","digest":"d","arch":""}],"blobs":[]}`, head + `"files":[{"digest":"d","path":"p"}],"blobs":[]}`,
		head + `"files":[{"path":"p","digest":"d"},{"path":"q","digest":"d","arch":"x","groups":["g"]}],"blobs":[]}`,
		head + `"images":[{"name":"i","digest":"d","platforms":[]}],"blobs":[]}`, head + `"images":[{"name":"i","digest":"d","platforms":[{"platform":"p","digest":"d"}]}],"blobs":[]}`,
		`{"name":"n","serial":0,"lock":"l","arches":["x"],"blobs":[]}`, `{"name":"n","serial":-0,"lock":"l","arches":["x"],"blobs":[]}`,
		`{"name":"n","serial":-9223372036854775808,"lock":"l","arches":["x"],"blobs":[]}`, `{"name":"n","serial":9223372036854775808,"lock":"l","arches":["x"],"blobs":[]}`,
		`{"name":"n","serial":01,"lock":"l","arches":["x"],"blobs":[]}`, `{"name":"n","serial":1e1,"lock":"l","arches":["x"],"blobs":[]}`, `{"name":"n","serial":"1","lock":"l","arches":["x"],"blobs":[]}`,
	} {
		agree(t, []byte(s))
	}
	texts := []string{`\`, `\\`, `\"`, `\/`, `\'`, `\n`, `\r`, `\t`, `\b`, `\f`, `\v`, `\u0000`, `\u001f`, `\u001F`, `\u000a`, `\u0020`, `\u003c`, `\u2028`, `\u2029`, `\ufffd`, `\ud800`, `\ud83d\ude00`, `\u12`, `\u+001`,
		"\x00", "\n", "\x1f", "\x7f", "\x80", "\xff", "\u2028", "\u2029", "\ufffd", "é", "😀", "<>&", "'", "a b"}
	for _, s := range texts {
		agree(t, []byte(`{"name":"x`+s+`","lock":"l","arches":[],"blobs":[]}`))
		agree(t, []byte(`{"name":"`+s+`é\n","lock":"l","arches":["`+s+`","`+s+`"],"blobs":[]}`))
	}
	_, table := mustNew(t, sample()).raw()
	for i := range table {
		bad := bytes.Clone(table)
		bad[i] = "\"0\\,} "[i%6]
		agree(t, bad)
	}
	if _, err := DecodeTable(head + `"more":1,"blobs":[]}`); err == nil || err.Error() != "table: not in canonical form, first difference at byte 37" {
		t.Error(err)
	}
}

func openRaw(root, table []byte) (*Bundle, error) { return Open(root, string(table)) }
