package seeder

import (
	"context"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/internal/serve"
)

type serveOptions struct {
	path, listen string
	accessLog    bool
	quiet        bool
	selection    selection
	trust        trust
}

func newServe(s cli.Streams) *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve BUNDLE",
		Short: "Serve an archive as registry, yum and raw repositories",
		Long: `serve answers image pulls, dnf and plain downloads straight from the archive, under
the paths that a Nexus has: /v2/... for images, /repository/<repository>/... for RPMs
and files. Nothing is unpacked and nothing can be written. Open http://HOST:PORT/ for
what is there and how to use it. Stop it with Ctrl-C; open downloads finish first.`,
		Example: `  seeder serve k8s.bundle.tar
  seeder serve k8s.bundle.tar --listen 0.0.0.0:8081 --access-log`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return runServe(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8081", "`address` to listen on; port 0 takes a free one")
	f.BoolVar(&o.accessLog, "access-log", false, "print one line a request to standard error")
	f.BoolVar(&o.quiet, "quiet", false, "do not print the address")
	o.selection.addPlaces(f)
	o.trust.addFlags(f)
	return cmd
}

func runServe(ctx context.Context, s cli.Streams, o *serveOptions) error {
	places, err := o.selection.targets()
	if err != nil {
		return err
	}
	a, trusted, err := open(o.path, &o.trust)
	if err != nil {
		return err
	}
	defer a.Close()
	opts := serve.Options{Target: places, Log: cli.Logger(s, false)}
	if o.accessLog {
		opts.AccessLog = s.Err
	}
	srv, err := serve.New(ctx, a.Bundle(), a, opts)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return report.WithClass(report.ClassLocal, err)
	}
	if !o.quiet {
		fmt.Fprintf(s.Out, "serving %s (root %s, trust: %s) on http://%s/\n", a.Bundle().Table.Name, a.Bundle().Root.Digest, trusted, l.Addr())
	}
	if err = srv.Run(ctx, l); err != nil && ctx.Err() != nil {
		fmt.Fprintf(s.Err, "seeder: %v\n", err) // it was asked to stop, and did
		return nil
	}
	return err
}
