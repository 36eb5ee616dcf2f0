package crash

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"airbundle/test/origin"
)

// attempt is one build of the workshop, below a directory of its own.
func (w *workshop) attempt(t *testing.T) attempt {
	dir := t.TempDir()
	path := filepath.Join(dir, "work.bundle.tar")
	args := []string{"build", w.lock, "-o", path}
	return attempt{
		program: w.bundler, args: args,
		paths: []string{dir, path, path + ".part", path + ".part.journal"},
		check: func(t *testing.T, ended met) {
			t.Helper()
			w.check(t, path, ended.code != 0)
		},
		again: func(t *testing.T) {
			t.Helper()
			w.bundler.run(t, 0, nil, args...)
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, w.want) {
				t.Errorf("the rerun made another archive than an undisturbed build (%v)", err)
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Errorf("beside the archive is left: %v %v", left, err)
			}
		},
	}
}

// newQuickWorkshop is one whose sources are as fast as they can be.
func newQuickWorkshop(t *testing.T) *workshop {
	t.Helper()
	return newWorkshopAt(t, work(t), origin.Options{})
}

func TestBuildMeetsFaults(t *testing.T) {
	w := newQuickWorkshop(t)
	w.bundler.env = append(w.bundler.env, "GOMAXPROCS=1") // strace counts the calls of each thread
	for name, c := range campaigns(220) {
		if c.calls == nil {
			c.calls, c.files = fileCalls, true
		}
		t.Run(name, func(t *testing.T) { c.run(t, w.attempt) })
	}
}
