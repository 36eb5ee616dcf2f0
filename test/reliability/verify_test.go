package reliability

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/bundletest"
	"airbundle/internal/rpmtest"
	"airbundle/internal/verify"
)

// loud are system calls that verify has no use for: the network, other programs, and all
// that changes something on a disk. The first execve is strace's own.
var loud = regexp.MustCompile(`^\d+ +(socket|connect|bind|listen|sendto|execveat|unlink|rename|mkdir|link|symlink|truncate|ftruncate|fallocate|chmod|fchmod|mknod|setxattr|utimensat)\w*\(|^\d+ +open.*O_(WRONLY|RDWR|CREAT|TRUNC|APPEND)`)

// TestVerifyIsInert looks at the system calls of verify: whatever is in the archive, no
// socket is made, nothing is written or removed, no program is started, and of the medium
// nothing but the archive is opened.
func TestVerifyIsInert(t *testing.T) {
	strace := rpmtest.Tool(t, "strace")
	seeder := filepath.Join(t.TempDir(), "seeder")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", seeder, "airbundle/cmd/seeder").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	good, err := os.ReadFile(bundletest.New(t).Build(t))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for name, content := range map[string][]byte{
		"good": good, "damaged": damaged, "cut": good[:len(good)/2], "foreign": layout(t, []byte("layer")), "garbage": []byte("hello"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, other := range []string{"other.tar", "autorun.inf", "medium.tar.key"} {
				write(t, filepath.Join(dir, other), good)
			}
			log := filepath.Join(t.TempDir(), "calls")
			path := filepath.Join(dir, "medium.tar")
			write(t, path, content)
			cmd := exec.CommandContext(t.Context(), strace, "-f", "-o", log, "-e", "trace=%network,%file,%desc,%process", seeder, "verify", path)
			out, err := cmd.CombinedOutput()
			if ok := err == nil; ok != (name == "good" || name == "foreign") {
				t.Fatalf("verify: %v\n%s", err, out)
			}
			calls, err := os.ReadFile(log)
			if err != nil {
				t.Fatal(err)
			}
			opened, started := 0, 0
			for line := range strings.Lines(string(calls)) {
				switch {
				case loud.MatchString(line):
					t.Errorf("%s", line)
				case strings.Contains(line, " execve("):
					started++
				case strings.Contains(line, " open") && strings.Contains(line, dir+"/"):
					opened++
					if !strings.Contains(line, `"`+path+`"`) {
						t.Errorf("%s", line)
					}
				}
			}
			if opened == 0 || started != 1 {
				t.Errorf("the archive was opened %d times, %d programs were started: the calls were not seen", opened, started)
			}
		})
	}
}

// TestVerifyInflatesNothing has a layer that is a thousand times its size when inflated.
func TestVerifyInflatesNothing(t *testing.T) {
	var layer bytes.Buffer
	w := gzip.NewWriter(&layer)
	if _, err := io.CopyN(w, zeros{}, 256<<20); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bomb.tar")
	write(t, path, layout(t, layer.Bytes()))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	rep, sum, err := verify.Run(t.Context(), path, verify.Options{})
	runtime.ReadMemStats(&after)
	if err != nil || rep.Code() != 0 {
		t.Fatal(err, rep)
	}
	if sum.Bytes > 1<<20 {
		t.Errorf("%d bytes hashed of an archive of %d", sum.Bytes, layer.Len())
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 64<<20 {
		t.Errorf("%d bytes of memory set aside", got)
	}
}

// TestClockDoesNotMatter builds and verifies one lock at different times.
func TestClockDoesNotMatter(t *testing.T) {
	f := bundletest.New(t)
	want, err := os.ReadFile(f.Build(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, later := range []time.Duration{0, 10 * 365 * 24 * time.Hour, 36 * 365 * 24 * time.Hour} {
		synctest.Test(t, func(t *testing.T) { // begins at midnight of 1 January 2000
			time.Sleep(later)
			path := f.Build(t)
			got, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s: the archive has other bytes", time.Now())
			}
			rep, _, err := verify.Run(t.Context(), path, verify.Options{})
			if err != nil || rep.Code() != 0 {
				t.Errorf("%s: %v, %v", time.Now(), err, rep)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// layout is another tool's OCI layout of one image with one layer.
func layout(t *testing.T, layer []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name string, content []byte) {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	blob := func(mediaType string, content []byte) ocispec.Descriptor {
		d := digest.FromBytes(content)
		add("blobs/sha256/"+d.Encoded(), content)
		return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(content))}
	}
	encode := func(v any) []byte {
		raw, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	config := blob(ocispec.MediaTypeImageConfig, encode(ocispec.Image{
		Platform: ocispec.Platform{Architecture: "amd64", OS: "linux"},
		RootFS:   ocispec.RootFS{Type: "layers", DiffIDs: []digest.Digest{digest.FromString("layer")}},
	}))
	image := blob(ocispec.MediaTypeImageManifest, encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Config: config, Layers: []ocispec.Descriptor{blob(ocispec.MediaTypeImageLayerGzip, layer)},
	}))
	image.Annotations = map[string]string{ocispec.AnnotationRefName: "docker.io/library/bomb:1"}
	add("oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`))
	add("index.json", encode(ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{image},
	}))
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
