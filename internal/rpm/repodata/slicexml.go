package repodata

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"airbundle/internal/rpm/catalog"
)

// maxUpdateinfo bounds an updateinfo.xml, opened: ten times the largest of distributions.
const maxUpdateinfo = 1 << 30

// SliceUpdateinfo returns the updateinfo.xml that belongs to the packages named: the
// advisories that list one of them, each as its repository has it but for the packages
// that are not carried. Documents may be compressed as those of ParsePrimary. It is nil
// when there is no advisory. NEVRAs are name-[epoch:]version-release.arch. The error is a
// *MalformedError that names the line, or that of a reader.
func SliceUpdateinfo(documents []io.Reader, nevras []string) ([]byte, error) {
	carried := fullNEVRAs(nevras)
	var out bytes.Buffer
	seen := map[string]bool{}
	for i, doc := range documents {
		err := readUpdates(doc, func(n *node, raw []byte) {
			if update := sliceUpdate(n, raw, carried); update != nil && !seen[string(update)] {
				seen[string(update)] = true
				out.WriteString("  " + string(update) + "\n")
			}
		})
		if err != nil {
			return nil, fmt.Errorf("document %d of %d: %w", i+1, len(documents), err)
		}
	}
	if out.Len() == 0 {
		return nil, nil
	}
	return []byte(xml.Header + "<updates>\n" + out.String() + "</updates>\n"), nil
}

func readUpdates(r io.Reader, visit func(n *node, raw []byte)) error {
	s := &source{r: r}
	open, err := decompress(bufio.NewReaderSize(&capped{r: s, left: maxPacked, limit: maxPacked}, 64<<10))
	if err == nil {
		err = eachChild(&capped{r: open, left: maxUpdateinfo, limit: maxUpdateinfo}, "updates", "update", visit)
		open.Close()
	}
	return s.outcome("updateinfo", err)
}

// sliceUpdate cuts packages that are not carried out of an advisory, and collections in
// which there is none left. It is nil when no package is left at all.
func sliceUpdate(update *node, raw []byte, carried map[string]bool) []byte {
	var edits []edit
	left := 0
	for _, list := range update.children {
		if list.name != "pkglist" {
			continue
		}
		for _, collection := range list.children {
			cuts, kept := cutChildren(collection, "package", func(p *node) bool { return carried[packageNEVRA(p)] })
			if left += kept; kept == 0 {
				cuts = []edit{{from: collection.start, to: collection.end}}
			}
			edits = append(edits, cuts...)
		}
	}
	if left == 0 {
		return nil
	}
	return edited(raw, update.start, edits)
}

// cutChildren returns the edits that cut children of a name out of a list, and how many of
// them are kept.
func cutChildren(list *node, name string, keep func(*node) bool) (edits []edit, kept int) {
	for _, c := range list.children {
		switch {
		case c.name != name:
		case keep(c):
			kept++
		default:
			edits = append(edits, edit{from: c.start, to: c.end})
		}
	}
	return edits, kept
}

func packageNEVRA(p *node) string {
	epoch := p.attr("epoch")
	if epoch == "" {
		epoch = "0"
	}
	return p.attr("name") + "-" + epoch + ":" + p.attr("version") + "-" + p.attr("release") + "." + p.attr("arch")
}

// SliceComps returns the comps.xml that belongs to packages of these names: the groups that
// list one of them, without the packages that are not carried, and the environments that
// have one of these groups, without the others; each otherwise as its repository has it.
// Where several repositories have a group, its packages are put together. It is nil when
// there is no group.
func SliceComps(c []*catalog.Comps, names []string) []byte {
	var groups, environments elements
	for _, comps := range c {
		for _, g := range comps.Groups {
			groups.add(g.ID, g.Raw)
		}
		for _, e := range comps.Environments {
			environments.add(e.ID, e.Raw)
		}
	}
	carried, have := asSet(names), map[string]bool{}
	var out bytes.Buffer
	for _, id := range groups.ids {
		if raw := restrict(groups.raws[id], "packagereq", carried); raw != nil {
			have[id] = true
			out.WriteString("  " + string(raw) + "\n")
		}
	}
	if len(have) == 0 {
		return nil
	}
	for _, id := range environments.ids {
		if raw := restrict(environments.raws[id], "groupid", have); raw != nil {
			out.WriteString("  " + string(raw) + "\n")
		}
	}
	return []byte(xml.Header + "<comps>\n" + out.String() + "</comps>\n")
}

func asSet(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// elements are elements by their ids, in the order in which these came.
type elements struct {
	ids  []string
	raws map[string][][]byte
}

func (e *elements) add(id string, raw []byte) {
	if e.raws == nil {
		e.raws = map[string][][]byte{}
	}
	if e.raws[id] == nil {
		e.ids = append(e.ids, id)
	}
	e.raws[id] = append(e.raws[id], raw)
}

// restrict makes one element of several of the same id: the first that has items to keep,
// without its others, and with the items to keep of the rest in the lists of their names.
// It is nil when there is nothing to keep. An element that is no XML has nothing.
func restrict(raws [][]byte, item string, keep map[string]bool) []byte {
	var base *node
	var out []byte
	var edits []edit
	have := map[string]bool{} // items by list and text
	for _, raw := range raws {
		n, err := parseElement(raw)
		if err != nil {
			continue
		}
		if base != nil {
			edits = append(edits, additions(base, n, raw, item, keep, have)...)
			continue
		}
		var cuts []edit
		for _, list := range n.children {
			more, kept := cutChildren(list, item, func(c *node) bool { return keep[textOf(c)] })
			if cuts = append(cuts, more...); kept > 0 {
				base, out = n, raw
			}
			for _, c := range list.children {
				have[list.name+" "+textOf(c)] = true
			}
		}
		edits = cuts
	}
	if base == nil {
		return nil
	}
	return edited(out, base.start, edits)
}

// parseElement reads an element that stands alone. It was read before, by a reader that lets
// pass what it does not keep, so it does here, too.
func parseElement(raw []byte) (*node, error) {
	t := newTreeReader(bytes.NewReader(raw))
	t.d.Strict = false
	for {
		token, at, err := t.token()
		if err != nil {
			return nil, err
		}
		if start, ok := token.(xml.StartElement); ok {
			return t.tree(start, at, 0)
		}
	}
}

// additions are the edits that bring the items of another element, which are to be kept and
// not there yet, into the lists of their names in base.
func additions(base, other *node, raw []byte, item string, keep, have map[string]bool) (edits []edit) {
	for _, list := range other.children {
		i := slices.IndexFunc(base.children, func(c *node) bool { return c.name == list.name && c.inner < c.end })
		if i < 0 {
			continue
		}
		at := base.children[i].inner
		for _, c := range list.children {
			key := list.name + " " + textOf(c)
			if c.name == item && keep[textOf(c)] && !have[key] {
				have[key] = true
				edits = append(edits, edit{from: at, to: at, text: append(slices.Clone(raw[c.start:c.end]), '\n')})
			}
		}
	}
	return edits
}

func textOf(n *node) string { return strings.TrimSpace(string(n.text)) }
