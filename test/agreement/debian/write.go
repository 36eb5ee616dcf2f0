package debian

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
)

const (
	head  = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	stamp = 1700000000 // one for all: the repository must only depend on the indices
)

// counted hashes and counts what passes.
type counted struct {
	w io.Writer
	h hash.Hash
	n int64
}

func newCounted(w io.Writer) *counted { return &counted{w: w, h: sha256.New()} }

func (c *counted) Write(p []byte) (int, error) {
	c.h.Write(p)
	c.n += int64(len(p))
	return c.w.Write(p)
}

func (c *counted) sum() string { return hex.EncodeToString(c.h.Sum(nil)) }

// writer writes XML; the first error stays.
type writer struct {
	*bufio.Writer
	err error
}

func (w *writer) f(format string, args ...any) {
	for i, a := range args {
		if s, ok := a.(string); ok {
			args[i] = escaped(s)
		}
	}
	if _, err := fmt.Fprintf(w, format, args...); err != nil && w.err == nil {
		w.err = err
	}
}

type escaped string

// Format writes the text with its XML special characters escaped.
func (e escaped) Format(s fmt.State, _ rune) {
	_ = xml.EscapeText(s, []byte(e)) // an error stays in the bufio.Writer below
}

// writeFile writes one list, gzipped, and returns its entry of repomd.xml.
func writeFile(dir, kind string, content func(*writer)) (entry string, err error) {
	tmp := filepath.Join(dir, kind+".tmp")
	f, err := os.Create(tmp)
	if err != nil {
		return "", err
	}
	defer f.Close()
	packed := newCounted(f)
	z, err := gzip.NewWriterLevel(packed, gzip.BestSpeed)
	if err != nil {
		return "", err
	}
	open := newCounted(z)
	w := &writer{Writer: bufio.NewWriterSize(open, 1<<16)}
	content(w)
	for _, end := range []func() error{func() error { return w.err }, w.Flush, z.Close, f.Close} {
		if err := end(); err != nil {
			return "", fmt.Errorf("write %s: %w", tmp, err)
		}
	}
	name := packed.sum() + "-" + kind + ".xml.gz"
	if err := os.Rename(tmp, filepath.Join(dir, name)); err != nil {
		return "", err
	}
	return fmt.Sprintf(`<data type="%s">
  <checksum type="sha256">%s</checksum>
  <open-checksum type="sha256">%s</open-checksum>
  <location href="repodata/%s"/>
  <timestamp>%d</timestamp>
  <size>%d</size>
  <open-size>%d</open-size>
</data>
`, kind, packed.sum(), open.sum(), name, stamp, packed.n, open.n), nil
}

func writePrimary(w *writer, packages []*Package) {
	w.f(head+`<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="%d">`+"\n", len(packages))
	for _, p := range packages {
		w.f("<package type=\"rpm\">\n  <name>%s</name>\n  <arch>%s</arch>\n  <version epoch=\"%s\" ver=\"%s\" rel=\"%s\"/>\n", p.name, p.arch, p.epoch, p.version, p.release)
		w.f("  <checksum type=\"sha256\" pkgid=\"YES\">%s</checksum>\n  <summary>%s</summary>\n  <description>%s</description>\n", p.digest, p.summary, p.summary)
		w.f("  <packager/>\n  <url>%s</url>\n  <time file=\"%d\" build=\"%d\"/>\n", p.url, stamp, stamp)
		w.f("  <size package=\"%d\" installed=\"%d\" archive=\"%d\"/>\n  <location href=\"%s\"/>\n  <format>\n", p.size, p.installed, p.installed, p.location)
		w.f("    <rpm:license>free</rpm:license>\n    <rpm:group>%s</rpm:group>\n    <rpm:sourcerpm>%s</rpm:sourcerpm>\n    <rpm:header-range start=\"4504\" end=\"%d\"/>\n", p.section, p.source, 4504+p.size/16)
		for _, l := range []struct {
			kind string
			list []relation
		}{
			{"provides", p.provides}, {"requires", p.requires}, {"conflicts", p.conflicts}, {"obsoletes", p.obsoletes},
			{"suggests", p.suggests}, {"recommends", p.recommends}, {"enhances", p.enhances},
		} {
			writeList(w, l.kind, l.list)
		}
		w.f("  </format>\n</package>\n")
	}
	w.f("</metadata>\n")
}

func writeList(w *writer, kind string, list []relation) {
	if len(list) == 0 {
		return
	}
	w.f("    <rpm:%s>\n", kind)
	for _, r := range list {
		w.f("      <rpm:entry name=\"%s\"", r.name)
		if r.flags != "" {
			w.f(" flags=\"%s\" epoch=\"%s\" ver=\"%s\"", r.flags, r.epoch, r.version)
			if r.release != "" {
				w.f(" rel=\"%s\"", r.release)
			}
		}
		w.f("/>\n")
	}
	w.f("    </rpm:%s>\n", kind)
}

func writeFilelists(w *writer, packages []*Package) {
	w.f(head+`<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="%d">`+"\n", len(packages))
	for _, p := range packages {
		w.f("<package pkgid=\"%s\" name=\"%s\" arch=\"%s\">\n  <version epoch=\"%s\" ver=\"%s\" rel=\"%s\"/>\n  <file>/usr/share/doc/%s/copyright</file>\n</package>\n",
			p.digest, p.name, p.arch, p.epoch, p.version, p.release, p.name)
	}
	w.f("</filelists>\n")
}
