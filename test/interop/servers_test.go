package interop

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/rpmtest"
)

// A server is a running program of somebody else, or our own seeder.
type server struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended

	mu    sync.Mutex
	lines []string // of both its outputs
}

// launch starts a program and keeps what it prints. It ends with the test at the latest.
func launch(t testing.TB, name string, args ...string) *server {
	t.Helper()
	s := &server{done: make(chan struct{})}
	s.cmd = command(t.Context(), t, nil, name, args...)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	err = s.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(s.done)
		defer r.Close()
		for lines := bufio.NewScanner(r); lines.Scan(); {
			s.mu.Lock()
			s.lines = append(s.lines, lines.Text())
			s.mu.Unlock()
		}
		_ = s.cmd.Wait() // its exit status is read from the ProcessState
	}()
	t.Cleanup(func() { s.stop(t, syscall.SIGTERM) })
	return s
}

// output is what the server has printed so far.
func (s *server) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}

// await waits until the server prints a line that matches, and returns its first group.
func (s *server) await(t testing.TB, pattern string) string {
	t.Helper()
	re := regexp.MustCompile(pattern)
	for range 300 {
		if m := re.FindStringSubmatch(s.output()); m != nil {
			return m[len(m)-1]
		}
		select {
		case <-s.done:
			t.Fatalf("%s ended: %v\n%s", s.cmd.Path, s.cmd.ProcessState, s.output())
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("%s did not print %s\n%s", s.cmd.Path, pattern, s.output())
	return ""
}

// stop sends a signal and returns the exit code, and how long the end took.
func (s *server) stop(t testing.TB, sig os.Signal) (code int, took time.Duration) {
	t.Helper()
	start := time.Now()
	_ = s.cmd.Process.Signal(sig) // it may have ended already
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
		t.Errorf("%s had to be killed after %v", s.cmd.Path, sig)
	}
	return s.cmd.ProcessState.ExitCode(), time.Since(start)
}

// A dockerRegistry is Debian's docker-registry on a free port, with the cache of blob
// descriptors that its package configures.
type dockerRegistry struct {
	*server
	host string
	dir  string
}

func startDockerRegistry(t testing.TB, dir string) *dockerRegistry {
	t.Helper()
	program := rpmtest.Tool(t, "docker-registry")
	config := filepath.Join(t.TempDir(), "config.yml")
	text := fmt.Sprintf(`version: 0.1
storage:
  cache: {blobdescriptor: inmemory}
  filesystem: {rootdirectory: %s}
  delete: {enabled: true}
http:
  addr: 127.0.0.1:0
  secret: interop
`, dir)
	writeFile(t, config, []byte(text))
	r := &dockerRegistry{server: launch(t, program, "serve", config), dir: dir}
	r.host = r.await(t, `listening on ([0-9.:]+)`)
	return r
}

// blobFile is where the registry keeps the bytes of a blob or manifest.
func (r *dockerRegistry) blobFile(digest string) string {
	hex := strings.TrimPrefix(digest, "sha256:")
	return filepath.Join(r.dir, "docker/registry/v2/blobs/sha256", hex[:2], hex, "data")
}

// writes are the requests of the access log that upload something, from the given line on.
func (r *dockerRegistry) writes(from int) []string {
	var out []string
	for _, line := range strings.Split(r.output(), "\n")[from:] {
		if regexp.MustCompile(`"(POST|PUT|PATCH) /v2/`).MatchString(line) {
			out = append(out, line)
		}
	}
	return out
}
