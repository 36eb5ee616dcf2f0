package rollback

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sys/unix"

	"airbundle/internal/fuzztest"
)

var rootA, rootB = digest.FromString("a"), digest.FromString("b")

func bundle(name string, serial int64, trusted bool) Bundle {
	return Bundle{Name: name, Serial: serial, Root: rootA, Trusted: trusted}
}

func read(t *testing.T, dir string) *Memory {
	t.Helper()
	m, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func record(t *testing.T, dir string, all ...Bundle) {
	t.Helper()
	for _, b := range all {
		if err := Record(t.Context(), dir, b); err != nil {
			t.Fatalf("%+v: %v", b, err)
		}
	}
}

func TestCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "above", "state")
	if err := read(t, dir).Check(bundle("k8s", 0, false)); err != nil {
		t.Errorf("nothing is remembered, and %v", err)
	}
	if _, err := os.Stat(filepath.Dir(dir)); err == nil {
		t.Error("reading has made a directory")
	}
	record(t, dir, bundle("k8s", 5, true), bundle("k8s", 4, true), bundle("k8s", 9, false), bundle("other", 7, false), bundle("plain", 0, true))
	for _, c := range []struct {
		b    Bundle
		seen int64 // that is refused for; 0: it is good
	}{
		{bundle("k8s", 5, true), 0},
		{bundle("k8s", 6, true), 0}, // the stranger's 9 does not count
		{bundle("k8s", 4, true), 5},
		{bundle("k8s", 0, true), 5},
		{bundle("k8s", 9, false), 0},
		{bundle("k8s", 8, false), 9},
		{bundle("k8s", 0, false), 9},
		{bundle("other", 1, true), 0}, // the first that is trusted
		{bundle("other", 6, false), 7},
		{bundle("plain", 0, true), 0},
		{bundle("plain", 0, false), 0},
		{bundle("unknown", 0, false), 0},
		{bundle("K8S", 1, true), 0},
	} {
		err := read(t, dir).Check(c.b)
		e, ok := errors.AsType[*SerialError](err)
		if ok != (c.seen > 0) || ok && (e.Seen.Serial != c.seen || e.ExitCode() != 5 || !strings.Contains(err.Error(), filepath.Join(dir, fileName)) || !strings.Contains(err.Error(), "--allow-rollback")) {
			t.Errorf("%+v: %v, want %d", c.b, err, c.seen)
		}
	}
	// A trusted one counts for those that are not.
	record(t, dir, bundle("k8s", 20, true))
	if err := read(t, dir).Check(bundle("k8s", 15, false)); err == nil {
		t.Error("a bundle that nobody vouches for is older than a trusted one, and was taken")
	}
}

func TestSeen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	record(t, dir, bundle("a", 1, true), bundle("b", 2, false), Bundle{"a", 1, rootB, true}, Bundle{"b", 1, rootB, false})
	if got, want := fmt.Sprint(read(t, dir).Seen()), fmt.Sprint([]Bundle{{"a", 1, rootB, true}, {"b", 2, rootA, false}}); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// Directory, file and lock are the owner's alone, whatever the umask.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o177} {
		dir := filepath.Join(t.TempDir(), "state")
		old := syscall.Umask(mask)
		err := Record(t.Context(), dir, bundle("k8s", 1, true))
		syscall.Umask(old)
		if err != nil {
			t.Fatalf("umask %o: %v", mask, err)
		}
		for name, want := range map[string]os.FileMode{"": 0o700, fileName: 0o600, lockName: 0o600} {
			if st, err := os.Stat(filepath.Join(dir, name)); err != nil || st.Mode().Perm() != want {
				t.Errorf("umask %o: %s: %v, %v", mask, name, st.Mode(), err)
			}
		}
		if left, _ := os.ReadDir(dir); len(left) != 2 {
			t.Errorf("%v", left)
		}
	}
}

func TestNoLinkIsFollowed(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	good := `{"schema":"airbundle/serials/v1","bundles":[]}`
	for _, name := range []string{fileName, lockName} {
		dir := t.TempDir()
		if err := errors.Join(os.WriteFile(victim, []byte(good), 0o600), os.Symlink(victim, filepath.Join(dir, name)), os.Chmod(dir, 0o700)); err != nil {
			t.Fatal(err)
		}
		if err := Record(t.Context(), dir, bundle("k8s", 1, true)); err == nil || !strings.Contains(err.Error(), "it is a link") {
			t.Errorf("%s: %v", name, err)
		}
		if got, err := os.ReadFile(victim); err != nil || string(got) != good {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	dir := t.TempDir()
	if err := os.Symlink(victim, filepath.Join(dir, fileName)); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(dir); err == nil || !strings.Contains(err.Error(), "it is a link") {
		t.Errorf("%v", err)
	}
}

func TestPlacesThatWillNotDo(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), nil, 0o600), os.Mkdir(at("open"), 0o700), os.Chmod(at("open"), 0o770), os.Mkdir(at("dir"), 0o700), os.Mkdir(at("dir/"+fileName), 0o700)); err != nil {
		t.Fatal(err)
	}
	for place, want := range map[string]string{"file": "not a directory", "file/below": "not a directory", "open": "others can write", "dir": "not a regular file"} {
		if err := Record(t.Context(), at(place), bundle("k8s", 1, true)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", place, err, want)
		}
	}
	if err := Record(t.Context(), at("unmade"), bundle("k8s", 0, true)); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(at("unmade")); err == nil {
		t.Error("a directory was made for a bundle without a serial")
	}
}

// What the system refuses may be whole: nobody is told to remove it.
func TestAdviceForTheMemory(t *testing.T) {
	for err, want := range map[error]bool{
		unix.EMFILE: false, unix.EACCES: false, unix.ENOTDIR: false,
		unix.EIO: true, errors.New("it is damaged: no JSON"): true,
	} {
		e := &DamagedError{"serials.json", err}
		if got := e.Advice() != ""; got != want || strings.Contains(e.Error(), "remove it") != want || !strings.Contains(e.Error(), err.Error()) {
			t.Errorf("%v: advice %q, in %q", err, e.Advice(), e)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(file); err == nil || strings.Contains(err.Error(), "remove it") {
		t.Errorf("no directory: %v", err)
	}
}

func TestDecode(t *testing.T) {
	seen := `{"serial":1,"root":"` + rootA.String() + `"}`
	list := func(entries string) string { return `{"schema":"airbundle/serials/v1","bundles":[` + entries + `]}` }
	good := list(`{"name":"a","trusted":` + seen + `},{"name":"b","untrusted":` + seen + `}`)
	for _, c := range []struct{ name, raw, want string }{
		{"good", good, ""},
		{"edited", strings.ReplaceAll(good, ",", " ,\n\t") + "\n", ""},
		{"of nothing", list(""), ""},
		{"empty", "", "damaged"},
		{"zeros", strings.Repeat("\x00", 100), "damaged"},
		{"cut", good[:len(good)-1], "damaged"},
		{"more", good + good, "text follows"},
		{"null", "null", "damaged"},
		{"a list", "[]", "damaged"},
		{"another schema", strings.Replace(good, "v1", "v2", 1), "schema"},
		{"no schema", `{"bundles":[]}`, "damaged"},
		{"an unknown member", `{"schema":"airbundle/serials/v1","bundles":[],"x":1}`, "damaged"},
		{"a member twice", list(`{"name":"a","name":"a","trusted":` + seen + `}`), "damaged"},
		{"in other case", list(`{"Name":"a","trusted":` + seen + `}`), "damaged"},
		{"in another order", list(`{"trusted":` + seen + `,"name":"a"}`), "damaged"},
		{"a name twice", list(`{"name":"a","trusted":` + seen + `},{"name":"a","untrusted":` + seen + `}`), "not in order"},
		{"not sorted", list(`{"name":"b","trusted":` + seen + `},{"name":"a","trusted":` + seen + `}`), "not in order"},
		{"no name", list(`{"name":"","trusted":` + seen + `}`), "not a name"},
		{"a path", list(`{"name":"../a","trusted":` + seen + `}`), "not a name"},
		{"without a serial", list(`{"name":"a"}`), "without a serial"},
		{"serial 0", strings.Replace(good, `"serial":1`, `"serial":0`, 1), "serial 0"},
		{"serial -1", strings.Replace(good, `"serial":1`, `"serial":-1`, 1), "serial -1"},
		{"a fraction", strings.Replace(good, `"serial":1`, `"serial":1.0`, 1), "damaged"},
		{"a text", strings.Replace(good, `"serial":1`, `"serial":"1"`, 1), "damaged"},
		{"above 2^63", strings.Replace(good, `"serial":1`, `"serial":9223372036854775808`, 1), "damaged"},
		{"no digest", strings.Replace(good, rootA.String(), "sha256:x", 1), "root"},
		{"deep", strings.Repeat("[", 100000), "damaged"},
		{"large", good + strings.Repeat(" ", maxFile), "larger"},
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(c.raw), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := Read(dir)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			continue
		}
		e, ok := errors.AsType[*DamagedError](err)
		if !ok || e.ExitCode() != 9 || len(err.Error()) > 1000 || c.name != "large" && !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), filepath.Join(dir, fileName)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		// What is damaged is not written over.
		if err := errors.Join(os.Chmod(dir, 0o700), Record(t.Context(), dir, bundle("k8s", 1, true))); err == nil {
			t.Errorf("%s: it was written over", c.name)
		}
	}
}

func TestTooManyBundles(t *testing.T) {
	var m Memory
	for i := range maxBundles {
		m.doc.Bundles = append(m.doc.Bundles, entry{Name: fmt.Sprintf("b%06d", i), Trusted: &seen{1, rootA}})
	}
	m.doc.Schema = schema
	if err := m.doc.check(); err != nil {
		t.Error(err)
	}
	if m.remember(bundle("one-more", 1, true)); m.doc.check() == nil {
		t.Error("there is no bound")
	}
}

// Processes that record at once lose nothing.
func TestRecordAtOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := Record(t.Context(), dir, bundle(fmt.Sprintf("b%02d", i), int64(i+1), i%2 == 0)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := len(read(t, dir).Seen()); got != 20 {
		t.Errorf("%d are remembered", got)
	}
}

func TestLocked(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	record(t, dir, bundle("k8s", 1, true))
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	_, err = lock(t.Context(), filepath.Join(dir, lockName), 50*time.Millisecond)
	if e, ok := errors.AsType[*LockedError](err); !ok || e.ExitCode() != 8 || !strings.Contains(err.Error(), lockName) {
		t.Errorf("%v", err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if err := Record(ctx, dir, bundle("k8s", 2, true)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if err := read(t, dir).Check(bundle("k8s", 1, true)); err != nil {
		t.Errorf("a reader waits for nobody, and %v", err)
	}
}

func FuzzRead(f *testing.F) {
	seen := `{"serial":1,"root":"` + rootA.String() + `"}`
	f.Add([]byte(`{"schema":"airbundle/serials/v1","bundles":[]}`))
	f.Add([]byte(`{"schema":"airbundle/serials/v1","bundles":[{"name":"a","trusted":` + seen + `,"untrusted":` + seen + `}]}` + "\n"))
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		var m Memory
		if m.decode(raw) != nil {
			return
		}
		for _, s := range m.Seen() {
			if err := m.Check(s); err != nil && s.Trusted {
				t.Fatalf("%q: %+v is older than itself: %v", raw, s, err)
			}
		}
		m.remember(bundle("zz", 1, true))
		if err := m.doc.check(); err != nil && len(m.doc.Bundles) <= maxBundles {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}
