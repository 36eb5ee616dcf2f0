package target

import (
	"cmp"
	"slices"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// The formats of repositories, in the words of a Nexus.
const (
	FormatDocker = "docker"
	FormatYum    = "yum"
	FormatRaw    = "raw"
	FormatHelm   = "helm"
)

// A Wanted is a repository that items need, and what is to go there.
type Wanted struct {
	Repository string
	Format     string // docker, yum, raw or helm
	Items      int
	Components int   // as a Nexus counts them: each tag of an image, each RPM, file and chart
	Bytes      int64 // of the RPMs, files and charts; images share blobs and are not counted
	Depths     []int // how many directories the RPMs lie below the root, each once, sorted
}

// Repositories returns the repositories that the items need, sorted by name and format. One that
// items of two formats name is there twice: no server can have both. Size returns the
// size of a blob.
func Repositories(items []Item, size func(digest.Digest) int64) []Wanted {
	byName := map[[2]string]*Wanted{}
	for _, it := range items {
		key := [2]string{it.Place.Repository, it.format()}
		w := byName[key]
		if w == nil {
			w = &Wanted{Repository: key[0], Format: key[1]}
			byName[key] = w
		}
		w.add(it, size)
	}
	var all []Wanted
	for _, w := range byName {
		slices.Sort(w.Depths)
		w.Depths = slices.Compact(w.Depths)
		all = append(all, *w)
	}
	slices.SortFunc(all, func(a, b Wanted) int {
		return cmp.Or(cmp.Compare(a.Repository, b.Repository), cmp.Compare(a.Format, b.Format))
	})
	return all
}

// format returns the format of the repository that the item is for.
func (it Item) format() string {
	switch {
	case it.Kind == manifest.KindImage:
		return FormatDocker
	case it.Kind == manifest.KindChart:
		return FormatHelm
	case it.Kind == manifest.KindRPM && !it.Raw:
		return FormatYum
	}
	return FormatRaw
}

func (w *Wanted) add(it Item, size func(digest.Digest) int64) {
	w.Items++
	if it.Kind == manifest.KindImage {
		for _, r := range it.Refs {
			if r.Tag != "" {
				w.Components++
			}
		}
		return
	}
	w.Components++
	if it.Made != nil {
		w.Bytes += int64(len(it.Made))
		return
	}
	w.Bytes += size(it.Digest)
	if it.Kind == manifest.KindRPM {
		w.Depths = append(w.Depths, it.Place.Depth())
	}
}
