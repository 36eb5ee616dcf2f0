// Command nexus-double starts the stand-in for Sonatype Nexus that the tests use, so that
// a person can try seeder without a Nexus. What is stored is gone when it ends.
//
//	go run ./test/nexus-double -profile ce-3.96 -log
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"airbundle/internal/nexustest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run serves until ctx ends and returns the exit code: 0, 1 when the server cannot
// start, 2 for arguments that mean nothing.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, logged, err := options(args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "nexus-double:", err)
		return 2
	}
	if logged {
		opts.Logged = func(e nexustest.Entry) { fmt.Fprintln(stderr, line(e)) }
	}
	srv, err := nexustest.New(opts)
	if err == nil {
		defer srv.Close()
		err = srv.Listen()
	}
	if err != nil {
		fmt.Fprintln(stderr, "nexus-double:", err)
		return 1
	}
	fmt.Fprintf(stdout, "Nexus %s on %s, login %s / %s; end with Ctrl-C\n", srv.Version(), srv.URL, nexustest.Username, nexustest.Password)
	for _, r := range opts.Repositories {
		fmt.Fprintf(stdout, "  %-6s %-6s %s", r.Format, kind(r), srv.RepositoryURL(r.Name))
		if url := srv.DockerURL(r.Name); url != "" {
			fmt.Fprintf(stdout, ", connector %s", url)
		}
		fmt.Fprintln(stdout)
	}
	<-ctx.Done()
	return 0
}

func kind(r nexustest.Repository) string {
	if r.Type == "" {
		return "hosted"
	}
	return r.Type
}

// line prints a request.
func line(e nexustest.Entry) string {
	out := fmt.Sprintf("%s %d %s %s", e.Time.Format("15:04:05.000"), e.Status, e.Method, e.Path)
	if e.Connector != "" {
		out += " (connector of " + e.Connector + ")"
	}
	out += fmt.Sprintf(" in %d out %d %s", e.BytesIn, e.BytesOut, e.Duration.Round(time.Millisecond))
	if e.Reason != "" {
		out += fmt.Sprintf(" %q", e.Reason)
	}
	if e.Fault != "" {
		out += " fault " + e.Fault
	}
	return out
}
