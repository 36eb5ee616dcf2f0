package xmlscan_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm/xmlscan"
)

// walk writes down what a scanner finds: each element as "(name key=value …", what it
// begins and ends with in the document, and the text of those that are called text.
func walk(doc io.Reader, raw string, root string) ([]string, error) {
	var out []string
	s := xmlscan.New(doc)
	var element func()
	element = func() {
		at, line := s.TagOffset(), "("+string(s.Name())
		for _, a := range s.Attrs() {
			line += fmt.Sprintf(" %s=%q", a.Name, s.Value(a))
		}
		out = append(out, line)
		if string(s.Name()) == "text" {
			out = append(out, fmt.Sprintf("%q", s.Text()))
		} else {
			for s.Child() {
				element()
			}
		}
		if s.Err() == nil {
			out = append(out, raw[at:s.Offset()]+")")
		}
	}
	if s.Root(root) {
		element()
	}
	return out, s.Finish()
}

func TestScanner(t *testing.T) {
	const doc = "\xef\xbb\xbf<?xml version='1.0' encoding=\"utf-8\"?>\n<!DOCTYPE a PUBLIC 'x' 'y'>\n<a x = '1'>skipped &amp; <!-- <b/> -->" +
		"<rpm:b xmlns:rpm=\"http://linux.duke.edu/metadata/rpm\" k=\"&lt;&#x41;&#66;\t&quot;\"/>" +
		"<text> a&gt;b<![CDATA[<c>&]]>\r\nd<?pi?></text><f:b xmlns:f=\"urn:else\"><f:x/></f:b></a >\n<!-- end -->"
	want := []string{
		`(a x="1"`, `(b xmlns:rpm="http://linux.duke.edu/metadata/rpm" k="<AB \""`, `<rpm:b xmlns:rpm="http://linux.duke.edu/metadata/rpm" k="&lt;&#x41;&#66;` + "\t" + `&quot;"/>)`,
		`(text`, `" a>b<c>&\nd"`, "<text> a&gt;b<![CDATA[<c>&]]>\r\nd<?pi?></text>)",
		`( xmlns:f="urn:else"`, `(`, `<f:x/>)`, `<f:b xmlns:f="urn:else"><f:x/></f:b>)`,
		doc[strings.Index(doc, "<a "):strings.Index(doc, "\n<!-- end")] + ")",
	}
	for name, r := range map[string]io.Reader{
		"whole": strings.NewReader(doc), "byte by byte": iotest.OneByteReader(strings.NewReader(doc)), "data with the end": iotest.DataErrReader(strings.NewReader(doc)),
	} {
		got, err := walk(r, doc, "a")
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for n := range strings.Index(doc, "\n<!-- end") {
		if got, err := walk(strings.NewReader(doc[:n]), doc, "a"); err == nil {
			t.Errorf("cut to %d bytes: %q and no error", n, got)
		}
	}
}

func TestScannerRefuses(t *testing.T) {
	for _, tt := range []struct{ name, doc, want string }{
		{"nothing", "", `line 1, column 1: there is no element "a"`},
		{"another root", "\n <b/>", `line 2, column 6: root element "b", want "a"`},
		{"text before", "x<a/>", "text outside of the root element"},
		{"text behind", "<a/>x", "text outside of the root element"},
		{"second root", "<a/><a/>", `element "a" behind the end`},
		{"entities", "<!DOCTYPE a [<!ENTITY b 'c'>]><a/>", "a document type with declarations"},
		{"late document type", "<a><!DOCTYPE a></a>", "a declaration that metadata has no use for"},
		{"unknown entity", "<a>&b;</a>", `entity "b", which nothing declares`},
		{"entity without end", "<a>&amp</a>", "an entity without end"},
		{"illegal reference", "<a>&#0;</a>", "a reference to an illegal character"},
		{"other encoding", "<?xml version='1.0' encoding='latin1'?><a/>", `encoding "latin1", want UTF-8`},
		{"overlapping", "<a><b></a></b>", `element "b" is not ended by its own tag`},
		{"end of nothing", "</a>", "an end tag of nothing"},
		{"no name", "<a>< b/></a>", "a tag without a name"},
		{"no value", "<a b/>", "an attribute without name or value"},
		{"no quotes", "<a b=c/>", "unquoted attribute value"},
		{"tag in a value", "<a b='<'/>", `"<" in an attribute`},
		{"attribute twice", "<a b='1' b='2'/>", "one attribute twice"},
		{"markup in a text", "<a><text>b<c/></text></a>", `markup in the text of element "text"`},
		{"text that is no UTF-8", "<a><text>\xff</text></a>", "invalid UTF-8"},
		{"text with a NUL", "<a><text>\x00</text></a>", "illegal character U+0000"},
		{"long text", "<a><text>" + strings.Repeat("x", 65<<10) + "</text></a>", "a text of more than 65536 bytes"},
		{"long CDATA", "<a><text><![CDATA[" + strings.Repeat("x", 65<<10) + "]]></text></a>", "a CDATA of more than 65536 bytes"},
		{"long tag", "<a b='" + strings.Repeat("x", 5<<20) + "'/>", "a tag of more than the 4194304 bytes allowed"},
		{"many attributes", "<a" + manyAttributes(257) + "/>", "too many attributes"},
		{"deep", strings.Repeat("<a>", 65), "more than 64 elements in one another"},
		{"open comment", "<a><!-- </a>", "a comment without end"},
	} {
		_, err := walk(strings.NewReader(tt.doc), tt.doc, "a")
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	broken := errors.New("the line went dead")
	if _, err := walk(io.MultiReader(strings.NewReader("<a>"), iotest.ErrReader(broken)), "<a>", "a"); !errors.Is(err, broken) {
		t.Errorf("a reader that breaks: %v", err)
	}
}

func manyAttributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, " a%d=''", i)
	}
	return b.String()
}

func TestNumbers(t *testing.T) {
	s := xmlscan.New(strings.NewReader("<a size='12' none='' much='9223372036854775808'> x </a>"))
	if !s.Root("a") || s.Number("size") != 12 || s.Number("none") != 0 || s.Number("missing") != 0 || s.ParseNumber([]byte("7"), "x") != 7 || s.Err() != nil {
		t.Fatal(s.Err())
	}
	if got := string(s.Attr("size")); got != "12" {
		t.Errorf("Attr = %q", got)
	}
	s.Number("much")
	if err := s.Err(); err == nil || !strings.Contains(err.Error(), `much "9223372036854775808" is not a number`) {
		t.Errorf("a number of more than 63 bits: %v", err)
	}
	s = xmlscan.New(strings.NewReader("<a> x\n</a>"))
	if s.Root("a"); string(s.Trimmed()) != "x" {
		t.Error("white space is left")
	}
	s.Fail("%s went wrong", "something")
	s.Fail("something else")
	if err := s.Finish(); err == nil || err.Error() != "line 2, column 5: something went wrong" {
		t.Errorf("the first failure: %v", err)
	}
}

// FuzzScanner compares elements and attributes with encoding/xml, where both accept a
// document without namespaces, and cuts none of them anywhere but at its tags.
func FuzzScanner(f *testing.F) {
	f.Add([]byte("<a x='1'><b>t&amp;</b><text> x<![CDATA[<]]></text><c/></a>"))
	f.Add([]byte("<?xml version=\"1.0\"?><!DOCTYPE a><a>\r\n<!-- c --><b k=\"&lt;\"/></a>"))
	fuzztest.Run(f, func(t *testing.T, doc []byte) {
		var got []string
		s := xmlscan.New(bytes.NewReader(doc))
		var element func()
		element = func() {
			at := s.TagOffset()
			if doc[at] != '<' {
				t.Errorf("an element begins with %q", doc[at:])
			}
			got = append(got, string(s.Name()))
			for _, a := range s.Attrs() {
				got = append(got, string(a.Name)+"="+spaced.Replace(string(s.Value(a))))
			}
			for s.Child() {
				element()
			}
			if s.Err() == nil && doc[s.Offset()-1] != '>' {
				t.Errorf("an element ends with %q", doc[at:s.Offset()])
			}
		}
		if s.Root("a") {
			element()
		}
		if s.Finish() != nil || bytes.Contains(doc, []byte(":")) || bytes.Contains(doc, []byte("xmlns")) {
			return
		}
		var want []string
		for d := xml.NewDecoder(bytes.NewReader(doc)); ; {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			if start, ok := token.(xml.StartElement); ok {
				want = append(want, start.Name.Local)
				for _, a := range start.Attr {
					want = append(want, a.Name.Local+"="+spaced.Replace(a.Value))
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-encoding/xml +scanner):\n%s", diff)
		}
	})
}

// spaced makes the white space of attributes one: encoding/xml leaves it as it is.
var spaced = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ", "\r", " ")
