package repodata

import (
	"bytes"
	"io"
	"strings"

	"airbundle/internal/rpm/catalog"
)

const maxComps = 32 << 20 // a distribution's has 1 MB

// ParseComps reads the groups of a repository (comps.xml), packed in any of the ways of
// ParsePrimary. Like libcomps it takes a package without a type for a mandatory one, leaves
// out those of a type that there is not, and takes for a name the one that has no
// language. The error is a *MalformedError that names the line, or that of r.
func ParseComps(r io.Reader) (*catalog.Comps, error) {
	c := &comps{}
	err := readWhole("comps", r, maxComps, func(text []byte) error {
		c.text, c.s = text, newScanner(bytes.NewReader(text))
		return c.read()
	})
	if err != nil {
		return nil, err
	}
	return &c.out, nil
}

type comps struct {
	text []byte // the whole document
	s    *scanner
	out  catalog.Comps
}

func (c *comps) read() error {
	s := c.s
	if !s.root("comps") {
		return s.err
	}
	for s.child() {
		at := s.tagAt
		switch string(s.name) {
		case "group":
			g := c.group()
			g.Raw = c.since(at)
			if c.out.Groups = append(c.out.Groups, g); g.ID == "" {
				s.fail("a group without an id")
			}
		case "environment":
			e := c.environment()
			e.Raw = c.since(at)
			if c.out.Environments = append(c.out.Environments, e); e.ID == "" {
				s.fail("an environment without an id")
			}
		default:
			s.skip()
		}
	}
	return s.finish()
}

// since returns the document from an offset to where the scanner is.
func (c *comps) since(at int64) []byte {
	return c.text[at : c.s.base+int64(c.s.pos)]
}

func (c *comps) group() (g catalog.Group) {
	for s := c.s; s.child(); {
		switch string(s.name) {
		case "id":
			g.ID = s.string()
		case "name":
			c.name(&g.Name)
		case "packagelist":
			for s.child() {
				if string(s.name) == "packagereq" {
					c.pkg(&g)
				} else {
					s.skip()
				}
			}
		default:
			s.skip()
		}
	}
	return g
}

// name reads a name, unless it is one in some language.
func (c *comps) name(to *string) {
	if len(c.s.attr("xml:lang")) > 0 {
		c.s.skip()
		return
	}
	*to = c.s.string()
}

// groupTypes are the types of packages in a group.
var groupTypes = map[string]catalog.GroupType{
	"": catalog.Mandatory, "mandatory": catalog.Mandatory, "default": catalog.Default,
	"optional": catalog.Optional, "conditional": catalog.Conditional,
}

// pkg reads one package of a group.
func (c *comps) pkg(g *catalog.Group) {
	s := c.s
	kind, known := groupTypes[string(s.attr("type"))]
	p := catalog.GroupPackage{
		Type: kind, Requires: string(s.attr("requires")),
		Arches: strings.FieldsFunc(string(s.attr("arch")), func(r rune) bool { return r == ',' || r == ' ' }),
	}
	if p.Name = s.string(); known && p.Name != "" {
		g.Packages = append(g.Packages, p)
	}
}

func (c *comps) environment() (e catalog.Environment) {
	for s := c.s; s.child(); {
		switch string(s.name) {
		case "id":
			e.ID = s.string()
		case "name":
			c.name(&e.Name)
		case "grouplist":
			c.groupIDs(func(id string, _ bool) { e.Groups = append(e.Groups, id) })
		case "optionlist":
			c.groupIDs(func(id string, taken bool) {
				if e.Options = append(e.Options, id); taken {
					e.Defaults = append(e.Defaults, id)
				}
			})
		default:
			s.skip()
		}
	}
	return e
}

// groupIDs reads a list of groups.
func (c *comps) groupIDs(add func(id string, taken bool)) {
	for s := c.s; s.child(); {
		if string(s.name) != "groupid" {
			s.skip()
			continue
		}
		taken := string(s.attr("default")) == "true"
		if id := s.string(); id != "" {
			add(id, taken)
		}
	}
}
