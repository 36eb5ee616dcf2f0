package createrepo_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
)

// packed returns one list of a set as it is served.
func packed(t testing.TB, set *createrepo.Set, kind string) []byte {
	t.Helper()
	for name, data := range set.Files {
		if strings.HasSuffix(name, "-"+kind+".xml.gz") {
			return data
		}
	}
	t.Fatalf("no %s among %v", kind, slices.Collect(maps.Keys(set.Files)))
	return nil
}

// list returns one list of a set, opened.
func list(t testing.TB, set *createrepo.Set, kind string) rpmtest.Element {
	t.Helper()
	return rpmtest.ParseXML(t, rpmtest.Gunzip(t, packed(t, set, kind)))
}

// onlyPackage returns the package of a list that has one.
func onlyPackage(t testing.TB, spec rpmtest.Spec, kind string) rpmtest.Element {
	t.Helper()
	entry := entryOf(t, spec.FileName(), rpmtest.Build(t, spec))
	return list(t, mustWrite(t, []createrepo.Entry{entry}), kind).Child(t, "package")
}

func TestWriteRequires(t *testing.T) {
	var got []string
	format := onlyPackage(t, requiresSpec(), "primary").Child(t, "format")
	for _, e := range format.Child(t, "requires").Children {
		got = append(got, strings.TrimRight(fmt.Sprintf("%s %s %s:%s-%s %s",
			e.Attr("name"), e.Attr("flags"), e.Attr("epoch"), e.Attr("ver"), e.Attr("rel"), e.Attr("pre")), " :-"))
	}
	want := []string{
		"/usr/share/own", "own EQ 0:2", "own-any GT 0:1", "twice", "twice  :- 1", "twice",
		"twice-versioned GE 0:1", "before  :- 1", "/bin/sh  :- 1", "/sbin/ldconfig  :- 1", "later",
		"no-epoch EQ 0:1-1", "no-version EQ", "dashes EQ 3:1-2-3", "all-bits", "last",
		"libc.so.6(GLIBC_2.17)(64bit)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("requires (-want +got):\n%s", diff)
	}
	if e := format.Child(t, "recommends").Children; len(e) != 1 || e[0].Attr("name") != "hint" {
		t.Errorf("recommends %+v", e)
	}
}

func TestWriteFiles(t *testing.T) {
	files := func(e rpmtest.Element) (out []string) {
		for _, c := range e.Children {
			if c.XMLName.Local == "file" {
				out = append(out, strings.TrimSpace(c.Text+" "+c.Attr("type")))
			}
		}
		return out
	}
	primary := files(onlyPackage(t, filesSpec(), "primary").Child(t, "format"))
	all := files(onlyPackage(t, filesSpec(), "filelists"))
	wantPrimary := []string{
		"/bin/a", "/etc/f ghost", "/etc/g.d dir", "/opt/rubbin/e", "/opt/x/sbin/d", "/sbin/b",
		"/usr/bin/c", "/usr/bin/ghost-dir dir", "/usr/bin/link", "/usr/lib/sendmail",
	}
	if diff := cmp.Diff(wantPrimary, primary); diff != "" {
		t.Errorf("primary (-want +got):\n%s", diff)
	}
	wantRest := []string{"/etc", "/usr/lib/sendmail2", "/usr/share/h", "/var/bin dir"}
	if diff := cmp.Diff(slices.Sorted(slices.Values(append(wantRest, wantPrimary...))), all); diff != "" {
		t.Errorf("filelists (-want +got):\n%s", diff)
	}
}

func TestWriteChangelog(t *testing.T) {
	day := func(n int) int64 { return rpmtest.Built.Add(time.Duration(n) * 24 * time.Hour).Unix() }
	var got []string
	for _, c := range onlyPackage(t, changelogSpec(), "other").Children[1:] {
		got = append(got, c.Attr("author")+" "+c.Attr("date")+" "+c.Text)
	}
	var want []string
	for _, w := range []struct {
		n    int
		time int64
	}{{9, day(15)}, {8, day(15) + 1}, {7, day(16)}, {6, day(17)}, {5, day(17) + 1}, {4, day(18)}, {3, day(19)}, {2, day(19) + 1}, {1, day(19) + 2}, {0, day(20)}} {
		want = append(want, fmt.Sprintf("Author %d %d - change %d", w.n, w.time, w.n))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changelog (-want +got):\n%s", diff)
	}
}

func TestWriteText(t *testing.T) {
	spec := rpmtest.Spec{
		Name: "text", Summary: "\xfcber", Description: "a\x01b\x00c", Vendor: "tab\tand\rreturn\nline",
		Packager: "no character: \ufffe\uffff", URL: "\x93quoted\x94", Group: `<&>"'`,
		Provides: []string{"pr\xe9sent"},
	}
	spec.Description = "a\x01b\x7fc\x1f"
	p := onlyPackage(t, spec, "primary")
	format := p.Child(t, "format")
	got := []string{
		p.Child(t, "summary").Text, p.Child(t, "description").Text, format.Child(t, "vendor").Text,
		p.Child(t, "packager").Text, p.Child(t, "url").Text, format.Child(t, "group").Text,
		format.Child(t, "provides").Children[0].Attr("name"),
	}
	want := []string{"über", "ab\x7fc", "tab\tand\rreturn\nline", "no character: ", "quoted", `<&>"'`, "présent"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWriteIsAPureFunction(t *testing.T) {
	entries := oddPackages(t).entries(t)
	want := mustWrite(t, entries)
	for range 3 {
		rand.Shuffle(len(entries), func(i, j int) { entries[i], entries[j] = entries[j], entries[i] })
		order := slices.Clone(entries)
		if diff := cmp.Diff(want, mustWrite(t, entries)); diff != "" {
			t.Errorf("another order gives other metadata (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(order, entries); diff != "" {
			t.Errorf("Write changed its argument:\n%s", diff)
		}
	}
	root := rpmtest.ParseXML(t, want.Repomd)
	if got, want := root.Child(t, "revision").Text, itoa(int(rpmtest.Built.Unix())); got != want {
		t.Errorf("revision %s, want that of the latest build, %s", got, want)
	}
	for name, data := range want.Files {
		if !bytes.Equal(data[3:10], []byte{0, 0, 0, 0, 0, 0, 255}) { // no name, no time, no system
			t.Errorf("%s: gzip header %x", name, data[:10])
		}
		if hash, _, _ := strings.Cut(path.Base(name), "-"); hash != sum(data) {
			t.Errorf("%s hashes to %s", name, sum(data))
		}
	}
}

func TestWriteRevision(t *testing.T) {
	entry := entryOf(t, "a.rpm", rpmtest.Build(t, rpmtest.Spec{Name: "a"}))
	for _, tt := range []struct {
		entries  []createrepo.Entry
		fileTime int64
		want     string
	}{
		{nil, 0, "0"},
		{[]createrepo.Entry{entry}, 5, itoa(int(rpmtest.Built.Unix()))},
		{[]createrepo.Entry{entry}, 1_900_000_000, "1900000000"},
	} {
		for i := range tt.entries {
			tt.entries[i].Time = tt.fileTime
		}
		root := rpmtest.ParseXML(t, mustWrite(t, tt.entries).Repomd)
		if got := root.Child(t, "revision").Text; got != tt.want {
			t.Errorf("revision %s, want %s", got, tt.want)
		}
		if got := root.Child(t, "data").Child(t, "timestamp").Text; got != tt.want {
			t.Errorf("timestamp %s, want %s", got, tt.want)
		}
	}
}

func TestWriteRefuses(t *testing.T) {
	good := entryOf(t, "a.rpm", rpmtest.Build(t, rpmtest.Spec{Name: "a"}))
	with := func(change func(*createrepo.Entry)) []createrepo.Entry {
		e := good
		change(&e)
		return []createrepo.Entry{e}
	}
	withPackage := func(spec rpmtest.Spec) []createrepo.Entry {
		return []createrepo.Entry{entryOf(t, "b.rpm", rpmtest.Build(t, spec))}
	}
	for _, tt := range []struct {
		name    string
		entries []createrepo.Entry
		want    string
	}{
		{"no package", with(func(e *createrepo.Entry) { e.Package = nil }), "no package"},
		{"no location", with(func(e *createrepo.Entry) { e.Location = "" }), "not a path"},
		{"location above", with(func(e *createrepo.Entry) { e.Location = "../a.rpm" }), "not a path"},
		{"absolute location", with(func(e *createrepo.Entry) { e.Location = "/a.rpm" }), "not a path"},
		{"no digest", with(func(e *createrepo.Entry) { e.Digest = "" }), "not a SHA-256"},
		{"sha512", with(func(e *createrepo.Entry) { e.Digest = digest.SHA512.FromString("") }), "not a SHA-256"},
		{"short digest", with(func(e *createrepo.Entry) { e.Digest = "sha256:00" }), "not a SHA-256"},
		{"no size", with(func(e *createrepo.Entry) { e.Size = 0 }), "size 0"},
		{"two in one place", []createrepo.Entry{good, good}, "two packages in one place"},
		{"control character in a location", with(func(e *createrepo.Entry) { e.Location = "a\x01.rpm" }), "characters"},
		{"control character in a dependency", withPackage(rpmtest.Spec{Name: "b", Requires: []string{"x\x02"}}), "dependency"},
		{"no character in a dependency", withPackage(rpmtest.Spec{Name: "b", Provides: []string{"x\uffff"}}), "dependency"},
		{"control character in Latin-1", withPackage(rpmtest.Spec{Name: "b", Provides: []string{"\xe9\x02"}}), "dependency"},
		{"control character in a version", withPackage(rpmtest.Spec{Name: "b", Version: "1\x02"}), "characters"},
		{"control character in a path", withPackage(rpmtest.Spec{Name: "b", Files: []rpmtest.File{{Path: "/a\x02"}}}), "file name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			set, err := createrepo.Write(tt.entries, createrepo.Slices{})
			if set != nil || err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), strconv.Quote(tt.entries[0].Location)) {
				t.Errorf("Write() = %v, %v; want an error that says %q and where", set, err, tt.want)
			}
		})
	}
}

func TestWriteLibc(t *testing.T) {
	for _, tt := range []struct {
		names []string
		want  string
	}{
		{[]string{"libc.so.6", "libc.so.6()"}, "libc.so.6()"},
		{[]string{"libc.so.6(", "libc.so.6"}, "libc.so.6("},
		{[]string{"libc.so.6()(64bit)", "libc.so.6(GLIBC_PRIVATE)"}, "libc.so.6(GLIBC_PRIVATE)"},
		{[]string{"libc.so.6(GLIBC_2.10)", "libc.so.6(GLIBC_2.9)"}, "libc.so.6(GLIBC_2.10)"},
		{[]string{"libc.so.6(GLIBC_2.9)", "libc.so.6(GLIBC_2.9)(64bit)"}, "libc.so.6(GLIBC_2.9)"},
	} {
		p := &rpm.Package{Name: "a", Version: "1", Release: "1", Arch: "noarch"}
		for _, name := range tt.names {
			p.Requires = append(p.Requires, rpm.Dependency{Name: name})
		}
		set := mustWrite(t, []createrepo.Entry{{Package: p, Location: "a", Digest: digest.FromString("a"), Size: 1}})
		got := list(t, set, "primary").Child(t, "package").Child(t, "format").Child(t, "requires").Children
		if len(got) != 1 || got[0].Attr("name") != tt.want {
			t.Errorf("%q: got %+v, want %s", tt.names, got, tt.want)
		}
	}
}

// manyEntries are n packages that differ in name.
func manyEntries(t testing.TB, n int) []createrepo.Entry {
	t.Helper()
	spec := fullSpec()
	for i := range 20 {
		spec.Files = append(spec.Files, rpmtest.File{Path: fmt.Sprintf("/usr/share/full/%d", i)})
	}
	one := entryOf(t, "", rpmtest.Build(t, spec))
	entries := make([]createrepo.Entry, n)
	for i := range entries {
		p := *one.Package
		p.Name = fmt.Sprintf("package-%05d", i)
		entries[i] = one
		entries[i].Package, entries[i].Location, entries[i].Digest = &p, "Packages/"+p.FileName(), digest.FromString(p.Name)
	}
	return entries
}

func BenchmarkWrite(b *testing.B) {
	entries := manyEntries(b, 1000)
	b.ReportAllocs()
	for b.Loop() {
		mustWrite(b, entries)
	}
}
