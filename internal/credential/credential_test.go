package credential

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const canary = "canary-4f1c-do-not-print"

// world makes a docker config and helpers, each a shell script, and the process's own.
func world(t *testing.T, config string, helpers map[string]string) {
	t.Helper()
	dir := t.TempDir()
	for name, script := range helpers {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	t.Setenv("HOME", dir)
	t.Setenv("DOCKER_CONFIG", dir)
	for _, name := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		t.Setenv(name, "")
	}
	if config != "" {
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

const knows = `read server; printf '{"ServerURL":"%s","Username":"joe","Secret":"for %s"}' "$server" "$server"; echo ` + canary + ` >&2`

func TestLogin(t *testing.T) {
	for name, c := range map[string]struct {
		config  string
		servers []string
		asks    bool
		want    Login
	}{
		"no config":              {"", []string{"a"}, false, Login{}},
		"one helper for all":     {`{"credsStore":"good"}`, []string{"a"}, true, Login{"joe", "for a"}},
		"one for the server":     {`{"credHelpers":{"a":"good"}}`, []string{"a"}, true, Login{"joe", "for a"}},
		"not for this server":    {`{"credHelpers":{"b":"good"}}`, []string{"a"}, false, Login{}},
		"the second name":        {`{"credHelpers":{"a":"good"}}`, []string{"a/b", "a"}, true, Login{"joe", "for a"}},
		"the server's own first": {`{"credsStore":"empty","credHelpers":{"a":"good"}}`, []string{"a"}, true, Login{"joe", "for a"}},
		"it knows nothing":       {`{"credsStore":"empty"}`, []string{"a", "b"}, true, Login{}},
		"the file is narrower":   {`{"auths":{"a/b":{}},"credHelpers":{"a":"good"}}`, []string{"a/b", "a"}, false, Login{"joe", "for a"}},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, c.config, map[string]string{"good": knows, "empty": "echo " + notFound + "; exit 1"})
			h, err := Read(false)
			if err != nil {
				t.Fatal(err)
			}
			if got := h.Asks(c.servers...); got != c.asks {
				t.Errorf("asks: %v", got)
			}
			if got, err := h.Login(t.Context(), c.servers...); err != nil || got != c.want {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// Whatever a helper does, the error says which and for whom, and nothing of its words.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct{ script, says string }{
		"fails":          {"echo " + canary + "; echo " + canary + " >&2; exit 1", "docker-credential-x for a failed (exit status 1); what it says is not shown here: echo a | docker-credential-x get"},
		"killed":         {"kill -9 $$", "signal: killed"},
		"answers text":   {"echo " + canary, "not the JSON"},
		"answers a list": {`echo '["` + canary + `"]'`, "not the JSON"},
		"without end":    {"while :; do echo " + canary + strings.Repeat("x", 4000) + " || exit; done", "gave no answer within"},
		"too long":       {`printf '{"Username":"%s%070000d"}' ` + canary + " 1", "not the JSON"},
		"hangs":          {"sleep 100", "docker-credential-x for a gave no answer within 300ms"},
		"leaves a child": {"sleep 100 & sleep 100", "gave no answer within"},
	} {
		t.Run(name, func(t *testing.T) {
			world(t, `{"credsStore":"x"}`, map[string]string{"x": c.script})
			h, err := Read(false)
			if err != nil {
				t.Fatal(err)
			}
			h.Patience = 300 * time.Millisecond
			start := time.Now()
			_, err = h.Login(t.Context(), "a")
			if e, ok := errors.AsType[*Error](err); !ok || e.ExitCode() != 9 || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), canary) {
				t.Errorf("%v", err)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	world(t, `{"credsStore":"x"}`, map[string]string{"x": "sleep 100"})
	h, err := Read(false)
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("asked to stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	if _, err := h.Login(ctx, "a"); !errors.Is(err, why) {
		t.Error(err)
	}
}

func TestBadNamesAndFiles(t *testing.T) {
	for config, says := range map[string]string{
		`{"credsStore":"../x"}`:                       "no name of a program",
		`{"credsStore":"absent"}`:                     "docker-credential-absent for a, which the docker config names, is not in PATH",
		`{"credsStore":["` + canary + `"]}`:           "is not JSON of the form",
		`{"auths":{"a":{"auth":"` + canary + `"}}, x`: "is not JSON of the form",
	} {
		world(t, config, nil)
		h, err := Read(false)
		if err == nil {
			_, err = h.Login(t.Context(), "a")
		}
		if err == nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %v", config, err)
		}
	}
	world(t, "", nil)
	for _, make := range []func(path string) error{
		func(path string) error { return os.Mkdir(path, 0o755) },
		func(path string) error { return os.WriteFile(path, make([]byte, maxConfig+1), 0o600) },
	} {
		path := filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")
		if err := make(path); err != nil {
			t.Fatal(err)
		}
		if _, err := Read(false); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%v", err)
		}
		os.Remove(path)
	}
}

func TestConfigOfPodman(t *testing.T) {
	world(t, "", map[string]string{"good": knows})
	dir := t.TempDir()
	for i, name := range []string{"REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"} {
		path, value := filepath.Join(dir, fmt.Sprint(i), "containers", "auth.json"), filepath.Join(dir, fmt.Sprint(i))
		if i == 0 {
			value = path
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(`{"credsStore":"good"}`), 0o600); err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, value)
		if h, err := Read(true); err != nil || !h.Asks("a") {
			t.Errorf("%s: %v", name, err)
		}
		if h, err := Read(false); err != nil || h.Asks("a") {
			t.Errorf("%s: docker's own logins are elsewhere: %v", name, err)
		}
		t.Setenv(name, "")
	}
}
