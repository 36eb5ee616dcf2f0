package seeder

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/digestio"
	"airbundle/internal/regular"
	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/yumconf"
	"airbundle/internal/serve"
)

type serveOptions struct {
	path, listen string
	signKey      string
	accessLog    bool
	quiet        bool
	selection    selection
	trust        trust
}

func newServe(s cli.Streams) *cobra.Command {
	o := &serveOptions{}
	cmd := &cobra.Command{
		Use:   "serve BUNDLE",
		Short: "Serve an archive as registry, yum, raw and helm repositories",
		Long: `serve answers image pulls, dnf and plain downloads straight from the archive, under
the paths that a Nexus has: /v2/... for images, /repository/<repository>/... for RPMs,
files and charts. Nothing is unpacked and nothing can be written. Open http://HOST:PORT/
for what is there and how to use it. Stop it with Ctrl-C; open downloads finish first.

With --repo-sign-key the metadata of every yum repository is signed as it is made, and
the .repo files ask clients to check that. The passphrase of the key, if it has one,
comes from SEEDER_REPO_SIGN_PASSPHRASE.`,
		Example: `  seeder serve k8s.bundle.tar
  seeder serve k8s.bundle.tar --listen 0.0.0.0:8081 --access-log
  seeder serve k8s.bundle.tar --repo-sign-key repo-key.asc`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return runServe(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:8081", "`address` to listen on; port 0 takes a free one")
	f.StringVar(&o.signKey, "repo-sign-key", "", "sign yum metadata with the armored OpenPGP private key in this `file`")
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
	signer, err := repoSigner(o.signKey)
	if err != nil {
		return err
	}
	a, v, err := open(o.path, &o.trust)
	if err != nil {
		return err
	}
	defer a.Close()
	opts := serve.Options{Target: places, Log: cli.Logger(s, false), Sign: signer}
	if o.accessLog {
		opts.AccessLog = s.Err
	}
	srv, err := serve.New(ctx, a.Bundle(), a, opts)
	if err != nil {
		return err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", o.listen)
	if _, form := errors.AsType[*net.AddrError](err); form {
		return cli.Usage("--listen %s: %v; wanted is HOST:PORT, such as 0.0.0.0:8081", o.listen, err)
	}
	if err != nil {
		return report.WithClass(report.ClassLocal, err)
	}
	for _, n := range v.notes {
		fmt.Fprintf(s.Err, "note: %s\n", n)
	}
	o.trust.record(ctx, s, v)
	if !o.quiet {
		fmt.Fprintf(s.Out, "serving %s (%s) on http://%s/\n", v.facts.name, v.words(", "), l.Addr())
	}
	if err = srv.Run(ctx, l); err != nil && ctx.Err() != nil {
		fmt.Fprintf(s.Err, "seeder: %v\n", err) // it was asked to stop, and did
		return nil
	}
	return err
}

// maxSignKey caps a key file: a key with the signatures of many others has some 100 kB.
const maxSignKey = 1 << 20

// readKey reads the key file that a flag names.
func readKey(flag, path string) ([]byte, error) {
	f, _, err := regular.Open(path)
	if err != nil {
		return nil, cli.FlagFile(flag, err)
	}
	defer f.Close()
	armored, err := digestio.ReadCapped(f, -1, maxSignKey)
	if err != nil {
		return nil, cli.FlagFile(flag+" "+path, err)
	}
	return armored, nil
}

// repoKey reads the public key of who signed repository metadata, in the form in which a push
// publishes it; no path means that nobody did.
func repoKey(path string) (*yumconf.Key, error) {
	if path == "" {
		return nil, nil
	}
	armored, err := readKey("--repo-key", path)
	if err != nil {
		return nil, err
	}
	fingerprint, text, err := createrepo.PublicKey(armored)
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("--repo-key %s: %w", path, err))
	}
	return &yumconf.Key{ID: fingerprint, Armor: text}, nil
}

// repoSigner reads the key that signs repository metadata; no path means no signer. No
// error holds anything of the file or the passphrase.
func repoSigner(path string) (*createrepo.Signer, error) {
	if path == "" {
		return nil, nil
	}
	armored, err := readKey("--repo-sign-key", path)
	if err != nil {
		return nil, err
	}
	signer, err := createrepo.NewSigner(armored, []byte(os.Getenv("SEEDER_REPO_SIGN_PASSPHRASE")))
	if errors.Is(err, createrepo.ErrLocked) {
		err = fmt.Errorf("%w: set SEEDER_REPO_SIGN_PASSPHRASE", err)
	}
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("--repo-sign-key %s: %w", path, err))
	}
	return signer, nil
}
