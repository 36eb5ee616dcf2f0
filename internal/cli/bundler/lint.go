package bundler

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/lint"
	"airbundle/internal/lockfile"
	"airbundle/internal/regular"
	"airbundle/internal/rpm"
	"airbundle/internal/source/web"
)

type lintOptions struct {
	files    []string
	request  string
	targetOS string
	online   bool
	jobs     cli.Jobs
	results  cli.Results
	net      cli.Network
}

func newLint(s cli.Streams) *cobra.Command {
	o := &lintOptions{}
	cmd := &cobra.Command{
		Use:   "lint LOCK... [--request REQUEST]",
		Short: "Say what is wrong with a lock, or missing from it",
		Long: `lint checks locks before anything is carried, each finding with file, line and
what to do: digests, sizes and URLs as build wants them; one name with two contents; an
arch that is missing and not said to be absent; packages that the target cannot read or
Nexus cannot take. With --request it names every wish that no lock pins; a REQUEST alone
is checked and its wishes are listed, which is no finding.

Without --online no connection is opened, and what cannot be told from the lock is said
at the end. That is whether a digest is an image ID (the digest of the image's config,
as docker images shows it) in place of the digest of its manifest: both look alike, and
only the registry knows. And it is what the headers of RPMs say: whether rpm of the
target reads the package (PayloadIsZstd, RichDependencies and others on EL7), of which
only the first bytes are fetched.

RPMs are for EL7 when --target-os says so, or else when their repository path does
(centos-base/7/os, el7, rhel-7-server).

A finding that is known and wanted is silenced by the lock:
  accept: [{finding: two-depths, artifact: repositories, why: "..."}]
with the finding and the artifact as lint prints them. Entries that build would refuse
cannot be accepted. The findings are explained in docs/operations.md.`,
		Example: `  bundler lint k8s.lock.yaml
  bundler lint k8s.lock.yaml --request k8s.yaml --online --output json`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.files = args
			return cli.Judge(s, "lint", args[0], o.results, func() error { return runLint(cmd.Context(), s, o) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.request, "request", "", "`file` of the request: wishes that no lock pins are findings")
	f.StringVar(&o.targetOS, "target-os", "", "what all RPMs are for: el7, or any (default: from their repository paths)")
	f.BoolVar(&o.online, "online", false, "ask registries about digests, and read the headers of RPMs")
	o.jobs.AddFlag(f, 8, "`number` of questions asked at once")
	o.results.AddFlags(f, true)
	o.net.AddFlags(f)
	return cmd
}

func runLint(ctx context.Context, s cli.Streams, o *lintOptions) error {
	if o.targetOS != "" && o.targetOS != lint.EL7 && o.targetOS != "any" {
		return cli.Usage("target-os %q is neither el7 nor any", o.targetOS)
	}
	locks, request, err := lintFiles(o)
	if err != nil {
		return err
	}
	options := lint.Options{TargetOS: o.targetOS, Jobs: int(o.jobs)}
	if o.online {
		if i := slices.IndexFunc(o.files, func(f string) bool { return filepath.Dir(f) != filepath.Dir(o.files[0]) }); i >= 0 {
			return cli.Usage("%s and %s are in different directories, which file: URLs are relative to: with --online, lint them one by one", o.files[0], o.files[i])
		}
		images, files, err := sources(&o.net, o.files[0], cli.Logger(s, o.results.Quiet))
		if err != nil {
			return err
		}
		options.Images, options.Headers = images, rpmHeaders{files}
	}
	rep, sum, err := lint.Run(ctx, locks, request, options)
	if err != nil {
		return err
	}
	results := o.results
	results.Verbose = results.Verbose || len(locks) == 0 // then the wishes are the result
	return cli.PrintReport(s, rep, results, lintLast(sum), sum)
}

// lintFiles reads the locks, and the request, which may stand alone in their place.
func lintFiles(o *lintOptions) (locks []lint.File, request *lint.File, err error) {
	var errs []error
	read := func(name string) lint.File {
		data, err := regular.ReadFile(name, lockfile.MaxSize)
		errs = append(errs, err)
		return lint.File{Name: name, Data: data}
	}
	for _, name := range o.files {
		f := read(name)
		if !lint.IsRequest(f.Data) {
			locks = append(locks, f)
			continue
		}
		if len(o.files) > 1 || o.request != "" {
			return nil, nil, cli.Usage("%s is a request: name it with --request", name)
		}
		request = &f
	}
	if o.request != "" {
		f := read(o.request)
		request = &f
	}
	return locks, request, errors.Join(errs...)
}

// lintLast is the last line of a lint.
func lintLast(sum *lint.Summary) string {
	line := fmt.Sprintf("linted %d locks: %d artifacts, %d findings, %d accepted", sum.Locks, sum.Artifacts, sum.Findings, sum.Accepted)
	if sum.Wishes > 0 {
		line += fmt.Sprintf("; %d of %d wishes unpinned", sum.Unpinned, sum.Wishes)
	}
	if n := len(sum.Unchecked); n > 0 {
		line += fmt.Sprintf("; %d notes", n)
	}
	return line
}

// rpmHeaders reads the headers of RPMs off the beginning of their files.
type rpmHeaders struct{ files *web.Source }

// headerPart is how much of a package is asked for at first: most headers are shorter.
const headerPart = 64 << 10

// Header implements lint.Headers.
func (h rpmHeaders) Header(ctx context.Context, url string, size int64) (*rpm.Package, error) {
	for n := int64(headerPart); ; n *= 8 {
		p, err := h.read(ctx, url, min(n, size))
		if n >= size || !errors.Is(err, io.ErrUnexpectedEOF) {
			return p, err
		}
	}
}

func (h rpmHeaders) read(ctx context.Context, url string, n int64) (*rpm.Package, error) {
	rc, err := h.files.Begin(ctx, url, n)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return rpm.Read(rc)
}
