package bundler

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/interchange"
)

type exportOptions struct {
	lock, format, out string
}

func newExport(s cli.Streams) *cobra.Command {
	o := &exportOptions{}
	cmd := &cobra.Command{
		Use:   "export LOCK --format FORMAT -o FILE",
		Short: "Write what a lock pins in a form that other tools read",
		Long: `export writes what the lock pins, without opening a connection:

  images      a list of images, one a line: NAME:TAG@sha256:...
  imageslock  ImagesLock of Carvel's imgpkg, with the tag as kbld.carvel.dev/id
  sha256sums  the sums of RPMs, files and charts by their path at the target, for
              sha256sum -c below a copy of it
  cyclonedx   software bill of materials, CycloneDX JSON

Images are named by their source, not by the name that they have at the target. The
same lock gives the same bytes.`,
		Example: `  bundler export k8s.lock.yaml --format cyclonedx -o k8s.cdx.json
  bundler export k8s.lock.yaml --format images -o -`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			o.lock = args[0]
			return runExport(s, o)
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.format, "format", "", "`format` to write: "+strings.Join(interchange.ExportFormats(), ", "))
	f.StringVarP(&o.out, "out", "o", "", "`file` to write (- for standard output)")
	return cmd
}

func runExport(s cli.Streams, o *exportOptions) error {
	switch {
	case o.format == "":
		return cli.Usage("say what to write: --format %s", strings.Join(interchange.ExportFormats(), "|"))
	case o.out == "":
		return cli.Usage("say where to write it: -o FILE, or -o - for standard output")
	}
	lock, err := readLock(o.lock)
	if err != nil {
		return err
	}
	data, err := interchange.Export(o.format, lock)
	if err != nil {
		return err
	}
	if o.out == "-" {
		_, err := s.Out.Write(data)
		return err
	}
	if err := replaceable(o.out, opening(data), fmt.Sprintf("no %s export", o.format)); err != nil {
		return err
	}
	return atomicfile.WriteFile(o.out, data, 0o644)
}

// opening is how exports of one format begin, whatever the lock: the first two words
// of a comment, or the schema of a JSON document.
func opening(data []byte) string {
	line := data
	if !bytes.HasPrefix(data, []byte("#")) {
		const schema = 48
		return string(data[:min(len(data), schema)])
	}
	for range 2 {
		if i := bytes.IndexByte(line, ' '); i >= 0 {
			line = line[i+1:]
		}
	}
	return string(data[:len(data)-len(line)])
}
