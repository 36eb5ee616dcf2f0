package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
)

// helpers makes helper programs of shell scripts, and a docker config that names them.
func helpers(t *testing.T, config string, scripts map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, script := range scripts {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("DOCKER_CONFIG", dir)
	t.Setenv("HOME", dir)
	return dir
}

func TestKeychainOfHelpers(t *testing.T) {
	says := `read server; echo "$server" >> "$DOCKER_CONFIG/asked"; printf '{"Username":"%s","Secret":"hush"}' `
	for label, c := range map[string]struct{ config, repository, user, password, token, asked string }{
		"login":          {`{"credHelpers":{"host.invalid":"login"}}`, "host.invalid/a", "joe", "hush", "", "host.invalid"},
		"token":          {`{"credsStore":"token"}`, "host.invalid/a", "<token>", "", "hush", "host.invalid/a"},
		"Docker Hub":     {`{"credHelpers":{"https://index.docker.io/v1/":"login"}}`, "a/b", "joe", "hush", "", "https://index.docker.io/v1/"},
		"another server": {`{"credHelpers":{"else.invalid":"login"}}`, "host.invalid/a", "", "", "", ""},
		"in the file":    {`{"auths":{"host.invalid":{"auth":"am9lOmh1c2g="}},"credHelpers":{"else.invalid":"login"}}`, "host.invalid/a", "joe", "hush", "", ""},
		"knows nothing":  {`{"credsStore":"none"}`, "host.invalid/a", "", "", "", ""},
	} {
		dir := helpers(t, c.config, map[string]string{
			"login": says + "joe", "token": says + "'<token>'", "none": "echo credentials not found in native keychain; exit 1",
		})
		repo, err := name.NewRepository(c.repository)
		if err != nil {
			t.Fatal(err)
		}
		auth, err := newDockerKeychain().ResolveContext(t.Context(), repo)
		if err != nil {
			t.Errorf("%s: %v", label, err)
			continue
		}
		got, err := auth.Authorization()
		if err != nil || got.Username != c.user || got.Password != c.password || got.IdentityToken != c.token {
			t.Errorf("%s: %+v, %v", label, got, err)
		}
		asked, _ := os.ReadFile(filepath.Join(dir, "asked"))
		if strings.TrimSpace(string(asked)) != c.asked {
			t.Errorf("%s: asked for %q, want %q", label, asked, c.asked)
		}
	}
}

// A helper that fails is not run again for each of a hundred images.
func TestHelperThatFailsIsAskedOnce(t *testing.T) {
	dir := helpers(t, `{"credsStore":"bad"}`, map[string]string{"bad": `echo x >> "$DOCKER_CONFIG/asked"; exit 1`})
	s := New(Options{})
	for _, source := range []string{"host.invalid/a:v1", "host.invalid/b:v1", "host.invalid/c:v1"} {
		_, err := s.Resolve(t.Context(), source)
		wantError(t, err, "credentials for host.invalid", "docker-credential-bad", "exit status 1")
	}
	if asked, err := os.ReadFile(filepath.Join(dir, "asked")); err != nil || len(asked) != 2 {
		t.Errorf("asked %q, %v", asked, err)
	}
}
