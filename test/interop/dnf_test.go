package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpmtest"
)

// rpmHome is where Debian's rpm looks for its database, within the install root.
var rpmHome = []string{"HOME=/"}

// dnfInstall has dnf install hello for an arch into a root of its own. It knows the
// repository of the given .repo file and nothing else, and checks signatures.
func dnfInstall(t *testing.T, arch, repo string) (root string, res result) {
	t.Helper()
	dnf := rpmtest.Tool(t, "dnf")
	needRoot(t, "dnf --installroot changes root")
	work := t.TempDir()
	root = filepath.Join(work, "root")
	conf := fmt.Sprintf("[main]\nreposdir=%[1]s/repos\ncachedir=%[1]s/cache\nlogdir=%[1]s/log\npersistdir=%[1]s/persist\n"+
		"install_weak_deps=0\nplugins=0\nmodule_platform_id=platform:el9\n", work)
	for _, dir := range []string{"repos", "root"} {
		if err := os.Mkdir(filepath.Join(work, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"dnf.conf": conf, "repos/t.repo": repo} {
		writeFile(t, filepath.Join(work, name), []byte(text))
	}
	return root, run(t, rpmHome, dnf, "-y", "-c", work+"/dnf.conf", "--installroot="+root, "--releasever=9", "--forcearch="+arch, "install", "hello")
}

// checkDnf installs for both arches, and sees that another key is no good.
func checkDnf(t *testing.T, repo string, stranger func(repo string) string) {
	t.Helper()
	if !strings.Contains(repo, "gpgcheck=1") {
		t.Errorf("signatures would not be checked:\n%s", repo)
	}
	for _, arch := range []string{"x86_64", "aarch64"} {
		root, res := dnfInstall(t, arch, repo)
		if res.code != 0 {
			t.Errorf("dnf for %s: exit %d\n%s%s", arch, res.code, res.stdout, res.stderr)
			continue
		}
		got := strings.Split(strings.TrimSpace(must(t, rpmHome, rpmtest.Tool(t, "rpm"), "--root", root, "-qa", "--qf", `%{NEVRA}\n`)), "\n")
		slices.Sort(got)
		want := []string{"hello-1.2-3." + arch, "hello-data-1.0-1.noarch"}
		keys := 0
		got = slices.DeleteFunc(got, func(p string) bool {
			if strings.HasPrefix(p, "gpg-pubkey-") {
				keys++
				return true
			}
			return false
		})
		if diff := cmp.Diff(want, got); diff != "" || keys != strings.Count(repo, "/RPM-GPG-KEY") {
			t.Errorf("installed for %s, with %d keys (-want +got):\n%s", arch, keys, diff)
		}
		if text, err := os.ReadFile(filepath.Join(root, "usr/share/hello/arch")); string(text) != arch+"\n" {
			t.Errorf("%s: usr/share/hello/arch is %q (%v)", arch, text, err)
		}
		t.Logf("dnf --forcearch=%s with gpgcheck=1: %v, %.1f s", arch, got, res.took.Seconds())
	}
	if _, res := dnfInstall(t, "x86_64", stranger(repo)); res.code == 0 {
		t.Errorf("dnf installed a package that another key signed\n%s", res.stdout)
	} else {
		t.Logf("dnf with another key: exit %d, %s", res.code, lastLine(res.stdout+res.stderr))
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// keyFile writes a public key and returns its URL.
func keyFile(t *testing.T, key *rpmtest.Signer) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "RPM-GPG-KEY")
	writeFile(t, path, []byte(key.Armor))
	return "file://" + path
}
