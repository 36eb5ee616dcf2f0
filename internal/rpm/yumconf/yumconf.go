// Package yumconf makes what the yum clients of a bundle are configured with: a .repo file
// for each set of RPMs, and the public keys that it names. Both are files of the target,
// below keys/ and repos/, where its map puts files of these paths. The package knows texts
// and places; it stores nothing. The settings are those of yum.conf(5) and dnf.conf(5).
package yumconf

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"airbundle/internal/target"
	"airbundle/manifest"
)

// A Key is a public key.
type Key struct {
	ID    string // hexadecimal, safe in paths and .repo files
	Armor string
	At    target.Place
}

// Options say what the texts cannot take from the table. The zero value is ready to use.
type Options struct {
	Of      string // the bundle's name, for titles; empty: they name the place alone, for several bundles meet there
	Comment string // first line of each .repo file
	SignKey *Key   // of the metadata that we make; nil: it is not signed. At is not read
	OwnAll  bool   // we make the metadata of all packages, whatever the map says
	// Depths are how many directories below the root yum repositories have their repodata, by
	// name. One that is not here has it where the packages lie.
	Depths map[string]int
	Login  bool // reading may need a login: say where it goes
}

// A Config is everything that the yum clients of one bundle need.
type Config struct {
	Keys  []Key
	Repos []*Repo
}

// A Repo is one .repo file: the sets of all arches that differ in nothing but the arch at
// the end of their path, which yum and dnf write as $basearch.
type Repo struct {
	ID       string // section and name of the file, which ends in .repo
	Title    string
	At       target.Place // of the file
	Example  string       // name of a package
	o        *Options
	base     target.Place
	variable bool // $basearch follows
	dirs     []target.Place
	keys     []Key
	unsigned []string // packages that gpgcheck will refuse
	own      bool     // we make the metadata
	hotfixes bool     // a yum repository of a Nexus shows no modules: without this, modular packages cannot be seen
}

// New returns the configuration for all RPMs of a table; nothing when it has none.
func New(t *manifest.Table, m target.Map, o Options) *Config {
	c := &Config{}
	if len(t.RPMs) == 0 {
		return c
	}
	for _, k := range t.Keys {
		c.Keys = append(c.Keys, Key{k.ID, k.Armor, m.FileAt(keyPath(k.ID))})
	}
	modular := map[string]bool{}
	for _, s := range t.Metadata {
		modular[s.Repo] = modular[s.Repo] || s.Type == manifest.MetadataModules
	}
	b := &builder{c: c, o: &o, m: m, ids: map[string]bool{}, repos: map[repoKey]*Repo{}}
	for _, r := range t.RPMs { // sorted by repository path
		f := b.repo(r)
		f.keep(r, c.Keys)
		f.hotfixes = f.hotfixes || modular[r.Repo] && !f.own
	}
	if o.SignKey != nil && slices.ContainsFunc(c.Repos, func(f *Repo) bool { return f.own }) {
		signer := Key{o.SignKey.ID, o.SignKey.Armor, m.FileAt(keyPath(o.SignKey.ID))}
		c.Keys = append([]Key{signer}, slices.DeleteFunc(c.Keys, func(k Key) bool { return k.ID == signer.ID })...)
		for _, f := range c.Repos {
			if f.own {
				f.keys = append([]Key{signer}, slices.DeleteFunc(f.keys, func(k Key) bool { return k.ID == signer.ID })...)
			}
		}
	}
	return c
}

func keyPath(id string) string { return "keys/RPM-GPG-KEY-" + id }

// A repoKey is what the sets of one .repo file have in common.
type repoKey struct {
	base, repo string // without the arch: place at the target, repository path in the bundle
	own        bool
}

type builder struct {
	c     *Config
	o     *Options
	m     target.Map
	ids   map[string]bool
	repos map[repoKey]*Repo
}

// repo returns the file that a package's set belongs to.
func (b *builder) repo(r manifest.RPM) *Repo {
	at, raw := b.m.RPM(r)
	dir, own := at.Dir(), raw || b.o.OwnAll
	list := dir.Path
	if depth, known := b.o.Depths[dir.Repository]; known && !own {
		parts := strings.Split(dir.Path, "/")
		list = strings.Join(parts[:min(depth, len(parts))], "/")
	}
	base, variable := withoutArch(list, r.BaseArch)
	repo, _ := withoutArch(r.Repo, r.BaseArch)
	key := repoKey{dir.Repository + "/" + base, repo, own}
	f := b.repos[key]
	if f == nil {
		f = &Repo{ID: b.id(cmp.Or(repo, dir.Repository)), Title: cmp.Or(repo, dir.Repository), Example: r.Name, o: b.o, own: own, base: target.Place{Repository: dir.Repository, Path: base}, variable: variable}
		if b.o.Of != "" {
			f.Title += " of " + b.o.Of
		}
		f.At = b.m.FileAt("repos/" + f.ID + ".repo")
		b.repos[key] = f
		b.c.Repos = append(b.c.Repos, f)
	}
	if !slices.Contains(f.dirs, dir) {
		f.dirs = append(f.dirs, dir)
	}
	return f
}

// withoutArch takes the arch from the end of a path.
func withoutArch(dir, arch string) (base string, found bool) {
	rest, found := strings.CutSuffix("/"+dir, "/"+arch)
	return strings.TrimPrefix(rest, "/"), found
}

// id makes a section name that dnf takes out of a path, different from all others.
func (b *builder) id(name string) string {
	plain := strings.Map(func(c rune) rune {
		if c < 0x80 && (c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("._-", c)) {
			return c
		}
		return '-'
	}, name)
	id := plain
	for n := 2; b.ids[id]; n++ {
		id = fmt.Sprintf("%s-%d", plain, n)
	}
	b.ids[id] = true
	return id
}

// keep notes which keys a package needs. A signer is the id or the fingerprint of a key, so
// one may be the end of the other.
func (f *Repo) keep(r manifest.RPM, keys []Key) {
	if r.Signer == "" {
		f.unsigned = append(f.unsigned, r.NEVRA())
		return
	}
	signer := strings.ToLower(r.Signer)
	for _, k := range keys {
		id := strings.ToLower(k.ID)
		known := slices.ContainsFunc(f.keys, func(have Key) bool { return have.ID == k.ID })
		if (strings.HasSuffix(id, signer) || strings.HasSuffix(signer, id)) && !known {
			f.keys = append(f.keys, k)
		}
	}
}

// Text is the file for clients that reach the target at a URL without a slash at the end.
func (f *Repo) Text(base string) string {
	var b strings.Builder
	if f.o.Comment != "" {
		fmt.Fprintf(&b, "# %s\n", f.o.Comment)
	}
	for _, p := range f.unsigned {
		fmt.Fprintf(&b, "# not signed, needs gpgcheck=0: %s\n", p)
	}
	end := "/"
	if f.variable {
		end = "/$basearch/"
	}
	at := strings.TrimSuffix(f.base.Repository+"/"+f.base.Path, "/")
	check := 0
	if f.own && f.o.SignKey != nil {
		check = 1
	}
	fmt.Fprintf(&b, "[%s]\nname=%s\nbaseurl=%s%s%s\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=%d\n", f.ID, f.Title, base, EscapePath("/repository/"+at), end, check)
	if f.hotfixes {
		b.WriteString("module_hotfixes=1\n")
	}
	for i, k := range f.keys {
		start := "gpgkey="
		if i > 0 {
			start = "       "
		}
		fmt.Fprintf(&b, "%s%s%s\n", start, base, EscapePath("/repository/"+k.At.Repository+"/"+k.At.Path))
	}
	if f.o.Login {
		b.WriteString("# where reading needs a login, add: username=… and password=…\n")
	}
	return b.String()
}

// EscapePath escapes each segment, and the dollar sign too, which yum would expand.
func EscapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = strings.ReplaceAll(url.PathEscape(parts[i]), "$", "%24")
	}
	return strings.Join(parts, "/")
}
