package bundler

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/digestio"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/source/image"
	"airbundle/manifest"
)

type lockOptions struct {
	request, out string
	jobs         cli.Jobs
	quiet        bool
	charts       chartOptions
	net          cli.Network
}

func newLock(s cli.Streams) *cobra.Command {
	o := &lockOptions{}
	cmd := &cobra.Command{
		Use:   "lock REQUEST -o LOCK | --show-chart-images",
		Short: "Resolve a request to exact pins",
		Long: `lock asks the registries which digests the request's images have now, for each
arch, and pins the sha256 and size of files, by download or from a list of checksums.
Nothing is written unless every wish could be pinned.

--show-chart-images prints the images that the charts name, in their values.yaml, in
annotations, in CRDs and in what their templates make of the default values, and marks
those that the request does not list. Without -o nothing else is done. Charts are
rendered in a process of their own, without a cluster and within bounds; one that does
not render is told of, and the exit code is 4.`,
		Example: `  bundler lock k8s.yaml -o k8s.lock.yaml
  bundler lock k8s.yaml --show-chart-images`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.request = args[0]
			return runLock(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "lock file to write (- for standard output)")
	o.jobs.AddFlag(f, 8, "`number` of sources asked at once")
	f.BoolVar(&o.quiet, "quiet", false, "print results only")
	o.charts.addFlags(f)
	o.net.AddFlags(f)
	return cmd
}

func runLock(ctx context.Context, s cli.Streams, o *lockOptions) error {
	if o.out == "" && !o.charts.show {
		return cli.Usage("say where to write the lock: -o NAME.lock.yaml")
	}
	if err := o.charts.check(o.out); err != nil {
		return err
	}
	if err := checkLockOut(o); err != nil {
		return err
	}
	data, err := os.ReadFile(o.request)
	if err != nil {
		return err
	}
	req, err := lockfile.DecodeRequest(o.request, data)
	if err != nil {
		return err
	}
	images, files, err := sources(&o.net, o.request, cli.Logger(s, o.quiet))
	if err != nil {
		return err
	}
	talk := cli.NewTalk(s, o.quiet)
	charts := o.charts.source(images, files, cli.Logger(s, o.quiet))
	if o.out == "" {
		return o.charts.showOnly(ctx, s, charts, req, o)
	}
	l, err := lock.Resolve(ctx, req, lockImages{images}, files, lock.Options{Jobs: int(o.jobs), Charts: charts, File: o.request, Done: func(p lock.Pinned) {
		talk.Printf("pinned %s (%.1f s)", p.Name, p.Took.Seconds())
	}})
	if err != nil {
		return nextStep(err)
	}
	out, err := l.Encode()
	if err != nil {
		return err
	}
	if o.out == "-" {
		_, err := s.Out.Write(out)
		return err
	}
	if err := atomicfile.WriteFile(o.out, out, 0o644); err != nil {
		return err
	}
	talk.Printf("locked %s: %d images, %d files, %d charts, %d absences; lock %s", o.out, len(l.Images), len(l.Files), len(l.Charts), len(l.Absent), l.Digest())
	return o.charts.print(ctx, s, charts, req, l)
}

// checkLockOut refuses to write over the request, or over anything but a lock.
func checkLockOut(o *lockOptions) error {
	if o.out == "-" || o.out == "" {
		return nil
	}
	old, err := os.ReadFile(o.out)
	if errors.Is(err, fs.ErrNotExist) || err == nil && (len(old) == 0 || bytes.Contains(old, []byte("kind: Lock"))) {
		return nil
	}
	if err != nil {
		return err
	}
	return cli.Usage("%s stands there and is no lock: name another file, or remove it", o.out)
}

// lockImages lets the image source answer as the lock use case asks.
type lockImages struct{ *image.Source }

// Config implements lock.Images.
func (s lockImages) Config(ctx context.Context, source string, desc ocispec.Descriptor) ([]byte, error) {
	rc, err := s.Blob(ctx, source, desc)
	if err != nil {
		return nil, err
	}
	defer rc.Close()
	return digestio.ReadAll(rc, desc, manifest.MaxImageJSON)
}
