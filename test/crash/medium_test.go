package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// judged is the JSON report of seeder verify.
type judged struct {
	Records []struct {
		State string `json:"state"`
	} `json:"records"`
}

// A medium that fails, at one read or from one on, is called that by each command that reads
// the bundle, with path and offset. What else can be read is judged.
func TestSickMedium(t *testing.T) {
	s := newSite(t)
	fresh := attempts(s.bundle, startRegistry)(t)
	for name, c := range map[string]attempt{
		"verify": {program: s.seeder, args: []string{"verify", s.bundle, "--jobs", "1", "--output", "json"}},
		"audit":  {program: s.seeder, args: s.audit()},
		"push":   fresh,
		"serve":  {program: s.seeder, args: []string{"serve", s.bundle, "--listen", "127.0.0.1:0"}},
	} {
		nths := []int{1, 2, 3, 5, 8}
		if os.Getenv("AIRBUNDLE_FAULTS") != full {
			nths = []int{1, 3, 4}
		}
		for _, nth := range nths {
			for _, stays := range []bool{true, false} {
				if name == "serve" && !stays {
					continue // a server that can read its bundle at the second time goes on
				}
				f := fault{call: "pread64", nth: nth, stays: stays, what: "error=EIO", paths: []string{s.bundle}}
				t.Run(fmt.Sprintf("%s/%v", name, f), func(t *testing.T) {
					got := c.program.disturb(t, f, c.args)
					told := strings.Contains(got.talk, "input/output error") && strings.Contains(got.talk, s.bundle) && strings.Contains(got.talk, "at byte ")
					if !got.fault || (got.code != 9 || !told) && (got.code != 0 || stays) {
						t.Errorf("status %d after %v\n%s", got.code, got.took, got.talk)
					}
				})
			}
		}
	}
	oneBadBlock(t, s)
}

// oneBadBlock fails one read in the middle of a verify.
func oneBadBlock(t *testing.T, s *site) {
	t.Helper()
	args := []string{"verify", s.bundle, "--jobs", "1", "--output", "json"}
	got := met{}
	for nth := 100; !got.fault && nth > 0; nth /= 2 { // each thread counts for itself
		got = s.seeder.disturb(t, fault{call: "pread64", nth: nth, what: "error=EIO", paths: []string{s.bundle}}, args)
	}
	states := map[string]int{}
	var rep judged
	if err := json.NewDecoder(strings.NewReader(got.talk)).Decode(&rep); err != nil {
		t.Fatalf("%v\n%s", err, got.talk)
	}
	for _, r := range rep.Records {
		states[r.State]++
	}
	t.Logf("one bad block: status %d, %v", got.code, states)
	if got.code != 9 || states["damaged"] == 0 || states["ok"] < 4*states["damaged"] {
		t.Errorf("one bad block: status %d, %v\n%s", got.code, states, got.talk)
	}
}
