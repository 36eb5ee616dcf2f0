package createrepo_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/rpmpack"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// modular is a package of a module stream, which clients refuse to install where the
// metadata has no such stream.
func modular(key *rpmtest.Signer, name, version, arch string) rpmtest.Spec {
	stream, _, _ := strings.Cut(version, ".")
	return rpmtest.Spec{
		Name: name, Version: version, Arch: arch, Key: key,
		Files: []rpmtest.File{{Path: "/usr/share/" + name, Body: version}},
		Tags:  map[int]rpmpack.IndexEntry{5096: rpmpack.EntryString(name + ":" + stream + ":1:c0ffee")}, // RPMTAG_MODULARITYLABEL
	}
}

// signed writes metadata with a signature into a repository's folder.
func signed(t *testing.T, dir string, set *createrepo.Set, key *rpmtest.Signer) {
	t.Helper()
	writeSet(t, dir, set)
	signature, err := newSigner(t, key).Sign(set.Repomd)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, rpm.SignaturePath), signature)
}

func modulesOf(t *testing.T, text string) []*catalog.Modules {
	t.Helper()
	m, err := repodata.ParseModules(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return []*catalog.Modules{m}
}

func compsOf(t *testing.T, text string) []*catalog.Comps {
	t.Helper()
	c, err := repodata.ParseComps(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return []*catalog.Comps{c}
}

// TestDNFTakesSlices: with signed metadata and signed packages, a client of either arch
// sees the module streams, installs of the default one, of one that it enables, and
// a group, and sees the advisory.
func TestDNFTakesSlices(t *testing.T) {
	key := rpmtest.Key(t)
	repo := repository{}
	var docs []string
	for _, arch := range []string{"x86_64", "aarch64"} {
		for _, spec := range []rpmtest.Spec{modular(key, "web", "1.0", arch), modular(key, "web", "2.0", arch), {Name: "app", Arch: arch, Key: key}, {Name: "web", Version: "9", Release: "0", Arch: arch, Key: key}} {
			repo["Packages/"+spec.FileName()] = rpmtest.Build(t, spec)
		}
		docs = append(docs, rpmtest.Module("web", "1", arch, "web-0:1.0-1."+arch), rpmtest.Module("web", "2", arch, "web-0:2.0-1."+arch))
	}
	docs = append(docs, rpmtest.ModuleDefaults("web", "1"), rpmtest.Module("else", "1", "x86_64", "else-0:1-1.x86_64"))
	slices := createrepo.Slices{
		Modules:    repodata.SliceModules(modulesOf(t, strings.Join(docs, "")), []string{"web-1.0-1.x86_64", "web-2.0-1.x86_64", "web-1.0-1.aarch64", "web-2.0-1.aarch64"}),
		Comps:      repodata.SliceComps(compsOf(t, rpmtest.Comps), []string{"app", "web"}),
		Updateinfo: []byte(rpmtest.Updateinfo),
	}
	dir := repo.write(t)
	set := mustWriteAll(t, repo.entries(t), slices)
	signed(t, dir, set, key)
	for _, arch := range []string{"x86_64", "aarch64"} {
		t.Run(arch, func(t *testing.T) {
			c := newClient(t, arch, dir, "repo_gpgcheck=1")
			c.expect(t, "web  *1 \\[d\\] .*\n *web  *2 ", "module", "list")
			c.expect(t, "Complete!", "install", "web")
			c.installed(t, "web", "1.0")
			c.expect(t, "Complete!", "module", "reset", "web")
			c.expect(t, "Complete!", "module", "enable", "web:2")
			c.expect(t, "Complete!", "upgrade", "web")
			c.installed(t, "web", "2.0")
			c.expect(t, "Complete!", "group", "install", "tools")
			if out, err := c.run(t, "repoquery", "--installed", "app"); err != nil || !strings.Contains(out, "app-0:1.0-1."+arch) {
				t.Errorf("the group's package is not installed: %v\n%s", err, out)
			}
			if arch == "x86_64" {
				c.expect(t, "SEC-1", "updateinfo", "list", "--all")
			}
		})
	}

	t.Run("another key", func(t *testing.T) {
		signed(t, dir, set, rpmtest.OtherKey(t))
		c := newClient(t, "x86_64", dir, "repo_gpgcheck=1")
		if out, err := c.run(t, "install", "web"); err == nil {
			t.Errorf("a client took metadata that a stranger signed:\n%s", out)
		}
	})
}

// expect runs dnf and looks for a pattern in what it says.
func (c client) expect(t *testing.T, pattern string, args ...string) {
	t.Helper()
	if out, err := c.run(t, args...); err != nil || !matches(t, pattern, out) {
		t.Errorf("dnf %s: %v, want %q\n%s", strings.Join(args, " "), err, pattern, out)
	}
}

// installed checks the file of a package that modular made.
func (c client) installed(t *testing.T, name, version string) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(c.root, "usr/share", name)); err != nil || string(got) != version {
		t.Errorf("%s: installed %q, %v; want %s", name, got, err, version)
	}
}

// TestDNFTakesRealModules: packages of other projects, with the slice of their modules.
func TestDNFTakesRealModules(t *testing.T) {
	from := rpmtest.Testdata(t, "rpm", "rpms", "pulp-modular")
	names, err := filepath.Glob(filepath.Join(from, "*.rpm"))
	if err != nil || len(names) == 0 {
		t.Fatal(names, err)
	}
	repo := repository{}
	for _, name := range names {
		repo[filepath.Base(name)] = mustRead(t, name)
	}
	var nevras, packages []string
	entries := repo.entries(t)
	for _, e := range entries {
		if p := e.Package; p.Name != "dwm" { // its stream is to be left out
			nevras, packages = append(nevras, p.NEVRA()), append(packages, p.Name)
		}
	}
	modules := repodata.SliceModules(modulesOf(t, string(mustRead(t, filepath.Join(from, "modules.yaml")))), nevras)
	if comps := repodata.SliceComps(compsOf(t, string(mustRead(t, filepath.Join(from, "comps.xml")))), packages); comps != nil {
		t.Errorf("groups of packages that are not carried:\n%s", comps)
	}
	libs := rpmtest.Spec{Name: "libs"} // in place of a distribution
	for _, e := range entries {
		if p := e.Package; p.Name == "ninja-build" && p.Version == "1.5.2" {
			for _, d := range p.Requires {
				if !strings.HasPrefix(d.Name, "rpmlib(") {
					libs.Provides = append(libs.Provides, d.Name)
				}
			}
		}
	}
	raw := rpmtest.Build(t, libs)
	repo[libs.FileName()], entries = raw, append(entries, entryOf(t, libs.FileName(), raw))
	dir := repo.write(t)
	writeSet(t, dir, mustWriteAll(t, entries, createrepo.Slices{Modules: modules}))
	c := newClient(t, "x86_64", dir, "gpgcheck=0")
	for _, list := range []string{"nodejs  *11 ", "postgresql  *9.6 ", "ninja  *legacy "} {
		c.expect(t, list, "--setopt=module_platform_id=platform:f29", "module", "list")
	}
	if out, err := c.run(t, "--setopt=module_platform_id=platform:f29", "module", "list"); err != nil || matches(t, "(?m)^dwm ", out) {
		t.Errorf("module list: %v\n%s", err, out)
	}
	c.expect(t, "Complete!", "--setopt=module_platform_id=platform:f29", "module", "install", "ninja:legacy/default")
	c.expect(t, "ninja-build-0:1.5.2-1.module_1991", "repoquery", "--installed", "ninja-build")
}

func matches(t *testing.T, pattern, text string) bool {
	t.Helper()
	ok, err := regexp.MatchString(pattern, text)
	if err != nil {
		t.Fatal(err)
	}
	return ok
}
