package interop

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"

	"airbundle/internal/lockfile"
	"airbundle/internal/registrytest"
	"airbundle/internal/rpmtest"
)

// requestFor writes a request in dir for one image and amd64.
func requestFor(t *testing.T, dir, source string) string {
	t.Helper()
	path := filepath.Join(dir, "one.yaml")
	writeFile(t, path, fmt.Appendf(nil, "apiVersion: airbundle/v1\nkind: Request\nname: one\narches: [x86_64]\n"+
		"images:\n  - {source: %q, publish: [\"team/one:1\"]}\n", source))
	return path
}

// carried locks and builds one image of a source, with the request in dir, and returns
// the lock's entry and the archive.
func carried(t *testing.T, env []string, dir, source string, flags ...string) (lockfile.Image, string) {
	t.Helper()
	program, err := buildBundler()
	if err != nil {
		t.Fatal(err)
	}
	req, lock, archive := requestFor(t, dir, source), filepath.Join(dir, "one.lock.yaml"), filepath.Join(dir, "one.bundle.tar")
	must(t, env, program, append([]string{"lock", req, "-o", lock}, flags...)...)
	must(t, env, program, append([]string{"build", lock, "-o", archive}, flags...)...)
	l, err := lockfile.DecodeLock(lock, readFile(t, lock))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Images) != 1 {
		t.Fatalf("the lock has %d images", len(l.Images))
	}
	return l.Images[0], archive
}

// seenIn is the digest that skopeo finds at a place.
func seenIn(t *testing.T, place string, flags ...string) string {
	t.Helper()
	return digestOf(tool(t, "skopeo", append([]string{"inspect", "--raw", place}, flags...)...))
}

// TestSourceWithLogin builds from a registry that wants the login of the docker config.
func TestSourceWithLogin(t *testing.T) {
	t.Parallel()
	const user, password = "reader", "s3cret:with colon"
	reg := registrytest.Start(t, registrytest.Options{Username: user, Password: password})
	img := pushed(t, reg.Host, "team/private:1", imageOf(t, ociTypes, "amd64", randomLayer(t, ociTypes, 5000)), &authn.Basic{Username: user, Password: password})
	config, err := json.Marshal(map[string]any{"auths": map[string]any{
		reg.Host: map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))},
	}})
	if err != nil {
		t.Fatal(err)
	}
	login := t.TempDir()
	writeFile(t, filepath.Join(login, "config.json"), config)
	got, archive := carried(t, []string{"DOCKER_CONFIG=" + login}, t.TempDir(), img.source, "--plain-http", reg.Host)
	if string(got.Digest) != img.digest {
		t.Errorf("locked %s, the registry has %s", got.Digest, img.digest)
	}
	if d := seenIn(t, "oci-archive:"+archive+":"+img.source); d != img.digest {
		t.Errorf("skopeo sees %s in the archive, want %s", d, img.digest)
	}

	program, err := buildBundler()
	if err != nil {
		t.Fatal(err)
	}
	req := requestFor(t, t.TempDir(), img.source)
	res := run(t, nil, program, "lock", req, "-o", req+".lock", "--plain-http", reg.Host)
	if res.code != 7 || !strings.Contains(res.stderr, "401") {
		t.Errorf("lock without the login: exit %d, want 7 and a word of 401\n%s", res.code, res.stderr)
	}
	t.Logf("%s; without the login: %s", img.source, strings.TrimSpace(res.stderr))
}

// TestSourceLayouts builds from what skopeo wrote: a layout directory, its archive, and
// docker-archive files with one image and with two.
func TestSourceLayouts(t *testing.T) {
	t.Parallel()
	skopeo := rpmtest.Tool(t, "skopeo")
	reg := registrytest.Start(t, registrytest.Options{})
	img := pushed(t, reg.Host, "team/app:1", imageOf(t, ociTypes, "amd64", randomLayer(t, ociTypes, 50_000), randomLayer(t, ociTypes, 5000)))
	dir := t.TempDir()
	for _, to := range []string{"oci:" + dir + "/layout:v1", "oci-archive:" + dir + "/app.tar:v1"} {
		must(t, nil, skopeo, "copy", "--preserve-digests", "--src-tls-verify=false", "docker://"+img.source, to)
	}
	for source, place := range map[string]string{
		"oci-layout:layout:v1":   "oci:" + dir + "/layout:v1",
		"oci-layout:layout":      "oci:" + dir + "/layout",
		"oci-archive:app.tar:v1": "oci-archive:" + dir + "/app.tar:v1",
		"oci-archive:app.tar":    "oci-archive:" + dir + "/app.tar",
	} {
		t.Run(source, func(t *testing.T) {
			got, archive := carried(t, nil, in(t, dir), source)
			views := map[string]string{"lock": string(got.Digest), "source": seenIn(t, place), "archive": seenIn(t, "oci-archive:"+archive+":team/one:1")}
			want := map[string]string{"lock": img.digest, "source": img.digest, "archive": img.digest}
			if diff := cmp.Diff(want, views); diff != "" {
				t.Errorf("digests (-pushed +seen):\n%s", diff)
			}
			t.Logf("%s: %s", source, got.Digest)
		})
	}
}

// in makes a directory for one request beside whose relative sources the files of dir lie.
func in(t *testing.T, dir string) string {
	t.Helper()
	own := t.TempDir()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if err := os.Symlink(filepath.Join(dir, e.Name()), filepath.Join(own, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return own
}

// dockerManifest is what these tests read of a Docker image manifest.
type dockerManifest struct {
	MediaType string
	Config    struct{ Digest string }
	Layers    []struct{ MediaType, Digest string }
}

// TestSourceDockerArchive builds from docker save archives. They hold no manifest, so
// config and layers are what has to stay: the config names the layers by the hash of
// what is in them.
func TestSourceDockerArchive(t *testing.T) {
	t.Parallel()
	skopeo := rpmtest.Tool(t, "skopeo")
	reg := registrytest.Start(t, registrytest.Options{})
	img := pushed(t, reg.Host, "team/app:1", imageOf(t, dockerTypes, "amd64", randomLayer(t, dockerTypes, 50_000), randomLayer(t, dockerTypes, 5000)))
	var pushedManifest dockerManifest
	if err := json.Unmarshal(img.raw, &pushedManifest); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	must(t, nil, skopeo, "copy", "--src-tls-verify=false", "docker://"+img.source, "docker-archive:"+dir+"/app.tar:team/app:1")
	var saved dockerManifest
	raw := tool(t, "skopeo", "inspect", "--raw", "docker-archive:"+dir+"/app.tar")
	if err := json.Unmarshal([]byte(raw), &saved); err != nil {
		t.Fatal(err)
	}
	if saved.Config.Digest != pushedManifest.Config.Digest {
		t.Fatalf("skopeo changed the config on its way into the docker-archive")
	}
	for _, source := range []string{"docker-archive:app.tar", "docker-archive:app.tar:team/app:1"} {
		got, archive := carried(t, nil, in(t, dir), source)
		manifest := tool(t, "tar", "-xOf", archive, "blobs/sha256/"+got.Digest.Encoded())
		var m dockerManifest
		if err := json.Unmarshal([]byte(manifest), &m); err != nil {
			t.Fatal(err)
		}
		want := dockerManifest{MediaType: string(dockerTypes.manifest), Config: saved.Config, Layers: saved.Layers}
		for i := range want.Layers {
			want.Layers[i].MediaType = "application/vnd.docker.image.rootfs.diff.tar" // as it lies in the archive
		}
		if diff := cmp.Diff(want, m); diff != "" {
			t.Errorf("%s (-skopeo's view of the docker-archive +ours):\n%s", source, diff)
		}
		t.Logf("%s: %s, config %s", source, got.Digest, m.Config.Digest)
	}
}
