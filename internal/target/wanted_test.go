package target

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// Contract 8.
func TestWanted(t *testing.T) {
	rpm := func(repository, path string) Item {
		return Item{Artifact: manifest.Artifact{Kind: manifest.KindRPM, Name: path, Digest: d(path)}, Place: Place{repository, path}}
	}
	image := func(tags ...string) Item {
		it := Item{Artifact: manifest.Artifact{Kind: manifest.KindImage}, Place: Place{Repository: "images"}}
		for _, tag := range tags {
			it.Refs = append(it.Refs, Ref{"a", tag})
		}
		return it
	}
	file := rpm("files", "a/b")
	file.Kind = manifest.KindFile
	chart := rpm("files", "c-1.tgz")
	chart.Kind = manifest.KindChart
	items := []Item{rpm("rpms", "os/x86_64/b.rpm"), image("1", "2"), rpm("rpms", "a.rpm"), rpm("rpms", "os/x86_64/c.rpm"), image(""), file, chart}
	size := func(digest.Digest) int64 { return 10 }
	raw := func(items []Item) []Item {
		items = slices.Clone(items)
		for i := range items {
			items[i].Raw = items[i].Kind == manifest.KindRPM
		}
		return items
	}
	for _, c := range []struct {
		name  string
		items []Item
		want  []Wanted
	}{
		{"yum", items, []Wanted{
			{Repository: "files", Format: "helm", Items: 1, Components: 1, Bytes: 10},
			{Repository: "files", Format: "raw", Items: 1, Components: 1, Bytes: 10},
			{Repository: "images", Format: "docker", Items: 2, Components: 2},
			{Repository: "rpms", Format: "yum", Items: 3, Components: 3, Bytes: 30, Depths: []int{0, 2}},
		}},
		{"raw RPMs", raw(items), []Wanted{
			{Repository: "files", Format: "helm", Items: 1, Components: 1, Bytes: 10},
			{Repository: "files", Format: "raw", Items: 1, Components: 1, Bytes: 10},
			{Repository: "images", Format: "docker", Items: 2, Components: 2},
			{Repository: "rpms", Format: "raw", Items: 3, Components: 3, Bytes: 30, Depths: []int{0, 2}},
		}},
	} {
		if diff := cmp.Diff(c.want, Repositories(c.items, size)); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	if got := Repositories(nil, size); len(got) != 0 {
		t.Errorf("nothing wants %v", got)
	}
}
