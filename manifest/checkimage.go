package manifest

import (
	"slices"
	"strings"
)

// What a table says of images, and of what is absent.

func (c *checker) image(m Image) {
	what := label("image", m.Name)
	c.imageName(what, m)
	c.carried(what, m.Digest)
	if m.Original == m.Digest {
		c.addf("%s: its original is itself", what)
	}
	if m.Original != "" {
		c.carried(what+" (original index)", m.Original)
	}
	if len(m.Platforms) == 0 {
		c.addf("%s: no platform", what)
	}
	for i, p := range m.Platforms {
		if c.arches != nil && !slices.Contains(c.arches, ArchOf(p.Platform)) {
			c.addf("%s: platform %q is of none of the bundle's arches, which are %s", what, p.Platform, c.known)
		}
		if i > 0 && m.Platforms[i-1].Platform >= p.Platform {
			c.addf("%s: platform %q is out of order or stands twice", what, p.Platform)
		}
		c.carried(what+label("", p.Platform), p.Digest)
	}
	for _, p := range m.Publish {
		if err := CheckPublish(p); err != nil {
			c.addf("%s: publish name %q %w", what, p, err)
		}
	}
	c.member(what, m.Groups)
}

// imageName checks the name of an image: a reference in full, or, of an image from disk, the
// first of its names at the target. A digest in it is that of the source.
func (c *checker) imageName(what string, m Image) {
	if m.fromDisk() {
		return // checked with the others
	}
	full, err := ImageName(m.Name)
	switch _, pinned, _ := strings.Cut(full, "@"); {
	case err != nil:
		c.addf("%s: its name %w", what, err)
	case full != m.Name:
		c.addf("%s: its name is not written out as %s", what, full)
	case pinned != "" && pinned != string(m.Digest) && pinned != string(m.Original):
		c.addf("%s: its name pins a digest that is neither that of the image nor that of its original", what)
	}
}

// everyArch checks that each image has each arch of the bundle, or is said to lack it, and not
// both. An absence in short form may be that of a file or package, and contradicts nothing.
func (c *checker) everyArch() {
	said := c.said()
	for _, m := range c.t.Images {
		for _, arch := range c.arches {
			has := slices.ContainsFunc(m.Platforms, func(p Platform) bool { return ArchOf(p.Platform) == arch })
			switch absent := said[lack{m.Name, arch}]; {
			case has && absent == saidInFull:
				c.addf("%s: it has %s, and is said to be absent for it", label("image", m.Name), arch)
			case !has && absent == notSaid:
				c.addf("%s: it has no platform of %s, and nothing says that it is absent", label("image", m.Name), arch)
			}
		}
	}
}

// A lack is that of an arch by the image of a name.
type lack struct{ name, arch string }

// How an absence is said of an image: not at all, by a name that stands for its own, by its own.
const (
	notSaid = iota
	saidInShort
	saidInFull
)

// said returns how each image is said to lack an arch.
func (c *checker) said() map[lack]int {
	said := map[lack]int{} // only what may be asked for: absences may be many
	for _, m := range c.t.Images {
		for _, arch := range c.arches {
			said[lack{m.Name, arch}] = notSaid
		}
	}
	note := func(l lack, how int) {
		if was, ok := said[l]; ok {
			said[l] = max(was, how)
		}
	}
	for _, a := range c.t.Absent {
		note(lack{a.Name, a.Arch}, saidInFull)
		if full, err := ImageName(a.Name); err == nil {
			note(lack{full, a.Arch}, saidInShort)
		}
	}
	return said
}

// absent checks what is said to be absent: the name of an image, the path of a file, or the
// name of an RPM or chart, which is a path, too. Where an image lay on a disk is not said.
func (c *checker) absent(a Absent) {
	what := label("absent", a.Name)
	_, _, local := LocalSource(a.Name)
	_, noName := ImageName(a.Name)
	if err := CheckPath(a.Name); err != nil && noName != nil {
		c.addf("%s: it is no name of an image, and no path: it %w", what, err)
	} else if local {
		c.addf("%s: it is a place on a disk", what)
	}
	if c.text(what, a.Why); a.Why == "" {
		c.addf("%s: it has no reason", what)
	}
	c.arch(what, a.Arch)
}
