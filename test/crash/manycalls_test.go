package crash

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
	"airbundle/test/origin"
)

// many returns a fixture with many small artifacts: files of the host itself, files of a
// server, and an image with many layers.
func many(t *testing.T) *bundletest.Fixture {
	t.Helper()
	f := bundletest.New(t)
	dir := t.TempDir()
	for i := range 180 {
		path := fmt.Sprintf("many/%03d.bin", i)
		raw := noise(path, 500+i)
		if i%2 == 0 {
			f.AddFile(path, raw)
			continue
		}
		local := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(local, raw, 0o644); err != nil {
			t.Fatal(err)
		}
		f.Lock.Files = append(f.Lock.Files, lockfile.File{Path: path, URLs: []string{"file:" + local}, Size: int64(len(raw)), Digest: digest.FromBytes(raw)})
	}
	sizes := make([]int, 26)
	for i := range sizes {
		sizes[i] = 9_000 + i // more than what the server takes for JSON
	}
	addImage(t, f, "quay.io/team/many:1.0", sizes...)
	return f
}

// Whichever call finds no descriptor, of more than a hundred that want one, for a moment or
// from then on: the work is done, or it is told what is lacking, and the same command again
// finishes it.
func TestNoDescriptorAtAnyCall(t *testing.T) {
	f := many(t)
	w := newWorkshopAt(t, f, origin.Options{Close: true})
	// strace counts the calls of each thread: with few threads each has many.
	w.bundler.env = append(w.bundler.env, "GOMAXPROCS=1")
	path := filepath.Join(t.TempDir(), "many.tar")
	if err := os.WriteFile(path, w.want, 0o644); err != nil {
		t.Fatal(err)
	}
	all := maps.Clone(repositories)
	delete(all, "team/heavy")
	all["team/many"] = "1.0"
	start := func(t *testing.T) *server {
		s := startRegistryWith(t, true)
		s.repositories = all
		return s
	}
	for name, attempt := range map[string]func(*testing.T) attempt{"build": w.attempt, "push": attempts(path, start)} {
		for _, c := range []campaign{
			{what: "error=EMFILE", says: "ulimit -n", n: 160, few: 5, distinct: 100, every: 4},
			{what: "error=ENFILE", says: "fs.file-max", n: 24, few: 1, every: 4},
		} {
			c.calls, c.stays, c.codes = []string{"openat", "socket"}, true, []int{0, 3, 6, 9}
			t.Run(name+" "+c.what, func(t *testing.T) { c.run(t, attempt) })
		}
	}
}

// Where a key or the memory of serials cannot be read, nothing is trusted for want of it: a
// bundle that is refused stays refused, whichever call fails.
func TestNothingIsTrustedForWantOfFiles(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	key, state := filepath.Join(dir, "k"), filepath.Join(dir, "state")
	s.bundler.run(t, 0, nil, "keygen", "-o", key)
	newer := bundleOf(t, s.fixture.Lock.Name)
	s.seeder.run(t, 0, nil, append([]string{"push", newer, "--state-dir", state}, s.registry.flags...)...)
	for what, c := range map[string]struct {
		env  []string
		args []string
	}{
		"keys":    {[]string{"SEEDER_KEY=" + key + ".pub"}, nil},
		"serials": {nil, []string{"--state-dir", state}},
	} {
		p := s.seeder
		p.env = append(slices.Clone(p.env), c.env...)
		args := append([]string{"verify", s.bundle, "--jobs", "1"}, c.args...)
		if got := p.end(t, args...); got.code != 5 {
			t.Fatalf("%s: status %d\n%s", what, got.code, got.talk)
		}
		codes := map[int]int{}
		for _, call := range []string{"openat", "read", "newfstatat", "fstat"} {
			for _, errno := range []string{"EMFILE", "EIO", "EACCES"} {
				for nth := 1; nth <= 40; nth++ {
					got := p.disturb(t, fault{call: call, nth: nth, what: "error=" + errno}, args)
					if !got.fault {
						break
					}
					if codes[got.code]++; got.code != 5 && got.code != 9 && got.code != 4 && !runtimeTalk.MatchString(got.talk) {
						t.Errorf("%s: %s %d %s: status %d\n%s", what, call, nth, errno, got.code, got.talk)
					}
					if os.Getenv("AIRBUNDLE_FAULTS") != full {
						nth += 2
					}
				}
			}
		}
		t.Logf("%s: %v", what, codes)
	}
}
