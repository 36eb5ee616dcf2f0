package rpmtest

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Comps and Updateinfo are documents about one package, app-1.0-1.x86_64.
const (
	Comps = `<?xml version="1.0" encoding="UTF-8"?>
<comps>
  <group>
    <id>tools</id>
    <name>Tools</name>
    <description>All of them.</description>
    <default>false</default>
    <uservisible>true</uservisible>
    <packagelist>
      <packagereq type="mandatory">app</packagereq>
    </packagelist>
  </group>
</comps>
`
	Updateinfo = `<?xml version="1.0" encoding="UTF-8"?>
<updates>
  <update from="security@example.invalid" status="final" type="security" version="1">
    <id>SEC-1</id>
    <title>app</title>
    <issued date="2024-01-02 00:00:00"/>
    <pkglist>
      <collection short="c">
        <name>c</name>
        <package name="app" version="1.0" release="1" epoch="0" arch="x86_64" src="app-1.0-1.src.rpm">
          <filename>app-1.0-1.x86_64.rpm</filename>
        </package>
      </collection>
    </pkglist>
  </update>
</updates>
`
)

// Module is the document of one build of a stream (modulemd version 2), with a profile
// that has the package of its name. Artifacts are NEVRAs with the epoch.
func Module(name, stream, arch string, artifacts ...string) string {
	return fmt.Sprintf(`---
document: modulemd
version: 2
data:
  name: %[1]s
  stream: %[2]q
  version: 1
  context: c0ffee
  arch: %[3]s
  summary: The module %[1]s
  description: >-
    A module for tests.
  license:
    module: [MIT]
  dependencies:
  - requires: {}
  profiles:
    default:
      rpms: [%[1]s]
  artifacts:
    rpms:
    - %[4]s
...
`, name, stream, arch, strings.Join(artifacts, "\n    - "))
}

// ModuleDefaults is the document that makes a stream the default one of its module.
func ModuleDefaults(name, stream string) string {
	return fmt.Sprintf("---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: %s\n  stream: %q\n  profiles:\n    %q: [default]\n...\n", name, stream, stream)
}

// An Element is any XML element. Comparing them compares all of a document that has a
// meaning.
type Element struct {
	XMLName  xml.Name
	Attrs    []xml.Attr `xml:",any,attr"`
	Text     string     `xml:",chardata"`
	Children []Element  `xml:",any"`
}

// ParseXML reads a document.
func ParseXML(t testing.TB, data []byte) Element {
	t.Helper()
	var e Element
	if err := xml.Unmarshal(data, &e); err != nil {
		t.Fatalf("%v\n%.2000s", err, data)
	}
	return e
}

// Attr is the attribute of a name, empty without one.
func (e Element) Attr(name string) string {
	for _, a := range e.Attrs {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// Child is the first child of a name, which there must be.
func (e Element) Child(t testing.TB, name string) Element {
	t.Helper()
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			return c
		}
	}
	t.Fatalf("element %s has no %s", e.XMLName.Local, name)
	return Element{}
}

// Each calls f with all elements of a name below e.
func (e Element) Each(name string, f func(Element)) {
	for _, c := range e.Children {
		if c.XMLName.Local == name {
			f(c)
		}
		c.Each(name, f)
	}
}

// Gunzip unpacks data.
func Gunzip(t testing.TB, data []byte) []byte {
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
