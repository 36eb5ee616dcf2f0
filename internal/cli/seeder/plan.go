package seeder

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/spf13/cobra"

	"airbundle/internal/archive"
	"airbundle/internal/cli"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/preflight"
	"airbundle/internal/push"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

type planOptions struct {
	path      string
	jobs      cli.Jobs
	creation  creation
	results   cli.Results
	remote    remote
	selection selection
	trust     trust
}

func newPlan(s cli.Streams) *cobra.Command {
	o := &planOptions{}
	cmd := &cobra.Command{
		Use:   "plan BUNDLE|ROOT.json --nexus URL",
		Short: "Say whether a Nexus will take a push, and what to do where not",
		Long: `plan asks a Nexus what a push of the bundle depends on, and changes nothing there:
version, license agreement, whether it is writable, login, caps of the Community Edition,
space, and of each repository that is needed whether it is there and fits. It says one
line each, ok or what to do. With the archive it also asks what is there already, as a
dry run of the push does; the file of bundler inspect --root will do for the rest.

Exit status 0 means that nothing speaks against the push, 7 that the server would refuse
something, 3 that something which decides could not be found out. With --create missing
repositories are judged as by push --create: how they would be made is said.`,
		Example: `  seeder plan k8s.bundle.tar --nexus http://10.19.90.29:8081
  seeder plan k8s.root.json --nexus http://10.19.90.29:8081 --create --output json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.path = args[0]
			return cli.Judge(s, "plan", o.path, o.results, func() error { return runPlan(cmd.Context(), s, o) })
		},
	}
	f := cmd.Flags()
	o.remote.addFlags(f)
	f.Lookup("registry").Hidden = true // refused, with what to use instead
	o.selection.addFlags(f)
	o.creation.addFlags(f)
	o.jobs.AddFlag(f, 8, "`number` of requests at once")
	o.results.AddFlags(f, false)
	o.trust.addFlags(f)
	return cmd
}

// planSummary is what the JSON form of a plan adds to its records.
type planSummary struct {
	Artifacts int   `json:"artifacts"`
	Bytes     int64 `json:"bytesToMove"`
	AtMost    bool  `json:"atMost,omitempty"` // part of it may be there already
}

func runPlan(ctx context.Context, s cli.Streams, o *planOptions) error {
	if o.remote.registry != "" {
		return cli.Usage("plan is for a Nexus; what a registry lacks says push --dry-run")
	}
	if err := o.trust.prepare(); err != nil {
		return err
	}
	b, err := archive.OpenRoot(o.path)
	if err != nil {
		return err
	}
	v := o.trust.judge(factsOf(o.path, b))
	if err := v.err(); err != nil {
		return err
	}
	g, err := o.selection.cargo(b.Table, &o.remote)
	if err != nil {
		return err
	}
	o.remote.manners.jobs = o.jobs
	rep, sum, name, err := o.judge(ctx, s, b, g)
	if err != nil {
		return err
	}
	rep.Bundle, rep.Name = b.Root.Digest, b.Table.Name
	rep.Notes = slices.Concat(g.notes, notes(metadataNote(b.Table, g.items)), rep.Notes)
	v.into(rep)
	o.results.Verbose = true
	if sum == nil {
		return cli.PrintReport(s, rep, o.results, fmt.Sprintf("plan for %s: the login was refused; %s", name, ending(rep)), nil)
	}
	return cli.PrintReport(s, rep, o.results, planLast(rep, sum, name), sum)
}

// judge asks the server, and then what of the cargo is there. Without a good login there is
// no summary.
func (o *planOptions) judge(ctx context.Context, s cli.Streams, b *manifest.Bundle, g *cargo) (*report.Report, *planSummary, string, error) {
	all, err := g.complete(g.items)
	if err != nil {
		return nil, nil, "", err
	}
	q, err := o.creation.question(b, g.places, all)
	if err != nil {
		return nil, nil, "", err
	}
	c, err := o.remote.dial(ctx, s, o.results.Quiet)
	if err != nil {
		return nil, nil, "", err
	}
	c.info, err = c.nexus.Check(ctx)
	if refused := httpx.StatusCode(err); refused == http.StatusUnauthorized || refused == http.StatusForbidden {
		facts := preflight.Facts{Version: c.info.Version, Edition: c.info.Edition, ReadOnly: c.info.ReadOnly, Refused: err}
		return preflight.Judge(facts, q), nil, c.name, nil
	}
	if err != nil {
		return nil, nil, "", nexusStep(fmt.Errorf("nexus %s: %w", c.name, err), c.url)
	}
	if q.Items, err = g.at(ctx, c, o.creation.create); err != nil {
		return nil, nil, "", err
	}
	if q, err = o.creation.question(b, g.places, q.Items); err != nil {
		return nil, nil, "", err
	}
	rep, sum, err := o.compare(ctx, c, b, &q)
	return rep, sum, c.name, err
}

// compare says what of the cargo is there, and judges the server for the rest.
func (o *planOptions) compare(ctx context.Context, c *connection, b *manifest.Bundle, q *preflight.Question) (*report.Report, *planSummary, error) {
	facts, err := c.facts(ctx, *q)
	if err != nil {
		return nil, nil, err
	}
	dry, err := o.dryRun(ctx, c, facts, q)
	if err != nil {
		return nil, nil, err
	}
	if dry == nil {
		q.Move, q.AtMost = bounds(b, *q), true
	}
	sum := &planSummary{Artifacts: target.Artifacts(q.Items), AtMost: q.AtMost}
	for _, n := range q.Move {
		sum.Bytes += n
	}
	rep := preflight.Judge(facts, *q)
	if dry != nil {
		rep.Notes = dry.Notes
		rep.AddFindings(dry)
	}
	return rep, sum, nil
}

// dryRun asks the target what is there, which takes the archive: without it the report is
// nil. Repositories that are not there, or not what they should be, count as empty.
func (o *planOptions) dryRun(ctx context.Context, c *connection, facts preflight.Facts, q *preflight.Question) (*report.Report, error) {
	a, err := archive.Open(o.path)
	if err != nil || push.Check(q.Items, true) != nil {
		return nil, nil //nolint:nilerr // OpenRoot has found a root alone
	}
	defer a.Close()
	var empty []preflight.Design
	for _, rec := range preflight.Repositories(facts, *q) {
		if rec.State == report.Failed || rec.State == report.Missing || rec.State == report.Planned || rec.Finding == preflight.FindingCreate {
			empty = append(empty, preflight.Design{Name: rec.Name})
		}
	}
	docker, notes, err := c.docker(ctx, nexus.Via(o.remote.dockerVia), q.Items)
	if err != nil {
		return nil, err
	}
	rep, _, err := push.Run(ctx, a.Bundle(), a, q.Items, c.pushTarget(docker, empty), push.Options{Jobs: int(o.jobs), DryRun: true})
	if err != nil {
		return nil, err
	}
	q.Move = map[string]int64{}
	for _, rec := range rep.Records() {
		repo, _, _ := strings.Cut(rec.Place, "/")
		q.Move[repo] += rec.Bytes
	}
	rep.Notes = append(rep.Notes, notes...)
	return rep, nil
}

// bounds returns how many bytes go to each repository at most. Which blobs an image has is
// not in the table: all that nothing else claims count for every docker repository.
func bounds(b *manifest.Bundle, q preflight.Question) map[string]int64 {
	images := int64(0)
	for d := range b.EachBlob() {
		images += d.Size
	}
	claimed := map[digest.Digest]bool{}
	for a := range b.Table.EachArtifact() {
		if a.Kind != manifest.KindImage && !claimed[a.Digest] {
			claimed[a.Digest] = true
			desc, _ := b.Blob(a.Digest)
			images -= desc.Size
		}
	}
	move := map[string]int64{}
	for _, w := range q.Wanted {
		move[w.Repository] += w.Bytes
		if w.Format == target.FormatDocker {
			move[w.Repository] += images
		}
	}
	return move
}

// planLast is the last line of a plan.
func planLast(rep *report.Report, sum *planSummary, name string) string {
	c := rep.Counts()
	most := ""
	if sum.AtMost {
		most = "at most "
	}
	unknown := c[report.Unknown] // it decides, but need not be in the way
	return fmt.Sprintf("plan for %s: %d ok, %d to make, %d to know, %d not known, %d in the way; %s%s to send; %s",
		name, c[report.OK], c[report.Planned], c[report.Warning], unknown, rep.Bad()-unknown, most, cli.Bytes(sum.Bytes), ending(rep))
}
