package nexustest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/nexustest"
)

// specs are the packages of the interop tests. Each needs the one before it.
func specs(arch string) []rpmSpec {
	return []rpmSpec{
		{name: "base", version: "1.0", arch: "noarch", provides: []string{"virtual = 2:3.4-5"}},
		{name: "lib", version: "2.0~rc1", arch: arch, epoch: 3, requires: []string{"base >= 1.0", "/usr/bin/base"}, recommends: []string{"nice"}},
		{name: "app", version: "3", arch: arch, requires: []string{"lib = 2.0~rc1-1.el9", "virtual > 2:3"}, compressor: "zstd"},
	}
}

// dnf runs dnf on the repository at url, into a root of its own and without
// anything of the host.
func dnf(t *testing.T, arch, url, root string, args ...string) string {
	t.Helper()
	work := t.TempDir()
	conf := fmt.Sprintf("[main]\nreposdir=/dev/null\ncachedir=%[1]s/cache\nlogdir=%[1]s/log\npersistdir=%[1]s/persist\n"+
		"install_weak_deps=0\nplugins=0\nmetadata_expire=0\nmodule_platform_id=platform:el9\n"+
		"[t]\nname=t\nbaseurl=%[2]s\ngpgcheck=0\nusername=%[3]s\npassword=%[4]s\n", work, url, nexustest.Username, nexustest.Password)
	if err := os.WriteFile(filepath.Join(work, "dnf.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"-y", "-c", work + "/dnf.conf", "--installroot=" + root, "--releasever=9", "--forcearch=" + arch}, args...)
	out, err := exec.CommandContext(t.Context(), tool(t, "dnf"), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("dnf %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestDnfInstalls has the real dnf and rpm install from the server.
func TestDnfInstalls(t *testing.T) {
	tool(t, "dnf")
	rpmTool := tool(t, "rpm")
	for i, profile := range allProfiles {
		arch := []string{"x86_64", "aarch64"}[i%2]
		t.Run(string(profile)+" "+arch, func(t *testing.T) {
			s, base := startYum(t, nexustest.Options{Profile: profile}, nexustest.Repository{Depth: 1})
			var paths []string
			for _, spec := range specs(arch) {
				p := "Packages/" + spec.name + ".rpm"
				paths = append(paths, p)
				do(t, "PUT", base+"/"+arch+"/"+p, string(makeRPM(t, spec))).want(t, 200)
			}
			slices.Sort(paths)
			awaitPackages(t, base+"/"+arch, paths...)
			root := t.TempDir()
			dnf(t, arch, base+"/"+arch, root, "install", "app")
			out, err := exec.CommandContext(t.Context(), rpmTool, "--root", root, "-qa", "--qf", "%{NAME} %{EPOCHNUM} %{ARCH}\n").CombinedOutput()
			if err != nil {
				t.Fatalf("rpm -qa: %v\n%s", err, out)
			}
			got := strings.Split(strings.TrimSpace(string(out)), "\n")
			slices.Sort(got)
			if diff := cmp.Diff([]string{"app 0 " + arch, "base 0 noarch", "lib 3 " + arch}, got); diff != "" {
				t.Errorf("installed (-want +got):\n%s", diff)
			}
			if _, err := os.Stat(filepath.Join(root, "usr/bin/app")); err != nil {
				t.Error(err)
			}
			if n := s.Count("GET", `/Packages/.*\.rpm$`); n != 3 {
				t.Errorf("dnf fetched %d packages", n)
			}
		})
	}
}

// TestRepodataLikeCreaterepo compares the metadata with createrepo_c's for the
// same files.
func TestRepodataLikeCreaterepo(t *testing.T) {
	createrepo := tool(t, "createrepo_c")
	dir := t.TempDir()
	var paths []string
	for _, spec := range specs("x86_64") {
		paths = append(paths, spec.name+".rpm")
		if err := os.WriteFile(filepath.Join(dir, spec.name+".rpm"), makeRPM(t, spec), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(paths)
	out, err := exec.CommandContext(t.Context(), createrepo, "--no-database", "--general-compress-type=gz", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	for _, profile := range allProfiles {
		t.Run(string(profile), func(t *testing.T) {
			_, base := startYum(t, nexustest.Options{Profile: profile}, nexustest.Repository{})
			for _, p := range paths {
				rpm, err := os.ReadFile(filepath.Join(dir, p))
				if err != nil {
					t.Fatal(err)
				}
				do(t, "PUT", base+"/"+p, string(rpm)).want(t, 200)
			}
			awaitPackages(t, base, paths...)
			compareRepodata(t, base, dir)
		})
	}
}

// compareRepodata compares the metadata at base with that in a directory.
func compareRepodata(t *testing.T, base, dir string) {
	t.Helper()
	md, _, _ := readRepodata(t, base)
	for _, d := range md.Data {
		names, err := filepath.Glob(dir + "/repodata/*-" + d.Type + ".xml.gz")
		if err != nil || len(names) != 1 {
			t.Fatalf("createrepo_c made %v (%v)", names, err)
		}
		reference, err := os.ReadFile(names[0])
		if err != nil {
			t.Fatal(err)
		}
		ours := do(t, "GET", base+"/"+d.Location.Href, "").want(t, 200).body
		if diff := cmp.Diff(flatten(t, reference), flatten(t, []byte(ours))); diff != "" {
			t.Errorf("%s (-createrepo_c +ours):\n%s", d.Type, diff)
		}
	}
	if len(md.Data) != 3 {
		t.Errorf("%d kinds of metadata", len(md.Data))
	}
}

// flatten turns gzipped XML into one line for each element, package by package
// and sorted, so that the order of packages and dependencies does not count.
func flatten(t *testing.T, zipped []byte) []string {
	t.Helper()
	zr, err := gzip.NewReader(bytes.NewReader(zipped))
	if err != nil {
		t.Fatal(err)
	}
	var out, inPackage []string
	var path []string
	text := ""
	dec := xml.NewDecoder(zr)
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch token := token.(type) {
		case xml.StartElement:
			path, text = append(path, token.Name.Local), ""
			for _, a := range token.Attr {
				if key := token.Name.Local + "." + a.Name.Local; key != "time.file" && a.Name.Space != "xmlns" && a.Name.Local != "xmlns" {
					inPackage = append(inPackage, strings.Join(path, "/")+" "+a.Name.Local+"="+a.Value)
				}
			}
		case xml.CharData:
			text += string(token)
		case xml.EndElement:
			if text = strings.TrimSpace(text); text != "" {
				inPackage = append(inPackage, strings.Join(path, "/")+" "+text)
			}
			path, text = path[:len(path)-1], ""
			if len(path) == 1 {
				slices.Sort(inPackage)
				out = append(out, strings.Join(inPackage, "\n"))
				inPackage = nil
			}
		}
	}
	slices.Sort(out)
	return out
}
