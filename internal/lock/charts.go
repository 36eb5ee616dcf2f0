package lock

import (
	"context"
	"errors"

	"airbundle/internal/lockfile"
)

// Charts pins charts.
type Charts interface {
	// Resolve returns the URLs of a chart's archive, with its size and sha256.
	Resolve(ctx context.Context, w lockfile.ChartWish) (lockfile.Chart, error)
}

var errNoCharts = errors.New("nothing was given that resolves charts")

// lockCharts pins all charts, in the request's order.
func (r *resolver) lockCharts(ctx context.Context, lock *lockfile.Lock) {
	wishes := r.req.Charts
	locked := make([]lockfile.Chart, len(wishes))
	name := func(i int) string { return "chart " + wishes[i].Name + " " + wishes[i].Version }
	failed := r.each(ctx, len(wishes), name, func(i int) (err error) {
		if r.o.Charts == nil {
			return errNoCharts
		}
		locked[i], err = r.o.Charts.Resolve(ctx, wishes[i])
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
