package seeder

import (
	"context"

	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// A cargo is what of a bundle goes to a target, and what goes with it: public keys and .repo
// files, which depend on the target too.
type cargo struct {
	selection *selection
	remote    *remote
	table     *manifest.Table
	places    target.Map
	items     []target.Item // of the bundle
	sign      *yumconf.Key  // of who signs the metadata that we make; nil: nobody
	depths    map[string]int
	notes     []string
}

// cargo is what the flags select for a target.
func (o *selection) cargo(t *manifest.Table, r *remote) (*cargo, error) {
	places, items, note, err := o.items(t, r.registry != "")
	if err != nil {
		return nil, err
	}
	return &cargo{selection: o, remote: r, table: t, places: places, items: items, notes: notes(note)}, nil
}

// complete returns items with what goes with them.
func (g *cargo) complete(items []target.Item) ([]target.Item, error) {
	return g.selection.withYumConf(g.table, g.places, g.remote, items, g.sign, g.depths)
}

// at returns the cargo for a target that was asked what it is. Without a raw repository keys
// and .repo files stay behind, unless missing repositories are made.
func (g *cargo) at(ctx context.Context, c *connection, create bool) (items []target.Item, err error) {
	if g.depths, err = c.depths(ctx, g.items); err != nil {
		return nil, err
	}
	if items, err = g.complete(g.items); err != nil || create {
		return items, err
	}
	items, note, err := c.homes(ctx, items)
	g.notes = append(g.notes, notes(note)...)
	return items, err
}

// whole returns the cargo as if nothing were selected but all of the bundle.
func (g *cargo) whole() ([]target.Item, error) {
	all := *g.selection
	all.only, all.arches = nil, nil
	_, items, _, err := all.items(g.table, g.remote.registry != "")
	if err != nil {
		return nil, err
	}
	return g.complete(items)
}
