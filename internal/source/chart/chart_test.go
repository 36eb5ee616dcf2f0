package chart

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/helmtest"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
)

// newSource wires a source as bundler does. plain are hosts without TLS.
func newSource(t *testing.T, dir string, keys authn.Keychain, plain ...string) *Source {
	t.Helper()
	tr := httpx.NewTransport(httpx.Options{Attempts: 2, Backoff: func(int) time.Duration { return time.Millisecond }})
	t.Cleanup(tr.CloseIdleConnections)
	return New(Options{
		Files:    web.New(httpx.NewClient(tr), dir),
		Registry: image.New(image.Options{Transport: tr, PlainHTTP: plain, Keychain: keys}),
	})
}

// A repository is a chart repository: content by path.
type repository struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked map[string]int
}

func newRepository(t *testing.T) *repository {
	t.Helper()
	r := &repository{files: map[string][]byte{}, asked: map[string]int{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked[req.URL.Path]++
		content, ok := r.files[req.URL.Path]
		if !ok {
			http.NotFound(w, req)
			return
		}
		w.Write(content)
	}))
	t.Cleanup(r.Close)
	return r
}

// index is an index.yaml with one version of one chart.
func index(name, version, digest string, urls ...string) []byte {
	s := fmt.Sprintf("apiVersion: v1\nentries:\n  %s:\n  - {name: %s, version: %q, digest: %q, urls: [", name, name, version, digest)
	return []byte(s + "\"" + strings.Join(urls, `", "`) + "\"]}\n")
}

func hexOf(b []byte) string { return digest.FromBytes(b).Encoded() }

func TestResolveFromIndex(t *testing.T) {
	good, other := helmtest.Chart(t, "nginx", "1.2.3", nil), helmtest.Chart(t, "nginx", "1.2.4", nil)
	for name, c := range map[string]struct {
		index []byte // REPO stands for the server
		urls  []string
		class report.Class
		text  string
	}{
		"relative": {index: index("nginx", "1.2.3", hexOf(good), "nginx-1.2.3.tgz"), urls: []string{"REPO/charts/nginx-1.2.3.tgz"}},
		"absolute": {index: index("nginx", "1.2.3", "", "REPO/elsewhere/n.tgz"), urls: []string{"REPO/elsewhere/n.tgz"}},
		"digest with its algorithm": {
			index: index("nginx", "1.2.3", "sha256:"+strings.ToUpper(hexOf(good)), "nginx-1.2.3.tgz"),
			urls:  []string{"REPO/charts/nginx-1.2.3.tgz"},
		},
		"rooted": {index: index("nginx", "1.2.3", hexOf(good), "/elsewhere/n.tgz"), urls: []string{"REPO/elsewhere/n.tgz"}},
		"several, the first gone": {
			index: index("nginx", "1.2.3", hexOf(good), "gone.tgz", "nginx-1.2.3.tgz", "mirror.tgz"),
			urls:  []string{"REPO/charts/nginx-1.2.3.tgz", "REPO/charts/mirror.tgz"},
		},
		"several, the first wrong": {
			index: index("nginx", "1.2.3", hexOf(good), "other.tgz", "nginx-1.2.3.tgz"),
			urls:  []string{"REPO/charts/nginx-1.2.3.tgz"},
		},
		"other digest": {
			index: index("nginx", "1.2.3", hexOf(other), "nginx-1.2.3.tgz"), class: report.ClassContent,
			text: "charts/nginx-1.2.3.tgz hashes to sha256:" + hexOf(good) + ", the index of REPO/charts says sha256:" + hexOf(other),
		},
		"digest of another kind": {index: index("nginx", "1.2.3", "abc", "nginx-1.2.3.tgz"), class: report.ClassContent, text: "no sha256"},
		"other version inside":   {index: index("nginx", "1.2.3", "", "other.tgz"), class: report.ClassContent, text: `"nginx" "1.2.4" by its Chart.yaml, not nginx 1.2.3`},
		"no chart":               {index: index("nginx", "1.2.3", "", "index.yaml"), class: report.ClassContent, text: "not a chart"},
		"gone":                   {index: index("nginx", "1.2.3", "", "gone.tgz"), class: report.ClassUnavailable, text: "404"},
		"with a v":               {index: index("nginx", "v1.2.3", "", "n.tgz"), class: report.ClassContent, text: "no version 1.2.3 of nginx, but v1.2.3: write it so"},
		"other versions":         {index: index("nginx", "1.2.4", "", "n.tgz"), class: report.ClassContent, text: `no version 1.2.3 of nginx, but ["1.2.4"]`},
		"other chart":            {index: index("nginx-ingress", "1.2.3", "", "n.tgz"), class: report.ClassContent, text: `no chart nginx, but ["nginx-ingress"]`},
		"file":                   {index: index("nginx", "1.2.3", "", "file:///etc/passwd"), class: report.ClassContent, text: "a file of this machine"},
		"ftp":                    {index: index("nginx", "1.2.3", "", "ftp://h/n.tgz"), class: report.ClassContent, text: "neither http"},
		"login":                  {index: index("nginx", "1.2.3", "", "https://u:secret@h/n.tgz"), class: report.ClassContent, text: "cannot be asked"},
		"no urls":                {index: []byte("entries: {nginx: [{version: 1.2.3}]}"), class: report.ClassContent, text: "no urls"},
		"no index":               {index: []byte("<html>"), class: report.ClassContent, text: "no YAML"},
		"empty":                  {index: []byte("{}"), class: report.ClassContent, text: "no entries"},
		"broken entry":           {index: []byte("entries: {nginx: 1}"), class: report.ClassContent, text: "entry of"},
	} {
		t.Run(name, func(t *testing.T) {
			repo := newRepository(t)
			named := func(s string) string { return strings.ReplaceAll(s, "REPO", repo.URL) }
			repo.files = map[string][]byte{
				"/charts/index.yaml": []byte(named(string(c.index))), "/charts/other.tgz": other,
				"/charts/nginx-1.2.3.tgz": good, "/elsewhere/n.tgz": good, "/charts/mirror.tgz": good,
			}
			for _, slash := range []string{"", "/"} {
				got, err := newSource(t, "", nil).Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: repo.URL + "/charts" + slash, Groups: []string{"g"}, Note: "n"})
				if c.text != "" {
					want := strings.ReplaceAll(named(c.text), "/charts says", "/charts"+slash+" says")
					if err == nil || report.Classify(err) != c.class || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
						t.Errorf("class %d, %v\nwant class %d, %q", report.Classify(err), err, c.class, want)
					}
					continue
				}
				want := lockfile.Chart{Name: "nginx", Version: "1.2.3", Size: int64(len(good)), Digest: digest.FromBytes(good), Groups: []string{"g"}, Note: "n"}
				for _, u := range c.urls {
					want.URLs = append(want.URLs, named(u))
				}
				if diff := cmp.Diff(want, got); err != nil || diff != "" {
					t.Errorf("%v, (-want +got):\n%s", err, diff)
				}
			}
		})
	}
}

// However many charts are wanted of a repository, its index is read once and each chart too.
func TestOnce(t *testing.T) {
	repo := newRepository(t)
	repo.files["/index.yaml"] = []byte("entries: {a: [{version: 1.0.0, urls: [a.tgz]}], b: [{version: 1.0.0, urls: [b.tgz]}]}")
	repo.files["/a.tgz"], repo.files["/b.tgz"] = helmtest.Chart(t, "a", "1.0.0", nil), helmtest.Chart(t, "b", "1.0.0", nil)
	s := newSource(t, "", nil)
	var all sync.WaitGroup
	for _, name := range []string{"a", "b"} {
		all.Go(func() {
			if _, err := s.Resolve(t.Context(), lockfile.ChartWish{Name: name, Version: "1.0.0", Repo: repo.URL}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if diff := cmp.Diff(map[string]int{"/index.yaml": 1, "/a.tgz": 1, "/b.tgz": 1}, repo.asked); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

func TestResolveFromDisk(t *testing.T) {
	dir, good := t.TempDir(), helmtest.Chart(t, "nginx", "1.2.3", nil)
	for path, content := range map[string][]byte{
		"my charts/index.yaml": index("nginx", "1.2.3", "", "sub/nginx-1.2.3.tgz"), "my charts/sub/nginx-1.2.3.tgz": good,
		"up/index.yaml": index("nginx", "1.2.3", "", "../nginx-1.2.3.tgz"), "root/index.yaml": index("nginx", "1.2.3", "", "/nginx-1.2.3.tgz"),
	} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for repo, want := range map[string]string{
		"file:my%20charts":                  "file:my%20charts/sub/nginx-1.2.3.tgz",
		"file:./my%20charts/":               "file:my%20charts/sub/nginx-1.2.3.tgz",
		"file://" + dir + "/my%20charts":    "file://" + dir + "/my%20charts/sub/nginx-1.2.3.tgz",
		"file:up":                           "outside of the directory",
		"file:" + "root":                    "outside of the directory",
		"file://" + dir + "/up":             "outside of the directory",
		"file://" + dir + "/no-such-charts": "no such file",
	} {
		s := newSource(t, dir, nil)
		got, err := s.Resolve(t.Context(), lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: repo})
		if !strings.HasPrefix(want, "file:") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", repo, err)
			}
			continue
		}
		if err != nil || got.URLs[0] != want {
			t.Errorf("%s: %v, %v", repo, got.URLs, err)
			continue
		}
		checkOpen(t, s, got, good)
	}
}

// checkOpen opens what was locked.
func checkOpen(t *testing.T, s *Source, c lockfile.Chart, want []byte) {
	t.Helper()
	for _, u := range c.URLs {
		rc, err := s.Open(t.Context(), u, ocispec.Descriptor{Digest: c.Digest, Size: c.Size})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(rc)
		rc.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", u, len(got), err)
		}
	}
}

func TestFromTLSToPlainHTTP(t *testing.T) {
	for _, c := range []struct {
		repo, ref string
		pinned    bool
		want      string // empty: refused
	}{
		{"https://h/charts", "http://m/n.tgz", false, ""},
		{"https://h/charts", "http://m/n.tgz", true, "http://m/n.tgz"},
		{"https://h/charts", "https://m/n.tgz", false, "https://m/n.tgz"},
		{"http://h/charts", "http://m/n.tgz", false, "http://m/n.tgz"},
		{"https://h/charts?token=a", "n.tgz", false, "https://h/charts/n.tgz?token=a"},
		{"https://h/charts?token=a", "//m/n.tgz", false, "https://m/n.tgz"},
		{"https://h/charts", "n.tgz?a=b", false, "https://h/charts/n.tgz?a=b"},
		{"https://h/charts", "oci://m/n:1", false, "oci://m/n:1"},
		{"https://h/charts", "../n%2F1.tgz", false, "https://h/n%2F1.tgz"},
		{"file:charts", "//m/n.tgz", false, ""},
		{"file:charts", "a/../../n.tgz", false, ""},
		{"file:charts", "https://m/n.tgz", false, "https://m/n.tgz"},
		{"file:charts", "file:///n.tgz", false, "file:///n.tgz"},
	} {
		got, err := join(c.repo, c.ref, c.pinned)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("join(%s, %s, %v) = %q, %v; want %q", c.repo, c.ref, c.pinned, got, err, c.want)
		}
	}
}

func TestStopped(t *testing.T) {
	repo := newRepository(t)
	repo.files["/index.yaml"] = index("nginx", "1.2.3", "", "a.tgz")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := newSource(t, "", nil).Resolve(ctx, lockfile.ChartWish{Name: "nginx", Version: "1.2.3", Repo: repo.URL}); report.Classify(err) != report.ClassIncomplete {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}
