// Command quickstart is `make demo`: the main job of airbundle on one machine, with
// artifacts that it makes itself. It builds both programs, makes a two-platform image,
// signed RPMs and tarballs of seeder, locks and builds them into one archive, verifies
// it, serves it, and takes everything back with ordinary clients' requests. It needs Go
// only, prints what it does and what it took, and leaves nothing behind.
package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"airbundle/manifest"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// A demo is one run: a directory that holds everything, and the clock.
type demo struct {
	ctx   context.Context //nolint:containedctx // one run of the program
	dir   string
	began time.Time
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "airbundle-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	d := &demo{ctx: ctx, dir: dir, began: time.Now()}
	for _, s := range []struct {
		what string
		do   func() error
	}{
		{"build bundler and seeder, and a static seeder for each platform", d.programs},
		{"make a two-platform image, signed RPMs and tarballs of seeder", d.artifacts},
		{"connected side: bundler lock", d.lock},
		{"connected side: bundler build, twice: the same lock gives the same bytes", d.build},
		{"air-gapped side: seeder verify", d.verify},
		{"air-gapped side: seeder serve, and clients that take everything back", d.serve},
	} {
		fmt.Printf("\n== %s\n", s.what)
		start := time.Now()
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		fmt.Printf("   (%.1f s)\n", time.Since(start).Seconds())
	}
	fmt.Printf("\nThe whole way took %.1f s; nothing is left running, nothing is left on disk.\n", time.Since(d.began).Seconds())
	return nil
}

func (d *demo) path(elem ...string) string { return filepath.Join(append([]string{d.dir}, elem...)...) }

// command runs a program, shows its command line and output.
func (d *demo) command(env []string, name string, args ...string) error {
	fmt.Printf("   $ %s\n", strings.ReplaceAll(strings.Join(append([]string{filepath.Base(name)}, args...), " "), d.dir+"/", ""))
	cmd := exec.CommandContext(d.ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	for line := range strings.SplitSeq(strings.TrimRight(string(out), "\n"), "\n") {
		if line != "" {
			fmt.Printf("     %s\n", strings.ReplaceAll(line, d.dir+"/", ""))
		}
	}
	return err
}

func (d *demo) programs() error {
	if err := d.command([]string{"CGO_ENABLED=0"}, "go", "build", "-trimpath", "-o", d.path("bin")+"/", "./cmd/bundler", "./cmd/seeder"); err != nil {
		return err
	}
	for _, arch := range manifest.Arches() {
		goArch := manifest.GoArch(arch)
		env := []string{"CGO_ENABLED=0", "GOOS=linux", "GOARCH=" + goArch}
		if err := d.command(env, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", d.path("seeder-"+goArch), "./cmd/seeder"); err != nil {
			return err
		}
	}
	return nil
}

func (d *demo) lock() error {
	if err := d.command(nil, d.path("bin", "bundler"), "lock", d.path("demo.yaml"), "-o", d.path("demo.lock.yaml")); err != nil {
		return err
	}
	return d.addRPMs()
}

func (d *demo) build() error {
	for _, a := range [][]string{{"demo.bundle.tar", "8"}, {"again.bundle.tar", "1"}} {
		if err := d.command(nil, d.path("bin", "bundler"), "build", d.path("demo.lock.yaml"), "-o", d.path(a[0]), "--jobs", a[1], "--quiet"); err != nil {
			return err
		}
	}
	if err := d.same("demo.bundle.tar", "again.bundle.tar"); err != nil {
		return err
	}
	return d.command(nil, d.path("bin", "bundler"), "inspect", d.path("demo.bundle.tar"))
}

// same compares two files byte for byte.
func (d *demo) same(a, b string) error {
	x, err := os.ReadFile(d.path(a))
	if err != nil {
		return err
	}
	y, err := os.ReadFile(d.path(b))
	if err != nil {
		return err
	}
	if !bytes.Equal(x, y) {
		return fmt.Errorf("%s and %s differ", a, b)
	}
	fmt.Printf("     %s and %s are equal, byte for byte\n", a, b)
	return nil
}

func (d *demo) verify() error {
	return d.command(nil, d.path("bin", "seeder"), "verify", d.path("demo.bundle.tar"), "--quiet")
}

// address finds where the server listens in the line it prints.
var address = regexp.MustCompile(`http://[0-9.:]+`)

func (d *demo) serve() error {
	cmd := exec.CommandContext(d.ctx, d.path("bin", "seeder"), "serve", d.path("demo.bundle.tar"), "--listen", "127.0.0.1:0")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	fmt.Println("   $ seeder serve demo.bundle.tar --listen 127.0.0.1:0")
	if err := cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	fmt.Print("     " + line)
	if err == nil {
		err = d.clients(address.FindString(line))
	}
	if err == nil {
		_, _ = io.WriteString(os.Stdout, "   $ kill -INT (the server)\n")
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("the server did not stop cleanly: %w", werr)
	}
	return err
}
