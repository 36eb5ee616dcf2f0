package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Nothing of ours goes to TMPDIR, be it absent, full, or a place where nothing can be run.
func TestTemporaryDirectoryDoesNotMatter(t *testing.T) {
	s := newSite(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	for what, c := range map[string]struct{ dir, mount string }{
		"absent":    {"/does/not/exist", ""},
		"a file":    {file, ""},
		"full":      {tmp, "mount -t tmpfs -o size=4k,mode=700 none %s && head -c 4096 /dev/zero >%[1]s/filler"},
		"noexec":    {tmp, "mount -t tmpfs -o noexec none %s"},
		"read-only": {tmp, "mount -t tmpfs -o ro none %s"},
	} {
		if os.Getenv("AIRBUNDLE_FAULTS") != full && what != "absent" && what != "full" {
			continue
		}
		t.Run(what, func(t *testing.T) {
			in := func(p program) program {
				p.env = append(slices.Clone(p.env), "TMPDIR="+c.dir)
				if c.mount != "" {
					p = mounted(t, p, fmt.Sprintf(c.mount, c.dir))
				}
				return p
			}
			a := s.attempt(t)
			key := filepath.Join(t.TempDir(), "k")
			for _, step := range []struct {
				program program
				args    []string
			}{
				{a.program, a.args}, {a.program, []string{"keygen", "-o", key}}, {a.program, append(a.args, "--sign", key+".key")},
				{s.seeder, []string{"verify", a.paths[1], "--key", key + ".pub"}}, {s.seeder, s.push()}, {s.seeder, append(s.audit(), "--deep")},
			} {
				if got := in(step.program).end(t, step.args...); got.code != 0 {
					t.Errorf("%v: status %d\n%s", step.args, got.code, got.talk)
				}
			}
			if left, err := os.ReadDir(tmp); err != nil || len(left) > 0 {
				t.Errorf("left below TMPDIR: %v, %v", left, err)
			}
		})
	}
}

// A full device under what is written beside an archive: no success, nothing torn, nothing
// left; a push that cannot remember its serial says so.
func TestFullPlaces(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	full := fmt.Sprintf("mount -t tmpfs -o size=4k,mode=700 none %s && head -c 4096 /dev/zero >%[1]s/filler", dir)
	at := func(name string) string { return filepath.Join(dir, name) }
	seven := bundleOf(t, "demo")
	for what, c := range map[string]struct {
		program program
		args    []string
		code    int
		says    string
	}{
		"receipt": {s.seeder, append(s.audit(), "--receipt", at("site.json")), 9, at("site.json")},
		"root":    {s.bundler, []string{"inspect", s.bundle, "--root", at("root.json")}, 9, at("root.json")},
		"export":  {s.bundler, []string{"export", s.lock, "--format", "cyclonedx", "-o", at("bom.json")}, 9, at("bom.json")},
		"keygen":  {s.bundler, []string{"keygen", "-o", at("k")}, 9, at("k.key")},
		"serials": {s.seeder, append([]string{"push", seven, "--state-dir", dir}, s.registry.flags...), 0, "NOT remembered"},
		"stdout":  {s.seeder, append(s.audit(), "--output", "json"), 9, "write the result"},
	} {
		t.Run(what, func(t *testing.T) {
			mount := full + `; "$0" "$@"; code=$?; echo "left: "$(ls -A ` + dir + `) >&2; exit $code`
			if what == "stdout" {
				mount = full + " && exec >" + at("report.json")
			}
			got := mounted(t, c.program, mount).end(t, c.args...)
			if got.code != c.code || !strings.Contains(got.talk, c.says) || !strings.Contains(got.talk, "no space left") {
				t.Errorf("status %d, want %d and %q\n%s", got.code, c.code, c.says, got.talk)
			}
			_, left, _ := strings.Cut(got.talk, "left: ")
			if left = strings.TrimSpace(left); left != "filler" && left != "filler serials.lock" && what != "stdout" {
				t.Errorf("left: %s", left)
			}
		})
	}
}

// A write that fails in whatever small file, or in what is printed, is told; a file that is
// there is whole.
func TestEachWriteOfSmallFilesFails(t *testing.T) {
	s := newSite(t)
	for what, c := range map[string]struct {
		program program
		args    []string // and where to, at last
		call    string   // that fails; most writes of an audit are to its server
		same    bool     // each run writes the same
	}{
		"root":    {s.bundler, []string{"inspect", s.bundle, "--root"}, "write", true},
		"export":  {s.bundler, []string{"export", s.lock, "--format", "cyclonedx", "-o"}, "write", true},
		"receipt": {s.seeder, append(s.audit(), "--receipt"), "fsync", true},
		"keygen":  {s.bundler, []string{"keygen", "-o"}, "write", false},
	} {
		t.Run(what, func(t *testing.T) {
			want := filepath.Join(t.TempDir(), "out.json")
			c.program.run(t, 0, nil, append(c.args, want)...)
			whole, err := os.ReadFile(want)
			if c.same && err != nil {
				t.Fatal(err)
			}
			told := 0
			for nth := 1; nth <= 4; nth++ {
				out := filepath.Join(t.TempDir(), "out.json")
				got := c.program.disturb(t, fault{call: c.call, nth: nth, what: "error=EIO"}, append(c.args, out))
				if !got.fault || runtimeTalk.MatchString(got.talk) {
					continue
				}
				if got.code != 0 {
					told++
				}
				mute := c.call == "write" && got.times > 1 // so may the message be that says it
				if got.code != 0 && (got.code != 9 || !mute && !strings.Contains(got.talk, "input/output error")) {
					t.Errorf("write %d: status %d\n%s", nth, got.code, got.talk)
				}
				if raw, err := os.ReadFile(out); c.same && (err == nil || got.code == 0) && string(raw) != string(whole) {
					t.Errorf("write %d: status %d, and the file is torn or not there (%v)", nth, got.code, err)
				}
				if left, err := filepath.Glob(filepath.Join(filepath.Dir(out), ".*")); err != nil || len(left) > 0 {
					t.Errorf("write %d: left %v", nth, left)
				}
			}
			if told == 0 {
				t.Error("no write that fails is told")
			}
		})
	}
}

// A lock that is killed while it is written leaves none, or a whole one; the next run leaves
// nothing else.
func TestKilledLock(t *testing.T) {
	w := newQuickWorkshop(t)
	images := "images:\n"
	for repo, tag := range repositories {
		images += fmt.Sprintf("  - source: %s/%s:%s\n", w.src.Host, repo, tag)
	}
	request := "apiVersion: airbundle/v1\nkind: Request\nname: wishes\narches: [x86_64]\n" + images
	var want []byte
	start := func(t *testing.T) attempt {
		dir := t.TempDir()
		in, out := filepath.Join(dir, "request.yaml"), filepath.Join(dir, "out.lock.yaml")
		if err := os.WriteFile(in, []byte(request), 0o644); err != nil {
			t.Fatal(err)
		}
		args := []string{"lock", in, "-o", out}
		return attempt{
			program: w.bundler, args: args, paths: []string{dir, in, out},
			check: func(t *testing.T, ended met) {
				t.Helper()
				if raw, err := os.ReadFile(out); (err == nil || ended.code == 0) && string(raw) != string(want) {
					t.Errorf("status %d, and the lock is torn or not there (%v)", ended.code, err)
				}
			},
			again: func(t *testing.T) {
				t.Helper()
				w.bundler.run(t, 0, nil, args...)
				if raw, err := os.ReadFile(out); err != nil || want != nil && string(raw) != string(want) {
					t.Errorf("the rerun wrote another lock (%v)", err)
				} else {
					want = raw
				}
				onlyLeft(t, in, out)
			},
		}
	}
	start(t).again(t)
	c := campaign{what: "signal=SIGKILL", calls: []string{"fsync", "fchmod", "renameat", "flock", "getdents64", "close", "openat", "write"}, n: 24, few: 6, codes: []int{0, 137}}
	c.run(t, start)
}
