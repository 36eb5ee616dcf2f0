// Package bundler is the command tree of the connected side. It reads flags and files,
// wires adapters to use cases, and prints what they return.
package bundler

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"airbundle/internal/cli"
	"airbundle/internal/httpx"
	"airbundle/internal/lockfile"
	"airbundle/internal/regular"
	"airbundle/internal/report"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
)

// New returns the bundler command.
func New(s cli.Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "bundler",
		Short: "Build one archive of images, RPMs and files to carry across an air gap",
		Long: `bundler is the connected side of airbundle: it resolves wishes to exact pins
(lock), and pins to one archive (build). The archive is an OCI image layout in a tar;
the same lock gives the same bytes. On the other side, seeder verifies, pushes,
audits and serves it.`,
	}
	root.AddCommand(newLock(s), newLint(s), newExport(s), newKeygen(s), newBuild(s), newInspect(s), newDiff(s), newExamineChart(s))
	return root
}

// nextStep adds what to do where it is plain from the error, to each of joined ones.
func nextStep(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var all []error
		for _, part := range joined.Unwrap() {
			all = append(all, nextStep(part))
		}
		if same := errors.Join(joined.Unwrap()...); same != nil && same.Error() == err.Error() {
			return errors.Join(all...)
		}
	}
	if httpx.StatusCode(err) == http.StatusUnauthorized {
		return report.Advise(err, "logins come from the docker config: docker login HOST, or skopeo login --authfile $DOCKER_CONFIG/config.json HOST")
	}
	return err
}

// replaceable says whether an output may take the place of what stands at path: of
// nothing, of an empty file, or of an older output of the same kind, which begins alike.
// Anything else was named by mistake.
func replaceable(path, begin, what string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, len(begin))
	switch n, err := io.ReadFull(f, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil
	case n == 0 && err != nil:
		return err
	case string(head[:n]) != begin:
		return cli.Usage("%s stands there and is %s: name another file, or remove it", path, what)
	}
	return nil
}

// readLock reads and checks a lock file.
func readLock(path string) (*lockfile.Lock, error) {
	data, err := regular.ReadFile(path, lockfile.MaxSize)
	if err != nil {
		return nil, err
	}
	return lockfile.DecodeLock(path, data)
}

// sources wires the adapters that open what locks and requests name. Relative paths are
// relative to the file that names them.
func sources(n *cli.Network, file string, log *slog.Logger) (*image.Source, *web.Source, error) {
	t, err := n.Transport(log)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Dir(file)
	images := image.New(image.Options{Transport: t, PlainHTTP: n.PlainHTTP, Dir: dir})
	return images, web.New(httpx.NewClient(t), dir), nil
}
