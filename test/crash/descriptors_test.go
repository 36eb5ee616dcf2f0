package crash

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// runsOut starts a program and, after a while, lets it open no more than it has open then.
// False says that it had ended before.
func runsOut(t *testing.T, a attempt, after time.Duration) (met, bool) {
	t.Helper()
	cmd := a.program.command(t, a.args...)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	fds, err := os.ReadDir(filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "fd"))
	n := uint64(len(fds))
	reached := err == nil && n > 0 && unix.Prlimit(cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: n}, nil) == nil
	late := time.AfterFunc(limit, func() {
		t.Errorf("%s hangs without descriptors", a.program.name)
		_ = cmd.Process.Kill()
	})
	defer late.Stop()
	_ = cmd.Wait() // told by the state
	return met{code: cmd.ProcessState.ExitCode(), talk: talk.String(), took: time.Since(start)}, reached
}

// Where descriptors run out at any moment of the work, it goes on with those it has, or ends
// and says what it lacks.
func TestDescriptorsRunOut(t *testing.T) {
	n := 6
	if os.Getenv("AIRBUNDLE_FAULTS") == full {
		n = 60
	}
	slow := func(t *testing.T) *server {
		s := startRegistry(t)
		s.pace(true)
		return s
	}
	for name, start := range map[string]func(*testing.T) attempt{"build": newWorkshop(t).attempt, "push": attempts(bundle(t), slow)} {
		a := start(t)
		whole := a.program.end(t, a.args...).took
		var mu sync.Mutex
		codes, moments := map[int]int{}, 0
		t.Run(name, func(t *testing.T) {
			for i := range n {
				t.Run(fmt.Sprint(i), func(t *testing.T) {
					t.Parallel()
					a := start(t)
					got, reached := runsOut(t, a, whole*time.Duration(i)/time.Duration(n))
					if !reached || runtimeTalk.MatchString(got.talk) {
						return
					}
					told := strings.Contains(got.talk, "too many open files")
					if got.code != 0 && (!told || got.code != 3 && got.code != 6 && got.code != 9) {
						t.Errorf("status %d after %v\n%s", got.code, got.took, got.talk)
					}
					a.check(t, got)
					a.again(t)
					mu.Lock()
					defer mu.Unlock()
					codes[got.code]++
					moments++
				})
			}
		})
		t.Logf("%s: %d of %d moments of %v met; ended with %v", name, moments, n, whole.Round(time.Millisecond), codes)
		if moments < n/2 && !t.Failed() {
			t.Errorf("%s: only %d of %d moments were met", name, moments, n)
		}
	}
}
