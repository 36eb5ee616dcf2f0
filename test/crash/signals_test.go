package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"airbundle/test/origin"
)

// soon is how long a program may take to end after a signal.
const soon = 5 * time.Second

// signalled starts a program, sends it signals when ready says so, and returns how it ended
// and how long after the first.
func signalled(t *testing.T, p program, args []string, ready func(pid int) bool, signals ...os.Signal) met {
	t.Helper()
	cmd := p.command(t, args...)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(limit); !ready(cmd.Process.Pid); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			t.Fatalf("%s does not come to work", p.name)
		}
	}
	start := time.Now()
	for _, sig := range signals {
		if err := cmd.Process.Signal(sig); err != nil && sig == signals[0] && len(signals) == 1 {
			t.Fatalf("%s ended before the signal: %v", p.name, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	select {
	case <-ended:
	case <-time.After(2 * soon):
		_ = cmd.Process.Kill()
		<-ended
	}
	return met{code: cmd.ProcessState.ExitCode(), talk: talk.String(), took: time.Since(start)}
}

// opened says that a process has a file open: it is at work, and knows of signals.
func opened(path string) func(pid int) bool {
	return func(pid int) bool { return holds(pid, func(to string) bool { return to == path }) }
}

// connected says that a process has a socket: it asks a server.
func connected(pid int) bool {
	return holds(pid, func(to string) bool { return strings.HasPrefix(to, "socket:") })
}

// holds says whether a process has a descriptor of something.
func holds(pid int, what func(to string) bool) bool {
	fds, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	return slices.ContainsFunc(fds, func(fd string) bool { to, err := os.Readlink(fd); return err == nil && what(to) })
}

// largeBundle makes a bundle that takes a while to be read.
func largeBundle(t *testing.T) string {
	f := work(t)
	f.AddFile("heavy/huge.bin", make([]byte, 800<<20))
	return f.Build(t)
}

func TestSignals(t *testing.T) {
	w := newWorkshopAt(t, work(t), origin.Options{})
	w.src.Hold()
	path := filepath.Join(t.TempDir(), "a.tar")
	bundle := largeBundle(t)
	s := startRegistry(t)
	s.pace(true)
	seeder := program{name: "seeder", env: s.env}
	for name, c := range map[string]struct {
		program program
		args    []string
		ready   func(pid int) bool
	}{
		"build":  {w.bundler, []string{"build", w.lock, "-o", path}, opened(path + ".part")},
		"verify": {seeder, []string{"verify", bundle}, opened(bundle)},
		"push":   {seeder, append([]string{"push", bundle}, s.flags...), opened(bundle)},
		"audit":  {seeder, append([]string{"audit", bundle, "--deep"}, s.flags...), connected}, // it has read what it needs of the bundle
		"serve":  {seeder, []string{"serve", bundle, "--listen", "127.0.0.1:0"}, opened(bundle)},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[os.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143}
			for sig, code := range want {
				got := signalled(t, c.program, c.args, c.ready, sig)
				t.Logf("%v: status %d after %v", sig, got.code, got.took.Round(time.Millisecond))
				if name == "serve" && (got.code == 0 || strings.Contains(got.talk, "open: ")) {
					code = got.code // it was asked to stop, and did, unless it had not begun
				}
				if got.code != code || got.took > soon {
					t.Errorf("%v: status %d after %v\n%s", sig, got.code, got.took, got.talk)
				}
				if code != 0 && !strings.Contains(got.talk, sig.String()) {
					t.Errorf("%v is not told:\n%s", sig, got.talk)
				}
				got = signalled(t, c.program, c.args, c.ready, sig, sig)
				if got.code != code && name != "serve" || got.took > soon {
					t.Errorf("%v twice: status %d after %v\n%s", sig, got.code, got.took, got.talk)
				}
			}
		})
	}
	s.pace(false)
	w.src.Release()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("an interrupted build left an archive: %v", err)
	}
	w.bundler.run(t, 0, nil, "build", w.lock, "-o", path)
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, w.want) {
		t.Errorf("the rerun made another archive (%v)", err)
	}
}
