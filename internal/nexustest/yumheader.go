package nexustest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	rpmutils "github.com/sassoftware/go-rpmutils"
)

// rpmInfo is what an RPM's header says about it.
type rpmInfo struct {
	name, epoch, version, release, arch  string
	summary, description, packager, url  string
	license, vendor, group, host, source string
	buildTime, installed, archive, size  uint64
	headerStart, headerEnd               int
	provides, requires, conflicts        []dependency
	obsoletes, recommends, suggests      []dependency
	supplements, enhances                []dependency
	files                                []packagedFile
	changes                              []change
	checksum                             string // in hex
	checksumType                         string // as repodata names it
}

// A dependency is one relation of a package.
type dependency struct {
	name, flags, epoch, version, release string
	pre                                  bool
}

type packagedFile struct {
	path, kind string // kind is "", "dir" or "ghost"
}

type change struct {
	author, text string
	time         uint64
}

// Tags and flags that the library has no names for.
const (
	tagRecommendName, tagRecommendVersion, tagRecommendFlags    = 5046, 5047, 5048
	tagSuggestName, tagSuggestVersion, tagSuggestFlags          = 5049, 5050, 5051
	tagSupplementName, tagSupplementVersion, tagSupplementFlags = 5052, 5053, 5054
	tagEnhanceName, tagEnhanceVersion, tagEnhanceFlags          = 5055, 5056, 5057

	sensePre = 1<<6 | 1<<9 | 1<<10 // prereq, script pre, script post
)

// rpm returns what the asset's header says; it is read once.
func (a *asset) rpm(quirks Quirks) (*rpmInfo, error) {
	a.once.Do(func() { a.pkg, a.bad = readRPM(a.content, quirks) })
	return a.pkg, a.bad
}

// readRPM reads the header of a stored RPM.
func readRPM(c *content, quirks Quirks) (*rpmInfo, error) {
	f, err := c.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := plausible(f, c.size); err != nil {
		return nil, err
	}
	hdr, err := readHeader(f)
	if err != nil {
		return nil, err
	}
	compressor, _ := hdr.GetString(rpmutils.PAYLOADCOMPRESSOR)
	if quirks.RefuseZstd && compressor == "zstd" {
		return nil, errors.New("payload compressor zstd is unknown")
	}
	p, err := describe(hdr)
	if err != nil {
		return nil, err
	}
	p.size = uint64(c.size)
	p.checksum, p.checksumType = c.sums["sha256"], "sha256"
	if quirks.PrimaryChecksum == "sha1" {
		p.checksum, p.checksumType = c.sums["sha1"], "sha"
	}
	return p, nil
}

// plausible checks what the library trusts: that the headers' sizes fit into
// the file.
func plausible(f io.ReaderAt, size int64) error {
	at, align := int64(96), int64(8)
	for range 2 {
		var intro [16]byte
		if _, err := f.ReadAt(intro[:], at); err != nil {
			return fmt.Errorf("header at %d: %w", at, err)
		}
		entries, data := binary.BigEndian.Uint32(intro[8:]), binary.BigEndian.Uint32(intro[12:])
		at += 16 + 16*int64(entries) + (int64(data)+align-1)/align*align
		if at > size {
			return fmt.Errorf("header ends at %d of %d bytes", at, size)
		}
		align = 1
	}
	return nil
}

// readHeader is the library's, which panics on some damaged headers.
func readHeader(r io.Reader) (hdr *rpmutils.RpmHeader, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged header: %v", p)
		}
	}()
	return rpmutils.ReadHeader(r)
}

// describe turns a header into what repodata says of it.
func describe(hdr *rpmutils.RpmHeader) (p *rpmInfo, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("damaged header: %v", r)
		}
	}()
	nevra, err := hdr.GetNEVRA()
	if err != nil {
		return nil, err
	}
	text := func(tag int) string { s, _ := hdr.GetString(tag); return utf8Text(s) }
	number := func(tag int) uint64 {
		if v, err := hdr.GetUint64s(tag); err == nil && len(v) > 0 {
			return v[0]
		}
		return 0
	}
	p = &rpmInfo{
		name: nevra.Name, epoch: orText(nevra.Epoch, "0"), version: nevra.Version, release: nevra.Release, arch: nevra.Arch,
		summary: text(rpmutils.SUMMARY), description: text(rpmutils.DESCRIPTION), packager: text(rpmutils.PACKAGER),
		url: text(rpmutils.URL), license: text(rpmutils.LICENSE), vendor: text(rpmutils.VENDOR), group: text(rpmutils.GROUP),
		host: text(rpmutils.BUILDHOST), source: text(rpmutils.SOURCERPM), buildTime: number(rpmutils.BUILDTIME),
		headerStart: hdr.GetRange().Start, headerEnd: hdr.GetRange().End,
	}
	if p.source == "" {
		p.arch = "src"
	}
	if n, err := hdr.InstalledSize(); err == nil {
		p.installed = uint64(n)
	}
	if n, err := hdr.PayloadSize(); err == nil {
		p.archive = uint64(n)
	}
	p.files = listFiles(hdr)
	p.changes = listChanges(hdr)
	p.relate(hdr)
	return p, nil
}

// relate reads the dependencies of all kinds.
func (p *rpmInfo) relate(hdr *rpmutils.RpmHeader) {
	for _, kind := range []struct {
		into                 *[]dependency
		name, version, flags int
	}{
		{&p.provides, rpmutils.PROVIDENAME, rpmutils.PROVIDEVERSION, rpmutils.PROVIDEFLAGS},
		{&p.requires, rpmutils.REQUIRENAME, rpmutils.REQUIREVERSION, rpmutils.REQUIREFLAGS},
		{&p.conflicts, rpmutils.CONFLICTNAME, rpmutils.CONFLICTVERSION, rpmutils.CONFLICTFLAGS},
		{&p.obsoletes, rpmutils.OBSOLETENAME, rpmutils.OBSOLETEVERSION, rpmutils.OBSOLETEFLAGS},
		{&p.recommends, tagRecommendName, tagRecommendVersion, tagRecommendFlags},
		{&p.suggests, tagSuggestName, tagSuggestVersion, tagSuggestFlags},
		{&p.supplements, tagSupplementName, tagSupplementVersion, tagSupplementFlags},
		{&p.enhances, tagEnhanceName, tagEnhanceVersion, tagEnhanceFlags},
	} {
		names, _ := hdr.GetStrings(kind.name)
		versions, _ := hdr.GetStrings(kind.version)
		flags, _ := hdr.GetUint32s(kind.flags)
		seen := map[dependency]bool{}
		for i, name := range names {
			if i >= len(versions) || i >= len(flags) || kind.into == &p.requires && strings.HasPrefix(name, "rpmlib(") {
				continue
			}
			d := newDependency(name, versions[i], flags[i])
			d.pre = d.pre && kind.into == &p.requires
			if kind.into == &p.requires && (seen[d] || p.provide(d)) {
				continue
			}
			seen[d] = true
			*kind.into = append(*kind.into, d)
		}
	}
}

// provide says whether the package meets a requirement by the very same words.
func (p *rpmInfo) provide(d dependency) bool {
	d.pre = false
	return slices.Contains(p.provides, d)
}

func newDependency(name, evr string, flags uint32) dependency {
	d := dependency{name: utf8Text(name), pre: flags&sensePre != 0}
	d.flags = map[uint32]string{
		rpmutils.RPMSENSE_LESS:                              "LT",
		rpmutils.RPMSENSE_GREATER:                           "GT",
		rpmutils.RPMSENSE_EQUAL:                             "EQ",
		rpmutils.RPMSENSE_LESS | rpmutils.RPMSENSE_EQUAL:    "LE",
		rpmutils.RPMSENSE_GREATER | rpmutils.RPMSENSE_EQUAL: "GE",
	}[flags&0xe]
	if evr == "" {
		return d
	}
	epoch, rest, found := strings.Cut(evr, ":")
	if !found {
		epoch, rest = "0", evr
	}
	d.epoch = epoch
	d.version, d.release, _ = strings.Cut(rest, "-")
	return d
}

// listFiles returns the paths with their kinds.
func listFiles(hdr *rpmutils.RpmHeader) []packagedFile {
	names, err := hdr.GetStrings(rpmutils.BASENAMES)
	if err != nil {
		return nil
	}
	dirs, _ := hdr.GetStrings(rpmutils.DIRNAMES)
	indexes, _ := hdr.GetUint32s(rpmutils.DIRINDEXES)
	modes, _ := hdr.GetUint32s(rpmutils.FILEMODES)
	flags, _ := hdr.GetUint32s(rpmutils.FILEFLAGS)
	files := make([]packagedFile, len(names))
	for i, base := range names {
		files[i].path = path.Clean(dirs[indexes[i]] + base)
		switch {
		case modes[i]&0o170000 == 0o040000:
			files[i].kind = "dir"
		case flags[i]&rpmutils.RPMFILE_GHOST != 0:
			files[i].kind = "ghost"
		}
	}
	return files
}

// listChanges returns the latest changelog entries, oldest first.
func listChanges(hdr *rpmutils.RpmHeader) []change {
	authors, _ := hdr.GetStrings(rpmutils.CHANGELOGNAME)
	texts, _ := hdr.GetStrings(rpmutils.CHANGELOGTEXT)
	times, _ := hdr.GetUint64s(rpmutils.CHANGELOGTIME)
	var out []change
	var last uint64
	for i := min(len(authors), len(texts), len(times), 10) - 1; i >= 0; i-- {
		last = max(times[i], last+1) // entries of one day keep their order
		out = append(out, change{author: utf8Text(authors[i]), text: utf8Text(texts[i]), time: last})
	}
	return out
}

// utf8Text reads texts that are not UTF-8 as Latin-1.
func utf8Text(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	out := make([]rune, 0, len(s))
	for _, b := range []byte(s) {
		out = append(out, rune(b))
	}
	return string(out)
}
