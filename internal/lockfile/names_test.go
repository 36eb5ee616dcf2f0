package lockfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/manifest"
)

func TestGrammars(t *testing.T) {
	tests := []struct {
		name      string
		check     func(string) error
		good, bad []string
	}{
		{"path", checkPath,
			[]string{"a", "a/b", "a.b/..c/...", "a b/ü", "@babel/core", "a:b"},
			[]string{"", "/", "/a", "a/", "a//b", ".", "..", "./a", "a/.", "a/../b", `a\b`, "a\x00b", "a\nb", "a\u202eb", "\xff"}},
		{"url", checkURL,
			[]string{"http://a/b", "https://a:8443/b?c=d", "HTTPS://a/b", "https://[::1]:80/a", "file:a/b", "file:../a", "file:/a", "file:///a", "file://localhost/a", "file:a%20b"},
			[]string{"", "a", "/a", "//a/b", "http:", "http:///a", "https://:80/a", "https://u@a/b", "https://u:p@a/b", "ftp://a/b", "data:,a", "file:", "file:///", "file://host/a", "file:a?b", "file:a#b", "http://a b", "http://a/b c", "http://a/\x00", "http://a/{arch}", `http://a\b`, "http://a:x/", "http://a/\u200b"}},
		{"repository URL", checkRepoURL, []string{"https://a/$basearch/os"}, []string{"https://$basearch@a/os", "$basearch"}},
		{"chart repository", checkChartRepo,
			[]string{"https://a/charts", "file:charts", "oci://registry.example.com:5000/a/b", "oci://registry-1.docker.io/bitnamicharts", "oci://localhost/a"},
			[]string{"", "oci://", "oci://a", "oci://a/b", "oci://u:p@a.b/c", "oci://a.b/C", "oci://a.b/c:1", "oci://a.b/c/", "a.b/c"}},
		{"chart URL", checkChartURL,
			[]string{"https://a/b.tgz", "file:a.tgz", "oci://a.b:5000/c/d@sha256:" + strings.Repeat("a", 64)},
			[]string{
				"", "oci://a.b/c/d", "oci://a.b/c/d:1", "oci://a.b/c/d:1@sha256:" + strings.Repeat("a", 64), "oci://a/c/d@sha256:" + strings.Repeat("a", 64),
				"oci://u:p@a.b/c@sha256:" + strings.Repeat("a", 64), "oci://a.b/c/d@sha256:" + strings.Repeat("A", 64), "oci://a.b/c/D@sha256:" + strings.Repeat("a", 64), "https://u:p@a/b.tgz",
			}},
		{"source", checkSource,
			[]string{"busybox", "busybox:1", "docker.io/library/busybox:1.31.1", "registry.example.com:5000/a/b/c:1", "localhost/a", "[::1]:5000/a:1",
				"busybox:1@sha256:" + strings.Repeat("a", 64), "oci-layout:dir", "oci-layout:/abs/dir:tag", "oci-archive:a.tar:registry.k8s.io/pause:3.2", "docker-archive:../a.tar", "docker-archive:a.tar:app:1"},
			[]string{"", ":", "Busybox", "docker://busybox", "https://a/b", "a//b", "a:b:c", "a@sha256:1", "u:p@host/a", "a b", "oci-layout:", "oci-layout::tag", "oci-archive:a.tar:", "oci-archive:a\nb", "docker-archive:a.tar:App:1"}},
		{"publish", checkPublish,
			[]string{"a:1", "a/b/c:v1.0_x-y", "quay.io/a:1", "library/busybox:1.31"},
			[]string{"", "a", "a/b", ":1", "A:1", "a:", "a:-1", "host:5000/a:1", "/a:1", "a//b:1", "a:1@sha256:" + strings.Repeat("a", 64), "a:" + strings.Repeat("a", 129)}},
		{"digest", checkDigest,
			[]string{"sha256:" + strings.Repeat("0a", 32)},
			[]string{"", "sha256:", strings.Repeat("0a", 32), "sha256:" + strings.Repeat("0A", 32), "sha512:" + strings.Repeat("0a", 64), "sha256:" + strings.Repeat("0a", 32) + "\n"}},
		{"evr", checkEVR,
			[]string{"1-1", "1.7.3.2-2.el7", "7:2.02.187-6.el7_9.5", "1.0~rc1^git-1", "4294967295:1-1"},
			[]string{"", "1", "1-", "-1", "0:1-1", "07:1-1", "a:1-1", ":1-1", "1-1-1", "1:1:1-1", "1/2-1", "1-1 "}},
		{"RPM name", checkRPMName, []string{"socat", "libstdc++", "0ad", "_x", "perl-App", "gtk2.0"}, []string{"", "-a", "+a", "a b", "a/b", "a:b"}},
		{"RPM arch", checkRPMArch, []string{"noarch", "i686", "x86_64_v2"}, []string{"", "x86-64", "../x"}},
		{"key", checkKeyID,
			[]string{"24c6a8a7f4a80eb5", strings.Repeat("0a", 20), strings.Repeat("0a", 32)},
			[]string{"", "f4a80eb5", "24C6A8A7F4A80EB5", "0x24c6a8a7f4a80eb5", strings.Repeat("0a", 21)}},
		{"name", checkName, []string{"k8s-1.20.12", "a_b+c"}, []string{"", ".a", "-a", "a:b", "a/b", "a b", strings.Repeat("a", 129)}},
		{"stream", checkStream, []string{"nodejs:20", "container-tools:rhel8"}, []string{"", "nodejs", ":20", "nodejs:", "a:b:c"}},
		{"chart", checkChart, []string{"prometheus", "kube-prometheus-stack"}, []string{"", "a/b", "-a"}},
		{"version", checkVersion, []string{"15.0.1", "v1.0.0-rc.1+build"}, []string{"", "1 2", "a/b", "../1"}},
		{"arch", checkArch, []string{"x86_64", "aarch64"}, []string{"", "amd64", "arm64", "i686"}},
		{"note", checkNote, []string{"a\nb\tc", "ä"}, []string{"a\x1bb", "a\u202eb", "\xff"}},
		{"armor", manifest.CheckArmor,
			[]string{"-----BEGIN PGP PUBLIC KEY BLOCK-----\r\nx\r\n-----END PGP PUBLIC KEY BLOCK-----\r\n"},
			[]string{"", "x", "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----", "-----BEGIN PGP PUBLIC KEY BLOCK-----\x1b-----END PGP PUBLIC KEY BLOCK-----"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, s := range tt.good {
				if err := tt.check(s); err != nil {
					t.Errorf("%q is refused: %v", s, err)
				}
			}
			for _, s := range tt.bad {
				if tt.check(s) == nil {
					t.Errorf("%q is taken", s)
				}
			}
		})
	}
}

func TestSourceKey(t *testing.T) {
	tests := []struct{ a, b string }{
		{"busybox", "docker.io/library/busybox:latest"},
		{"index.docker.io/library/busybox:1", "busybox:1"},
		{"oci-layout:a", "oci-layout:a"},
		{"Not A Reference", "Not A Reference"},
	}
	for _, tt := range tests {
		if sourceKey(tt.a) != sourceKey(tt.b) {
			t.Errorf("%s and %s differ: %s, %s", tt.a, tt.b, sourceKey(tt.a), sourceKey(tt.b))
		}
	}
	if sourceKey("a:1") == sourceKey("a:2") {
		t.Error("two tags are the same")
	}
}

func TestShow(t *testing.T) {
	ref := "busybox:1@sha256:" + strings.Repeat("a", 64)
	tests := []struct{ in, want string }{
		{"plain", "plain"},
		{"https://user:secret@host/a", "…@host/a"},
		{"https://user:s@cret@host/a", "…@host/a"},
		{"user:secret@host/a", "…@host/a"},
		{ref, ref},
		{"user:secret@host/a:1@sha256:12", "…@host/a:1@sha256:12"},
		{"@babel/core", "@babel/core"},
		{strings.Repeat("a", 200), strings.Repeat("a", 100) + "…"},
		{strings.Repeat("a", 99) + "ü", strings.Repeat("a", 99) + "…"},
	}
	for _, tt := range tests {
		if got := show(tt.in); got != tt.want {
			t.Errorf("show(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSortArches(t *testing.T) {
	if got := sortArches([]string{"s390x", "aarch64", "x86_64"}); !cmp.Equal(got, []string{"x86_64", "aarch64", "s390x"}) {
		t.Errorf("sortArches = %v", got)
	}
}

func TestRPMNames(t *testing.T) {
	r := RPM{Name: "lvm2", EVR: "7:2.02.187-6.el7_9.5", Arch: "x86_64", Repo: "centos-base/7/os/x86_64"}
	if got, want := r.Path(), "centos-base/7/os/x86_64/lvm2-2.02.187-6.el7_9.5.x86_64.rpm"; got != want {
		t.Errorf("Path() = %s, want %s", got, want)
	}
	if got, want := r.NEVRA(), "lvm2-7:2.02.187-6.el7_9.5.x86_64"; got != want {
		t.Errorf("NEVRA() = %s, want %s", got, want)
	}
	r.EVR = "1-1"
	if got, want := r.File(), "lvm2-1-1.x86_64.rpm"; got != want {
		t.Errorf("File() = %s, want %s", got, want)
	}
}

func TestExpand(t *testing.T) {
	tests := []struct{ in, arch, want, err string }{
		{"a/{goarch}/b-{arch}.tgz", "x86_64", "a/amd64/b-x86_64.tgz", ""},
		{"{goarch}{goarch}", "aarch64", "arm64arm64", ""},
		{"plain", "aarch64", "plain", ""},
		{"{os}", "x86_64", "", `expand "{os}": only {arch} and {goarch} are known between braces`},
		{"{arch", "x86_64", "", `expand "{arch": only {arch} and {goarch} are known between braces`},
		{"a", "amd64", "", `expand "a": arch "amd64" is what images call it, write x86_64`},
	}
	for _, tt := range tests {
		got, err := Expand(tt.in, tt.arch)
		if got != tt.want || tt.err != "" && fmt.Sprint(err) != tt.err || tt.err == "" && err != nil {
			t.Errorf("Expand(%q, %q) = %q, %v", tt.in, tt.arch, got, err)
		}
	}
}

func TestFileWishExpand(t *testing.T) {
	both := []string{"x86_64", "aarch64"}
	x, a := []string{"x86_64"}, []string{"aarch64"}
	tests := []struct {
		name string
		in   FileWish
		want []FileWish
	}{
		{"per arch", FileWish{Path: "{goarch}/a", URL: "https://e/{arch}", Groups: []string{"g"}}, []FileWish{
			{Path: "amd64/a", URL: "https://e/x86_64", Arches: x, Groups: []string{"g"}},
			{Path: "arm64/a", URL: "https://e/aarch64", Arches: a, Groups: []string{"g"}},
		}},
		{"one of the arches", FileWish{Path: "{goarch}/a", URL: "u", Checksums: "c/{goarch}", Arches: a},
			[]FileWish{{Path: "arm64/a", URL: "u", Checksums: "c/arm64", Arches: a}}},
		{"one arch, no placeholder", FileWish{Path: "a", URL: "u", Arches: x}, []FileWish{{Path: "a", URL: "u", Arches: x}}},
		{"for every arch", FileWish{Path: "a", URL: "u"}, []FileWish{{Path: "a", URL: "u"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.in.Expand(both)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if _, err := (FileWish{Path: "a", Arches: both}).Expand(both); err == nil {
		t.Error("two arches, one path: no error")
	}
}

func TestEntryLines(t *testing.T) {
	l, err := DecodeLock("f", []byte(`apiVersion: airbundle/v1
kind: Lock
name: lines
arches: [x86_64]
files:
  - path: b
    urls: [file:b]
    size: 1
    digest: sha256:0000000000000000000000000000000000000000000000000000000000000001
  -
    {path: a, urls: [file:b], size: 1, digest: sha256:0000000000000000000000000000000000000000000000000000000000000001}
`))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range l.Files {
		got[f.Path] = int(f.Line)
	}
	if diff := cmp.Diff(map[string]int{"a": 11, "b": 6}, got); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

func TestLocal(t *testing.T) {
	for source, want := range map[string]bool{
		"oci-layout:a": true, "oci-archive:a": true, "docker-archive:a:b": true,
		"busybox": false, "oci-layout": false, "example.com/oci-layout:a": false,
	} {
		if got := (Image{Source: source}).Local(); got != want {
			t.Errorf("%s: Local() = %v", source, got)
		}
	}
}
