package seeder

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/cli"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/target"
	"airbundle/manifest"
)

type pushOptions struct {
	path      string
	jobs      cli.Jobs
	dryRun    bool
	overwrite bool
	acceptOCI bool
	signKey   string
	wait      time.Duration
	creation  creation
	results   cli.Results
	remote    remote
	selection selection
	trust     trust
}

const pushLong = `push sends what the target does not have, straight from the archive: blobs, then
manifests, then tags, each checked against its digest on the way. It asks the target
what is there, and keeps nothing but the bundle's serial: the same command again moves
only what is missing.
RPMs count as done when the served yum metadata lists them, charts when index.yaml does.

With --create repositories of the Nexus that are missing are made first, and nothing that
is there is changed; seeder plan says beforehand what would be made, and how.

With --rpm-layout raw RPMs go into the raw repository, at any depth, with the metadata
that seeder serve offers, slices and all: repomd.xml last, and only when all packages
that it names are there. --repo-sign-key signs it, as serve does, with the passphrase
from SEEDER_REPO_SIGN_PASSPHRASE.

With --target a file says which repository takes what; --docker-repo, --yum-repo,
--raw-repo and --helm-repo win over its rule for all of a kind, its rules with a prefix
win over them. The public keys of the RPMs and a .repo file for each set go into the raw
repository, below keys/ and repos/; an edited .repo file is replaced only with --overwrite.

Login: NEXUS_USERNAME and NEXUS_PASSWORD, or --username with --password-stdin or
--password-file, or the docker config for the registry's host.`

func newPush(s cli.Streams) *cobra.Command {
	o := &pushOptions{}
	cmd := &cobra.Command{
		Use:   "push BUNDLE --nexus URL | --registry HOST:PORT",
		Short: "Bring an archive into a Nexus or a registry",
		Long:  pushLong,
		Example: `  seeder push k8s.bundle.tar --nexus http://10.19.90.29:8081
  seeder push k8s.bundle.tar --registry registry.local:5000 --plain-http registry.local:5000
  seeder push k8s.bundle.tar --nexus https://nexus.local --arch aarch64 --dry-run
  seeder push k8s.bundle.tar --nexus https://nexus.local --target kubeoperator-3.16`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return cli.Judge(s, "push", o.path, o.results, func() error { return runPush(cmd.Context(), s, o) })
		},
	}
	f := cmd.Flags()
	o.remote.addFlags(f)
	o.selection.addFlags(f)
	o.creation.addFlags(f)
	o.jobs.AddFlag(f, 8, "`number` of transfers at once")
	f.BoolVar(&o.dryRun, "dry-run", false, "ask the target what is missing, send nothing")
	f.BoolVar(&o.overwrite, "overwrite", false, "replace what the target holds under the same name")
	f.BoolVar(&o.acceptOCI, "accept-oci", false, "send images also that a Nexus before 3.71 is known to break on: artifacts, attestations")
	f.StringVar(&o.signKey, "repo-sign-key", "", "with --rpm-layout raw: sign yum metadata with the armored OpenPGP private key in this `file`")
	f.DurationVar(&o.wait, "metadata-wait", 0, "wait this long for the served yum metadata and index.yaml (default 15m and 1s per RPM or chart)")
	o.results.AddFlags(f, true)
	o.trust.addFlags(f)
	return cmd
}

func runPush(ctx context.Context, s cli.Streams, o *pushOptions) error {
	signer, err := o.signer()
	if err != nil {
		return err
	}
	a, v, err := open(o.path, &o.trust)
	if err != nil {
		return err
	}
	defer a.Close()
	g, err := o.cargo(a.Bundle(), signer)
	if err != nil {
		return err
	}
	o.remote.manners.jobs = o.jobs
	c, err := o.remote.connect(ctx, s, o.results.Quiet)
	if err != nil {
		return err
	}
	items, err := g.at(ctx, c, o.creation.create)
	if err != nil {
		return err
	}
	q, err := o.creation.question(a.Bundle(), g.places, items)
	if err != nil {
		return err
	}
	to, seen, err := o.remote.pushTarget(ctx, c, q, o.dryRun)
	if err != nil {
		return err
	}
	if !o.dryRun {
		o.trust.record(ctx, s, v)
	}
	rep, sum, err := o.run(ctx, s, a, items, to, signer)
	if err != nil {
		return err
	}
	sum.Requests = o.remote.manners.requests()
	rep.Notes = slices.Concat(g.notes, notes(metadataNote(g.table, items)), seen, rep.Notes, notes(o.remote.manners.note()))
	v.into(rep)
	o.results.Verbose = o.results.Verbose || o.dryRun
	return cli.PrintReport(s, rep, o.results, pushLast(rep, sum, to.Name, o.dryRun), sum)
}

// signer reads the key that signs metadata; nil when there is none. Flags that contradict each
// other are found before anything is opened.
func (o *pushOptions) signer() (*createrepo.Signer, error) {
	switch {
	case o.signKey != "" && o.selection.layout != target.LayoutRaw && o.selection.file == "":
		return nil, cli.Usage("--repo-sign-key needs --rpm-layout raw: a yum repository of a Nexus writes its metadata itself")
	case o.creation.create && o.remote.registry != "":
		return nil, cli.Usage("--create makes repositories of a Nexus: a plain registry has none")
	}
	return repoSigner(o.signKey)
}

// cargo is what is to be pushed. What is wrong with it, or with the flags, is found before
// the target is asked.
func (o *pushOptions) cargo(b *manifest.Bundle, signer *createrepo.Signer) (*cargo, error) {
	g, err := o.selection.cargo(b.Table, &o.remote)
	if err != nil {
		return nil, err
	}
	if signer != nil && !anyRaw(g.items) {
		return nil, cli.Usage("--repo-sign-key: no RPM of the selection goes to a raw repository, and a yum repository of a Nexus writes its metadata itself")
	}
	if g.sign, err = publicKey(signer); err != nil {
		return nil, err
	}
	all, err := g.complete(g.items)
	if err != nil {
		return nil, err
	}
	if err := push.Check(all, o.remote.registry == ""); err != nil {
		return nil, err
	}
	_, err = o.creation.question(b, g.places, all)
	return g, err
}

// run pushes, with progress.
func (o *pushOptions) run(ctx context.Context, s cli.Streams, a *archive.Archive, items []target.Item, to push.Target, signer *createrepo.Signer) (*report.Report, *push.Summary, error) {
	talk := cli.NewTalk(s, o.results.Quiet)
	bar := cli.NewBar(s, o.results.Quiet, "push", -1)
	defer bar.Finish()
	return push.Run(ctx, a.Bundle(), a, items, to, push.Options{
		Jobs: int(o.jobs), Overwrite: o.overwrite, AcceptOCI: o.acceptOCI, DryRun: o.dryRun, MetadataWait: o.wait, Progress: bar, Planned: bar.SetTotal,
		Sign: signer, Waiting: (&waiting{talk: talk, bar: bar, terminal: s.Terminal}).told,
		Done: func(rec report.Record) {
			talk.Item("%s %s %s (%s, %.1f s)", rec.State, rec.Kind, rec.Place, cli.Bytes(rec.Bytes), rec.Seconds)
		},
	})
}

// notes is a list of those notes that say something.
func notes(all ...string) []string {
	return slices.DeleteFunc(all, func(note string) bool { return note == "" })
}

// pushLast is the last line of a push.
func pushLast(rep *report.Report, sum *push.Summary, name string, dryRun bool) string {
	c := rep.Counts()
	verb, sent := "pushed to", "sent"
	if dryRun {
		verb, sent = "would push to", "to send"
	}
	return fmt.Sprintf("%s %s: %d new, %d present, %d failed; %s %s, %s skipped, %.1f s; %s",
		verb, name, c[report.Sent]+c[report.Planned], c[report.Present], rep.Bad(),
		cli.Bytes(sum.Sent), sent, cli.Bytes(sum.Skipped), sum.Seconds, ending(rep))
}
