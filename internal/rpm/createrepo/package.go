package createrepo

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"airbundle/internal/rpm"
)

func writePrimary(w *xmlWriter, e Entry) {
	p := e.Package
	w.put("<package type=\"rpm\">\n")
	w.element("  ", "name", p.Name)
	w.element("  ", "arch", p.Arch)
	writeVersion(w, p)
	w.printf("  <checksum type=\"sha256\" pkgid=\"YES\">%s</checksum>\n", e.Digest.Encoded())
	w.element("  ", "summary", p.Summary)
	w.element("  ", "description", p.Description)
	w.element("  ", "packager", p.Packager)
	w.element("  ", "url", p.URL)
	w.printf("  <time file=\"%d\" build=\"%d\"/>\n", e.Time, p.BuildTime)
	w.printf("  <size package=\"%d\" installed=\"%d\" archive=\"%d\"/>\n", e.Size, p.InstalledSize, p.ArchiveSize)
	w.put("  <location")
	w.attribute("href", e.Location)
	w.put("/>\n  <format>\n")
	w.element("    ", "rpm:license", p.License)
	w.element("    ", "rpm:vendor", p.Vendor)
	w.element("    ", "rpm:group", p.Group)
	w.element("    ", "rpm:buildhost", p.BuildHost)
	w.element("    ", "rpm:sourcerpm", p.SourceRPM)
	w.printf("    <rpm:header-range start=\"%d\" end=\"%d\"/>\n", p.HeaderStart, p.HeaderEnd)
	writeDependencies(w, "rpm:provides", dependencies(p.Provides))
	required, recommended := requires(p)
	writeDependencies(w, "rpm:requires", required)
	writeDependencies(w, "rpm:conflicts", dependencies(p.Conflicts))
	writeDependencies(w, "rpm:obsoletes", dependencies(p.Obsoletes))
	writeDependencies(w, "rpm:suggests", dependencies(p.Suggests))
	writeDependencies(w, "rpm:enhances", dependencies(p.Enhances))
	writeDependencies(w, "rpm:recommends", append(recommended, dependencies(p.Recommends)...))
	writeDependencies(w, "rpm:supplements", dependencies(p.Supplements))
	for _, f := range p.Files {
		if isPrimary(f.Path()) {
			writeFile(w, "    ", f)
		}
	}
	w.put("  </format>\n</package>\n")
}

func writeFilelists(w *xmlWriter, e Entry) {
	openPackage(w, e)
	for _, f := range e.Package.Files {
		writeFile(w, "  ", f)
	}
	w.put("</package>\n")
}

// maxChanges is how many of the latest changes createrepo_c keeps.
const maxChanges = 10

func writeOther(w *xmlWriter, e Entry) {
	openPackage(w, e)
	for _, c := range changes(e.Package.Changelog) {
		w.put("  <changelog")
		w.attribute("author", c.Author)
		w.printf(" date=\"%d\">", c.Time)
		w.text(c.Text)
		w.put("</changelog>\n")
	}
	w.put("</package>\n")
}

// changes turns a changelog as clients want it: the latest ones, oldest first, and no two
// of the same time, since clients sort by it.
func changes(newestFirst []rpm.Change) []rpm.Change {
	newestFirst = newestFirst[:min(len(newestFirst), maxChanges)]
	out := slices.Clone(newestFirst)
	slices.Reverse(out)
	for i, c := range newestFirst {
		at := len(out) - 1 - i
		out[at].Author = strings.TrimRight(c.Author, " ")
		if i > 0 && c.Time == newestFirst[i-1].Time {
			makeRoom(out[at+1:], c.Time)
		}
	}
	return out
}

// makeRoom moves changes on by a second each, until none has the time of the one before.
func makeRoom(newer []rpm.Change, time int64) {
	for i := range newer {
		if newer[i].Time != time {
			return
		}
		time++
		newer[i].Time = time
	}
}

func openPackage(w *xmlWriter, e Entry) {
	w.printf("<package pkgid=\"%s\"", e.Digest.Encoded())
	w.attribute("name", e.Package.Name)
	w.attribute("arch", e.Package.Arch)
	w.put(">\n")
	writeVersion(w, e.Package)
}

func writeVersion(w *xmlWriter, p *rpm.Package) {
	w.printf("  <version epoch=\"%d\"", p.Epoch)
	w.attribute("ver", p.Version)
	w.attribute("rel", p.Release)
	w.put("/>\n")
}

func writeFile(w *xmlWriter, indent string, f rpm.File) {
	w.put(indent + "<file")
	switch {
	case f.IsDir():
		w.attribute("type", "dir")
	case f.IsGhost():
		w.attribute("type", "ghost")
	}
	w.put(">")
	w.text(f.Path())
	w.put("</file>\n")
}

// isPrimary tells the files that are listed in primary.xml, because packages require
// such files by their path. Clients count on just this rule.
func isPrimary(path string) bool {
	return strings.HasPrefix(path, "/etc/") || strings.Contains(path, "bin/") || path == "/usr/lib/sendmail"
}

// checkNames refuses names that XML cannot hold. Of text that only people read, such
// characters are dropped; a name would become another name.
func checkNames(e Entry) error {
	p := e.Package
	for _, name := range []string{e.Location, p.Name, p.Version, p.Release, p.Arch} {
		if !holdable(name) {
			return fmt.Errorf("%q has characters that metadata cannot hold", name)
		}
	}
	for _, list := range [][]rpm.Dependency{
		p.Provides, p.Requires, p.Conflicts, p.Obsoletes, p.Suggests, p.Enhances, p.Recommends, p.Supplements,
	} {
		for _, d := range list {
			if !holdable(d.Name) || !holdable(d.EVR) {
				return fmt.Errorf("dependency %q has characters that metadata cannot hold", d.Name+" "+d.EVR)
			}
		}
	}
	for _, f := range p.Files {
		if !holdable(f.Path()) {
			return fmt.Errorf("file name %q has characters that metadata cannot hold", f.Path())
		}
	}
	return nil
}

// holdable tells names that metadata can hold, if not as they are then as what they
// are in Latin-1.
func holdable(name string) bool {
	return isClean(name) || !utf8.ValidString(name) && isClean(fromLatin1(name))
}
