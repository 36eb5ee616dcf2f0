package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"airbundle/internal/lockfile"
)

// archWord finds what software calls our arches in the names of files.
var archWord = regexp.MustCompile(`(?i)(^|[^A-Za-z0-9])(x86_64|x86-64|amd64|x64|aarch64|arm64)($|[^A-Za-z0-9])`)

// archOf gives a path with {arch} for each word that names an arch, and the arch;
// empty when it names none or several.
func archOf(path string) (pattern, arch string) {
	several := false
	pattern = path
	for range 16 { // words that share a separator are found one after the other
		next := archWord.ReplaceAllStringFunc(pattern, func(s string) string {
			m := archWord.FindStringSubmatch(s)
			of := "x86_64"
			if w := strings.ToLower(m[2]); w == "aarch64" || w == "arm64" {
				of = "aarch64"
			}
			several = several || arch != "" && arch != of
			arch = of
			return m[1] + "{arch}" + m[3]
		})
		if next == pattern {
			break
		}
		pattern = next
	}
	if several {
		return path, ""
	}
	return pattern, arch
}

func (c *linter) absent(kind, name, arch string) bool {
	return slices.ContainsFunc(c.l.Absent, func(a lockfile.Absent) bool {
		return a.Arch == arch && (kind == "path" && a.Path == name || kind == "name" && a.Name == name)
	})
}

// files looks for files that are there for one arch only: by the word in their path, or
// by their arch:.
func (c *linter) files() {
	have := map[string]bool{}
	for _, f := range c.l.Files {
		pattern, arch := archOf(f.Path)
		have[pattern+" "+arch] = true
	}
	gone := map[string]bool{} // patterns of what is said to be absent
	for _, a := range c.l.Absent {
		pattern, _ := archOf(a.Path)
		gone[pattern+" "+a.Arch] = a.Path != ""
	}
	for _, f := range c.l.Files {
		pattern, arch := archOf(f.Path)
		of := arch
		if of == "" {
			of = f.Arch
		}
		if of == "" {
			continue // for every arch
		}
		if arch != "" && f.Arch != "" && f.Arch != arch {
			c.find(BadEntry, "file", f.Path, f.Line, fmt.Sprintf("its path says %s, its arch: %s", arch, f.Arch), "correct one of them")
		}
		for _, other := range c.l.Arches {
			if other != of && !have[pattern+" "+other] && !gone[pattern+" "+other] {
				c.find(ArchGap, "file", f.Path, f.Line, fmt.Sprintf("it is for %s, and nothing is there for %s", of, other),
					fmt.Sprintf("add the file for %s, or say absent: [{path: %s, arch: %s, why: …}]", other, f.Path, other))
			}
		}
	}
}

// A set is the packages of one repository path, without the arch in it.
type set struct {
	stem  string
	line  lockfile.Line
	names map[string]map[string]bool // by basearch
}

// sets groups the packages, in the order of the file.
func (c *linter) sets() []*set {
	var out []*set
	by := map[string]*set{}
	for _, p := range c.l.RPMs {
		stem, _ := archOf(p.Repo)
		stem = strings.Trim(strings.ReplaceAll(strings.ReplaceAll(stem, "{arch}", ""), "//", "/"), "/")
		s := by[stem]
		if s == nil {
			s = &set{stem, p.Line, map[string]map[string]bool{}}
			by[stem] = s
			out = append(out, s)
		}
		if s.names[p.BaseArch] == nil {
			s.names[p.BaseArch] = map[string]bool{}
		}
		s.names[p.BaseArch][p.Name] = true
	}
	return out
}

// archSets looks for package sets that one arch has and another has not. The other
// may have the packages in a set of another name, as CentOS 7 keeps aarch64 in
// altarch. Where both have the set, packages that only one of them has are told in a
// note: their dependencies do differ.
func (c *linter) archSets() {
	all := map[string]map[string]bool{} // names by basearch, of all sets
	for _, p := range c.l.RPMs {
		if all[p.BaseArch] == nil {
			all[p.BaseArch] = map[string]bool{}
		}
		all[p.BaseArch][p.Name] = true
	}
	for _, s := range c.sets() {
		for _, arch := range c.l.Arches {
			var lack []string
			for of, names := range s.names {
				for name := range names {
					if of != arch && !all[arch][name] && !c.absent("name", name, arch) {
						lack = append(lack, name)
					}
				}
			}
			slices.Sort(lack)
			lack = slices.Compact(lack)
			switch {
			case len(lack) == 0:
			case s.names[arch] != nil:
				c.notes = append(c.notes, fmt.Sprintf("rpm set %s: not for %s: %s; name the request to know whether they are wanted", s.stem, arch, some(lack)))
			default:
				c.find(ArchGap, "rpm", s.stem, s.line, fmt.Sprintf("the set has no packages for %s: %s", arch, some(lack)),
					fmt.Sprintf("lock the set for %s, or say absent: [{name: %s, arch: %s, why: …}] for each, or accept this", arch, lack[0], arch))
			}
		}
	}
}

// some names the first few of a list.
func some(names []string) string {
	const few = 5
	if len(names) <= few {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:few], ", "), len(names)-few)
}
