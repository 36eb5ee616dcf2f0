package crash

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

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

// still sends signals to a command that is busy with what cannot be broken off, lets free end
// that (nil: it lasts), and says how the command ended and how long after the last of both. Up
// to then it must be at work.
func still(t *testing.T, cmd *exec.Cmd, free func(), signals ...syscall.Signal) (code int, took time.Duration) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	wait := func() {
		select {
		case <-ended:
			t.Fatalf("one %v ended it (%v), though its work cannot be broken off", signals[0], cmd.ProcessState)
		case <-time.After(300 * time.Millisecond):
		}
	}
	var last time.Time
	for i, sig := range signals {
		if i > 0 {
			wait()
		}
		last = time.Now()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	if free != nil {
		wait()
		last = time.Now()
		free()
	}
	select {
	case <-ended:
	case <-time.After(limit):
		_ = cmd.Process.Kill()
		<-ended
		t.Error("it hangs")
	}
	return cmd.ProcessState.ExitCode(), time.Since(last)
}

// mute starts a command whose talk nobody reads: with room for some lines only, it comes to
// stand in the middle of its work. What free does is to read.
func mute(t *testing.T, cmd *exec.Cmd, at func() bool) (free func()) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(make([]byte, size-600)); err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for end := time.Now().Add(limit); !at(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			t.Fatal("it does not come to work")
		}
	}
	for end := time.Now().Add(limit); !stands(cmd.Process.Pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			t.Fatal("it does not come to stand")
		}
	}
	return func() { go func() { _, _ = io.Copy(io.Discard, r) }() }
}

// stands says that a thread of a process waits for room to write to standard error.
func stands(pid int) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	return slices.ContainsFunc(threads, func(path string) bool {
		call, _ := os.ReadFile(path) // that of a thread which has ended is empty
		return strings.HasPrefix(string(call), fmt.Sprintf("%d 0x2 ", unix.SYS_WRITE))
	})
}

// The first signal waits for what cannot be broken off, the second ends the program at once;
// nothing is torn by either.
func TestSecondSignal(t *testing.T) {
	w := newQuickWorkshop(t)
	w.bundler.env = append(w.bundler.env, "BUNDLER_OUTPUT=text")
	for _, signals := range [][]syscall.Signal{{syscall.SIGINT}, {syscall.SIGTERM}, {syscall.SIGINT, syscall.SIGINT}, {syscall.SIGINT, syscall.SIGTERM}} {
		t.Run(fmt.Sprint("build ", signals), func(t *testing.T) {
			a := w.attempt(t)
			cmd := a.program.command(t, a.args...)
			free := mute(t, cmd, func() bool {
				journal, _ := os.ReadFile(a.paths[3])
				return bytes.Contains(journal, []byte("filled "))
			})
			if len(signals) > 1 {
				free = nil
			}
			code, took := still(t, cmd, free, signals...)
			t.Logf("status %d after %v", code, took.Round(time.Millisecond))
			if want := 128 + int(signals[len(signals)-1]); code != want || took > soon || free == nil && took > time.Second {
				t.Errorf("status %d after %v, want %d", code, took, want)
			}
			if exists(t, a.paths[1]) || !exists(t, a.paths[2]) {
				t.Error("it was not in the middle of its work")
			}
			a.again(t)
		})
	}
	f := work(t)
	f.AddFile("heavy/huge.bin", make([]byte, 64<<20)) // more than what sockets hold
	serve := program{name: "seeder"}.command(t, "serve", f.Build(t), "--listen", "127.0.0.1:0")
	out, err := serve.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, found := strings.Cut(strings.TrimSpace(line), " on ")
	if err != nil || !found {
		t.Fatalf("%q, %v", line, err)
	}
	resp, err := http.Get(url + "repository/raw-hosted/heavy/huge.bin")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	defer resp.Body.Close() // an open download, of which nothing more is read
	if code, took := still(t, serve, nil, syscall.SIGTERM, syscall.SIGTERM); code != 143 || took > time.Second {
		t.Errorf("serve: status %d after %v", code, took)
	}
}
