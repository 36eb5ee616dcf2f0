package seeder

import (
	"context"
	"errors"

	"airbundle/internal/nexus"
	"airbundle/internal/registry"
	"airbundle/internal/target"
	"airbundle/manifest"
)

// docker finds the way to each docker repository that the items need, with notes for the
// report. All that lead nowhere are told.
func (c *connection) docker(ctx context.Context, via nexus.Via, items []target.Item) (map[string]*registry.Registry, []string, error) {
	found := map[string]*registry.Registry{}
	var notes []string
	var errs []error
	for _, it := range items {
		repo := it.Place.Repository
		if _, known := found[repo]; known || it.Kind != manifest.KindImage {
			continue
		}
		r, note, err := c.nexus.DockerVia(ctx, repo, via)
		found[repo] = r
		errs = append(errs, err)
		if note != "" {
			notes = append(notes, note)
		}
	}
	return found, notes, errors.Join(errs...)
}
