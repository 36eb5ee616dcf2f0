package lock

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/distribution/reference"

	"airbundle/internal/helm"
	"airbundle/internal/lockfile"
)

var errNoCharts = errors.New("nothing was given that resolves charts")

// lockCharts pins all charts, in the request's order.
func (r *resolver) lockCharts(ctx context.Context, lock *lockfile.Lock) {
	wishes := r.req.Charts
	locked := make([]lockfile.Chart, len(wishes))
	name := func(i int) string { return "chart " + wishes[i].Name + " " + wishes[i].Version }
	failed := r.each(ctx, len(wishes), name, func(i int) (err error) {
		if r.src.Charts == nil {
			return errNoCharts
		}
		locked[i], err = r.src.Charts.Resolve(ctx, wishes[i])
		return err
	})
	for i, err := range failed {
		if err != nil {
			r.fail(int(wishes[i].Line), name(i), err)
			continue
		}
		lock.Charts = append(lock.Charts, locked[i])
	}
}

// ChartImages looks into charts.
type ChartImages interface {
	// Images lists the images that a locked chart names.
	Images(ctx context.Context, c lockfile.Chart) (helm.Images, error)
}

// A ChartReport is what one chart names.
type ChartReport struct {
	Name, Version string
	Images        []ChartImage
	Findings      []string // what could not be looked at
}

// A ChartImage is an image that a chart names.
type ChartImage struct {
	helm.ImageRef
	Listed bool // the request lists it
}

// ChartsOnly is the request without all wishes but its charts.
func ChartsOnly(req *lockfile.Request) *lockfile.Request {
	return &lockfile.Request{Name: req.Name, Arches: req.Arches, Charts: req.Charts}
}

// ShowCharts lists the images that the charts of a lock name, in its order, and which of
// them its request lists. Charts that cannot be read are joined into the error, beside
// the reports of the others.
func ShowCharts(ctx context.Context, req *lockfile.Request, l *lockfile.Lock, source ChartImages) ([]ChartReport, error) {
	listed := map[string]bool{}
	for _, w := range req.Images {
		listed[listedName(w.Source)] = true
	}
	var reports []ChartReport
	var errs []error
	for _, c := range l.Charts {
		found, err := source.Images(ctx, c)
		if cause := context.Cause(ctx); cause != nil {
			return nil, fmt.Errorf("lock stopped: %w", cause)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("images of chart %s %s: %w", c.Name, c.Version, err))
			continue
		}
		r := ChartReport{Name: c.Name, Version: c.Version, Findings: found.Findings}
		for _, ref := range found.Refs {
			r.Images = append(r.Images, ChartImage{ref, listed[listedName(ref.Reference)]})
		}
		reports = append(reports, r)
	}
	return reports, errors.Join(errs...)
}

// listedName is by what an image of a chart and one of the request are the same: by the
// tag, where there is one, because a digest beside it pins what the lock pins as well.
func listedName(source string) string {
	named, err := reference.ParseNormalizedNamed(source)
	if err != nil {
		return source // from disk: what it is called is not what a chart calls it
	}
	named = reference.TagNameOnly(named)
	if _, tagged := named.(reference.Tagged); tagged {
		name, _, _ := strings.Cut(named.String(), "@")
		return name
	}
	return named.String()
}
