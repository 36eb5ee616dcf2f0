package yum

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/rpmtest"
)

// a document with everything that is read, and something that is not
const fullMetalink = `<?xml version="1.0" encoding="utf-8"?>
<metalink version="3.0" xmlns="http://www.metalinker.org/" xmlns:mm0="http://fedorahosted.org/mirrormanager">
 <files>
  <file name="other.xml"><size>1</size><resources><url preference="100">http://other.example/</url></resources></file>
  <file name="repomd.xml">
   <mm0:timestamp>1337942396</mm0:timestamp>
   <size>10</size>
   <verification>
    <hash type="sha">DA39A3EE5E6B4B0D3255BFEF95601890AFD80709</hash>
    <hash type="sha256"> e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 </hash>
    <hash type="sha512">tooshort</hash>
    <hash type="crc">00</hash>
   </verification>
   <mm0:alternates>
    <mm0:alternate><size>9</size><verification><hash type="md5">d41d8cd98f00b204e9800998ecf8427e</hash></verification></mm0:alternate>
    <mm0:alternate/>
   </mm0:alternates>
   <resources maxconnections="1">
    <url protocol="http" preference="5">http://five.example/repodata/repomd.xml</url>
    <url preference="many">http://none.example/repodata/repomd.xml</url>
    <url preference="99"> http://best.example/os/repodata/repomd.xml </url>
    <url preference="101"/>
   </resources>
   <url preference="100">http://outside.example/repodata/repomd.xml</url>
  </file>
  <file name="repomd.xml"><size>77</size></file>
 </files>
</metalink>`

func TestParseMetalink(t *testing.T) {
	got, err := parseMetalink([]byte(fullMetalink))
	if err != nil {
		t.Fatal(err)
	}
	want := &metalink{
		main: sums{size: 10, hashes: map[string]string{
			"sha1":   "da39a3ee5e6b4b0d3255bfef95601890afd80709",
			"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		}},
		alternates: []sums{
			{size: 9, hashes: map[string]string{"md5": "d41d8cd98f00b204e9800998ecf8427e"}},
			{hashes: map[string]string{}},
		},
		urls: []listed{
			{"http://five.example/repodata/repomd.xml", 5},
			{"http://none.example/repodata/repomd.xml", 0},
			{"http://best.example/os/repodata/repomd.xml", 99},
		},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(metalink{}, sums{}, listed{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseMetalinkErrors(t *testing.T) {
	deep := strings.Repeat("<a>", maxDepth)
	for name, c := range map[string]struct{ doc, text string }{
		"empty":         {"", "no file repomd.xml"},
		"cut":           {fullMetalink[:len(fullMetalink)-300], "malformed metalink"},
		"no repomd.xml": {`<metalink><files><file name="a"/></files></metalink>`, "no file repomd.xml"},
		"HTML":          {"<html><body>x</body></html>", "document of <html>"},
		"DTD":           {`<!DOCTYPE metalink [<!ENTITY a "b">]><metalink/>`, "document type"},
		"deep":          {"<metalink>" + deep, "deeper than"},
		"unknown":       {"<metalink>&nbsp;</metalink>", "malformed metalink"},
		"charset":       {`<?xml version="1.0" encoding="utf-16"?><metalink/>`, "malformed metalink"},
	} {
		if _, err := parseMetalink([]byte(c.doc)); err == nil || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %q", name, err, c.text)
		}
	}
}

// What librepo's own tests say of these documents.
func TestLibrepoMetalinks(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "librepo", "metalinks")
	for name, want := range map[string]struct {
		urls, alternates int
		strongest        string
		text             string
	}{
		"metalink_good_01":         {urls: 106, strongest: "sha512"},
		"metalink_good_02":         {urls: 3},
		"metalink_good_03":         {},
		"metalink_bad_01":          {urls: 3, strongest: "sha512"},
		"metalink_bad_02":          {strongest: "md5"},
		"metalink_really_bad_01":   {text: "no file repomd.xml"},
		"metalink_really_bad_02":   {text: "malformed metalink"},
		"metalink_really_bad_03":   {text: "no file repomd.xml"},
		"metalink_with_alternates": {urls: 184, alternates: 1, strongest: "sha512"},
	} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := parseMetalink(data)
		if want.text != "" {
			if err == nil || !strings.Contains(err.Error(), want.text) {
				t.Errorf("%s: %v, want %q", name, err, want.text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(m.urls) != want.urls || len(m.alternates) != want.alternates || m.main.strongest() != want.strongest {
			t.Errorf("%s: %d URLs, %d alternates, strongest %q", name, len(m.urls), len(m.alternates), m.main.strongest())
		}
	}
}

// metalinkOf names repomd.xml of sites, with the hashes that hashes gives of it.
func metalinkOf(urls []string, verification string, alternates ...string) []byte {
	var b strings.Builder
	b.WriteString(`<metalink version="3.0" xmlns="http://www.metalinker.org/"><files><file name="repomd.xml">`)
	b.WriteString("<verification>" + verification + "</verification><alternates>")
	for _, a := range alternates {
		b.WriteString("<alternate><verification>" + a + "</verification></alternate>")
	}
	b.WriteString("</alternates><resources>")
	for i, u := range urls {
		fmt.Fprintf(&b, `<url preference="%d">%s/repodata/repomd.xml</url>`, i+1, u) // the last is the best
	}
	b.WriteString("</resources></file></files></metalink>")
	return []byte(b.String())
}

func hashOf(kind string, data []byte) string {
	var sum []byte
	switch kind {
	case "md5":
		s := md5.Sum(data)
		sum = s[:]
	case "sha1":
		s := sha1.Sum(data)
		sum = s[:]
	case "sha256":
		s := sha256.Sum256(data)
		sum = s[:]
	case "sha512":
		s := sha512.Sum512(data)
		sum = s[:]
	}
	return fmt.Sprintf(`<hash type="%s">%x</hash>`, kind, sum)
}

func TestMetalinkDecides(t *testing.T) {
	now, before, newer := mirrorOf(100, primary), mirrorOf(50, "before"), mirrorOf(900, "not what was named")
	now.start(t)
	before.start(t)
	newer.start(t)
	this, old := repomdOf(100, primary), repomdOf(50, "before")
	for name, c := range map[string]struct {
		metalink []byte
		repomd   []byte // nil: none
		text     string // in error, skipped or log
	}{
		"sha512":     {metalinkOf([]string{before.url, newer.url, now.url}, hashOf("sha512", this)), this, newer.url + "/: its repomd.xml is not the metalink's: sha512:"},
		"sha256":     {metalinkOf([]string{now.url, before.url, newer.url}, hashOf("sha256", this)+hashOf("md5", old)), this, before.url + "/: its repomd.xml is not the metalink's"},
		"strong one": {metalinkOf([]string{before.url}, hashOf("md5", old)+hashOf("sha256", this)), nil, "is not the metalink's"},
		"sha1 only":  {metalinkOf([]string{before.url, now.url}, hashOf("sha1", this)), this, "can be forged"},
		"md5 only":   {metalinkOf([]string{now.url}, hashOf("md5", this)), this, "can be forged"},
		"no hash":    {metalinkOf([]string{before.url, now.url}, ""), this, "no hash of repomd.xml"},
		"alternate":  {metalinkOf([]string{before.url, newer.url}, hashOf("sha256", this), hashOf("sha256", old)), old, newer.url},
		"main first": {metalinkOf([]string{now.url, before.url}, hashOf("sha256", this), hashOf("sha256", old)), this, "an older one of the metalink's than that of " + now.url},
		// What the metalink says counts, not what the files say of themselves.
		"older main": {metalinkOf([]string{before.url, now.url}, hashOf("sha256", old), hashOf("sha256", this)), old, "an older one of the metalink's than that of " + before.url},
		"wrong size": {[]byte(strings.Replace(string(metalinkOf([]string{now.url}, hashOf("sha256", this))), "<verification>", "<size>1</size><verification>", 1)), nil, "is not the metalink's"},
		// The main one is strong, so a weak alternate would be the way in.
		"weak alternate": {metalinkOf([]string{before.url}, hashOf("sha256", this), hashOf("md5", old)), nil, "is not the metalink's"},
		"no mirror":      {metalinkOf(nil, hashOf("sha256", this)), nil, "no usable mirror"},
		"other file":     {[]byte(strings.ReplaceAll(string(metalinkOf([]string{now.url}, "")), "repomd.xml</url>", "x.xml</url>")), nil, "does not lead to repodata/repomd.xml"},
		"only rsync":     {metalinkOf([]string{"rsync://a.example/x", "ftp://b.example/y"}, ""), nil, "and 1 more: only http"},
		"user name":      {metalinkOf([]string{"http://u:CANARY@b.example/y"}, ""), nil, "http://b.example/y/: holds a user name"},
		"local file":     {metalinkOf([]string{"file:///etc"}, ""), nil, "local file"},
		"not XML":        {[]byte("nonsense"), nil, "no file repomd.xml"},
	} {
		o, log := logged(t)
		links := &site{files: map[string][]byte{"/repo/metalink": c.metalink}}
		r, err := New(o).Open(t.Context(), lockfile.Repo{ID: "base", Metalink: links.start(t).url + "/metalink?arch=$basearch"}, "x86_64", ageOf)
		told := log.String() + fmt.Sprint(err)
		if r != nil {
			told += strings.Join(r.Skipped, "\n")
		}
		if c.repomd == nil && report.Classify(err) != report.ClassContent || c.repomd != nil && (err != nil || string(r.Repomd) != string(c.repomd)) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
		if !strings.Contains(told, c.text) || strings.Contains(told, "CANARY") {
			t.Errorf("%s: no %q in\n%s", name, c.text, told)
		}
	}
}

func FuzzMetalink(f *testing.F) {
	f.Add([]byte(fullMetalink))
	f.Add(metalinkOf([]string{"http://a.example"}, hashOf("sha1", nil), hashOf("sha512", nil)))
	f.Add([]byte("<metalink><files><file name='repomd.xml'/></files></metalink>"))
	f.Add([]byte("<!DOCTYPE a [<!ENTITY b 'c'>]><metalink>&b;</metalink>"))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		l := &list{}
		if err := l.readMetalink(data, "x86_64", slog.New(slog.DiscardHandler)); err != nil {
			return
		}
		checkList(t, l)
		for _, s := range l.sums {
			if _, err := rpm.NewChecksum(s.strongest(), s.hashes[s.strongest()]); err != nil || s.size < 0 {
				t.Errorf("sums %v", s)
			}
		}
	})
}

// The preferred mirrors are asked first, those of one preference in the order of the file.
func TestMetalinkOrder(t *testing.T) {
	doc := strings.NewReplacer(`preference="3"`, `preference="2"`).Replace(string(metalinkOf(
		[]string{"http://one.example", "http://two.example", "http://also-two.example", "http://four.example"}, "")))
	l := &list{}
	if err := l.readMetalink([]byte(doc), "x86_64", slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	want := []mirror{{"http://four.example/"}, {"http://two.example/"}, {"http://also-two.example/"}, {"http://one.example/"}}
	if diff := cmp.Diff(want, l.mirrors, cmp.AllowUnexported(mirror{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
