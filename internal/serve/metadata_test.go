package serve_test

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpmtest"
	"airbundle/internal/serve"
)

func signer(t *testing.T, key *rpmtest.Signer) *createrepo.Signer {
	t.Helper()
	s, err := createrepo.NewSigner(key.Private(t, ""), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// listed returns what repomd.xml names beside the lists of packages, by type, opened.
func listed(t *testing.T, base string, fetch func(path string) []byte) map[string]string {
	t.Helper()
	var md repomd
	if err := xml.Unmarshal(fetch(base+"repodata/repomd.xml"), &md); err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, d := range md.Data {
		if strings.Contains("primary filelists other", d.Type) {
			continue
		}
		raw := fetch(base + d.Location.Href)
		if strings.HasSuffix(d.Location.Href, ".gz") {
			r, err := gzip.NewReader(bytes.NewReader(raw))
			if err != nil {
				t.Fatal(err)
			}
			if raw, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		out[d.Type] = string(raw)
	}
	return out
}

// TestMetadataIsServed: each slice with the packages of its repository, and no others.
func TestMetadataIsServed(t *testing.T) {
	f := newFixture(t)
	for _, arch := range []string{"x86_64", "aarch64"} {
		f.rpm("os/"+arch, arch, spec("tool", arch, nil))
	}
	f.rpm("bare", "x86_64", spec("tool", "x86_64", nil))
	f.metadata("os/x86_64", "modules", "document: x\n")
	f.metadata("os/x86_64", "comps", "<comps/>")
	f.metadata("os/aarch64", "updateinfo", "<updates/>")
	ts := f.start(serve.Options{})
	for repo, want := range map[string]map[string]string{
		"os/x86_64":  {"modules": "document: x\n", "group": "<comps/>", "group_gz": "<comps/>"},
		"os/aarch64": {"updateinfo": "<updates/>"},
		"bare":       {},
	} {
		got := listed(t, "/repository/yum-hosted/"+repo+"/", func(path string) []byte {
			resp, body := get(t, ts, path)
			if resp.StatusCode != 200 {
				t.Errorf("%s: %d %s", path, resp.StatusCode, body)
			}
			return body
		})
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", repo, diff)
		}
		if resp, _ := get(t, ts, "/repository/yum-hosted/"+repo+"/repodata/repomd.xml.asc"); resp.StatusCode != 404 {
			t.Errorf("%s: there is a signature without a key: %d", repo, resp.StatusCode)
		}
	}
}

// TestDamagedMetadataIsNotServed: no repodata rather than one that lacks a part.
func TestDamagedMetadataIsNotServed(t *testing.T) {
	f := newFixture(t)
	f.rpm("os/x86_64", "x86_64", spec("tool", "x86_64", nil))
	m := f.metadata("os/x86_64", "comps", "<comps/>")
	ts := f.start(serve.Options{})
	f.store.set(m.Digest, []byte("<comps.>"))
	resp, body := get(t, ts, "/repository/yum-hosted/os/x86_64/repodata/repomd.xml")
	if resp.StatusCode != 500 || !strings.Contains(string(body), "os/x86_64/comps.xml") {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
}

// TestSignedRepodata: repomd.xml has a signature by the key that the .repo file names.
func TestSignedRepodata(t *testing.T) {
	f := newFixture(t)
	key := rpmtest.OtherKey(t)
	sign := signer(t, key)
	packager := rpmtest.Key(t)
	f.key(packager)
	f.rpm("os/x86_64", "x86_64", spec("tool", "x86_64", packager))
	ts := f.start(serve.Options{Sign: sign})

	_, public := get(t, ts, "/repository/raw-hosted/keys/RPM-GPG-KEY-"+sign.Fingerprint())
	ring, err := openpgp.ReadArmoredKeyRing(bytes.NewReader(public))
	if err != nil || bytes.Contains(public, []byte("PRIVATE")) {
		t.Fatalf("%v\n%s", err, public)
	}
	base := "/repository/yum-hosted/os/x86_64/repodata/"
	_, repomd := get(t, ts, base+"repomd.xml")
	resp, signature := get(t, ts, base+"repomd.xml.asc")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("repomd.xml.asc: %d %v", resp.StatusCode, resp.Header)
	}
	if _, err := openpgp.CheckArmoredDetachedSignature(ring, bytes.NewReader(repomd), bytes.NewReader(signature), nil); err != nil {
		t.Errorf("%v\n%s", err, signature)
	}
	if _, again := get(t, ts, base+"repomd.xml.asc"); !bytes.Equal(again, signature) {
		t.Error("another signature at each request")
	}
	_, got := get(t, ts, "/repository/raw-hosted/repos/os.repo")
	want := fmt.Sprintf(`# airbundle test, root %[1]s
[os]
name=os of test
baseurl=%[2]s/repository/yum-hosted/os/$basearch/
enabled=1
gpgcheck=1
repo_gpgcheck=1
gpgkey=%[2]s/repository/raw-hosted/keys/RPM-GPG-KEY-%[3]s
       %[2]s/repository/raw-hosted/keys/RPM-GPG-KEY-%[4]s
`, f.bundle().Root.Digest, ts.URL, sign.Fingerprint(), packager.ID)
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("os.repo (-want +got):\n%s", diff)
	}
	if _, page := get(t, ts, base); !bytes.Contains(page, []byte("repomd.xml.asc")) {
		t.Errorf("the directory does not list the signature:\n%s", page)
	}
}

// TestDnfChecksRepodata: the .repo file as it is served makes dnf check metadata and
// packages, for both arches, and a repository that somebody else signed is refused.
func TestDnfChecksRepodata(t *testing.T) {
	dnf := rpmtest.Tool(t, "dnf")
	f := newFixture(t)
	key := rpmtest.Key(t)
	f.key(key)
	for _, arch := range []string{"x86_64", "aarch64"} {
		f.rpm("os/"+arch, arch, spec("tool", arch, key))
	}
	good, bad := f.start(serve.Options{Sign: signer(t, rpmtest.OtherKey(t))}), f.start(serve.Options{Sign: signer(t, rpmtest.OtherKey(t))})
	_, repo := get(t, good, "/repository/raw-hosted/repos/os.repo")
	// The baseurl of the other server, with the keys of this one.
	mixed := bytes.Replace(repo, []byte("baseurl="+good.URL), []byte("baseurl="+bad.URL), 1)
	for _, tt := range []struct {
		arch string
		repo []byte
		ok   bool
	}{{"x86_64", repo, true}, {"aarch64", repo, true}, {"x86_64", mixed, false}} {
		dir := t.TempDir()
		conf := fmt.Sprintf("[main]\nreposdir=%[1]s/repos\ncachedir=%[1]s/cache\nlogdir=%[1]s/log\npersistdir=%[1]s/persist\nplugins=0\nmetadata_expire=0\nproxy=\n", dir)
		if err := os.Mkdir(filepath.Join(dir, "repos"), 0o700); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string][]byte{"repos/os.repo": tt.repo, "dnf.conf": []byte(conf)} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		root := filepath.Join(dir, "root")
		out, err := exec.CommandContext(t.Context(), dnf, "-y", "-c", filepath.Join(dir, "dnf.conf"),
			"--installroot="+root, "--releasever=9", "--forcearch="+tt.arch, "install", "tool").CombinedOutput()
		if (err == nil) != tt.ok {
			t.Errorf("%s, right key %v: dnf install: %v\n%s", tt.arch, tt.ok, err, out)
		}
		got, err := os.ReadFile(filepath.Join(root, "usr/share/tool/arch"))
		if tt.ok && (err != nil || string(got) != tt.arch+"\n") {
			t.Errorf("the installed file says %q, %v", got, err)
		}
	}
}
