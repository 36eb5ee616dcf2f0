package repodata

import (
	"bytes"
	"io"
	"strings"

	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/xmlscan"
)

const maxComps = 32 << 20 // a distribution's has 1 MB

// ParseComps reads the groups of a repository (comps.xml), packed in any of the ways of
// ParsePrimary. Like libcomps it takes a package without a type for a mandatory one, leaves
// out those of a type that there is not, and takes for a name the one that has no
// language. The error is a *MalformedError that names the line, or that of r.
func ParseComps(r io.Reader) (*catalog.Comps, error) {
	c := &comps{}
	err := readWhole("comps", r, maxComps, func(text []byte) error {
		c.text, c.s = text, xmlscan.New(bytes.NewReader(text))
		return c.read()
	})
	if err != nil {
		return nil, err
	}
	return &c.out, nil
}

type comps struct {
	text []byte // the whole document
	s    *xmlscan.Scanner
	out  catalog.Comps
}

func (c *comps) read() error {
	s := c.s
	if !s.Root("comps") {
		return s.Err()
	}
	for s.Child() {
		at := s.TagOffset()
		switch string(s.Name()) {
		case "group":
			g := c.group()
			g.Raw = c.since(at)
			if c.out.Groups = append(c.out.Groups, g); g.ID == "" {
				s.Fail("a group without an id")
			}
		case "environment":
			e := c.environment()
			e.Raw = c.since(at)
			if c.out.Environments = append(c.out.Environments, e); e.ID == "" {
				s.Fail("an environment without an id")
			}
		default:
			s.Skip()
		}
	}
	return s.Finish()
}

// since returns the document from an offset to where the scanner is.
func (c *comps) since(at int64) []byte {
	return c.text[at:c.s.Offset()]
}

func (c *comps) group() (g catalog.Group) {
	for s := c.s; s.Child(); {
		switch string(s.Name()) {
		case "id":
			g.ID = string(s.Trimmed())
		case "name":
			c.name(&g.Name)
		case "packagelist":
			for s.Child() {
				if string(s.Name()) == "packagereq" {
					c.pkg(&g)
				} else {
					s.Skip()
				}
			}
		default:
			s.Skip()
		}
	}
	return g
}

// name reads a name, unless it is one in some language.
func (c *comps) name(to *string) {
	if len(c.s.Attr("xml:lang")) > 0 {
		c.s.Skip()
		return
	}
	*to = string(c.s.Trimmed())
}

// groupTypes are the types of packages in a group.
var groupTypes = map[string]catalog.GroupType{
	"": catalog.Mandatory, "mandatory": catalog.Mandatory, "default": catalog.Default,
	"optional": catalog.Optional, "conditional": catalog.Conditional,
}

// pkg reads one package of a group.
func (c *comps) pkg(g *catalog.Group) {
	s := c.s
	kind, known := groupTypes[string(s.Attr("type"))]
	p := catalog.GroupPackage{
		Type: kind, Requires: string(s.Attr("requires")),
		Arches: strings.FieldsFunc(string(s.Attr("arch")), func(r rune) bool { return r == ',' || r == ' ' }),
	}
	if p.Name = string(s.Trimmed()); known && p.Name != "" {
		g.Packages = append(g.Packages, p)
	}
}

func (c *comps) environment() (e catalog.Environment) {
	for s := c.s; s.Child(); {
		switch string(s.Name()) {
		case "id":
			e.ID = string(s.Trimmed())
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
			s.Skip()
		}
	}
	return e
}

// groupIDs reads a list of groups.
func (c *comps) groupIDs(add func(id string, taken bool)) {
	for s := c.s; s.Child(); {
		if string(s.Name()) != "groupid" {
			s.Skip()
			continue
		}
		taken := string(s.Attr("default")) == "true"
		if id := string(s.Trimmed()); id != "" {
			add(id, taken)
		}
	}
}
