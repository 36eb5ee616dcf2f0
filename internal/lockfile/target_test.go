package lockfile

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"airbundle/internal/fuzztest"
)

const targetHead = "apiVersion: airbundle/v1\nkind: Target\nname: site\n"

// TestDecodeTarget has every field, and a path that is there, empty or not said.
func TestDecodeTarget(t *testing.T) {
	got, err := DecodeTarget("t", []byte(targetHead+`note: ours
repositories:
  - {kind: rpm, prefix: centos-base, repository: centos-base, path: ""}
  - {kind: rpm, prefix: kylin, repository: kylin-raw, path: a/b, layout: raw, note: deep}
  - {kind: rpm, repository: files, layout: raw}
  - {kind: file, prefix: k8s, repository: files}
  - {kind: image, prefix: calico/cni, repository: images, path: cni}
  - {kind: image, repository: images}
  - {kind: chart, prefix: prometheus, repository: charts}
groups:
  - {name: proxy, format: raw, members: [files, elsewhere], note: read here}
  - {name: docker-group, format: docker, members: [images]}
httpPorts: {images: 8083, docker-group: 8082, images-amd64: 8084}
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Target{
		Name: "site", Note: "ours",
		Repositories: []TargetRule{
			{Kind: "rpm", Prefix: "centos-base", Repository: "centos-base", Path: new("")},
			{Kind: "rpm", Prefix: "kylin", Repository: "kylin-raw", Path: new("a/b"), Layout: "raw", Note: "deep"},
			{Kind: "rpm", Repository: "files", Layout: "raw"},
			{Kind: "file", Prefix: "k8s", Repository: "files"},
			{Kind: "image", Prefix: "calico/cni", Repository: "images", Path: new("cni")},
			{Kind: "image", Repository: "images"},
			{Kind: "chart", Prefix: "prometheus", Repository: "charts"},
		},
		Groups: []TargetGroup{
			{Name: "proxy", Format: "raw", Members: []string{"files", "elsewhere"}, Note: "read here"},
			{Name: "docker-group", Format: "docker", Members: []string{"images"}},
		},
		HTTPPorts: map[string]int64{"images": 8083, "docker-group": 8082, "images-amd64": 8084},
	}
	lines := cmp.Options{cmpopts.IgnoreFields(TargetRule{}, "Line"), cmpopts.IgnoreFields(TargetGroup{}, "Line")}
	if diff := cmp.Diff(want, got, lines); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got.Repositories[0].Line != 6 {
		t.Errorf("the first rule is at line %d", got.Repositories[0].Line)
	}
}

func TestDecodeTargetRefusesOtherFiles(t *testing.T) {
	for name, c := range map[string]struct{ data, want string }{
		"another kind":    {"apiVersion: airbundle/v1\nkind: Lock\nname: a\n", `f:2: kind is "Lock", want Target`},
		"another version": {"apiVersion: airbundle/v2\nkind: Target\nname: a\n", `f:1: apiVersion is "airbundle/v2", want airbundle/v1`},
		"no rule":         {targetHead, "f:1: repositories is missing or empty"},
		"an unknown field": {targetHead + "repositories: [{kind: chart, repository: c}]\nport: 1\n",
			`f:5: unknown field "port", known here: name, repositories, groups, httpPorts, note`},
	} {
		_, err := DecodeTarget("f", []byte(c.data))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got  %v\nwant %s", name, err, c.want)
			continue
		}
		if code := err.(interface{ ExitCode() int }).ExitCode(); code != 2 {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
}

// FuzzDecodeTarget looks for input that panics, and for rules that name no place.
func FuzzDecodeTarget(f *testing.F) {
	seeds(f)
	f.Add([]byte(targetHead + "repositories:\n  - {kind: rpm, prefix: a/b, repository: c, path: \"\", layout: raw}\nhttpPorts: {c: 1}\n"))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		m, err := DecodeTarget("fuzz", data)
		if err != nil {
			_ = err.Error()
			return
		}
		for _, r := range m.Repositories {
			if r.Repository == "" || r.Kind == "" {
				t.Fatalf("a rule without a place: %+v", r)
			}
		}
	})
}
