package lint

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/report"
)

func dig(c string) string { return "sha256:" + strings.Repeat(c, 64) }

const (
	both = "apiVersion: airbundle/v1\nkind: Lock\nname: l\narches: [x86_64, aarch64]\n"
	one  = "apiVersion: airbundle/v1\nkind: Lock\nname: l\narches: [x86_64]\n"
)

func image(source, d string, platforms ...string) string {
	return fmt.Sprintf("  - {source: %q, digest: %q, platforms: {%s}}\n", source, d, strings.Join(platforms, ", "))
}

func on(p, d string) string { return fmt.Sprintf("linux/%s: %q", p, d) }

// pkg is an RPM entry: name, evr, arch, repository path, digest. The basearch is in the path.
func pkg(name, evr, arch, repo, d string) string {
	base := "x86_64"
	if strings.Contains(repo, "aarch64") {
		base = "aarch64"
	}
	return fmt.Sprintf("  - {name: %s, evr: %q, arch: %s, basearch: %s, repo: %s, urls: [\"https://h/%s\"], size: 9, digest: %q, unsigned: accepted, why: test}\n",
		name, evr, arch, base, repo, name, d)
}

func file(path, more string) string {
	return fmt.Sprintf("  - {path: %s, urls: [\"https://h/f\"], size: 9, digest: %q%s}\n", path, dig("f"), more)
}

// findings are a report's findings, one line each, without the file's name.
func findings(rep *report.Report) []string {
	var out []string
	for _, r := range rep.Findings() {
		out = append(out, fmt.Sprintf("%s %s %s %s", strings.TrimPrefix(r.Place, "l.yaml:"), r.Finding, r.Kind, r.Name))
	}
	slices.Sort(out)
	return out
}

func run1(t *testing.T, lock string, o Options) (*report.Report, *Summary) {
	t.Helper()
	rep, sum, err := Run(t.Context(), []File{{"l.yaml", []byte(lock)}}, nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return rep, sum
}

func TestLock(t *testing.T) {
	img := image("a/b:1", dig("a"), on("amd64", dig("b")))
	for _, c := range []struct {
		name, lock string
		want       []string
		o          Options
	}{
		{name: "clean", lock: one + "images:\n" + img + "files:\n" + file("x/amd64/f.tgz", ", arch: x86_64")},
		// What strict decoding refuses.
		{name: "digests", lock: one + "images:\n" + image("a:1", "sha256:ABC", on("amd64", dig("b"))) + image("b:1", dig("B"), on("amd64", "x")) +
			"files:\n  - {path: f, urls: [\"https://h/f\"], size: 1, digest: \"sha256:12\"}\n  - {path: g, urls: [\"https://h/f\"], size: 1}\n",
			want: []string{"6 bad-digest image a:1", "7 bad-digest image b:1", "7 bad-digest image b:1", "9 bad-digest file f", "10 bad-digest file g"}},
		{name: "sizes", lock: one + "files:\n  - {path: f, urls: [\"https://h/f\"], digest: " + dig("a") + "}\n  - {path: g, urls: [\"https://h/f\"], size: 0, digest: " + dig("a") + "}\n",
			want: []string{"6 missing-size file f", "7 missing-size file g"}},
		{name: "userinfo", lock: one + "files:\n  - {path: f, urls: [\"https://u:secret@h/f\"], size: 1, digest: " + dig("a") + "}\n", want: []string{"6 userinfo file f"}},
		{name: "login of an image", lock: both + "images:\n" + image("u:secret@q/a:1", dig("a"), on("amd64", dig("a"))+", "+on("arm64", dig("b"))) +
			image("u:secret@q/b:1@"+dig("c"), dig("c"), on("amd64", dig("a"))+", "+on("arm64", dig("d"))),
			want: []string{"6 bad-entry image …@q/a:1", "6 bad-entry image …@q/a:1", "7 bad-entry image …@q/b:1@" + dig("c"), "7 digest-role image …@q/b:1@" + dig("c")}},
		{name: "one name, two digests", lock: one + "images:\n" + img + image("docker.io/a/b:1", dig("c"), on("amd64", dig("d"))), want: []string{"7 two-digests image docker.io/a/b:1"}},
		{name: "pinned and not", lock: one + "images:\n" + img + image("a/b:1@"+dig("c"), dig("c"), on("amd64", dig("d"))), want: []string{"7 two-digests image a/b:1@" + dig("c")}},
		{name: "source pins another", lock: one + "images:\n" + image("a/b:1@"+dig("c"), dig("d"), on("amd64", dig("d"))), want: []string{"6 two-digests image a/b:1@" + dig("c")}},
		{name: "duplicate", lock: one + "images:\n" + img + img, want: []string{"7 duplicate image a/b:1"}},
		{name: "image for one arch", lock: both + "images:\n" + img, want: []string{"6 arch-gap image a/b:1"}},
		{name: "unknown field", lock: one + "files:\n  - {paht: f}\nfoo: bar\n", want: []string{"6 bad-entry lock l.yaml", "6 bad-entry file l.yaml", "6 bad-entry file l.yaml", "6 bad-digest file l.yaml", "6 missing-size file l.yaml", "7 bad-entry lock l.yaml"}},
		// What it does not.
		{name: "collision", lock: one + "images:\n" + img + image("quay.io/a/b:1", dig("c"), on("amd64", dig("d"))), want: []string{"7 name-collision image quay.io/a/b:1"}},
		{name: "no collision", lock: one + "images:\n" + img + image("quay.io/a/b:1", dig("a"), on("amd64", dig("b"))) +
			"  - {source: \"q/a/b:1\", digest: " + dig("c") + ", platforms: {" + on("amd64", dig("d")) + "}, publish: [\"other:1\"]}\n"},
		{name: "index as image", lock: one + "images:\n" + img + image("c:1", dig("c"), on("amd64", dig("a"))), want: []string{"7 digest-role image c:1"}},
		{name: "NEVRA in two repositories", lock: one + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/x86_64", dig("a")) + pkg("s", "1-1", "x86_64", "b/x86_64", dig("b")),
			want: []string{"7 nevra-digests rpm s-1-1.x86_64"}},
		{name: "NEVRA twice in one repository", lock: one + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/x86_64", dig("a")) + pkg("s", "1-1", "x86_64", "a/x86_64", dig("b")),
			want: []string{"7 two-digests rpm s-1-1.x86_64"}},
		{name: "NEVRA of two arches", lock: both + "rpms:\n" + pkg("s", "1-1", "noarch", "a/x86_64", dig("a")) + pkg("s", "1-1", "noarch", "a/aarch64", dig("b"))},
		{name: "set for one arch", lock: both + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/x86_64", dig("a")), want: []string{"6 arch-gap rpm a"}},
		{name: "set for one arch, absent", lock: both + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/x86_64", dig("a")) + "absent:\n  - {name: s, arch: aarch64, why: none}\n"},
		{name: "set elsewhere", lock: both + "rpms:\n" + pkg("s", "1-1", "x86_64", "base/x86_64", dig("a")) + pkg("s", "1-1", "aarch64", "altarch/aarch64", dig("b"))},
		{name: "file for one arch", lock: both + "files:\n" + file("etcd/amd64/etcd-linux-amd64.tgz", "") + file("x/x86_64/f", "") + file("x/arm64/f", "") + file("any", ""),
			want: []string{"6 arch-gap file etcd/amd64/etcd-linux-amd64.tgz"}},
		{name: "file for one arch, absent", lock: both + "files:\n" + file("etcd/amd64/f", "") + file("y", ", arch: aarch64") +
			"absent:\n  - {path: etcd/arm64/f, arch: aarch64, why: none}\n  - {path: y, arch: x86_64, why: none}\n"},
		{name: "file for one arch by field", lock: both + "files:\n" + file("y", ", arch: aarch64") + file("z-amd64", ", arch: aarch64"),
			want: []string{"6 arch-gap file y", "7 arch-gap file z-amd64", "7 bad-entry file z-amd64"}},
		{name: "too deep", lock: one + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/b/c/d/e/x86_64", dig("a")), want: []string{"6 too-deep rpm a/b/c/d/e/x86_64"}},
		{name: "five deep", lock: one + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/b/c/d/x86_64", dig("a"))},
		{name: "two depths", lock: one + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/x86_64", dig("a")) + pkg("t", "1-1", "x86_64", "a/b/x86_64", dig("b")), want: []string{"7 two-depths rpm repositories"}},
		{name: "for EL7 by path", lock: one + "rpms:\n" + pkg("s", "1-1.el9", "x86_64", "centos/7/os/x86_64", dig("a")) + pkg("t", "1^2-1.el7_9.1", "x86_64", "centos/7/os/x86_64", dig("b")),
			want: []string{"6 foreign-dist rpm s-1-1.el9.x86_64", "7 rpmlib rpm t-1^2-1.el7_9.1.x86_64"}},
		{name: "for EL7 by flag", lock: one + "rpms:\n" + pkg("s", "1-1.fc33", "x86_64", "os/x86_64", dig("a")), o: Options{TargetOS: "el7"}, want: []string{"6 foreign-dist rpm s-1-1.fc33.x86_64"}},
		{name: "not for EL7 by flag", lock: one + "rpms:\n" + pkg("s", "1-1.el10", "x86_64", "7/x86_64", dig("a")), o: Options{TargetOS: "any"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rep, sum := run1(t, c.lock, c.o)
			want := slices.Clone(c.want)
			slices.Sort(want)
			if diff := cmp.Diff(want, findings(rep)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			code := 0
			if len(want) > 0 {
				code = 4
			}
			if rep.Code() != code || sum.Findings != len(want) {
				t.Errorf("exit code %d, %d findings; want %d, %d", rep.Code(), sum.Findings, code, len(want))
			}
			for _, r := range rep.Records() {
				if strings.Contains(r.Name, "secret") {
					t.Errorf("record of %s", r.Name)
				}
			}
			for _, r := range rep.Findings() {
				if r.Next == "" || r.Reason == "" || strings.Contains(r.Reason+r.Next, "secret") {
					t.Errorf("%s: reason %q, next %q", r.Finding, r.Reason, r.Next)
				}
			}
		})
	}
}

func TestAccept(t *testing.T) {
	lock := one + "rpms:\n" + pkg("s", "1-1", "x86_64", "a/x86_64", dig("a")) + pkg("t", "1-1", "x86_64", "a/b/x86_64", dig("b")) + pkg("s", "1-1", "x86_64", "b/x86_64", dig("b")) +
		"accept:\n  - {finding: two-depths, artifact: repositories, why: two Nexus repositories}\n  - {finding: nevra-digests, artifact: %s, why: known}\n"
	for _, name := range []string{"s-1-1.x86_64", "s"} {
		rep, sum := run1(t, fmt.Sprintf(lock, name), Options{})
		if rep.Code() != 0 || sum.Accepted != 2 {
			t.Errorf("%s: exit code %d, %d accepted: %q", name, rep.Code(), sum.Accepted, findings(rep))
		}
		if !slices.ContainsFunc(rep.Notes, func(n string) bool {
			return strings.HasPrefix(n, "l.yaml:7: two-depths of repositories is accepted: two Nexus repositories")
		}) {
			t.Errorf("notes %q", rep.Notes)
		}
	}
	// Another artifact, another finding, and what no build takes stay.
	for _, name := range []string{"other", "s-1", "t"} {
		rep, sum := run1(t, fmt.Sprintf(lock, name), Options{})
		if rep.Code() != 4 || sum.Accepted != 1 {
			t.Errorf("%s: exit code %d, %d accepted", name, rep.Code(), sum.Accepted)
		}
	}
	rep, sum := run1(t, one+"files:\n  - {path: f, urls: [\"https://h/f\"], digest: "+dig("a")+"}\naccept:\n  - {finding: missing-size, artifact: f, why: no}\n", Options{})
	if rep.Code() != 4 || sum.Accepted != 0 {
		t.Errorf("an unusable entry: exit code %d, %d accepted", rep.Code(), sum.Accepted)
	}
}

func TestNotes(t *testing.T) {
	rep, sum := run1(t, both+"images:\n"+image("a:1", dig("a"), on("amd64", dig("b")), on("arm64", dig("c")))+
		"rpms:\n"+pkg("s", "1-1", "x86_64", "c/7/x86_64", dig("a"))+pkg("s", "1-1", "aarch64", "c/7/aarch64", dig("b"))+pkg("d", "1-1", "x86_64", "c/7/x86_64", dig("c")), Options{})
	want := []string{
		"l.yaml: rpm set c/7: not for aarch64: d; name the request to know whether they are wanted",
		"l.yaml: whether rpm 4.11 of EL7 can read 3 packages was not checked: that is in their headers, lint with --online",
		"l.yaml: whether the digests of 1 images are those of manifests, and not image IDs (digests of configs), was not checked: lint with --online",
	}
	if diff := cmp.Diff(want, rep.Notes); diff != "" || rep.Code() != 0 {
		t.Errorf("exit code %d, -want +got\n%s", rep.Code(), diff)
	}
	if diff := cmp.Diff(want, sum.Unchecked); diff != "" {
		t.Errorf("summary: -want +got\n%s", diff)
	}
	if n := len(rep.Records()); n != 4 || sum.Artifacts != 4 {
		t.Errorf("%d records, %d artifacts; want one for each of 4", n, sum.Artifacts)
	}
}

func TestNoLock(t *testing.T) {
	rep, sum, err := Run(t.Context(), []File{{"bad", []byte("a: [")}, {"req", []byte("apiVersion: airbundle/v1\nkind: Request\n")}, {"l.yaml", []byte(one + "files:\n" + file("../x", ""))}}, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Code() != 2 || sum.Findings != 3 || len(rep.Findings()) != 3 {
		t.Errorf("exit code %d, %q", rep.Code(), findings(rep))
	}
}

func TestArchOf(t *testing.T) {
	for _, c := range [][3]string{
		{"a/amd64/b-linux-amd64.tgz", "a/{arch}/b-linux-{arch}.tgz", "x86_64"}, {"aarch64", "{arch}", "aarch64"},
		{"x86_64/amd64", "{arch}/{arch}", "x86_64"}, {"x86_64/arm64", "x86_64/arm64", ""}, {"camd64/x64y", "camd64/x64y", ""},
		{"A/X86-64_f", "A/{arch}_f", "x86_64"}, {"plain", "plain", ""},
	} {
		if pattern, arch := archOf(c[0]); pattern != c[1] || arch != c[2] {
			t.Errorf("archOf(%s) = %s, %q", c[0], pattern, arch)
		}
	}
}

func TestEL7Path(t *testing.T) {
	for path, want := range map[string]bool{
		"centos-base/7/os/x86_64": true, "el7/x86_64": true, "docker-el7": true, "rhel-7-server/x": true, "centos7": true, "centos/7.9.2009/os": true, "7Server": true,
		"el77": false, "8/os": false, "k8s-1.7/x": false, "rhel-7x": true, "elastic-7.x/a": false, "el9/7zip": false,
	} {
		if got := el7Path.MatchString(path); got != want {
			t.Errorf("%s: %t, want %t", path, got, want)
		}
	}
}

// TestModulesAdvice: modules are no finding, nor something unchecked, but the way to serve
// them is told; groups need none.
func TestModulesAdvice(t *testing.T) {
	slice := func(kind, repo string) string {
		return "  - {repo: " + repo + ", type: " + kind + ", urls: [\"file:x." + kind + "\"], size: 3, digest: \"" + dig("d") + "\"}\n"
	}
	rep, sum := run1(t, one+"rpms:\n"+pkg("s", "1-1", "x86_64", "os/x86_64", dig("a"))+"metadata:\n"+slice("modules", "os/x86_64")+slice("comps", "os/x86_64"), Options{})
	const want = "l.yaml: os/x86_64 has modules, which a yum repository of Nexus does not list: push with --rpm-layout raw, or offer it with seeder serve"
	if diff := cmp.Diff([]string{want}, rep.Notes); diff != "" || rep.Code() != 0 || len(sum.Unchecked) != 0 {
		t.Errorf("exit code %d, unchecked %q, %+v, notes -want +got\n%s", rep.Code(), sum.Unchecked, rep.Findings(), diff)
	}
}
