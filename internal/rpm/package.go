// Package rpm reads RPM packages as far as carrying them needs: the header with
// everything that repository metadata says about a package, the signature with
// everything that trust depends on, and the order of versions.
//
// It reads untrusted input. Sizes are bounded before anything is allocated, and a
// malformed package is an error, never a panic. It does not read payloads other
// than to hash them, does not install anything, and does not resolve dependencies.
package rpm

import (
	"fmt"
	"io"
	"strconv"
)

// A Package is what the header of one RPM package says.
type Package struct {
	Name    string
	Epoch   uint32 // 0 when there is none
	Version string
	Release string
	Arch    string // "src" for a source package

	Summary, Description       string
	Packager, URL              string
	License, Vendor, Group     string
	BuildHost, SourceRPM       string
	BuildTime                  int64 // seconds since 1970
	InstalledSize, ArchiveSize int64
	HeaderStart, HeaderEnd     int64  // the byte range of the main header in the file
	Compressor                 string // of the payload: gzip, xz, zstd…; older packages do not say gzip
	Provides, Requires         []Dependency
	Conflicts, Obsoletes       []Dependency
	Suggests, Enhances         []Dependency
	Recommends, Supplements    []Dependency
	Files                      []File
	Changelog                  []Change // newest first
}

// A Dependency is one entry of a list of dependencies, as the header has it.
type Dependency struct {
	Name  string // a capability, a path, or a rich dependency in parentheses
	Flags Sense
	EVR   string // empty when any version will do
}

// Sense is the bit mask that rpm keeps with a dependency.
type Sense uint32

// The bits of a Sense that are used here.
const (
	SenseLess       Sense = 1 << 1
	SenseGreater    Sense = 1 << 2
	SenseEqual      Sense = 1 << 3
	SensePrereq     Sense = 1 << 6
	SenseScriptPre  Sense = 1 << 9
	SenseScriptPost Sense = 1 << 10
	SenseMissingOK  Sense = 1 << 19
)

// A File is one file that a package owns.
type File struct {
	Dir   string // with the slash at its end; empty in source packages
	Base  string
	Mode  uint16 // with the type of the file, as stat(2) has it
	Flags uint32
}

// Path is the full name of the file.
func (f File) Path() string { return f.Dir + f.Base }

// IsDir tells a directory.
func (f File) IsDir() bool { return f.Mode&0o170000 == 0o040000 }

// IsGhost tells a file that belongs to the package but is not in its payload.
func (f File) IsGhost() bool { return f.Flags&fileGhost != 0 }

const fileGhost = 1 << 6

// A Change is one entry of the changelog.
type Change struct {
	Time   int64 // seconds since 1970
	Author string
	Text   string
}

// EVR is epoch:version-release, without the epoch when it is 0.
func (p *Package) EVR() string {
	evr := p.Version + "-" + p.Release
	if p.Epoch != 0 {
		evr = strconv.FormatUint(uint64(p.Epoch), 10) + ":" + evr
	}
	return evr
}

// NEVRA is name-epoch:version-release.arch, without the epoch when it is 0.
func (p *Package) NEVRA() string { return p.Name + "-" + p.EVR() + "." + p.Arch }

// FileName is the name under which repositories keep the package.
func (p *Package) FileName() string {
	return fmt.Sprintf("%s-%s-%s.%s.rpm", p.Name, p.Version, p.Release, p.Arch)
}

// Read reads the package whose file r begins with. It reads lead, signature header and main
// header and leaves r at the first byte of the payload. It believes what the header
// says: whether that is what somebody signed is for Verify to find out. An error
// is a *FormatError, or comes from r.
func Read(r io.Reader) (*Package, error) {
	hs, err := readHeaders(r)
	if err != nil {
		return nil, err
	}
	return newPackage(hs)
}

// ReadChecked is Read for a package that is about to be handed on: what the package says of
// its own header must be so, too. That is as much as can be known before the payload. The
// error may be a *DigestError.
func ReadChecked(r io.Reader) (*Package, error) {
	hs, err := readHeaders(r)
	if err != nil {
		return nil, err
	}
	digests, _, err := readDigests(hs)
	if err != nil {
		return nil, err
	}
	for _, d := range digests {
		if d.payload {
			continue
		}
		if err := d.check(); err != nil {
			return nil, err
		}
	}
	return newPackage(hs)
}

func newPackage(hs *headers) (*Package, error) {
	f := &fields{h: hs.main}
	p := &Package{
		Name: f.text(tagName), Version: f.text(tagVersion), Release: f.text(tagRelease), Arch: f.text(tagArch),
		Epoch:   uint32(f.number(tagEpoch)),
		Summary: f.text(tagSummary), Description: f.text(tagDescription),
		Packager: f.text(tagPackager), URL: f.text(tagURL), License: f.text(tagLicense),
		Vendor: f.text(tagVendor), Group: f.text(tagGroup),
		BuildHost: f.text(tagBuildHost), SourceRPM: f.text(tagSourceRPM),
		BuildTime: int64(f.number(tagBuildTime)), InstalledSize: int64(f.number(tagLongSize, tagSize)),
		HeaderStart: hs.start, HeaderEnd: hs.end, Compressor: f.text(tagPayloadCompressor),
		Provides:   f.dependencies(tagProvideName, tagProvideFlags, tagProvideVersion),
		Requires:   f.dependencies(tagRequireName, tagRequireFlags, tagRequireVersion),
		Conflicts:  f.dependencies(tagConflictName, tagConflictFlags, tagConflictVersion),
		Obsoletes:  f.dependencies(tagObsoleteName, tagObsoleteFlags, tagObsoleteVersion),
		Suggests:   f.dependencies(tagSuggestName, tagSuggestFlags, tagSuggestVersion),
		Enhances:   f.dependencies(tagEnhanceName, tagEnhanceFlags, tagEnhanceVersion),
		Recommends: f.dependencies(tagRecommendName, tagRecommendFlags, tagRecommendVersion),
		Supplements: f.dependencies(tagSupplementName, tagSupplementFlags,
			tagSupplementVersion),
		Files:     f.files(),
		Changelog: f.changelog(),
	}
	p.ArchiveSize = archiveSize(f, hs.signature)
	// A source package names no source package it was built from.
	if _, built := hs.main.entries[tagSourceRPM]; !built || f.number(tagSourcePackage) != 0 {
		p.Arch = "src"
	}
	if f.err != nil {
		return nil, f.err
	}
	if p.Name == "" || p.Version == "" || p.Release == "" || p.Arch == "" {
		return nil, malformed("the header names no package: %q", p.NEVRA())
	}
	return p, nil
}

// archiveSize is the size of the payload before compression, which older rpm keeps in the
// signature header.
func archiveSize(f *fields, signature *header) int64 {
	if n := f.number(tagLongArchiveSize, tagArchiveSize); n != 0 {
		return int64(n)
	}
	s := &fields{h: signature}
	n := s.number(tagLongArchiveSize, sigPayloadSize)
	f.fail(s.err)
	return int64(n)
}
