package seeder

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/atomicfile"
	"airbundle/internal/audit"
	"airbundle/internal/cli"
	"airbundle/internal/receipt"
	"airbundle/internal/report"
	"airbundle/internal/rpm"
	"airbundle/internal/target"
	"airbundle/manifest"
)

type auditOptions struct {
	path      string
	jobs      cli.Jobs
	deep      bool
	repoKey   string
	sha1      bool
	exact     bool
	wait      time.Duration
	receipt   string
	results   cli.Results
	remote    remote
	selection selection
	trust     trust
}

func newAudit(s cli.Streams) *cobra.Command {
	o := &auditOptions{}
	cmd := &cobra.Command{
		Use:   "audit BUNDLE|ROOT.json --nexus URL | --registry HOST:PORT",
		Short: "Prove what a target holds of a bundle",
		Long: `audit asks the target for every tag, platform manifest, blob, RPM and file of the
bundle and says what is present, missing, different or unknown, and what that rests
on. It needs only the root: the archive, or the file that bundler inspect --root
wrote. RPMs must be listed in the served yum metadata too, and with --rpm-layout raw that
metadata must be what follows from the archive, and signed by --repo-key if that is
given. Where the server names no sha256, and everywhere with --deep, the content is
downloaded and hashed.
What the repositories hold beside the bundle is listed as foreign; with --exact it is a
finding. --receipt writes down what they hold, for the side that builds bundles.`,
		Example: `  seeder audit k8s.bundle.tar --nexus http://10.19.90.29:8081
  seeder audit k8s.root.json --nexus http://10.19.90.29:8081 --deep --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return cli.Judge(s, "audit", o.path, o.results, func() error { return runAudit(cmd.Context(), s, o) })
		},
	}
	f := cmd.Flags()
	o.remote.addFlags(f)
	o.selection.addFlags(f)
	o.jobs.AddFlag(f, 8, "`number` of requests at once")
	f.BoolVar(&o.deep, "deep", false, "download and hash everything")
	f.StringVar(&o.repoKey, "repo-key", "", "the armored public key in this `file` belongs to the --repo-sign-key of the push: repomd.xml in raw repositories must be signed by it, and the .repo files name it")
	f.BoolVar(&o.sha1, "sha1", false, "where the server names no sha256, its SHA-1 against that of the archive's content is enough, and nothing is downloaded; weaker")
	f.BoolVar(&o.exact, "exact", false, "what the target holds beside the bundle is a finding (exit 4), and so is not to know it")
	f.DurationVar(&o.wait, "wait", 30*time.Second, "wait this long for metadata that the server makes and that does not list what is there; 0: not at all")
	f.StringVar(&o.receipt, "receipt", "", "write to this `file` what the audited repositories hold")
	o.results.AddFlags(f, true)
	o.trust.addFlags(f)
	return cmd
}

func runAudit(ctx context.Context, s cli.Streams, o *auditOptions) error {
	b, v, keys, err := o.open()
	if err != nil {
		return err
	}
	g, err := o.cargo(b.Table, len(keys) > 0)
	if err != nil {
		return err
	}
	o.remote.manners.jobs = o.jobs
	c, err := o.remote.connect(ctx, s, o.results.Quiet)
	if err != nil {
		return err
	}
	items, err := g.at(ctx, c, false)
	if err != nil {
		return err
	}
	to, seen, err := o.remote.auditTarget(ctx, c, items)
	if err != nil {
		return err
	}
	opts, a, err := o.options(g)
	if err != nil {
		return err
	}
	if a != nil {
		defer a.Close()
	} else if anyRaw(items) {
		seen = append(seen, "repomd.xml is not compared, only that what it names lists each RPM: that takes the archive, and here is its root alone")
	}
	opts.RepoKeys = keys
	rep, sum, err := o.run(ctx, s, b, items, to, opts)
	if err != nil {
		return err
	}
	rep.Notes = slices.Concat(g.notes, notes(metadataNote(b.Table, items)), seen, rep.Notes, notes(o.remote.manners.note()))
	for _, a := range b.Table.Absent {
		rep.Notes = append(rep.Notes, absentNote(a))
	}
	v.into(rep)
	return cli.PrintReport(s, rep, o.results, auditLast(rep, sum, to.Name), sum)
}

// open checks the flags and reads the root, before anything is asked. The keys are those
// that metadata must be signed by.
func (o *auditOptions) open() (b *manifest.Bundle, v *verdict, keys openpgp.EntityList, err error) {
	if err := o.trust.prepare(); err != nil {
		return nil, nil, nil, err
	}
	if o.wait < 0 {
		return nil, nil, nil, cli.Usage("--wait is a duration such as 30s, or 0")
	}
	if err := receiptPlace(o.receipt); err != nil {
		return nil, nil, nil, err
	}
	if keys, err = o.repoKeys(); err != nil {
		return nil, nil, nil, err
	}
	if b, err = archive.OpenRoot(o.path); err != nil {
		return nil, nil, nil, err
	}
	v = o.trust.judge(factsOf(o.path, b))
	return b, v, keys, v.err()
}

// run audits, with a bar where content is read, and writes the receipt.
func (o *auditOptions) run(ctx context.Context, s cli.Streams, b *manifest.Bundle, items []target.Item, to audit.Target, opts audit.Options) (*report.Report, *audit.Summary, error) {
	bar := cli.NewBar(s, o.results.Quiet || !o.deep, "audit", -1)
	opts.Progress = bar
	rep, sum, err := audit.Run(ctx, b, items, to, opts)
	bar.Finish()
	if err != nil {
		return nil, nil, err
	}
	sum.Requests = o.remote.manners.requests()
	if opts.Receipt != nil {
		if err := writeReceipt(o.receipt, opts.Receipt); err != nil { // what was found is told all the same
			rep.Add(report.Record{Kind: "receipt", Name: o.receipt, State: report.Failed, Class: report.Classify(err), Reason: err.Error()})
		}
	}
	return rep, sum, nil
}

// repoKeys reads the keys that metadata must be signed by; no file means none.
func (o *auditOptions) repoKeys() (openpgp.EntityList, error) {
	if o.repoKey == "" {
		return nil, nil
	}
	armored, err := readKey("--repo-key", o.repoKey)
	if err != nil {
		return nil, err
	}
	keys, err := rpm.ReadKeys(string(armored))
	if err != nil {
		return nil, report.WithClass(report.ClassUsage, fmt.Errorf("--repo-key %s: %w", o.repoKey, err))
	}
	return keys, nil
}

// cargo is what is to be audited.
func (o *auditOptions) cargo(t *manifest.Table, signed bool) (*cargo, error) {
	g, err := o.selection.cargo(t, &o.remote)
	if err != nil {
		return nil, err
	}
	if signed && !anyRaw(g.items) {
		return nil, cli.Usage("--repo-key needs --rpm-layout raw: a yum repository of a Nexus does not sign its metadata")
	}
	g.sign, err = repoKey(o.repoKey)
	return g, err
}

// options returns those of the audit, with the archive where it takes one and there is one:
// else OpenRoot has found a root alone.
func (o *auditOptions) options(g *cargo) (opts audit.Options, a *archive.Archive, err error) {
	opts = audit.Options{Jobs: int(o.jobs), Deep: o.deep, SHA1: o.sha1, Exact: o.exact, Wait: o.wait}
	if o.receipt != "" {
		opts.Receipt = &receipt.Receipt{}
	}
	if opts.Whole, err = g.whole(); err != nil || !anyRaw(g.items) && !o.sha1 {
		return opts, nil, err
	}
	a, err = archive.Open(o.path)
	switch {
	case err == nil:
		opts.Store = a
		return opts, a, nil
	case o.sha1:
		return opts, nil, cli.Usage("--sha1 compares with the content of the archive, and %s is its root alone", o.path)
	}
	return opts, nil, nil
}

// receiptPlace refuses to write a receipt over anything but one, before anything is asked.
func receiptPlace(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head, err := io.ReadAll(io.LimitReader(f, 64))
	if err == nil && len(head) > 0 && !receipt.Is(head) {
		err = cli.Usage("%s is there and is no receipt: it is not replaced", path)
	}
	return err
}

func writeReceipt(path string, r *receipt.Receipt) error {
	raw, err := r.Encode()
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(path, raw, 0o600) // it tells names of the inside
}

func absentNote(a manifest.Absent) string {
	return fmt.Sprintf("%s does not exist for %s: %s", a.Name, a.Arch, a.Why)
}

// auditLast is the last line of an audit.
func auditLast(rep *report.Report, sum *audit.Summary, name string) string {
	c := rep.Counts()
	shallow := ""
	if sum.Claimed > 0 {
		shallow = fmt.Sprintf(", %d blobs by the target's word (--deep reads them)", sum.Claimed)
	}
	foreign := ""
	if n := c[report.Foreign]; n > 0 {
		foreign = fmt.Sprintf(", %d foreign", n)
	}
	return fmt.Sprintf("audited %s: %d present, %d missing, %d different, %d unknown%s; %d artifacts, %s read%s, %.1f s; %s",
		name, c[report.Present], c[report.Missing], c[report.Different], c[report.Unknown], foreign, sum.Artifacts, cli.Bytes(sum.Read), shallow, sum.Seconds, ending(rep))
}
