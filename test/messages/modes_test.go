package messages

import (
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/bundletest"
	"airbundle/internal/registrytest"
	"airbundle/test/origin"
)

// stateful are the commands that keep something, and what each leaves with which mode when
// the umask takes nothing away. The build is interrupted, for only then its state stays.
func stateful(t testing.TB) (run func(p *process) []result, want map[string]fs.FileMode) {
	t.Helper()
	f := bundletest.New(t)
	f.Lock.Serial = 7
	bundle := f.Build(t)
	reg := registrytest.Start(t, registrytest.Options{})
	o := origin.Start(t, f, origin.Options{})
	raw, err := o.Lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(t.TempDir(), "demo.lock.yaml")
	if err := os.WriteFile(lock, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	pushed := newProcess(t).run(t, "seeder", "push", bundle, "--registry", reg.Host, "--plain-http", reg.Host)
	if pushed.code != 0 {
		t.Fatal(pushed.err)
	}
	root := rootOf(t, bundle)
	o.Hold()
	t.Cleanup(o.Release)
	run = func(p *process) []result {
		out := []result{p.run(t, "bundler", "keygen", "-o", "site")}
		out = append(out, p.run(t, "seeder", "push", bundle, "--registry", reg.Host, "--plain-http", reg.Host, "--root", root, "--state-dir", "state"))
		out = append(out, p.run(t, "seeder", "audit", bundle, "--registry", reg.Host, "--plain-http", reg.Host, "--state-dir", "other", "--receipt", "site.json"))
		build := *p
		build.after, build.with = 3*time.Second, syscall.SIGKILL
		return append(out, build.run(t, "bundler", "build", lock, "-o", "x.bundle.tar", "--plain-http", o.Host))
	}
	return run, map[string]fs.FileMode{
		"site.key": 0o600, "site.pub": 0o644, "site.json": 0o600, "state": fs.ModeDir | 0o700, "state/serials.json": 0o600,
		"x.bundle.tar.part.journal": 0o600, "x.bundle.tar.part": 0o644,
	}
}

// rootOf is the digest of a bundle's root.
func rootOf(t testing.TB, bundle string) string {
	t.Helper()
	r := newProcess(t).run(t, "seeder", "verify", bundle, "--output", "json")
	return decode(t, r.out).Root
}

// TestModesOfState: what the programs keep is their owner's, even where the umask is 0, and
// lies where its name says: a link under the name is refused, and what it leads to is left
// alone (V04). The content of an archive is no secret, but nobody else may write it.
func TestModesOfState(t *testing.T) {
	old := syscall.Umask(0)
	t.Cleanup(func() { syscall.Umask(old) })
	run, want := stateful(t)
	p := newProcess(t)
	results := run(p)
	for name, mode := range want {
		if st, err := os.Lstat(filepath.Join(p.dir, name)); err != nil || st.Mode() != mode {
			t.Errorf("%s: %v, %v, want %v\n%+v", name, st, err, mode, results)
		}
	}
	linked := newProcess(t)
	victim := filepath.Join(linked.dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(linked.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, mode := range want {
		if mode.IsRegular() {
			if err := os.Symlink(victim, filepath.Join(linked.dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i, r := range run(linked) {
		if r.code <= 0 {
			t.Errorf("command %d with links: exit %d\n%s%s", i, r.code, r.out, r.err)
		}
	}
	if raw, err := os.ReadFile(victim); err != nil || string(raw) != "precious" {
		t.Errorf("the links were followed: %q, %v", raw, err)
	}
	if st, err := os.Lstat(victim); err != nil || st.Mode() != 0o666 {
		t.Errorf("the mode of what links lead to: %v, %v", st, err)
	}
}
