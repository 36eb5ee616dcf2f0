package crash

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/registrytest"
	"airbundle/test/origin"
)

// The second of two builds of one archive ends at once, and names the first, from the moment
// on at which the first begins to ask its sources.
func TestSecondBuildNamesTheFirst(t *testing.T) {
	w := newWorkshopAt(t, work(t), origin.Options{})
	w.src.Hold()
	path := filepath.Join(t.TempDir(), "work.bundle.tar")
	args := []string{"build", w.lock, "-o", path}
	first := w.bundler.command(t, args...)
	if err := first.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		if raw, err := os.ReadFile(path + ".part.journal"); err == nil && bytes.Contains(raw, []byte("owner")) {
			break
		} else if time.Now().After(end) {
			t.Fatal("the first build claims nothing")
		}
	}
	w.src.Forget()
	got := w.bundler.end(t, args...)
	host, _ := os.Hostname()
	if want := fmt.Sprintf("process %d on %s", first.Process.Pid, host); got.code != 8 || !strings.Contains(got.talk, want) || !strings.Contains(got.talk, path) {
		t.Errorf("status %d after %v, want 8 and %q\n%s", got.code, got.took, want, got.talk)
	}
	t.Logf("the second build ended after %v", got.took.Round(time.Millisecond))
	w.src.Release()
	if err := first.Wait(); err != nil {
		t.Fatalf("the first build was disturbed: %v", err)
	}
	if raw, err := os.ReadFile(path); err != nil || !bytes.Equal(raw, w.want) {
		t.Errorf("the first build made another archive (%v)", err)
	}
}

// A lock ends with its process: what a journal says of the owner, be it a process that runs or
// another host, keeps nobody out. A journal and a part that lie cost a download, no more.
func TestDeadOwnersAndLies(t *testing.T) {
	w := newQuickWorkshop(t)
	lie := bytes.Repeat([]byte{0xa5}, len(w.want))
	torn := slices.Concat(w.want[:len(w.want)/2], make([]byte, len(w.want)-len(w.want)/2))
	head := "" // of a journal of this archive, as a killed build leaves it
	for name, c := range map[string]struct {
		owner string
		part  []byte
		final []byte
	}{
		"no part":            {owner: "owner 1 elsewhere"},
		"a pid that runs":    {owner: fmt.Sprintf("owner %d here", os.Getpid()), part: torn},
		"every blob is torn": {owner: "owner 999999999 elsewhere", part: lie},
		"short part":         {owner: "owner 1 elsewhere", part: w.want[:5000]},
		"torn final":         {final: torn},
		"short final":        {final: w.want[:len(w.want)-5000]},
		"empty part":         {owner: "owner 1 elsewhere", part: []byte{}},
	} {
		t.Run(name, func(t *testing.T) {
			a := w.attempt(t)
			path := a.paths[1]
			if head == "" {
				killed := a.program.disturb(t, fault{call: "renameat", nth: 1, what: "signal=SIGKILL"}, a.args)
				raw, err := os.ReadFile(path + ".part.journal")
				if killed.code != 137 || err != nil {
					t.Fatalf("no journal of a killed build: status %d, %v", killed.code, err)
				}
				head = string(raw)
			}
			for suffix, data := range map[string][]byte{"": c.final, ".part": c.part} {
				if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
				if data != nil {
					if err := os.WriteFile(path+suffix, data, 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			_ = os.Remove(path + ".part.journal")
			if c.owner != "" {
				if err := os.WriteFile(path+".part.journal", []byte(head+"\n"+c.owner+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			a.again(t)
		})
	}
}

// Two pushes of one bundle to one target at once: both end well, and all of it is there.
func TestTwoPushesAtOnce(t *testing.T) {
	path := bundle(t)
	for name, start := range map[string]func(*testing.T) *server{"registry": startRegistry, "nexus": startNexus(t)} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				s := start(t)
				s.pace(true)
				a := attempts(path, func(*testing.T) *server { return s })(t)
				ends := make(chan met, 2)
				for range 2 {
					go func() { ends <- a.program.end(t, a.args...) }()
				}
				for range 2 {
					if got := <-ends; got.code != 0 {
						t.Errorf("status %d\n%s", got.code, got.talk)
					}
				}
				s.pace(false)
				a.check(t, met{})
				a.again(t)
			}
		})
	}
}

// A blob that a registry keeps cut short under its name is sent again; size is no proof of
// content, so one of the right size is found by an audit that reads.
func TestTornBlobsInRegistry(t *testing.T) {
	path := bundle(t)
	dir := t.TempDir()
	r := registrytest.Start(t, registrytest.Options{Dir: dir})
	s := &server{v2: r.URL.String() + "/v2", flags: []string{"--registry", r.Host, "--plain-http", r.Host, "--only", "image"}, repositories: repositories}
	a := attempts(path, func(*testing.T) *server { return s })(t)
	a.again(t)
	layer := noise("amd640", 200_000)
	file := r.BlobFile(digest.FromBytes(layer))
	for name, damage := range map[string][]byte{"cut": layer[:1000], "empty": {}} {
		if err := os.WriteFile(file, damage, 0o644); err != nil {
			t.Fatal(err)
		}
		got := a.program.end(t, a.args...)
		now, err := os.ReadFile(file)
		if got.code == 0 && !bytes.Equal(now, layer) || err != nil {
			t.Errorf("%s: status 0, and the blob is still torn (%v)\n%s", name, err, got.talk)
		}
		if got.code != 0 && !strings.Contains(got.talk, string(digest.FromBytes(layer))) {
			t.Errorf("%s: status %d does not name the blob\n%s", name, got.code, got.talk)
		}
		t.Logf("%s: status %d", name, got.code)
	}
	flipped := bytes.Clone(layer)
	flipped[100]++
	if err := os.WriteFile(file, flipped, 0o644); err != nil {
		t.Fatal(err)
	}
	got := a.program.end(t, append([]string{"audit", path, "--deep"}, s.flags...)...)
	if got.code != 4 || !strings.Contains(got.talk, string(digest.FromBytes(layer))) {
		t.Errorf("audit --deep of a flipped byte: status %d\n%s", got.code, got.talk)
	}
}

// Two writers of one small file: one of them wins, whole.
func TestTwoWritersOfSmallFiles(t *testing.T) {
	s := newSite(t)
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"root.json": {"inspect", s.bundle, "--root", filepath.Join(dir, "root.json")},
		"bom.json":  {"export", s.lock, "--format", "cyclonedx", "-o", filepath.Join(dir, "bom.json")},
	} {
		s.bundler.run(t, 0, nil, args...)
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		ends := make(chan met, 4)
		for range cap(ends) {
			go func() { ends <- s.bundler.end(t, args...) }()
		}
		for range cap(ends) {
			if got := <-ends; got.code != 0 {
				t.Errorf("%s: status %d\n%s", name, got.code, got.talk)
			}
		}
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, want %d, %v", name, len(got), len(want), err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left %v, %v", left, err)
	}
}
