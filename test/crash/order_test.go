package crash

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	orderCalls = "trace=openat,write,pwrite64,ftruncate,fallocate,fsync,fdatasync,rename,renameat,renameat2,close"
	callOn     = regexp.MustCompile(`^\d+ +([a-z0-9]+)\(\d+<([^>]*)>`)
	renamed    = regexp.MustCompile(`^\d+ +rename\w*\(.*"([^"]+)",.* "([^"]+)"`)
)

// order condenses what strace saw to what matters for a power cut: the file's last write, its
// fsync, its rename, the directory's fsync, each "what file", without repetitions.
func order(log, path string) (events []string) {
	add := func(what, file string) {
		event := what + " " + filepath.Base(file)
		if len(events) == 0 || events[len(events)-1] != event {
			events = append(events, event)
		}
	}
	temporary := ""
	for line := range strings.Lines(log) {
		if m := renamed.FindStringSubmatch(line); m != nil && m[2] == path {
			temporary = m[1]
		}
	}
	for line := range strings.Lines(log) {
		if m := renamed.FindStringSubmatch(line); m != nil && m[2] == path {
			add("rename", "file")
			continue
		}
		m := callOn.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[1], "close") {
			continue
		}
		what := m[1]
		if what == "pwrite64" || what == "ftruncate" || what == "fallocate" {
			what = "write"
		}
		switch m[2] {
		case temporary, path:
			add(what, "file")
		case filepath.Dir(path):
			add(what, "directory")
		}
	}
	return events
}

// A power cut keeps what was made durable: so the content is, before it gets its name, and
// the name is, before the program says so; nothing is written after.
func TestOrderOfCalls(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	out := func(name string) string { return filepath.Join(dir, name) }
	for name, c := range map[string]struct {
		program program
		out     string
		args    []string
	}{
		"build":  {s.bundler, out("a.tar"), []string{"build", s.lock, "-o", out("a.tar")}},
		"root":   {s.bundler, out("root.json"), []string{"inspect", s.bundle, "--root", out("root.json")}},
		"export": {s.bundler, out("SUMS"), []string{"export", s.lock, "--format", "sha256sums", "-o", out("SUMS")}},
	} {
		end, log := c.program.strace(t, []string{"-y", "-s", "0", "-e", orderCalls}, c.args)
		if end.code != 0 {
			t.Fatalf("%s: status %d\n%s", name, end.code, end.talk)
		}
		got := fmt.Sprint(order(log, c.out))
		if want := "[write file fsync file rename file fsync directory]"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
