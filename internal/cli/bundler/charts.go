package bundler

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"airbundle/internal/cli"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/internal/source/chart"
	"airbundle/internal/source/image"
	"airbundle/internal/source/web"
)

// chartSource opens charts by the adapters that open images and files, so that they
// share logins and connections.
func chartSource(images *image.Source, files *web.Source, log *slog.Logger) *chart.Source {
	return chart.New(chart.Options{Files: files, Registry: images, Log: log})
}

// chartOptions are the flags of lock that are about charts.
type chartOptions struct {
	show         bool
	capabilities chart.Capabilities
}

func (o *chartOptions) addFlags(f *pflag.FlagSet) {
	f.BoolVar(&o.show, "show-chart-images", false, "print the images that the request's charts name")
	f.StringVar(&o.capabilities.KubeVersion, "kube-version", "", "Kubernetes `version` that charts are rendered for (default: as helm template)")
	f.StringSliceVar(&o.capabilities.APIVersions, "api-versions", nil, "`group/version` that charts are told the cluster has; may be repeated")
}

// check refuses flags that exclude each other.
func (o *chartOptions) check(out string) error {
	switch {
	case o.show && out == "-":
		return cli.Usage("the lock and the images of charts cannot both go to standard output: name a file with -o")
	case !o.show && (o.capabilities.KubeVersion != "" || len(o.capabilities.APIVersions) > 0):
		return cli.Usage("--kube-version and --api-versions go with --show-chart-images")
	}
	if err := o.capabilities.Check(); err != nil {
		return cli.Usage("--kube-version: %v", err)
	}
	return nil
}

func (o *chartOptions) source(images *image.Source, files *web.Source, log *slog.Logger) *chart.Source {
	return chart.New(chart.Options{Files: files, Registry: images, Log: log, Keep: o.show, Examiner: examiner, Capabilities: o.capabilities})
}

// examiner starts this program as newExamineChart.
func examiner(ctx context.Context) *exec.Cmd {
	self, err := os.Executable()
	cmd := exec.CommandContext(ctx, self, examineChart)
	cmd.Args[0] = os.Args[0] // which tests go by
	if err != nil {
		cmd.Err = err
	}
	return cmd
}

const examineChart = "examine-chart"

// newExamineChart is no command for people: lock runs it for each chart, because nothing
// but the end of a process stops a template.
func newExamineChart(s cli.Streams) *cobra.Command {
	return &cobra.Command{
		Use: examineChart, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return chart.Examine(s.In, s.Out) },
	}
}

// showOnly resolves the charts of a request and nothing else, and prints their images.
func (o *chartOptions) showOnly(ctx context.Context, s cli.Streams, charts *chart.Source, req *lockfile.Request, all *lockOptions) error {
	res, err := lock.Resolve(ctx, lock.ChartsOnly(req), lock.Sources{Charts: charts}, lock.Options{Jobs: int(all.jobs), File: all.request})
	if err != nil {
		return nextStep(err)
	}
	return o.print(ctx, s, charts, req, res.Lock, all.results.Output)
}

// imageJSON is an image of a chart in JSON.
type imageJSON struct {
	Reference string   `json:"reference"`
	Found     []string `json:"found"`
	Listed    bool     `json:"listed"`
}

type chartJSON struct {
	Name     string      `json:"name"`
	Version  string      `json:"version"`
	Images   []imageJSON `json:"images"`
	Findings []string    `json:"findings,omitempty"`
}

// print prints the images of a lock's charts, if they are wanted. Findings decide the
// exit code, for then the list may not be whole.
func (o *chartOptions) print(ctx context.Context, s cli.Streams, charts *chart.Source, req *lockfile.Request, l *lockfile.Lock, format cli.Output) error {
	if !o.show {
		return nil
	}
	reports, err := lock.ShowCharts(ctx, req, l, charts)
	if err != nil {
		return nextStep(err)
	}
	if format.JSON() {
		err = cli.WriteJSON(s.Out, struct {
			Charts []chartJSON `json:"charts"`
		}{chartsJSON(reports)})
	} else {
		_, err = io.WriteString(s.Out, chartsText(reports))
	}
	if err != nil {
		return err
	}
	for _, r := range reports {
		if len(r.Findings) > 0 {
			return report.WithClass(report.ClassContent, fmt.Errorf("chart %s %s may name more images than were found: see its findings", r.Name, r.Version))
		}
	}
	return nil
}

func chartsJSON(reports []lock.ChartReport) []chartJSON {
	out := []chartJSON{}
	for _, r := range reports {
		c := chartJSON{r.Name, r.Version, []imageJSON{}, r.Findings}
		for _, i := range r.Images {
			c.Images = append(c.Images, imageJSON{i.Reference, i.Found, i.Listed})
		}
		out = append(out, c)
	}
	return out
}

func chartsText(reports []lock.ChartReport) string {
	var b strings.Builder
	images, missing := 0, 0
	for _, r := range reports {
		for _, i := range r.Images {
			mark := ""
			if images++; !i.Listed {
				mark = "  (not in this request)"
				missing++
			}
			fmt.Fprintf(&b, "%s  %s-%s %s%s\n", i.Reference, r.Name, r.Version, strings.Join(i.Found, ", "), mark)
		}
		for _, f := range r.Findings {
			fmt.Fprintf(&b, "finding: %s-%s %s\n", r.Name, r.Version, f)
		}
	}
	fmt.Fprintf(&b, "%d charts name %d images, %d not in this request\n", len(reports), images, missing)
	return b.String()
}
