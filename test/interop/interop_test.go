package interop

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"airbundle/internal/rpmtest"
)

// processDir holds what all tests share: the programs and the demo bundle.
var processDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "airbundle-interop-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
	defer os.RemoveAll(dir)
	processDir = dir
	m.Run()
}

// build makes a program as releases are made.
func build(name string) (string, error) {
	out := filepath.Join(processDir, name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", out, "airbundle/cmd/"+name)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", name, err, text)
	}
	return out, nil
}

var (
	buildBundler = sync.OnceValues(func() (string, error) { return build("bundler") })
	buildSeeder  = sync.OnceValues(func() (string, error) { return build("seeder") })
)

// A result is how a program ended.
type result struct {
	stdout, stderr string
	code           int
	took           time.Duration
}

// limit is far above what any command of these tests needs.
const limit = 2 * time.Minute

// run runs a program to its end. Settings of the host's user stay out of it: tools
// see a home without files, and no logins but those in env.
func run(t testing.TB, env []string, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := command(ctx, t, env, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	res := result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(start)}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited || res.code < 0 {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, res.stdout, res.stderr)
	}
	return res
}

func command(ctx context.Context, t testing.TB, env []string, name string, args ...string) *exec.Cmd {
	t.Helper()
	home := t.TempDir()
	writeFile(t, filepath.Join(home, "config.json"), []byte("{}")) // docker's; buildah wants one to be there
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = 5 * time.Second
	for _, kv := range os.Environ() {
		key, _, _ := strings.Cut(kv, "=")
		if family, _, _ := strings.Cut(key, "_"); !slices.Contains([]string{"BUNDLER", "SEEDER", "NEXUS", "REGISTRY"}, family) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	cmd.Env = append(cmd.Env, "HOME="+home, "DOCKER_CONFIG="+home, "XDG_RUNTIME_DIR="+home, "TMPDIR="+home, "LC_ALL=C")
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// must runs a program that has to end well and returns its standard output.
func must(t testing.TB, env []string, name string, args ...string) string {
	t.Helper()
	res := run(t, env, name, args...)
	if res.code != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", filepath.Base(name), strings.Join(args, " "), res.code, res.stdout, res.stderr)
	}
	return res.stdout
}

// tool is must for a program of the system.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	return must(t, nil, rpmtest.Tool(t, name), args...)
}

// bundler is must for our program of the connected side.
func bundler(t testing.TB, args ...string) string {
	t.Helper()
	path, err := buildBundler()
	if err != nil {
		t.Fatal(err)
	}
	return must(t, nil, path, args...)
}

// seeder runs our program of the air-gapped side.
func seeder(t testing.TB, env []string, args ...string) result {
	t.Helper()
	path, err := buildSeeder()
	if err != nil {
		t.Fatal(err)
	}
	return run(t, env, path, args...)
}

// judged is what these tests read of a report in JSON.
type judged struct {
	Bundle  bool
	Records []struct {
		Kind, Name, Arch, Place, State, Reason string
	}
	Summary struct{ BytesSent, BytesSkipped, BytesRead int64 }
}

// findings are the records that are neither done nor there, one line each.
func (j judged) findings() []string {
	var out []string
	for _, rec := range j.Records {
		if rec.State != "present" && rec.State != "sent" && rec.State != "ok" {
			out = append(out, fmt.Sprintf("%s %s %s at %s: %s", rec.State, rec.Kind, rec.Name, rec.Place, rec.Reason))
		}
	}
	return out
}

// report runs a seeder command that writes a report and checks its exit code.
func report(t testing.TB, env []string, code int, args ...string) judged {
	t.Helper()
	res := seeder(t, env, append(args, "--output", "json", "--quiet")...)
	if res.code != code {
		t.Fatalf("seeder %s: exit %d, want %d\n%s%s", strings.Join(args, " "), res.code, code, res.stdout, res.stderr)
	}
	var j judged
	if err := json.Unmarshal([]byte(res.stdout), &j); err != nil {
		t.Fatalf("seeder %s: %v\n%s", args[0], err, res.stdout)
	}
	t.Logf("seeder %s: exit %d, %d records, sent %d, skipped %d, read %d bytes, %.1f s",
		args[0], res.code, len(j.Records), j.Summary.BytesSent, j.Summary.BytesSkipped, j.Summary.BytesRead, res.took.Seconds())
	return j
}

// needRoot skips tests whose tools change root or own files; on CI none may go missing.
func needRoot(t testing.TB, why string) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatalf("interop test needs root: %s", why)
	default:
		t.Skipf("interop test needs root: %s", why)
	}
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func writeFile(t testing.TB, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
