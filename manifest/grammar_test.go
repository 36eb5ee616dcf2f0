package manifest

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestGrammars(t *testing.T) {
	long := strings.Repeat("a", 255)
	checkDigest := func(s string) error { return CheckDigest(digest.Digest(s)) }
	const noDigest = "is not sha256: and 64 lower-case hexadecimal digits"
	const noKey = "is not a key ID or fingerprint of 16, 40 or 64 lower-case hexadecimal digits"
	for _, c := range []struct {
		name     string
		check    func(string) error
		in, want string
	}{
		{"path", CheckPath, "a b/ü/..c/...", ""},
		{"path", CheckPath, "@babel/core:1", ""},
		{"path", CheckPath, "", "is empty"},
		{"path", CheckPath, "/a", "begins with a slash, want a relative path"},
		{"path", CheckPath, `a\b`, "holds a backslash"},
		{"path", CheckPath, "a//b", "holds an empty segment"},
		{"path", CheckPath, "a/", "holds an empty segment"},
		{"path", CheckPath, "./a", "holds the segment ."},
		{"path", CheckPath, "a/..", "holds the segment .."},
		{"path", CheckPath, "a\x00", "holds the control or invisible character U+0000"},
		{"path", CheckPath, "a\u202eb", "holds the control or invisible character U+202E"},
		{"path", CheckPath, "a\u3000b", "holds the character U+3000, which is not printable"},
		{"path", CheckPath, "a\u00adb", "holds the character U+00AD, which is not printable"},
		{"path", CheckPath, "\xff", "is not UTF-8"},
		{"text", CheckText, "", ""},
		{"text", CheckText, "soft\u00ad wide\u3000", ""},
		{"text", CheckText, "a\nb", "holds the control or invisible character U+000A"},
		{"text", CheckText, "\u009b31m", "holds the control or invisible character U+009B"},
		{"text", CheckText, "a\ufeff", "holds the control or invisible character U+FEFF"},
		{"armor", CheckArmor, armor, ""},
		{"armor", CheckArmor, armor[:40] + "\x1b" + armor[40:], "holds the control or invisible character U+001B"},
		{"digest", checkDigest, "sha256:" + strings.Repeat("0a", 32), ""},
		{"digest", checkDigest, "sha256:" + strings.Repeat("0A", 32), noDigest},
		{"digest", checkDigest, "sha256:" + strings.Repeat("0a", 32) + "\n", noDigest},
		{"digest", checkDigest, "sha512:" + strings.Repeat("0a", 64), noDigest},
		{"key", CheckKeyID, strings.Repeat("0a", 8), ""},
		{"key", CheckKeyID, strings.Repeat("0a", 20), ""},
		{"key", CheckKeyID, strings.Repeat("0a", 32), ""},
		{"key", CheckKeyID, strings.Repeat("0a", 21), noKey},
		{"key", CheckKeyID, strings.Repeat("0A", 8), noKey},
		{"repository", CheckRepository, "a/b.c/d__e--f", ""},
		{"repository", CheckRepository, long, ""},
		{"repository", CheckRepository, long + "a", "is a repository name of 256 characters, more than the 255 allowed"},
		{"repository", CheckRepository, "a:1", "is not the name of a repository"},
		{"repository", CheckRepository, "a/../b", "is not the name of a repository"},
		{"publish", CheckPublish, long + ":" + strings.Repeat("T", 128), ""},
		{"publish", CheckPublish, long + "a:1", "is a repository name of 256 characters, more than the 255 allowed"},
		{"publish", CheckPublish, "a:" + strings.Repeat("T", 129), "is not repository:tag"},
		{"publish", CheckPublish, "host:5000/a:1", "is not repository:tag"},
		{"publish", CheckPublish, "a:1\n", "is not repository:tag"},
		{"publish", CheckPublish, "a", "is not repository:tag"},
	} {
		got := ""
		if err := c.check(c.in); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s %.40q: got %q, want %q", c.name, c.in, got, c.want)
		}
	}
}

func TestArches(t *testing.T) {
	for _, c := range []struct{ arch, goArch, platform string }{
		{"x86_64", "amd64", "linux/amd64"},
		{"aarch64", "arm64", "linux/arm64"},
	} {
		if GoArch(c.arch) != c.goArch || PlatformFor(c.arch) != c.platform || ArchOf(c.platform) != c.arch {
			t.Errorf("%s: %s, %s, %s", c.arch, GoArch(c.arch), PlatformFor(c.arch), ArchOf(c.platform))
		}
	}
	for _, unknown := range []string{"", "s390x", "amd64", "linux/", "linux/s390x", "windows/amd64", "linux/arm64/v8"} {
		if GoArch(unknown)+PlatformFor(unknown)+ArchOf(unknown) != "" {
			t.Errorf("%q is known", unknown)
		}
	}
	if got := strings.Join(Arches(), " "); got != "x86_64 aarch64" {
		t.Errorf("arches %s", got)
	}
}

func TestFileNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{RPMFile("lvm2", "7:2.02-6.el7", "x86_64"), "lvm2-2.02-6.el7.x86_64.rpm"},
		{RPMFile("lvm2", "2.02-6.el7", "noarch"), "lvm2-2.02-6.el7.noarch.rpm"},
		{NEVRA("lvm2", "7:2.02-6.el7", "x86_64"), "lvm2-7:2.02-6.el7.x86_64"},
		{ChartFile("prometheus", "15.0.1"), "prometheus-15.0.1.tgz"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
