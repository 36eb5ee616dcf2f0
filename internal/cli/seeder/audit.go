package seeder

import (
	"context"
	"fmt"

	"airbundle/internal/archive"
	"airbundle/internal/audit"
	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/manifest"

	"github.com/spf13/cobra"
)

type auditOptions struct {
	path           string
	jobs           int
	deep           bool
	quiet, verbose bool
	output         cli.Output
	remote         remote
	selection      selection
	trust          trust
}

func newAudit(s cli.Streams) *cobra.Command {
	o := &auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit BUNDLE|ROOT.json --nexus URL | --registry HOST:PORT",
		Short: "Prove what a target holds of a bundle",
		Long: `audit asks the target for every tag, platform manifest, blob, RPM and file of the
bundle and says what is present, missing, different or unknown, and what that rests
on. It needs only the root: the archive, or the file that bundler inspect --root
wrote. RPMs must be listed in the served yum metadata too. Where the server names no
sha256, and everywhere with --deep, the content is downloaded and hashed.`,
		Example: `  seeder audit k8s.bundle.tar --nexus http://10.19.90.29:8081
  seeder audit k8s.root.json --nexus http://10.19.90.29:8081 --deep --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return runAudit(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	o.remote.addFlags(f)
	o.selection.addFlags(f)
	f.IntVar(&o.jobs, "jobs", 8, "requests at once")
	f.BoolVar(&o.deep, "deep", false, "download and hash everything")
	f.BoolVar(&o.quiet, "quiet", false, "print results only")
	f.BoolVar(&o.verbose, "verbose", false, "print good artifacts too")
	o.output.AddFlag(f)
	o.trust.addFlags(f)
	return cmd
}

func runAudit(ctx context.Context, s cli.Streams, o *auditOptions) error {
	b, err := archive.OpenRoot(o.path)
	if err != nil {
		return err
	}
	trusted, err := o.trust.check(b.Root.Digest)
	if err != nil {
		return err
	}
	places, items, note, err := o.selection.items(b.Table, o.remote.registry != "")
	if err != nil {
		return err
	}
	to, seen, err := o.remote.auditTarget(ctx, s, o.quiet, places, items)
	if err != nil {
		return err
	}
	bar := cli.NewBar(s, o.quiet || !o.deep, "audit", -1)
	rep, sum, err := audit.Run(ctx, b, items, to, audit.Options{Jobs: o.jobs, Deep: o.deep, Progress: bar})
	bar.Finish()
	if err != nil {
		return err
	}
	rep.Trust, rep.Notes = trusted, append(notes(note), seen...)
	for _, a := range b.Table.Absent {
		rep.Notes = append(rep.Notes, absentNote(a))
	}
	return cli.PrintReport(s, rep, o.output, o.verbose, auditLast(rep, sum, to.Name), sum)
}

func absentNote(a manifest.Absent) string {
	return fmt.Sprintf("%s does not exist for %s: %s", a.Name, a.Arch, a.Why)
}

// auditLast is the last line of an audit.
func auditLast(rep *report.Report, sum *audit.Summary, name string) string {
	c := rep.Counts()
	return fmt.Sprintf("audited %s: %d present, %d missing, %d different, %d unknown; %d artifacts, %s read, %.1f s; root %s; trust: %s",
		name, c[report.Present], c[report.Missing], c[report.Different], c[report.Unknown], sum.Artifacts, cli.Bytes(sum.Read), sum.Seconds, rep.Bundle, rep.Trust)
}
