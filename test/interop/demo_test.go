package interop

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/helmtest"
	"airbundle/internal/lockfile"
	"airbundle/internal/rpmtest"
)

// request is what an operator wants, but for the packages: those are pinned by hand.
const request = `apiVersion: airbundle/v1
kind: Request
name: demo
arches: [x86_64, aarch64]
images:
  - source: HOST/team/derived:1.0
  - source: HOST/team/whole:1.0
  - source: HOST/team/list:2
  - source: HOST/team/single:3
  - source: HOST/team/v2s2:4
files:
  - path: etcd/{goarch}/etcd-{goarch}.tar.gz
    url: FILES/etcd-{goarch}.tar.gz
    checksums: FILES/SHA256SUMS
  - path: docs/read me.txt
    url: FILES/read%20me.txt
charts:
  - {name: app, version: 1.0.0, repo: FILES}
absent:
  - {source: "HOST/team/single:3", arch: aarch64, why: made for one arch}
  - {source: "HOST/team/v2s2:4", arch: aarch64, why: made for one arch}
`

// dropped is the platform of team/derived that the request does not want.
const dropped = "s390x"

// A demo is one bundle, made by the program as a user would make it, and what went in.
type demo struct {
	dir, archive string
	root         string // digest
	images       map[string]image
	derived      string            // digest of the index that stands for team/derived
	rpms         map[string][]byte // by path
	files        map[string][]byte // by path
	chart        []byte            // app-1.0.0.tgz
	key          *rpmtest.Signer
}

var (
	makeDemo sync.Once
	theDemo  *demo
)

// demoBundle returns the bundle that the tests share.
func demoBundle(t testing.TB) *demo {
	t.Helper()
	rpmtest.Tool(t, "docker-registry") // each test is skipped without it, not only the first
	makeDemo.Do(func() {
		start := time.Now()
		d := &demo{dir: filepath.Join(processDir, "demo"), images: map[string]image{}, rpms: map[string][]byte{}, files: map[string][]byte{}, key: rpmtest.Key(t)}
		d.archive = filepath.Join(d.dir, "demo.bundle.tar")
		if err := os.Mkdir(d.dir, 0o700); err != nil {
			t.Fatal(err)
		}
		d.build(t)
		theDemo = d
		t.Logf("demo bundle of images in docker-registry, files over HTTP, RPMs on disk: root %s, %.1f s", d.root, time.Since(start).Seconds())
	})
	if theDemo == nil {
		t.Fatal("the demo bundle could not be made; an earlier test says why")
	}
	return theDemo
}

func (d *demo) build(t testing.TB) {
	t.Helper()
	reg := startDockerRegistry(t, t.TempDir())
	d.putImages(t, reg.host)
	files := httptest.NewServer(d.fileServer(t))
	defer files.Close()
	text := strings.NewReplacer("HOST", reg.host, "FILES", files.URL).Replace(request)
	req, lock := filepath.Join(d.dir, "demo.yaml"), filepath.Join(d.dir, "demo.lock.yaml")
	writeFile(t, req, []byte(text))
	bundler(t, "lock", req, "-o", lock, "--plain-http", reg.host)
	d.addRPMs(t, lock)
	bundler(t, "build", lock, "-o", d.archive, "--plain-http", reg.host, "--quiet")
	reg.stop(t, syscall.SIGTERM)

	var seen struct {
		Root      string
		Artifacts []struct{ Kind, Name, Digest, Original string }
	}
	if err := json.Unmarshal([]byte(bundler(t, "inspect", d.archive, "--output", "json")), &seen); err != nil {
		t.Fatal(err)
	}
	d.root = seen.Root
	for _, a := range seen.Artifacts {
		if a.Original != "" {
			d.derived = a.Digest
		}
	}
}

// putImages fills the registry that the build reads. The images of one flavour share a layer.
func (d *demo) putImages(t testing.TB, host string) {
	t.Helper()
	ociBase, dockerBase := randomLayer(t, ociTypes, 200_000), randomLayer(t, dockerTypes, 150_000)
	for _, img := range []image{
		pushed(t, host, "team/derived:1.0", indexOf(t, ociTypes, ociBase, "amd64", "arm64", dropped)),
		pushed(t, host, "team/whole:1.0", indexOf(t, ociTypes, ociBase, "amd64", "arm64")),
		pushed(t, host, "team/list:2", indexOf(t, dockerTypes, dockerBase, "amd64", "arm64")),
		pushed(t, host, "team/single:3", imageOf(t, ociTypes, "amd64", ociBase, randomLayer(t, ociTypes, 10_000))),
		pushed(t, host, "team/v2s2:4", imageOf(t, dockerTypes, "amd64", dockerBase, randomLayer(t, dockerTypes, 10_000))),
	} {
		d.images[img.repository()] = img
	}
}

// fileServer makes the files and serves them with a list of checksums, and a chart with an
// index.
func (d *demo) fileServer(t testing.TB) http.Handler {
	t.Helper()
	mux, sums := http.NewServeMux(), ""
	serve := func(path string, body []byte) {
		mux.HandleFunc("GET /"+strings.ReplaceAll(path, " ", "%20"), func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "", rpmtest.Built, strings.NewReader(string(body)))
		})
	}
	for _, a := range []string{"amd64", "arm64"} {
		name, body := "etcd-"+a+".tar.gz", noise(300_000)
		sums += digest.FromBytes(body).Encoded() + "  " + name + "\n"
		d.files["etcd/"+a+"/"+name] = body
		serve(name, body)
	}
	d.files["docs/read me.txt"] = []byte("read me\n")
	serve("read me.txt", d.files["docs/read me.txt"])
	serve("SHA256SUMS", []byte(sums))
	d.chart = helmtest.Chart(t, "app", "1.0.0", map[string]string{"values.yaml": "answer: 42\n"})
	serve("app-1.0.0.tgz", d.chart)
	serve("index.yaml", fmt.Appendf(nil, "apiVersion: v1\nentries:\n  app:\n  - {apiVersion: v2, name: app, version: 1.0.0, digest: %s, urls: [app-1.0.0.tgz]}\n",
		digest.FromBytes(d.chart).Encoded()))
	return mux
}

// noise is n bytes that no other file has.
func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

// addRPMs pins signed packages in the lock, as one edits it by hand: hello for each
// arch needs hello-data, which is the same for both.
func (d *demo) addRPMs(t testing.TB, lock string) {
	t.Helper()
	l, err := lockfile.DecodeLock(lock, readFile(t, lock))
	if err != nil {
		t.Fatal(err)
	}
	l.Keys = append(l.Keys, lockfile.Key{ID: d.key.ID, Armor: d.key.Armor})
	for _, base := range l.Arches {
		for _, s := range []rpmtest.Spec{
			{Name: "hello", Version: "1.2", Release: "3", Arch: base, Requires: []string{"hello-data >= 1.0"},
				Files: []rpmtest.File{{Path: "/usr/share/hello/arch", Body: base + "\n"}}},
			{Name: "hello-data", Version: "1.0", Release: "1", Files: []rpmtest.File{{Path: "/usr/share/hello/data", Body: "data\n"}}},
		} {
			s.Key = d.key
			raw := rpmtest.Build(t, s)
			file := base + "-" + s.FileName()
			writeFile(t, filepath.Join(d.dir, file), raw)
			arch := s.Arch
			if arch == "" {
				arch = "noarch"
			}
			r := lockfile.RPM{Name: s.Name, EVR: s.Version + "-" + s.Release, Arch: arch, BaseArch: base, Repo: "os/" + base,
				URLs: []string{"file:" + file}, Size: int64(len(raw)), Digest: digest.FromBytes(raw), Signer: d.key.ID}
			d.rpms[fmt.Sprintf("os/%s/%s", base, s.FileName())] = raw
			l.RPMs = append(l.RPMs, r)
		}
	}
	text, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, lock, text)
}
