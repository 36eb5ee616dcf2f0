package interop

import (
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/nexustest"
	"airbundle/internal/rpmtest"
)

// TestPublishedRepoFile configures dnf with nothing but the .repo file that a push put into
// the raw repository, got by its URL without a login: RPMs in a yum repository, with its
// metadata beside them or above, and in a raw one with metadata that is signed. Then it audits.
func TestPublishedRepoFile(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	signKey := filepath.Join(t.TempDir(), "sign.asc")
	writeFile(t, signKey, rpmtest.OtherKey(t).Private(t, "secret"))
	for name, c := range map[string]struct {
		depth int
		args  []string
		check string
	}{
		"yum":        {2, nil, "/yum-hosted/os/$basearch/\nenabled=1\ngpgcheck=1\nrepo_gpgcheck=0\n"},
		"one list":   {0, nil, "/yum-hosted/\nenabled=1\n"},
		"list above": {1, nil, "/yum-hosted/os/\nenabled=1\n"},
		"raw signed": {2, []string{"--rpm-layout", "raw", "--repo-sign-key", signKey}, "repo_gpgcheck=1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := nexustest.Start(t, nexustest.Options{Profile: nexustest.Orient340, Anonymous: true, Repositories: []nexustest.Repository{
				{Name: "yum-hosted", Format: "yum", Depth: c.depth}, {Name: "raw-hosted", Format: "raw"},
			}})
			env := append([]string{"SEEDER_REPO_SIGN_PASSPHRASE=secret"}, login...)
			report(t, env, 0, append([]string{"push", d.archive, "--nexus", s.URL, "--only", "rpm"}, c.args...)...)
			resp, repo := ask(t, s.RepositoryURL("raw-hosted")+"/repos/os.repo")
			if resp.StatusCode != 200 || !strings.Contains(string(repo), c.check) {
				t.Fatalf("os.repo: %s\n%s", resp.Status, repo)
			}
			other := keyFile(t, rpmtest.OtherKey(t))
			checkDnf(t, string(repo), func(repo string) string {
				before, _, _ := strings.Cut(repo, "gpgkey=")
				return before + "gpgkey=" + other + "\n"
			})
			if !strings.HasPrefix(name, "raw") {
				if found := report(t, login, 0, "audit", d.archive, "--nexus", s.URL, "--only", "rpm", "--exact").findings(); len(found) > 0 {
					t.Errorf("audit: %q", found)
				}
			}
		})
	}
}

// TestSplitArch pulls tags out of a docker repository for each arch, as a client of that
// arch does and as one that knows no indexes: manifest lists, OCI indexes, single images.
func TestSplitArch(t *testing.T) {
	t.Parallel()
	d := demoBundle(t)
	skopeo := rpmtest.Tool(t, "skopeo")
	s := nexustest.Start(t, nexustest.Options{Profile: nexustest.Orient340, Repositories: []nexustest.Repository{
		{Name: "docker-hosted-amd64", Format: "docker", Port: nexustest.AnyPort}, {Name: "docker-hosted-arm64", Format: "docker", Port: nexustest.AnyPort},
	}})
	report(t, login, 0, "push", d.archive, "--nexus", s.URL, "--only", "image", "--split-arch")
	c, pulls := startContainerd(t), 0
	for _, goArch := range []string{"amd64", "arm64"} {
		connector, err := url.Parse(s.DockerURL("docker-hosted-" + goArch))
		if err != nil {
			t.Fatal(err)
		}
		for repository, img := range d.images {
			want, carried := img.platforms[goArch]
			ref := "docker://" + connector.Host + "/" + img.published
			dir := t.TempDir()
			args := []string{"--override-arch", goArch, "copy", "--src-tls-verify=false", "--src-creds", account, ref, "dir:" + dir}
			if !carried {
				if res := run(t, nil, skopeo, args...); res.code == 0 {
					t.Errorf("%s is in the repository of %s, which it does not have", repository, goArch)
				}
				continue
			}
			must(t, nil, skopeo, args...)
			if got := digestOf(string(readFile(t, filepath.Join(dir, "manifest.json")))); got != want {
				t.Errorf("%s of %s is %s, want %s", repository, goArch, got, want)
			}
			name := connector.Host + "/" + img.published
			c.run(t, "content", "fetch", "--plain-http", "--user", account, "--platform", "linux/"+goArch, name)
			if got := c.images(t)[name]; got != want {
				t.Errorf("containerd fetched %s as %s, want %s", name, got, want)
			}
			pulls++
		}
	}
	t.Logf("skopeo and containerd: %d pulls each", pulls)
	if found := report(t, login, 0, "audit", rootFile(t, d), "--nexus", s.URL, "--only", "image", "--split-arch", "--deep").findings(); len(found) > 0 {
		t.Errorf("audit: %q", found)
	}
}
