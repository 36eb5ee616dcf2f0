package seeder_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"airbundle/internal/archive"
	"airbundle/internal/bundletest"
	"airbundle/internal/cli"
	"airbundle/internal/cli/seeder"
	"airbundle/internal/nexustest"
)

// demo builds the fixture's archive, with a chart, and its root file.
func demo(t *testing.T) (bundle, root string) {
	t.Helper()
	f := bundletest.New(t)
	f.AddChart(t, "web", "1.0.0")
	bundle = f.Build(t)
	b, err := archive.OpenRoot(bundle)
	if err != nil {
		t.Fatal(err)
	}
	root = filepath.Join(t.TempDir(), "demo.root.json")
	if err := os.WriteFile(root, b.EncodeRootFile(), 0o600); err != nil {
		t.Fatal(err)
	}
	return bundle, root
}

// hosted are the repositories that the flags' defaults name, as a careful person makes them.
func hosted() []nexustest.Repository {
	return []nexustest.Repository{
		{Name: "docker-hosted", Format: "docker", Strict: true},
		{Name: "yum-hosted", Format: "yum", Depth: 2, Strict: true},
		{Name: "raw-hosted", Format: "raw"},
		{Name: "helm-hosted", Format: "helm", Strict: true},
	}
}

// A result is what a run of the program left.
type result struct {
	code     int
	out, err string
}

// run runs the program with a login, unless the test has set another one.
func run(t *testing.T, args ...string) result {
	t.Helper()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	if _, set := os.LookupEnv("NEXUS_USERNAME"); !set {
		t.Setenv("NEXUS_USERNAME", nexustest.Username)
		t.Setenv("NEXUS_PASSWORD", nexustest.Password)
	}
	var out, talk bytes.Buffer
	s := cli.Streams{In: strings.NewReader(""), Out: &out, Err: &talk}
	code := cli.Main(context.WithoutCancel(t.Context()), seeder.New(s), args, s)
	t.Logf("%s\n%s%s", strings.Join(args, " "), &out, &talk)
	return result{code, out.String(), talk.String()}
}

func (r result) want(t *testing.T, code int, lines ...string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit status %d, want %d", r.code, code)
	}
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line).MatchString(r.out + r.err) {
			t.Errorf("no line is /%s/", line)
		}
	}
}

// writes counts the requests that change something.
func writes(s *nexustest.Server) int {
	n := 0
	for _, e := range s.Log() {
		if e.Method != "GET" && e.Method != "HEAD" {
			n++
		}
	}
	return n
}

var generations = []nexustest.Profile{nexustest.Orient340, nexustest.H2371, nexustest.CE396}

func TestPlan(t *testing.T) {
	bundle, root := demo(t)
	for _, profile := range generations {
		t.Run(string(profile), func(t *testing.T) {
			s := nexustest.Start(t, nexustest.Options{Profile: profile, Repositories: hosted()})
			run(t, "plan", bundle, "--nexus", s.URL).want(t, 0,
				`ok +target +version: 3\.\d+\.\d+-\d+$`,
				`ok +target +writable: yes$`,
				`ok +target +eula: `,
				`ok +target +names: `,
				`ok +target +usage caps: `,
				`ok +target +bytes to move: 2\d\d\.\d kB$`,
				`ok +target +blob store default: \d+\.\d GB free for 2\d\d\.\d kB$`,
				`ok +repository docker-hosted: hosted docker, online, ALLOW, no connector port`,
				`ok +repository yum-hosted: hosted yum, online, ALLOW, repodata depth 2, strict content types, blob store default$`,
				`ok +repository raw-hosted: hosted raw, online, ALLOW, blob store default$`,
				`ok +repository helm-hosted: hosted helm, online, ALLOW, strict content types, blob store default$`,
				`plan for http.*: \d+ ok, 0 to make, \d+ to know, 0 not known, 0 in the way; 2\d\d\.\d kB to send; root sha256:`)
			run(t, "plan", root, "--nexus", s.URL).want(t, 0, `ok +target +bytes to move: at most 2\d\d\.\d kB; how much of it is there`)
			run(t, "push", bundle, "--nexus", s.URL).want(t, 0)
			s.ClearLog()
			run(t, "plan", bundle, "--nexus", s.URL).want(t, 0, `ok +target +bytes to move: 0 B$`)
			if n := writes(s); n != 0 {
				t.Errorf("a plan made %d writes", n)
			}
		})
	}
}

// Contract 1.4, 2.2, 4.2, 8, 12.
// TestPlanFinds has one server after another that will not take the push.
func TestPlanFinds(t *testing.T) {
	bundle, _ := demo(t)
	nameless := []nexustest.Fault{ // a proxy's own Server header, and no description of the API
		{On: nexustest.Match{Path: "swagger"}, Do: nexustest.Status(http.StatusNotFound, "")},
		{Do: nexustest.EditHeader(func(h http.Header) { h.Set("Server", "nginx") })},
	}
	with := func(change func(r []nexustest.Repository)) []nexustest.Repository {
		r := hosted()
		change(r)
		return r
	}
	for _, c := range []struct {
		name string
		o    nexustest.Options
		args []string
		code int
		want []string
	}{
		{"offline", nexustest.Options{Repositories: with(func(r []nexustest.Repository) { r[2].Offline = true })}, nil, 7,
			[]string{`failed +repository raw-hosted: offline: it is offline and answers nothing: hosted raw, offline, .*: an administrator has to set it online$`}},
		{"group in place of hosted", nexustest.Options{Repositories: append(hosted(), nexustest.Repository{Name: "all", Format: "raw", Type: "group", Members: []string{"raw-hosted"}})},
			[]string{"--raw-repo", "all"}, 7, []string{`failed +repository all: format: is a group raw repository, a hosted raw one is needed: name another with --raw-repo$`}},
		{"missing", nexustest.Options{Repositories: hosted()[:3]}, nil, 7,
			[]string{`missing +repository helm-hosted: no-repository: there is no helm repository of that name, and 1 artifact cannot go there: .*push --create makes: helm \(hosted\), name helm-hosted, `}},
		{"depth", nexustest.Options{Repositories: with(func(r []nexustest.Repository) { r[1].Depth = 3 })}, nil, 7,
			[]string{`failed +repository yum-hosted: depth: its metadata is made 3 directories deep, and the RPMs lie 2 deep: it refuses RPMs above`}},
		{"depth above", nexustest.Options{Repositories: with(func(r []nexustest.Repository) { r[1].Depth = 0 })}, nil, 0,
			[]string{`warning +repository yum-hosted: depth: its metadata is made 0 directories deep, and the RPMs lie 2 deep: .*its directory is the baseurl`}},
		{"DENY", nexustest.Options{Repositories: with(func(r []nexustest.Repository) { r[0].WritePolicy = "DENY" })}, nil, 7,
			[]string{`failed +repository docker-hosted: write-policy: its write policy DENY takes nothing`}},
		{"ALLOW_ONCE on Orient", nexustest.Options{Repositories: with(func(r []nexustest.Repository) { r[0].WritePolicy = "ALLOW_ONCE" })}, nil, 0,
			[]string{`warning +repository docker-hosted: write-policy: with ALLOW_ONCE this version refuses a second tag`}},
		{"ALLOW_ONCE on H2", nexustest.Options{Profile: nexustest.H2371, Repositories: with(func(r []nexustest.Repository) { r[0].WritePolicy = "ALLOW_ONCE" })}, nil, 0,
			[]string{`ok +repository docker-hosted: hosted docker, online, ALLOW_ONCE`}},
		{"space", nexustest.Options{Repositories: hosted(), FreeBytes: 100_000}, nil, 7,
			[]string{`failed +target +blob store default: 100\.0 kB free for 2\d\d\.\d kB: free space`}},
		{"little space", nexustest.Options{Profile: nexustest.H2371, Repositories: hosted(), FreeBytes: 300_000}, nil, 0,
			[]string{`warning +target +blob store default: 300\.0 kB free for 2\d\d\.\d kB; 3\d\d\.\d kB should be`}},
		{"no yum metadata", nexustest.Options{Profile: nexustest.H2371, Version: "3.76.0-03", Repositories: hosted()}, nil, 3,
			[]string{`failed +target +version: 3\.76\.0-03: this version makes no yum metadata`}},
		{"no yum metadata, no RPMs", nexustest.Options{Profile: nexustest.H2371, Version: "3.76.0-03", Repositories: hosted()}, []string{"--only", "file"}, 0,
			[]string{`warning +target +version: 3\.76\.0-03: this version makes no metadata in yum`}},
		{"EULA", nexustest.Options{Profile: nexustest.CE396, Repositories: hosted(), Quirks: nexustest.Quirks{UnacceptedEULA: true}}, nil, 7,
			[]string{`failed +target +eula: the license agreement of the Community Edition is not accepted.*its owner has to read and accept it`}},
		{"two formats in one", nexustest.Options{Repositories: hosted()}, []string{"--helm-repo", "raw-hosted"}, 7,
			[]string{`ok +repository raw-hosted: hosted raw`, `failed +repository raw-hosted: format: is a hosted raw repository, a hosted helm one is needed`}},
		{"no version", nexustest.Options{Repositories: hosted(), Faults: nameless}, nil, 3, []string{`unknown +target +version: the server does not tell`}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := nexustest.Start(t, c.o)
			run(t, append([]string{"plan", bundle, "--nexus", s.URL}, c.args...)...).want(t, c.code, c.want...)
			if n := writes(s); n != 0 {
				t.Errorf("a plan made %d writes", n)
			}
		})
	}
}
