package repodata_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	gocmp "github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/repodata"
)

var sha256Zero = strings.Repeat("0", 64)

// minimal is a package with what one must have, and more where it says so.
func minimal(more string) string {
	return `<package type="rpm"><name>a</name><arch>noarch</arch><version epoch="0" ver="1" rel="2"/>` +
		`<checksum type="sha256" pkgid="YES">` + sha256Zero + `</checksum><location href="a.rpm"/>` + more + `</package>`
}

func primaryOf(packages ...string) string {
	return `<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="1">` +
		strings.Join(packages, "\n") + `</metadata>`
}

const rich = `<?xml version='1.0' encoding='utf-8' standalone="yes"?>
<!-- a comment with <package> in it --><?pi <package> ?>
<c:metadata xmlns:c="http://linux.duke.edu/metadata/common" xmlns:r='http://linux.duke.edu/metadata/rpm' xmlns:o="urn:other" packages="7">
<o:package><c:name>not here</c:name></o:package>
<c:package type='rpm'>
  <c:location xml:base = "https://mirror/x&amp;y/" href='P/h&#x65;llo &lt;1&gt;.rpm' />
  <c:format>
    <r:requires>
      <r:entry flags="GE" rel="3" ver="2" epoch="1" name="libc.so.6(GLIBC_2.4)(64bit)" pre="1"/>
      <r:entry name="(a &gt;= 1 if b&#32;else c)"/><r:entry name="rpmlib(CompressedFileNames)" flags="LE" epoch="0" ver="3.0.4-1"/>
      <unknown name="x"/><o:entry name="foreign"/>
    </r:requires>
    <r:provides><r:entry name="hello" flags="EQ" epoch="0" ver="2~rc1" rel="1^git"></r:entry><r:entry name="odd" flags="NE" ver="1"/></r:provides>
    <r:conflicts><r:entry name="x" flags="LT" ver="5"/><r:entry name="x" flags="GT" ver="6" rel=""/></r:conflicts>
    <r:obsoletes><r:entry name="y" flags="LE" epoch="" ver="5" rel="1"/></r:obsoletes>
    <r:recommends><r:entry name="no-version" flags="EQ"/></r:recommends><r:suggests><r:entry name="no-flags" ver="5"/></r:suggests>
    <r:supplements><r:entry name="p" kind="pattern"/></r:supplements><r:enhances><r:entry name="q" kind="package"/></r:enhances>
    <r:requires><r:entry name="second list"/></r:requires>
    <r:sourcerpm> hello-2~rc1-1^git.src.rpm
    </r:sourcerpm><r:header-range end="900" start="280"/>
    <file>/etc/hello</file><file type="dir">/usr/share/h&amp;&#233;llo</file><file/><file type='ghost'><![CDATA[/var/<x>&amp;]]>/ü<!-- - --></file>
  </c:format>
  <c:checksum pkgid="YES" type="sha">` + "\n AAAAAAAAAAaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa \n" + `</c:checksum>
  <c:version rel="1^git" ver='2~rc1' epoch="7"/><c:arch>src</c:arch>
  <c:size archive="1" installed="2" package="12345678901"/>
  <c:description>Text &amp; more <![CDATA[ <name>no</name> ]]></c:description><o:name>no</o:name>
  <c:name>h&#101;llo</c:name>
  <o:thing xmlns="urn:default"><name>no</name><arch>no</arch></o:thing>
</c:package>
</c:metadata> <!-- end -->
`

func TestParsePrimary(t *testing.T) {
	want := []flat{{
		NEVRA: "hello-7:2~rc1-1^git.src", Location: "P/hello <1>.rpm", Base: "https://mirror/x&y/", Checksum: "sha1:" + strings.Repeat("a", 40),
		SourceRPM: "hello-2~rc1-1^git.src.rpm", Size: 12345678901, HeaderStart: 280, HeaderEnd: 900,
		Deps: [8][]string{
			{"hello = 2~rc1-1^git", "odd <> 1"},
			{"libc.so.6(GLIBC_2.4)(64bit) >= 1:2-3", "(a >= 1 if b else c)", "rpmlib(CompressedFileNames) <= 3.0.4-1", "second list"},
			{"x < 5", "x > 6"}, {"y <= 5-1"}, {"no-version"}, {"no-flags"}, {"pattern:p"}, {"q"},
		},
		Files: []string{"/etc/hello", "/usr/share/h&éllo", "/var/<x>&amp;/ü"},
	}}
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(rich), "by bytes": iotest.OneByteReader(strings.NewReader(rich)),
		"halves": iotest.HalfReader(strings.NewReader(rich)), "data with EOF": iotest.DataErrReader(strings.NewReader(rich)),
		"byte order mark": strings.NewReader("\ufeff" + rich),
	} {
		c, err := repodata.ParsePrimary(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := gocmp.Diff(want, flatten(c)); diff != "" {
			t.Errorf("%s: (-want +got):\n%s", name, diff)
		}
	}
}

// TestParsePrimaryKeeps what other readers would leave out: order, packages listed twice, a count that
// is wrong.
func TestParsePrimaryKeeps(t *testing.T) {
	b := strings.Replace(minimal(""), "<name>a<", "<name>b<", 1)
	c, err := repodata.ParsePrimary(strings.NewReader(strings.Replace(primaryOf(b, minimal(""), b, b), `packages="1"`, `packages="many"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for i := range c.Packages {
		got = append(got, c.NEVRA(&c.Packages[i]))
	}
	if want := "[b-1-2.noarch a-1-2.noarch b-1-2.noarch b-1-2.noarch]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %v", got, want)
	}
	if c, err := repodata.ParsePrimary(strings.NewReader("<metadata/>")); err != nil || len(c.Packages) != 0 {
		t.Errorf("empty: %v, %v", c, err)
	}
}

// TestParsePrimaryNamespaces: a namespace is one inside the element that declares it, and no further.
func TestParsePrimaryNamespaces(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       int
	}{
		{"none", "<metadata>" + minimal("") + "</metadata>", 1},
		{"undeclared prefix", strings.ReplaceAll("<metadata>"+minimal("")+"</metadata>", "package", "rpm:package"), 1},
		{"one before", primaryOf(`<other xmlns="urn:x">`+minimal("")+`</other>`, minimal("")), 1},
		{"an empty one before", primaryOf(`<package xmlns="urn:x"/>`, minimal("")), 1},
		{"back to ours inside", primaryOf(`<other xmlns="urn:x"/>`, strings.Replace(minimal(""), "<name>", `<x:name xmlns:x="urn:x"><name>no</name></x:name><name xmlns="http://linux.duke.edu/metadata/common">`, 1)), 1},
		{"a package of another", primaryOf(`<x:package xmlns:x="urn:x">` + minimal("") + `</x:package>`), 0},
		{"undeclared again", primaryOf(strings.Replace(minimal(""), "<package", `<package xmlns=""`, 1)), 1},
	} {
		c, err := repodata.ParsePrimary(strings.NewReader(tt.text))
		if err != nil || len(c.Packages) != tt.want {
			t.Errorf("%s: %v, %v; want %d packages", tt.name, c, err, tt.want)
		}
	}
}

// TestParsePrimarySaysWhere: line and column are right wherever the reading was interrupted.
func TestParsePrimarySaysWhere(t *testing.T) {
	for _, lines := range []int{0, 1, 1000, 50_000} {
		for _, width := range []int{0, 7, 50} {
			text := "<metadata>" + strings.Repeat("\n"+strings.Repeat(" ", width), lines) + "<package></a>"
			column := width + len("<package>") + 1
			if lines == 0 {
				column = len("<metadata><package>") + 1
			}
			_, err := repodata.ParsePrimary(strings.NewReader(text))
			if want := fmt.Sprintf("line %d, column %d: element", lines+1, column); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%d lines of %d: %v; want %q", lines, width, err, want)
			}
		}
	}
	long := "<metadata>\n<a>" + strings.Repeat("a", 1<<20) + "</b>"
	if _, err := repodata.ParsePrimary(strings.NewReader(long)); err == nil || !strings.Contains(err.Error(), "line 2, column 1048580") {
		t.Errorf("one long line: %v", err)
	}
}

// TestParsePrimaryWhiteSpace: as written it is one kind in attributes, and one kind of line end in texts.
func TestParsePrimaryWhiteSpace(t *testing.T) {
	c, err := repodata.ParsePrimary(strings.NewReader(primaryOf(minimal("<format><file>/a\r\nb\rc\td</file>" +
		"<rpm:requires><rpm:entry name='a\tb\nc\r\nd&#10;e'/></rpm:requires></format>"))))
	if err != nil {
		t.Fatal(err)
	}
	f := flatten(c)[0]
	if want := "/a\nb\nc\td"; f.Files[0] != want {
		t.Errorf("file %q, want %q", f.Files[0], want)
	}
	if want := "a b c d\ne"; f.Deps[1][0] != want {
		t.Errorf("name %q, want %q", f.Deps[1][0], want)
	}
}

// TestParsePrimaryHeaderRange: it only spares some reading, so that a wrong one is none.
func TestParsePrimaryHeaderRange(t *testing.T) {
	for _, tt := range []struct {
		start, end string
		from, to   int64
	}{
		{"280", "900", 280, 900}, {"280", "280", 280, 280}, {"280", "foobar", 0, 0}, {"", "900", 0, 0}, {"280", "", 0, 0},
		{"900", "280", 0, 0}, {"-1", "280", 0, 0}, {"280", "9223372036854775808", 0, 0},
	} {
		c, err := repodata.ParsePrimary(strings.NewReader(primaryOf(minimal(`<format><rpm:header-range start="` + tt.start + `" end="` + tt.end + `"/></format>`))))
		if err != nil {
			t.Fatal(err)
		}
		if p := c.Packages[0]; p.HeaderStart != tt.from || p.HeaderEnd != tt.to {
			t.Errorf("from %q to %q: %d, %d; want %d, %d", tt.start, tt.end, p.HeaderStart, p.HeaderEnd, tt.from, tt.to)
		}
	}
}

// TestParsePrimaryAcrossBuffers: tags, texts and references that stand at the end of what has been
// read so far, at every offset.
func TestParsePrimaryAcrossBuffers(t *testing.T) {
	want, err := repodata.ParsePrimary(strings.NewReader(rich))
	if err != nil {
		t.Fatal(err)
	}
	head, body, _ := strings.Cut(rich, "<o:package>")
	const ahead = 128 << 10
	for at := 0; at < len(body); at += 3 {
		pad := "<o:pad>" + strings.Repeat("p", ahead-len(head)-len("<o:pad></o:pad>")-at) + "</o:pad>"
		c, err := repodata.ParsePrimary(strings.NewReader(head + pad + "<o:package>" + body))
		if err != nil {
			t.Fatalf("cut %d behind the root: %v", at, err)
		}
		if diff := compare(flatten(want), flatten(c)); diff != "" {
			t.Fatalf("cut %d behind the root: %s", at, diff)
		}
	}
}

func TestParsePrimaryRefuses(t *testing.T) {
	without := func(part string) string { return strings.Replace(primaryOf(minimal("")), part, "", 1) }
	with := func(old, changed string) string { return strings.Replace(primaryOf(minimal("")), old, changed, 1) }
	format := func(inner string) string { return primaryOf(minimal("<format>" + inner + "</format>")) }
	bomb := `<!DOCTYPE m [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;">]>`
	for _, tt := range []struct{ name, text, want string }{
		{"no name", without("<name>a</name>"), "without name, arch or version"},
		{"empty name", with("<name>a<", "<name> <"), "without name, arch or version"},
		{"no arch", without("<arch>noarch</arch>"), "without name, arch or version"},
		{"no version", without(`<version epoch="0" ver="1" rel="2"/>`), "without name, arch or version"},
		{"version without ver", without(` ver="1"`), "a version without ver"},
		{"no checksum", without(`<checksum type="sha256" pkgid="YES">` + sha256Zero + `</checksum>`), "without location or checksum"},
		{"no location", without(`<location href="a.rpm"/>`), "without location or checksum"},
		{"empty location", with("a.rpm", ""), "without location or checksum"},
		{"epoch of letters", with(`epoch="0"`, `epoch="one"`), `epoch "one" is not a number`},
		{"negative epoch", with(`epoch="0"`, `epoch="-1"`), `epoch "-1" is not a number`},
		{"checksum type", with(`"sha256"`, `"crc32"`), `unknown checksum type "crc32"`},
		{"no checksum type", with(` type="sha256"`, ""), `unknown checksum type ""`},
		{"short checksum", with(sha256Zero, "0"+sha256Zero[2:]), "is not a sha256"},
		{"checksum of letters", with(sha256Zero, "x"+sha256Zero[1:]), "is not a sha256"},
		{"negative size", primaryOf(minimal(`<size package="-1"/>`)), `package "-1" is not a number`},
		{"size beyond 63 bits", primaryOf(minimal(`<size package="9223372036854775808"/>`)), "is not a number"},
		{"flags", format(`<rpm:requires><rpm:entry name="x" flags="==" ver="1"/></rpm:requires>`), `flags "==" are no comparison`},
		{"entry without name", format(`<rpm:requires><rpm:entry flags="EQ" ver="1"/></rpm:requires>`), "an entry without name"},
		{"long location", with("a.rpm", strings.Repeat("a", 5000)), "a location of 5000 bytes"},
		{"long name", with("<name>a<", "<name>"+strings.Repeat("a", 70_000)+"<"), "a text of more than 65536 bytes"},
		{"long name in CDATA", with("<name>a<", "<name><![CDATA["+strings.Repeat("a", 70_000)+"]]><"), "more than 65536 bytes"},
		{"endless name", "<metadata><package><name>" + strings.Repeat("a", 9<<20), "a text of more than 65536 bytes"},
		{"huge attribute", format(`<rpm:requires><rpm:entry name="` + strings.Repeat("a", 5<<20) + `"/></rpm:requires>`), "a tag of more than the 4194304 bytes"},
		{"bomb declared", bomb + primaryOf(minimal("")), "a document type with declarations"},
		{"external entities", `<!DOCTYPE m SYSTEM "file:///etc/passwd" [` + primaryOf(minimal("")), "a document type with declarations"},
		{"declaration inside", primaryOf("<!ENTITY a 'b'>", minimal("")), "a declaration that metadata has no use for"},
		{"late doctype", primaryOf("<!DOCTYPE m>"), "a declaration that metadata has no use for"},
		{"undeclared entity", with("a.rpm", "&nbsp;.rpm"), `entity "nbsp", which nothing declares`},
		{"undeclared entity in a text", primaryOf(minimal("<summary>\n&nbsp;</summary>")), `line 2, column 1: entity "nbsp"`},
		{"ampersand", with("a.rpm", "a&b.rpm"), "an entity without end"},
		{"ampersand in a text", primaryOf(minimal("<summary>a & b</summary>")), "an entity without end"},
		{"reference to NUL", with("a.rpm", "&#0;"), "illegal character"},
		{"reference to a surrogate", with("a.rpm", "&#xd800;"), "illegal character"},
		{"reference beyond Unicode", with("a.rpm", "&#x110000;"), "illegal character"},
		{"reference of no digits", with("a.rpm", "&#;"), "illegal character"},
		{"NUL", with("a.rpm", "a\x00.rpm"), "illegal character"},
		{"control character", with("<name>a<", "<name>\x01<"), "illegal character"},
		{"invalid UTF-8", with("<name>a<", "<name>\xff<"), "invalid UTF-8"},
		{"tag in an attribute", with("a.rpm", "<a>"), `"<" in an attribute`},
		{"attribute without value", with(`href="a.rpm"`, "href"), "an attribute without name or value"},
		{"attribute without quotes", with(`"a.rpm"`, "a.rpm"), "unquoted"},
		{"attribute twice", with(`href="a.rpm"`, `href="a" href="b"`), "one attribute twice"},
		{"attribute that never ends", with(`"a.rpm"/>`, `"a.rpm/>`), ""},
		{"tag without a name", primaryOf("< a/>"), "a tag without a name"},
		{"name that begins with a digit", primaryOf("<1/>"), "a tag without a name"},
		{"wrong end", primaryOf("<a><b></a></b>"), `element "b" is not ended by its own tag`},
		{"end of more", primaryOf("<a></ab>"), `element "a" is not ended by its own tag`},
		{"end of nothing", "</metadata>", "an end tag of nothing"},
		{"package in a package", with("<arch>", "<name><b/></name><arch>"), "markup in the text"},
		{"deep", primaryOf(strings.Repeat("<a>", 100)), "more than 64 elements"},
		{"wrong root", "<filelists/>", `root element "filelists", want "metadata"`},
		{"root in another namespace", `<metadata xmlns="urn:other"/>`, `want "metadata"`},
		{"no root", "<?xml version='1.0'?>\n", `there is no element "metadata"`},
		{"text before", "text<metadata/>", "text outside of the root element"},
		{"text behind", "<metadata/>text", "text outside of the root element"},
		{"CDATA behind", "<metadata/><![CDATA[ ]]>", "a declaration that metadata has no use for"},
		{"two roots", "<metadata/><metadata/>", `element "metadata" behind the end`},
		{"Latin-1", `<?xml version="1.0" encoding="ISO-8859-1"?><metadata/>`, `encoding "ISO-8859-1", want UTF-8`},
		{"UTF-16", "\xff\xfe<\x00m\x00", "text outside of the root element"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.text), iotest.HalfReader(strings.NewReader(tt.text))} {
				c, err := repodata.ParsePrimary(r)
				m, ok := errors.AsType[*repodata.MalformedError](err)
				if c != nil || !ok || m.Path != "primary" || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "line ") {
					t.Errorf("ParsePrimary() = %v, %v; want %q", c, err, tt.want)
				}
			}
		})
	}
}

// TestParsePrimaryCut: half a document is never a whole one.
func TestParsePrimaryCut(t *testing.T) {
	end := strings.LastIndex(rich, "</c:metadata>") + len("</c:metadata>")
	for size := range end {
		c, err := repodata.ParsePrimary(strings.NewReader(rich[:size]))
		if _, ok := errors.AsType[*repodata.MalformedError](err); !ok || c != nil {
			t.Errorf("cut to %d of %d bytes, %q: %v, %v", size, end, rich[max(0, size-10):size], c, err)
		}
	}
	for name, data := range packed(t, rich) {
		for _, size := range []int{1, 5, 12, len(data) / 2, len(data) - 1} {
			c, err := repodata.ParsePrimary(bytes.NewReader(data[:size]))
			if _, ok := errors.AsType[*repodata.MalformedError](err); !ok || c != nil {
				t.Errorf("%s cut to %d of %d bytes: %v, %v", name, size, len(data), c, err)
			}
		}
		if c, err := repodata.ParsePrimary(bytes.NewReader(data)); err != nil || len(c.Packages) != 1 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestParsersSourceBreaks: what the source says is not taken for damage of the content.
func TestParsersSourceBreaks(t *testing.T) {
	broken := errors.New("line cut")
	for name, parse := range parsers {
		for _, data := range [][]byte{[]byte(rich), packed(t, rich)["gzip"]} {
			for _, size := range []int{0, 3, 40} {
				err := parse(io.MultiReader(bytes.NewReader(data[:size]), iotest.ErrReader(broken)))
				if _, malformed := errors.AsType[*repodata.MalformedError](err); malformed || !errors.Is(err, broken) || !strings.Contains(err.Error(), name) {
					t.Errorf("%s breaks after %d bytes: %v", name, size, err)
				}
			}
		}
	}
}

// parsers are all of the package, by the name that their errors have.
var parsers = map[string]func(io.Reader) error{
	"repomd.xml": func(r io.Reader) error { _, err := repodata.ParseRepomd(r); return err },
	"primary":    func(r io.Reader) error { _, err := repodata.ParsePrimary(r); return err },
	"filelists":  func(r io.Reader) error { _, err := repodata.ParseFilelists(r, map[string]bool{"/x": true}); return err },
	"modules":    func(r io.Reader) error { _, err := repodata.ParseModules(r); return err },
	"comps":      func(r io.Reader) error { _, err := repodata.ParseComps(r); return err },
}
