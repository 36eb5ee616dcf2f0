package bundler

import (
	"context"
	"fmt"
	"io"
	"os"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/digestio"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
	"airbundle/manifest"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"
)

type lockOptions struct {
	request, out string
	jobs         int
	quiet        bool
	net          cli.Network
}

func newLock(s cli.Streams) *cobra.Command {
	o := &lockOptions{}
	cmd := &cobra.Command{
		Use:   "lock REQUEST -o LOCK",
		Short: "Resolve a request to exact pins",
		Long: `lock asks the registries which digests the request's images have now, for each
arch, and pins the sha256 and size of files, by download or from a list of checksums.
Nothing is written unless every wish could be pinned.`,
		Example: `  bundler lock k8s.yaml -o k8s.lock.yaml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.request = args[0]
			return runLock(cmd.Context(), s, o)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.out, "out", "o", "", "lock file to write (- for standard output)")
	f.IntVar(&o.jobs, "jobs", 8, "sources asked at once")
	f.BoolVar(&o.quiet, "quiet", false, "print results only")
	o.net.AddFlags(f)
	return cmd
}

func runLock(ctx context.Context, s cli.Streams, o *lockOptions) error {
	if o.out == "" {
		return cli.Usage("say where to write the lock: -o NAME.lock.yaml")
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
	l, err := lock.Resolve(ctx, req, lockImages{images}, lockFiles{files}, lock.Options{Jobs: o.jobs, Done: func(p lock.Pinned) {
		talk.Printf("pinned %s (%.1f s)", p.Name, p.Took.Seconds())
	}})
	if err != nil {
		return fmt.Errorf("%s: %w", o.request, err)
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
	talk.Printf("locked %s: %d images, %d files, %d absences; lock %s", o.out, len(l.Images), len(l.Files), len(l.Absent), l.Digest())
	return nil
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

// lockFiles lets the web source answer as the lock use case asks.
type lockFiles struct{ *web.Source }

// Pin implements lock.Files.
func (s lockFiles) Pin(ctx context.Context, url string) (int64, digest.Digest, error) {
	return s.Source.Pin(ctx, url, io.Discard)
}
