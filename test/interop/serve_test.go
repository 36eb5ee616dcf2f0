package interop

import (
	"bytes"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/rpmtest"
)

// startServe runs seeder serve on a free port and returns its base URL, without a slash.
func startServe(t *testing.T, d *demo) (*server, string) {
	t.Helper()
	path, err := buildSeeder()
	if err != nil {
		t.Fatal(err)
	}
	s := launch(t, path, "serve", d.archive, "--listen", "127.0.0.1:0", "--access-log", "--root", d.root)
	return s, s.await(t, `^serving demo .* on (http://[0-9.:]+)/`)
}

// ask makes a GET request with headers.
func ask(t *testing.T, url string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s: %v", url, err)
	}
	return resp, body
}

// TestServe has everybody's clients read straight from the archive.
func TestServe(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	s, base := startServe(t, d)
	host := strings.TrimPrefix(base, "http://")
	t.Run("skopeo", func(t *testing.T) { skopeoPulls(t, d, host, "--src-tls-verify=false") })
	t.Run("containerd", func(t *testing.T) { containerdPulls(t, d, host) })
	t.Run("helm", func(t *testing.T) { helmPulls(t, d, base+"/repository/helm-hosted") })
	t.Run("dnf", func(t *testing.T) {
		resp, repo := ask(t, base+"/repository/raw-hosted/repos/os.repo")
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("os.repo: %s", resp.Status)
		}
		t.Logf("the generated .repo file:\n%s", repo)
		other := keyFile(t, rpmtest.OtherKey(t))
		checkDnf(t, string(repo), func(repo string) string {
			before, _, _ := strings.Cut(repo, "gpgkey=")
			return before + "gpgkey=" + other + "\n"
		})
	})
	t.Run("files", func(t *testing.T) { filesOver(t, d, base+"/repository/raw-hosted", false) })
	t.Run("ranges", func(t *testing.T) { ranges(t, d, base) })
	t.Run("curl", func(t *testing.T) { curl(t, d, base) })
	code, took := s.stop(t, syscall.SIGINT)
	if code != 0 || took > 5*time.Second {
		t.Errorf("SIGINT: exit %d after %v\n%s", code, took, s.output())
	}
	t.Logf("%d lines of output; SIGINT: exit %d after %v", len(strings.Split(s.output(), "\n")), code, took)
}

// ranges asks for parts of a file and of a package, and for what has not changed.
func ranges(t *testing.T, d *demo, base string) {
	rpmPath := "os/x86_64/hello-1.2-3.x86_64.rpm"
	filePath := "etcd/arm64/etcd-arm64.tar.gz"
	for url, want := range map[string][]byte{
		base + "/repository/yum-hosted/" + rpmPath:  d.rpms[rpmPath],
		base + "/repository/raw-hosted/" + filePath: d.files[filePath],
	} {
		whole, body := ask(t, url)
		tag := whole.Header.Get("Etag")
		if whole.StatusCode != http.StatusOK || !bytes.Equal(body, want) || tag == "" || strings.HasPrefix(tag, "W/") {
			t.Errorf("GET %s: %s, ETag %s, equal: %v", url, whole.Status, tag, bytes.Equal(body, want))
		}
		for _, tt := range []struct {
			header []string
			code   int
			want   []byte
		}{
			{[]string{"Range", "bytes=100-199"}, 206, want[100:200]},
			{[]string{"Range", "bytes=-7"}, 206, want[len(want)-7:]},
			{[]string{"Range", "bytes=1000-", "If-Range", tag}, 206, want[1000:]},
			{[]string{"Range", "bytes=1000-", "If-Range", `"another"`}, 200, want},
			{[]string{"If-None-Match", tag}, 304, []byte{}},
			{[]string{"Range", "bytes=999999999-"}, 416, nil},
		} {
			resp, got := ask(t, url, tt.header...)
			if resp.StatusCode != tt.code || tt.want != nil && !bytes.Equal(got, tt.want) {
				t.Errorf("GET %s with %q: %s, %d bytes; want %d, %d bytes", url, tt.header, resp.Status, len(got), tt.code, len(tt.want))
			}
		}
	}
}

// curl continues a download where it broke off.
func curl(t *testing.T, d *demo, base string) {
	program := rpmtest.Tool(t, "curl")
	path := "etcd/amd64/etcd-amd64.tar.gz"
	out := filepath.Join(t.TempDir(), "etcd.tar.gz")
	writeFile(t, out, d.files[path][:123_456])
	must(t, nil, program, "--fail", "--silent", "--show-error", "--noproxy", "*", "--continue-at", "-", "--output", out, base+"/repository/raw-hosted/"+path)
	if got := readFile(t, out); !bytes.Equal(got, d.files[path]) {
		t.Errorf("curl continued to %d bytes that are not the file's %d", len(got), len(d.files[path]))
	}
	must(t, nil, program, "--fail", "--silent", "--noproxy", "*", "--output", out, base+"/")
	if page := string(readFile(t, out)); !strings.Contains(page, d.root) {
		t.Errorf("the start page does not name the root:\n%s", page)
	}
}
