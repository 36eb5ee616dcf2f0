package createrepo_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/rpmpack"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
)

const fileTime = 1_700_000_000

// entryOf reads a package as a seeder does.
func entryOf(t testing.TB, location string, pkg []byte) createrepo.Entry {
	t.Helper()
	p, err := rpm.Read(bytes.NewReader(pkg))
	if err != nil {
		t.Fatalf("%s: %v", location, err)
	}
	return createrepo.Entry{
		Package: p, Location: location, Digest: digest.FromBytes(pkg), Size: int64(len(pkg)), Time: fileTime,
	}
}

// A repository is packages by their location.
type repository map[string][]byte

func (r repository) entries(t testing.TB) []createrepo.Entry {
	t.Helper()
	var entries []createrepo.Entry
	for location, pkg := range r {
		entries = append(entries, entryOf(t, location, pkg))
	}
	return entries
}

// write puts the packages into a new folder, without metadata.
func (r repository) write(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for location, pkg := range r {
		writeFile(t, filepath.Join(dir, location), pkg)
	}
	return dir
}

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeSet puts metadata into a repository's folder.
func writeSet(t testing.TB, dir string, set *createrepo.Set) {
	t.Helper()
	for path, data := range set.Files {
		writeFile(t, filepath.Join(dir, path), data)
	}
	writeFile(t, filepath.Join(dir, rpm.RepomdPath), set.Repomd)
}

func mustWrite(t testing.TB, entries []createrepo.Entry) *createrepo.Set {
	t.Helper()
	return mustWriteAll(t, entries, createrepo.Slices{})
}

func mustWriteAll(t testing.TB, entries []createrepo.Entry, slices createrepo.Slices) *createrepo.Set {
	t.Helper()
	set, err := createrepo.Write(entries, slices)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// oddPackages are packages whose metadata is easy to get wrong.
func oddPackages(t testing.TB) repository {
	t.Helper()
	repo := repository{}
	for _, spec := range []rpmtest.Spec{
		{Name: "plain"},
		{Name: "noarch-zero-epoch", Tags: map[int]rpmpack.IndexEntry{1003: rpmpack.EntryInt32([]int32{0})}},
		{Name: "source", Tags: map[int]rpmpack.IndexEntry{1106: rpmpack.EntryInt32([]int32{1})}},
		{Name: "marks", Version: "1^git~pre+x", Release: "0_1.el7", Arch: "i686"},
		fullSpec(), requiresSpec(), textSpec(), filesSpec(), changelogSpec(),
	} {
		repo["Packages/"+spec.Name[:1]+"/"+spec.FileName()] = rpmtest.Build(t, spec)
	}
	return repo
}

func fullSpec() rpmtest.Spec {
	return rpmtest.Spec{
		Name: "full", Epoch: 7, Version: "2.02.187", Release: "6.el7_9.5", Arch: "aarch64",
		Summary: `Quotes "and" <angles> & 'more'`, Description: "One,\ntwo,\n\tthree\r\nfour.", License: "GPLv2 and MIT", Group: "System",
		URL: "https://example.invalid/?a=1&b=2", Vendor: "Vendor", Packager: "Packager <p@example.invalid>", BuildHost: "builder",
		Provides:  []string{"virtual = 1:2.0-3", "unversioned", "range >= 4"},
		Requires:  []string{"a", "b >= 1:2.0-3", "(c or d)", "e < 5", "f > 6-1"},
		Conflicts: []string{"g < 1", "h"}, Obsoletes: []string{"i <= 2"}, Recommends: []string{"j", "k = 1"}, Suggests: []string{"l > 3"},
		Tags: map[int]rpmpack.IndexEntry{
			5052: rpmpack.EntryStringSlice([]string{"m", "(n if o)"}), 5053: rpmpack.EntryStringSlice([]string{"4", ""}), 5054: rpmpack.EntryUint32([]uint32{8, 1 << 27}),
			5055: rpmpack.EntryStringSlice([]string{"p"}), 5056: rpmpack.EntryStringSlice([]string{"5-1"}), 5057: rpmpack.EntryUint32([]uint32{10}),
		},
	}
}

// requiresSpec has one requirement for each rule by which some are left out.
func requiresSpec() rpmtest.Spec {
	const less, greater, equal, prereq, pre, post, missingOK, lib = 2, 4, 8, 1 << 6, 1 << 9, 1 << 10, 1 << 19, 1 << 24
	requires := []struct {
		name  string
		flags uint32
		evr   string
	}{
		{"rpmlib(PayloadIsXz)", less | equal | lib, "5.2-1"},
		{"/usr/bin/own", 0, ""},
		{"/usr/share/own", 0, ""}, // no primary file: stays
		{"own", equal, "1"},
		{"own", equal, "2"}, // not what is provided: stays
		{"own-any", 0, ""},
		{"own-any", greater, "1"},
		{"twice", 0, ""},
		{"twice", 0, ""},
		{"twice", pre, ""}, // needed before: stays
		{"twice", 0, ""},   // not just before: stays
		{"twice-versioned", greater | equal, "1"},
		{"twice-versioned", greater | equal, "1"},
		{"before", prereq, ""},
		{"/bin/sh", pre | 1<<8, ""},
		{"/sbin/ldconfig", post, ""},
		{"later", 1 << 11, ""},
		{"hint", missingOK, ""},
		{"bad-epoch", equal, "x:1-1"},
		{"no-epoch", equal, ":1-1"},
		{"no-version", equal, ""},
		{"dashes", equal, "3:1-2-3"},
		{"all-bits", less | greater | equal, "1"},
		{"libc.so.6", 0, ""},
		{"libc.so.6()(64bit)", 0, ""},
		{"libc.so.6(GLIBC_2.4)(64bit)", 0, ""},
		{"libc.so.6(GLIBC_2.17)(64bit)", 0, ""},
		{"libc.so.6(GLIBC_2.2.5)(64bit)", 0, ""},
		{"libc.so.6(GLIBC_PRIVATE)(64bit)", 0, ""},
		{"last", 0, ""},
	}
	var names, versions []string
	var flags []uint32
	for _, r := range requires {
		names, flags, versions = append(names, r.name), append(flags, r.flags), append(versions, r.evr)
	}
	return rpmtest.Spec{
		Name: "requires", Provides: []string{"own = 1", "own-any"},
		Files: []rpmtest.File{{Path: "/usr/bin/own", Mode: 0o755}, {Path: "/usr/share/own"}},
		Tags: map[int]rpmpack.IndexEntry{
			1048: rpmpack.EntryUint32(flags), 1049: rpmpack.EntryStringSlice(names), 1050: rpmpack.EntryStringSlice(versions),
		},
	}
}

func textSpec() rpmtest.Spec {
	return rpmtest.Spec{
		Name: "text", Summary: "UTF-8: žluťoučký kůň", Description: "Latin-1: \xe9t\xe9 \x93quoted\x94 \xdcber", Packager: "\xc5ngstr\xf6m",
		Requires: []string{"d\xe9pend"}, Provides: []string{"schlüssel = 1"},
		Files:     []rpmtest.File{{Path: "/etc/\xfcber.conf"}, {Path: "/etc/ünïcode & <co>.conf"}},
		Changelog: []rpmtest.Change{{Time: rpmtest.Built, Author: "J\xf6rg <j@example.invalid> \"q\" ", Text: "- \xe4nderung\n- mehr & <mehr>"}},
	}
}

func filesSpec() rpmtest.Spec {
	return rpmtest.Spec{Name: "files", Arch: "x86_64", Compressor: "zstd", Files: []rpmtest.File{
		{Path: "/bin/a"}, {Path: "/sbin/b"}, {Path: "/usr/bin/c"}, {Path: "/opt/x/sbin/d"}, {Path: "/opt/rubbin/e"}, {Path: "/usr/lib/sendmail"},
		{Path: "/usr/lib/sendmail2"}, {Path: "/etc"}, {Path: "/etc/f", Type: rpmpack.GhostFile}, {Path: "/etc/g.d", Mode: 0o40755},
		{Path: "/usr/share/h"}, {Path: "/var/bin", Mode: 0o40755}, {Path: "/usr/bin/link", Body: "c", Mode: 0o120777},
		{Path: "/usr/bin/ghost-dir", Mode: 0o40755, Type: rpmpack.GhostFile},
	}}
}

func changelogSpec() rpmtest.Spec {
	spec := rpmtest.Spec{Name: "changelog"}
	for i, days := range []int{20, 19, 19, 19, 18, 17, 17, 16, 15, 15, 14, 13} {
		spec.Changelog = append(spec.Changelog, rpmtest.Change{
			Time: rpmtest.Built.Add(time.Duration(days) * 24 * time.Hour), Author: fmt.Sprintf("Author %d   ", i), Text: fmt.Sprintf("- change %d", i),
		})
	}
	// The second but next has the time that the one before it is moved to.
	spec.Changelog[1].Time = spec.Changelog[2].Time.Add(time.Second)
	return spec
}

// realPackages are the packages of the optional test data.
func realPackages(t *testing.T) repository {
	t.Helper()
	dir := rpmtest.Testdata(t, "rpm", "rpms")
	repo := repository{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".rpm") {
			location, _ := filepath.Rel(dir, path)
			repo[location], err = os.ReadFile(path)
		}
		return err
	})
	if err != nil || len(repo) == 0 {
		t.Fatalf("%d packages in %s: %v", len(repo), dir, err)
	}
	return repo
}
