package seeder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"airbundle/internal/atomicfile"
	"airbundle/internal/cli"
	"airbundle/internal/httpx"
	"airbundle/internal/probe"
)

type probeOptions struct {
	scratch []string
	force   bool
	keep    bool
	large   size
	timeout time.Duration
	out     string
	results cli.Results
	remote  remote
}

func newProbe(s cli.Streams) *cobra.Command {
	o := &probeOptions{}
	cmd := &cobra.Command{
		Use:   "probe --nexus URL --scratch REPO…",
		Short: "Ask a Nexus what nobody could tell us, and print a transcript to send on",
		Long: `probe sends requests by hand to scratch repositories and prints, for each of the open
questions about the docker, yum and raw formats of a Nexus, what went over the wire and
the conclusion in words. Credentials, cookies and tokens are left out: the transcript can
be sent to us. It holds the address of the server and the names of the repositories.

Set up hosted repositories for it that may be dirtied, best with deployment policy "Allow
redeploy": one docker, one raw and two yum repositories with repodata depth 0 and 1 (and
one of format oci, where there is that). Only what is named is written to; a question
without its repository is not asked. What is uploaded has names that begin with
airbundle-probe and is deleted again, but the blobs of docker may stay. A repository that
holds anything else is refused.

The account needs the privileges browse, read, add, edit and delete on the repositories,
and nx-repository-admin-FORMAT-NAME-read to see their settings.

Login: NEXUS_USERNAME and NEXUS_PASSWORD, or --username with --password-stdin or
--password-file, or the docker config for the host.`,
		Example: `  seeder probe --nexus http://10.19.90.29:8081 --scratch probe-docker,probe-raw,probe-yum0,probe-yum1 -o probe.txt
  seeder probe --nexus https://nexus.local --scratch probe-docker --large 4GiB`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runProbe(cmd.Context(), s, o) },
	}
	f := cmd.Flags()
	o.remote.addFlags(f)
	for _, name := range []string{"registry", "docker-via", "docker-jobs", "content-jobs", "rest-jobs"} {
		f.Lookup(name).Hidden = true // it finds its ways itself, with one request at a time
	}
	f.StringSliceVar(&o.scratch, "scratch", nil, "hosted `repository` that may be dirtied; may be repeated")
	f.BoolVar(&o.force, "force", false, "take scratch repositories that are not empty")
	f.BoolVar(&o.keep, "keep", false, "leave in place what was uploaded")
	f.Var(&o.large, "large", "try a docker upload of this `size` (4GiB) in one request, too; it takes that much of the blob store")
	f.DurationVar(&o.timeout, "timeout", 3*time.Minute, "wait this long until yum metadata lists an RPM; there are two such waits")
	f.StringVarP(&o.out, "out", "o", "", "write the transcript to this `file` (- for standard output)")
	o.results.AddFlags(f, false)
	return cmd
}

func runProbe(ctx context.Context, s cli.Streams, o *probeOptions) error {
	u, isNexus, err := o.remote.base()
	switch {
	case err != nil:
		return err
	case !isNexus:
		return cli.Usage("probe asks a Nexus: say which with --nexus URL")
	case len(o.scratch) == 0:
		return cli.Usage("name the repositories that may be dirtied: --scratch REPO")
	case o.timeout <= 0:
		return cli.Usage("--timeout %s is no time to wait", o.timeout)
	}
	user, password, err := o.remote.login(ctx, s, u)
	if err != nil {
		return err
	}
	transport, err := o.remote.net.Transport(cli.Logger(s, o.results.Quiet))
	if err != nil {
		return err
	}
	client := httpx.NewClient(transport)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	talk := cli.NewTalk(s, o.results.Quiet)
	t, err := probe.Run(ctx, basicClient{client, u, user, password}, probe.Options{
		URL: u, Scratch: o.scratch, Force: o.force, Keep: o.keep, Large: int64(o.large), Timeout: o.timeout,
		Program: "airbundle " + cli.Version(), Talk: talk.Printf,
	})
	if t == nil {
		return nexusStep(fmt.Errorf("nexus %s: %w", httpx.RedactURL(u), err), u)
	}
	return errors.Join(o.print(s, t), err)
}

// print writes the transcript to where it is wanted.
func (o *probeOptions) print(s cli.Streams, t *probe.Transcript) error {
	write := t.WriteText
	if o.results.Output.JSON() {
		write = func(w io.Writer) error { return cli.WriteJSON(w, t) }
	}
	if o.out == "" || o.out == "-" {
		if err := write(s.Out); err != nil {
			return fmt.Errorf("write the transcript: %w", err)
		}
		return nil
	}
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if err := atomicfile.WriteFile(o.out, b.Bytes(), 0o644); err != nil {
		return err
	}
	n := t.Counts()
	cli.NewTalk(s, o.results.Quiet).Printf("transcript in %s: %d answered, %d open, %d not asked", o.out, n[probe.Answered], n[probe.Open], n[probe.NotAsked])
	return nil
}

// basicClient sends requests of one origin with the login, whatever the server asks for.
type basicClient struct {
	client         *http.Client
	base           *url.URL
	user, password string
}

// Do implements probe.Client.
func (c basicClient) Do(req *http.Request) (*http.Response, error) {
	if !httpx.SameOrigin(req.URL, c.base) {
		httpx.CloseRequest(req)
		return nil, fmt.Errorf("send the login for %s to %s: refused", c.base.Host, httpx.RedactURL(req.URL))
	}
	if c.user != "" {
		req.SetBasicAuth(c.user, c.password)
	}
	return httpx.Do(c.client, req)
}

// size is a number of bytes on the command line.
type size int64

// String implements pflag.Value.
func (z *size) String() string {
	if *z == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*z), 10)
}

// Type implements pflag.Value.
func (z *size) Type() string { return "size" }

// Set implements pflag.Value.
func (z *size) Set(v string) error {
	digits, shift := v, 0
	for unit, by := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30, "TiB": 40} {
		if rest, ok := strings.CutSuffix(v, unit); ok {
			digits, shift = rest, by
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || n > 1<<50>>shift {
		return cli.Usage("%q is no size such as 4GiB", v)
	}
	*z = size(n << shift)
	return nil
}
