package crash

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/test/origin"
)

// A site is a bundle with a registry that has it, and what makes it anew.
type site struct {
	*workshop
	bundle   string
	registry *server
	seeder   program
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{workshop: newQuickWorkshop(t), registry: startRegistry(t)}
	s.bundle = filepath.Join(t.TempDir(), "work.bundle.tar")
	if err := os.WriteFile(s.bundle, s.want, 0o644); err != nil {
		t.Fatal(err)
	}
	s.seeder = program{name: "seeder", env: s.registry.env}
	s.seeder.run(t, 0, nil, s.push()...)
	return s
}

func (s *site) push() []string  { return append([]string{"push", s.bundle}, s.registry.flags...) }
func (s *site) audit() []string { return append([]string{"audit", s.bundle}, s.registry.flags...) }

// With few descriptors a program does less at once, or says what it lacks. With fewer than
// 8, Go's runtime cannot even begin.
func TestFewDescriptors(t *testing.T) {
	s := newSite(t)
	limits := []int{32, 16, 12}
	if os.Getenv("AIRBUNDLE_FAULTS") == full {
		limits = append(limits, 10, 9, 8)
	}
	for _, n := range limits {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			limited := func(p program) program { p.shell = fmt.Sprintf("ulimit -n %d", n); return p }
			a := s.attempt(t)
			fresh := attempts(s.bundle, startRegistry)(t)
			verify := attempt{program: s.seeder, args: []string{"verify", s.bundle}, check: func(*testing.T, met) {}}
			audit := attempt{program: s.seeder, args: s.audit(), check: func(*testing.T, met) {}}
			for _, a := range []attempt{a, fresh, verify, audit} {
				got := limited(a.program).end(t, a.args...)
				t.Logf("%s: status %d after %v", a.args[0], got.code, got.took)
				told := strings.Contains(got.talk, "too many open files")
				if got.code != 0 && (got.code != 9 || !told) || n >= 16 && got.code != 0 {
					t.Errorf("%s with %d descriptors: status %d\n%s", a.args[0], n, got.code, got.talk)
				}
				if a.check(t, got); a.again != nil {
					a.again(t)
				}
			}
		})
	}
}

// A limit on the size of files is told before anything is downloaded, and never ends the
// program without a word.
func TestFileSizeLimit(t *testing.T) {
	s := newSite(t)
	a := s.attempt(t)
	a.program.shell = "ulimit -f 2000"
	s.src.Forget()
	got := a.program.end(t, a.args...)
	if got.code != 9 || !strings.Contains(got.talk, "file too large") || !strings.Contains(got.talk, a.paths[1]) {
		t.Errorf("status %d\n%s", got.code, got.talk)
	}
	if n := s.src.Sent(); n > 0 {
		t.Errorf("%d bytes were downloaded before", n)
	}
	a.check(t, got)
	a.again(t)
	for name, args := range map[string][]string{
		"root":   {"inspect", s.bundle, "--root"},
		"export": {"export", s.lock, "--format", "cyclonedx", "-o"},
	} {
		out := filepath.Join(t.TempDir(), "out.json")
		p := s.bundler
		p.shell = "ulimit -f 1"
		got := p.end(t, append(args, out)...)
		left, err := os.ReadDir(filepath.Dir(out))
		if got.code != 9 || !strings.Contains(got.talk, out) || len(left) > 0 || err != nil {
			t.Errorf("%s: status %d, left %v, %v\n%s", name, got.code, left, err, got.talk)
		}
	}
}

// Results that cannot be printed are no success; whoever closed the stream wants none.
func TestStandardOutput(t *testing.T) {
	s, nexus := newSite(t), startNexus(t)(t)
	for name, c := range map[string]struct {
		program program
		args    []string
	}{
		"build":      {s.bundler, []string{"build", s.lock, "-o", filepath.Join(t.TempDir(), "a.tar")}},
		"build json": {s.bundler, []string{"build", s.lock, "--output", "json", "-o", filepath.Join(t.TempDir(), "b.tar")}},
		"dry run":    {s.bundler, []string{"build", s.lock, "--dry-run"}},
		"inspect":    {s.bundler, []string{"inspect", s.bundle}},
		"diff":       {s.bundler, []string{"diff", s.bundle, s.bundle, "--output", "json"}},
		"lint":       {s.bundler, []string{"lint", s.lock}},
		"verify":     {s.seeder, []string{"verify", s.bundle}},
		"push":       {s.seeder, s.push()},
		"audit":      {s.seeder, append(s.audit(), "--output", "json")},
		"push plan":  {s.seeder, append(s.push(), "--dry-run")},
		"plan":       {program{name: "seeder", env: nexus.env}, append([]string{"plan", s.bundle}, nexus.flags...)},
		"root":       {s.bundler, []string{"inspect", s.bundle, "--root", "-"}},
		"export":     {s.bundler, []string{"export", s.lock, "--format", "sha256sums", "-o", "-"}},
		"lint json":  {s.bundler, []string{"lint", s.lock, "--output", "json"}},
		"help":       {s.bundler, []string{"lock", "--help"}},
		"completion": {s.bundler, []string{"completion", "bash"}},
		"version":    {s.seeder, []string{"--version"}},
	} {
		t.Run(name, func(t *testing.T) {
			full := c.program
			full.shell = "exec >/dev/full"
			if got := full.end(t, c.args...); got.code != 9 || !strings.Contains(got.talk, "no space left") {
				t.Errorf("/dev/full: status %d\n%s", got.code, got.talk)
			}
			closed := c.program
			closed.shell = "exec >&- 2>&-"
			if got := closed.end(t, c.args...); got.code != 0 {
				t.Errorf("closed: status %d\n%s", got.code, got.talk)
			}
			got := c.program.end(t, c.args...)
			if got.code != 0 || strings.ContainsAny(got.talk, "\x1b\r") {
				t.Errorf("not a terminal: status %d\n%q", got.code, got.talk)
			}
			cmd := c.program.command(t, c.args...)
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			r.Close()
			cmd.Stdout = w
			err = cmd.Run()
			w.Close()
			if err == nil {
				t.Error("a pipe that nobody reads: success")
			}
		})
	}
}

// What cannot be written is told before anything is downloaded; to read is enough for verify
// and push.
func TestReadOnly(t *testing.T) {
	s := newSite(t)
	for _, what := range []string{"EROFS", "EACCES", "EPERM"} {
		a := s.attempt(t)
		s.src.Forget()
		got := a.program.disturb(t, fault{call: "openat", nth: 1, stays: true, what: "error=" + what, paths: a.paths}, a.args)
		if got.code != 9 || !got.fault || !strings.Contains(got.talk, a.paths[1]) {
			t.Errorf("%s: status %d\n%s", what, got.code, got.talk)
		}
		if asked := s.src.Log(); len(asked) > 0 {
			t.Errorf("%s: before it was found out, the source was asked for %v", what, asked)
		}
		a.check(t, got)
	}
	for _, args := range [][]string{{"verify", s.bundle}, s.push()} {
		kinds := "trace=openat,creat,mkdirat,unlinkat,renameat,renameat2,ftruncate,fallocate,pwrite64,socket"
		end, log := s.seeder.strace(t, []string{"-e", kinds}, args)
		if end.code != 0 {
			t.Fatalf("%v: status %d\n%s", args, end.code, end.talk)
		}
		for line := range strings.Lines(log) {
			reads := strings.Contains(line, "openat(") && !strings.Contains(line, "O_WRONLY") && !strings.Contains(line, "O_CREAT") &&
				(!strings.Contains(line, "O_RDWR") || strings.Contains(line, "/dev/null"))
			if !reads && !strings.Contains(line, "resumed>") && (args[0] == "verify" || !strings.Contains(line, "socket(")) {
				t.Errorf("%s changes something: %s", args[0], line)
			}
		}
	}
}

// mounted runs a program where a directory is a file system of its own, or says why not.
func mounted(t *testing.T, p program, mount string) program {
	t.Helper()
	if err := exec.Command("unshare", "-m", "true").Run(); err != nil {
		t.Skipf("this account mounts nothing: %v", err)
	}
	p.shell = `if [ -z "$MOUNTED" ]; then MOUNTED=1 exec unshare -m /bin/sh -c '` + mount + `; exec "$0" "$@"' "$0" "$@"; fi`
	return p
}

func TestSmallFileSystem(t *testing.T) {
	s := newSite(t)
	for mount, want := range map[string][]string{
		"mount -t tmpfs -o size=1m none %s":                       {"more bytes needed", "are free"},
		"mount --bind %s %[1]s && mount -o remount,ro,bind %[1]s": {"read-only file system"},
	} {
		a := s.attempt(t)
		s.src.Forget()
		got := mounted(t, a.program, fmt.Sprintf(mount, a.paths[0])).end(t, a.args...)
		if got.code != 9 || s.src.Sent() > 0 {
			t.Errorf("%s: status %d, %d bytes were downloaded\n%s", mount, got.code, s.src.Sent(), got.talk)
		}
		for _, text := range append(want, a.paths[1]) {
			if !strings.Contains(got.talk, text) {
				t.Errorf("%s: %q is not told\n%s", mount, text, got.talk)
			}
		}
		if names, err := os.ReadDir(a.paths[0]); err != nil || len(names) > 0 {
			t.Errorf("left %v, %v", names, err)
		}
	}
	dir := filepath.Dir(s.bundle)
	readOnly := mounted(t, s.seeder, fmt.Sprintf("mount --bind %s %[1]s && mount -o remount,ro,bind %[1]s", dir))
	for _, args := range [][]string{{"verify", s.bundle}, s.push(), s.audit()} {
		if got := readOnly.end(t, args...); got.code != 0 {
			t.Errorf("%s from a read-only medium: status %d\n%s", args[0], got.code, got.talk)
		}
	}
}

// A file of the connected host may change while it is read: what is stored is what the lock
// pins, or nothing.
func TestSourceChangesWhileRead(t *testing.T) {
	f := work(t)
	dir := t.TempDir()
	file := filepath.Join(dir, "large.bin")
	good := noise("local", 3<<20)
	bad := bytes.Clone(good)
	bad[len(bad)-1]++
	f.AddFile("heavy/local.bin", good)
	src := origin.Start(t, f, origin.Options{})
	lock := src.Lock
	lock.Files[len(lock.Files)-1].URLs = []string{"file:large.bin"}
	raw, err := lock.Encode()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "lock.yaml"), raw, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	bundler := program{name: "bundler", env: []string{"BUNDLER_PLAIN_HTTP=" + src.Host}}
	out := filepath.Join(dir, "a.tar")
	args := []string{"build", filepath.Join(dir, "lock.yaml"), "-o", out}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.WriteFile(file, [][]byte{bad, good, good[:1<<20]}[i%3], 0o644)
		}
	}()
	for range 5 {
		got := bundler.end(t, args...)
		if got.code != 0 && got.code != 4 && got.code != 6 {
			t.Errorf("status %d\n%s", got.code, got.talk)
		}
		if got.code != 0 && !strings.Contains(got.talk, "large.bin") {
			t.Errorf("the file is not named:\n%s", got.talk)
		}
		if _, err := os.Stat(out); (err == nil) != (got.code == 0) {
			t.Errorf("status %d, and the archive: %v", got.code, err)
		}
		_ = os.Remove(out)
	}
	close(stop)
	<-stopped
	if err := os.WriteFile(file, good, 0o644); err != nil {
		t.Fatal(err)
	}
	bundler.run(t, 0, nil, args...)
	program{name: "seeder"}.run(t, 0, nil, "verify", out)
}
