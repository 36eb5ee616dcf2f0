package crash

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
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
		s.repositories, s.env = all, []string{"GOMAXPROCS=1"}
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
