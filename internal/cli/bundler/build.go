package bundler

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/build"
	"airbundle/internal/cli"
	"airbundle/internal/plan"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/target"
	"airbundle/manifest"
)

type buildOptions struct {
	lock, out      string
	arches, groups []string
	jobs           cli.Jobs
	dryRun         bool
	sign           string
	results        cli.Results
	net            cli.Network
}

func newBuild(s cli.Streams) *cobra.Command {
	o := &buildOptions{}
	cmd := &cobra.Command{
		Use:   "build LOCK -o FILE",
		Short: "Download everything a lock pins into one archive",
		Long: `build downloads what the lock pins, once, each blob into its own place of the
archive, verified as it passes. A killed build is continued by the same command. The
same lock gives the same bytes, whatever the number of jobs.

With --sign the root is signed, which covers every byte of the archive: the signature is
a small file beside it, FILE.sig, to be carried along; seeder checks it with --key. The
same key signs the same root alike. An archive that is there already is signed without
being downloaded again.

Registry logins come from the docker config (docker login, or $DOCKER_CONFIG).`,
		Example: `  bundler build k8s.lock.yaml -o k8s.bundle.tar
  bundler build k8s.lock.yaml -o k8s.bundle.tar --dry-run
  bundler build k8s.lock.yaml -o k8s.bundle.tar --sign airbundle.key
  bundler build k8s.lock.yaml -o k8s-arm.bundle.tar --arch aarch64 --group k8s-core`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.lock = args[0]
			return cli.Judge(s, "build", o.lock, o.results, func() error {
				return runBuild(cmd.Context(), s, o)
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "archive to write, NAME.bundle.tar")
	f.StringSliceVar(&o.arches, "arch", nil, "carry only this arch (x86_64, aarch64); may be repeated")
	f.StringSliceVar(&o.groups, "group", nil, "carry only entries of this group; may be repeated")
	o.jobs.AddFlag(f, 0, "`number` of downloads at once (default: from the number of cores and hosts)")
	f.BoolVar(&o.dryRun, "dry-run", false, "print what would be downloaded, and the size of the archive")
	f.StringVar(&o.sign, "sign", "", "sign the root with the private key in this `file`, as bundler keygen or openssl writes it; the signature is FILE.sig")
	o.results.AddFlags(f, false)
	o.net.AddFlags(f)
	return cmd
}

func runBuild(ctx context.Context, s cli.Streams, o *buildOptions) (err error) {
	if err := checkOut(o); err != nil {
		return err
	}
	sig, err := newSigner(o.sign, o.out)
	if err != nil {
		return err
	}
	// Before anything is downloaded: who else writes it, and whether it can be written.
	var claim *archive.Claim
	if !o.dryRun {
		if claim, err = archive.Reserve(o.out); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, claim.Release()) }()
	}
	start := time.Now()
	p, err := o.plan(ctx, s)
	if err != nil {
		return err
	}
	p.Notes = append(p.Notes, collisions(p.Bundle.Table)...)
	talk := cli.NewTalk(s, o.results.Quiet)
	for _, n := range p.Notes {
		talk.Printf("note: %s", n)
	}
	if note := cli.ExpiryNote(p.Bundle.Table.Expires, start); note != "" {
		warn(s, p, note)
	}
	if o.dryRun {
		return printPlan(s.Out, p, o.results.Output)
	}
	return o.run(ctx, s, p, build.Options{Claim: claim}, sig, start)
}

// warn notes what makes the archive worth less at the site; --quiet does not leave that out.
func warn(s cli.Streams, p *plan.Plan, note string) {
	p.Notes = append(p.Notes, note)
	cli.NewTalk(s, false).Printf("note: %s", note)
}

// run builds what was planned, with its signature, and prints what came of it.
func (o *buildOptions) run(ctx context.Context, s cli.Streams, p *plan.Plan, b build.Options, sig *signer, start time.Time) error {
	talk := cli.NewTalk(s, o.results.Quiet)
	blobs, bytes := p.Remote()
	talk.Printf("%s: %d blobs, %s to fetch", p.Bundle.Table.Name, blobs, cli.Bytes(bytes))
	bar := cli.NewBar(s, o.results.Quiet, "build", bytes)
	b.Jobs, b.Progress = cli.Jobs(jobs(o.jobs, p)).Within(), bar
	b.Done = func(f build.Fetched) {
		talk.Item("fetched %s %s (%s, %.1f s)", f.Blob.Artifact, f.Blob.Desc.Digest, cli.Bytes(f.Blob.Desc.Size), f.Took.Seconds())
	}
	b.Whole = func() error { return sig.sign(p.Bundle.Root.Digest) }
	res, err := build.Run(ctx, p, o.out, b)
	bar.Finish()
	if err != nil {
		return err
	}
	if note := sig.stale(); note != "" && res.Kept < res.Size { // else the archive was there, with its signature
		warn(s, p, note)
	}
	return printBuilt(s.Out, p, res, sig, o, time.Since(start))
}

// plan reads the lock and plans the build.
func (o *buildOptions) plan(ctx context.Context, s cli.Streams) (*plan.Plan, error) {
	lock, err := readLock(o.lock)
	if err != nil {
		return nil, err
	}
	log := cli.Logger(s, o.results.Quiet)
	images, files, err := sources(&o.net, o.lock, log)
	if err != nil {
		return nil, err
	}
	sources := plan.Sources{Images: images, Files: files, Charts: chartSource(images, files, log), Metadata: repodata.CheckSlice}
	p, err := plan.Make(ctx, lock, sources, plan.Options{Jobs: cmp.Or(o.jobs, 8).Within(), Arches: o.arches, Groups: o.groups})
	if err != nil {
		return nil, nextStep(err)
	}
	return p, nil
}

// checkOut refuses names that other tools cannot be given.
func checkOut(o *buildOptions) error {
	switch {
	case o.out == "" && !o.dryRun, o.out == "-":
		return cli.Usage("say where to write the archive: -o NAME.bundle.tar")
	case strings.Contains(o.out, ":"):
		return cli.Usage("%s: a colon in the archive's name would split it in references such as oci-archive:FILE:REF", o.out)
	case o.dryRun:
		return nil
	}
	if _, err := os.Stat(filepath.Dir(o.out)); err != nil {
		return err
	}
	return replaceable(o.out, "oci-layout\x00", "no archive of ours")
}

// collisions warns of names that would be claimed twice at a target, before the disk
// leaves; another naming policy, or names under publish, help.
func collisions(t *manifest.Table) []string {
	places := target.Default()
	items, err := places.Items(t, target.Selection{})
	if err != nil {
		return nil // nothing was selected, so nothing can be wrong with it
	}
	var notes []string
	for _, c := range target.Collisions(items) {
		notes = append(notes, "with seeder's default naming, "+c.Error())
	}
	return notes
}

// jobs is the number of downloads at once: each host can take a few, and each needs a
// part of a core to be hashed.
func jobs(asked cli.Jobs, p *plan.Plan) int {
	if asked > 0 {
		return int(asked)
	}
	hosts := map[string]bool{}
	for _, b := range p.Blobs {
		for _, origin := range b.Origins {
			hosts[hostOf(origin.Place)] = true
		}
	}
	return min(4*max(len(hosts), 1), 4*runtime.NumCPU(), 32)
}

func hostOf(place string) string {
	if u, err := url.Parse(place); err == nil && u.Host != "" {
		return u.Host
	}
	host, _, _ := strings.Cut(place, "/")
	return host
}

// planJSON is the JSON form of a dry run.
type planJSON struct {
	Name        string     `json:"name"`
	Root        string     `json:"root"`
	ArchiveSize int64      `json:"archiveSize"`
	Download    int64      `json:"download"`
	Blobs       []blobJSON `json:"blobs"`
	Notes       []string   `json:"notes,omitempty"`
}

type blobJSON struct {
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	MediaType string   `json:"mediaType"`
	Artifact  string   `json:"artifact"`
	From      []string `json:"from"`
}

// printPlan prints what a build would download and the archive's size to the byte.
func printPlan(w io.Writer, p *plan.Plan, format cli.Output) error {
	layout, err := archive.NewLayout(p.Bundle.Index(), p.Bundle.Blobs())
	if err != nil {
		return err
	}
	blobs, bytes := p.Remote()
	out := planJSON{Name: p.Bundle.Table.Name, Root: string(p.Bundle.Root.Digest), ArchiveSize: layout.Size(), Download: bytes, Notes: p.Notes, Blobs: []blobJSON{}}
	for _, b := range p.Blobs {
		if b.Local {
			continue
		}
		bj := blobJSON{Digest: string(b.Desc.Digest), Size: b.Desc.Size, MediaType: b.Desc.MediaType, Artifact: b.Artifact}
		for _, origin := range b.Origins {
			bj.From = append(bj.From, origin.Place)
		}
		out.Blobs = append(out.Blobs, bj)
	}
	if format.JSON() {
		return cli.WriteJSON(w, out)
	}
	var text strings.Builder
	for _, b := range out.Blobs {
		fmt.Fprintf(&text, "%s %12d  %s  from %s\n", b.Digest, b.Size, b.Artifact, strings.Join(b.From, " or "))
	}
	fmt.Fprintf(&text, "%d blobs, %d bytes to download; archive of %d bytes; root %s\n", blobs, bytes, out.ArchiveSize, out.Root)
	_, err = io.WriteString(w, text.String())
	return err
}

// builtJSON is the JSON form of a build's result.
type builtJSON struct {
	Name      string        `json:"name"`
	Root      string        `json:"root"`
	Serial    int64         `json:"serial,omitempty"`
	Expires   string        `json:"expires,omitempty"`
	File      string        `json:"file"`
	Size      int64         `json:"size"`
	Signature string        `json:"signature,omitempty"` // its file
	SignedBy  digest.Digest `json:"signedBy,omitempty"`
	Blobs     int           `json:"blobsFetched"`
	Fetched   int64         `json:"bytesFetched"`
	Kept      int64         `json:"bytesKept"`
	Seconds   float64       `json:"seconds"`
	Notes     []string      `json:"notes,omitempty"`
}

func printBuilt(w io.Writer, p *plan.Plan, res *build.Result, sig *signer, o *buildOptions, took time.Duration) error {
	t := p.Bundle.Table
	b := builtJSON{
		Name: t.Name, Root: string(p.Bundle.Root.Digest), Serial: t.Serial, Expires: t.Expires, File: o.out, Size: res.Size,
		Blobs: res.Blobs, Fetched: res.Fetched, Kept: res.Kept, Seconds: took.Seconds(), Notes: p.Notes,
	}
	if sig.key != nil {
		b.Signature, b.SignedBy = sig.path, sig.key.Public.ID
	}
	if o.results.Output.JSON() {
		return cli.WriteJSON(w, b)
	}
	fmt.Fprintf(w, "root %s\n", b.Root)
	if b.SignedBy != "" {
		fmt.Fprintf(w, "signature %s, signed by %s\n", b.Signature, b.SignedBy)
	}
	_, err := fmt.Fprintf(w, "built %s: %d images, %d RPMs, %d files, %d charts; %d bytes; fetched %s, kept %s, %.1f s\n",
		o.out, len(t.Images), len(t.RPMs), len(t.Files), len(t.Charts), res.Size, cli.Bytes(res.Fetched), cli.Bytes(res.Kept), took.Seconds())
	return err
}
