package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airbundle/internal/rpmtest"
)

// A containerd is a private daemon with root, state and socket in a directory of the test.
type containerd struct {
	ctr, socket string
}

func startContainerd(t *testing.T) *containerd {
	t.Helper()
	program, ctr := rpmtest.Tool(t, "containerd"), rpmtest.Tool(t, "ctr")
	needRoot(t, "containerd manages mounts")
	dir, err := os.MkdirTemp("", "ctd") //nolint:usetesting // t.TempDir may be too long a path for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	config := filepath.Join(dir, "config.toml")
	text := fmt.Sprintf(`version = 2
root = "%[1]s/root"
state = "%[1]s/state"
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "%[1]s/sock"
[ttrpc]
  address = "%[1]s/sock.ttrpc"
`, dir)
	writeFile(t, config, []byte(text))
	launch(t, program, "--config", config).await(t, "containerd successfully booted")
	return &containerd{ctr, filepath.Join(dir, "sock")}
}

func (c *containerd) run(t *testing.T, args ...string) string {
	t.Helper()
	return must(t, nil, c.ctr, append([]string{"--address", c.socket, "--namespace", "k8s.io"}, args...)...)
}

// images lists names with their digests.
func (c *containerd) images(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(c.run(t, "images", "ls")), "\n")[1:] {
		fields := strings.Fields(line)
		out[fields[0]] = fields[2]
	}
	return out
}

// blobs lists the digests in the content store.
func (c *containerd) blobs(t *testing.T) []string {
	t.Helper()
	return strings.Fields(c.run(t, "content", "ls", "--quiet"))
}

// TestContainerdImports imports the archive; the images have their digests and keep
// both platforms past a garbage collection. The root has no name and is collected.
func TestContainerdImports(t *testing.T) {
	t.Parallel()
	c := startContainerd(t)
	d := demoBundle(t)
	c.run(t, "images", "import", "--all-platforms", "--no-unpack", d.archive)
	images := c.images(t)
	t.Logf("ctr images import --all-platforms --no-unpack:")
	for name, dgst := range images {
		t.Logf("  %s %s", name, dgst)
		if dgst == d.root {
			t.Errorf("the root became the image %s", name)
		}
	}
	for repository, img := range d.images {
		if got := images[img.source]; got != d.want(repository) {
			t.Errorf("%s has digest %q, want %s", img.source, got, d.want(repository))
		}
	}
	if images["rpms/os/x86_64"] == "" {
		t.Errorf("the RPM sets are not listed")
	}

	c.run(t, "images", "rm", "--sync", "rpms/os/x86_64", "rpms/os/aarch64") // collects garbage
	blobs := c.blobs(t)
	for _, img := range d.images {
		for goArch, p := range img.platforms {
			if there := slices.Contains(blobs, p); there != (goArch != dropped) {
				t.Errorf("%s: platform %s %s is there: %v", img.source, goArch, p, there)
			}
		}
	}
	if slices.Contains(blobs, d.root) {
		t.Errorf("the root survived the garbage collection")
	}
}

// TestContainerdImportsDigests imports with a name for each digest too, as operators do
// who want to see everything that is in an archive.
func TestContainerdImportsDigests(t *testing.T) {
	t.Parallel()
	c := startContainerd(t)
	d := demoBundle(t)
	c.run(t, "images", "import", "--digests", "--base-name", "demo", "--no-unpack", d.archive)
	images := c.images(t)
	for _, dgst := range []string{d.root, d.derived, d.images["team/list"].digest, d.images["team/v2s2"].digest} {
		if images["demo@"+dgst] != dgst {
			t.Errorf("no image demo@%s in %v", dgst, images)
		}
	}
	t.Logf("ctr images import --digests --base-name demo --no-unpack: %d names", len(images))
}
