package seeder

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/report"
	"airbundle/internal/verify"
)

type verifyOptions struct {
	path    string
	jobs    cli.Jobs
	results cli.Results
	trust   trust
}

func newVerify(s cli.Streams) *cobra.Command {
	o := &verifyOptions{}
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Check every byte of an archive",
		Long: `verify reads the archive once and checks every digest, every header and padding
byte, that all artifacts of the root are there, each image for every arch that it is not
said to lack, and that nothing else is.
It writes nothing and opens no connection. A plain OCI layout tar is judged by the OCI
rules. Without --key, keys of the site (/etc/airbundle/trusted.pub) or --root the last
line says "trust: none": the archive is whole, but nothing says that it is the one you
expect.`,
		Example: `  seeder verify k8s.bundle.tar
  seeder verify k8s.bundle.tar --key airbundle.pub
  seeder verify k8s.bundle.tar --root sha256:9f2c... --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return cli.Judge(s, "verify", o.path, o.results, func() error { return runVerify(cmd.Context(), s, o) })
		},
	}
	f := cmd.Flags()
	o.jobs.AddFlag(f, 2, "`number` of blobs hashed at once")
	o.results.AddFlags(f, true)
	o.trust.addFlags(f)
	return cmd
}

func runVerify(ctx context.Context, s cli.Streams, o *verifyOptions) error {
	if err := o.trust.prepare(); err != nil {
		return err
	}
	size := int64(-1)
	if st, err := os.Stat(o.path); err == nil {
		size = st.Size()
	}
	bar := cli.NewBar(s, o.results.Quiet, "verify", size)
	rep, sum, err := verify.Run(ctx, o.path, verify.Options{Jobs: int(o.jobs), Progress: bar})
	bar.Finish()
	if err != nil {
		return err
	}
	v := o.trust.judge(facts{o.path, rep.Bundle, rep.Name, rep.Serial, rep.Expires})
	for _, err := range v.errs {
		state := report.Different
		if report.Classify(err) != report.ClassTrust {
			state = report.Unknown // nothing was compared
		}
		rep.AddError("archive", o.path, rep.Bundle, state, err)
	}
	v.into(rep)
	return cli.PrintReport(s, rep, o.results, verifyLast(rep, sum, o.path), sum)
}

// verifyLast is the last line of a verify.
func verifyLast(rep *report.Report, sum *verify.Summary, path string) string {
	word := "verified"
	if n := rep.Bad(); n > 0 {
		word = fmt.Sprintf("%d findings in", n)
	}
	return fmt.Sprintf("%s %s: %d artifacts, %d blobs, %s in %.1f s; %s",
		word, path, sum.Artifacts, sum.Blobs, cli.Bytes(sum.Bytes), sum.Seconds, ending(rep))
}
