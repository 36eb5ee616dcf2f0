// Package rpmtest makes real RPM packages and throw-away signing keys for tests,
// without rpmbuild or gpg. What it makes passes `rpm --checksig` and can be
// installed by dnf with gpgcheck, on any arch, since packages have no scriptlets.
//
// A package holds a SHA-256 digest of its header (in the signature header), and
// of its compressed payload (in the header), and, when signed, one OpenPGP
// signature over the header and one over header and payload. It holds no MD5
// and no SHA-1, so rpm of CentOS 7 would find less to check than Debian's does.
//
// It is imported by tests only.
package rpmtest

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/rpmpack"
)

// Built is the moment at which every package and key of this package claims to
// be made, so that the same Spec and Key give the same bytes.
var Built = time.Date(2024, time.January, 2, 3, 4, 5, 0, time.UTC)

// A Spec says what a package holds. The zero value of all fields but Name is usable.
type Spec struct {
	Name    string
	Epoch   uint32 // 0: the package has no epoch
	Version string // default 1.0
	Release string // default 1
	Arch    string // default noarch

	// Descriptive fields; a summary and a license are made up when missing.
	Summary, Description, License, Group, URL, Vendor, Packager, BuildHost string

	// Dependencies: a name, "name >= 1:2.0-3", a path, or a rich one in parentheses.
	Provides, Requires, Conflicts, Obsoletes []string
	Recommends, Suggests                     []string

	Files     []File
	Changelog []Change // newest first, as rpm keeps it

	Compressor string  // of the payload: gzip (default), xz, zstd, lzma
	Key        *Signer // nil: not signed

	// Tags are written last and win over what the other fields give.
	Tags map[int]rpmpack.IndexEntry
}

// A File is one file of a package.
type File struct {
	Path string
	Body string
	Mode uint // default 0644; with rpmpack's type bits: 040755 is a directory, 0120777 a link to Body
	Type rpmpack.FileType
}

// A Change is one entry of a changelog.
type Change struct {
	Time   time.Time
	Author string
	Text   string
}

// FileName is the name under which repositories keep the package.
func (s Spec) FileName() string {
	s = s.withDefaults()
	return fmt.Sprintf("%s-%s-%s.%s.rpm", s.Name, s.Version, s.Release, s.Arch)
}

// Build makes the package of a spec. It ends the test when that cannot be done.
func Build(tb testing.TB, s Spec) []byte {
	tb.Helper()
	s = s.withDefaults()
	rpm, err := rpmpack.NewRPM(s.metadata(tb))
	if err != nil {
		tb.Fatalf("start package %s: %v", s.Name, err)
	}
	for _, f := range s.Files {
		rpm.AddFile(f.rpmFile())
	}
	addChangelog(rpm, s.Changelog)
	for _, tag := range slices.Sorted(maps.Keys(s.Tags)) {
		rpm.AddCustomTag(tag, s.Tags[tag])
	}
	if s.Key != nil {
		rpm.SetPGPSigner(s.Key.Sign)
	}
	var out bytes.Buffer
	if err := rpm.Write(&out); err != nil {
		tb.Fatalf("write package %s: %v", s.Name, err)
	}
	return out.Bytes()
}

func (s Spec) withDefaults() Spec {
	setDefault(&s.Version, "1.0")
	setDefault(&s.Release, "1")
	setDefault(&s.Arch, "noarch")
	setDefault(&s.Summary, "Package "+s.Name+" for tests")
	setDefault(&s.Description, s.Summary)
	setDefault(&s.License, "Apache-2.0")
	setDefault(&s.BuildHost, "localhost")
	return s
}

func setDefault(field *string, value string) {
	if *field == "" {
		*field = value
	}
}

func (s Spec) metadata(tb testing.TB) rpmpack.RPMMetaData {
	tb.Helper()
	epoch := s.Epoch
	if epoch == 0 {
		epoch = rpmpack.NoEpoch
	}
	m := rpmpack.RPMMetaData{
		Name: s.Name, Epoch: epoch, Version: s.Version, Release: s.Release, Arch: s.Arch,
		Summary: s.Summary, Description: s.Description, Licence: s.License, Group: s.Group,
		URL: s.URL, Vendor: s.Vendor, Packager: s.Packager, BuildHost: s.BuildHost,
		BuildTime: Built, Compressor: s.Compressor,
	}
	for _, d := range []struct {
		from []string
		to   *rpmpack.Relations
	}{
		{s.Provides, &m.Provides}, {s.Requires, &m.Requires}, {s.Conflicts, &m.Conflicts},
		{s.Obsoletes, &m.Obsoletes}, {s.Recommends, &m.Recommends}, {s.Suggests, &m.Suggests},
	} {
		for _, text := range d.from {
			rel, err := rpmpack.NewRelation(text)
			if err != nil {
				tb.Fatalf("dependency %q of package %s: %v", text, s.Name, err)
			}
			*d.to = append(*d.to, rel)
		}
	}
	return m
}

func (f File) rpmFile() rpmpack.RPMFile {
	mode := f.Mode
	if mode == 0 {
		mode = 0o644
	}
	return rpmpack.RPMFile{
		Name: f.Path, Body: []byte(f.Body), Mode: mode, Type: f.Type,
		Owner: "root", Group: "root", MTime: uint32(Built.Unix()),
	}
}

// rpmpack knows nothing of changelogs, but takes any tag.
const (
	tagChangelogTime = 1080
	tagChangelogName = 1081
	tagChangelogText = 1082
)

func addChangelog(rpm *rpmpack.RPM, changes []Change) {
	if len(changes) == 0 {
		return
	}
	times := make([]uint32, len(changes))
	authors := make([]string, len(changes))
	texts := make([]string, len(changes))
	for i, c := range changes {
		times[i], authors[i], texts[i] = uint32(c.Time.Unix()), c.Author, c.Text
	}
	rpm.AddCustomTag(tagChangelogTime, rpmpack.EntryUint32(times))
	rpm.AddCustomTag(tagChangelogName, rpmpack.EntryStringSlice(authors))
	rpm.AddCustomTag(tagChangelogText, rpmpack.EntryStringSlice(texts))
}
