package lock

import (
	"context"

	"airbundle/internal/lockfile"
	"airbundle/internal/rpm/depsolve"
)

// ResolveBy is Resolve with another solver.
func ResolveBy(ctx context.Context, req *lockfile.Request, src Sources, o Options, solve func(context.Context, depsolve.Request) (*depsolve.Solution, error)) (*Result, error) {
	r := &resolver{req: req, src: src, o: o, solve: solve}
	return r.run(ctx)
}
