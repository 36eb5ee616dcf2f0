package createrepo

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"airbundle/internal/rpm/xmlscan"
)

const (
	nsCommon    = "http://linux.duke.edu/metadata/common"
	nsRPM       = "http://linux.duke.edu/metadata/rpm"
	nsFilelists = "http://linux.duke.edu/metadata/filelists"
	nsOther     = "http://linux.duke.edu/metadata/other"
	nsRepo      = "http://linux.duke.edu/metadata/repo"
)

// An xmlWriter writes elements. Its first error comes back from flush.
type xmlWriter struct {
	out *bufio.Writer
	err error
}

func newXMLWriter(w io.Writer) *xmlWriter { return &xmlWriter{out: bufio.NewWriterSize(w, 64<<10)} }

func (w *xmlWriter) flush() error { return cmp.Or(w.err, w.out.Flush()) }

// put writes markup as it is.
func (w *xmlWriter) put(markup string) {
	if w.err == nil {
		_, w.err = w.out.WriteString(markup)
	}
}

// printf writes markup whose values need no escaping.
func (w *xmlWriter) printf(format string, args ...any) { w.put(fmt.Sprintf(format, args...)) }

// text writes a text between tags.
func (w *xmlWriter) text(value string) { w.put(textEscaper.Replace(clean(value))) }

// element writes an element that holds a text, on a line of its own.
func (w *xmlWriter) element(indent, name, value string) {
	w.put(indent + "<" + name + ">")
	w.text(value)
	w.put("</" + name + ">\n")
}

// attribute writes ` name="value"`.
func (w *xmlWriter) attribute(name, value string) {
	w.put(" " + name + `="` + attributeEscaper.Replace(clean(value)) + `"`)
}

// A reader of XML turns line ends into spaces where they stand in attributes, and
// carriage returns into line ends everywhere, unless they are written as references.
var (
	textEscaper      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\r", "&#13;")
	attributeEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;",
		"\r", "&#13;", "\n", "&#10;", "\t", "&#9;")
)

// clean makes any string one that XML can hold. Text that is not UTF-8 is taken for
// Latin-1, as createrepo_c does: old packages hold such text, and say nowhere in
// which encoding it is.
func clean(s string) string {
	if isClean(s) {
		return s
	}
	if !utf8.ValidString(s) {
		s = fromLatin1(s)
	}
	return strings.Map(func(r rune) rune {
		if xmlscan.Allowed(r) {
			return r
		}
		return -1
	}, s)
}

// fromLatin1 leaves out the control characters of the upper half, which text in one of
// the supersets of Latin-1 that are called so uses for letters.
func fromLatin1(s string) string {
	var out strings.Builder
	for _, c := range []byte(s) {
		if c < 0x80 || c >= 0xc0 {
			out.WriteRune(rune(c))
		}
	}
	return out.String()
}

// isClean tells strings that XML can hold as they are.
func isClean(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !xmlscan.Allowed(r) }) < 0
}
