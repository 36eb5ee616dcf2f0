package seeder

import (
	"fmt"
	"net/url"

	"github.com/spf13/pflag"

	"airbundle/internal/cli"
	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
)

// manners are the flags that bound what a target has to do at once, and the count of what
// it was asked.
type manners struct {
	docker, content, rest cli.Jobs
	jobs                  cli.Jobs // of the command; 0: it has none

	transport *httpx.Transport // once there is one
	daily     int64            // requests that the target takes a day; 0: any number
}

// A server of the OrientDB generation suffers from numbers that a later one does not
// notice (its pool has 400 threads); these are what is known to go well with all.
const dockerJobs, contentJobs, restJobs = 4, 8, 2

func (m *manners) addFlags(f *pflag.FlagSet) {
	m.docker, m.content, m.rest = dockerJobs, contentJobs, restJobs
	f.Var(&m.docker, "docker-jobs", "`number` of requests in flight to the docker repositories of a Nexus at most")
	f.Var(&m.content, "content-jobs", "`number` of requests in flight to its yum, raw and helm repositories at most")
	f.Var(&m.rest, "rest-jobs", "`number` of requests in flight to its REST API at most")
}

// open makes the transport to a target. Its ports and surfaces are one server, so what is
// in flight counts for all of them together.
func (m *manners) open(o httpx.Options, u *url.URL, isNexus bool) *httpx.Transport {
	o.Total, o.Adapt = m.jobs.Within(), true
	if isNexus {
		o.Surface = nexus.Surface(u)
		o.Surfaces = map[string]int{
			nexus.SurfaceDocker: int(m.docker), nexus.SurfaceContent: int(m.content), nexus.SurfaceREST: int(m.rest),
		}
	}
	m.transport = httpx.NewTransport(o)
	return m.transport
}

// requests is how many requests the target has got.
func (m *manners) requests() int64 { return m.transport.Requests() }

// note tells the share of what the target takes a day.
func (m *manners) note() string {
	if m.daily == 0 {
		return ""
	}
	n := m.requests()
	return fmt.Sprintf("%d requests: %.2g%% of the %d a day that this Community Edition takes from everybody, failed ones counted", n, 100*float64(n)/float64(m.daily), m.daily)
}
