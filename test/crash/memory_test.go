package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// remembered reads the serials that a site remembers, by name; a torn file ends the test.
func remembered(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	var doc struct {
		Bundles []struct {
			Name      string `json:"name"`
			Untrusted struct {
				Serial int64 `json:"serial"`
			} `json:"untrusted"` // no test of these has a key
		} `json:"bundles"`
	}
	raw, err := os.ReadFile(filepath.Join(dir, "serials.json"))
	if err == nil {
		err = json.Unmarshal(raw, &doc)
	}
	if err != nil {
		t.Fatalf("the memory of serials is torn or gone: %v\n%s", err, raw)
	}
	all := map[string]int64{}
	for _, b := range doc.Bundles {
		all[b.Name] = b.Untrusted.Serial
	}
	return all
}

// What a site remembers of serials is never torn and never lost, wherever a push is killed or
// the disk refuses; a push that could not add to it says so.
func TestSerialsMeetFaults(t *testing.T) {
	other, path := bundleOf(t, "other"), bundle(t)
	s := startRegistry(t)
	seeder := program{name: "seeder", env: s.env}
	push := func(bundle, dir string) []string {
		return append([]string{"push", bundle, "--state-dir", dir}, s.flags...)
	}
	first := filepath.Join(t.TempDir(), "state")
	seeder.run(t, 0, nil, push(other, first)...)
	before, err := os.ReadFile(filepath.Join(first, "serials.json"))
	if err != nil {
		t.Fatal(err)
	}
	start := func(t *testing.T) attempt {
		dir := filepath.Join(t.TempDir(), "state")
		file := filepath.Join(dir, "serials.json")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, before, 0o600); err != nil {
			t.Fatal(err)
		}
		args := push(path, dir)
		return attempt{
			program: seeder, args: args, paths: []string{dir, file, filepath.Join(dir, "serials.lock")},
			check: func(t *testing.T, ended met) {
				t.Helper()
				now := remembered(t, dir)
				if now["other"] != 7 {
					t.Errorf("status %d: what was remembered is lost: %v", ended.code, now)
				}
				if ended.code == 0 && now["demo"] != 7 && !strings.Contains(ended.talk, "NOT remembered") {
					t.Errorf("a push that succeeded is not remembered, and does not say so: %v\n%s", now, ended.talk)
				}
			},
			again: func(t *testing.T) {
				t.Helper()
				seeder.run(t, 0, nil, args...)
				if now := remembered(t, dir); now["demo"] != 7 || now["other"] != 7 {
					t.Errorf("after the rerun: %v", now)
				}
				onlyLeft(t, file, filepath.Join(dir, "serials.lock"))
			},
		}
	}
	// But for the last ones a push makes these calls for its memory alone; files in the making
	// have names that strace cannot be told before.
	calls := []string{"fsync", "renameat", "fchmod", "flock", "fchmodat", "write", "openat", "close", "read"}
	for name, c := range map[string]campaign{
		"killed": {what: "signal=SIGKILL", n: 24, few: 6, codes: []int{0, 137}},
		"ENOSPC": {what: "error=ENOSPC", calls: calls[:5], says: "no space left", n: 4, few: 4, codes: []int{0, 9}},
		"EIO":    {what: "error=EIO", calls: calls[:5], says: "input/output error", n: 4, few: 4, codes: []int{0, 9}},
	} {
		if c.calls == nil {
			c.calls = calls
		}
		t.Run(name, func(t *testing.T) { c.run(t, start) })
	}
	dir := filepath.Join(t.TempDir(), "state")
	ends := make(chan met, 4)
	for i := range cap(ends) {
		go func() { ends <- seeder.end(t, push([]string{path, other}[i%2], dir)...) }()
	}
	for range cap(ends) {
		if got := <-ends; got.code != 0 || strings.Contains(got.talk, "NOT remembered") {
			t.Errorf("writers at once: status %d\n%s", got.code, got.talk)
		}
	}
	if got := fmt.Sprint(remembered(t, dir)); got != "map[demo:7 other:7]" {
		t.Errorf("writers at once: %s is remembered", got)
	}
}
