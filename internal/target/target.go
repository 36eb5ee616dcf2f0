// Package target decides where each artifact of a bundle goes: under which names an
// image is published, in which repository and at which path an RPM, a file or a
// chart is stored. Push, audit and serve share it, so that all three mean the same
// place. It knows names only; it talks to no server.
package target

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/manifest"
)

// A Naming is the policy that turns an image's full reference into the repository
// name at the target. The zero value is "keep".
type Naming struct {
	policy, arg string
}

// The naming policies.
const (
	policyKeep    = "keep"
	policyPrefix  = "prefix"
	policyFlatten = "flatten"
)

// ParseNaming reads keep, prefix:P or flatten:NS.
func ParseNaming(s string) (Naming, error) {
	policy, arg, _ := strings.Cut(s, ":")
	ok := policy == policyKeep && arg == "" && !strings.Contains(s, ":") ||
		(policy == policyPrefix || policy == policyFlatten) && manifest.CheckRepository(arg) == nil
	if !ok {
		return Naming{}, fmt.Errorf("naming policy %q is none of keep, prefix:NAME, flatten:NAME with a NAME in lower case, such as flatten:library", s)
	}
	return Naming{policy, arg}, nil
}

// String returns what ParseNaming reads.
func (n Naming) String() string {
	if n.arg == "" {
		return cmp.Or(n.policy, policyKeep)
	}
	return n.policy + ":" + n.arg
}

// Repository returns the repository name for an image repository with its registry
// host (quay.io/coreos/flannel): keep drops the host, prefix keeps it below a name,
// flatten keeps the last part only. A port's colon becomes a dash.
func (n Naming) Repository(repository string) string {
	host, path, ok := strings.Cut(repository, "/")
	if !ok {
		host, path = "", repository
	}
	switch n.policy {
	case policyPrefix:
		return strings.TrimSuffix(n.arg+"/"+strings.ReplaceAll(host, ":", "-"), "/") + "/" + path
	case policyFlatten:
		return n.arg + "/" + path[strings.LastIndexByte(path, '/')+1:]
	}
	return path
}

// A Ref is one name of an image at the target. Tag is empty where the image is
// published by digest only.
type Ref struct {
	Repository, Tag string
}

// String returns repository:tag.
func (r Ref) String() string {
	if r.Tag == "" {
		return r.Repository
	}
	return r.Repository + ":" + r.Tag
}

// A Place is where an RPM, a file or a chart is stored, or in which repository of a Nexus
// an image; a plain registry has no repositories of that kind.
type Place struct {
	Repository, Path string
}

// A Map says which repositories of a target take which kind of artifact: those of the rules,
// else the one of the kind.
type Map struct {
	Docker, Yum, Raw, Helm string
	RawRPMs                bool // packages go to Raw, with repodata of our own: Item.Raw
	Naming                 Naming
	Rules                  []Rule
	SplitArch              bool           // a docker repository for each arch, with the platforms' manifests in place of indexes
	Groups                 []Group        // over the repositories, for who makes them
	HTTPPorts              map[string]int // of the connectors of docker repositories and groups, for who makes them
}

// Default is the map that holds where no flag says otherwise.
func Default() Map {
	return Map{Docker: "docker-hosted", Yum: "yum-hosted", Raw: "raw-hosted", Helm: "helm-hosted"}
}

// Refs returns the names of an image, before rules: those the lock publishes, else the one
// that the naming policy gives.
func (m Map) Refs(img manifest.Image) []Ref {
	var refs []Ref
	for _, p := range img.Publish {
		repository, tag := manifest.SplitReference(p)
		refs = append(refs, Ref{repository, tag})
	}
	if len(refs) > 0 {
		return refs
	}
	repository, tag := manifest.SplitReference(img.Name)
	return []Ref{{m.Naming.Repository(repository), tag}}
}

// RPM returns the place of a package, and whether that is in a raw repository.
func (m Map) RPM(r manifest.RPM) (at Place, raw bool) {
	otherwise := m.Yum
	if m.RawRPMs {
		otherwise = m.Raw
	}
	at, rule := m.place(manifest.KindRPM, r.Repo, otherwise)
	at.Path = path.Join(at.Path, r.File())
	return at, rule.Layout == LayoutRaw || rule.Layout == "" && m.RawRPMs
}

// File returns the place of a file.
func (m Map) File(f manifest.File) Place { return m.FileAt(f.Path) }

// FileAt returns the place of what has a path as files have it.
func (m Map) FileAt(name string) Place {
	at, _ := m.place(manifest.KindFile, name, m.Raw)
	return at
}

// Chart returns the place of a chart.
func (m Map) Chart(c manifest.Chart) Place {
	at, _ := m.place(manifest.KindChart, c.Name, m.Helm)
	return Place{at.Repository, c.File()}
}

// A Collision is one name at the target that several contents claim.
type Collision struct {
	Name    string
	Sources []string // artifact names with their digests
}

// Error implements error.
func (c *Collision) Error() string {
	return fmt.Sprintf("%s is claimed by %s: %s", c.Name, strings.Join(c.Sources, " and "), c.Advice())
}

// Advice says what to do, for reports.
func (c *Collision) Advice() string {
	return "publish them under different names or use another naming policy"
}

// ExitCode says that the content is at fault: the lock names two things alike.
func (c *Collision) ExitCode() int { return contentCode }

// contentCode is the exit code of wrong content, as in package report.
const contentCode = 4

// Collisions finds names at the target that different contents of the items claim, and
// directories in which the packages of two repository paths meet, for their metadata would
// be one. They are sorted by name.
func Collisions(items []Item) []*Collision {
	claims := map[string]map[digest.Digest]string{}
	claim := func(name, source string, d digest.Digest) {
		if claims[name] == nil {
			claims[name] = map[digest.Digest]string{}
		}
		claims[name][d] = source + " (" + string(d) + ")"
	}
	for _, it := range items {
		for _, r := range it.Refs {
			if r.Tag != "" {
				claim("image name "+it.At(r), it.Name, it.Digest)
			}
		}
		if it.Kind != manifest.KindImage {
			claim(it.Place.Repository+"/"+it.Place.Path, it.Name, it.Digest)
		}
	}
	out := append(repodataCollisions(items), mergedDirs(items)...)
	for name, by := range claims {
		if len(by) < 2 {
			continue
		}
		c := &Collision{Name: name}
		for _, s := range by {
			c.Sources = append(c.Sources, s)
		}
		slices.Sort(c.Sources)
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *Collision) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func mergedDirs(items []Item) (out []*Collision) {
	dirs := RPMDirs(items)
	for len(dirs) > 0 {
		n := 1
		for n < len(dirs) && dirs[n].Place == dirs[0].Place {
			n++
		}
		if n > 1 {
			c := &Collision{Name: path.Join(dirs[0].Repository, dirs[0].Path)}
			for _, d := range dirs[:n] {
				c.Sources = append(c.Sources, "the RPMs of "+d.Repo)
			}
			out = append(out, c)
		}
		dirs = dirs[n:]
	}
	return out
}
