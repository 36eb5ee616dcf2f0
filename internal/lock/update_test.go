package lock_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

// aYearLater is a world that was locked, and in which everything has changed since: both
// tags moved, app and lib came out anew, chart and file were replaced.
func aYearLater(t *testing.T) (w *world, req *lockfile.Request, old *lockfile.Lock) {
	w, req = withPackages(t)
	req.Arches = []string{"x86_64"}
	for _, img := range w.Lock.Images[:2] {
		req.Images = append(req.Images, lockfile.ImageWish{Source: img.Source})
	}
	req.Absent = nil
	w.files["https://h/a"], w.files["https://h/b"] = "a", "b"
	req.Files = []lockfile.FileWish{{Path: "a", URL: "https://h/a"}, {Path: "b", URL: "https://h/b"}}
	w.charts = chartContents{"c 1": "c", "d 1": "d"}
	req.Charts = []lockfile.ChartWish{{Name: "c", Version: "1", Repo: "https://c"}, {Name: "d", Version: "1", Repo: "https://c"}}
	req.Packages = append(req.Packages, lockfile.PackageSet{Into: "tools", Install: []string{"tool"}, Line: 9})
	res, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old = canonical(t, res.Lock)
	last := w.Lock.Images[2].Digest
	for _, img := range req.Images {
		w.tags[img.Source] = last
	}
	w.files["https://h/a"], w.files["https://h/b"] = "a2", "b2"
	w.charts = chartContents{"c 1": "c2", "d 1": "d2"}
	w.repos["base x86_64"] = newRepository(t, "https://m/base/x86_64/",
		signed(t, "app", "1.0", "x86_64", "lib"), signed(t, "lib", "1.0", "x86_64"), signed(t, "app", "2.0", "x86_64", "lib", "extra"), signed(t, "lib", "2.0", "x86_64"), signed(t, "extra", "1.0", "x86_64"))
	w.repos["more x86_64"] = newRepository(t, "https://m/more/x86_64/", signed(t, "tool", "1.0", "x86_64"), signed(t, "tool", "2.0", "x86_64"))
	return w, req, old
}

func TestChangesInWords(t *testing.T) {
	w, req, old := aYearLater(t)
	got, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old})
	if err != nil {
		t.Fatal(err)
	}
	first, second, last := w.Lock.Images[0], w.Lock.Images[1], w.Lock.Images[2]
	sum := func(s string) string { return digest.FromString(s).String() }
	extra := entry(t, w, "base", "extra", "1.0", "x86_64", "x86_64", "os")
	want := []string{
		"moved " + second.Source + ": " + second.Digest.String() + " → " + last.Digest.String(),
		"moved " + first.Source + ": " + first.Digest.String() + " → " + last.Digest.String(),
		"package os/x86_64/app.x86_64: 1.0-1 → 2.0-1",
		"package os/x86_64/lib.x86_64: 1.0-1 → 2.0-1",
		"package tools/x86_64/tool.x86_64: 1.0-1 → 2.0-1",
		"new package " + extra.Path() + " " + extra.Digest.String(),
		"changed file a: " + sum("a") + " → " + sum("a2"),
		"changed file b: " + sum("b") + " → " + sum("b2"),
		"changed chart c 1: " + sum("c") + " → " + sum("c2"),
		"changed chart d 1: " + sum("d") + " → " + sum("d2"),
	}
	if diff := cmp.Diff(want, got.Changes); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
	again, err := w.lockBy(t, &solver{}, req, lock.Options{Old: canonical(t, got.Lock)})
	if err != nil || len(again.Changes) != 0 {
		t.Errorf("of the same: %q, %v", again.Changes, err)
	}
}

// TestUpdate: only what is named changes, and what must follow.
func TestUpdate(t *testing.T) {
	for name, c := range map[string]struct {
		names []string
		want  []string // what changed, by the beginning
	}{
		"image":    {[]string{"IMAGE"}, []string{"moved IMAGE"}},
		"file":     {[]string{"a"}, []string{"changed file a"}},
		"chart":    {[]string{"d"}, []string{"changed chart d 1"}},
		"set":      {[]string{"tools"}, []string{"package tools/x86_64/tool.x86_64: 1.0-1 → 2.0-1"}},
		"package":  {[]string{"app"}, []string{"package os/x86_64/app.x86_64: 1.0-1 → 2.0-1", "new package os/x86_64/extra-1.0-1.x86_64.rpm"}},
		"required": {[]string{"lib"}, []string{"package os/x86_64/lib.x86_64: 1.0-1 → 2.0-1"}},
		"two":      {[]string{"tool", "b"}, []string{"package tools/x86_64/tool.x86_64", "changed file b"}},
	} {
		w, req, old := aYearLater(t)
		image := req.Images[1].Source
		for i := range c.names {
			c.names[i] = strings.ReplaceAll(c.names[i], "IMAGE", image)
		}
		s := &solver{}
		got, err := w.lockBy(t, s, req, lock.Options{Old: old, Update: c.names})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		ok := len(got.Changes) == len(c.want)
		for i := range min(len(got.Changes), len(c.want)) {
			ok = ok && strings.HasPrefix(got.Changes[i], strings.ReplaceAll(c.want[i], "IMAGE", image))
		}
		if !ok {
			t.Errorf("%s: changed %q, want %q", name, got.Changes, c.want)
		}
		canonical(t, got.Lock)
	}
}

// TestUpdatePrefersOldPackages: the solver is told what to keep.
func TestUpdatePrefersOldPackages(t *testing.T) {
	w, req, old := aYearLater(t)
	s := &solver{}
	if _, err := w.lockBy(t, s, req, lock.Options{Old: old, Update: []string{"lib"}}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"app-1.0-1.x86_64"}, s.asked[0].Prefer); diff != "" || len(s.asked) != 1 {
		t.Errorf("asked %d times, to keep (-want +got):\n%s", len(s.asked), diff)
	}
}

// TestUpdateKeepsBytes: what is not named is the old lock's, even what the request says
// otherwise now.
func TestUpdateKeepsBytes(t *testing.T) {
	w, req, old := aYearLater(t)
	old.Serial, old.Expires = 7, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	old.Files[1].Note = "by hand"
	old.RPMs[1].Note = "by hand"
	old.Accept = []lockfile.Accept{{Finding: "f", Artifact: "a", Why: "w"}}
	old.Absent = append(old.Absent, lockfile.Absent{Name: "x", Arch: "x86_64", Why: "w"})
	req.Images[0].Groups, req.Packages[0].Groups = []string{"new"}, []string{"new"}
	got, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old, Update: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	want := *old
	want.Files = append([]lockfile.File(nil), old.Files...)
	want.Files[0].Size, want.Files[0].Digest = 2, digest.FromString("a2")
	if diff := cmp.Diff(&want, canonical(t, got.Lock)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestUpdateOfWhatIsGone: a named thing that nobody wishes any more leaves the lock.
func TestUpdateOfWhatIsGone(t *testing.T) {
	w, req, old := aYearLater(t)
	gone := req.Images[0].Source
	req.Images, req.Files, req.Packages = req.Images[1:], req.Files[1:], req.Packages[:1]
	got, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old, Update: []string{gone, "a", "tools"}})
	if err != nil {
		t.Fatal(err)
	}
	l := canonical(t, got.Lock)
	if len(l.Images) != 1 || len(l.Files) != 1 || l.Files[0].Path != "b" || len(l.RPMs) != 2 {
		t.Errorf("%+v", l)
	}
}

func TestUpdateOfNothing(t *testing.T) {
	w, req, old := aYearLater(t)
	_, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old, Update: []string{"a", "nobody", "nothing"}})
	if report.Classify(err) != report.ClassUsage || !strings.Contains(err.Error(), "called nobody, nothing") {
		t.Errorf("%v", err)
	}
	if _, err := w.lockBy(t, &solver{}, req, lock.Options{Update: []string{"a"}}); report.Classify(err) != report.ClassUsage {
		t.Errorf("without a lock: %v", err)
	}
	req.Arches = []string{"aarch64"}
	if _, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old, Update: []string{"a"}}); report.Classify(err) != report.ClassUsage || !strings.Contains(err.Error(), "aarch64") {
		t.Errorf("other arches: %v", err)
	}
}

// TestReplacedInPlace: the same package with other bytes is refused until it is named.
func TestReplacedInPlace(t *testing.T) {
	w, req := withPackages(t)
	res, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old := canonical(t, res.Lock)
	other := signed(t, "lib", "1.0", "x86_64")
	other.Summary = "other bytes"
	w.repos["base x86_64"] = newRepository(t, "https://m/base/x86_64/", signed(t, "app", "1.0", "x86_64", "lib"), other)
	is := entry(t, w, "base", "lib", "1.0", "x86_64", "x86_64", "os")

	_, err = w.lockBy(t, &solver{}, req, lock.Options{Old: old})
	if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), "demo.yaml:8: package os/x86_64/lib-1.0-1.x86_64.rpm: upstream changed lib-1.0-1.x86_64") || !strings.Contains(err.Error(), "--update lib") || strings.Count(err.Error(), "\n") != 0 {
		t.Errorf("plain: class %d, %v", report.Classify(err), err)
	}
	got, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old, Check: true})
	if err != nil || len(got.Changes) == 0 || !strings.HasPrefix(got.Changes[0], "upstream changed os/x86_64/lib-1.0-1.x86_64.rpm: sha256:") {
		t.Errorf("check: %+v, %v", got, err)
	}
	got, err = w.lockBy(t, &solver{}, req, lock.Options{Old: old, Update: []string{"app"}})
	if err != nil || got.Lock.Digest() != old.Digest() || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "--update lib takes the new one") {
		t.Errorf("another is named: %+v, %v", got, err)
	}
	for _, name := range []string{"lib", "os"} {
		got, err = w.lockBy(t, &solver{}, req, lock.Options{Old: old, Update: []string{name}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, p := range got.Lock.RPMs {
			if p.Path() == is.Path() && p.Digest != is.Digest {
				t.Errorf("%s is named, but stays %s", name, p.Digest)
			}
		}
	}
}

// TestWordsAreKept: what people wrote into a lock outlives locking again.
func TestWordsAreKept(t *testing.T) {
	w, req, old := aYearLater(t)
	old.Serial, old.Expires = 7, time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	old.Accept = []lockfile.Accept{{Finding: "f", Artifact: "a", Why: "w"}}
	old.Derived = []lockfile.Derived{{Path: "img.tar", From: old.Images[0].Source, Arch: "x86_64", As: "docker-archive"}}
	old.Images[0].Note, old.RPMs[1].Note, old.Keys[0].Note, old.Files[0].Note, old.Charts[0].Note = "i", "r", "k", "f", "c"
	req.Files[1].Note = "from the request"
	old.Files[1].Note = "by hand"
	res, err := w.lockBy(t, &solver{}, req, lock.Options{Old: old})
	if err != nil {
		t.Fatal(err)
	}
	l := canonical(t, res.Lock)
	if l.Serial != 7 || !l.Expires.Equal(old.Expires) || len(l.Accept) != 1 || len(l.Derived) != 1 {
		t.Errorf("%+v", l)
	}
	lib := l.RPMs[2] // app, extra, lib
	got := []string{l.Images[0].Note, lib.Name, lib.EVR, lib.Note, l.Keys[0].Note, l.Files[0].Note, l.Files[1].Note, l.Charts[0].Note}
	if diff := cmp.Diff([]string{"i", "lib", "2.0-1", "n", "k", "f", "from the request", "c"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if l.RPMs[1].Signer != rpmtest.Key(t).ID {
		t.Errorf("%+v", l.RPMs[1])
	}
}
