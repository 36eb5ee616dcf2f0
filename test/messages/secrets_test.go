package messages

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airbundle/internal/cli"
	"airbundle/internal/cli/bundler"
	"airbundle/internal/cli/seeder"
	"airbundle/internal/nexustest"
	"airbundle/internal/registrytest"
	"airbundle/internal/rpmtest"
)

// secretEnv is the environment with the login of a target and a passphrase.
func secretEnv(env ...string) []string {
	return append([]string{"NEXUS_USERNAME=" + user, "NEXUS_PASSWORD=" + password, "SEEDER_REPO_SIGN_PASSPHRASE=" + passphrase}, env...)
}

// dockerConfig writes a docker config with one login, outside of what is searched.
func dockerConfig(t testing.TB, host string) string {
	t.Helper()
	dir := t.TempDir()
	auth := base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q}}}`, host, auth), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wishes is a request of which everything is at one server, URLs with a token.
func wishes(at, host string) string {
	return fmt.Sprintf(`apiVersion: airbundle/v1
kind: Request
name: demo
arches: [x86_64]
images:
  - source: %[2]s/a/b:v1
files:
  - path: a/file
    url: %[1]s/file?sig=%[3]s
    checksums: %[1]s/SUMS?sig=%[3]s
charts:
  - {name: nginx, version: 1.2.3, repo: "%[1]s/charts"}
repos:
  - {id: base, baseurl: "%[1]s/yum"}
packages:
  - {into: base/os, install: [hello]}
`, at, host, query)
}

// TestServersThatRepeat runs every command that asks a server, against servers that repeat
// what they were asked.
func TestServersThatRepeat(t *testing.T) {
	bundle, f := demo(t)
	for outcome, at := range outcomes(t) {
		host := strings.TrimPrefix(strings.TrimPrefix(at, "https://"), "http://")
		p := newProcess(t)
		_, lock := mirror(t, f, p.dir)
		raw, err := os.ReadFile(lock)
		if err != nil {
			t.Fatal(err)
		}
		config := dockerConfig(t, host)
		elsewhere := filepath.Join(t.TempDir(), "there.lock.yaml") // holds the token of its URLs: an input
		if err := os.WriteFile(elsewhere, []byte(relocate(string(raw), at, host)), 0o600); err != nil {
			t.Fatal(err)
		}
		request := filepath.Join(t.TempDir(), "request.yaml")
		if err := os.WriteFile(request, []byte(wishes(at, host)), 0o600); err != nil {
			t.Fatal(err)
		}
		for i, args := range [][]string{
			{"seeder", "push", bundle, "--nexus", at}, {"seeder", "plan", bundle, "--nexus", at}, {"seeder", "audit", bundle, "--nexus", at, "--receipt", "site.json"},
			{"seeder", "push", bundle, "--registry", host, "--plain-http", host}, {"seeder", "audit", bundle, "--registry", host, "--plain-http", host},
			{"seeder", "probe", "--nexus", at, "--scratch", "raw-hosted", "-o", "probe.txt"},
			{"bundler", "lock", request, "-o", "new.lock.yaml", "--plain-http", host}, {"bundler", "build", elsewhere, "-o", "x.bundle.tar", "--plain-http", host},
			{"bundler", "lint", elsewhere, "--online", "--plain-http", host},
		} {
			t.Run(outcome+"/"+strings.Join(args[:2], " ")+"/"+fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				one := newProcess(t, secretEnv("DOCKER_CONFIG="+config)...)
				if args[0] == "bundler" {
					one.env = append(one.env, "NEXUS_USERNAME=", "NEXUS_PASSWORD=")
				}
				one.after = storm()
				if i%2 == 1 && args[1] != "lock" {
					args = append(args, "--output", "json")
				}
				r := one.run(t, args[0], args[1:]...)
				if r.code < 0 { // the machine is busy, and it had not come to catching signals
					one.after *= 10
					r = one.run(t, args[0], args[1:]...)
				}
				if r.code <= 0 {
					t.Errorf("exit %d: %s%s", r.code, r.out, r.err)
				}
				one.noLeak(t, r)
			})
		}
	}
}

// relocate makes a lock name another server, with a token in each URL.
func relocate(lock, at, host string) string {
	var out []string
	for line := range strings.SplitSeq(lock, "\n") {
		if i := strings.Index(line, "http://"); i >= 0 && strings.Contains(line, "urls:") {
			line = line[:i] + at + "/x?sig=" + query + "]"
		} else if i := strings.Index(line, "source: "); i >= 0 {
			_, path, _ := strings.Cut(line, "/")
			line = line[:i] + "source: " + host + "/" + path
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n")
}

// TestNothingIsKept runs what succeeds, with logins that are taken.
func TestNothingIsKept(t *testing.T) {
	bundle, f := demo(t)
	reg := registrytest.Start(t, registrytest.Options{Username: user, Password: password})
	nx := nexustest.Start(t, nexustest.Options{Profile: nexustest.H2371, Users: []nexustest.User{{Name: user, Password: password}}, Repositories: []nexustest.Repository{
		{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum", Depth: 2}, {Name: "raw-hosted", Format: "raw"}, {Name: "helm-hosted", Format: "helm"},
	}})
	p := newProcess(t, secretEnv("DOCKER_CONFIG="+dockerConfig(t, reg.Host))...)
	o, lock := mirror(t, f, p.dir)
	root := filepath.Join(p.dir, "root.json")
	key := filepath.Join(p.dir, "key.pub.asc")
	if err := os.WriteFile(key, []byte(rpmtest.Key(t).Armor), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{0, []string{"seeder", "push", bundle, "--registry", reg.Host, "--plain-http", reg.Host, "--verbose"}},
		{0, []string{"seeder", "push", bundle, "--nexus", nx.URL, "--verbose", "--rpm-layout", "raw", "--repo-sign-key", signKey(t)}},
		{0, []string{"seeder", "audit", bundle, "--nexus", nx.URL, "--output", "json", "--rpm-layout", "raw", "--repo-key", key, "--receipt", p.dir + "/site.json"}},
		{0, []string{"seeder", "plan", bundle, "--nexus", nx.URL, "--rpm-layout", "raw"}},
		{0, []string{"seeder", "audit", bundle, "--registry", reg.Host, "--plain-http", reg.Host, "--deep", "--output", "json"}},
		{0, []string{"bundler", "build", lock, "-o", p.dir + "/from.bundle.tar", "--plain-http", o.Host}},
		{0, []string{"bundler", "inspect", p.dir + "/from.bundle.tar", "--root", root}},
		{0, []string{"seeder", "verify", p.dir + "/from.bundle.tar", "--verbose"}},
		{0, []string{"bundler", "diff", root, bundle}},
		{0, []string{"bundler", "export", lock, "--format", "images", "-o", "-"}},
	} {
		r := p.run(t, c.args[0], c.args[1:]...)
		if r.code != c.code {
			t.Errorf("%v: exit %d, want %d\n%s%s", c.args, r.code, c.code, r.out, r.err)
		}
		p.noLeak(t, r)
	}
	serve := newProcess(t, secretEnv()...)
	serve.after = storm()
	r := serve.run(t, "seeder", "serve", bundle, "--listen", "127.0.0.1:0", "--access-log", "--repo-sign-key", signKey(t))
	if r.code != 0 {
		t.Errorf("serve: exit %d: %s", r.code, r.err)
	}
	serve.noLeak(t, r)
}

// signKey is a private key with the passphrase of these tests.
func signKey(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.asc")
	if err := os.WriteFile(path, rpmtest.Key(t).Private(t, passphrase), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestNoFlagTakesASecret goes through all flags of both programs: what is secret comes from
// a file, standard input or the environment (V01).
func TestNoFlagTakesASecret(t *testing.T) {
	seen := 0
	var walk func(*cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			seen++
			name := strings.ToLower(f.Name)
			for _, word := range []string{"password", "passwd", "secret", "token", "passphrase", "credential", "auth", "apikey", "api-key"} {
				if strings.Contains(name, word) && !strings.HasSuffix(name, "-file") && !strings.HasSuffix(name, "-stdin") {
					t.Errorf("%s --%s", cmd.CommandPath(), f.Name)
				}
			}
			if strings.HasSuffix(name, "-stdin") && f.Value.Type() != "bool" {
				t.Errorf("%s --%s takes a value", cmd.CommandPath(), f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
	}
	walk(bundler.New(cli.Streams{}))
	walk(seeder.New(cli.Streams{}))
	if seen < 50 {
		t.Errorf("%d flags only", seen)
	}
}

// TestMistakes are the ways in which a secret gets to a place where none belongs. It is
// refused, and not repeated.
func TestMistakes(t *testing.T) {
	bundle, _ := demo(t)
	login := "http://" + userinfo + ":" + url.QueryEscape(password) + "@127.0.0.1:1"
	for _, c := range []struct {
		env  string
		args []string
	}{
		{"", []string{"seeder", "push", bundle, "--nexus", login}},
		{"", []string{"seeder", "push", bundle, "--nexus", login + "/%zz"}},
		{"", []string{"seeder", "push", bundle, "--nexus", "http://127.0.0.1:1/?sig=" + query}},
		{"", []string{"seeder", "push", bundle, "--registry", userinfo + ":7@127.0.0.1:1"}},
		{"", []string{"seeder", "audit", bundle, "--nexus", "http://127.0.0.1:1", "--public-url", login}},
		{"SEEDER_NEXUS=" + login, []string{"seeder", "plan", bundle}},
		{"SEEDER_PASSWORD_FILE=" + password, []string{"seeder", "plan", bundle, "--nexus", "http://127.0.0.1:1"}},
		{"NEXUS_PASSWORD=", []string{"seeder", "push", bundle, "--nexus", "http://127.0.0.1:1", "--password-file", password}},
		{"SEEDER_PASSWORD_STDIN=" + password, []string{"seeder", "plan", bundle, "--nexus", "http://127.0.0.1:1"}},
		{"HTTP_PROXY=http://" + userinfo + ":7CanaryProxy@127.0.0.1:1", []string{"seeder", "plan", bundle, "--nexus", "http://nexus.invalid"}},
		{"HTTP_PROXY=http://" + userinfo + ":7Canary Proxy@:x:", []string{"seeder", "plan", bundle, "--nexus", "http://nexus.invalid"}},
		{"HTTPS_PROXY=http://" + userinfo + ":7CanaryProxy@127.0.0.1:1", []string{"seeder", "plan", bundle, "--nexus", "https://nexus.invalid"}},
		{"", []string{"seeder", "plan", bundle, "--nexus", "http://127.0.0.1:1", "--password", password}},
		{"", []string{"seeder", "plan", bundle, "--nexus", "http://127.0.0.1:1", "--password=" + password}},
	} {
		p := newProcess(t, secretEnv(c.env)...)
		p.after = storm()
		r := p.run(t, c.args[0], c.args[1:]...)
		if r.code <= 0 {
			t.Errorf("%v: exit %d", c.args, r.code)
		}
		p.noLeak(t, r)
	}
}
