package crash

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
func signalled(t *testing.T, p program, args []string, ready func() bool, signals ...os.Signal) met {
	t.Helper()
	cmd := p.command(t, args...)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for end := time.Now().Add(limit); !ready(); time.Sleep(time.Millisecond) {
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

// after waits a while from now.
func after(d time.Duration) func() bool {
	end := time.Now().Add(d)
	return func() bool { return time.Now().After(end) }
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
	begun := func() func() bool {
		_ = os.Remove(path + ".part") // that of an earlier run, if any
		return func() bool { _, err := os.Stat(path + ".part"); return err == nil }
	}
	seeder := program{name: "seeder", env: s.env}
	for name, c := range map[string]struct {
		program program
		args    []string
		ready   func() func() bool
	}{
		"build":  {w.bundler, []string{"build", w.lock, "-o", path}, begun},
		"verify": {seeder, []string{"verify", bundle}, func() func() bool { return after(150 * time.Millisecond) }},
		"push":   {seeder, append([]string{"push", bundle}, s.flags...), func() func() bool { return after(150 * time.Millisecond) }},
		"audit":  {seeder, append([]string{"audit", bundle, "--deep"}, s.flags...), func() func() bool { return after(60 * time.Millisecond) }},
		"serve":  {seeder, []string{"serve", bundle, "--listen", "127.0.0.1:0"}, func() func() bool { return after(2 * time.Second) }},
	} {
		t.Run(name, func(t *testing.T) {
			want := map[os.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143}
			for sig, code := range want {
				got := signalled(t, c.program, c.args, c.ready(), sig)
				t.Logf("%v: status %d after %v", sig, got.code, got.took.Round(time.Millisecond))
				if name == "serve" {
					code = 0 // it was asked to stop, and did
				}
				if got.code != code || got.took > soon {
					t.Errorf("%v: status %d after %v\n%s", sig, got.code, got.took, got.talk)
				}
				if code != 0 && !strings.Contains(got.talk, sig.String()) {
					t.Errorf("%v is not told:\n%s", sig, got.talk)
				}
				got = signalled(t, c.program, c.args, c.ready(), sig, sig)
				if got.code != code || got.took > time.Second {
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
