package nexus_test

import (
	"context"
	"net/http"
	"testing"

	"airbundle/internal/httpx"
	"airbundle/internal/nexustest"
)

// TestRepodataDepth: the depth where the server tells it, in all generations, and unknown
// where it does not; only a refused login is an error.
func TestRepodataDepth(t *testing.T) {
	for _, profile := range generations {
		for _, want := range []int{0, 3} {
			_, n := start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{{Name: "deep", Format: "yum", Depth: want}}})
			if depth, known, err := n.RepodataDepth(t.Context(), "deep"); depth != want || !known || err != nil {
				t.Errorf("%s: %d, %t, %v; want %d", profile, depth, known, err, want)
			}
			for _, other := range []string{"raw", "nowhere"} { // no yum repository
				if depth, known, err := n.RepodataDepth(t.Context(), other); depth != 0 || known || err != nil {
					t.Errorf("%s, %s: %d, %t, %v", profile, other, depth, known, err)
				}
			}
		}
	}
	for status, answer := range map[int]nexustest.Action{
		http.StatusForbidden: nexustest.Status(403, ""), http.StatusNotFound: nexustest.Status(404, ""), http.StatusMethodNotAllowed: nexustest.Status(405, ""),
		http.StatusBadGateway: nexustest.BadGateway(), 200: nexustest.StatusBody(200, "", "text/html", "<html>portal</html>"), 201: nexustest.StatusBody(200, "", "application/json", `{"name":"yum"}`),
	} {
		_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/repositories/yum/hosted/yum$"}, Do: answer}}})
		if depth, known, err := n.RepodataDepth(t.Context(), "yum"); depth != 0 || known || err != nil {
			t.Errorf("%d: %d, %t, %v", status, depth, known, err)
		}
	}
	_, n := start(t, nexustest.Options{Faults: []nexustest.Fault{{On: nexustest.Match{Path: "/repositories/yum/hosted/yum$"}, Do: nexustest.Unauthorized()}}})
	if _, _, err := n.RepodataDepth(t.Context(), "yum"); httpx.StatusCode(err) != http.StatusUnauthorized {
		t.Errorf("refused login: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := n.RepodataDepth(ctx, "yum"); err == nil {
		t.Error("cancelled, and no error")
	}
}
