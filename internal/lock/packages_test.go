package lock_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/rpmtest"
)

// lockBy resolves with the solver of these tests.
func (w *world) lockBy(t *testing.T, s *solver, req *lockfile.Request, o lock.Options) (*lock.Result, error) {
	t.Helper()
	o.File, o.Side = "demo.yaml", "demo.lock.d"
	src := lock.Sources{Images: w, Files: w, Charts: w.charts, Repositories: w.repos, Cache: w.cache}
	return lock.ResolveBy(t.Context(), req, src, o, s.solve)
}

// withPackages is a world of two repositories for each arch, and a request that wants app,
// which needs lib, for both.
func withPackages(t *testing.T) (*world, *lockfile.Request) {
	w := newWorld(t)
	w.repos = repositories{}
	for _, arch := range []string{"x86_64", "aarch64"} {
		w.repos["base "+arch] = newRepository(t, "https://m/base/"+arch+"/",
			signed(t, "app", "1.0", arch, "lib"), signed(t, "lib", "1.0", arch), signed(t, "other", "1.0", arch))
		w.repos["more "+arch] = newRepository(t, "https://m/more/"+arch+"/", signed(t, "tool", "1.0", arch))
	}
	req := request("x86_64", "aarch64")
	req.Repos = []lockfile.Repo{
		{ID: "base", BaseURL: "https://m/base/$basearch", GPGKeys: []string{"K"}, Line: 5},
		{ID: "more", BaseURL: "https://m/more/$basearch", GPGKeys: []string{"K"}, Line: 6},
	}
	req.Packages = []lockfile.PackageSet{{Into: "os", Install: []string{"app"}, Groups: []string{"g"}, Note: "n", Line: 8}}
	return w, req
}

// entry is what a lock should say of a package of a repository.
func entry(t *testing.T, w *world, id, name, version, arch, basearch, into string) lockfile.RPM {
	t.Helper()
	repo := w.repos[id+" "+basearch]
	location := "Packages/" + name + "-" + version + "-1." + arch + ".rpm"
	raw, ok := repo.rpms[location]
	if !ok {
		t.Fatalf("no %s", location)
	}
	return lockfile.RPM{
		Name: name, EVR: version + "-1", Arch: arch, BaseArch: basearch, Repo: into + "/" + basearch, URLs: repo.URLs("", location),
		Size: int64(len(raw)), Digest: digest.FromBytes(raw), Signer: rpmtest.Key(t).ID,
	}
}

func canonical(t *testing.T, l *lockfile.Lock) *lockfile.Lock {
	t.Helper()
	raw, err := l.Encode()
	if err != nil {
		t.Fatalf("no valid lock: %v", err)
	}
	out, err := lockfile.DecodeLock("lock", raw)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPackages(t *testing.T) {
	w, req := withPackages(t)
	w.repos["base x86_64"].mirrors = append(w.repos["base x86_64"].mirrors, "https://n/")
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var want []lockfile.RPM
	for _, arch := range []string{"aarch64", "x86_64"} {
		for _, name := range []string{"app", "lib"} {
			e := entry(t, w, "base", name, "1.0", arch, arch, "os")
			e.Groups, e.Note = []string{"g"}, "n"
			want = append(want, e)
		}
	}
	locked := canonical(t, got.Lock)
	if diff := cmp.Diff(want, locked.RPMs); diff != "" {
		t.Errorf("packages (-want +got):\n%s", diff)
	}
	key := rpmtest.Key(t)
	if diff := cmp.Diff([]lockfile.Key{{ID: key.ID, Armor: key.Armor}}, locked.Keys); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}
}

// TestRequestReachesTheSolver: everything that the solver must know.
func TestRequestReachesTheSolver(t *testing.T) {
	w, req := withPackages(t)
	no := false
	req.Arches = []string{"x86_64"}
	req.Repos[1].Priority, req.Repos[1].Exclude = 10, []string{"x*"}
	req.Packages = []lockfile.PackageSet{
		{Into: "os", Install: []string{"app"}, Exclude: []string{"e"}, Present: []string{"p"}, Modules: []string{"m:1"}, Weak: true, Best: &no},
		{Into: "tools", From: []string{"more"}, Install: []string{"tool"}},
	}
	s := &solver{}
	if _, err := w.lockBy(t, s, req, lock.Options{Jobs: 1}); err != nil {
		t.Fatal(err)
	}
	q := s.asked[0]
	got := fmt.Sprintf("%s %v %v %v %v %v %v %d %s %d %v", q.Arch, q.Install, q.Exclude, q.Present, q.Modules, q.Weak, q.NotBest, len(q.Repos), q.Repos[1].ID, q.Repos[1].Priority, q.Repos[1].Exclude)
	if want := "x86_64 [app] [e] [p] [m:1] true true 2 more 10 [x*]"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
	if q := s.asked[1]; len(q.Repos) != 1 || q.Repos[0].ID != "more" || q.NotBest || q.Weak {
		t.Errorf("asked %+v", q)
	}
}

// TestOpenedOnce: repositories are shared by sets, and by arches where they are the same.
func TestOpenedOnce(t *testing.T) {
	w, req := withPackages(t)
	both := newRepository(t, "https://m/all/", signed(t, "app", "1.0", "x86_64"), signed(t, "app", "1.0", "aarch64"))
	w.repos = repositories{"base": both}
	req.Repos = []lockfile.Repo{{ID: "base", BaseURL: "https://m/all", GPGKeys: []string{"K"}}}
	req.Packages = append(req.Packages, lockfile.PackageSet{Into: "os2", Install: []string{"app"}})
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Lock.RPMs) != 4 || both.opened != 1 || len(both.read) != 1 || len(both.looked) != 2 {
		t.Errorf("%d packages; opened %d times, read %v, looked at %v", len(got.Lock.RPMs), both.opened, both.read, both.looked)
	}
}

func TestFilelistsOnlyWhenAsked(t *testing.T) {
	w, req := withPackages(t)
	repo := newRepository(t, "https://m/", rpmtest.Spec{Name: "app", Key: rpmtest.Key(t), Files: []rpmtest.File{{Path: "/usr/share/deep/file"}, {Path: "/usr/share/deep/other"}}})
	w.repos = repositories{"base": repo}
	req.Repos = req.Repos[:1]
	req.Packages = []lockfile.PackageSet{{Into: "os", Install: []string{"/usr/share/deep/file"}}, {Into: "os", Install: []string{"/usr/share/deep/file", "/usr/share/deep/other"}}}
	got, err := w.lockBy(t, &solver{}, req, lock.Options{Jobs: 1})
	if err != nil || len(got.Lock.RPMs) != 2 || got.Lock.RPMs[0].Name != "app" {
		t.Fatalf("%v %v", got, err)
	}
	lists := 0
	for _, f := range repo.read {
		if strings.Contains(f, "filelists") {
			lists++
		}
	}
	if lists != 4 { // for each arch: once for the first path, once for the second
		t.Errorf("filelists were read %d times: %v", lists, repo.read)
	}
}

// TestSetsIntoOne: two sets of one repository are one, and another repository carries its
// own.
func TestSetsIntoOne(t *testing.T) {
	w, req := withPackages(t)
	req.Arches = []string{"x86_64"}
	req.Packages = []lockfile.PackageSet{
		{Into: "os", Install: []string{"app"}, Groups: []string{"b"}, Note: "2"},
		{Into: "os", Install: []string{"lib", "tool"}, Groups: []string{"a"}, Note: "1"},
		{Into: "copy", Install: []string{"lib"}},
	}
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, p := range canonical(t, got.Lock).RPMs {
		have = append(have, p.Path()+" "+strings.Join(p.Groups, ",")+" "+p.Note)
	}
	want := []string{"copy/x86_64/lib-1.0-1.x86_64.rpm  ", "os/x86_64/app-1.0-1.x86_64.rpm b 2", "os/x86_64/lib-1.0-1.x86_64.rpm a,b 1; 2", "os/x86_64/tool-1.0-1.x86_64.rpm a 1"}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestSeveralRepositories: the same bytes elsewhere are more URLs, other bytes are told.
func TestSeveralRepositories(t *testing.T) {
	w, req := withPackages(t)
	req.Arches = []string{"x86_64"}
	other := signed(t, "lib", "1.0", "x86_64")
	other.Summary = "other bytes"
	w.repos["more x86_64"] = newRepository(t, "https://a/", signed(t, "app", "1.0", "x86_64", "lib"), other)
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	app, lib := got.Lock.RPMs[0], got.Lock.RPMs[1]
	if want := []string{"https://m/base/x86_64/Packages/app-1.0-1.x86_64.rpm", "https://a/Packages/app-1.0-1.x86_64.rpm"}; !slices.Equal(app.URLs, want) {
		t.Errorf("URLs of app: %v", app.URLs)
	}
	if len(lib.URLs) != 1 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "lib-1.0-1.x86_64: repository base (x86_64) has it as sha256:") {
		t.Errorf("lib: %v, notes %q", lib.URLs, got.Notes)
	}
}

// TestSameBytes: neither jobs nor the order of repositories and sets changes the lock.
func TestSameBytes(t *testing.T) {
	w, req := withPackages(t)
	for _, arch := range req.Arches {
		w.repos["more "+arch] = newRepository(t, "https://a/"+arch+"/", signed(t, "app", "1.0", arch, "lib"), signed(t, "tool", "1.0", arch))
	}
	req.Packages = append(req.Packages, lockfile.PackageSet{Into: "os", Install: []string{"tool", "app"}, Groups: []string{"a"}, Note: "m"}, lockfile.PackageSet{Into: "more", Install: []string{"tool"}})
	first, err := w.lockBy(t, &solver{}, req, lock.Options{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(req.Repos)
	slices.Reverse(req.Packages)
	slices.Reverse(req.Packages[1].Install)
	second, err := w.lockBy(t, &solver{}, req, lock.Options{Jobs: 16})
	if err != nil {
		t.Fatal(err)
	}
	a, errA := first.Lock.Encode()
	b, errB := second.Lock.Encode()
	if diff := cmp.Diff(string(a), string(b)); diff != "" || errA != nil || errB != nil {
		t.Errorf("%v %v (-first +second):\n%s", errA, errB, diff)
	}
}

func TestCatalogIsCached(t *testing.T) {
	w, req := withPackages(t)
	m := &memory{kept: map[string][]byte{}}
	w.cache = m
	first, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m.hits != 0 || len(m.kept) != 4 {
		t.Fatalf("%d hits, %d kept", m.hits, len(m.kept))
	}
	for _, damage := range []bool{false, true} {
		for key := range m.kept {
			if damage {
				m.kept[key] = m.kept[key][:len(m.kept[key])/2]
			}
		}
		for _, r := range w.repos {
			r.read = nil
		}
		again, err := w.lockBy(t, &solver{}, req, lock.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if read := len(w.repos["base x86_64"].read); read != map[bool]int{false: 0, true: 1}[damage] {
			t.Errorf("damaged %v: %d files of metadata read", damage, read)
		}
		if first.Lock.Digest() != again.Lock.Digest() {
			t.Errorf("damaged %v: another lock", damage)
		}
	}
}

func TestOlderMetadata(t *testing.T) {
	w, req := withPackages(t)
	req.Arches = []string{"x86_64"}
	fresh := w.repos["base x86_64"]
	fresh.older = newRepository(t, "https://old/", signed(t, "app", "0.9", "x86_64"))
	clear(fresh.files)
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil || got.Lock.RPMs[0].EVR != "0.9-1" || got.Lock.RPMs[0].URLs[0] != "https://old/Packages/app-0.9-1.x86_64.rpm" {
		t.Errorf("%+v, %v", got, err)
	}
	clear(fresh.older.files)
	if _, err := w.lockBy(t, &solver{}, req, lock.Options{}); err == nil || !strings.Contains(err.Error(), "m/base") {
		t.Errorf("not the error of the newest: %v", err)
	}
}

// TestAllUnsolvable: every set and arch that fails is told, with its line.
func TestAllUnsolvable(t *testing.T) {
	w, req := withPackages(t)
	req.Packages = append(req.Packages, lockfile.PackageSet{Into: "b", Install: []string{"gone"}, Line: 9}, lockfile.PackageSet{Into: "c", Install: []string{"lost"}, Arches: []string{"aarch64"}, Line: 10})
	_, err := w.lockBy(t, &solver{}, req, lock.Options{})
	var text string
	if err != nil {
		text = err.Error()
	}
	var want []string
	for _, set := range []string{"9: packages into b for x86_64: nothing provides gone", "9: packages into b for aarch64: nothing provides gone", "10: packages into c for aarch64: nothing provides lost"} {
		name, _, _ := strings.Cut(set, ": nothing")
		want = append(want, "demo.yaml:"+set+"; for you", "demo.yaml:"+name+": and more")
	}
	if diff := cmp.Diff(want, strings.Split(text, "\n")); diff != "" || report.Classify(err) != report.ClassContent {
		t.Errorf("class %d (-want +got):\n%s", report.Classify(err), diff)
	}
}

// TestMissingAndBroken: a name that no repository has, where dnf ends, does not hide what
// cannot be installed.
func TestMissingAndBroken(t *testing.T) {
	w, req := withPackages(t)
	w.repos["base x86_64"] = newRepository(t, "https://m/x86_64/", signed(t, "app", "1.0", "x86_64", "nosuch"))
	req.Packages = []lockfile.PackageSet{{Into: "os", Install: []string{"app", "gone"}, Arches: []string{"x86_64"}, Line: 9}}
	_, err := w.resolveWith(t, req, lock.Options{})
	text := fmt.Sprint(err)
	if !strings.Contains(text, "gone: no repository has") || !strings.Contains(text, "nothing provides nosuch, needed by app-1.0-1.x86_64") || strings.Count(text, "demo.yaml:9:") != 2 {
		t.Errorf("got\n%s", text)
	}
}

// TestDamagedMetadata: what a repository says of itself, and is not so, is wrong content.
func TestDamagedMetadata(t *testing.T) {
	for name, damage := range map[string]func(r *repository){
		"malformed":  func(r *repository) { r.rewrite("-primary.xml.gz", "<metadata") },
		"no primary": func(r *repository) { r.repomd = bytes.ReplaceAll(r.repomd, []byte(`"primary"`), []byte(`"prim"`)) },
	} {
		w, req := withPackages(t)
		damage(w.repos["base aarch64"])
		_, err := w.lockBy(t, &solver{}, req, lock.Options{})
		if report.Classify(err) != report.ClassContent || !strings.HasPrefix(fmt.Sprint(err), "demo.yaml:5: repo base: ") {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
	}
}

// TestNoFilelists: a file that nobody is known to have may be one of a repository that
// does not list its files.
func TestNoFilelists(t *testing.T) {
	w, req := withPackages(t)
	req.Packages = []lockfile.PackageSet{{Into: "os", Install: []string{"gone", "/opt/x"}, Arches: []string{"x86_64"}, Line: 9}}
	r := w.repos["base x86_64"]
	r.repomd = bytes.ReplaceAll(r.repomd, []byte(`"filelists"`), []byte(`"lists"`))
	_, err := w.resolveWith(t, req, lock.Options{})
	text := fmt.Sprint(err)
	if n := strings.Count(text, "repository base (x86_64) names no filelists"); n != 1 || !strings.Contains(text, "gone: no repository") {
		t.Errorf("told %d times: %v", n, err)
	}
}

func TestRepositoryGone(t *testing.T) {
	w, req := withPackages(t)
	delete(w.repos, "base aarch64")
	_, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err == nil || report.Classify(err) != report.ClassUnavailable || !strings.HasPrefix(err.Error(), "demo.yaml:5: repo base: ") || strings.Contains(err.Error(), "packages into") {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}

func TestAbsentPackage(t *testing.T) {
	w, req := withPackages(t)
	w.repos["more x86_64"] = newRepository(t, "https://m/x/", signed(t, "intel", "1.0", "x86_64"))
	req.Packages[0].Install = []string{"app", "intel"}
	req.Absent = []lockfile.Absent{{Name: "intel", Arch: "aarch64", Why: "no such CPU"}}
	got, err := w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(req.Absent, got.Lock.Absent); diff != "" || len(got.Lock.RPMs) != 5 {
		t.Errorf("%d packages, absent (-want +got):\n%s", len(got.Lock.RPMs), diff)
	}
	// What is there after all is no absence.
	req.Absent = []lockfile.Absent{{Name: "app", Arch: "aarch64", Why: "w"}, {Name: "intel", Arch: "aarch64", Why: "w"}}
	got, err = w.lockBy(t, &solver{}, req, lock.Options{})
	if err != nil || len(got.Lock.RPMs) != 5 || len(got.Lock.Absent) != 1 || len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "app is said to be absent") {
		t.Errorf("%+v, %v", got, err)
	}
}
