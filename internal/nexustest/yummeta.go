package nexustest

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// yumEntry is one package of a metadata set.
type yumEntry struct {
	asset *asset
	pkg   *rpmInfo
	href  string
}

const xmlHead = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// buildRepodata writes repomd.xml and the files that it names, by file name.
func buildRepodata(entries []yumEntry, now time.Time) (map[string][]byte, error) {
	bodies := map[string]string{
		"primary":   primaryXML(entries),
		"filelists": filelistsXML(entries),
		"other":     otherXML(entries),
	}
	out := map[string][]byte{}
	var md strings.Builder
	fmt.Fprintf(&md, xmlHead+`<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">
  <revision>%d</revision>
`, now.Unix())
	for _, kind := range []string{"primary", "filelists", "other"} {
		body := bodies[kind]
		packed, err := gzipped(body)
		if err != nil {
			return nil, err
		}
		sum := hexSHA256(packed)
		name := sum + "-" + kind + ".xml.gz"
		out[name] = packed
		fmt.Fprintf(&md, `  <data type="%s">
    <checksum type="sha256">%s</checksum>
    <open-checksum type="sha256">%s</open-checksum>
    <location href="repodata/%s"/>
    <timestamp>%d</timestamp>
    <size>%d</size>
    <open-size>%d</open-size>
  </data>
`, kind, sum, hexSHA256([]byte(body)), name, now.Unix(), len(packed), len(body))
	}
	md.WriteString("</repomd>\n")
	out["repomd.xml"] = []byte(md.String())
	return out, nil
}

func gzipped(s string) ([]byte, error) {
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := w.Write([]byte(s)); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func hexSHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// esc escapes text for XML.
func esc(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(s)) // a strings.Builder takes everything
	return b.String()
}

func primaryXML(entries []yumEntry) string {
	var b strings.Builder
	fmt.Fprintf(&b, xmlHead+`<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="%d">
`, len(entries))
	for _, e := range entries {
		e.writePrimary(&b)
	}
	b.WriteString("</metadata>\n")
	return b.String()
}

func (e yumEntry) writePrimary(b *strings.Builder) {
	p := e.pkg
	fmt.Fprintf(b, `<package type="rpm">
  <name>%s</name>
  <arch>%s</arch>
  <version epoch="%s" ver="%s" rel="%s"/>
  <checksum type="%s" pkgid="YES">%s</checksum>
  <summary>%s</summary>
  <description>%s</description>
  <packager>%s</packager>
  <url>%s</url>
  <time file="%d" build="%d"/>
  <size package="%d" installed="%d" archive="%d"/>
  <location href="%s"/>
  <format>
    <rpm:license>%s</rpm:license>
    <rpm:vendor>%s</rpm:vendor>
    <rpm:group>%s</rpm:group>
    <rpm:buildhost>%s</rpm:buildhost>
    <rpm:sourcerpm>%s</rpm:sourcerpm>
    <rpm:header-range start="%d" end="%d"/>
`, esc(p.name), esc(p.arch), esc(p.epoch), esc(p.version), esc(p.release), p.checksumType, p.checksum,
		esc(p.summary), esc(p.description), esc(p.packager), esc(p.url), e.asset.created.Unix(), p.buildTime,
		p.size, p.installed, p.archive, esc(e.href), esc(p.license), esc(p.vendor), esc(p.group), esc(p.host), esc(p.source),
		p.headerStart, p.headerEnd)
	writeRelations(b, "provides", p.provides)
	writeRelations(b, "requires", p.requires)
	writeRelations(b, "conflicts", p.conflicts)
	writeRelations(b, "obsoletes", p.obsoletes)
	writeRelations(b, "suggests", p.suggests)
	writeRelations(b, "enhances", p.enhances)
	writeRelations(b, "recommends", p.recommends)
	writeRelations(b, "supplements", p.supplements)
	for _, f := range p.files {
		if isPrimaryFile(f.path) {
			f.write(b)
		}
	}
	b.WriteString("  </format>\n</package>\n")
}

func writeRelations(b *strings.Builder, kind string, deps []dependency) {
	if len(deps) == 0 {
		return
	}
	fmt.Fprintf(b, "    <rpm:%s>\n", kind)
	for _, d := range deps {
		fmt.Fprintf(b, `      <rpm:entry name="%s"`, esc(d.name))
		if d.flags != "" {
			fmt.Fprintf(b, ` flags="%s"`, d.flags)
		}
		if d.version != "" {
			fmt.Fprintf(b, ` epoch="%s" ver="%s"`, esc(d.epoch), esc(d.version))
		}
		if d.release != "" {
			fmt.Fprintf(b, ` rel="%s"`, esc(d.release))
		}
		if d.pre {
			b.WriteString(` pre="1"`)
		}
		b.WriteString("/>\n")
	}
	fmt.Fprintf(b, "    </rpm:%s>\n", kind)
}

// isPrimaryFile tells the paths that primary.xml repeats.
func isPrimaryFile(p string) bool {
	return strings.HasPrefix(p, "/etc/") || strings.Contains(p, "bin/") || p == "/usr/lib/sendmail"
}

func (f packagedFile) write(b *strings.Builder) {
	if f.kind == "" {
		fmt.Fprintf(b, "    <file>%s</file>\n", esc(f.path))
		return
	}
	fmt.Fprintf(b, "    <file type=\"%s\">%s</file>\n", f.kind, esc(f.path))
}

func filelistsXML(entries []yumEntry) string {
	return packageListXML("filelists", entries, func(b *strings.Builder, p *rpmInfo) {
		for _, f := range p.files {
			f.write(b)
		}
	})
}

func otherXML(entries []yumEntry) string {
	return packageListXML("otherdata", entries, func(b *strings.Builder, p *rpmInfo) {
		for _, c := range p.changes {
			fmt.Fprintf(b, "    <changelog author=\"%s\" date=\"%d\">%s</changelog>\n", esc(c.author), c.time, esc(c.text))
		}
	})
}

// packageListXML writes filelists.xml and other.xml, which differ in what they
// say of a package.
func packageListXML(root string, entries []yumEntry, body func(*strings.Builder, *rpmInfo)) string {
	var b strings.Builder
	space := strings.TrimSuffix(root, "data")
	fmt.Fprintf(&b, xmlHead+`<%s xmlns="http://linux.duke.edu/metadata/%s" packages="%d">`+"\n", root, space, len(entries))
	for _, e := range entries {
		p := e.pkg
		fmt.Fprintf(&b, "<package pkgid=\"%s\" name=\"%s\" arch=\"%s\">\n  <version epoch=\"%s\" ver=\"%s\" rel=\"%s\"/>\n",
			p.checksum, esc(p.name), esc(p.arch), esc(p.epoch), esc(p.version), esc(p.release))
		body(&b, p)
		b.WriteString("</package>\n")
	}
	fmt.Fprintf(&b, "</%s>\n", root)
	return b.String()
}

// sortedKeys returns the keys of m in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
