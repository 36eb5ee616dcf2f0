package crash

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/rpmtest"
)

// full is the value of AIRBUNDLE_FAULTS that asks for every point.
const full = "full"

// limit is how long a disturbed program may take to end.
const limit = time.Minute

// A fault is what a system call meets. The calls of each thread are counted by themselves,
// as strace does, so that it can meet several of them.
type fault struct {
	call  string
	nth   int
	stays bool     // all later calls of its kind meet it, too
	what  string   // signal=… or error=…, as strace's inject wants it
	paths []string // calls that use none of these do not count; empty: all count
}

func (f fault) String() string {
	plus := ""
	if f.stays {
		plus = "+"
	}
	return fmt.Sprintf("%s %d%s %s", f.call, f.nth, plus, f.what)
}

// A met is the end of a disturbed program.
type met struct {
	code  int  // 128 and the signal that ended it
	fault bool // a call met the fault
	times int  // how many did: each thread has its own count
	at    int  // which call of its kind that was first, of those of all threads
	talk  string
	took  time.Duration
}

// strace runs a program under strace with more flags and returns what strace wrote.
func (p program) strace(t *testing.T, flags, args []string) (met, string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "strace")
	flags = append([]string{"-f", "-qq", "-e", "signal=none", "-o", log}, flags...)
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	inner := p.command(t, args...)
	cmd := exec.CommandContext(ctx, rpmtest.Tool(t, "strace"), append(append(flags, "--", inner.Path), args...)...)
	cmd.Env, cmd.Dir = inner.Env, p.dir
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	cmd.WaitDelay = time.Second
	start := time.Now()
	err := cmd.Run()
	end := met{code: cmd.ProcessState.ExitCode(), talk: talk.String(), took: time.Since(start)}
	if ctx.Err() != nil {
		t.Errorf("%s %s hangs: it did not end within %v\n%s", p.name, strings.Join(args, " "), limit, &talk)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Exited() {
		status, _ := exit.Sys().(syscall.WaitStatus)
		end.code = 128 + int(status.Signal())
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		t.Fatalf("strace: %v\n%s", err, &talk)
	}
	return end, string(raw)
}

// disturb runs a program of which one call meets a fault.
func (p program) disturb(t *testing.T, f fault, args []string) met {
	t.Helper()
	when := fmt.Sprint(f.nth)
	if f.stays {
		when += "+"
	}
	flags := []string{"-e", "trace=" + f.call, "-e", fmt.Sprintf("inject=%s:%s:when=%s", f.call, f.what, when)}
	if !strings.HasPrefix(f.what, "signal=") {
		flags = append(flags, "--seccomp-bpf") // with it strace 6.1 loses the signals that it injects
	}
	for _, path := range f.paths {
		flags = append(flags, "-P", path)
	}
	end, log := p.strace(t, flags, args)
	before, _, met := strings.Cut(log, "(INJECTED)")
	end.at = len(callLine.FindAllString(before, -1))
	end.times = strings.Count(log, "(INJECTED)")
	end.fault = met || end.code == 128+int(syscall.SIGKILL)
	return end
}

var callLine = regexp.MustCompile(`(?m)^(\d+) +([a-z0-9_]+)\(`)

// calls counts the calls of an undisturbed run: of each kind the most that one thread made.
func (p program) calls(t *testing.T, kinds, paths, args []string) map[string]int {
	t.Helper()
	flags := []string{"--seccomp-bpf", "-e", "trace=" + strings.Join(kinds, ",")}
	for _, path := range paths {
		flags = append(flags, "-P", path)
	}
	end, log := p.strace(t, flags, args)
	if end.code != 0 {
		t.Fatalf("an undisturbed run ended with %d:\n%s", end.code, end.talk)
	}
	type of struct{ thread, call string }
	each, most := map[of]int{}, map[string]int{}
	for _, m := range callLine.FindAllStringSubmatch(log, -1) {
		each[of{m[1], m[2]}]++
		most[m[2]] = max(most[m[2]], each[of{m[1], m[2]}])
	}
	return most
}

// spread chooses n points: as many of each kind of call, where there are as many, at equal
// distances from the first to the last. Where n is small, the kinds that come first in order
// have them.
func spread(order []string, counts map[string]int, n int) []fault {
	share := map[string]int{}
	for left := n; left > 0; {
		before := left
		for _, call := range order {
			if left > 0 && share[call] < counts[call] {
				share[call]++
				left--
			}
		}
		if left == before {
			break
		}
	}
	var all []fault
	for _, call := range order {
		for i := range share[call] {
			nth := (counts[call] + 1) / 2
			if share[call] > 1 {
				nth = 1 + i*(counts[call]-1)/(share[call]-1)
			}
			all = append(all, fault{call: call, nth: nth})
		}
	}
	return all
}

// An attempt is one run that is disturbed, in surroundings of its own.
type attempt struct {
	program program
	args    []string
	paths   []string                      // of its own files
	check   func(t *testing.T, ended met) // what must hold now
	again   func(t *testing.T)            // runs it undisturbed, and what must hold then
}

// A campaign is one kind of fault at many points.
type campaign struct {
	what  string // signal=… or error=…
	says  string // what the operator is told of it
	calls []string
	files bool // only calls on the attempt's own files count
	stays bool // of the faults some stay for the rest of the run
	every int  // which: each such one; 0: every other

	distinct int // how many calls must meet it in full; 0: half of those that do
	n        int // points of a full run
	few      int // points else
	codes    []int
}

// run tries all points of a campaign, several at a time, and logs what came of it.
func (c campaign) run(t *testing.T, start func(t *testing.T) attempt) {
	n := c.few
	if os.Getenv("AIRBUNDLE_FAULTS") == full {
		n = c.n
	}
	a := start(t)
	var only []string
	if c.files {
		only = a.paths
	}
	counts := a.program.calls(t, c.calls, only, a.args)
	points := spread(c.calls, counts, n)
	if c.stays {
		// Where there are few, those of the threads differ: a point that is tried again is another.
		for once := points; len(points) < n; {
			points = append(points, once[:min(len(once), n-len(points))]...)
		}
		for i := range points {
			points[i].stays = i%cmp.Or(c.every, 2) == 1
		}
	}
	var mu sync.Mutex
	codes, kinds, slowest, began := map[int]int{}, map[string]int{}, time.Duration(0), time.Now()
	distinct := map[string]bool{}
	t.Run("at", func(t *testing.T) {
		for _, p := range points {
			p.what = c.what
			t.Run(fmt.Sprintf("%s-%d", p.call, p.nth), func(t *testing.T) {
				t.Parallel()
				p, ended := c.try(t, p, start)
				if !ended.fault {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				codes[ended.code]++
				kinds[p.call]++
				distinct[fmt.Sprintf("%s %d", p.call, ended.at)] = true
				slowest = max(slowest, ended.took)
			})
		}
	})
	reached := 0
	for _, k := range kinds {
		reached += k
	}
	t.Logf("%s: %d of %d points reached, %d of them distinct, %v; ended with %v; slowest %v; %v in all", c.what, reached, n, len(distinct), kinds, codes, slowest.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if reached < n*3/4 && !t.Failed() {
		t.Errorf("only %d of %d points were reached: %v", reached, n, counts)
	}
	if least := cmp.Or(c.distinct, reached/2); (!c.stays || c.distinct > 0) && n == c.n && len(distinct) < least && !t.Failed() {
		t.Errorf("%d points are only %d distinct ones, want %d: %v", reached, len(distinct), least, distinct)
	}
}

// runtimeTalk is what Go's runtime says when a call of its own meets what only ours can.
var runtimeTalk = regexp.MustCompile(`runtime: (netpoll|epoll|eventfd)|fatal error: runtime`)

// try disturbs one run; where no thread makes as many calls this time, one with fewer.
func (c campaign) try(t *testing.T, p fault, start func(t *testing.T) attempt) (fault, met) {
	for {
		a := start(t)
		if c.files {
			p.paths = a.paths
		}
		ended := a.program.disturb(t, p, a.args)
		if runtimeTalk.MatchString(ended.talk) {
			t.Logf("%v: hit the runtime itself", p)
			return p, met{}
		}
		if !ended.fault && p.nth > 1 {
			p.nth /= 2
			continue
		}
		t.Logf("%v: status %d after %v", p, ended.code, ended.took.Round(time.Millisecond))
		if !slices.Contains(c.codes, ended.code) {
			t.Errorf("%v: status %d, want one of %v\n%s", p, ended.code, c.codes, ended.talk)
		}
		if ended.code != 0 && c.says != "" && !strings.Contains(ended.talk, c.says) {
			t.Errorf("%v: status %d, and %q is not told:\n%s", p, ended.code, c.says, ended.talk)
		}
		a.check(t, ended)
		if t.Failed() {
			t.Logf("%v:\n%s", p, ended.talk)
			return p, ended
		}
		a.again(t)
		return p, ended
	}
}

// What of the calls that both programs make are ours; the others are those of Go's runtime.
var (
	fileCalls = []string{
		"pwrite64", "write", "renameat", "fsync", "fallocate", "openat", "close", "ftruncate", "unlinkat", "flock", "pread64", "read",
		"newfstatat", "fstat", "fstatfs", "fchmod", "fdatasync", "rename", "renameat2", "unlink", "getdents64",
	}
	netCalls = []string{"connect", "socket", "getsockopt", "setsockopt", "getpeername", "getsockname"}
)

// campaigns are the same for a build and a push; what a push does to files is to read one.
func campaigns(points int) map[string]campaign {
	return map[string]campaign{
		"killed": {what: "signal=SIGKILL", calls: append(slices.Clone(fileCalls), netCalls...), n: 2 * points, few: 14, codes: []int{0, 137}},
		"ENOSPC": {what: "error=ENOSPC", says: "no space left", n: points, few: 8, stays: true, codes: []int{0, 3, 9}},
		"EIO":    {what: "error=EIO", says: "input/output error", n: points, few: 8, stays: true, codes: []int{0, 3, 6, 9}},
	}
}
