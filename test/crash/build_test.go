package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/bundletest"
	"airbundle/test/origin"
)

// built is the JSON result of bundler build.
type built struct {
	Fetched int64 `json:"bytesFetched"`
	Kept    int64 `json:"bytesKept"`
}

// workshop is a lock whose sources are slow, and the archive that it makes.
type workshop struct {
	bundler program
	fixture *bundletest.Fixture
	src     *origin.Server
	lock    string
	want    []byte
	whole   time.Duration
	total   int64 // bytes to download
}

// rate is that of each download, so that a build takes about 0.8 s.
const rate = 1_500_000

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	return newWorkshopAt(t, work(t), origin.Options{Rate: rate})
}

func newWorkshopAt(t *testing.T, f *bundletest.Fixture, o origin.Options) *workshop {
	t.Helper()
	w := &workshop{fixture: f}
	src := origin.Start(t, w.fixture, o)
	w.src = src
	w.bundler = program{name: "bundler", env: []string{"BUNDLER_PLAIN_HTTP=" + src.Host, "BUNDLER_JOBS=4", "BUNDLER_OUTPUT=json"}}
	dir := t.TempDir()
	w.lock = filepath.Join(dir, "work.lock.yaml")
	raw, err := src.Lock.Encode()
	if err == nil {
		err = os.WriteFile(w.lock, raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "undisturbed.tar")
	var res built
	w.whole = w.bundler.run(t, 0, &res, "build", w.lock, "-o", path)
	if w.want, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	for _, n := range large(w.fixture) {
		w.total += n
	}
	if res.Fetched != w.total {
		t.Fatalf("an undisturbed build fetched %d bytes, the lock has %d", res.Fetched, w.total)
	}
	return w
}

// finished sums up the downloads that the journal names, when there is an unfinished
// archive.
func (w *workshop) finished(t *testing.T, path string) (blobs int, bytes int64, begun bool) {
	t.Helper()
	if _, err := os.Stat(path + ".part"); err != nil {
		return 0, 0, false
	}
	journal, err := os.ReadFile(path + ".part.journal")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	sizes := large(w.fixture)
	for line := range strings.Lines(string(journal)) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "filled ")
		if n := sizes[digest.Digest(name)]; ok && n > 0 {
			delete(sizes, digest.Digest(name))
			blobs++
			bytes += n
		}
	}
	return blobs, bytes, true
}

// check says what a kill has left; a file under the final name must be whole.
func (w *workshop) check(t *testing.T, path string, killed bool) (state string, finished int64) {
	t.Helper()
	got, err := os.ReadFile(path)
	blobs, finished, begun := w.finished(t, path)
	switch {
	case err == nil && !bytes.Equal(got, w.want):
		t.Fatalf("%s has its final name and other content than an undisturbed build", path)
	case err != nil && !killed:
		t.Fatalf("the build ended with success, but: %v", err)
	case err == nil:
		return "complete", w.total
	case !begun:
		return "nothing begun", 0
	case blobs == 0:
		return "begun, nothing finished", 0
	}
	return "part finished", finished
}

func TestKilledBuild(t *testing.T) {
	w := newWorkshop(t)
	atRandomMoments(t, w.whole, func(t *testing.T, r *rand.Rand, after time.Duration) outcome {
		path := filepath.Join(t.TempDir(), "work.bundle.tar")
		args := []string{"build", w.lock, "-o", path}
		killed := w.bundler.kill(t, after, args...)
		state, finished := w.check(t, path, killed)
		again := ""
		if r.IntN(2) == 0 { // every other one is killed twice
			after := time.Duration(r.Float64() * float64(w.whole))
			killed := w.bundler.kill(t, after, args...)
			var second string
			second, finished = w.check(t, path, killed)
			again = fmt.Sprintf("killed again after %v: %s; ", after.Round(time.Millisecond), second)
		}
		var res built
		took := w.bundler.run(t, 0, &res, args...)
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, w.want) {
			t.Errorf("the rerun made another archive than an undisturbed build (%v)", err)
		}
		if res.Fetched != w.total-finished || res.Kept < finished {
			t.Errorf("%d of %d bytes were finished; the rerun fetched %d and kept %d", finished, w.total, res.Fetched, res.Kept)
		}
		if left, err := filepath.Glob(path + "?*"); err != nil || len(left) > 0 {
			t.Errorf("beside the archive is left: %v %v", left, err)
		}
		return outcome{state, fmt.Sprintf("%srerun fetched %d%% in %v", again, 100*res.Fetched/w.total, took.Round(time.Millisecond))}
	})
}

func TestSecondBuildGivesWay(t *testing.T) {
	w := newWorkshop(t)
	path := filepath.Join(t.TempDir(), "work.bundle.tar")
	first := w.bundler.command(t, "build", w.lock, "-o", path)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path + ".part.journal"); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	took := w.bundler.run(t, 8, nil, "build", w.lock, "-o", path)
	if took > w.whole {
		t.Errorf("the second build needed %v to see that it must not work", took)
	}
	if err := first.Wait(); err != nil {
		t.Fatalf("the first build was disturbed: %v", err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, w.want) {
		t.Errorf("the first build made another archive than an undisturbed one (%v)", err)
	}
	t.Logf("the second build ended after %v", took.Round(time.Millisecond))
}
