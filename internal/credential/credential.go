// Package credential asks the credential helpers that a docker config names, and holds
// them on a short lead: a helper has half a minute, what it prints to standard error goes
// nowhere, and no error repeats what it answered. The libraries that read the config
// otherwise let a helper talk to the operator's terminal and logs.
//
// It reads of the config only who is to be asked; logins that stand in the file itself are
// for those libraries. Nothing is ever written.
//
// Sources: docker's documentation of "docker login", for config.json; the README of
// docker/docker-credential-helpers, for the protocol.
package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

const (
	defaultPatience = 30 * time.Second
	maxConfig       = 4 << 20
	maxAnswer       = 64 << 10

	// IdentityToken is the name that stands for a token in place of a login.
	IdentityToken = "<token>"
	notFound      = "credentials not found in native keychain"
)

// A Login is what a helper knows. The zero value says that it knows nothing.
type Login struct {
	Username string
	Secret   string // password, or with IdentityToken as name a token
}

// Helpers says which helper knows the logins of which server. The zero value knows none.
type Helpers struct {
	Patience time.Duration // of one question; 0 means 30 s

	all    string            // credsStore
	server map[string]string // credHelpers
	inline map[string]bool   // servers with a login in the file itself
}

// Read reads the helpers of the config that docker uses, or with podman of its auth file
// where docker has none. No file is no helper. An error is that of the file, with its path.
func Read(podman bool) (*Helpers, error) {
	for _, path := range configs(podman) {
		raw, err := readCapped(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		var c struct {
			CredsStore  string            `json:"credsStore"`
			CredHelpers map[string]string `json:"credHelpers"`
			Auths       map[string]any    `json:"auths"`
		}
		if json.Unmarshal(raw, &c) != nil {
			return nil, &Error{"docker config " + path + " is not JSON of the form that docker writes"} // the cause may quote a login
		}
		h := &Helpers{all: c.CredsStore, server: c.CredHelpers, inline: map[string]bool{}}
		for server := range c.Auths {
			h.inline[server] = true
		}
		return h, nil
	}
	return &Helpers{}, nil
}

// configs are the places where a config may be, in order.
func configs(podman bool) (paths []string) {
	add := func(dir string, below ...string) {
		if dir != "" {
			paths = append(paths, filepath.Join(append([]string{dir}, below...)...))
		}
	}
	home, _ := os.UserHomeDir() // none: nothing is looked for there, nor where we stand
	if dir := os.Getenv("DOCKER_CONFIG"); dir != "" {
		add(dir, "config.json")
	} else {
		add(home, ".docker", "config.json")
	}
	if !podman {
		return paths
	}
	if path := os.Getenv("REGISTRY_AUTH_FILE"); path != "" {
		return append(paths, path)
	}
	add(os.Getenv("XDG_RUNTIME_DIR"), "containers", "auth.json")
	if dir := os.Getenv("XDG_CONFIG_HOME"); dir != "" {
		add(dir, "containers", "auth.json")
	} else {
		add(home, ".config", "containers", "auth.json")
	}
	return paths
}

func readCapped(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxConfig {
		return nil, &Error{fmt.Sprintf("docker config %s is no regular file of at most %d MiB", path, maxConfig>>20)}
	}
	return os.ReadFile(path)
}

// An Error says why no login could be found out. It holds nothing that a helper said.
type Error struct{ text string }

func (e *Error) Error() string { return e.text }

// ExitCode says that it is a matter of this machine.
func (e *Error) ExitCode() int { return 9 }

// Asks says whether a helper decides about a server, given the names under which the config
// may have it, the narrowest first. The answer of Login is final then.
func (h *Helpers) Asks(servers ...string) bool {
	for _, s := range servers {
		if h.of(s) != "" {
			return true
		}
		if h.inline[s] {
			return false
		}
	}
	return false
}

func (h *Helpers) of(server string) string {
	if name := h.server[server]; name != "" {
		return name
	}
	return h.all
}

// Login asks for the login of a server under each of its names in turn.
func (h *Helpers) Login(ctx context.Context, servers ...string) (Login, error) {
	for _, s := range servers {
		name := h.of(s)
		if name == "" {
			continue
		}
		if l, err := h.ask(ctx, name, s); err != nil || l != (Login{}) {
			return l, err
		}
	}
	return Login{}, nil
}

// ask runs one helper.
func (h *Helpers) ask(ctx context.Context, name, server string) (Login, error) {
	program := "docker-credential-" + name
	if strings.ContainsAny(name, "/\\") {
		return Login{}, &Error{fmt.Sprintf("the docker config names a credential helper %q for %s, which is no name of a program", name, server)}
	}
	patience := h.Patience
	if patience == 0 {
		patience = defaultPatience
	}
	bounded, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(bounded, program, "get")
	cmd.Stdin = strings.NewReader(server)
	answer := &capped{}
	cmd.Stdout = answer
	cmd.WaitDelay = 200 * time.Millisecond // for children of the helper, which hold its output open
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return Login{}, context.Cause(ctx)
	case bounded.Err() != nil:
		return Login{}, &Error{fmt.Sprintf("the credential helper %s for %s gave no answer within %s: see whether it waits for a key or a prompt", program, server, patience)}
	case errors.Is(err, exec.ErrNotFound):
		return Login{}, &Error{fmt.Sprintf("the credential helper %s for %s, which the docker config names, is not in PATH", program, server)}
	case err != nil && strings.TrimSpace(answer.b.String()) == notFound:
		return Login{}, nil
	case err != nil:
		return Login{}, &Error{fmt.Sprintf("the credential helper %s for %s failed (%v); what it says is not shown here: echo %s | %s get", program, server, err, server, program)}
	}
	var l Login
	if answer.over || json.Unmarshal(answer.b.Bytes(), &l) != nil {
		return Login{}, &Error{fmt.Sprintf("the answer of the credential helper %s for %s is not the JSON that docker expects", program, server)}
	}
	return l, nil
}

// capped keeps the first part of what a helper prints.
type capped struct {
	b    bytes.Buffer
	over bool
}

// Write implements io.Writer.
func (c *capped) Write(p []byte) (int, error) {
	n := min(len(p), maxAnswer-c.b.Len())
	c.over = c.over || n < len(p)
	c.b.Write(p[:n])
	return len(p), nil
}
