package messages

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"airbundle/internal/bundletest"
)

// TestPushSeenFromOutside: a push that holds a login and waits for its server shows it in no
// argument (V01), and not on the stack that SIGQUIT makes it print (V07).
func TestPushSeenFromOutside(t *testing.T) {
	bundle, _ := demo(t)
	asked := make(chan struct{}, 100)
	stop := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		select {
		case <-stop:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(srv.Close)
	t.Cleanup(func() { close(stop) })
	p := newProcess(t, secretEnv()...)
	p.env = append(p.env, "NEXUS_PASSWORD=", "GOTRACEBACK=all")
	cmd := exec.Command(filepath.Join(bin, "seeder"), "push", bundle, "--nexus", srv.URL, "--username", user, "--password-stdin", "--verbose")
	var out, talk bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = p.dir, p.env, strings.NewReader(password+"\n"), &out, &talk
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	select {
	case <-asked:
	case <-time.After(30 * time.Second):
	}
	args, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(cmd.Process.Pid), "cmdline"))
	if err != nil || !bytes.Contains(args, []byte("--password-stdin")) {
		t.Errorf("arguments %q, %v", args, err)
	}
	for _, l := range leaks(strings.ReplaceAll(string(args), user, "")) { // the name is given as an argument
		t.Errorf("the arguments hold %s", l)
	}
	if err := cmd.Process.Signal(syscall.SIGQUIT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.Success() || !strings.Contains(talk.String(), "goroutine ") {
		t.Errorf("%v, no stack: %s", cmd.ProcessState, &talk)
	}
	p.noLeak(t, result{cmd.ProcessState.ExitCode(), out.String(), talk.String()})
}

// TestSigningKeyIsNotTold: no line of the private key is in what keygen and build --sign
// print and write beside the key, whether they succeed or not.
func TestSigningKeyIsNotTold(t *testing.T) {
	p := newProcess(t)
	made := p.run(t, "bundler", "keygen", "-o", "site")
	secret, err := os.ReadFile(filepath.Join(p.dir, "site.key"))
	block, _ := pem.Decode(secret)
	if err != nil || block == nil {
		t.Fatalf("%v: %s%s", err, made.out, made.err)
	}
	cut, broken := filepath.Join(p.dir, "cut.key"), filepath.Join(p.dir, "broken.key")
	for path, raw := range map[string][]byte{cut: secret[:len(secret)/2], broken: bytes.Replace(secret, []byte("M"), []byte("N"), 1)} {
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o, lock := mirror(t, bundletest.New(t), p.dir)
	results := []result{made}
	for i, args := range [][]string{{"site.key", "x.bundle.tar"}, {"site.key", "x.bundle.tar"}, {"site.key", "none/x.bundle.tar"}, {cut, "y.bundle.tar"}, {broken, "z.bundle.tar"}} {
		r := p.run(t, "bundler", "build", lock, "--sign", args[0], "-o", args[1], "--plain-http", o.Host, "--output", []string{"text", "json"}[i%2])
		if (r.code == 0) != (i < 2) {
			t.Errorf("--sign %s -o %s: exit %d: %s", args[0], args[1], r.code, r.err)
		}
		results = append(results, r)
	}
	for _, name := range []string{"x.bundle.tar", "x.bundle.tar.sig", "site.pub"} {
		raw, err := os.ReadFile(filepath.Join(p.dir, name))
		if err != nil {
			t.Error(err)
		}
		results = append(results, result{out: string(raw)})
	}
	for line := range strings.Lines(string(secret)) {
		line = strings.TrimSpace(line)
		for _, r := range results {
			for at := 0; !strings.HasPrefix(line, "-") && at+24 <= len(line); at += 24 {
				if part := line[at : at+24]; at > 0 && strings.Contains(r.out+r.err, part) && !strings.HasPrefix(r.out, "-----BEGIN PUBLIC") {
					t.Errorf("%q of the key is told: exit %d: %.300s%s", part, r.code, r.out, r.err)
				}
			}
		}
	}
}

// TestArchiveKeepsNoNames: where the lock and the archive lay, and who built it where, is not
// in the archive (V03).
func TestArchiveKeepsNoNames(t *testing.T) {
	p := newProcess(t, "USER="+userinfo, "LOGNAME="+userinfo, "HOSTNAME="+userinfo)
	below := filepath.Join(p.dir, "CanaryPath")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	o, lock := mirror(t, bundletest.New(t), below)
	path := filepath.Join(below, "x.bundle.tar")
	if r := p.run(t, "bundler", "build", lock, "-o", path, "--plain-http", o.Host); r.code != 0 {
		t.Fatal(r.err)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"CanaryPath", userinfo, p.dir, os.TempDir() + "/", host} {
		if len(name) > 4 && bytes.Contains(raw, []byte(name)) {
			t.Errorf("the archive holds %q", name)
		}
	}
}
