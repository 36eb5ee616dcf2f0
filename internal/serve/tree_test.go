package serve_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpmtest"
	"airbundle/internal/serve"
	"airbundle/internal/target"
	"airbundle/manifest"
)

func TestFilesAreFoundByTheirPathOnly(t *testing.T) {
	f := newFixture(t)
	f.file("etcd/v3/etcd.tar.gz", []byte("gzip"))
	f.file("tools", []byte("a file"))
	f.file("tools.d/inner.txt", []byte("beside a file"))
	f.file("odd/a b+c#?%41ü;'\"<&>:x.xml", []byte("odd"))
	f.file("page.html", []byte("<script>alert(1)</script>"))
	f.table.Charts = []manifest.Chart{{Name: "prom", Version: "1.0.0", Digest: f.blob(manifest.MediaTypeChart, []byte("chart")).Digest}}
	ts := f.start(serve.Options{})
	const bin, text, html = "application/octet-stream", "text/plain; charset=utf-8", "text/html; charset=utf-8"

	for _, tt := range []struct {
		method, path string
		status       int
		contentType  string
		body         string // checked where it is not empty
	}{
		{"GET", "/repository/raw-hosted/etcd/v3/etcd.tar.gz", 200, "application/gzip", "gzip"},
		{"GET", "/repository/raw-hosted/tools", 200, bin, "a file"},
		{"GET", "/repository/raw-hosted/tools/", 404, text, ""},
		{"GET", "/repository/raw-hosted/tools.d/inner.txt", 200, text, "beside a file"},
		{"GET", "/repository/raw-hosted/" + (&url.URL{Path: "odd/a b+c#?%41ü;'\"<&>:x.xml"}).EscapedPath(), 200, "application/xml", "odd"},
		{"GET", "/repository/raw-hosted/page.html", 200, bin, "<script>alert(1)</script>"},
		{"GET", "/repository/helm-hosted/prom-1.0.0.tgz", 200, "application/gzip", "chart"},
		{"GET", "/", 200, html, ""},
		{"GET", "/repository/", 200, html, ""},
		{"GET", "/repository", 301, "", ""},
		{"GET", "/repository/raw-hosted", 301, "", ""},
		{"GET", "/repository/raw-hosted/etcd/v3", 301, "", ""},
		{"GET", "/repository/raw-hosted/etcd/v3/", 200, html, ""},
		{"GET", "/repository/raw-hosted/etcd/v3/etcd.tar.gz/", 404, text, ""},
		{"GET", "/repository/raw-hosted/etcd/v3/../v3/etcd.tar.gz", 404, text, ""},
		{"GET", "/repository/raw-hosted/etcd/v3/%2e%2e/v3/etcd.tar.gz", 404, text, ""},
		{"GET", "/repository/raw-hosted/%2e%2e/%2e%2e/%2e%2e/etc/passwd", 404, text, ""},
		{"GET", "/repository/raw-hosted/..%2f..%2f..%2fetc%2fpasswd", 404, text, ""},
		{"GET", "/repository/raw-hosted//etcd/v3/etcd.tar.gz", 404, text, ""},
		{"GET", "/repository//raw-hosted/tools", 404, text, ""},
		{"GET", "/repository//", 404, text, ""},
		{"GET", "//evil.example/..", 404, text, ""},
		{"GET", "/repository/raw-hosted/tools%00", 404, text, ""},
		{"GET", `/repository/raw-hosted/etcd%5Cv3`, 404, text, ""},
		{"GET", "/repository/raw-hosted/%ff%fe", 404, text, ""},
		{"GET", "/repository/other/tools", 404, text, ""},
		{"GET", "/repository/docker-hosted/", 404, text, ""}, // no images
		{"GET", "/repositories", 404, text, ""},
		{"GET", "/v2x", 404, text, ""},
		{"GET", "/favicon.ico", 404, text, ""},
		{"PUT", "/repository/raw-hosted/tools", 405, text, ""},
		{"DELETE", "/", 405, text, ""},
		{"OPTIONS", "/repository/", 405, text, ""},
		{"FOO", "/nowhere", 405, text, ""},
	} {
		resp, body, err := do(t, ts, tt.method, tt.path)
		if err != nil {
			t.Fatalf("%s %s: %v", tt.method, tt.path, err)
		}
		if resp.StatusCode != tt.status || resp.Header.Get("Content-Type") != tt.contentType {
			t.Errorf("%s %s = %d %q, want %d %q", tt.method, tt.path, resp.StatusCode, resp.Header.Get("Content-Type"), tt.status, tt.contentType)
		}
		if tt.body != "" && string(body) != tt.body {
			t.Errorf("%s %s: body %q, want %q", tt.method, tt.path, body, tt.body)
		}
		if tt.contentType == bin && !strings.Contains(resp.Header.Get("Content-Security-Policy"), "sandbox") {
			t.Errorf("%s: carried content without a sandbox", tt.path)
		}
		if tt.status == 301 {
			if got, want := resp.Header.Get("Location"), "./"+path.Base(tt.path)+"/"; got != want {
				t.Errorf("%s leads to %s, want %s", tt.path, got, want)
			}
		}
	}
}

// TestRequestsThatAreNoPaths calls the handler with what a server would never let
// through; it must not panic.
func TestRequestsThatAreNoPaths(t *testing.T) {
	f := newFixture(t)
	f.onePlatform("quay.io/a:1", 1)
	s := f.server(serve.Options{})
	for _, p := range []string{"", "*", "repository", "/repository/docker-hosted/v2", "/repository/docker-hosted/v2x", "\x00", "/v2/\x00/manifests/\xff", strings.Repeat("/", 5000)} {
		for _, method := range []string{"GET", "HEAD", "CONNECT", ""} {
			r := &http.Request{Method: method, URL: &url.URL{Path: p}, Header: http.Header{}, Host: "a b"}
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r.WithContext(t.Context()))
			if w.Code >= 500 {
				t.Errorf("%s %q = %d", method, p, w.Code)
			}
		}
	}
}

func FuzzPath(f *testing.F) {
	for _, seed := range []string{"/v2/a/manifests/1", "/repository/raw-hosted/x", "/repository/yum-hosted/os/x86_64/repodata/repomd.xml", "/..", "/v2/_catalog?n=1", "//", "/repository/raw-hosted/repos/os.repo"} {
		f.Add("GET", seed)
	}
	var s *serve.Server
	fuzztest.Run(f, func(t *testing.T, method, target string) {
		if s == nil {
			fix := newFixture(t)
			fix.onePlatform("quay.io/a:1", 1)
			fix.file("x", []byte("x"))
			fix.rpm("os/x86_64", "x86_64", rpmtest.Spec{Name: "p", Arch: "x86_64"})
			s = fix.server(serve.Options{})
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: "localhost"}
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r.WithContext(t.Context()))
		if w.Code >= 500 || w.Code < 200 {
			t.Errorf("%s %q = %d", method, target, w.Code)
		}
	})
}

var (
	link    = regexp.MustCompile(`href="([^"]*)"`)
	pre     = regexp.MustCompile(`(?s)<pre>(.*?)</pre>`)
	unquote = strings.NewReplacer("&#39;", "'", "&#34;", `"`, "&amp;", "&", "&lt;", "<", "&gt;", ">", "&#43;", "+")
)

// TestPagesLeadEverywhere follows all links from the start page.
func TestPagesLeadEverywhere(t *testing.T) {
	f := newFixture(t)
	key := rpmtest.Key(t)
	f.key(key)
	f.twoPlatforms("quay.io/coreos/flannel:v1", 1)
	f.file("odd/a b+c#?%41ü;'\"<&>:x.xml", []byte("odd"))
	f.file("c:d/plain", []byte("plain"))
	f.file("both", []byte("1"))
	f.file("both.d/below", []byte("2"))
	f.rpm("os/x86_64", "x86_64", rpmtest.Spec{Name: "p", Arch: "x86_64", Key: key})
	ts := f.start(serve.Options{})

	seen := map[string]bool{}
	next := []string{"/"}
	for len(next) > 0 {
		at := next[0]
		next = next[1:]
		if seen[at] {
			continue
		}
		seen[at] = true
		resp, body := get(t, ts, at)
		if resp.StatusCode != 200 {
			t.Errorf("%s = %d", at, resp.StatusCode)
		}
		if !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
			continue
		}
		if bytes.Contains(body, []byte("<script")) || strings.Contains(resp.Header.Get("Content-Security-Policy"), "script-src") {
			t.Errorf("%s has scripts", at)
		}
		base, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllSubmatch(body, -1) {
			ref, err := base.Parse(unquote.Replace(string(m[1])))
			if err != nil || ref.IsAbs() || strings.HasPrefix(string(m[1]), "/") {
				t.Errorf("%s: link %s is not relative (%v)", at, m[1], err)
				continue
			}
			next = append(next, ref.String())
		}
	}
	for _, want := range []string{
		"/repository/docker-hosted/",
		"/repository/raw-hosted/" + escaped("odd/a b+c#?%41ü;'\"<&>:x.xml"),
		"/repository/raw-hosted/c:d/plain",
		"/repository/raw-hosted/both",
		"/repository/raw-hosted/both.d/below",
		"/repository/raw-hosted/keys/RPM-GPG-KEY-" + key.ID,
		"/repository/raw-hosted/repos/os.repo",
		"/repository/yum-hosted/os/x86_64/p-1.0-1.x86_64.rpm",
		"/repository/yum-hosted/os/x86_64/repodata/repomd.xml",
	} {
		if !seen[want] {
			t.Errorf("no link leads to %s; there are %v", want, sortedKeys(seen))
		}
	}
}

// escaped writes a path as the directory pages do.
func escaped(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = url.PathEscape(parts[i])
	}
	return strings.Join(parts, "/")
}

func sortedKeys(m map[string]bool) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func TestStartPage(t *testing.T) {
	f := newFixture(t)
	f.table.Name = "k8s <1.20>"
	f.table.Serial = 7
	f.twoPlatforms("quay.io/coreos/flannel:v1", 1)
	f.file("it's/$(a) b", []byte("x"))
	f.rpm("os/x86_64", "x86_64", rpmtest.Spec{Name: "p", Arch: "x86_64"})
	b := f.bundle()
	ts := f.start(serve.Options{})
	_, body := get(t, ts, "/")
	page := string(body)
	for _, want := range []string{string(b.Root.Digest), "k8s &lt;1.20&gt;", "<td>7</td>", "aarch64, x86_64"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %s", want)
		}
	}
	var commands []string
	for _, m := range pre.FindAllStringSubmatch(page, -1) {
		commands = append(commands, strings.Split(unquote.Replace(m[1]), "\n")...)
	}
	want := []string{
		"docker pull " + host(ts) + "/coreos/flannel:v1",
		"skopeo inspect --tls-verify=false docker://" + host(ts) + "/coreos/flannel:v1",
		"curl -fo /etc/yum.repos.d/os.repo " + ts.URL + "/repository/raw-hosted/repos/os.repo",
		"dnf --disablerepo='*' --enablerepo=os install p",
		"curl -fO " + ts.URL + "/repository/raw-hosted/it%27s/%24%28a%29%20b",
	}
	if diff := cmp.Diff(want, commands); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
}

// TestTargetMap puts everything into repositories of other names, two kinds into one.
func TestTargetMap(t *testing.T) {
	f := newFixture(t)
	f.onePlatform("quay.io/a/b:1", 1)
	f.file("a/file", []byte("x"))
	f.rpm("os/x86_64", "x86_64", rpmtest.Spec{Name: "p", Arch: "x86_64"})
	ts := f.start(serve.Options{Target: target.Map{Docker: "kubeoperator", Yum: "all", Raw: "all"}})
	for p, want := range map[string]int{
		"/repository/kubeoperator/v2/a/b/manifests/1":      200,
		"/repository/kubeoperator/":                        200,
		"/repository/docker-hosted/v2/":                    404,
		"/repository/all/a/file":                           200,
		"/repository/all/os/x86_64/p-1.0-1.x86_64.rpm":     200,
		"/repository/all/os/x86_64/repodata/repomd.xml":    200,
		"/repository/all/repos/os.repo":                    200,
		"/repository/yum-hosted/os/x86_64/p-1.0-1.x86.rpm": 404,
	} {
		if resp, _ := get(t, ts, p); resp.StatusCode != want {
			t.Errorf("%s = %d, want %d", p, resp.StatusCode, want)
		}
	}
}

func TestHostileHostHeader(t *testing.T) {
	f := newFixture(t)
	f.rpm("os/x86_64", "x86_64", rpmtest.Spec{Name: "p", Arch: "x86_64"})
	ts := f.start(serve.Options{})
	for hostHeader, want := range map[string]int{
		"mirror.example:8081": 200,
		"[fd00::1]:8081":      200,
		"a'b":                 400,
		"a;b":                 400,
		"a$(b)":               400,
		"user:pw":             400,
	} {
		for _, p := range []string{"/", "/repository/raw-hosted/repos/os.repo"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, ts.URL+p, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = hostHeader
			resp, err := ts.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("Host %s, %s = %d, want %d", hostHeader, p, resp.StatusCode, want)
			}
			if want == 200 && !strings.Contains(string(body), "http://"+hostHeader+"/repository/") {
				t.Errorf("Host %s, %s: the body does not lead back there", hostHeader, p)
			}
		}
	}
}
