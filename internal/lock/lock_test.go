package lock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/bundletest"
	"airbundle/internal/httpx"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// A world is what the sources hold now: the images of a fixture by their tags, and files.
type world struct {
	*bundletest.Fixture
	tags   map[string]digest.Digest
	files  map[string]string
	sizes  map[string]int64
	sums   map[string]map[string]digest.Digest
	mu     sync.Mutex // of pinned
	pinned []string
	charts chartContents
	repos  repositories
	cache  lock.Cache
}

func newWorld(t *testing.T) *world {
	w := &world{Fixture: bundletest.New(t), tags: map[string]digest.Digest{}, files: map[string]string{}, sizes: map[string]int64{}, sums: map[string]map[string]digest.Digest{}}
	for _, img := range w.Lock.Images {
		w.tags[img.Source] = img.Digest
	}
	return w
}

func (w *world) Resolve(_ context.Context, source string) (ocispec.Descriptor, error) {
	d, ok := w.tags[source]
	if !ok {
		return ocispec.Descriptor{}, &httpx.StatusError{Method: "GET", URL: source, Code: 404}
	}
	return ocispec.Descriptor{MediaType: w.Types[d], Digest: d, Size: int64(len(w.Blobs[d]))}, nil
}

func (w *world) Config(_ context.Context, _ string, desc ocispec.Descriptor) ([]byte, error) {
	return w.Blobs[desc.Digest], nil
}

func (w *world) Pin(_ context.Context, url string, _ digest.Digest) (int64, digest.Digest, error) {
	w.mu.Lock()
	w.pinned = append(w.pinned, url)
	w.mu.Unlock()
	content, ok := w.files[url]
	if !ok {
		return 0, "", &httpx.StatusError{Method: "GET", URL: url, Code: 404}
	}
	return int64(len(content)), digest.FromString(content), nil
}

func (w *world) Size(_ context.Context, url string) (int64, error) {
	if n, ok := w.sizes[url]; ok {
		return n, nil
	}
	return -1, nil
}

func (w *world) Checksums(_ context.Context, url string) (map[string]digest.Digest, error) {
	if m, ok := w.sums[url]; ok {
		return m, nil
	}
	return nil, &httpx.StatusError{Method: "GET", URL: url, Code: 503}
}

func request(arches ...string) *lockfile.Request {
	return &lockfile.Request{Name: "demo", Arches: arches}
}

func (w *world) resolve(t *testing.T, req *lockfile.Request) (*lockfile.Lock, error) {
	t.Helper()
	res, err := w.resolveWith(t, req, lock.Options{})
	if err != nil {
		return nil, err
	}
	return res.Lock, nil
}

func (w *world) resolveWith(t *testing.T, req *lockfile.Request, o lock.Options) (*lock.Result, error) {
	t.Helper()
	if o.Jobs == 0 {
		o.Jobs = 1
	}
	o.File = "demo.yaml"
	return lock.Resolve(t.Context(), req, lock.Sources{Images: w, Files: w, Charts: w.charts, Repositories: w.repos, Cache: w.cache}, o)
}

func TestImages(t *testing.T) {
	w := newWorld(t)
	req := request("x86_64", "aarch64")
	for _, img := range w.Lock.Images {
		req.Images = append(req.Images, lockfile.ImageWish{Source: img.Source, Groups: img.Groups, Note: "n"})
	}
	got, err := w.resolve(t, req)
	if err != nil {
		t.Fatal(err)
	}
	want := []lockfile.Image{}
	for _, img := range w.Lock.Images {
		img.Note = "n"
		want = append(want, img)
	}
	if diff := cmp.Diff(want, got.Images); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	// The platform that the source does not have is said, never passed over.
	absent := []lockfile.Absent{{Source: "registry.k8s.io/pause:3.2", Arch: "aarch64", Why: "the source has no linux/arm64"}}
	if diff := cmp.Diff(absent, got.Absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	if _, err := got.Encode(); err != nil {
		t.Errorf("the lock is not a valid one: %v", err)
	}
}

func TestWordsOfTheRequestWin(t *testing.T) {
	w := newWorld(t)
	req := request("x86_64", "aarch64")
	req.Images = []lockfile.ImageWish{{Source: "registry.k8s.io/pause:3.2"}}
	req.Absent = []lockfile.Absent{{Source: "registry.k8s.io/pause:3.2", Arch: "aarch64", Why: "no arm hosts at this site"}}
	got, err := w.resolve(t, req)
	if err != nil || len(got.Absent) != 1 || got.Absent[0].Why != "no arm hosts at this site" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestFiles(t *testing.T) {
	w := newWorld(t)
	for _, a := range []string{"amd64", "arm64"} {
		w.files["https://h/etcd-"+a+".tgz"] = "etcd for " + a
		w.files["https://h/helm-"+a+".tgz"] = "helm for " + a
		w.sums["https://h/SUMS"] = map[string]digest.Digest{"helm-amd64.tgz": digest.FromString("helm for amd64"), "helm-arm64.tgz": digest.FromString("helm for arm64")}
	}
	w.files["https://h/notes"] = "notes"
	w.sums["https://h/notes.sha256"] = map[string]digest.Digest{"": digest.FromString("notes")}
	req := request("x86_64", "aarch64")
	req.Files = []lockfile.FileWish{
		{Path: "etcd/{goarch}.tgz", URL: "https://h/etcd-{goarch}.tgz"},
		{Path: "helm/{arch}.tgz", URL: "https://h/helm-{goarch}.tgz", Checksums: "https://h/SUMS", Groups: []string{"g"}},
		{Path: "notes", URL: "https://h/notes", Checksums: "https://h/notes.sha256"},
	}
	got, err := w.resolve(t, req)
	if err != nil {
		t.Fatal(err)
	}
	want := []lockfile.File{
		{Path: "etcd/amd64.tgz", URLs: []string{"https://h/etcd-amd64.tgz"}, Size: 14, Digest: digest.FromString("etcd for amd64"), Arch: "x86_64"},
		{Path: "etcd/arm64.tgz", URLs: []string{"https://h/etcd-arm64.tgz"}, Size: 14, Digest: digest.FromString("etcd for arm64"), Arch: "aarch64"},
		{Path: "helm/x86_64.tgz", URLs: []string{"https://h/helm-amd64.tgz"}, Size: 14, Digest: digest.FromString("helm for amd64"), Arch: "x86_64", Groups: []string{"g"}},
		{Path: "helm/aarch64.tgz", URLs: []string{"https://h/helm-arm64.tgz"}, Size: 14, Digest: digest.FromString("helm for arm64"), Arch: "aarch64", Groups: []string{"g"}},
		{Path: "notes", URLs: []string{"https://h/notes"}, Size: 5, Digest: digest.FromString("notes")},
	}
	if diff := cmp.Diff(want, got.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"https://h/etcd-amd64.tgz", "https://h/etcd-arm64.tgz", "https://h/helm-amd64.tgz", "https://h/helm-arm64.tgz", "https://h/notes"}, w.pinned); diff != "" {
		t.Errorf("downloads (-want +got):\n%s", diff)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(w *world, req *lockfile.Request)
		class report.Class
		text  string
	}{
		"tag gone": {func(_ *world, req *lockfile.Request) {
			req.Images = []lockfile.ImageWish{{Source: "quay.io/gone:1", Line: 7}}
		}, report.ClassUnavailable, "demo.yaml:7: image quay.io/gone:1"},
		"no wanted platform": {func(_ *world, req *lockfile.Request) {
			req.Arches = []string{"aarch64"}
			req.Images = []lockfile.ImageWish{{Source: "registry.k8s.io/pause:3.2"}}
		}, report.ClassContent, "none of the wanted platforms"},
		"file gone": {func(_ *world, req *lockfile.Request) {
			req.Files = []lockfile.FileWish{{Path: "a", URL: "https://h/a"}}
		}, report.ClassUnavailable, "file a"},
		"list gone": {func(_ *world, req *lockfile.Request) {
			req.Files = []lockfile.FileWish{{Path: "a", URL: "https://h/a", Checksums: "https://h/S"}}
		}, report.ClassUnavailable, "503"},
		"not in list": {func(w *world, req *lockfile.Request) {
			w.sums["https://h/S"] = nil
			req.Files = []lockfile.FileWish{{Path: "a", URL: "https://h/a", Checksums: "https://h/S"}}
		}, report.ClassContent, "does not name a"},
		"other content": {func(w *world, req *lockfile.Request) { wrongSum(w, req) }, report.ClassContent, "hashes to"},
		"no repository": {func(_ *world, req *lockfile.Request) {
			req.Packages = []lockfile.PackageSet{{Into: "os", Install: []string{"a"}}}
		}, report.ClassUsage, "no repository of the request is for aarch64"},
		"chart gone": {func(_ *world, req *lockfile.Request) {
			req.Charts = []lockfile.ChartWish{{Name: "c", Version: "1", Line: 9}}
		}, report.ClassUnavailable, "demo.yaml:9: chart c 1"},
	} {
		w, req := newWorld(t), request("x86_64", "aarch64")
		c.spoil(w, req)
		got, err := w.resolve(t, req)
		if got != nil || report.Classify(err) != c.class || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, class %d, %v", name, got, report.Classify(err), err)
		}
	}
}

func wrongSum(w *world, req *lockfile.Request) {
	w.files["https://h/a"] = "a"
	w.sums["https://h/S"] = map[string]digest.Digest{"a": digest.FromString("b")}
	req.Files = []lockfile.FileWish{{Path: "a", URL: "https://h/a", Checksums: "https://h/S"}}
}

func TestAllProblemsAreTold(t *testing.T) {
	req := request("x86_64")
	req.Images = []lockfile.ImageWish{{Source: "one:1"}, {Source: "two:1"}}
	req.Files = []lockfile.FileWish{{Path: "three", URL: "https://h/3"}}
	_, err := newWorld(t).resolve(t, req)
	for _, want := range []string{"one:1", "two:1", "three"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not told: %v", want, err)
		}
	}
}

func TestInterrupted(t *testing.T) {
	why := errors.New("signal")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	w := newWorld(t)
	if _, err := lock.Resolve(ctx, request("x86_64"), lock.Sources{Images: w, Files: w}, lock.Options{}); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
}
