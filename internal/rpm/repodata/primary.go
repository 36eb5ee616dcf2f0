package repodata

import (
	"io"
	"slices"
	"strconv"

	"airbundle/internal/rpm/catalog"
)

// Bounds of a primary list: several times what the repositories of whole distributions have.
const (
	maxPrimary = 1 << 30 // bytes, unpacked
	maxEntries = 32 << 20
	maxTexts   = 8 << 20
)

// bounds are how much of a primary list is kept in memory.
type bounds struct {
	entries int // of all lists of dependencies and files
	texts   int // different ones
}

// ParsePrimary reads a primary list (createrepo's format, as yum and dnf read it), packed
// by gzip, xz, zstd, bzip2 or not at all, as a stream. Packages come in the order of the
// file, and as often as it has them, sources with the arch "src". Elements and attributes
// that it does not know it passes over, and like dnf it does not hold the list to the
// number of packages that the root element claims: repomd.xml has the checksum of
// the whole. A package without name, arch, version, checksum or location is an error, and so
// are relations that are not LT, LE, EQ, GE, GT or NE. The error is a *MalformedError that
// names the line, or that of r.
func ParsePrimary(r io.Reader) (*catalog.Catalog, error) {
	var c *catalog.Catalog
	err := read("primary", r, maxPrimary, func(s *scanner) error {
		p := primary{s: s, b: catalog.NewBuilder(), bounds: bounds{maxEntries, maxTexts}}
		if p.metadata(); s.err != nil {
			return s.err
		}
		c = p.b.Catalog()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// scanListed collects the packages of a primary list, of which it keeps nothing but location and
// checksum, and asks for nothing else.
func scanListed(s *scanner) (map[string]Checksum, error) {
	listed := map[string]Checksum{}
	p := primary{s: s, listed: listed}
	if p.metadata(); s.err != nil {
		return nil, s.err
	}
	return listed, nil
}

// A primary reads a primary list into a catalog, or into a list of checksums.
type primary struct {
	s      *scanner
	b      *catalog.Builder
	listed map[string]Checksum
	bounds bounds

	found  int // packages
	kept   int // entries of lists
	pkg    catalog.Package
	sum    Checksum
	digest []byte // sum, once more
	where  string // location, where there is no builder
	deps   [len(relations)][]catalog.DepID
	files  []catalog.File
}

// relations are the names of a package's lists of dependencies, in the order of primary.deps.
var relations = [...]string{"provides", "requires", "conflicts", "obsoletes", "recommends", "suggests", "supplements", "enhances"}

// metadata reads the root element.
func (p *primary) metadata() {
	s := p.s
	if !s.root("metadata") {
		return
	}
	for s.child() {
		if string(s.name) != "package" {
			s.skip()
			continue
		}
		if p.found++; p.found > maxPackages {
			s.fail("more than the %d packages allowed", maxPackages)
			return
		}
		p.reset()
		if p.children(); s.err == nil {
			p.add()
		}
	}
}

func (p *primary) reset() {
	p.pkg, p.sum, p.where, p.files = catalog.Package{}, Checksum{}, "", p.files[:0]
	for at := range p.deps {
		p.deps[at] = p.deps[at][:0]
	}
}

// children reads the elements of a package.
func (p *primary) children() {
	for s := p.s; s.child(); {
		switch string(s.name) {
		case "checksum":
			p.sum = s.checksum()
		case "location":
			p.location()
		default:
			if p.b == nil {
				s.skip()
			} else {
				p.field()
			}
		}
	}
}

// location reads where the package is.
func (p *primary) location() {
	s := p.s
	href := s.attr("href")
	switch {
	case len(href) > maxLocation:
		s.fail("a location of %d bytes", len(href))
	case p.b == nil:
		p.where = string(href)
	default:
		p.pkg.Location = p.b.Keep(href)
		p.pkg.Base = p.b.Text(s.attr("xml:base"))
	}
	s.skip()
}

// field reads an element that a catalog wants and a list of checksums does not.
func (p *primary) field() {
	switch s := p.s; string(s.name) {
	case "name":
		p.pkg.Name = p.b.Text(trim(s.text()))
	case "arch":
		p.pkg.Arch = p.b.Text(trim(s.text()))
	case "version":
		p.version()
	case "size":
		p.pkg.Size = s.number("package")
		s.skip()
	case "format":
		p.format()
	default:
		s.skip()
	}
}

// version reads the version of the package.
func (p *primary) version() {
	s := p.s
	epoch, version := s.attr("epoch"), s.attr("ver")
	s.parseNumber(epoch, "epoch")
	if len(version) == 0 {
		s.fail("a version without ver")
	}
	p.pkg.EVR = p.b.EVR(epoch, version, s.attr("rel"))
	s.skip()
}

// format reads what rpm says of the package.
func (p *primary) format() {
	s := p.s
	for s.child() {
		switch string(s.name) {
		case "file":
			p.file()
		case "sourcerpm":
			p.pkg.SourceRPM = p.b.Text(trim(s.text()))
		case "header-range":
			p.pkg.HeaderStart, p.pkg.HeaderEnd = headerRange(s.attr("start"), s.attr("end"))
			s.skip()
		default:
			at := slices.Index(relations[:], string(s.name))
			if at < 0 {
				s.skip()
				continue
			}
			p.entries(&p.deps[at])
		}
	}
}

// headerRange reads where the header is. That only spares a client some reading, so one that
// cannot be is none.
func headerRange(start, end []byte) (int64, int64) {
	from, err := strconv.ParseUint(string(start), 10, 63)
	if err != nil {
		return 0, 0
	}
	to, err := strconv.ParseUint(string(end), 10, 63)
	if err != nil || to < from {
		return 0, 0
	}
	return int64(from), int64(to)
}

// file reads a path that the package owns. Whether it is a directory or a ghost is no matter for
// those who require it.
func (p *primary) file() {
	path := p.s.text()
	if len(path) == 0 {
		return
	}
	p.count()
	p.files = append(p.files, p.b.File(path))
}

// entries reads a list of dependencies.
func (p *primary) entries(list *[]catalog.DepID) {
	s := p.s
	for s.child() {
		if string(s.name) == "entry" {
			p.count()
			*list = append(*list, p.b.Dep(p.entry()))
		}
		s.skip()
	}
}

// entry reads one dependency, by the rules of libsolv 0.7.23 (ext/repo_rpmmd.c): without flags any
// version will do, and a kind other than "package" becomes part of the name.
func (p *primary) entry() catalog.Dependency {
	var name, flags, epoch, version, release, kind []byte
	s := p.s
	for _, a := range s.attrs {
		switch string(a.name) {
		case "name":
			name = s.value(a)
		case "flags":
			flags = s.value(a)
		case "epoch":
			epoch = s.value(a)
		case "ver":
			version = s.value(a)
		case "rel":
			release = s.value(a)
		case "kind":
			kind = s.value(a)
		}
	}
	if len(name) == 0 {
		s.fail("an entry without name")
	}
	if len(kind) > 0 && string(kind) != "package" {
		name = slices.Concat(kind, []byte{':'}, name)
	}
	d := catalog.Dependency{Name: p.b.Text(name), Flags: p.flags(flags)}
	if d.Flags != 0 {
		d.EVR = p.b.EVR(epoch, version, release)
	}
	if d.EVR == 0 {
		d.Flags = 0
	}
	return d
}

// flags reads a comparison.
func (p *primary) flags(text []byte) catalog.Flags {
	switch string(text) {
	case "":
		return 0
	case "LT":
		return catalog.Less
	case "LE":
		return catalog.Less | catalog.Equal
	case "EQ":
		return catalog.Equal
	case "GE":
		return catalog.Greater | catalog.Equal
	case "GT":
		return catalog.Greater
	case "NE":
		return catalog.Less | catalog.Greater
	}
	p.s.fail("flags %q are no comparison", text)
	return 0
}

// count holds the list to what memory there is for it.
func (p *primary) count() {
	if p.kept++; p.kept > p.bounds.entries || p.b.Texts() > p.bounds.texts {
		p.s.fail("more than the %d dependencies and files, or %d different texts, allowed", p.bounds.entries, p.bounds.texts)
	}
}

// add adds the package that was read.
func (p *primary) add() {
	s, k := p.s, &p.pkg
	if p.b == nil {
		p.list()
		return
	}
	switch {
	case k.Location == "" || p.sum.Type == "":
		s.fail("a package without location or checksum")
	case k.Name == 0 || k.Arch == 0 || k.EVR == 0:
		s.fail("a package without name, arch or version")
	}
	p.digest = append(append(append(p.digest[:0], p.sum.Type...), ':'), p.sum.Value...)
	k.Checksum = p.b.Keep(p.digest)
	for at, span := range [...]*catalog.Span{&k.Provides, &k.Requires, &k.Conflicts, &k.Obsoletes, &k.Recommends, &k.Suggests, &k.Supplements, &k.Enhances} {
		*span = p.b.List(p.deps[at])
	}
	k.Files = p.b.FileList(p.files)
	p.b.Add(*k)
}

// list adds location and checksum of the package that was read.
func (p *primary) list() {
	if p.where == "" || p.sum.Type == "" {
		p.s.fail("a package without location or checksum")
		return
	}
	if have, ok := p.listed[p.where]; ok && have != p.sum {
		p.s.fail("%s is listed with two checksums", p.where)
	}
	p.listed[p.where] = p.sum
}
