package target

import (
	"path"

	"airbundle/manifest"
)

// Nested finds files whose path another one has for a directory. A Nexus takes both, and
// no directory of a disk can hold both, so that whoever mirrors the repository fails.
func Nested(items []Item) (out []*Collision) {
	files := map[Place]string{}
	for _, it := range items {
		if it.Kind != manifest.KindImage {
			files[it.Place] = it.Name
		}
	}
	told := map[Place]bool{}
	for _, it := range items {
		if it.Kind == manifest.KindImage {
			continue
		}
		for dir := path.Dir(it.Place.Path); dir != "." && dir != "/"; dir = path.Dir(dir) {
			at := Place{it.Place.Repository, dir}
			if file, ok := files[at]; ok && !told[at] {
				told[at] = true
				out = append(out, &Collision{Name: at.Repository + "/" + at.Path, Sources: []string{file + ", as a file,", it.Name + ", as a directory"}})
			}
		}
	}
	return out
}
