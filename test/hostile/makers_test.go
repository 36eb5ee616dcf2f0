package hostile

import (
	"archive/tar"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"

	"airbundle/internal/rpmtest"
)

// unpacked writes the small layout as a directory.
func unpacked(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, m := range compose(nil).members() {
		path := filepath.Join(dir, filepath.FromSlash(m.name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, m.data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tarred packs a directory with archive/tar.
func tarred(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := tar.NewWriter(f)
	if err := w.AddFS(os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func tool(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), rpmtest.Tool(t, name), args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir(), "XDG_RUNTIME_DIR="+t.TempDir(), "TMPDIR="+t.TempDir())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
}

// madeByGo writes a layout of two platforms as go-containerregistry does.
func madeByGo(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	ix := v1.ImageIndex(empty.Index)
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := random.Image(2000, 2)
		if err != nil {
			t.Fatal(err)
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		config.OS, config.Architecture = "linux", arch
		if img, err = mutate.ConfigFile(img, config); err != nil {
			t.Fatal(err)
		}
		ix = mutate.AppendManifests(ix, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	path, err := ocilayout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendIndex(ix, ocilayout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "a:1"})); err != nil {
		t.Fatal(err)
	}
	return dir
}

// madeByOras copies the small layout into a new one with oras-go.
func madeByOras(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	src, err := oci.NewFromFS(t.Context(), os.DirFS(unpacked(t)))
	if err != nil {
		t.Fatal(err)
	}
	dst, err := oci.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oras.Copy(t.Context(), src, "registry.example/app:1.0", dst, "1.0", oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "ingest")); err == nil {
		if err := os.Remove(filepath.Join(dir, "ingest")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestMadeByOthers: what other tools write passes, and is no bundle.
func TestMadeByOthers(t *testing.T) {
	for name, write := range map[string]func(t *testing.T, path string){
		"go-containerregistry": func(t *testing.T, path string) { move(t, tarred(t, madeByGo(t)), path) },
		"oras-go":              func(t *testing.T, path string) { move(t, tarred(t, madeByOras(t)), path) },
		"GNU tar":              func(t *testing.T, path string) { tool(t, "tar", "-cf", path, "-C", unpacked(t), ".") },
		"GNU tar, pax": func(t *testing.T, path string) {
			tool(t, "tar", "--format=pax", "-cf", path, "-C", unpacked(t), "index.json", "oci-layout", "blobs")
		},
		"GNU tar, v7": func(t *testing.T, path string) { tool(t, "tar", "--format=v7", "-cf", path, "-C", unpacked(t), ".") },
		"Python tarfile": func(t *testing.T, path string) {
			tool(t, "python3", "-c", "import sys,tarfile\nt=tarfile.open(sys.argv[1],'w')\nt.add(sys.argv[2],arcname='.')\nt.close()", path, unpacked(t))
		},
		"skopeo": func(t *testing.T, path string) {
			tool(t, "skopeo", "--insecure-policy", "--tmpdir", t.TempDir(), "copy", "--all", "oci:"+madeByGo(t)+":a:1", "oci-archive:"+path+":b:2")
		},
		"buildah": func(t *testing.T, path string) {
			root := t.TempDir()
			store := []string{"--root", filepath.Join(root, "s"), "--runroot", filepath.Join(root, "r"), "--storage-driver", "vfs"}
			tool(t, "buildah", append(store, "from", "--name", "c", "scratch")...)
			tool(t, "buildah", append(store, "commit", "c", "oci-archive:"+path+":a:1")...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "made.tar")
			write(t, path)
			if v := judge(t, path, sample{row: "A39", wrong: "nothing", want: []int{0}}); v.Bundle == nil || *v.Bundle {
				t.Error("calls it a bundle")
			}
		})
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// escaping are the rows whose samples may write outside of where they are unpacked, or fill
// the disk. skopeo 1.9 puts a file in place of the parent of its own temporary directory when
// an entry is called "..", so nothing that unpacks is ever given one of these.
var escaping = []string{"A14", "A15", "A16", "A17", "A18", "A19", "A20"}

// peers are other tools that read a whole layout, by the error that they give. All but
// oras-go unpack it first.
func peers(t *testing.T) map[string]func(path string) error {
	skopeo := rpmtest.Tool(t, "skopeo")
	home := t.TempDir()
	return map[string]func(path string) error{
		"skopeo copy --all": func(path string) error {
			out := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "timeout", "20", skopeo, "--insecure-policy", "--tmpdir", home, "copy", "--all", "oci-archive:"+path+":registry.example/app:1.0", "dir:"+out)
			return cmd.Run()
		},
		"go-containerregistry validate": func(path string) (err error) {
			dir := t.TempDir()
			if err := exec.CommandContext(t.Context(), "tar", "-xf", path, "-C", dir).Run(); err != nil {
				return err
			}
			defer func() {
				if p := recover(); p != nil { // as it does on some
					err = fmt.Errorf("panic: %v", p)
				}
			}()
			ix, err := ocilayout.ImageIndexFromPath(dir)
			if err != nil {
				return err
			}
			return validate.Index(ix, validate.Fast)
		},
		"oras-go": func(path string) error {
			src, err := oci.NewFromTar(t.Context(), path)
			if err != nil {
				return err
			}
			dst, err := oci.New(t.TempDir())
			if err != nil {
				return err
			}
			_, err = oras.Copy(t.Context(), src, "registry.example/app:1.0", dst, "", oras.DefaultCopyOptions)
			return err
		},
	}
}

// TestPeers counts what other tools refuse, of a few layouts or, in full mode, of all; it
// asserts only that they take what is well.
func TestPeers(t *testing.T) {
	tools, refused, tried := peers(t), map[string]int{}, map[string]int{}
	for name, read := range tools {
		if err := read(unusual()[0].file(t, t.TempDir())); err != nil {
			t.Fatalf("%s refuses what is well: %v", name, err)
		}
	}
	for i, s := range malformed() {
		if !full && i%50 != 0 {
			continue
		}
		if len(s.want) > 0 || s.woven || s.row == "A27" || s.row == "A28" || strings.HasPrefix(s.name, "reference: ") {
			continue // not wrong, not comparable, or too large
		}
		path := s.file(t, t.TempDir())
		if st, err := os.Stat(path); err != nil || st.Size() > 64<<20 {
			continue // a tool that unpacks would fill the disk
		}
		for name, read := range tools {
			if name != "oras-go" && slices.Contains(escaping, s.row) {
				continue
			}
			tried[name]++
			if read(path) != nil {
				refused[name]++
			}
		}
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			t.Error(err)
		}
	}
	for name, n := range refused {
		t.Logf("%s refuses %d of %d malformed layouts", name, n, tried[name])
	}
}
