package target

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/manifest"
)

// rpms are items of one package for each place, "repository:path". Repositories whose name
// begins with raw are such; site/ is no part of the path in the bundle.
func rpms(places ...string) (items []Item) {
	for i, p := range places {
		repository, at, _ := strings.Cut(p, ":")
		raw := strings.HasPrefix(repository, "raw")
		items = append(items, Item{Artifact: manifest.Artifact{Kind: manifest.KindRPM, Name: strings.TrimPrefix(at, "site/"), Digest: d(p), Index: i}, Place: Place{repository, at}, Raw: raw})
	}
	return items
}

func TestCheckDepth(t *testing.T) {
	for _, c := range []struct {
		items []Item
		want  []string // beginnings of the lines
	}{
		{nil, nil},
		{rpms("yum:a.rpm", "yum:1/2/3/4/5/a.rpm", "raw:1/2/3/4/5/6/a.rpm"), nil},
		{rpms("yum:1/2/3/4/5/6/a.rpm", "yum:1/2/3/4/5/6/b.rpm", "other:1/2/3/4/5/6/7/a.rpm"), []string{"other/1/2/3/4/5/6/7 lies 7 ", "yum/1/2/3/4/5/6 lies 6 "}},
	} {
		err := CheckDepth(c.items)
		if len(c.want) == 0 {
			if err != nil {
				t.Errorf("%v", err)
			}
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(c.want) {
			t.Fatalf("%q, want %q", lines, c.want)
		}
		for i, want := range c.want {
			if !strings.HasPrefix(lines[i], want) || !strings.Contains(lines[i], "--rpm-layout raw") {
				t.Errorf("%q, want %q and the way out", lines[i], want)
			}
		}
		for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
			if code := e.(interface{ ExitCode() int }).ExitCode(); code != 4 {
				t.Errorf("exit code %d", code)
			}
		}
	}
}

func TestRawAdvice(t *testing.T) {
	modules := &manifest.Table{Metadata: []manifest.Metadata{{Repo: "os/x86_64", Type: "modules"}, {Repo: "os/aarch64", Type: "comps"}, {Repo: "else", Type: "modules"}}}
	for _, c := range []struct {
		name  string
		table *manifest.Table
		items []Item
		want  []string
	}{
		{"nothing", modules, nil, nil},
		{"plain sets of one depth", &manifest.Table{}, rpms("yum:os/x86_64/a.rpm", "yum:os/aarch64/a.rpm"), nil},
		{"modules of what is selected", modules, rpms("yum:os/x86_64/a.rpm", "yum:os/x86_64/b.rpm", "yum:os/aarch64/a.rpm"), []string{
			"use --rpm-layout raw for yum/os/x86_64: it has modules, which a yum repository of a Nexus does not list",
		}},
		{"modules below another directory", modules, rpms("yum:site/os/x86_64/a.rpm"), []string{
			"use --rpm-layout raw for yum/site/os/x86_64: it has modules, which a yum repository of a Nexus does not list",
		}},
		{"modules in raw", modules, rpms("raw:os/x86_64/a.rpm", "raw:base/a.rpm"), nil},
		{"groups only", modules, rpms("yum:os/aarch64/a.rpm"), nil},
		{"two depths in one repository", &manifest.Table{}, rpms("yum:os/x86_64/a.rpm", "yum:base/a.rpm", "yum:os/aarch64/a.rpm"), []string{
			"use --rpm-layout raw for the RPMs of yum, or a repository for each depth: it has its repodata at one depth, and their directories lie at several (base at 1; os/aarch64, os/x86_64 at 2)",
		}},
		{"two depths in two repositories", &manifest.Table{}, rpms("yum:os/x86_64/a.rpm", "base:base/a.rpm"), nil},
		{"no directory is a depth, too", &manifest.Table{}, rpms("yum:a.rpm", "yum:base/a.rpm"), []string{
			"use --rpm-layout raw for the RPMs of yum, or a repository for each depth: it has its repodata at one depth, and their directories lie at several (its root at 0; base at 1)",
		}},
	} {
		if diff := cmp.Diff(c.want, RawAdvice(c.table, c.items)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// A file that lies where the metadata of packages will be is told; one beside it, and one
// in another repository, is not.
func TestCollisionsWithRepodata(t *testing.T) {
	file := func(repository, at string) Item {
		return Item{Artifact: manifest.Artifact{Kind: manifest.KindFile, Name: at, Digest: d(at)}, Place: Place{repository, at}}
	}
	packages := rpms("raw:os/x86_64/a.rpm", "raw:os/x86_64/b.rpm", "yum:base/a.rpm")
	for _, c := range []struct {
		file Item
		want string
	}{
		{file("raw", "os/x86_64/repodata/repomd.xml"), "raw/os/x86_64/repodata/repomd.xml is claimed by os/x86_64/repodata/repomd.xml (" + string(d("os/x86_64/repodata/repomd.xml")) + ") and the repodata that is made for the RPMs in raw/os/x86_64: "},
		{file("raw", "os/x86_64/repodata/comps.xml"), "raw/os/x86_64/repodata/comps.xml is claimed by "},
		{file("raw", "os/x86_64/repomd.xml"), ""},
		{file("raw", "os/aarch64/repodata/repomd.xml"), ""},
		{file("other", "os/x86_64/repodata/repomd.xml"), ""},
		{file("yum", "base/repodata/repomd.xml"), ""}, // which its owner makes
	} {
		got := Collisions(append([]Item{c.file}, packages...))
		switch {
		case c.want == "" && len(got) != 0:
			t.Errorf("%s: %v", c.file.Name, got)
		case c.want != "" && (len(got) != 1 || !strings.HasPrefix(got[0].Error(), c.want) || got[0].ExitCode() != 4):
			t.Errorf("%s: %v, want %s", c.file.Name, got, c.want)
		}
	}
}
