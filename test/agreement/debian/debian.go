// Package debian makes yum repositories of a real distribution's size and tangle out of the
// package indices that apt keeps: the same names, versions, alternatives and conflicts, as
// rpm's packagers would have written them. It is how choosing packages is compared with dnf
// where no real repository of that size is at hand.
//
// What differs between the two worlds is mapped by rule and depends on the indices only:
// versions lose what rpm does not allow in them, "a | b" is "(a or b)", Breaks are Conflicts,
// a versioned Replaces that is also a conflict is an Obsoletes, qualifiers of arches go away.
package debian

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Indices is one repository to be: open Packages files, main ones and those of a second
// arch, of which only the libraries are taken, as multilib repositories do.
type Indices struct{ Main, Multilib []io.Reader }

// Read converts indices to packages, in their order.
func Read(in Indices) ([]*Package, error) {
	var all []*Package
	same, contested := map[string]bool{}, map[string]bool{}
	read := func(r io.Reader, keep func(*Package) bool) error {
		return stanzas(r, func(s stanza) error {
			p, err := newPackage(s)
			if err == nil && keep(p) {
				all = append(all, p)
				same[p.name] = same[p.name] || p.same && p.arch != "noarch"
			}
			return err
		})
	}
	for _, r := range in.Main {
		if err := read(r, func(*Package) bool { return true }); err != nil {
			return nil, err
		}
	}
	for _, r := range in.Multilib {
		if err := read(r, isLibrary); err != nil {
			return nil, err
		}
	}
	for _, p := range all {
		for _, r := range p.conflicts {
			contested[r.name] = contested[r.name] || r.flags != ""
		}
	}
	for _, p := range all {
		p.bind(same)
		p.stamp(contested)
	}
	return all, nil
}

func isLibrary(p *Package) bool {
	return p.same && p.arch != "noarch" && (p.section == "libs" || p.section == "libdevel")
}

// Write writes a repository: primary, filelists with one path per package, repomd.xml.
func Write(dir string, packages []*Package) error {
	dir = filepath.Join(dir, "repodata")
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var md strings.Builder
	fmt.Fprintf(&md, head+`<repomd xmlns="http://linux.duke.edu/metadata/repo" xmlns:rpm="http://linux.duke.edu/metadata/rpm">`+"\n<revision>%d</revision>\n", stamp)
	for _, l := range []struct {
		kind  string
		write func(*writer, []*Package)
	}{{"primary", writePrimary}, {"filelists", writeFilelists}} {
		entry, err := writeFile(dir, l.kind, func(w *writer) { l.write(w, packages) })
		if err != nil {
			return err
		}
		md.WriteString(entry)
	}
	return os.WriteFile(filepath.Join(dir, "repomd.xml"), []byte(md.String()+"</repomd>\n"), 0o644)
}
