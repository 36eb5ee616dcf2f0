package target

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/manifest"
)

// Contract 9.
func TestRulesOfFiles(t *testing.T) {
	m := Default()
	m.Rules = []Rule{
		{Kind: manifest.KindFile, Prefix: "k8s", Repository: "binaries"},
		{Kind: manifest.KindFile, Prefix: "k8s/v1", Repository: "v1", Path: new("")},
		{Kind: manifest.KindFile, Prefix: "etcd", Repository: "binaries", Path: new("a/b")},
		{Kind: manifest.KindRPM, Prefix: "other", Repository: "wrong"},
		{Kind: manifest.KindChart, Prefix: "app", Repository: "apps"},
	}
	for in, want := range map[string]Place{
		"k8s/v2/x":    {"binaries", "k8s/v2/x"},
		"k8s/v1/x/y":  {"v1", "x/y"},
		"k8s/v1":      {"v1", ""},
		"k8s/v1.2/x":  {"binaries", "k8s/v1.2/x"}, // whole segments
		"k8sx":        {"raw-hosted", "k8sx"},
		"etcd/e.tgz":  {"binaries", "a/b/e.tgz"},
		"other/e.tgz": {"raw-hosted", "other/e.tgz"}, // the rule of another kind
	} {
		if got := m.FileAt(in); got != want {
			t.Errorf("%s goes to %+v, want %+v", in, got, want)
		}
	}
	for in, want := range map[string]Place{"app": {"apps", "app-1.tgz"}, "app2": {"helm-hosted", "app2-1.tgz"}} {
		if got := m.Chart(manifest.Chart{Name: in, Version: "1"}); got != want {
			t.Errorf("chart %s goes to %+v, want %+v", in, got, want)
		}
	}
	m.Rules = append(m.Rules, Rule{Kind: manifest.KindFile, Repository: "rest", Path: new("all")})
	if got, want := m.FileAt("x"), (Place{"rest", "all/x"}); got != want {
		t.Errorf("x goes to %+v, want %+v", got, want)
	}
	if got, want := m.Without(manifest.KindFile, "").FileAt("x"), (Place{"raw-hosted", "x"}); got != want {
		t.Errorf("without the rule for all, x goes to %+v, want %+v", got, want)
	}
	if got := len(m.Rules); got != 6 {
		t.Errorf("Without changed the map itself: %d rules", got)
	}
}

// TestRulesOfRPMs: the prefix is that of the set, and the layout that of the rule, else of
// the map.
func TestRulesOfRPMs(t *testing.T) {
	m := Default()
	m.Rules = []Rule{
		{Kind: manifest.KindRPM, Prefix: "base", Repository: "base", Path: new("")},
		{Kind: manifest.KindRPM, Prefix: "deep", Repository: "deep", Path: new("x"), Layout: LayoutRaw},
		{Kind: manifest.KindRPM, Prefix: "old", Repository: "old", Layout: LayoutYum},
	}
	for _, c := range []struct {
		repo    string
		rawRPMs bool
		want    Place
		raw     bool
	}{
		{"base/os/x86_64", false, Place{"base", "os/x86_64/a-1-1.noarch.rpm"}, false},
		{"base", false, Place{"base", "a-1-1.noarch.rpm"}, false},
		{"base", true, Place{"base", "a-1-1.noarch.rpm"}, true},
		{"deep/1/2", false, Place{"deep", "x/1/2/a-1-1.noarch.rpm"}, true},
		{"old/1", true, Place{"old", "old/1/a-1-1.noarch.rpm"}, false},
		{"else", false, Place{"yum-hosted", "else/a-1-1.noarch.rpm"}, false},
		{"else", true, Place{"raw-hosted", "else/a-1-1.noarch.rpm"}, true},
	} {
		m.RawRPMs = c.rawRPMs
		at, raw := m.RPM(manifest.RPM{Name: "a", EVR: "1-1", Arch: "noarch", Repo: c.repo})
		if at != c.want || raw != c.raw {
			t.Errorf("%s (raw by default: %v) goes to %+v, raw %v, want %+v, %v", c.repo, c.rawRPMs, at, raw, c.want, c.raw)
		}
	}
}

func TestRPMDirs(t *testing.T) {
	m := Default()
	m.Rules = []Rule{{Kind: manifest.KindRPM, Prefix: "os", Repository: "base", Path: new(""), Layout: LayoutRaw}}
	tab := &manifest.Table{RPMs: []manifest.RPM{
		{Name: "a", EVR: "1-1", Arch: "noarch", Repo: "os", Digest: d("a")},
		{Name: "b", EVR: "1-1", Arch: "noarch", Repo: "os", Digest: d("b")},
		{Name: "a", EVR: "1-1", Arch: "noarch", Repo: "os/x86_64", Digest: d("a")},
		{Name: "a", EVR: "1-1", Arch: "noarch", Repo: "else/x86_64", Digest: d("a")},
	}}
	items, err := m.Items(tab, Selection{})
	if err != nil {
		t.Fatal(err)
	}
	want := []RPMDir{
		{Place{"base", ""}, "os", true},
		{Place{"base", "x86_64"}, "os/x86_64", true},
		{Place{"yum-hosted", "else/x86_64"}, "else/x86_64", false},
	}
	if diff := cmp.Diff(want, RPMDirs(items)); diff != "" {
		t.Error(diff)
	}
	m.Rules = append(m.Rules, Rule{Kind: manifest.KindRPM, Prefix: "else", Repository: "base", Path: new(""), Layout: LayoutRaw})
	if items, err = m.Items(tab, Selection{}); err != nil {
		t.Fatal(err)
	}
	got := Collisions(items)
	if len(got) != 1 || !strings.HasPrefix(got[0].Error(), "base/x86_64 is claimed by the RPMs of else/x86_64 and the RPMs of os/x86_64") {
		t.Errorf("collisions: %v", got)
	}
}

// images are the places of the images of a table, "repository/name:tag digest platforms".
func images(t *testing.T, m Map, s Selection) (out []string) {
	t.Helper()
	items, err := m.Items(table(), s)
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range items {
		if it.Kind != manifest.KindImage {
			continue
		}
		var platforms []string
		for _, p := range it.Platforms {
			platforms = append(platforms, strings.TrimPrefix(p.Platform, "linux/"))
		}
		digests := map[string]string{string(d("ix")): "ix", string(d("other")): "other", string(d("1")): "1", string(d("2")): "2"}
		for _, r := range it.Refs {
			line := it.At(r) + " " + digests[string(it.Digest)] + " " + strings.Join(platforms, "+")
			if it.Partial {
				line += " partial"
			}
			out = append(out, line)
		}
	}
	return out
}

func TestImagesGoToTheirRepositories(t *testing.T) {
	m := Default()
	m.Naming = naming(t, "prefix:p")
	m.Rules = []Rule{{Kind: manifest.KindImage, Prefix: "p/ghcr.io", Repository: "github", Path: new("")}}
	split := m
	split.SplitArch = true
	arm := Selection{Arches: []string{"aarch64"}}
	for _, c := range []struct {
		name string
		m    Map
		sel  Selection
		want []string
	}{
		{"by prefix of the name at the target", m, Selection{}, []string{"docker-hosted/p/quay.io/a/b:1 ix amd64+arm64", "github/a/b:1 other amd64"}},
		{"one arch", m, arm, []string{"docker-hosted/p/quay.io/a/b:1 ix arm64 partial"}},
		{"split", split, Selection{}, []string{
			"docker-hosted-amd64/p/quay.io/a/b:1 1 amd64", "docker-hosted-arm64/p/quay.io/a/b:1 2 arm64", "github-amd64/a/b:1 other amd64",
		}},
		{"split, one arch", split, arm, []string{"docker-hosted-arm64/p/quay.io/a/b:1 2 arm64"}},
	} {
		if diff := cmp.Diff(c.want, images(t, c.m, c.sel)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	if n := Artifacts([]Item{{Artifact: manifest.Artifact{Name: "a"}}, {Artifact: manifest.Artifact{Name: "a"}}, {Artifact: manifest.Artifact{Name: "b"}, Made: []byte("x")}}); n != 1 {
		t.Errorf("an image in two repositories and a key are %d artifacts", n)
	}
}

// TestOneImageInTwoRepositories has names of one image that rules send apart.
func TestOneImageInTwoRepositories(t *testing.T) {
	m := Default()
	m.Rules = []Rule{{Kind: manifest.KindImage, Prefix: "library", Repository: "library"}}
	tab := table()
	tab.Images = tab.Images[:1]
	tab.Images[0].Publish = []string{"app:1", "library/app:1", "app:2"}
	items, err := m.Items(tab, Selection{Only: []string{"image"}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, it := range items {
		for _, r := range it.Refs {
			got = append(got, it.At(r))
		}
	}
	if diff := cmp.Diff([]string{"docker-hosted/app:1", "docker-hosted/app:2", "library/library/app:1"}, got); diff != "" || len(items) != 2 {
		t.Errorf("%d items:\n%s", len(items), diff)
	}
}

func TestMisplaced(t *testing.T) {
	m := Default()
	m.Rules = []Rule{
		{Kind: manifest.KindImage, Prefix: "a/b", Repository: "images", Path: new("")},
		{Kind: manifest.KindFile, Prefix: "k8s/arm", Repository: "files", Path: new("")},
	}
	_, err := m.Items(table(), Selection{})
	if err == nil {
		t.Fatal("items without a name were accepted")
	}
	for _, want := range []string{`image quay.io/a/b:1: "" is no name for it in images`, `image ghcr.io/a/b:1: ""`, `file k8s/arm: "" is no path for it in files`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v: it does not say %s", err, want)
		}
	}
	if _, err := m.Items(table(), Selection{Only: []string{"etcd"}}); err != nil {
		t.Errorf("what is not selected is refused: %v", err)
	}
}
