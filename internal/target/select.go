package target

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"airbundle/manifest"
)

// A Selection narrows a bundle. The zero value selects everything.
type Selection struct {
	Only   []string // kinds, groups or names; an artifact that any of them names is selected
	Arches []string // x86_64, aarch64
}

// An Item is one selected artifact and where it goes. An image that goes to several docker
// repositories is one for each.
type Item struct {
	manifest.Artifact                     // of an image that is split by arch, the digest is that of its platform
	Refs              []Ref               // of an image
	Platforms         []manifest.Platform // of an image: those that are selected
	Partial           bool                // an image of which not all carried platforms are selected
	Place             Place               // of an image without a path: its docker repository at a Nexus
	Raw               bool                // an RPM in a raw repository: a push puts our repodata beside it
	Made              []byte              // content that is of no blob of the bundle: a key, a .repo file
}

// At returns the name of an image at the target, below its repository at a Nexus.
func (it Item) At(r Ref) string { return path.Join(it.Place.Repository, r.String()) }

// Items returns the selected artifacts with their places, in the table's order. Metadata has
// no place of its own and is not among them: whoever serves its RPMs may serve it. An
// arch that the bundle does not have, a word of Only that names nothing, or a rule that leaves
// nothing of a name is an error.
func (m Map) Items(t *manifest.Table, s Selection) ([]Item, error) {
	for _, a := range s.Arches {
		if !slices.Contains(t.Arches, a) {
			return nil, fmt.Errorf("arch %q: the bundle has %s", a, strings.Join(t.Arches, ", "))
		}
	}
	used := make([]bool, len(s.Only))
	var items []Item
	var errs []error
	for a := range t.EachArtifact() {
		if a.Kind == manifest.KindMetadata {
			continue
		}
		named := len(s.Only) == 0
		for i, word := range s.Only {
			if names(word, a) {
				named, used[i] = true, true
			}
		}
		if !named {
			continue
		}
		for _, it := range m.items(t, a, s.Arches) {
			errs = append(errs, misplaced(it))
			items = append(items, it)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, word := range s.Only {
		if !used[i] {
			return nil, fmt.Errorf("--only %q: no kind (image, rpm, file, chart), group or artifact of the bundle has this name", word)
		}
	}
	return items, nil
}

// Artifacts counts the artifacts of the bundle among items.
func Artifacts(items []Item) int {
	seen := map[string]bool{}
	for _, it := range items {
		if it.Made == nil {
			seen[string(it.Kind)+" "+it.Name] = true
		}
	}
	return len(seen)
}

// names says whether a word of Only means the artifact: its kind, one of its groups,
// or its name: whole, its beginning (with or without the registry of an image), or the
// last part of its path.
func names(word string, a manifest.Artifact) bool {
	if strings.TrimSuffix(word, "s") == string(a.Kind) || slices.Contains(a.Groups, word) || strings.HasSuffix(a.Name, "/"+word) {
		return true
	}
	if begins(a.Name, word) {
		return true
	}
	_, path, hasHost := strings.Cut(a.Name, "/")
	return a.Kind == manifest.KindImage && hasHost && begins(path, word)
}

// begins says whether word is name, or its beginning up to a slash, a tag or a digest.
func begins(name, word string) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(word, "/"))
	return ok && (rest == "" || strings.ContainsRune("/:@", rune(rest[0])))
}

// items returns an artifact as what it is at the target; nil when its arch is not wanted.
func (m Map) items(t *manifest.Table, a manifest.Artifact, arches []string) []Item {
	wanted := func(arch string) bool { return len(arches) == 0 || arch == "" || slices.Contains(arches, arch) }
	it := Item{Artifact: a}
	switch a.Kind {
	case manifest.KindImage:
		img := t.Images[a.Index]
		for _, p := range img.Platforms {
			if wanted(manifest.ArchOf(p.Platform)) {
				it.Platforms = append(it.Platforms, p)
			}
		}
		if it.Partial = len(it.Platforms) < len(img.Platforms); len(it.Platforms) == 0 {
			return nil
		}
		return m.images(it, img)
	case manifest.KindRPM:
		it.Place, it.Raw = m.RPM(t.RPMs[a.Index])
	case manifest.KindFile:
		it.Place = m.File(t.Files[a.Index])
	case manifest.KindChart:
		it.Place = m.Chart(t.Charts[a.Index])
	}
	if !wanted(a.Arch) {
		return nil
	}
	return []Item{it}
}

// An RPMDir is a directory of packages, which share one repodata.
type RPMDir struct {
	Place        // an empty path is the repository itself
	Repo  string // the repository path that these packages have in the bundle
	Raw   bool   // the repodata is ours to make
}

// Dir returns the directory of a place in a repository, "" for the repository itself.
func (p Place) Dir() Place { return Place{p.Repository, dirOf(p.Path)} }

func dirOf(name string) string {
	dir, _ := path.Split(name)
	return strings.TrimSuffix(dir, "/")
}

// RPMDirs returns the directories of the packages among the items, sorted.
func RPMDirs(items []Item) []RPMDir {
	var dirs []RPMDir
	for _, it := range items {
		if it.Kind == manifest.KindRPM {
			dirs = append(dirs, RPMDir{it.Place.Dir(), dirOf(it.Name), it.Raw})
		}
	}
	slices.SortFunc(dirs, func(a, b RPMDir) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Repo, b.Repo))
	})
	return slices.Compact(dirs)
}
