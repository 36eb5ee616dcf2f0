package catalog

// A Builder makes a catalog, package by package.
type Builder struct {
	c     Catalog
	ids   map[string]ID
	deps  map[Dependency]DepID
	arena []byte // what is left of the chunk that texts are cut from
	evr   []byte // the last one
}

// chunk is how many bytes of text are set aside at once.
const chunk = 1 << 20

// NewBuilder returns a builder of an empty catalog.
func NewBuilder() *Builder {
	return &Builder{c: Catalog{texts: []string{""}}, ids: map[string]ID{"": 0}, deps: map[Dependency]DepID{}}
}

// Text names a text; the bytes may change afterwards.
func (b *Builder) Text(text []byte) ID {
	if id, ok := b.ids[string(text)]; ok { // allocates nothing
		return id
	}
	id, s := ID(len(b.c.texts)), b.Keep(text)
	b.c.texts = append(b.c.texts, s)
	b.ids[s] = id
	return id
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
	if id, ok := b.deps[d]; ok {
		return id
	}
	id := DepID(len(b.c.Deps))
	b.c.Deps = append(b.c.Deps, d)
	b.deps[d] = id
	return id
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
