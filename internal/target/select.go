package target

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"airbundle/manifest"
)

// namePattern is a repository name of the OCI distribution specification 1.1.
var namePattern = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// A Selection narrows a bundle. The zero value selects everything.
type Selection struct {
	Only   []string // kinds, groups or names; an artifact that any of them names is selected
	Arches []string // x86_64, aarch64
}

// An Item is one selected artifact and where it goes.
type Item struct {
	manifest.Artifact
	Refs      []Ref               // of an image
	Platforms []manifest.Platform // of an image: those that are selected
	Partial   bool                // an image of which not all carried platforms are selected
	Place     Place               // of an RPM, a file or a chart
}

// Items returns the selected artifacts with their places, in the table's order. An
// arch that the bundle does not have, or a word of Only that names nothing, is an error.
func (m Map) Items(t *manifest.Table, s Selection) ([]Item, error) {
	for _, a := range s.Arches {
		if !slices.Contains(t.Arches, a) {
			return nil, fmt.Errorf("arch %q: the bundle has %s", a, strings.Join(t.Arches, ", "))
		}
	}
	used := make([]bool, len(s.Only))
	var items []Item
	for _, a := range t.Artifacts() {
		named := len(s.Only) == 0
		for i, word := range s.Only {
			if names(word, a) {
				named, used[i] = true, true
			}
		}
		if !named {
			continue
		}
		if it, ok := m.item(t, a, s.Arches); ok {
			items = append(items, it)
		}
	}
	for i, word := range s.Only {
		if !used[i] {
			return nil, fmt.Errorf("--only %q: no kind (image, rpm, file, chart), group or artifact of the bundle has this name", word)
		}
	}
	return items, nil
}

// names says whether a word of Only means the artifact: its kind, one of its groups,
// or its name, whole or the part before the tag or in front of the path.
func names(word string, a manifest.Artifact) bool {
	kind := strings.TrimSuffix(word, "s")
	return kind == string(a.Kind) || slices.Contains(a.Groups, word) || word == a.Name ||
		strings.HasPrefix(a.Name, strings.TrimSuffix(word, "/")+"/") || strings.HasPrefix(a.Name, word+":") ||
		strings.HasSuffix(a.Name, "/"+word)
}

func (m Map) item(t *manifest.Table, a manifest.Artifact, arches []string) (Item, bool) {
	wanted := func(arch string) bool { return len(arches) == 0 || arch == "" || slices.Contains(arches, arch) }
	it := Item{Artifact: a}
	switch a.Kind {
	case manifest.KindImage:
		img := t.Images[a.Index]
		it.Refs = m.Refs(img)
		for _, p := range img.Platforms {
			if wanted(manifest.ArchOf(p.Platform)) {
				it.Platforms = append(it.Platforms, p)
			}
		}
		it.Partial = len(it.Platforms) < len(img.Platforms)
		return it, len(it.Platforms) > 0
	case manifest.KindRPM:
		it.Place = m.RPM(t.RPMs[a.Index])
	case manifest.KindFile:
		it.Place = m.File(t.Files[a.Index])
	case manifest.KindChart:
		it.Place = m.Chart(t.Charts[a.Index])
	}
	return it, wanted(a.Arch)
}
