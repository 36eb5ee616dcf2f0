package hostile

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"airbundle/internal/bundletest"
	"airbundle/internal/rpmtest"
)

// A genuine bundle is taken apart into its entries.
type genuine struct {
	raw     []byte
	members []member
	at      []int // of the headers
	root    string
}

// dissect reads the one form that a bundle's headers have.
func dissect(t *testing.T, raw []byte) genuine {
	t.Helper()
	g := genuine{raw: raw}
	for pos := 0; raw[pos] != 0; {
		name := string(bytes.TrimRight(raw[pos:pos+100], "\x00"))
		n, err := strconv.ParseInt(string(raw[pos+124:pos+135]), 8, 64)
		if err != nil {
			t.Fatal(err)
		}
		g.members, g.at = append(g.members, member{name: name, data: raw[pos+512 : pos+512+int(n)]}), append(g.at, pos)
		pos += 512 + int(n+511)&^511
	}
	g.root = "sha256:" + strings.TrimPrefix(g.members[2].name, "blobs/sha256/")
	if !bytes.Equal(raw, tarball{members: g.members}.bytes()) {
		t.Fatal("this corpus writes bundles in another form than bundler build")
	}
	return g
}

// bundle builds a bundle of the fixture after a change.
func bundle(t *testing.T, change func(f *bundletest.Fixture)) genuine {
	t.Helper()
	f := bundletest.New(t)
	f.AddFile("big/file", bytes.Repeat([]byte("0123456789abcdef"), 1<<17))
	change(f)
	raw, err := os.ReadFile(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	return dissect(t, raw)
}

// demo is the bundle that mutations start from.
func demo(t *testing.T) genuine { return bundle(t, func(*bundletest.Fixture) {}) }

func (g genuine) table(t *testing.T) int {
	t.Helper()
	m := regexp.MustCompile(`table\.v1\+json","digest":"sha256:([0-9a-f]{64})`).FindSubmatch(g.members[2].data)
	return slices.IndexFunc(g.members, func(e member) bool { return e.name == "blobs/sha256/"+string(m[1]) })
}

// A mutation changes a genuine bundle. Without --root verify ends with want, with the root
// of the genuine one never well.
type mutation struct {
	row, name string
	raw       func() []byte // made when it is needed: all of them would fill the memory
	want      []int         // 4 where it is empty
	whole     bool          // an internally consistent bundle: only the root tells
	says      string
}

func (g genuine) flips() []mutation {
	var all []mutation
	last := len(g.at) - 1
	for name, i := range map[string]int{"oci-layout": 0, "index.json": 1, "root": 2, "a JSON blob": 5, "last blob": last} {
		for field, at := range map[string]int{"name": 20, "mode": 104, "uid": 109, "gid": 117, "size": 134, "mtime": 140, "checksum": 151, "type": 156, "link": 200, "magic": 260, "version": 264, "user": 280, "group": 300, "major": 331, "minor": 339, "prefix": 400, "end": 505} {
			all = append(all, mutation{row: "A03", name: field + " in the header of " + name, raw: g.flip(g.at[i] + at)})
			// With a checksum that is right, what no OCI rule speaks of makes another tool's layout.
			summed := func() []byte {
				h := flipped(g.raw, g.at[i]+at)
				(*header)(h[g.at[i] : g.at[i]+512]).sum()
				return h
			}
			if field != "checksum" {
				all = append(all, mutation{row: "A03", name: field + " and checksum in the header of " + name, raw: summed, want: either})
			}
		}
		n := len(g.members[i].data)
		for place, at := range map[string]int{"first byte": 0, "middle": n / 2, "last byte": n - 1} {
			m := mutation{row: "A01", name: place + " of " + name, raw: g.flip(g.at[i] + 512 + at)}
			if hex, ok := strings.CutPrefix(g.members[i].name, "blobs/sha256/"); ok {
				m.says = hex[:12]
			} else {
				m.row = "A02"
			}
			all = append(all, m)
		}
		if n%512 != 0 {
			all = append(all, mutation{row: "A04", name: "padding of " + name, raw: g.flip(g.at[i] + 512 + n)})
		}
	}
	for _, at := range []int{1, 500, 512, 513, 1000, 1024} {
		all = append(all, mutation{row: "A04", name: fmt.Sprintf("%d bytes before the end", at), raw: g.flip(len(g.raw) - at)})
	}
	return all
}

func (g genuine) cuts() []mutation {
	var all []mutation
	size := len(g.raw)
	for _, at := range []int{0, 1, 511, 512, 513, 1023, 1024, 1536, g.at[2], g.at[2] + 1, g.at[2] + 512, g.at[3], g.at[5] + 100, size / 4, size / 2, size - 100_000, size - 2048, size - 1025, size - 1024, size - 1023, size - 513, size - 512, size - 511, size - 1} {
		all = append(all, mutation{row: "A05", name: fmt.Sprintf("at byte %d", at), raw: func() []byte { return g.raw[:at] }})
	}
	burst := func(name string, at, n int, fill byte) {
		all = append(all, mutation{row: "A11", name: name, raw: func() []byte {
			raw := bytes.Clone(g.raw)
			copy(raw[at:at+n], bytes.Repeat([]byte{fill}, n))
			return raw
		}})
	}
	for _, at := range []int{0, 2048, size / 2 &^ 511, size - 70_000} {
		burst(fmt.Sprintf("2 KiB zeroed at %d", at), at, 2048, 0)
		burst(fmt.Sprintf("64 KiB of 0xff at %d", at), at, 65536, 0xff)
	}
	burst("1 MiB zeroed", size/2, 1<<20, 0)
	return append(all, mutation{row: "A04", name: "a zero block more", raw: g.then(make([]byte, 512)), want: either},
		mutation{row: "A20", name: "a record of zeros more", raw: g.then(make([]byte, 10240)), want: either},
		mutation{row: "A20", name: "a byte more", raw: g.then([]byte{'x'})},
		mutation{row: "A20", name: "itself once more", raw: g.then(g.raw)})
}

func packMembers(m ...member) func() []byte { return tarball{members: m}.bytes }

// flip flips a bit of the bundle, then adds bytes behind it.
func (g genuine) flip(at int) func() []byte { return func() []byte { return flipped(g.raw, at) } }
func (g genuine) then(tail []byte) func() []byte {
	return func() []byte { return append(bytes.Clone(g.raw), tail...) }
}

func (g genuine) entries() []mutation {
	var all []mutation
	add := func(row, name string, m []member, want ...int) {
		all = append(all, mutation{row: row, name: name, raw: packMembers(m...), want: want})
	}
	last := len(g.members) - 1
	for i := range g.members {
		add("A13", fmt.Sprintf("without entry %d", i), slices.Delete(slices.Clone(g.members), i, i+1))
	}
	for _, i := range []int{0, 1, 2, 3, last} {
		add("A14", fmt.Sprintf("entry %d twice", i), slices.Insert(slices.Clone(g.members), i, g.members[i]))
		add("A14", fmt.Sprintf("entry %d again at the end", i), append(slices.Clone(g.members), g.members[i]))
	}
	for _, p := range [][2]int{{0, 1}, {1, 2}, {2, 3}, {3, 4}, {last - 1, last}, {3, last}} {
		m := slices.Clone(g.members)
		m[p[0]], m[p[1]] = m[p[1]], m[p[0]]
		add("A39", fmt.Sprintf("entries %d and %d change places", p[0], p[1]), m, either...)
		m = slices.Clone(g.members)
		m[p[0]].data, m[p[1]].data = m[p[1]].data, m[p[0]].data
		add("A12", fmt.Sprintf("entries %d and %d change contents", p[0], p[1]), m)
	}
	stray := []byte("stray")
	for name, n := range map[string]string{"orphan": fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(stray)), "file": "README", "parent": "../x", "volume": "airbundle-volume-0001", "part": g.members[last].name + ".part-001", "signature": "bundle.sig"} {
		add("A21", name+" at the end", append(slices.Clone(g.members), member{name: n, data: stray}))
		add("A21", name+" in front", append([]member{{name: n, data: stray}}, g.members...))
		add("A21", name+" behind the root", slices.Insert(slices.Clone(g.members), 3, member{name: n, data: stray}))
	}
	dir := member{name: "blobs/", kind: '5'}
	add("A17", "a directory in front", append([]member{dir}, g.members...), either...)
	add("A17", "a symlink at the end", append(slices.Clone(g.members), member{name: "link", kind: '2', link: "/etc/passwd"}))
	add("A19", "a pax header in front of the root", slices.Insert(slices.Clone(g.members), 2, pax(paxRecord("comment", "x"))), either...)
	return all
}

// rehash puts other text into an entry and carries the new digest to root and index.json,
// with the entries in the order that the format asks for.
func (g genuine) rehash(i int, change edit) genuine {
	m := slices.Clone(g.members)
	for i >= 2 {
		was := m[i].name[len("blobs/sha256/"):]
		old := len(m[i].data)
		m[i].data = []byte(change(string(m[i].data)))
		now := fmt.Sprintf("%x", sha256.Sum256(m[i].data))
		size := len(m[i].data)
		m[i].name = "blobs/sha256/" + now
		change = func(s string) string {
			return strings.Replace(s, was+`","size":`+fmt.Sprint(old), now+`","size":`+fmt.Sprint(size), 1)
		}
		if i == 2 {
			m[1].data = []byte(change(string(m[1].data)))
			break
		}
		i = 2
	}
	json := 3
	for json < len(m) && bytes.HasPrefix(m[json].data, []byte("{")) {
		json++
	}
	slices.SortFunc(m[3:json], func(a, b member) int { return strings.Compare(a.name, b.name) })
	return genuine{members: m, raw: tarball{members: m}.bytes()}
}

// forged are edits that the digests agree with.
func (g genuine) forged(t *testing.T) []mutation {
	table := g.table(t)
	edit := func(row, name string, i int, e edit, want ...int) mutation {
		return mutation{row: row, name: name, raw: func() []byte { return g.rehash(i, e).raw }, want: want}
	}
	whole := func(m mutation) mutation { m.whole = true; return m }
	saying := func(says string, m mutation) mutation { m.says = says; return m }
	other := func(name string, change func(f *bundletest.Fixture)) mutation {
		raw := bundle(t, change).raw
		return whole(mutation{row: "A36", name: name, raw: func() []byte { return raw }, want: []int{0}})
	}
	return []mutation{
		whole(edit("A36", "name in the table", table, swap(`"name":"demo"`, `"name":"dem0"`), 0)),
		whole(edit("A36", "lock in the table", table, func(s string) string {
			return regexp.MustCompile(`"lock":"sha256:..`).ReplaceAllString(s, `"lock":"sha256:00`)
		}, 0)),
		edit("A36", "white space in the table", table, swap(`"name":"demo"`, `"name": "demo"`), either...),
		edit("A36", "white space in the root", 2, swap(`"schemaVersion":2`, `"schemaVersion": 2`), either...),
		edit("A29", "key twice in the table", table, swap(`"name":"demo"`, `"name":"demo","name":"demo"`)),
		edit("A29", "unknown key in the table", table, swap(`"name":"demo"`, `"name":"demo","more":1`), either...),
		edit("A33", "control characters in the table", table, swap(`"name":"demo"`, `"name":"de\u001b[31mmo"`)),
		edit("A36", "package renamed in the table", table, swap(`"name":"hello"`, `"name":"hell0"`)),
		edit("A36", "arch exchanged in the table", table, swap(`"arch":"x86_64"`, `"arch":"aarch64"`)),
		edit("A36", "platform exchanged in the table", table, swap(`linux/amd64`, `linux/arm64`)),
		edit("A33", "traversal in a path", table, swap(`"path":"etcd/amd64/etcd.tar.gz"`, `"path":"../../amd64/etcd.tgz"`)),
		saying("a newer airbundle made this bundle: use an airbundle as new", edit("A38", "root of version 2", 2, swap("vnd.airbundle.bundle.v1", "vnd.airbundle.bundle.v2"))),
		edit("A38", "table of version 2", 2, swap("vnd.airbundle.table.v1", "vnd.airbundle.table.v2")),
		edit("A30", "root is an index, too", 2, swap(`"layers":`, `"manifests":[],"layers":`)),
		edit("A23", "bad digest in the table", table, func(s string) string {
			return regexp.MustCompile(`"lock":"sha256:`).ReplaceAllString(s, `"lock":"sha512:`)
		}),
		edit("A24", "size in the table", table, func(s string) string { return regexp.MustCompile(`"size":7\d+`).ReplaceAllString(s, `"size":-1`) }),
		other("file replaced", func(f *bundletest.Fixture) {
			f.Lock.Files = f.Lock.Files[:len(f.Lock.Files)-1]
			f.AddFile("big/file", bytes.Repeat([]byte("0123456789abcdeg"), 1<<17))
		}),
		other("image dropped", func(f *bundletest.Fixture) { f.Lock.Images = f.Lock.Images[:2]; f.Lock.Absent = nil }),
		other("names exchanged", func(f *bundletest.Fixture) {
			im := f.Lock.Images
			im[0].Source, im[1].Source = im[1].Source, im[0].Source
		}),
		other("package dropped", func(f *bundletest.Fixture) { f.Lock.RPMs = f.Lock.RPMs[:1] }),
		other("older serial", func(f *bundletest.Fixture) { f.Lock.Serial = 1 }),
	}
}

// mixed are files made of two genuine bundles: row S05.
func (g genuine) mixed(b genuine) []mutation {
	var all []mutation
	other := 3 // the first blob behind the root that is not the same in both
	for g.members[other].name == b.members[other].name {
		other++
	}
	for name, i := range map[string]int{"index.json": 1, "root": 2, "a blob": other} {
		m := slices.Clone(g.members)
		m[i] = b.members[i]
		all = append(all, mutation{row: "S05", name: name + " of another bundle", raw: packMembers(m...)})
	}
	half := func() []byte { return append(slices.Clone(g.raw[:len(g.raw)/2&^511]), b.raw[len(b.raw)/2&^511:]...) }
	union := slices.Clone(g.members)
	for _, m := range b.members[2:] {
		if !slices.ContainsFunc(union, func(o member) bool { return o.name == m.name }) {
			union = append(union, m)
		}
	}
	return append(all, mutation{row: "S05", name: "halves of two", raw: half}, mutation{row: "S05", name: "all blobs of another one, too", raw: packMembers(union...)},
		mutation{row: "S05", name: "root and index.json of another one", raw: packMembers(slices.Concat(b.members[:3], g.members[3:])...)})
}

func mutations(t *testing.T) []mutation {
	t.Helper()
	g := demo(t)
	b := bundle(t, func(f *bundletest.Fixture) { f.Lock.Serial = 2; f.AddFile("more", []byte("more")) })
	return slices.Concat(g.flips(), g.cuts(), g.entries(), g.forged(t), g.unlockable(g.table(t)), g.mixed(b))
}

// TestMutations: of a bundle that was changed nothing passes that is not a bundle of its
// own, and with the root not even that.
func TestMutations(t *testing.T) {
	g := demo(t)
	all := mutations(t)
	t.Logf("%d mutations of a bundle of %d bytes", len(all), len(g.raw))
	t.Run("all", func(t *testing.T) {
		for i, m := range all {
			if m.row == "A03" && i%3 != 0 && !full {
				continue
			}
			t.Run(m.row+" "+m.name, func(t *testing.T) {
				t.Parallel()
				m.try(t, g)
			})
		}
	})
	canary(t)
	t.Log(&worst.figures)
}

func (m mutation) try(t *testing.T, g genuine) {
	path := filepath.Join(t.TempDir(), "x.bundle.tar")
	if err := os.WriteFile(path, m.raw(), 0o600); err != nil {
		t.Fatal(err)
	}
	s := sample{row: m.row, name: "bundle " + m.name, wrong: m.name, want: m.want, says: m.says}
	v := judge(t, path, s)
	if v.Bundle != nil && *v.Bundle != m.whole && v.ExitCode == 0 {
		t.Errorf("bundle: %v", *v.Bundle)
	}
	if v.Trust != "none" {
		t.Errorf("trust: %s without a root", v.Trust)
	}
	s.want, s.says = []int{4, 5}, ""
	if m.whole {
		s.want, s.says = []int{5}, g.root[:19]
	}
	if v := judge(t, path, s, "--root", g.root); v.Trust != "none" && m.whole {
		t.Errorf("trust: %s for another root", v.Trust)
	}
	if t.Failed() {
		keep(t, s, path)
	}
}

// TestGenuine: the bundle itself passes, with its root, too.
func TestGenuine(t *testing.T) {
	g := demo(t)
	path := filepath.Join(t.TempDir(), "x.bundle.tar")
	if err := os.WriteFile(path, g.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for trust, args := range map[string][]string{"none": nil, "root": {"--root", g.root}} {
		v := judge(t, path, sample{wrong: "nothing", want: []int{0}}, args...)
		if v.Trust != trust || v.Bundle == nil || !*v.Bundle || v.Root != g.root {
			t.Errorf("got trust %s, bundle %v, root %s, want %s, true, %s", v.Trust, v.Bundle, v.Root, trust, g.root)
		}
	}
}

// TestRepacked: a bundle that GNU tar has unpacked and packed is a layout, and no bundle,
// whether or not index.json still calls it one.
func TestRepacked(t *testing.T) {
	tool := rpmtest.Tool(t, "tar")
	g, dir := demo(t), t.TempDir()
	path, again := filepath.Join(dir, "x.bundle.tar"), filepath.Join(dir, "again.tar")
	if err := os.WriteFile(path, g.raw, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) {
		if said, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
	}
	run("-xf", path, "-C", out)
	index, err := os.ReadFile(filepath.Join(out, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	plain := strings.Replace(string(index), `,"artifactType":"application/vnd.airbundle.bundle.v1"`, "", 1)
	for name, index := range map[string]string{"as it is": string(index), "without the type": plain} {
		if err := os.WriteFile(filepath.Join(out, "index.json"), []byte(index), 0o600); err != nil {
			t.Fatal(err)
		}
		run("-cf", again, "-C", out, ".")
		if v := judge(t, again, sample{wrong: "repacked, " + name, says: "packed anew"}); v.Bundle == nil || *v.Bundle {
			t.Errorf("%s: calls it a bundle", name)
		}
		judge(t, again, sample{wrong: "repacked, " + name, want: []int{4, 5}}, "--root", g.root)
	}
}
