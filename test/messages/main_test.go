package messages

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/bundletest"
	"airbundle/test/origin"
)

// bin is where TestMain put the programs.
var bin string

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "8"); err != nil { // what takes time here is waiting
		panic(err)
	}
	code := 1
	err := func() (err error) {
		if bin, err = os.MkdirTemp("", "airbundle-messages"); err != nil {
			return err
		}
		defer os.RemoveAll(bin)
		out, err := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "airbundle/cmd/bundler", "airbundle/cmd/seeder").CombinedOutput()
		if err != nil {
			return fmt.Errorf("build the programs: %w\n%s", err, out)
		}
		code = m.Run()
		return nil
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// full says that nothing is cut short.
func full() bool { return os.Getenv("AIRBUNDLE_FAULTS") == "full" }

// A process is one program with its own directory, in which HOME, TMPDIR and the cache are.
type process struct {
	dir   string
	env   []string
	after time.Duration  // when it gets the signal; 0: it runs to its end
	with  syscall.Signal // default SIGINT
	stdin string
}

// A result is what a process left.
type result struct {
	code     int
	out, err string
}

// newProcess makes the directory and the environment of a process. The umask of tests is
// that of whoever runs them.
func newProcess(t testing.TB, env ...string) *process {
	t.Helper()
	p := &process{dir: t.TempDir()}
	for _, name := range []string{"home", "tmp"} {
		if err := os.Mkdir(filepath.Join(p.dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	p.env = append([]string{"HOME=" + p.dir + "/home", "TMPDIR=" + p.dir + "/tmp", "XDG_CACHE_HOME=" + p.dir + "/cache", "PATH=" + os.Getenv("PATH")}, env...)
	return p
}

// run lets a program work, interrupts it when its time is over, and kills it when it does
// not end then.
func (p *process) run(t testing.TB, program string, args ...string) result {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	if p.after > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.after)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, program), args...)
	cmd.Dir, cmd.Env = p.dir, p.env
	cmd.Stdin = bytes.NewReader([]byte(p.stdin))
	cmd.Cancel = func() error {
		if p.with == 0 {
			return cmd.Process.Signal(syscall.SIGINT)
		}
		return cmd.Process.Signal(p.with)
	}
	cmd.WaitDelay = 15 * time.Second
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("%s %v: %v\n%s", program, args, err, &talk)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), talk.String()}
}

// demo builds a small bundle of everything, and returns it with the lock.
func demo(t testing.TB) (bundle string, f *bundletest.Fixture) {
	t.Helper()
	f = bundletest.New(t)
	f.AddChart(t, "nginx", "1.2.3")
	return f.Build(t), f
}

// mirror serves a fixture, and writes its lock into a directory.
func mirror(t testing.TB, f *bundletest.Fixture, dir string) (*origin.Server, string) {
	t.Helper()
	o := origin.Start(t, f, origin.Options{})
	raw, err := o.Lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "demo.lock.yaml")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return o, path
}
