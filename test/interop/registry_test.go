package interop

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"airbundle/internal/rpmtest"
)

// toRegistry are the flags of push and audit for a plain registry.
func toRegistry(command, what, host string) []string {
	return []string{command, what, "--registry", host, "--only", "image", "--plain-http", host}
}

// rootFile writes the root of the demo bundle, which is all that an audit needs.
func rootFile(t *testing.T, d *demo) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "demo.root.json")
	bundler(t, "inspect", d.archive, "--root", path)
	return path
}

// TestPushToDockerRegistry pushes to Debian's registry, pulls with everybody's clients,
// pushes again, audits, damages, and repairs.
func TestPushToDockerRegistry(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	reg := startDockerRegistry(t, t.TempDir())
	first := report(t, nil, 0, toRegistry("push", d.archive, reg.host)...)
	if first.Summary.BytesSent == 0 {
		t.Errorf("the first push sent nothing")
	}
	t.Run("skopeo", func(t *testing.T) { skopeoPulls(t, d, reg.host, "--src-tls-verify=false") })
	t.Run("buildah", func(t *testing.T) { buildahPulls(t, d, reg.host) })
	t.Run("containerd", func(t *testing.T) { containerdPulls(t, d, reg.host) })
	t.Run("again", func(t *testing.T) {
		before := len(strings.Split(reg.output(), "\n"))
		second := report(t, nil, 0, toRegistry("push", d.archive, reg.host)...)
		if second.Summary.BytesSent != 0 || second.Summary.BytesSkipped < first.Summary.BytesSent {
			t.Errorf("the second push sent %d bytes and skipped %d", second.Summary.BytesSent, second.Summary.BytesSkipped)
		}
		if w := reg.writes(before); len(w) > 0 {
			t.Errorf("the second push wrote:\n%s", strings.Join(w, "\n"))
		}
		if n := len(strings.Split(reg.output(), "\n")) - before; n == 0 {
			t.Errorf("the second push did not ask the registry")
		}
	})
	for _, what := range []string{d.archive, rootFile(t, d)} {
		t.Run("audit "+filepath.Base(what), func(t *testing.T) {
			if found := report(t, nil, 0, toRegistry("audit", what, reg.host)...).findings(); len(found) > 0 {
				t.Errorf("findings: %q", found)
			}
			report(t, nil, 0, append(toRegistry("audit", what, reg.host), "--deep")...)
		})
	}
	t.Run("repair", func(t *testing.T) { repair(t, d, reg) })
}

// skopeoPulls copies every image by tag with all platforms, and each platform by tag
// and by digest.
func skopeoPulls(t *testing.T, d *demo, host string, flags ...string) {
	skopeo := rpmtest.Tool(t, "skopeo")
	pull := func(want, place string, global []string, more ...string) {
		dir := t.TempDir()
		args := slices.Concat(global, []string{"copy"}, more, flags, []string{place, "dir:" + dir})
		must(t, nil, skopeo, args...)
		raw := readFile(t, filepath.Join(dir, "manifest.json"))
		if got := digestOf(string(raw)); got != want {
			t.Errorf("skopeo %s wrote %s, want %s", strings.Join(args, " "), got, want)
		}
	}
	pulls := 0
	for repository, img := range d.images {
		byTag, byDigest := "docker://"+host+"/"+img.published, "docker://"+host+"/"+repository+"@"
		pull(d.want(repository), byTag, nil, "--all", "--preserve-digests")
		pull(d.want(repository), byDigest+d.want(repository), nil, "--all", "--preserve-digests")
		pulls += 2
		for goArch, p := range img.platforms {
			if goArch == dropped {
				continue
			}
			pull(p, byTag, []string{"--override-arch", goArch})
			pull(p, byDigest+p, []string{"--override-arch", goArch})
			pulls += 2
		}
	}
	t.Logf("skopeo: %d pulls from %s", pulls, host)
}

// buildahPulls pulls a manifest list for both platforms into a storage of the test.
func buildahPulls(t *testing.T, d *demo, host string) {
	program := rpmtest.Tool(t, "buildah")
	needRoot(t, "buildah stores files of other owners")
	for _, repository := range []string{"team/list", "team/derived"} {
		img := d.images[repository]
		for _, goArch := range []string{"amd64", "arm64"} {
			dir := t.TempDir()
			flags := []string{"--root", dir + "/root", "--runroot", dir + "/run", "--storage-driver", "vfs"}
			buildah := func(args ...string) string {
				return strings.TrimSpace(must(t, nil, program, append(flags, args...)...))
			}
			id := buildah("pull", "--quiet", "--tls-verify=false", "--arch", goArch, host+"/"+img.published)
			got := buildah("images", "--no-trunc", "--format", "{{.Digest}}")
			if got != d.want(repository) {
				t.Errorf("buildah pulled %s as %s, want %s", repository, got, d.want(repository))
			}
			if a := buildah("inspect", "--type", "image", "--format", "{{.OCIv1.Architecture}}", id); a != goArch {
				t.Errorf("buildah pulled %s of %s, want %s", a, repository, goArch)
			}
			t.Logf("buildah: %s for %s is %s", img.published, goArch, got)
		}
	}
}

// containerdPulls fetches by tag for one platform each, and by digest for all.
func containerdPulls(t *testing.T, d *demo, host string, login ...string) {
	c := startContainerd(t)
	fetch := append([]string{"content", "fetch", "--plain-http"}, login...)
	for repository, img := range d.images {
		name := host + "/" + img.published
		for goArch, p := range img.platforms {
			if goArch == dropped {
				continue
			}
			c.run(t, slices.Concat(fetch, []string{"--platform", "linux/" + goArch, name})...)
			if !slices.Contains(c.blobs(t), p) {
				t.Errorf("containerd has no %s of %s for %s", p, name, goArch)
			}
		}
		if got := c.images(t)[name]; got != d.want(repository) {
			t.Errorf("containerd fetched %s as %s, want %s", name, got, d.want(repository))
		}
		byDigest := host + "/" + repository + "@" + d.want(repository)
		c.run(t, slices.Concat(fetch, []string{"--all-platforms", byDigest})...)
		if got := c.images(t)[byDigest]; got != d.want(repository) {
			t.Errorf("containerd fetched %s as %s", byDigest, got)
		}
	}
	t.Logf("containerd: %d images for both platforms from %s", len(d.images), host)
}

// repair takes a layer out of the registry's storage, which the registry sees at its
// next start, because it caches what it has.
func repair(t *testing.T, d *demo, reg *dockerRegistry) {
	lost := layerOf(t, d, "team/list", "arm64")
	if err := os.Remove(reg.blobFile(lost)); err != nil {
		t.Fatal(err)
	}
	reg.stop(t, syscall.SIGTERM)
	reg = startDockerRegistry(t, reg.dir)
	found := report(t, nil, 3, toRegistry("audit", rootFile(t, d), reg.host)...).findings()
	if len(found) != 1 || !strings.Contains(found[0], lost) || !strings.Contains(found[0], "team/list:2") {
		t.Errorf("audit does not name %s of team/list:2 alone: %q", lost, found)
	}
	t.Logf("audit: %q", found)
	pushed := report(t, nil, 0, toRegistry("push", d.archive, reg.host)...)
	back := readFile(t, reg.blobFile(lost))
	if got := digestOf(string(back)); got != lost {
		t.Errorf("the push brought %s back, want %s", got, lost)
	}
	if pushed.Summary.BytesSent != int64(len(back)) {
		t.Errorf("the repair sent %d bytes, the layer has %d", pushed.Summary.BytesSent, len(back))
	}
	report(t, nil, 0, append(toRegistry("audit", rootFile(t, d), reg.host), "--deep")...)
}
