package repodata_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

const wholeRepomd = `<?xml version="1.0" encoding="UTF-8"?>
<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision> 1700000001 </revision>
  <tags><content>binary-x86_64</content><distro cpeid="cpe:/o:x">X</distro></tags>
  <data type="primary" future="1">
    <checksum type="sha256">0000000000000000000000000000000000000000000000000000000000000000</checksum>
    <open-checksum type="sha512">11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111</open-checksum>
    <header-checksum type="sha256">rubbish of zchunk</header-checksum>
    <location xml:base="https://mirror/" href="repodata/a&amp;b-primary.xml.zst"/>
    <timestamp>1700000002.75</timestamp><size>
      10</size><open-size>20</open-size>
  </data>
  <data type="group"><location href="repodata/comps.xml"/><checksum type="sha">2222222222222222222222222222222222222222</checksum><timestamp>1700000009</timestamp></data>
  <data><location href="../../no/type"/></data>
  <data type="half"><location href="repodata/half"/></data>
  <data type="group"><location href="repodata/comps.xml"/><checksum type="sha1">2222222222222222222222222222222222222222</checksum></data>
  <delta><data type="modules"/></delta>
</repomd>
`

func TestParseRepomd(t *testing.T) {
	got, err := repodata.ParseRepomd(strings.NewReader(wholeRepomd))
	if err != nil {
		t.Fatal(err)
	}
	want := &repodata.Repomd{Revision: "1700000001", Data: []repodata.Data{
		{
			Type: "primary", Location: "repodata/a&b-primary.xml.zst", Base: "https://mirror/",
			Checksum: rpm.Checksum{Type: "sha256", Value: strings.Repeat("0", 64)},
			Open:     rpm.Checksum{Type: "sha512", Value: strings.Repeat("1", 128)},
			Size:     10, OpenSize: 20, Timestamp: 1700000002,
		},
		{Type: "group", Location: "repodata/comps.xml", Checksum: rpm.Checksum{Type: "sha1", Value: strings.Repeat("2", 40)}, Timestamp: 1700000009},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, tt := range []struct {
		ask   []string
		found string
	}{{[]string{"group_gz", "group"}, "group"}, {[]string{"group", "primary"}, "group"}, {[]string{"primary", "group"}, "primary"}, {[]string{"modules"}, ""}, {nil, ""}} {
		if d, ok := got.Find(tt.ask...); d.Type != tt.found || ok != (tt.found != "") {
			t.Errorf("Find(%q) = %q, %t; want %q", tt.ask, d.Type, ok, tt.found)
		}
	}
}

func TestRepomdAge(t *testing.T) {
	for _, tt := range []struct {
		repomd repodata.Repomd
		want   int64
	}{
		{repodata.Repomd{}, 0},
		{repodata.Repomd{Revision: "1700000000"}, 1700000000},
		{repodata.Repomd{Revision: "9-stream"}, 0},
		{repodata.Repomd{Revision: "-5"}, 0},
		{repodata.Repomd{Revision: "99999999999", Data: []repodata.Data{{Timestamp: 7}, {Timestamp: 9}, {Timestamp: 8}}}, 9},
	} {
		if got := tt.repomd.Age(); got != tt.want {
			t.Errorf("Age() of %+v = %d, want %d", tt.repomd, got, tt.want)
		}
	}
}

func TestParseRepomdRefuses(t *testing.T) {
	const sum = `<checksum type="md5">00000000000000000000000000000000</checksum>`
	data := func(inner string) string {
		return `<repomd>` + "\n" + `<data type="primary">` + inner + `</data></repomd>`
	}
	at := func(href string) string { return data(`<location href="` + href + `"/>` + sum) }
	for _, tt := range []struct{ name, text, want string }{
		{"above", at("../primary.xml"), "is not below the repository"},
		{"above, written otherwise", at("repodata/&#46;./../primary.xml"), "is not below the repository"},
		{"absolute", at("/etc/passwd"), "is not below the repository"},
		{"a URL", at("https://other/primary.xml"), "is not below the repository"},
		{"the repository itself", at("repodata/."), "is not below the repository"},
		{"long", at(strings.Repeat("a", 5000)), "a location of 5000 bytes"},
		{"no location", data(sum), "without location or checksum"},
		{"no checksum", data(`<location href="p"/>`), "without location or checksum"},
		{"checksum of nothing", data(`<location href="p"/><checksum type="sha256"/>`), "is not a sha256"},
		{"open checksum", data(`<open-checksum type="sha256">00</open-checksum>`), "line 2, column"},
		{"negative size", data(`<size>-1</size>`), `size "-1" is not a number`},
		{"size of letters", data(`<open-size>many</open-size>`), `open-size "many" is not a number`},
		{"timestamp", data(`<timestamp>today</timestamp>`), `timestamp "today" is not a number`},
		{"another checksum", "<repomd>" + strings.Repeat(`<data type="x"><location href="a"/>`+sum+`</data>`, 2) + `<data type="x"><location href="a"/>` + strings.Replace(sum, ">0", ">1", 1) + `</data></repomd>`, "a second x list"},
		{"another location", `<repomd><data type="x"><location href="a"/>` + sum + `</data><data type="x"><location href="b"/>` + sum + `</data></repomd>`, "a second x list"},
		{"empty", "", `there is no element "repomd"`},
		{"a page", "<!DOCTYPE html>\n<html>\n<body>", `root element "html"`},
		{"packed", "\x1f\x8b\x08", "text outside"},
		{"cut", wholeRepomd[:len(wholeRepomd)-5], "the document ends in"},
		{"too large", "<repomd>" + strings.Repeat(" ", 4<<20), "more than the 4194304 bytes"},
	} {
		got, err := repodata.ParseRepomd(strings.NewReader(tt.text))
		m, ok := errors.AsType[*repodata.MalformedError](err)
		if got != nil || !ok || m.Path != "repomd.xml" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestParseRepomdSamples: those of other tools, with every file that they name.
func TestParseRepomdSamples(t *testing.T) {
	found := 0
	err := filepath.WalkDir(rpmtest.Testdata(t, "rpm"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "repomd.xml" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		m, err := repodata.ParseRepomd(bytes.NewReader(text))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return nil
		}
		p, ok := m.Find("primary")
		if !ok || m.Age() == 0 || len(m.Data) != bytes.Count(text, []byte("<data ")) || p.Open.Type == "" {
			t.Errorf("%s: %d files, primary %+v, age %d", path, len(m.Data), p, m.Age())
		}
		found++
		return nil
	})
	if err != nil || found < 10 {
		t.Errorf("%d samples, %v", found, err)
	}
}
