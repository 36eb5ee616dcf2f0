package crash

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/bundletest"
	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// bin is where TestMain put the programs.
var bin string

func TestMain(m *testing.M) {
	if to := os.Getenv(peakTo); to != "" {
		os.Exit(writePeak(to, os.Args[1:]))
	}
	code := 1
	err := func() (err error) {
		if bin, err = os.MkdirTemp("", "airbundle-crash"); err != nil {
			return err
		}
		defer os.RemoveAll(bin)
		make := exec.Command("go", "build", "-buildvcs=false", "-o", bin, "airbundle/cmd/bundler", "airbundle/cmd/seeder")
		make.Env = append(os.Environ(), "CGO_ENABLED=0") // as released: no calls of a loader
		out, err := make.CombinedOutput()
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

// A program is one of the two with the environment of a test.
type program struct {
	name  string
	env   []string
	dir   string // where it works; "" is that of the test
	shell string // run by sh before it, such as "ulimit -n 32"
}

func (p program) command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, p.name), args...)
	if p.shell != "" {
		cmd = exec.CommandContext(t.Context(), "/bin/sh", append([]string{"-c", p.shell + `; exec "$0" "$@"`, cmd.Path}, args...)...)
	}
	cmd.Dir = p.dir
	cmd.Env = append([]string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH")}, p.env...)
	return cmd
}

// end lets a program work to its end, at most for limit, and returns how it ended.
func (p program) end(t *testing.T, args ...string) met {
	t.Helper()
	cmd := p.command(t, args...)
	var talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &talk, &talk
	cmd.WaitDelay = time.Second
	start := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(limit, func() {
		t.Errorf("%s %s hangs", p.name, strings.Join(args, " "))
		_ = cmd.Process.Kill()
	})
	defer late.Stop()
	_ = cmd.Wait() // told by the state
	code := cmd.ProcessState.ExitCode()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		code = 128 + int(status.Signal())
	}
	return met{code: code, talk: talk.String(), took: time.Since(start)}
}

// run lets a program work to its end and decodes the JSON that it prints.
func (p program) run(t *testing.T, want int, into any, args ...string) time.Duration {
	t.Helper()
	cmd := p.command(t, args...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	start := time.Now()
	err := cmd.Run()
	took := time.Since(start)
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Fatalf("%s %s: status %d, want %d (%v)\n%s%s", p.name, strings.Join(args, " "), code, want, err, &out, &talk)
	}
	if into != nil {
		if err := json.Unmarshal(out.Bytes(), into); err != nil {
			t.Fatalf("%s: %v\n%s", p.name, err, &out)
		}
	}
	return took
}

// kill starts a program and kills it after a while; false when it was done before.
func (p program) kill(t *testing.T, after time.Duration, args ...string) bool {
	t.Helper()
	cmd := p.command(t, args...)
	var talk bytes.Buffer
	cmd.Stderr = &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(after)
	_ = cmd.Process.Kill() // it may be gone already
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && !exit.Exited() {
		return true
	}
	if err != nil {
		t.Fatalf("%s ended by itself: %v\n%s", p.name, err, &talk)
	}
	return false
}

// An outcome is what one kill did, in words; the first part is the state it met.
type outcome struct{ state, detail string }

// atRandomMoments runs try for each moment of a work that takes whole when nothing
// disturbs it, several at a time, and logs what came of it.
func atRandomMoments(t *testing.T, whole time.Duration, try func(t *testing.T, r *rand.Rand, after time.Duration) outcome) {
	n := 10
	if os.Getenv("AIRBUNDLE_FAULTS") == "full" {
		n = 100
	}
	if s := os.Getenv("AIRBUNDLE_KILLS"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil || n < 1 {
			t.Fatalf("AIRBUNDLE_KILLS=%q is no number of kills", s)
		}
	}
	var mu sync.Mutex
	states := map[string]int{}
	start := time.Now()
	t.Run("kill", func(t *testing.T) {
		for i := range n {
			r := rand.New(rand.NewPCG(2026, uint64(i)))
			after := time.Duration(r.Float64() * 1.05 * float64(whole))
			t.Run(fmt.Sprintf("%02d", i), func(t *testing.T) {
				t.Parallel()
				o := try(t, r, after)
				t.Logf("after %v: %s; %s", after.Round(time.Millisecond), o.state, o.detail)
				mu.Lock()
				defer mu.Unlock()
				states[o.state]++
			})
		}
	})
	t.Logf("%d kills within %v of a work of %v: %v; %v in all", n, (whole * 105 / 100).Round(time.Millisecond), whole.Round(time.Millisecond), states, time.Since(start).Round(time.Millisecond))
	if t.Failed() {
		return
	}
	if n >= 50 && len(states) < 2 { // a few may all come early on a loaded machine
		t.Errorf("all kills met the same state %v: the moments prove little", states)
	}
}

// noise is n bytes that depend on the name only.
func noise(name string, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8(digestKey(name)).Read(b)
	return b
}

func digestKey(name string) (key [32]byte) {
	copy(key[:], digest.FromString(name).Encoded())
	return key
}

// addImage adds an image of two platforms, each with layers of these sizes.
func addImage(t *testing.T, f *bundletest.Fixture, source string, layers ...int) {
	t.Helper()
	put := func(mediaType string, raw []byte) ocispec.Descriptor {
		d := ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		f.Blobs[d.Digest], f.Types[d.Digest] = raw, mediaType
		return d
	}
	putJSON := func(mediaType string, v any) ocispec.Descriptor {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return put(mediaType, raw)
	}
	name := filepath.Base(source)
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	platforms := map[string]digest.Digest{}
	for _, arch := range []string{"amd64", "arm64"} {
		p := ocispec.Platform{OS: "linux", Architecture: arch}
		m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest}
		m.Config = putJSON(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: p, Author: name})
		for i, size := range layers {
			m.Layers = append(m.Layers, put(ocispec.MediaTypeImageLayerGzip, noise(fmt.Sprint(arch, i), size)))
		}
		d := putJSON(ocispec.MediaTypeImageManifest, m)
		d.Platform = &p
		index.Manifests = append(index.Manifests, d)
		platforms["linux/"+arch] = d.Digest
	}
	f.Lock.Images = append(f.Lock.Images, lockfile.Image{
		Source: source, Digest: putJSON(ocispec.MediaTypeImageIndex, index).Digest, Platforms: platforms,
	})
}

// work returns the fixture with what takes time: an image of two platforms with layers
// and files of some hundred kilobytes.
func work(t *testing.T) *bundletest.Fixture {
	t.Helper()
	f := bundletest.New(t)
	addImage(t, f, "quay.io/team/heavy:1.0", 200_000, 300_000, 400_000, 500_000)
	for i := range 4 {
		path := fmt.Sprintf("heavy/%d.bin", i)
		raw := noise(path, 150_000+100_000*i)
		f.URLs["https://files.example/"+path] = raw
		f.Lock.Files = append(f.Lock.Files, lockfile.File{Path: path, URLs: []string{"https://files.example/" + path}, Size: int64(len(raw)), Digest: digest.FromBytes(raw)})
	}
	return f
}

// large says which blobs of the fixture are downloaded and not made while planning.
func large(f *bundletest.Fixture) map[digest.Digest]int64 {
	sizes := map[digest.Digest]int64{}
	for _, raw := range f.URLs {
		sizes[digest.FromBytes(raw)] = int64(len(raw))
	}
	for _, file := range f.Lock.Files {
		sizes[file.Digest] = file.Size
	}
	for _, img := range f.Lock.Images {
		for _, d := range img.Platforms {
			node, err := manifest.ParseImage(f.Types[d], f.Blobs[d])
			if err != nil {
				panic(err) // the fixture's own
			}
			for _, l := range node.Layers {
				sizes[l.Digest] = l.Size
			}
		}
	}
	return sizes
}
