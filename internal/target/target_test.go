package target

import (
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

func naming(t *testing.T, s string) Naming {
	t.Helper()
	n, err := ParseNaming(s)
	if err != nil {
		t.Fatal(err)
	}
	if n.String() != s {
		t.Errorf("%q reads back as %q", s, n)
	}
	return n
}

func TestNaming(t *testing.T) {
	for _, c := range []struct{ policy, in, want string }{
		{"keep", "docker.io/library/nginx", "library/nginx"},
		{"keep", "quay.io/coreos/flannel", "coreos/flannel"},
		{"keep", "registry.k8s.io/pause", "pause"},
		{"flatten:library", "quay.io/coreos/flannel", "library/flannel"},
		{"flatten:a/b", "registry.k8s.io/pause", "a/b/pause"},
		{"prefix:mirror", "quay.io/coreos/flannel", "mirror/quay.io/coreos/flannel"},
		{"prefix:mirror", "localhost:5000/a/b", "mirror/localhost-5000/a/b"},
	} {
		if got := naming(t, c.policy).Repository(c.in); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.policy, c.in, got, c.want)
		}
	}
	if got := (Naming{}).Repository("h/a/b"); got != "a/b" || (Naming{}).String() != "keep" {
		t.Errorf("the zero value is not keep: %s", got)
	}
	for _, bad := range []string{"", "keep:x", "keep:", "prefix", "prefix:", "prefix:UP", "flatten:a//b", "other:x", "prefix:../x", "prefix:a:1", "flatten:" + strings.Repeat("a", 256)} {
		if _, err := ParseNaming(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestRefs(t *testing.T) {
	m := Map{Naming: naming(t, "prefix:p")}
	for _, c := range []struct {
		img  manifest.Image
		want []Ref
	}{
		{manifest.Image{Name: "quay.io/a/b:1"}, []Ref{{"p/quay.io/a/b", "1"}}},
		{manifest.Image{Name: "quay.io/a/b:1", Publish: []string{"x:1", "y/x:2"}}, []Ref{{"x", "1"}, {"y/x", "2"}}},
		{manifest.Image{Name: "quay.io/a/b@sha256:00"}, []Ref{{"p/quay.io/a/b", ""}}},
	} {
		if diff := cmp.Diff(c.want, m.Refs(c.img)); diff != "" {
			t.Errorf("%s:\n%s", c.img.Name, diff)
		}
	}
}

func d(s string) digest.Digest { return digest.FromString(s) }

func table() *manifest.Table {
	return &manifest.Table{
		Arches: []string{"aarch64", "x86_64"},
		Images: []manifest.Image{
			{Name: "quay.io/a/b:1", Digest: d("ix"), Groups: []string{"core"}, Platforms: []manifest.Platform{{Platform: "linux/amd64", Digest: d("1")}, {Platform: "linux/arm64", Digest: d("2")}}},
			{Name: "ghcr.io/a/b:1", Digest: d("other"), Platforms: []manifest.Platform{{Platform: "linux/amd64", Digest: d("other")}}},
		},
		RPMs:  []manifest.RPM{{Name: "socat", EVR: "1-1", Arch: "noarch", BaseArch: "aarch64", Repo: "os/aarch64", Digest: d("r")}},
		Files: []manifest.File{{Path: "etcd/x.tgz", Digest: d("f"), Groups: []string{"core"}}, {Path: "k8s/arm", Digest: d("g"), Arch: "aarch64"}},
	}
}

func TestItems(t *testing.T) {
	for _, c := range []struct {
		name string
		sel  Selection
		want []string
	}{
		{"everything", Selection{}, []string{"quay.io/a/b:1", "ghcr.io/a/b:1", "os/aarch64/socat-1-1.noarch.rpm", "etcd/x.tgz", "k8s/arm"}},
		{"a kind", Selection{Only: []string{"images"}}, []string{"quay.io/a/b:1", "ghcr.io/a/b:1"}},
		{"a group", Selection{Only: []string{"core"}}, []string{"quay.io/a/b:1", "etcd/x.tgz"}},
		{"a name", Selection{Only: []string{"ghcr.io/a/b:1"}}, []string{"ghcr.io/a/b:1"}},
		{"a repository", Selection{Only: []string{"ghcr.io/a/b"}}, []string{"ghcr.io/a/b:1"}},
		{"a repository without its registry", Selection{Only: []string{"a/b"}}, []string{"quay.io/a/b:1", "ghcr.io/a/b:1"}},
		{"a namespace", Selection{Only: []string{"a/"}}, []string{"quay.io/a/b:1", "ghcr.io/a/b:1"}},
		{"a directory", Selection{Only: []string{"etcd/"}}, []string{"etcd/x.tgz"}},
		{"a file name", Selection{Only: []string{"socat-1-1.noarch.rpm"}}, []string{"os/aarch64/socat-1-1.noarch.rpm"}},
		{"two words", Selection{Only: []string{"rpm", "k8s"}}, []string{"os/aarch64/socat-1-1.noarch.rpm", "k8s/arm"}},
		{"an arch", Selection{Arches: []string{"x86_64"}}, []string{"quay.io/a/b:1", "ghcr.io/a/b:1", "etcd/x.tgz"}},
		{"the other arch", Selection{Arches: []string{"aarch64"}}, []string{"quay.io/a/b:1", "os/aarch64/socat-1-1.noarch.rpm", "etcd/x.tgz", "k8s/arm"}},
	} {
		items, err := Default().Items(table(), c.sel)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, it := range items {
			got = append(got, it.Name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	for _, bad := range []Selection{{Only: []string{"nothing"}}, {Only: []string{"rpm", "nothing"}}, {Only: []string{"etc"}}, {Arches: []string{"s390x"}}} {
		if _, err := Default().Items(table(), bad); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
}

func TestItemsKnowPlatformsAndPlaces(t *testing.T) {
	items, err := Default().Items(table(), Selection{Arches: []string{"aarch64"}})
	if err != nil {
		t.Fatal(err)
	}
	if img := items[0]; !img.Partial || len(img.Platforms) != 1 || img.Platforms[0].Platform != "linux/arm64" {
		t.Errorf("image: %+v", img)
	}
	if got, want := items[1].Place, (Place{"yum-hosted", "os/aarch64/socat-1-1.noarch.rpm"}); got != want {
		t.Errorf("RPM goes to %v, want %v", got, want)
	}
	if got, want := items[2].Place, (Place{"raw-hosted", "etcd/x.tgz"}); got != want {
		t.Errorf("file goes to %v, want %v", got, want)
	}
}

func TestCollisions(t *testing.T) {
	m := Default()
	all := func() []Item {
		items, err := m.Items(table(), Selection{})
		if err != nil {
			t.Fatal(err)
		}
		return items
	}
	got := Collisions(all())
	if len(got) != 1 || got[0].Name != "image name docker-hosted/a/b:1" || len(got[0].Sources) != 2 {
		t.Errorf("keep: %v", got)
	}
	if got[0].ExitCode() != 4 {
		t.Errorf("exit code %d", got[0].ExitCode())
	}
	const want = "image name docker-hosted/a/b:1 is claimed by ghcr.io/a/b:1 ("
	if msg := got[0].Error(); !strings.HasPrefix(msg, want) || !strings.Contains(msg, " and quay.io/a/b:1 (") {
		t.Errorf("got %s", msg)
	}
	m.Naming = naming(t, "prefix:p")
	if got := Collisions(all()); len(got) != 0 {
		t.Errorf("prefix: %v", got)
	}
	same := all()
	same[1].Digest = same[0].Digest
	same[1].Refs = same[0].Refs
	if got := Collisions(same); len(got) != 0 {
		t.Errorf("one content under one name twice is no collision: %v", got)
	}
}

// Places collide only within one repository, and kinds only where they share one.
func TestCollisionsOfPlaces(t *testing.T) {
	file := func(repository, path, content string) Item {
		return Item{Artifact: manifest.Artifact{Kind: manifest.KindFile, Name: path, Digest: d(content)}, Place: Place{repository, path}}
	}
	chart := file("raw", "a-1.tgz", "chart")
	chart.Kind = manifest.KindChart
	untagged := Item{Artifact: manifest.Artifact{Kind: manifest.KindImage, Name: "a@x", Digest: d("x")}, Refs: []Ref{{"a", ""}}}
	other := untagged
	other.Digest = d("y")
	for _, c := range []struct {
		name  string
		items []Item
		want  []string
	}{
		{"nothing", nil, nil},
		{"two repositories", []Item{file("raw", "a", "1"), file("yum", "a", "2")}, nil},
		{"one content", []Item{file("raw", "a", "1"), file("raw", "a", "1")}, nil},
		{"two contents", []Item{file("raw", "b", "1"), file("raw", "b", "2"), file("raw", "a", "1"), file("raw", "a", "2")}, []string{"raw/a", "raw/b"}},
		{"a file and a chart", []Item{file("raw", "a-1.tgz", "file"), chart}, []string{"raw/a-1.tgz"}},
		{"images without a tag", []Item{untagged, other}, nil},
		{"5.4: a file and a directory", []Item{file("raw", "a", "1"), file("raw", "a/b/c", "2"), file("raw", "a/d", "2")}, []string{"raw/a"}},
		{"5.4: deeper", []Item{file("raw", "a/b/c/d", "1"), file("raw", "a/b", "2")}, []string{"raw/a/b"}},
		{"5.4: two repositories", []Item{file("raw", "a", "1"), file("yum", "a/b", "2")}, nil},
		{"5.4: names that begin alike", []Item{file("raw", "a", "1"), file("raw", "ab/c", "2"), file("raw", "b/a", "3")}, nil},
	} {
		var got []string
		for _, one := range append(Collisions(c.items), Nested(c.items)...) {
			got = append(got, one.Name)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// Contract 0.1/11: the names that a repository has where nobody gives it another are taken by
// every version, in every format.
func TestDefaultNames(t *testing.T) {
	m := Default()
	for _, name := range []string{m.Docker, m.Yum, m.Raw, m.Helm} {
		if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(name) {
			t.Errorf("%q", name)
		}
	}
}
