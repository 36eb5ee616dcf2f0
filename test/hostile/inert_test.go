package hostile

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"airbundle/internal/rpmtest"
)

// some picks samples of many rows.
func some(every int) []sample {
	var out []sample
	for i, s := range malformed() {
		if i%every == 0 && !s.large && s.row != "A27" && s.row != "A28" {
			out = append(out, s)
		}
	}
	return out
}

// site is where the programs keep what a site has seen, below the home that they are given.
const site = "/nonexistent/.local/state/airbundle/serials.json"

// opened matches what a trace says of a file that is opened.
var opened = regexp.MustCompile(`openat\([^,]*, "([^"]*)", ([A-Z_|0-9a-z]+)`)

// forbidden are calls that verify has no use for: sockets, changes of files, other programs.
var forbidden = []string{"socket", "connect", "bind", "listen", "accept4", "sendto", "creat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "mknod", "mknodat", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "truncate", "ftruncate", "utimensat", "fallocate", "execve", "execveat", "ptrace", "mount"}

// TestVerifyIsInert: whatever is in a file, verify opens that file and the site's own, connects
// to nothing, changes nothing and starts nothing.
func TestVerifyIsInert(t *testing.T) {
	strace := rpmtest.Tool(t, "strace")
	g := demo(t)
	samples := append(some(45), sample{row: "A00", name: "genuine", write: func(f *os.File) error { _, err := f.Write(g.raw); return err }})
	for _, s := range malformed() {
		if slices.Contains([]string{"A16", "A17"}, s.row) && !strings.Contains(s.name, " by ") && !strings.Contains(s.name, " beside") {
			samples = append(samples, s)
		}
	}
	for _, s := range samples {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			path, log := s.file(t, t.TempDir()), filepath.Join(t.TempDir(), "trace")
			calls := "openat,open,openat2," + strings.Join(forbidden, ",")
			cmd := exec.CommandContext(t.Context(), strace, "-f", "-qq", "-s", "4096", "-e", "signal=none", "-e", "trace="+calls, "-o", log, filepath.Join(bin, "seeder"), "verify", path)
			cmd.Env = []string{"HOME=/nonexistent", "PATH=/nonexistent"}
			out, err := cmd.CombinedOutput()
			if exit, ok := err.(*exec.ExitError); err != nil && !ok || ok && exit.ExitCode() > 9 { //nolint:errorlint // Run returns it as it is
				t.Fatalf("strace: %v\n%s", err, out)
			}
			trace(t, log, path)
		})
	}
	canary(t)
}

func trace(t *testing.T, log, path string) {
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	archives, programs := 0, 0
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		_, call, _ := strings.Cut(line, " ")
		call = strings.TrimLeft(call, " ")
		m := opened.FindStringSubmatch(line)
		switch {
		case strings.Contains(line, "???("): // a thread that ended inside a call
		case strings.HasPrefix(call, "execve("):
			programs++
		case m == nil:
			t.Errorf("does %s", line)
		case !strings.HasPrefix(m[2], "O_RDONLY") || strings.Contains(m[2], "O_CREAT") || strings.Contains(m[2], "O_TRUNC"):
			t.Errorf("opens %s with %s", m[1], m[2])
		case m[1] == path:
			archives++
		case m[1] == site: // serials seen at this site
		case strings.HasPrefix(m[1], "/proc/self/") || strings.HasPrefix(m[1], "/sys/") || strings.HasPrefix(m[1], "/proc/stat"):
		default:
			t.Errorf("opens %s", m[1])
		}
	}
	if programs != 1 || archives == 0 {
		t.Errorf("%d programs, archive opened %d times", programs, archives)
	}
}

// TestWrongPlaces: what is no regular file is refused at once, and a FIFO does not make
// verify wait.
func TestWrongPlaces(t *testing.T) {
	dir := t.TempDir()
	fifo, sock := filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "unix", sock)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for name, path := range map[string]string{"directory": dir, "FIFO": fifo, "socket": sock, "device": "/dev/zero", "null": "/dev/null", "nothing": filepath.Join(dir, "nothing"), "process": "/proc/self/status"} {
		t.Run(name, func(t *testing.T) {
			r := start(t, "seeder", "verify", path)
			r.bounded(t)
			if r.code != 4 && r.code != 9 && r.code != 2 {
				t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
			}
			if !strings.Contains(r.stdout+r.stderr, filepath.Base(path)) {
				t.Errorf("does not name the file: %s%s", r.stdout, r.stderr)
			}
		})
	}
}

// listener counts connections.
func listener(t *testing.T) (address string, count *atomic.Int64) {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	count = new(atomic.Int64)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			c.Close()
		}
	}()
	return l.Addr().String(), count
}

// TestOtherCommands: no command takes a hostile file, and none sends a byte because of one.
func TestOtherCommands(t *testing.T) {
	address, count := listener(t)
	pick := some(len(malformed()) / 30)
	t.Run("all", func(t *testing.T) {
		for _, s := range pick {
			t.Run(s.String(), func(t *testing.T) {
				t.Parallel()
				path := s.file(t, t.TempDir())
				for _, args := range [][]string{
					{"seeder", "push", path, "--dry-run", "--registry", address, "--plain-http", address},
					{"seeder", "push", path, "--registry", address, "--plain-http", address},
					{"seeder", "serve", path, "--listen", "127.0.0.1:0"},
					{"bundler", "inspect", path},
					{"bundler", "diff", path, path},
				} {
					r := start(t, args[0], args[1:]...)
					r.bounded(t)
					if r.code == 0 {
						t.Errorf("%v: exit code 0\n%s", args[:2], clip(r.stdout))
					}
					if r.stdout+r.stderr == "" {
						t.Errorf("%v says nothing", args[:2])
					}
				}
			})
		}
	})
	if n := count.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
	canary(t)
}
