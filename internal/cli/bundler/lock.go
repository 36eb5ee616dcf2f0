package bundler

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/interchange"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

type lockOptions struct {
	request, out    string
	update, imports []string
	check, dryRun   bool
	trustChecksums  bool
	charts          chartOptions
	cacheDir        string
	jobs            cli.Jobs
	results         cli.Results
	net             cli.Network
}

func newLock(s cli.Streams) *cobra.Command {
	o := &lockOptions{}
	cmd := &cobra.Command{
		Use:   "lock REQUEST -o LOCK | --show-chart-images",
		Short: "Resolve a request to exact pins",
		Long: `lock asks the registries which digests the request's images have now, for each
arch, closes each package set over its dependencies as dnf would for an empty host,
and pins size and sha256 of files and charts. Nothing is written unless every wish
could be pinned.

Where a lock stands at -o, what people wrote into it is kept (notes, serial, expires,
accept, derived), and what is different is told. A package whose bytes changed
under the same name is refused until --update names it. With --update, only what it
names is resolved, and what must follow; the rest stays byte for byte.

--show-chart-images prints the images that the charts name, in their values.yaml, in
annotations, in CRDs and in what their templates make of the default values, and marks
those that the request does not list. Without -o nothing else is done. Charts are
rendered in a process of their own, without a cluster and within bounds; one that does
not render is told of, and the exit code is 4.`,
		Example: `  bundler lock k8s.yaml -o k8s.lock.yaml
  bundler lock k8s.yaml -o k8s.lock.yaml --update quay.io/coreos/flannel:v0.13.0 --update openssl
  bundler lock k8s.yaml -o k8s.lock.yaml --check
  bundler lock k8s.yaml --dry-run
  bundler lock k8s.yaml --show-chart-images`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.request = args[0]
			return runLock(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "lock file to write (- for standard output)")
	f.StringSliceVar(&o.update, "update", nil, "resolve only this `name`: an image by source, packages by into or name, a file by path, a chart by name; may be repeated")
	f.BoolVar(&o.check, "check", false, "write nothing; say whether the lock at -o is still what the request and the network give")
	f.BoolVar(&o.dryRun, "dry-run", false, "resolve everything, write nothing, print what the lock would hold")
	f.StringSliceVar(&o.imports, "import", nil, "add the wishes of another tool's file, `FORMAT:FILE`; may be repeated. Formats: "+strings.Join(interchange.Formats(), ", "))
	f.BoolVar(&o.trustChecksums, "trust-checksums", false, "pin files by the word of their lists of checksums, without downloading them")
	o.charts.addFlags(f)
	f.StringVar(&o.cacheDir, "cache-dir", userCacheDir(), "`directory` that keeps repository metadata between runs; empty: none")
	cli.MayBeEmpty(f, "cache-dir")
	o.jobs.AddFlag(f, 8, "`number` of sources asked at once")
	o.results.AddFlags(f, false)
	o.net.AddFlags(f)
	return cmd
}

// userCacheDir is where caches belong; without a home there is none.
func userCacheDir() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "airbundle")
}

func runLock(ctx context.Context, s cli.Streams, o *lockOptions) error {
	old, err := checkLockFlags(o)
	if err != nil {
		return err
	}
	start := time.Now()
	talk := cli.NewTalk(s, o.results.Quiet)
	req, imported, err := readRequest(o, talk)
	if err != nil {
		return err
	}
	src, err := newLockSources(o, cli.Logger(s, o.results.Quiet))
	if err != nil {
		return err
	}
	if o.charts.show && o.out == "" && !o.dryRun {
		return o.charts.showOnly(ctx, s, src.charts, req, o)
	}
	res, err := lock.Resolve(ctx, req, src.Sources, lockUseCase(o, old, talk))
	if err != nil {
		return nextStep(err)
	}
	for _, i := range imported {
		if err := i.Check(res.Lock); err != nil {
			return err
		}
	}
	for _, n := range res.Notes {
		talk.Printf("note: %s", n)
	}
	if err := checkRelative(o, res.Lock); err != nil {
		return err
	}
	encoded, err := res.Lock.Encode()
	if err != nil {
		// The request was read without complaint, so it is the metadata that is wrong.
		return report.WithClass(report.ClassContent, fmt.Errorf("what was resolved makes no valid lock: %w", err))
	}
	if err := finishLock(s, talk, o, lockOutcome{res, old, encoded, time.Since(start)}); err != nil {
		return err
	}
	return o.charts.print(ctx, s, src.charts, req, res.Lock, o.results.Output)
}

// lockUseCase tunes the use case, and tells the operator how it goes.
func lockUseCase(o *lockOptions, old *lockfile.Lock, talk *cli.Talk) lock.Options {
	opts := lock.Options{Jobs: int(o.jobs), File: o.request, Old: old, Update: o.update, Check: o.check, TrustChecksums: o.trustChecksums, Side: sideDir(o.out)}
	opts.Done = func(p lock.Pinned) { talk.Printf("pinned %s (%.1f s)", p.Name, p.Took.Seconds()) }
	opts.Read = func(p lock.Read) {
		line := fmt.Sprintf("read %s: %s packages, mirrors: %d", strings.TrimSpace(p.Repo+" "+p.Arch), thousands(p.Packages), p.Mirrors)
		if len(p.Skipped) > 0 {
			line += fmt.Sprintf(", %d skipped: %s", len(p.Skipped), strings.Join(p.Skipped, "; "))
		}
		talk.Printf("%s (%.1f s)", line, p.Took.Seconds())
	}
	return opts
}

// sideDir is the directory of a lock's side files, relative to the lock; a lock on
// standard output has none.
func sideDir(out string) string {
	if out == "-" {
		return ""
	}
	if out == "" {
		out = "lock"
	}
	return strings.TrimSuffix(filepath.Base(out), ".yaml") + ".d"
}

// thousands writes a number for people: 74,319.
func thousands(n int) string {
	s := fmt.Sprint(n)
	for at := len(s) - 3; at > 0; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}
