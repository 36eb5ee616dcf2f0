package archive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/progress"
)

// childPath is set in the environment of a test binary that plays another process:
// it builds the mixed sample slowly at that path.
const childPath = "AIRBUNDLE_ARCHIVE_TEST_CHILD"

func TestMain(m *testing.M) {
	path := os.Getenv(childPath)
	if path == "" {
		m.Run()
		return
	}
	if err := child(context.Background(), path); err != nil {
		panic(err)
	}
}

func child(ctx context.Context, path string) error {
	s, err := makeSample("mixed", mixedSizes...)
	if err != nil {
		return err
	}
	if _, err := os.Stdout.WriteString("."); err != nil {
		return err
	}
	w, err := Create(ctx, path, s.layout, CreateOptions{})
	if err != nil {
		return err
	}
	defer w.Close()
	for _, d := range w.Missing() {
		if err := w.Fill(ctx, d, &slow{data: s.data[d.Digest]}); err != nil {
			return err
		}
	}
	return w.Seal()
}

// slow hands out its data at a rate that leaves time for a kill.
type slow struct{ data []byte }

func (r *slow) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		return 0, io.EOF
	}
	time.Sleep(2 * time.Millisecond)
	n := copy(p[:min(len(p), 64<<10)], r.data)
	r.data = r.data[n:]
	return n, nil
}

// startChild returns when the child has come to its Create.
func startChild(t *testing.T, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childPath+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 1)); err != nil {
		t.Fatalf("the child does not start: %v", err)
	}
	return cmd
}

// Killed at any moment and run again, the archive comes out the same.
func TestKilledAndRunAgain(t *testing.T) {
	s := mixed(t)
	want := s.reference(t)
	for round := range 5 {
		path := filepath.Join(t.TempDir(), "a.tar")
		for range 6 {
			cmd := startChild(t, path)
			time.Sleep(rand.N(60 * time.Millisecond))
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // "killed", or done before
			if exists(path) && !bytes.Equal(readFile(t, path), want) {
				t.Fatalf("round %d: the final name stands for something else", round)
			}
		}
		if err := startChild(t, path).Wait(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if !bytes.Equal(readFile(t, path), want) {
			t.Fatalf("round %d: other bytes", round)
		}
		if names := dirNames(t, filepath.Dir(path)); len(names) != 1 {
			t.Errorf("round %d: left beside the archive: %v", round, names)
		}
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	cmd := startChild(t, path)
	var locked *LockedError
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if !exists(path + partSuffix) {
			continue
		}
		w, err := Create(t.Context(), path, s.layout, CreateOptions{})
		if err == nil {
			w.Close()
			continue
		}
		if errors.As(err, &locked) && locked.PID != 0 {
			break
		}
	}
	host, _ := os.Hostname()
	if diff := cmp.Diff(&LockedError{Path: path, PID: cmd.Process.Pid, Host: host}, locked); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if want := strconv.Itoa(cmd.Process.Pid); locked != nil && !strings.Contains(locked.Error(), want) {
		t.Errorf("%q does not name process %s", locked, want)
	}
	// The lock of a dead process is free at once.
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.Close()
}

func TestLockedWithinOneProcess(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Create(t.Context(), path, s.layout, CreateOptions{})
	if locked, ok := errors.AsType[*LockedError](err); !ok || locked.PID != os.Getpid() {
		t.Errorf("error %v, want a *LockedError of this process", err)
	}
	s.fill(t, w, w.Missing(), 1)
	if err := w.Seal(); err != nil {
		t.Errorf("the refused second harmed the first: %v", err)
	}
	if w, err = Create(t.Context(), path, s.layout, CreateOptions{}); err != nil {
		t.Fatalf("after Seal: %v", err)
	}
	w.Close()
}

// A lock got on a journal that was removed meanwhile is no lock.
func TestLockOfRemovedJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.tar"+journalSuffix)
	var wg sync.WaitGroup
	held := make(chan struct{}, 1)
	for range 8 {
		wg.Go(func() {
			for range 200 {
				j, err := openJournal(path)
				if err != nil {
					continue
				}
				select {
				case held <- struct{}{}:
					<-held
				default:
					t.Error("two hold the lock")
				}
				if err := j.remove(); err != nil {
					t.Error(err)
				}
				j.f.Close()
			}
		})
	}
	wg.Wait()
}

// half fills half of the blobs and stops without Seal.
func half(t *testing.T, s *sample, path string) (filled int64) {
	t.Helper()
	w, err := Create(t.Context(), path, s.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	blobs := w.Missing()
	blobs = blobs[:len(blobs)/2]
	s.fill(t, w, blobs, 2)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for _, d := range blobs {
		filled += d.Size
	}
	return filled
}

// What an earlier run left is taken over as far as it is right, whatever happened to it.
func TestResume(t *testing.T) {
	s := mixed(t)
	want := s.reference(t)
	largest := s.file(0)
	offset, _, _ := s.layout.slot(largest.Digest)
	for name, test := range map[string]struct {
		harm func(t *testing.T, path string)
		lost int64 // bytes that must not be kept; -1: all
	}{
		"nothing": {func(*testing.T, string) {}, 0},
		"torn last line": {func(t *testing.T, path string) {
			appendTo(t, path+journalSuffix, "filled sha256:0123")
		}, 0},
		"junk in the journal": {func(t *testing.T, path string) {
			appendTo(t, path+journalSuffix, "\x00\x00\x00\nfilled ../../etc/passwd\nfilled\n\nowner x\n")
		}, 0},
		"line lost": {func(t *testing.T, path string) {
			data := readFile(t, path+journalSuffix)
			lines := bytes.SplitAfter(data, []byte("\n"))
			first := slices.IndexFunc(lines, func(l []byte) bool { return bytes.Contains(l, []byte(largest.Digest)) })
			writeFile(t, filepath.Dir(path), "a.tar"+journalSuffix, bytes.Join(slices.Delete(lines, first, first+1), nil))
		}, largest.Size},
		"journal lies": {func(t *testing.T, path string) {
			for _, d := range s.layout.Blobs() {
				appendTo(t, path+journalSuffix, "filled "+d.Digest.String()+"\n")
			}
		}, 0},
		"slot damaged": {func(t *testing.T, path string) {
			overwrite(t, path+partSuffix, offset+largest.Size-1)
		}, largest.Size},
		"headers damaged": {func(t *testing.T, path string) {
			overwrite(t, path+partSuffix, 0)
			overwrite(t, path+partSuffix, offset-blockSize)
			overwrite(t, path+partSuffix, offset-blockSize-1)
			overwrite(t, path+partSuffix, s.layout.Size()-1)
		}, 0},
		"part longer":        {func(t *testing.T, path string) { appendTo(t, path+partSuffix, "more") }, 0},
		"part empty":         {func(t *testing.T, path string) { writeFile(t, filepath.Dir(path), "a.tar"+partSuffix, nil) }, -1},
		"part gone":          {func(_ *testing.T, path string) { os.Remove(path + partSuffix) }, -1},
		"journal gone":       {func(_ *testing.T, path string) { os.Remove(path + journalSuffix) }, -1},
		"journal empty":      {func(t *testing.T, path string) { writeFile(t, filepath.Dir(path), "a.tar"+journalSuffix, nil) }, -1},
		"journal headless":   {func(t *testing.T, path string) { writeFile(t, filepath.Dir(path), "a.tar"+journalSuffix, []byte("\n")) }, -1},
		"of a newer version": {func(t *testing.T, path string) { replace(t, path+journalSuffix, journalVersion, "airbundle-journal/9") }, -1},
		"of another layout": {func(t *testing.T, path string) {
			replace(t, path+journalSuffix, s.layout.id().String(), s.layout.entries[2].digest.String())
		}, -1},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "a.tar")
			filled := half(t, s, path)
			test.harm(t, path)
			var told counter
			w, err := Create(t.Context(), path, s.layout, CreateOptions{Progress: &told})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			keep := filled - test.lost
			if test.lost < 0 {
				keep = 0
			}
			if w.Kept() < keep || test.lost != 0 && w.Kept() != keep {
				t.Errorf("kept %d bytes, want %d", w.Kept(), keep)
			}
			if told.n < keep || told.n > told.total {
				t.Errorf("progress says %d of %d bytes, %d were kept", told.n, told.total, keep)
			}
			s.fill(t, w, w.Missing(), 2)
			if err := w.Seal(); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(readFile(t, path), want) {
				t.Error("other bytes")
			}
		})
	}
}

type counter struct {
	mu       sync.Mutex
	n, total int64
}

func (c *counter) Begin(_ string, total int64) progress.Task { c.total = total; return c }
func (c *counter) End(error)                                 {}
func (c *counter) Add(n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

func replace(t *testing.T, path, from, to string) {
	t.Helper()
	data := readFile(t, path)
	if !bytes.Contains(data, []byte(from)) {
		t.Fatalf("%s does not contain %q", path, from)
	}
	writeFile(t, filepath.Dir(path), filepath.Base(path), bytes.ReplaceAll(data, []byte(from), []byte(to)))
}

// overwrite flips the byte at that offset.
func overwrite(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var b [1]byte
	if _, err := f.ReadAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 0x55
	if _, err := f.WriteAt(b[:], offset); err != nil {
		t.Fatal(err)
	}
}

// A .part of another bundle makes way.
func TestStartsOverForAnotherLayout(t *testing.T) {
	first, second := mixed(t), newSample(t, "second", 100, 2000)
	path := filepath.Join(t.TempDir(), "a.tar")
	half(t, first, path)
	w, err := Create(t.Context(), path, second.layout, CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if w.Kept() != 0 {
		t.Errorf("kept %d bytes of another bundle", w.Kept())
	}
	second.fill(t, w, w.Missing(), 1)
	if err := w.Seal(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readFile(t, path), second.reference(t)) {
		t.Error("other bytes")
	}
}

// Stopped while it hashes, Create keeps everything for the next time.
func TestCreateCanceled(t *testing.T) {
	s := mixed(t)
	path := filepath.Join(t.TempDir(), "a.tar")
	filled := half(t, s, path)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("interrupted")
	cancel(cause)
	if _, err := Create(ctx, path, s.layout, CreateOptions{}); !errors.Is(err, cause) {
		t.Errorf("error %v, want the cause", err)
	}
	w, err := Create(t.Context(), path, s.layout, CreateOptions{Jobs: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if w.Kept() != filled {
		t.Errorf("kept %d bytes, want %d", w.Kept(), filled)
	}
}
