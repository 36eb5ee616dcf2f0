package nexus

import (
	"context"
	"net/http"

	"airbundle/internal/httpx"
)

const maxSettings = 1 << 20

// RepodataDepth returns how many directories below the root a hosted yum repository has its
// repodata; known is false where the server does not tell: its settings may not be read by
// the account, or it is older than 3.28. The error is a refused login, or that of ctx:
// any other answer leaves the depth unknown.
func (n *Nexus) RepodataDepth(ctx context.Context, repo string) (depth int, known bool, err error) {
	var settings struct {
		Yum *struct {
			Depth int `json:"repodataDepth"`
		} `json:"yum"`
	}
	err = n.getJSON(ctx, n.rest(nil, "v1", "repositories", "yum", "hosted", repo), maxSettings, &settings)
	switch {
	case ctx.Err() != nil, httpx.StatusCode(err) == http.StatusUnauthorized:
		return 0, false, err
	case err != nil || settings.Yum == nil:
		return 0, false, nil
	}
	return settings.Yum.Depth, true, nil
}
