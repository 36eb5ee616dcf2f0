package lockfile

import (
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// A checker judges what decoded values mean and finds the lines to name. A
// field is given by the pointer to it; without at and bad, for values that were
// not read from a file, it works the same without lines.
type checker struct {
	*problems
	at    map[any]int
	bad   map[any]bool
	line  int    // of the entry being checked
	label string // of the entry being checked
}

// enter begins an entry. It reports false when the entry could not be decoded
// and there is nothing to check.
func (c *checker) enter(entry any, line Line, kind, name string) bool {
	c.line, c.label = int(line), kind
	if name != "" {
		c.label += " " + show(name)
	}
	return !c.bad[entry]
}

// errorf reports a problem of a field, unless the field could not be decoded:
// then that was reported and anything more would be noise.
func (c *checker) errorf(field any, format string, args ...any) {
	if c.bad[field] {
		return
	}
	line, ok := c.at[field]
	if !ok {
		line = c.line
	}
	msg := fmt.Sprintf(format, args...)
	if c.label != "" {
		msg = c.label + ": " + msg
	}
	c.addTo(c.label, line, msg)
}

// want checks text that must be there.
func (c *checker) want(field *string, name string, check func(string) error) bool {
	return c.wantAt(field, name, *field, check)
}

func (c *checker) wantAt(field any, name, value string, check func(string) error) bool {
	if value == "" {
		c.errorf(field, "%s is missing", name)
		return false
	}
	if err := check(value); err != nil {
		c.errorf(field, "%s %v", name, err)
		return false
	}
	return !c.bad[field]
}

// may checks text that can be left out.
func (c *checker) may(field *string, name string, check func(string) error) {
	if *field != "" {
		c.want(field, name, check)
	}
}

// each checks the items of a list and that none is there twice.
func (c *checker) each(list *[]string, name string, check func(string) error) {
	seen := map[string]bool{}
	for i := range *list {
		item := &(*list)[i]
		if c.want(item, "an entry of "+name, check) && seen[*item] {
			c.errorf(item, "an entry of %s: %q is there twice", name, show(*item))
		}
		seen[*item] = true
	}
}

// some is each for a list that must not be empty.
func (c *checker) some(list *[]string, name string, check func(string) error) {
	if len(*list) == 0 {
		c.errorf(list, "%s is missing or empty", name)
	}
	c.each(list, name, check)
}

func (c *checker) notes(groups *[]string, note *string) {
	if groups != nil {
		c.each(groups, "groups", checkName)
	}
	c.may(note, "note", checkNote)
}

// header checks what requests and locks begin with.
func (c *checker) header(name *string, arches *[]string) {
	c.enter(nil, 1, "", "")
	c.want(name, "name", checkName)
	c.some(arches, "arches", checkArch)
}

// archOf checks that an arch is one of the file's.
func (c *checker) archOf(field *string, name string, arches *[]string) {
	if c.want(field, name, checkArch) {
		c.among(field, name, *field, arches, "arches")
	}
}

// among checks that a value is one of a list of the file; a list that could not
// be decoded has no say.
func (c *checker) among(field any, name, value string, list *[]string, listName string) {
	if c.bad[list] {
		return
	}
	for i := range *list {
		if (*list)[i] == value || c.bad[&(*list)[i]] {
			return
		}
	}
	c.errorf(field, "%s %q is not one of the %s of this file: %s", name, show(value), listName, show(strings.Join(*list, ", ")))
}

// publishes checks the names of an image at the target; taken are those of the
// images before it.
func (c *checker) publishes(names *[]string, taken claims, d digest.Digest) {
	c.each(names, "publish", checkPublish)
	own := map[string]bool{}
	for i, name := range *names {
		if !own[name] {
			c.claim(taken, &(*names)[i], "published name", name, d)
		}
		own[name] = true
	}
}

// absences checks what is said to be absent, and gives the line of each by its
// absentKey.
func (c *checker) absences(list []Absent, arches *[]string) map[string]int {
	out := map[string]int{}
	taken := claims{}
	for i := range list {
		a := &list[i]
		kind, name := absentName(*a)
		if !c.enter(a, a.Line, "absent", name) {
			continue
		}
		if kind == "" {
			c.errorf(a, "want exactly one of source, path and name")
		}
		c.may(&a.Source, "source", checkSource)
		c.may(&a.Path, "path", checkPath)
		c.may(&a.Name, "name", checkRPMName)
		c.archOf(&a.Arch, "arch", arches)
		c.want(&a.Why, "why", checkWhy)
		if kind != "" && a.Arch != "" {
			key := absentKey(kind, name, a.Arch)
			c.claim(taken, &a.Arch, "absent", key, "")
			out[key] = c.line
		}
	}
	return out
}

// accepted checks the findings that are known and wanted.
func (c *checker) accepted(list []Accept) {
	taken := claims{}
	for i := range list {
		a := &list[i]
		if !c.enter(a, a.Line, "accept", a.Finding) {
			continue
		}
		c.want(&a.Finding, "finding", checkOneLine)
		c.want(&a.Artifact, "artifact", checkOneLine)
		c.want(&a.Why, "why", checkWhy)
		c.claim(taken, &a.Finding, "finding", a.Finding+" of "+a.Artifact, "")
	}
}

// absentName gives what an Absent is about and its name, when it is about one
// thing.
func absentName(a Absent) (kind, name string) {
	switch {
	case a.Source != "" && a.Path == "" && a.Name == "":
		return "source", a.Source
	case a.Source == "" && a.Path != "" && a.Name == "":
		return "path", a.Path
	case a.Source == "" && a.Path == "" && a.Name != "":
		return "name", a.Name
	default:
		return "", ""
	}
}

func absentKey(kind, name, arch string) string {
	if kind == "source" {
		name = sourceKey(name)
	}
	return kind + " " + name + " " + arch
}

// A claim is who has a name first.
type claim struct {
	line   int
	digest digest.Digest
}

func (f claim) where() string {
	if f.line == 0 {
		return "before"
	}
	return fmt.Sprintf("at line %d", f.line)
}

// claims are names of one kind that only one entry may have.
type claims map[string]claim

// claim takes a name for the current entry. The digest, where there is one,
// tells a mere duplicate from a contradiction.
func (c *checker) claim(taken claims, field any, name, value string, d digest.Digest) {
	if value == "" || c.bad[field] {
		return
	}
	first, dup := taken[value]
	switch {
	case !dup:
		taken[value] = claim{c.line, d}
	case first.digest != d:
		c.errorf(field, "%s %q is there %s with another digest, %s", name, show(value), first.where(), show(first.digest.String()))
	default:
		c.errorf(field, "%s %q is a duplicate of the one %s", name, show(value), first.where())
	}
}
