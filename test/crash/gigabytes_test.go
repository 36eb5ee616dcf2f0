package crash

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/nexustest"
)

// memoryBound is what any command may use, however large the bundle is.
const memoryBound = 200 << 20

// How large the file is, and the layer is half of it.
const someSize, fullSize = 256 << 20, 3 << 30

// sparse makes a large file that takes no space, and returns its digest.
func sparse(t *testing.T, path string, size int64) digest.Digest {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	sum := digest.Canonical.Digester()
	if _, err := io.Copy(sum.Hash(), f); err != nil {
		t.Fatal(err)
	}
	return sum.Digest()
}

// layoutWith makes an OCI layout of one image with one layer of that size.
func layoutWith(t *testing.T, dir string, size int64) {
	t.Helper()
	blobs := filepath.Join(dir, ocispec.ImageBlobsDir, "sha256")
	if err := os.MkdirAll(blobs, 0o755); err != nil {
		t.Fatal(err)
	}
	write := func(path string, v any) (raw []byte) {
		raw, err := json.Marshal(v)
		if err == nil {
			err = os.WriteFile(path, raw, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	put := func(mediaType string, v any) ocispec.Descriptor {
		at := filepath.Join(dir, "new")
		d := digest.FromBytes(write(at, v))
		info, err := os.Stat(at)
		if err == nil {
			err = os.Rename(at, filepath.Join(blobs, d.Encoded()))
		}
		if err != nil {
			t.Fatal(err)
		}
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: info.Size()}
	}
	p := ocispec.Platform{OS: "linux", Architecture: "amd64"}
	at := filepath.Join(dir, "layer")
	layer := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageLayer, Digest: sparse(t, at, size), Size: size}
	if err := os.Rename(at, filepath.Join(blobs, layer.Digest.Encoded())); err != nil {
		t.Fatal(err)
	}
	config := put(ocispec.MediaTypeImageConfig, ocispec.Image{Platform: p, RootFS: ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{layer.Digest}}})
	m := put(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer},
	})
	m.Platform = &p
	write(filepath.Join(dir, ocispec.ImageIndexFile), ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, Manifests: []ocispec.Descriptor{m}})
	write(filepath.Join(dir, ocispec.ImageLayoutFile), ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// peakTo is set for a process that runs a program and writes that one's memory to this file.
const peakTo = "AIRBUNDLE_PEAK_TO"

// peak is end, and returns how many bytes of main memory the program had at its most. Linux
// counts what the parent had by then for the child, too; so a parent with little stands
// between: this test program once more.
func (p program) peak(t *testing.T, args ...string) (met, int64) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "peak")
	p.shell = fmt.Sprintf(`%s='%s' exec '%s' "$0" "$@"`, peakTo, to, self)
	got := p.end(t, args...)
	raw, err := os.ReadFile(to)
	if err != nil {
		t.Fatalf("%s\n%s", err, got.talk)
	}
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n <= 0 {
		t.Fatalf("memory %q: %v", raw, err)
	}
	return got, n
}

// writePeak runs a program as it was called, and returns its exit code.
func writePeak(to string, args []string) int {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	if err := cmd.Run(); cmd.ProcessState == nil {
		fmt.Fprintln(os.Stderr, err)
		return -1
	}
	use, _ := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if err := os.WriteFile(to, fmt.Append(nil, use.Maxrss<<10), 0o600); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return cmd.ProcessState.ExitCode()
}

// The memory of no command grows with what it carries: not with a file, nor with a layer, of
// gigabytes.
func TestGigabytes(t *testing.T) {
	size := int64(someSize)
	if os.Getenv("AIRBUNDLE_FAULTS") == full {
		size = fullSize
	}
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	sparse(t, at("huge.bin"), size)
	layoutWith(t, at("image"), size/2)
	request := fmt.Sprintf(`apiVersion: airbundle/v1
kind: Request
name: huge
arches: [x86_64]
images:
  - {source: "oci-layout:%s", publish: ["team/huge:1"]}
files:
  - {path: huge.bin, url: "file:huge.bin"}
`, at("image"))
	if err := os.WriteFile(at("huge.yaml"), []byte(request), 0o644); err != nil {
		t.Fatal(err)
	}
	n := nexustest.Start(t, nexustest.Options{
		Repositories: []nexustest.Repository{{Name: "docker-hosted", Format: "docker"}, {Name: "raw-hosted", Format: "raw"}},
	})
	bundler := program{name: "bundler"}
	seeder := program{name: "seeder", env: []string{"NEXUS_USERNAME=" + nexustest.Username, "NEXUS_PASSWORD=" + nexustest.Password}}
	bundle := at("huge.bundle.tar")
	for _, step := range []struct {
		program program
		args    []string
	}{
		{bundler, []string{"lock", at("huge.yaml"), "-o", at("huge.lock.yaml")}},
		{bundler, []string{"build", at("huge.lock.yaml"), "-o", bundle}},
		{seeder, []string{"verify", bundle}},
		{seeder, []string{"push", bundle, "--nexus", n.URL}},
		{seeder, []string{"audit", bundle, "--nexus", n.URL, "--deep"}},
	} {
		got, memory := step.program.peak(t, step.args...)
		t.Logf("%s %s: %d MB, %v", step.program.name, step.args[0], memory>>20, got.took)
		if got.code != 0 {
			t.Fatalf("%v: status %d\n%s", step.args, got.code, got.talk)
		}
		if memory > memoryBound {
			t.Errorf("%s: %d bytes of memory, more than %d", step.args[0], memory, memoryBound)
		}
	}
	if info, err := os.Stat(bundle); err != nil || info.Size() < size+size/2 {
		t.Errorf("the bundle is not of that size: %v, %v", info, err)
	}
}
