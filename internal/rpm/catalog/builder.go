package catalog

import "hash/maphash"

// A Builder makes a catalog, package by package.
type Builder struct {
	c     Catalog
	ids   index // of texts: their IDs + 1
	deps  index // of dependencies: their DepIDs + 1
	seed  maphash.Seed
	mix   uint64 // odd, and nobody's guess: lists are made by others
	arena []byte // what is left of the chunk that texts are cut from
	evr   []byte // the last one
}

// chunk is how many bytes of text are set aside at once.
const chunk = 1 << 20

// NewBuilder returns a builder of an empty catalog.
func NewBuilder() *Builder {
	b := &Builder{seed: maphash.MakeSeed()}
	b.mix = maphash.String(b.seed, "mix") | 1
	b.Text(nil) // is 0
	return b
}

// Text names a text; the bytes may change afterwards.
func (b *Builder) Text(text []byte) ID {
	hash := uint32(maphash.Bytes(b.seed, text))
	if n := b.ids.find(hash, func(n uint32) bool { return b.c.texts[n-1] == string(text) }); n != 0 {
		return ID(n - 1)
	}
	b.c.texts = append(b.c.texts, b.Keep(text))
	b.ids.add(hash, uint32(len(b.c.texts)))
	return ID(len(b.c.texts) - 1)
}

// Keep copies a text without giving it a name, for what is different in every package.
func (b *Builder) Keep(text []byte) string {
	if len(text) > len(b.arena) {
		if len(text) > chunk/8 {
			return string(text)
		}
		b.arena = make([]byte, chunk)
	}
	n := copy(b.arena, text)
	s := bytesString(b.arena[:n:n])
	b.arena = b.arena[n:]
	return s
}

// Dep names a dependency.
func (b *Builder) Dep(d Dependency) DepID {
	hash := uint32((uint64(d.Name)<<35 | uint64(d.EVR)<<3 | uint64(d.Flags)) * b.mix >> 32)
	if n := b.deps.find(hash, func(n uint32) bool { return b.c.Deps[n-1] == d }); n != 0 {
		return DepID(n - 1)
	}
	b.c.Deps = append(b.c.Deps, d)
	b.deps.add(hash, uint32(len(b.c.Deps)))
	return DepID(len(b.c.Deps) - 1)
}

// List adds a list of dependencies.
func (b *Builder) List(deps []DepID) Span {
	start := uint32(len(b.c.Lists))
	b.c.Lists = append(b.c.Lists, deps...)
	return Span{start, uint32(len(b.c.Lists))}
}

// FileList adds a list of absolute paths.
func (b *Builder) FileList(files []File) Span {
	start := uint32(len(b.c.Files))
	b.c.Files = append(b.c.Files, files...)
	return Span{start, uint32(len(b.c.Files))}
}

// File cuts a path behind its last slash.
func (b *Builder) File(path []byte) File {
	at := len(path)
	for at > 0 && path[at-1] != '/' {
		at--
	}
	return File{b.Text(path[:at]), b.Text(path[at:])}
}

// Add adds a package.
func (b *Builder) Add(p Package) { b.c.Packages = append(b.c.Packages, p) }

// Len is the number of packages added so far.
func (b *Builder) Len() int { return len(b.c.Packages) }

// Catalog ends the building.
func (b *Builder) Catalog() *Catalog {
	c := b.c
	*b = Builder{}
	return &c
}

// Texts returns how many different texts there are so far.
func (b *Builder) Texts() int { return len(b.c.texts) }

// EVR names what EVR makes of its parts.
func (b *Builder) EVR(epoch, version, release []byte) ID {
	b.evr = appendEVR(b.evr[:0], epoch, version, release)
	return b.Text(b.evr)
}

// EVR puts together what metadata has as three attributes, in the one form that
// catalogs have: no epoch when it is 0, no dash without a release.
func EVR(epoch, version, release string) string {
	return string(appendEVR(nil, epoch, version, release))
}

func appendEVR[T string | []byte](to []byte, epoch, version, release T) []byte {
	if len(epoch) > 0 && string(epoch) != "0" {
		to = append(append(to, epoch...), ':')
	}
	to = append(to, version...)
	if len(release) > 0 {
		to = append(append(to, '-'), release...)
	}
	return to
}
