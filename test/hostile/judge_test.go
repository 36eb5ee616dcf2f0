package hostile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of one run. Time is that of the processor, which does not depend on what else the
// machine does; a run that takes longest by the clock is a hang.
const (
	mostTime   = 5 * time.Second
	mostClock  = 120 * time.Second
	mostMemory = 200 << 20
)

// A run is what one program did.
type run struct {
	code           int
	stdout, stderr string
	cpu, wall      time.Duration
	memory         int64
}

func start(t *testing.T, name string, args ...string) run {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), mostClock)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(bin, name), args...)
	cmd.Env = []string{"HOME=/nonexistent", "PATH=/nonexistent", "TMPDIR=/nonexistent"}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	begin := time.Now()
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s %q: %v", name, args, err)
	}
	if ctx.Err() != nil {
		t.Errorf("%s %s hangs", name, args[0])
	}
	use := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	r := run{code: cmd.ProcessState.ExitCode(), stdout: out.String(), stderr: errs.String(), cpu: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), wall: time.Since(begin), memory: use.Maxrss << 10}
	worst.note(r, t.Name())
	return r
}

// worst remembers the largest figures of all runs.
var worst struct {
	figures
}

type figures struct {
	mu                   sync.Mutex
	runs                 int
	cpu, wall            time.Duration
	memory               int64
	cpuOf, wallOf, memOf string
}

func (f *figures) note(r run, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.runs++
	if r.cpu > f.cpu {
		f.cpu, f.cpuOf = r.cpu, name
	}
	if r.wall > f.wall {
		f.wall, f.wallOf = r.wall, name
	}
	if r.memory > f.memory {
		f.memory, f.memOf = r.memory, name
	}
}

func (f *figures) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fmt.Sprintf("%d runs; most processor time %v (%s), most time %v (%s), most memory %d MB (%s)", f.runs, f.cpu, f.cpuOf, f.wall.Round(time.Millisecond), f.wallOf, f.memory/1e6, f.memOf)
}

// bounded checks what holds of every run on every input.
func (r run) bounded(t *testing.T) {
	t.Helper()
	if r.cpu > mostTime {
		t.Errorf("takes %v of processor time", r.cpu)
	}
	if r.memory > mostMemory {
		t.Errorf("takes %d MB", r.memory/1e6)
	}
	for _, word := range []string{"panic:", "goroutine ", "runtime error", "fatal error"} {
		if strings.Contains(r.stdout+r.stderr, word) {
			t.Errorf("says %q:\n%s", word, clip(r.stderr+r.stdout))
		}
	}
	for _, s := range []string{r.stdout, r.stderr} {
		if bad := unprintable(s); bad != "" {
			t.Errorf("prints %s", bad)
		}
	}
}

// unprintable names the first character that could act on a terminal.
func unprintable(s string) string {
	if !utf8.ValidString(s) {
		return "bytes that are no UTF-8"
	}
	for i, r := range s {
		if r != '\n' && (unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)) {
			return fmt.Sprintf("U+%04X at %q", r, clip(s[max(0, i-40):min(len(s), i+40)]))
		}
	}
	return ""
}

func clip(s string) string {
	if len(s) > 1500 {
		return s[:1500] + " [...]"
	}
	return s
}

// A verdict is what a JSON report says.
type verdict struct {
	Schema   string
	Bundle   *bool
	Root     string
	Trust    string
	ExitCode int
	Notes    []string
	Unlisted int
	Records  []struct {
		Kind, Name, Digest, State, Reason string
		Class                             int
	}
}

func (v verdict) findings() int {
	n := v.Unlisted
	for _, r := range v.Records {
		if r.Class != 0 {
			n++
		}
	}
	return n
}

// specific matches a text that names a place in the archive, or what the file is.
var specific = regexp.MustCompile(`sha(256|384|512):[0-9a-f]{12}|blobs/|index\.json|oci-layout|at byte [0-9]+|not a(n)? .*(archive|layout)|unexpected entry`)

var counted = regexp.MustCompile(`(?m)^([0-9]+) findings? in `)

// judge runs verify on a file in both forms of output and checks all that must hold of it.
func judge(t *testing.T, path string, s sample, args ...string) verdict {
	t.Helper()
	asText := start(t, "seeder", append([]string{"verify", path}, args...)...)
	asJSON := start(t, "seeder", append([]string{"verify", path, "--output", "json"}, args...)...)
	asText.bounded(t)
	asJSON.bounded(t)
	if !slices.Contains(s.codes(), asText.code) {
		t.Errorf("%s: exit code %d, want %v; it says\n%s", s.wrong, asText.code, s.codes(), clip(asText.stdout+asText.stderr))
	}
	var v verdict
	if err := json.Unmarshal([]byte(asJSON.stdout), &v); err != nil {
		t.Fatalf("the report: %v\n%s", err, clip(asJSON.stdout+asJSON.stderr))
	}
	if asJSON.code != asText.code || v.ExitCode != asText.code {
		t.Errorf("exit code %d with text, %d with JSON, which says %d", asText.code, asJSON.code, v.ExitCode)
	}
	if v.Bundle == nil || v.Schema != "airbundle/report/v1" {
		t.Errorf("schema %q, bundle %v", v.Schema, v.Bundle)
	}
	agree(t, s, asText, v)
	return v
}

// agree checks that text and JSON say the same, and enough.
func agree(t *testing.T, s sample, asText run, v verdict) {
	t.Helper()
	if asText.code == 0 {
		if n := v.findings(); n != 0 {
			t.Errorf("exit code 0 with %d findings", n)
		}
		return
	}
	if v.findings() == 0 {
		t.Error("refused without a finding")
	}
	if m := counted.FindStringSubmatch(asText.stdout); m != nil {
		if n, _ := strconv.Atoi(m[1]); n != v.findings() {
			t.Errorf("text has %d findings, JSON %d", n, v.findings())
		}
	} else if asText.stderr == "" {
		t.Errorf("no count of findings:\n%s", clip(asText.stdout))
	}
	if listed := v.findings() - v.Unlisted; listed > 1000 {
		t.Errorf("%d findings are listed, want 1000 at most", listed)
	}
	said := asText.stdout + asText.stderr
	if !specific.MatchString(said) {
		t.Errorf("names nothing:\n%s", clip(said))
	}
	if s.says != "" && !regexp.MustCompile(s.says).MatchString(said) {
		t.Errorf("does not say %s:\n%s", s.says, clip(said))
	}
}

// keep copies the files of a failed, or of every, sample to where they were asked for.
func keep(t *testing.T, s sample, path string) {
	t.Helper()
	dir := os.Getenv("AIRBUNDLE_HOSTILE_KEEP")
	if dir == "" {
		return
	}
	name := strings.Map(func(r rune) rune {
		if r < '!' || r > '~' || strings.ContainsRune(`/\:"*`, r) {
			return '-'
		}
		return r
	}, s.String())
	st, err := os.Stat(path)
	if err == nil && st.Size() < 8<<20 {
		var raw []byte
		if raw, err = os.ReadFile(path); err == nil {
			err = os.WriteFile(filepath.Join(dir, name+".tar"), raw, 0o600)
		}
	}
	if err != nil {
		t.Error(err)
	}
}

// TestMalformed: every sample of the corpus is refused, in bounds, with a reason.
func TestMalformed(t *testing.T) {
	t.Run("all", func(t *testing.T) {
		for _, s := range chosen(malformed()) {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				path := s.file(t, dir)
				v := judge(t, path, s)
				if v.Bundle != nil && *v.Bundle {
					t.Error("calls it a bundle")
				}
				if t.Failed() {
					keep(t, s, path)
				}
				_ = os.Remove(path)
				if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
					t.Errorf("leaves %v %v", left, err)
				}
			})
		}
	})
	canary(t)
	t.Log(&worst.figures)
}

// canary checks that no archive left its mark where its names point to.
func canary(t *testing.T) {
	t.Helper()
	for _, path := range []string{"/tmp/hostile-canary", "../hostile-canary", "hostile-canary", filepath.Join(os.TempDir(), "hostile-canary"), filepath.Join(bin, "hostile-canary")} {
		if _, err := os.Lstat(path); err == nil {
			t.Errorf("%s was written", path)
		}
	}
}
