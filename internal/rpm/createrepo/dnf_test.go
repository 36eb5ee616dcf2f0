package createrepo_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/rpmtest"
)

// A client is dnf with a root and settings of its own.
type client struct {
	dnf, config, root, arch string
}

// newClient makes a client of one repository; settings are lines about it, the last of a
// kind counts.
func newClient(t *testing.T, arch, repo string, settings ...string) client {
	t.Helper()
	c := client{dnf: rpmtest.Tool(t, "dnf"), root: t.TempDir(), arch: arch}
	if os.Getuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("installing packages into a root of its own needs root")
	}
	dir := t.TempDir()
	c.config = filepath.Join(dir, "dnf.conf")
	key := filepath.Join(dir, "key.asc")
	writeFile(t, key, []byte(rpmtest.Key(t).Armor))
	writeFile(t, c.config, fmt.Appendf(nil, `[main]
reposdir=/dev/null
cachedir=%[1]s/cache
logdir=%[1]s/log
persistdir=%[1]s/persist
plugins=0
install_weak_deps=0
best=1
module_platform_id=platform:el9
[carried]
name=carried
baseurl=file://%[2]s
gpgcheck=1
gpgkey=file://%[3]s
%[4]s
`, dir, repo, key, strings.Join(settings, "\n")))
	return c
}

func (c client) run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	args = append([]string{"-y", "-c", c.config, "--installroot=" + c.root, "--releasever=9", "--forcearch=" + c.arch}, args...)
	out, err := exec.CommandContext(t.Context(), c.dnf, args...).CombinedOutput()
	return string(out), err
}

// carriedSpecs are an application for both arches and what it needs.
func carriedSpecs(key *rpmtest.Signer) []rpmtest.Spec {
	specs := []rpmtest.Spec{
		{Name: "app-data", Version: "1.0^git1", Key: key, Files: []rpmtest.File{{Path: "/usr/share/app/data", Body: "data"}}},
		{Name: "app-data", Version: "1.0", Key: key}, // older
		{Name: "unsigned", Files: []rpmtest.File{{Path: "/usr/share/unsigned", Body: "x"}}},
	}
	for _, arch := range []string{"x86_64", "aarch64"} {
		specs = append(specs,
			rpmtest.Spec{
				Name: "app", Arch: arch, Key: key, Compressor: "xz", Requires: []string{"app-data >= 1.0^", "app-lib = 2:3-4", "/etc/app.conf"},
				Files: []rpmtest.File{{Path: "/usr/bin/app", Body: arch, Mode: 0o755}},
			},
			rpmtest.Spec{
				Name: "app-lib", Epoch: 2, Version: "3", Release: "4", Arch: arch, Key: key, Provides: []string{"app-lib = 2:3-4"},
				Files: []rpmtest.File{{Path: "/etc/app.conf", Body: "a=b"}},
			})
	}
	return specs
}

// TestDNFInstalls: a client installs from our metadata, for its own arch and for another.
func TestDNFInstalls(t *testing.T) {
	repo := repository{}
	for _, spec := range carriedSpecs(rpmtest.Key(t)) {
		repo["Packages/"+spec.FileName()] = rpmtest.Build(t, spec)
	}
	dir := repo.write(t)
	writeSet(t, dir, mustWrite(t, repo.entries(t)))

	for _, arch := range []string{"x86_64", "aarch64"} {
		t.Run(arch, func(t *testing.T) {
			c := newClient(t, arch, dir)
			if out, err := c.run(t, "install", "app"); err != nil {
				t.Fatalf("dnf install: %v\n%s", err, out)
			}
			for path, want := range map[string]string{"usr/bin/app": arch, "etc/app.conf": "a=b", "usr/share/app/data": "data"} {
				if got, err := os.ReadFile(filepath.Join(c.root, path)); err != nil || string(got) != want {
					t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
				}
			}
			out, err := c.run(t, "repoquery", "--installed", "--qf", "%{name}-%{epoch}:%{version}-%{release}.%{arch}")
			for _, want := range []string{"app-0:1.0-1." + arch, "app-lib-2:3-4." + arch, "app-data-0:1.0^git1-1.noarch"} {
				if err != nil || !strings.Contains(out, want) {
					t.Errorf("%s is not installed: %v\n%s", want, err, out)
				}
			}
			// The signature was checked: a package without one is refused.
			if out, err := c.run(t, "install", "unsigned"); err == nil || !strings.Contains(out, "not signed") {
				t.Errorf("unsigned package: %v\n%s", err, out)
			}
		})
	}
}
