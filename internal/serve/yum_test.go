package serve_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpmtest"
	"airbundle/internal/serve"
)

func spec(name, arch string, key *rpmtest.Signer) rpmtest.Spec {
	return rpmtest.Spec{
		Name: name, Arch: arch, Key: key,
		Files: []rpmtest.File{{Path: "/usr/share/" + name + "/arch", Body: arch + "\n"}},
	}
}

// repomd is what a client takes from repomd.xml.
type repomd struct {
	Data []struct {
		Type     string `xml:"type,attr"`
		Checksum string `xml:"checksum"`
		Location struct {
			Href string `xml:"href,attr"`
		} `xml:"location"`
	} `xml:"data"`
}

func TestRepodata(t *testing.T) {
	f := newFixture(t)
	f.rpm("os/x86_64", "x86_64", spec("tool", "x86_64", nil))
	f.rpm("os/x86_64", "x86_64", spec("lib", "noarch", nil))
	f.rpm("os/aarch64", "aarch64", spec("tool", "aarch64", nil))
	for _, sections := range []bool{true, false} {
		f.store.noSections = !sections
		ts := f.start(serve.Options{})
		for _, arch := range []string{"x86_64", "aarch64"} {
			base := "/repository/yum-hosted/os/" + arch + "/"
			resp, body := get(t, ts, base+"repodata/repomd.xml")
			if resp.StatusCode != 200 {
				t.Fatalf("%s: repomd.xml: %d %s", arch, resp.StatusCode, body)
			}
			tag := resp.Header.Get("Etag")
			if resp, _ := get(t, ts, base+"repodata/repomd.xml", "If-None-Match", tag); resp.StatusCode != 304 {
				t.Errorf("%s: repomd.xml with its own ETag %s: %d", arch, tag, resp.StatusCode)
			}
			var md repomd
			if err := xml.Unmarshal(body, &md); err != nil {
				t.Fatal(err)
			}
			var types []string
			for _, d := range md.Data {
				types = append(types, d.Type)
				resp, body := get(t, ts, base+d.Location.Href)
				if got := digest.FromBytes(body).Encoded(); resp.StatusCode != 200 || got != d.Checksum {
					t.Errorf("%s: %s = %d, hashes to %s, repomd.xml says %s", arch, d.Location.Href, resp.StatusCode, got, d.Checksum)
				}
			}
			if !strings.Contains(strings.Join(types, " "), "primary") {
				t.Errorf("%s: repomd.xml lists %v", arch, types)
			}
			if resp, _ := get(t, ts, base+"repodata/other.xml"); resp.StatusCode != 404 {
				t.Errorf("%s: a file that repodata does not have: %d", arch, resp.StatusCode)
			}
		}
		if resp, _ := get(t, ts, "/repository/yum-hosted/os/repodata/repomd.xml"); resp.StatusCode != 404 {
			t.Errorf("repodata above the sets: %d", resp.StatusCode)
		}
	}
}

// TestRepodataIsMadeOnce asks from many sides at once.
func TestRepodataIsMadeOnce(t *testing.T) {
	f := newFixture(t)
	f.store.noSections = true // Fetch counts
	for i := range 5 {
		f.rpm("os/x86_64", "x86_64", spec(fmt.Sprintf("p%d", i), "x86_64", nil))
	}
	ts := f.start(serve.Options{})
	before := f.store.fetched
	bodies := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range bodies {
		wg.Go(func() {
			_, bodies[i], _ = do(t, ts, "GET", "/repository/yum-hosted/os/x86_64/repodata/repomd.xml")
		})
	}
	wg.Wait()
	for i, b := range bodies {
		if len(b) == 0 || !bytes.Equal(b, bodies[0]) {
			t.Errorf("answer %d differs: %d bytes", i, len(b))
		}
	}
	if got := f.store.fetched - before; got != 5 {
		t.Errorf("%d packages were read for 5", got)
	}
}

// TestRepodataOutlivesWhoAskedFirst has a client that left while others wait.
func TestRepodataOutlivesWhoAskedFirst(t *testing.T) {
	f := newFixture(t)
	f.store.noSections = true // Fetch looks at the context
	f.rpm("os/x86_64", "x86_64", spec("tool", "x86_64", nil))
	s := f.server(serve.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/repository/yum-hosted/os/x86_64/repodata/repomd.xml", nil))
	if w.Code != http.StatusOK {
		t.Errorf("repomd.xml for a client that left: %d %s", w.Code, w.Body)
	}
}

// TestRepodataOfADamagedPackage is an error that names it, and is gone with the damage.
func TestRepodataOfADamagedPackage(t *testing.T) {
	f := newFixture(t)
	r := f.rpm("os/x86_64", "x86_64", spec("tool", "x86_64", nil))
	good, _ := f.store.get(r.Digest)
	var log logBuffer
	ts := f.start(serve.Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	f.store.set(r.Digest, []byte("no package"))
	for _, path := range []string{"repodata/repomd.xml", "repodata/"} {
		resp, body := get(t, ts, "/repository/yum-hosted/os/x86_64/"+path)
		if resp.StatusCode != 500 || !strings.Contains(string(body), r.Path()) || !strings.Contains(log.String(), r.Path()) {
			t.Errorf("%s: %d %s\nlog: %s", path, resp.StatusCode, body, log.String())
		}
	}
	f.store.set(r.Digest, good)
	if resp, body := get(t, ts, "/repository/yum-hosted/os/x86_64/repodata/repomd.xml"); resp.StatusCode != 200 {
		t.Errorf("after the repair: %d %s", resp.StatusCode, body)
	}
}

func TestRepoFiles(t *testing.T) {
	f := newFixture(t)
	key, other := rpmtest.Key(t), rpmtest.OtherKey(t)
	f.key(key)
	f.key(other)
	f.rpm("centos base/7/$os/x86_64", "x86_64", spec("tool", "x86_64", key))
	f.rpm("centos base/7/$os/x86_64", "x86_64", spec("plain", "x86_64", nil))
	f.rpm("centos base/7/$os/aarch64", "aarch64", spec("tool", "aarch64", other))
	f.rpm("centos-base/7/-os/x86_64", "x86_64", spec("twin", "x86_64", key))
	f.rpm("fixed", "x86_64", spec("fixed", "x86_64", key))
	f.rpm("aarch64", "aarch64", spec("bare", "aarch64", other))
	root := f.bundle().Root.Digest
	ts := f.start(serve.Options{})

	want := map[string]string{
		"centos-base-7--os": `# not signed, needs gpgcheck=0: plain-1.0-1.x86_64
[centos-base-7--os]
name=centos base/7/$os of test
baseurl=URL/repository/yum-hosted/centos%20base/7/%24os/$basearch/
enabled=1
gpgcheck=1
repo_gpgcheck=0
gpgkey=URL/repository/raw-hosted/keys/RPM-GPG-KEY-OTHER
       URL/repository/raw-hosted/keys/RPM-GPG-KEY-KEY
`,
		"centos-base-7--os-2": `[centos-base-7--os-2]
name=centos-base/7/-os of test
baseurl=URL/repository/yum-hosted/centos-base/7/-os/$basearch/
enabled=1
gpgcheck=1
repo_gpgcheck=0
gpgkey=URL/repository/raw-hosted/keys/RPM-GPG-KEY-KEY
`,
		"fixed": `[fixed]
name=fixed of test
baseurl=URL/repository/yum-hosted/fixed/
enabled=1
gpgcheck=1
repo_gpgcheck=0
gpgkey=URL/repository/raw-hosted/keys/RPM-GPG-KEY-KEY
`,
		"yum-hosted": `[yum-hosted]
name=yum-hosted of test
baseurl=URL/repository/yum-hosted/$basearch/
enabled=1
gpgcheck=1
repo_gpgcheck=0
gpgkey=URL/repository/raw-hosted/keys/RPM-GPG-KEY-OTHER
`,
	}
	names := strings.NewReplacer("URL", ts.URL, "OTHER", other.ID, "KEY-KEY", "KEY-"+key.ID)
	for id, text := range want {
		_, body := get(t, ts, "/repository/raw-hosted/repos/"+id+".repo")
		text = "# airbundle test, root " + string(root) + "\n" + names.Replace(text)
		if diff := cmp.Diff(text, string(body)); diff != "" {
			t.Errorf("%s.repo (-want +got):\n%s", id, diff)
		}
	}
	for _, k := range []*rpmtest.Signer{key, other} {
		if _, body := get(t, ts, "/repository/raw-hosted/keys/RPM-GPG-KEY-"+k.ID); string(body) != k.Armor {
			t.Errorf("key %s: %s", k.ID, body)
		}
	}
}

// TestCarriedContentWins has files where the server would put its own.
func TestCarriedContentWins(t *testing.T) {
	f := newFixture(t)
	key := rpmtest.Key(t)
	f.key(key)
	f.rpm("os/x86_64", "x86_64", spec("tool", "x86_64", key))
	f.file("repos/os.repo", []byte("mine"))
	f.file("keys/RPM-GPG-KEY-"+key.ID, []byte("mine too"))
	ts := f.start(serve.Options{})
	for _, p := range []string{"repos/os.repo", "keys/RPM-GPG-KEY-" + key.ID} {
		if _, body := get(t, ts, "/repository/raw-hosted/"+p); !strings.HasPrefix(string(body), "mine") {
			t.Errorf("%s: %s", p, body)
		}
	}
}

// TestDnfInstalls lets dnf configure itself by the .repo file and install signed
// packages of both arches, with gpgcheck, into a directory.
func TestDnfInstalls(t *testing.T) {
	dnf, rpm := rpmtest.Tool(t, "dnf"), rpmtest.Tool(t, "rpm")
	f := newFixture(t)
	key := rpmtest.Key(t)
	f.key(key)
	f.rpm("centos-base/7/os/x86_64", "x86_64", spec("tool", "x86_64", key))
	f.rpm("centos-base/7/os/x86_64", "x86_64", spec("tool-data", "noarch", key))
	arm := spec("tool", "aarch64", key)
	arm.Requires = []string{"tool-data = 1.0-1"}
	f.rpm("centos-base/7/os/aarch64", "aarch64", arm)
	f.rpm("centos-base/7/os/aarch64", "aarch64", spec("tool-data", "noarch", key))
	f.rpm("centos-base/7/os/aarch64", "aarch64", spec("unsigned", "aarch64", nil))
	ts := f.start(serve.Options{})
	_, repo := get(t, ts, "/repository/raw-hosted/repos/centos-base-7-os.repo")

	for _, arch := range []string{"x86_64", "aarch64"} {
		t.Run(arch, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "repos"), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "repos", "bundle.repo"), repo, 0o600); err != nil {
				t.Fatal(err)
			}
			conf := fmt.Sprintf("[main]\nreposdir=%[1]s/repos\ncachedir=%[1]s/cache\nlogdir=%[1]s/log\npersistdir=%[1]s/persist\nplugins=0\nmetadata_expire=0\nproxy=\n", dir)
			if err := os.WriteFile(filepath.Join(dir, "dnf.conf"), []byte(conf), 0o600); err != nil {
				t.Fatal(err)
			}
			root := filepath.Join(dir, "root")
			install := func(name string) (string, error) {
				cmd := exec.CommandContext(t.Context(), dnf, "-y", "-c", filepath.Join(dir, "dnf.conf"),
					"--installroot="+root, "--releasever=7", "--forcearch="+arch, "install", name)
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			if out, err := install("tool"); err != nil {
				t.Fatalf("dnf install: %v\n%s", err, out)
			}
			out, err := exec.CommandContext(t.Context(), rpm, "--root", root, "-q", "--qf", "%{nevra}", "tool").CombinedOutput()
			if err != nil || string(out) != "tool-1.0-1."+arch {
				t.Errorf("rpm -q tool: %s, %v", out, err)
			}
			if got, err := os.ReadFile(filepath.Join(root, "usr/share/tool/arch")); err != nil || string(got) != arch+"\n" {
				t.Errorf("the installed file says %q, %v", got, err)
			}
			if arch != "aarch64" {
				return
			}
			if _, err := os.Stat(filepath.Join(root, "usr/share/tool-data/arch")); err != nil {
				t.Errorf("the dependency was not installed: %v", err)
			}
			if out, err := install("unsigned"); err == nil || !strings.Contains(out, "not signed") {
				t.Errorf("dnf took an unsigned package: %v\n%s", err, out)
			}
		})
	}
}
