package seeder

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/cli"
	"airbundle/internal/push"
)

// TestWaiting: a line at the beginning of each wait, and one each 30 s.
func TestWaiting(t *testing.T) {
	var out bytes.Buffer
	s := cli.Streams{Err: &out}
	w := &waiting{talk: cli.NewTalk(s, false), bar: cli.NewBar(s, false, "push", -1)}
	for _, at := range []time.Duration{0, 5, 29, 30, 45} {
		w.told(push.Wait{Repositories: []string{"yum"}, For: at * time.Second})
	}
	for _, at := range []time.Duration{1, 20, 40, 60, 75} {
		w.told(push.Wait{Repositories: []string{"helm", "yum"}, Listed: int(at), Of: 100, For: at * time.Second})
	}
	const want = `waiting for the first yum metadata of yum: 0s
waiting for the first yum metadata of yum: 30s
waiting for the metadata of helm, yum: 1 of 100 listed, 1s
waiting for the metadata of helm, yum: 40 of 100 listed, 40s
waiting for the metadata of helm, yum: 75 of 100 listed, 1m15s
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	out.Reset()
	w = &waiting{talk: cli.NewTalk(s, false), bar: cli.NewBar(s, false, "push", -1), terminal: true}
	w.told(push.Wait{Repositories: []string{"yum"}})
	if out.Len() != 0 {
		t.Errorf("a terminal has the bar: %q", &out)
	}
}
