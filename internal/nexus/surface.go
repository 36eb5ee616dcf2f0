package nexus

import (
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// The parts of a server that carry artifacts, each with its own bound on requests in
// flight (httpx.Options.Surfaces).
const (
	SurfaceDocker  = "docker"  // registries: connector ports, /v2/, /repository/<name>/v2/
	SurfaceContent = "content" // files below /repository/<name>/
	SurfaceREST    = "rest"    // /service/rest/
)

// Surface returns what tells the surface of a request to the Nexus at base, over all its
// ports; it is empty for what is none of them, such as another host. A file at v2/ in a
// raw repository passes for docker's.
func Surface(base *url.URL) func(*http.Request) string {
	prefix := strings.TrimRight(base.Path, "/")
	return func(req *http.Request) string {
		path, below := strings.CutPrefix(req.URL.Path, prefix)
		if !strings.EqualFold(req.URL.Hostname(), base.Hostname()) {
			return ""
		}
		switch {
		case strings.HasPrefix(req.URL.Path, "/v2/"), below && strings.HasPrefix(path, "/v2/"), below && mainPortDocker.MatchString(path):
			return SurfaceDocker
		case below && strings.HasPrefix(path, "/repository/"):
			return SurfaceContent
		case below && strings.HasPrefix(path, "/service/rest/"):
			return SurfaceREST
		}
		return ""
	}
}

var mainPortDocker = regexp.MustCompile(`^/repository/[^/]+/v2/`)

// DailyRequests is how many requests a day a server of this kind takes before it takes
// nothing new: 200,000 of a Community Edition from 3.77 on, 100,000 from 3.87 on, failed
// ones counted. It is 0 where there is no such cap, or the version is not told.
func (i Info) DailyRequests() int64 {
	m := release.FindStringSubmatch(i.Version)
	if i.Edition != "COMMUNITY" || m == nil {
		return 0
	}
	major, _ := strconv.Atoi(m[1]) // digits, and few
	minor, _ := strconv.Atoi(m[2])
	switch {
	case major > 3, minor >= 87:
		return 100_000
	case major == 3 && minor >= 77:
		return 200_000
	}
	return 0
}

var release = regexp.MustCompile(`^(\d{1,4})\.(\d{1,4})\.`)
