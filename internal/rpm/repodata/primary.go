package repodata

import (
	"io"
	"slices"
	"strconv"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/xmlscan"
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
	err := read("primary", r, maxPrimary, func(s *xmlscan.Scanner) error {
		p := primary{s: s, b: catalog.NewBuilder(), bounds: bounds{maxEntries, maxTexts}}
		if p.metadata(); s.Err() != nil {
			return s.Err()
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
func scanListed(s *xmlscan.Scanner) (map[string]rpm.Checksum, error) {
	listed := map[string]rpm.Checksum{}
	p := primary{s: s, listed: listed}
	if p.metadata(); s.Err() != nil {
		return nil, s.Err()
	}
	return listed, nil
}

// A primary reads a primary list into a catalog, or into a list of checksums.
type primary struct {
	s      *xmlscan.Scanner
	b      *catalog.Builder
	listed map[string]rpm.Checksum
	bounds bounds

	found  int // packages
	kept   int // entries of lists
	pkg    catalog.Package
	sum    rpm.Checksum
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
	if !s.Root("metadata") {
		return
	}
	for s.Child() {
		if string(s.Name()) != "package" {
			s.Skip()
			continue
		}
		if p.found++; p.found > maxPackages {
			s.Fail("more than the %d packages allowed", maxPackages)
			return
		}
		p.reset()
		if p.children(); s.Err() == nil {
			p.add()
		}
	}
}

func (p *primary) reset() {
	p.pkg, p.sum, p.where, p.files = catalog.Package{}, rpm.Checksum{}, "", p.files[:0]
	for at := range p.deps {
		p.deps[at] = p.deps[at][:0]
	}
}

// children reads the elements of a package.
func (p *primary) children() {
	for s := p.s; s.Child(); {
		switch string(s.Name()) {
		case "checksum":
			p.sum = scanChecksum(s)
		case "location":
			p.location()
		default:
			if p.b == nil {
				s.Skip()
			} else {
				p.field()
			}
		}
	}
}

// location reads where the package is.
func (p *primary) location() {
	s := p.s
	href := s.Attr("href")
	switch {
	case len(href) > maxLocation:
		s.Fail("a location of %d bytes", len(href))
	case p.b == nil:
		p.where = string(href)
	default:
		p.pkg.Location = p.b.Keep(href)
		p.pkg.Base = p.b.Text(s.Attr("xml:base"))
	}
	s.Skip()
}

// field reads an element that a catalog wants and a list of checksums does not.
func (p *primary) field() {
	switch s := p.s; string(s.Name()) {
	case "name":
		p.pkg.Name = p.b.Text(s.Trimmed())
	case "arch":
		p.pkg.Arch = p.b.Text(s.Trimmed())
	case "version":
		p.version()
	case "size":
		p.pkg.Size = s.Number("package")
		s.Skip()
	case "format":
		p.format()
	default:
		s.Skip()
	}
}

// version reads the version of the package.
func (p *primary) version() {
	s := p.s
	epoch, version := s.Attr("epoch"), s.Attr("ver")
	s.ParseNumber(epoch, "epoch")
	if len(version) == 0 {
		s.Fail("a version without ver")
	}
	p.pkg.EVR = p.b.EVR(epoch, version, s.Attr("rel"))
	s.Skip()
}

// format reads what rpm says of the package.
func (p *primary) format() {
	s := p.s
	for s.Child() {
		switch string(s.Name()) {
		case "file":
			p.file()
		case "sourcerpm":
			p.pkg.SourceRPM = p.b.Text(s.Trimmed())
		case "header-range":
			p.pkg.HeaderStart, p.pkg.HeaderEnd = headerRange(s.Attr("start"), s.Attr("end"))
			s.Skip()
		default:
			at := slices.Index(relations[:], string(s.Name()))
			if at < 0 {
				s.Skip()
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
	path := p.s.Text()
	if len(path) == 0 {
		return
	}
	p.count()
	p.files = append(p.files, p.b.File(path))
}

// entries reads a list of dependencies.
func (p *primary) entries(list *[]catalog.DepID) {
	s := p.s
	for s.Child() {
		if string(s.Name()) == "entry" {
			p.count()
			*list = append(*list, p.b.Dep(p.entry()))
		}
		s.Skip()
	}
}

// entry reads one dependency, by the rules of libsolv 0.7.23 (ext/repo_rpmmd.c): without flags any
// version will do, and a kind other than "package" becomes part of the name.
func (p *primary) entry() catalog.Dependency {
	var name, flags, epoch, version, release, kind []byte
	s := p.s
	for _, a := range s.Attrs() {
		switch string(a.Name) {
		case "name":
			name = s.Value(a)
		case "flags":
			flags = s.Value(a)
		case "epoch":
			epoch = s.Value(a)
		case "ver":
			version = s.Value(a)
		case "rel":
			release = s.Value(a)
		case "kind":
			kind = s.Value(a)
		}
	}
	if len(name) == 0 {
		s.Fail("an entry without name")
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
	p.s.Fail("flags %q are no comparison", text)
	return 0
}

// count holds the list to what memory there is for it.
func (p *primary) count() {
	if p.kept++; p.kept > p.bounds.entries || p.b.Texts() > p.bounds.texts {
		p.s.Fail("more than the %d dependencies and files, or %d different texts, allowed", p.bounds.entries, p.bounds.texts)
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
		s.Fail("a package without location or checksum")
	case k.Name == 0 || k.Arch == 0 || k.EVR == 0:
		s.Fail("a package without name, arch or version")
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
		p.s.Fail("a package without location or checksum")
		return
	}
	if have, ok := p.listed[p.where]; ok && have != p.sum {
		p.s.Fail("%s is listed with two checksums", p.where)
	}
	p.listed[p.where] = p.sum
}
