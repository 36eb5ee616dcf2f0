package push_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// A deaf server takes everything and never has metadata; it notes when it was asked for it.
type deaf struct {
	depth int
	asked []time.Time
	put   []time.Time
}

func (d *deaf) Put(_ context.Context, _, _ string, desc ocispec.Descriptor, _ bool, _ push.Opener) (int64, string, error) {
	d.put = append(d.put, time.Now())
	return desc.Size, "sent", nil
}

func (d *deaf) Present(context.Context, string, string, ocispec.Descriptor, push.Opener) (bool, error) {
	return false, errors.New("a push does not ask")
}

func (d *deaf) Open(_ context.Context, repo, path string) (io.ReadCloser, int64, error) {
	if strings.HasSuffix(path, "repomd.xml") {
		d.asked = append(d.asked, time.Now())
	}
	return nil, 0, fmt.Errorf("%s/%s: %w", repo, path, errdef.ErrNotFound)
}

func (d *deaf) RepodataDepth(context.Context, string) (int, bool, error) { return d.depth, true, nil }

// Contract 0.1/10, 4.2: the waits that nobody has asked to be others. An empty repository is
// waited for before the first package, every 5 s; what was sent is waited for 15 minutes and
// a second for each package, with looks at first 5 s and at last 30 s apart.
func TestPatience(t *testing.T) {
	f := bundletest.New(t)
	a, err := archive.Open(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	items, err := target.Default().Items(a.Bundle().Table, target.Selection{Only: []string{"rpm"}})
	if err != nil {
		t.Fatal(err)
	}
	for depth, ready := range map[int]time.Duration{0: 5 * time.Minute, 2: 0} {
		synctest.Test(t, func(t *testing.T) {
			began, server := time.Now(), &deaf{depth: depth}
			rep, _, err := push.Run(t.Context(), a.Bundle(), a, items, push.Target{Name: "nexus", Assets: server}, push.Options{Jobs: 1})
			if err != nil || rep.Counts()[report.Missing] != len(items) {
				t.Errorf("%v, %v", err, rep.Counts())
			}
			if len(server.put) != len(items) || server.put[0].Sub(began) != ready {
				t.Errorf("depth %d: the first of %d packages went after %s, want %s", depth, len(server.put), server.put[0].Sub(began), ready)
			}
			if took, want := time.Since(server.put[len(server.put)-1]), 15*time.Minute+time.Duration(len(items))*time.Second; took != want {
				t.Errorf("depth %d: waited %s, want %s", depth, took, want)
			}
			least, most := time.Hour, time.Duration(0)
			for i := 1; i < len(server.asked); i++ {
				if gap := server.asked[i].Sub(server.asked[i-1]); gap > 0 {
					most = max(most, gap)
					if i < len(server.asked)-len(items) { // the last look is when the time is up
						least = min(least, gap)
					}
				}
			}
			if least != 5*time.Second || most != 30*time.Second {
				t.Errorf("depth %d: looks %s to %s apart", depth, least, most)
			}
		})
	}
}
