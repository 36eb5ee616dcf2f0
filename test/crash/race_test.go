package crash

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// racers is how many builds of one archive start at once.
const racers = 20

// race starts builds at once and returns a channel of how each ended.
func race(t *testing.T, p program, args []string) ([]*exec.Cmd, <-chan met) {
	t.Helper()
	ends := make(chan met, racers)
	var all []*exec.Cmd
	for range racers {
		cmd := p.command(t, args...)
		talk := &bytes.Buffer{}
		cmd.Stdout, cmd.Stderr = talk, talk
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		all = append(all, cmd)
		go func() {
			_ = cmd.Wait() // told by the state
			ends <- met{code: cmd.ProcessState.ExitCode(), talk: talk.String()}
		}()
	}
	return all, ends
}

// Of twenty builds that start at once one works, and the others name it; when it is killed,
// its lock ends, and one of the next twenty goes on.
func TestManyBuildsAtOnce(t *testing.T) {
	w := newQuickWorkshop(t)
	w.src.Hold()
	path := filepath.Join(t.TempDir(), "work.bundle.tar")
	args := []string{"build", w.lock, "-o", path}
	all, ends := race(t, w.bundler, args)
	var lost []met
	for range racers - 1 {
		select {
		case got := <-ends:
			lost = append(lost, got)
		case <-time.After(limit):
			t.Fatalf("%d of %d builds go on", racers-len(lost), racers)
		}
	}
	var winner *exec.Cmd
	for _, cmd := range all {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid)); err == nil {
			winner = cmd
		}
	}
	host, _ := os.Hostname()
	for _, got := range lost {
		if want := fmt.Sprintf("process %d on %s is writing it", winner.Process.Pid, host); got.code != 8 || !strings.Contains(got.talk, want) || !strings.Contains(got.talk, path) {
			t.Errorf("status %d, want 8 and %q\n%s", got.code, want, got.talk)
		}
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the archive is there before its content")
	}
	if err := winner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-ends
	w.src.Release()
	_, ends = race(t, w.bundler, args)
	codes := map[int]int{}
	for range racers {
		got := <-ends
		if codes[got.code]++; got.code != 0 && got.code != 8 {
			t.Errorf("status %d\n%s", got.code, got.talk)
		}
	}
	t.Logf("after the kill: %v", codes)
	if got, err := os.ReadFile(path); codes[0] == 0 || err != nil || !bytes.Equal(got, w.want) {
		t.Errorf("%v; the archive is another one than that of an undisturbed build (%v)", codes, err)
	}
	onlyLeft(t, path)
}

// Twenty signed builds and key pairs at once: one key, one archive, one signature that holds,
// and nothing else.
func TestManySignersAtOnce(t *testing.T) {
	w := newQuickWorkshop(t)
	dir := t.TempDir()
	key := filepath.Join(dir, "k")
	_, ends := race(t, w.bundler, []string{"keygen", "-o", key})
	good := 0
	for range racers {
		switch got := <-ends; got.code {
		case 0:
			good++
		case 2:
		default:
			t.Errorf("keygen: status %d\n%s", got.code, got.talk)
		}
	}
	if onlyLeft(t, key+".key", key+".pub"); good == 0 {
		t.Error("no pair was made")
	}
	out := filepath.Join(t.TempDir(), "a.tar")
	_, ends = race(t, w.bundler, []string{"build", w.lock, "-o", out, "--sign", key + ".key"})
	for range racers {
		if got := <-ends; got.code != 0 && got.code != 8 {
			t.Errorf("build: status %d\n%s", got.code, got.talk)
		}
	}
	program{name: "seeder"}.run(t, 0, nil, "verify", out, "--key", key+".pub")
	onlyLeft(t, out, out+".sig")
}
