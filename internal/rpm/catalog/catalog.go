// Package catalog holds what a yum repository lists (packages with their dependencies,
// module streams, groups) in the compact form that resolving needs: every text is kept
// once and named by a number, so that the 74,000 packages of a distribution take
// some 60 MB and comparing names is comparing numbers.
//
// It holds and serialises; reading repository metadata is the matter of package repodata,
// and choosing among packages that of package depsolve.
package catalog

import "strings"

// An ID names a text of a catalog. 0 is the empty text.
type ID uint32

// A DepID names a dependency of a catalog: an index into Catalog.Deps.
type DepID uint32

// Flags say how the version of a dependency compares; none means any version.
type Flags uint8

// The bits of Flags; Less|Equal is "<=".
const (
	Less Flags = 1 << iota
	Greater
	Equal
)

// A Dependency is one capability, as packages provide and require it.
type Dependency struct {
	Name  ID // a capability, a path, or a rich dependency in parentheses
	EVR   ID // [epoch:]version[-release], epoch only when not 0
	Flags Flags
}

// A Span is a part of one of the catalog's lists: from Start to before End.
type Span struct{ Start, End uint32 }

// A File is a path that a package owns, cut behind its last slash.
type File struct{ Dir, Base ID }

// A Package is one listed package. Its spans point into Catalog.Lists, but for Files,
// which points into Catalog.Files.
type Package struct {
	Name, EVR, Arch ID // EVR: [epoch:]version-release, epoch only when not 0

	Location    string // relative to Base, or to the repository
	Base        ID     // xml:base of the location, mostly empty
	Checksum    string // of the whole file: "sha256:…", "sha1:…", the repository's own words
	Size        int64  // of the whole file, bytes
	HeaderStart int64  // offset of the main header: before it stand lead and signature
	HeaderEnd   int64
	SourceRPM   ID

	Provides, Requires, Conflicts, Obsoletes Span
	Recommends, Suggests                     Span
	Supplements, Enhances                    Span

	Files Span // those that the metadata lists beside the package: /etc, programs
}

// A Catalog is what one repository lists. It is read-only once built.
type Catalog struct {
	texts    []string
	Deps     []Dependency // each once
	Lists    []DepID      // all dependency lists, one after another
	Files    []File
	Packages []Package // in the order of the metadata, which has a say where packages are alike
}

// Text returns the text that id names.
func (c *Catalog) Text(id ID) string { return c.texts[id] }

// Texts returns how many texts there are: IDs are below it.
func (c *Catalog) Texts() int { return len(c.texts) }

// List returns a list of dependencies.
func (c *Catalog) List(s Span) []DepID { return c.Lists[s.Start:s.End] }

// Path returns the whole name of a file.
func (c *Catalog) Path(f File) string { return c.texts[f.Dir] + c.texts[f.Base] }

// NEVRA returns a package's full name, name-[epoch:]version-release.arch.
func (c *Catalog) NEVRA(p *Package) string {
	return c.texts[p.Name] + "-" + c.texts[p.EVR] + "." + c.texts[p.Arch]
}

// String writes a dependency as packagers do: "name >= 1.0-1".
func (c *Catalog) String(d Dependency) string {
	if d.Flags == 0 {
		return c.texts[d.Name]
	}
	return c.texts[d.Name] + " " + d.Flags.String() + " " + c.texts[d.EVR]
}

// String is the comparison as packagers write it.
func (f Flags) String() string {
	var b strings.Builder
	for _, s := range []struct {
		bit  Flags
		text string
	}{{Less, "<"}, {Greater, ">"}, {Equal, "="}} {
		if f&s.bit != 0 {
			b.WriteString(s.text)
		}
	}
	return b.String()
}
