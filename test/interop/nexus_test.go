package interop

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"airbundle/internal/nexustest"
	"airbundle/internal/rpmtest"
)

// login is how an operator hands the account to seeder.
var login = []string{"NEXUS_USERNAME=" + nexustest.Username, "NEXUS_PASSWORD=" + nexustest.Password}

const account = nexustest.Username + ":" + nexustest.Password

// TestPushToNexus pushes everything to the double of each generation of Nexus, uses it
// with dnf, skopeo, containerd, helm and plain HTTP, pushes again, and audits.
func TestPushToNexus(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	for _, profile := range []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			s := nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: []nexustest.Repository{
				{Name: "docker-hosted", Format: "docker", Port: nexustest.AnyPort},
				{Name: "yum-hosted", Format: "yum", Depth: 2},
				{Name: "raw-hosted", Format: "raw"},
				{Name: "helm-hosted", Format: "helm"},
			}})
			first := report(t, login, 0, "push", d.archive, "--nexus", s.URL)
			if first.Summary.BytesSent == 0 {
				t.Errorf("the first push sent nothing")
			}
			connector, err := url.Parse(s.DockerURL("docker-hosted"))
			if err != nil {
				t.Fatal(err)
			}
			t.Run("skopeo", func(t *testing.T) {
				skopeoPulls(t, d, connector.Host, "--src-tls-verify=false", "--src-creds", account)
			})
			t.Run("containerd", func(t *testing.T) { containerdPulls(t, d, connector.Host, "--user", account) })
			t.Run("helm", func(t *testing.T) {
				helmPulls(t, d, s.RepositoryURL("helm-hosted"), "--username", nexustest.Username, "--password", nexustest.Password)
			})
			t.Run("dnf", func(t *testing.T) {
				ours, other := keyFile(t, d.key), keyFile(t, rpmtest.OtherKey(t))
				repo := fmt.Sprintf("[os]\nname=os\nbaseurl=%s/os/$basearch/\nenabled=1\ngpgcheck=1\ngpgkey=%s\nusername=%s\npassword=%s\n",
					s.RepositoryURL("yum-hosted"), ours, nexustest.Username, nexustest.Password)
				checkDnf(t, repo, func(repo string) string { return strings.ReplaceAll(repo, ours, other) })
			})
			t.Run("files", func(t *testing.T) { filesOver(t, d, s.RepositoryURL("raw-hosted"), true) })
			t.Run("again", func(t *testing.T) { pushAgain(t, d, s, first) })
			t.Run("audit", func(t *testing.T) {
				for _, args := range [][]string{{d.archive}, {rootFile(t, d)}, {rootFile(t, d), "--deep"}} {
					found := report(t, login, 0, append([]string{"audit", "--nexus", s.URL}, args...)...).findings()
					if len(found) > 0 {
						t.Errorf("audit %v: %q", args, found)
					}
				}
			})
		})
	}
}

// pushAgain repeats a whole push: the target is asked, and nothing is sent.
func pushAgain(t *testing.T, d *demo, s *nexustest.Server, first judged) {
	s.ClearLog()
	second := report(t, login, 0, "push", d.archive, "--nexus", s.URL)
	if second.Summary.BytesSent != 0 || second.Summary.BytesSkipped < first.Summary.BytesSent {
		t.Errorf("the second push sent %d bytes and skipped %d", second.Summary.BytesSent, second.Summary.BytesSkipped)
	}
	for _, e := range s.Log() {
		if e.Method != http.MethodGet && e.Method != http.MethodHead {
			t.Errorf("the second push asked %s %s", e.Method, e.Path)
		}
	}
	t.Logf("the second push asked %d times, GET and HEAD only", len(s.Log()))
}

// filesOver gets every file of the bundle below a URL and compares it.
func filesOver(t *testing.T, d *demo, base string, withLogin bool) {
	t.Helper()
	for path, want := range d.files {
		u, err := url.Parse(base)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u.JoinPath(path).String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if withLogin {
			req.SetBasicAuth(nexustest.Username, nexustest.Password)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK || !bytes.Equal(got, want) {
			t.Errorf("GET %s: %s, %d bytes of %d, %v", req.URL, resp.Status, len(got), len(want), err)
		}
	}
	t.Logf("%d files from %s", len(d.files), base)
}
