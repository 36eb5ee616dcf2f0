package preflight_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
	"airbundle/internal/preflight"
	"airbundle/internal/report"
	"airbundle/internal/target"
	"airbundle/manifest"
)

var forbidden = &httpx.StatusError{Code: 403}

// good are the facts of a server that takes everything, question is what a push asks of it.
func good() preflight.Facts {
	hosted := func(format string, s preflight.Settings) preflight.Repository {
		s.Online, s.BlobStore = true, "default"
		if s.WritePolicy == "" {
			s.WritePolicy = "ALLOW"
		}
		return preflight.Repository{Format: format, Type: "hosted", Settings: preflight.Answer[preflight.Settings]{Value: s}}
	}
	return preflight.Facts{
		Version: "3.90.1-01", Edition: "COMMUNITY", User: "ci",
		Roles: preflight.Answer[[]string]{Value: []string{"nx-admin"}}, EULA: preflight.Answer[bool]{Value: true},
		Stores: preflight.Answer[[]preflight.Store]{Value: []preflight.Store{{Name: "default", Type: "File", Blobs: 100, Available: 100_000}, {Name: "other", Type: "File"}}},
		Repositories: map[string]preflight.Repository{
			"docker": hosted("docker", preflight.Settings{Strict: true, HTTPPort: 8083}),
			"yum":    hosted("yum", preflight.Settings{Strict: true, Depth: 2}),
			"raw":    hosted("raw", preflight.Settings{}),
		},
	}
}

func question() preflight.Question {
	return preflight.Question{
		Wanted: []target.Wanted{
			{Repository: "docker", Format: "docker", Items: 2, Components: 3},
			{Repository: "raw", Format: "raw", Items: 1, Components: 1, Bytes: 5000},
			{Repository: "yum", Format: "yum", Items: 1, Components: 1, Bytes: 1000, Depths: []int{2}},
		},
		Move: map[string]int64{"docker": 10_000, "raw": 5000, "yum": 1000}, Blobs: 10,
	}
}

// lines are the records in a short form.
func lines(records []report.Record) string {
	var b strings.Builder
	for _, r := range records {
		fmt.Fprintf(&b, "%s %s %s: %s | %s | %s\n", r.State, r.Kind, r.Name, r.Finding, r.Reason, r.Next)
	}
	return b.String()
}

// A judgement is a change of what is good, and what is to be said of it.
type judgement struct {
	name   string
	change func(f *preflight.Facts, q *preflight.Question)
	code   report.Class
	want   string // one line, as a regular expression
}

func judge(t *testing.T, all []judgement) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			f, q := good(), question()
			c.change(&f, &q)
			rep := preflight.Judge(f, q)
			got := lines(rep.Records())
			if rep.Code() != int(c.code) || !regexp.MustCompile(`(?m)^.*`+c.want).MatchString(got) {
				t.Errorf("code %d, want %d and a line /%s/:\n%s", rep.Code(), c.code, c.want, got)
			}
		})
	}
}

// settings changes those of a repository.
func settings(f *preflight.Facts, name string, change func(s *preflight.Settings)) {
	r := f.Repositories[name]
	change(&r.Settings.Value)
	f.Repositories[name] = r
}

func repository(f *preflight.Facts, name string, r preflight.Repository) { f.Repositories[name] = r }

func unreadable(err error) preflight.Answer[preflight.Settings] {
	return preflight.Answer[preflight.Settings]{Err: err}
}

// Contract 1.3, 1.4, 2.1 to 2.3, 4.2, 8, 12, here and in the tests after it.
func TestJudgeServer(t *testing.T) {
	judge(t, []judgement{
		{"nothing", func(*preflight.Facts, *preflight.Question) {}, 0, `ok repository docker:  \| hosted docker, online, ALLOW, connector port 8083 \(http\), strict content types, blob store default \| $`},
		{"moved", func(*preflight.Facts, *preflight.Question) {}, 0, `ok target bytes to move:  \| 16.0 kB`},
		{"https port", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "docker", func(s *preflight.Settings) { s.HTTPSPort = 8443 })
		}, 0, `connector port 8083 \(http\), connector port 8443 \(https\), `},

		{"old", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.15.2-01" }, 0, `warning target version:  \| 3.15.2-01: older than 3.16`},
		{"3.16", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.16.2-01" }, 0, `ok target version:  \| 3.16.2-01`},
		{"3.76.0", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.76.0-03" }, 3, `failed target version:  \| 3.76.0-03: .*no yum metadata.* \| update to 3.76.1`},
		{"3.76.1", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.76.1-01" }, 0, `ok target version`},
		{"3.77.0", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.77.0-08" }, 0, `warning target version:  \| 3.77.0-08: .*null://`},
		{"3.77.1", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.77.1-01" }, 0, `warning target version`},
		{"3.77.2", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.77.2-02" }, 0, `ok target version`},
		{"3.96.0", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.96.0-09" }, 0, `warning target version:  \| 3.96.0-09: .*500`},
		{"3.96.1", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "3.96.1-01" }, 0, `warning target version`},
		{"no version", func(f *preflight.Facts, _ *preflight.Question) { f.Version = "" }, 3, `unknown target version`},
		{"hidden edition", func(f *preflight.Facts, _ *preflight.Question) { f.Edition = "" }, 0, `ok target edition:  \| not told`},

		{"frozen", func(f *preflight.Facts, _ *preflight.Question) { f.ReadOnly = true }, 7, `failed target writable`},
		{"EULA", func(f *preflight.Facts, _ *preflight.Question) { f.EULA.Value = false }, 7, `failed target eula`},
		{"no EULA", func(f *preflight.Facts, _ *preflight.Question) { f.EULA.Err = &httpx.StatusError{Code: 404} }, 0, `ok target eula:  \| this version asks for none`},
		{"EULA of 3.80", func(f *preflight.Facts, _ *preflight.Question) {
			f.EULA.Err, f.Version = &httpx.StatusError{Code: 404}, "3.80.0-06"
		}, 0, `warning target eula`},
		{"EULA unknown", func(f *preflight.Facts, _ *preflight.Question) { f.EULA.Err = forbidden }, 3, `unknown target eula:  \| .*this login may not read it \(403\)`},
		{"EULA of OSS", func(f *preflight.Facts, _ *preflight.Question) { f.EULA.Err, f.Edition = forbidden, "OSS" }, 0, `ok target eula`},
		{"no login", func(f *preflight.Facts, _ *preflight.Question) { f.User = "" }, 7, `failed target login:  \| there is no login`},
		{"login refused", func(f *preflight.Facts, _ *preflight.Question) { f.Refused = &httpx.StatusError{Code: 401} }, 7, `failed target login:  \| .*401`},
	})
}

func TestJudgeSpaceAndCaps(t *testing.T) {
	judge(t, []judgement{
		{"components", func(_ *preflight.Facts, q *preflight.Question) { q.Wanted[0].Components = 40_000 }, 7, `failed target usage caps:  \| 40002 components to push, cap 40000`},
		{"components of 3.86", func(f *preflight.Facts, q *preflight.Question) { f.Version, q.Wanted[0].Components = "3.86.0", 40_000 }, 0, `ok target usage caps:  \| 40002 components to push, cap 100000; about 46 requests, cap 200000 a day`},
		{"components of 3.76", func(f *preflight.Facts, q *preflight.Question) {
			f.Edition, f.Version, q.Wanted[0].Components = "", "3.76.1", 400_000
		}, 0, `ok target usage caps:  \| none in this edition and version`},
		{"components of Pro", func(f *preflight.Facts, q *preflight.Question) { f.Edition, q.Wanted[0].Components = "PRO", 400_000 }, 0, `ok target usage caps:  \| none`},
		{"components there", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Value[0].Blobs = 39_996 }, 0, `warning target usage caps:  \| .*the server holds up to 39996`},
		{"components just", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Value[0].Blobs = 39_995 }, 0, `ok target usage caps:  \| .*the server holds at most 39995`},
		{"requests", func(_ *preflight.Facts, q *preflight.Question) { q.Blobs = 40_000 }, 0, `warning target usage caps:  \| .*about 120016 requests, cap 100000 a day`},

		{"space", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Value[0].Available = 15_999 }, 7, `failed target blob store default:  \| 16.0 kB free for 16.0 kB`},
		{"little space", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Value[0].Available = 16_000*13/10 - 1 }, 0, `warning target blob store default:  \| 20.8 kB free for 16.0 kB; 20.8 kB should be`},
		{"enough space", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Value[0].Available = 16_000 * 13 / 10 }, 0, `ok target blob store default`},
		{"space of Orient", func(f *preflight.Facts, _ *preflight.Question) {
			f.Version, f.Stores.Value[0].Available = "3.70.0", 4<<30
		}, 0, `warning target blob store default:  \| 4.3 GB free for 16.0 kB; 4.3 GB should be`},
		{"S3", func(f *preflight.Facts, _ *preflight.Question) {
			f.Stores.Value[0].Available, f.Stores.Value[0].Type = 0, "S3"
		}, 0, `ok target blob store default:  \| of type S3`},
		{"unavailable", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Value[0].Unavailable = true }, 7, `failed target blob store default:  \| the blob store is unavailable`},
		{"quota", func(f *preflight.Facts, _ *preflight.Question) {
			f.Stores.Value[0].Quota.Value, f.Stores.Value[0].Message = true, "over 1 GB"
		}, 0, `warning target blob store default:  \| beyond its soft quota: over 1 GB`},
		{"stores unknown", func(f *preflight.Facts, _ *preflight.Question) { f.Stores.Err = forbidden }, 3, `unknown target blob stores:  \| how much space`},
		{"another store", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.BlobStore = "other" })
		}, 7, `failed target blob store other:  \| 0 B free for 5.0 kB`},
		{"no such store", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.BlobStore = "gone" })
		}, 7, `failed target blob store gone:  \| there is no such blob store`},
	})
}

func TestJudgeSettings(t *testing.T) {
	judge(t, []judgement{
		{"offline", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.Online = false })
		}, 7, `failed repository raw: offline`},
		{"DENY", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.WritePolicy = "DENY" })
		}, 7, `failed repository raw: write-policy \| .*there is something to send`},
		{"DENY, all there", func(f *preflight.Facts, q *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.WritePolicy = "DENY" })
			q.Move["raw"] = 0
		}, 0, `warning repository raw: write-policy`},
		{"DENY, at most", func(f *preflight.Facts, q *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.WritePolicy = "DENY" })
			q.AtMost = true
		}, 0, `warning repository raw: write-policy`},
		{"RPMs in raw, ALLOW_ONCE", func(f *preflight.Facts, q *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.WritePolicy = "ALLOW_ONCE" })
			q.Wanted[1].Depths = []int{1}
		}, 0, `warning repository raw: write-policy \| .*never replaced`},
		{"files in raw, ALLOW_ONCE", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "raw", func(s *preflight.Settings) { s.WritePolicy = "ALLOW_ONCE" })
		}, 0, `ok repository raw:  \| hosted raw, online, ALLOW_ONCE`},
		{"depth", func(f *preflight.Facts, _ *preflight.Question) {
			settings(f, "yum", func(s *preflight.Settings) { s.Depth = 3 })
		}, 7, `failed repository yum: depth \| its metadata is made 3 directories deep, and the RPMs lie 2 deep.*\| name one of depth 2 or less with --yum-repo, or push with --rpm-layout raw`},
		{"two depths", func(_ *preflight.Facts, q *preflight.Question) { q.Wanted[2].Depths = []int{2, 3} }, 0, `warning repository yum: depth \| .*lie 2 and 3 deep.*its directory is the baseurl`},
	})
}

func TestJudgeWhatIsThere(t *testing.T) {
	judge(t, []judgement{
		{"format", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Format: "yum", Type: "hosted"})
		}, 7, `failed repository raw: format \| is a hosted yum repository, a hosted raw one is needed \| name another with --raw-repo`},
		{"proxy", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Format: "raw", Type: "proxy"})
		}, 7, `failed repository raw: format \| is a proxy raw repository`},
		{"group to read from", func(f *preflight.Facts, q *preflight.Question) {
			repository(f, "raw", preflight.Repository{Format: "raw", Type: "group"})
			q.Read, q.Move = true, nil
		}, 0, `ok repository raw:  \| group raw`},
		{"absent", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Absent: preflight.Answer[bool]{Value: true}})
		}, 7, `missing repository raw: no-repository \| .*\| name another with --raw-repo, or make it; push --create makes: raw \(hosted\), name raw`},
		{"absent, unknown", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Absent: preflight.Answer[bool]{Err: errors.New("broken")}})
		}, 3, `unknown repository raw: invisible \| whether there is a repository of that name is not known: broken`},
		{"settings forbidden", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Format: "raw", Type: "hosted", Settings: unreadable(forbidden)})
		}, 3, `unknown repository raw: settings \| hosted raw; .*this login may not read it \(403\)`},
		{"no API for settings", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Format: "raw", Type: "hosted", Settings: unreadable(preflight.ErrNoAPI)})
		}, 3, `unknown repository raw: settings \| hosted raw; .*this version does not tell`},
		{"invisible", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Settings: unreadable(forbidden)})
		}, 3, `unknown repository raw: invisible \| there is a repository of that name that this login does not see; its format`},
		{"invisible and another", func(f *preflight.Facts, _ *preflight.Question) {
			repository(f, "raw", preflight.Repository{Settings: unreadable(preflight.ErrOther)})
		}, 7, `failed repository raw: format \| .*it is no hosted raw one`},
		{"to read, invisible", func(f *preflight.Facts, q *preflight.Question) {
			repository(f, "raw", preflight.Repository{Settings: unreadable(forbidden)})
			q.Read, q.Move = true, nil
		}, 3, `unknown repository raw: invisible`},
		{"collision", func(_ *preflight.Facts, q *preflight.Question) {
			for _, content := range []string{"a", "b"} {
				q.Items = append(q.Items, target.Item{Artifact: manifest.Artifact{Kind: manifest.KindFile, Name: content, Digest: digest.FromString(content)}, Place: target.Place{Repository: "raw", Path: "x"}})
			}
		}, 4, `failed target names:  \| raw/x is claimed by a .* and b `},
	})
}

// Contract 1.3, 2.2.
func TestCreates(t *testing.T) {
	absent := preflight.Repository{Absent: preflight.Answer[bool]{Value: true}}
	for _, c := range []struct {
		name    string
		version string
		depths  []int
		code    report.Class
		want    []string
		designs []string
	}{
		{"today", "3.90.0", []int{3}, 0, []string{
			`planned repository docker:  \| is not there; to be made: docker \(hosted\), name docker, online, HTTP connector at port 8083, no anonymous pull, no V1 API, blob store default, strict content type validation on, deployment policy Allow redeploy`,
			`planned repository yum:  \| is not there; to be made: yum \(hosted\), name yum, online, repodata depth 3, layout policy strict, blob store default, strict content type validation on, deployment policy Allow redeploy`,
			`planned repository all:  \| is not there; to be made: raw \(group\), name all, online, members raw, blob store default, strict content type validation off`,
		}, []string{"docker", "raw", "yum", "all"}},
		{"3.25", "3.25.1", []int{3}, 3, []string{`planned repository raw`, `unknown repository docker: create \| .*\| .*push --create tries`}, []string{"docker", "raw", "yum", "all"}},
		{"3.23", "3.23.0", []int{3}, 3, []string{`unknown repository raw: create`}, []string{"docker", "raw", "yum", "all"}},
		{"3.16", "3.16.2", []int{3}, 7, []string{`failed repository yum: create \| this version of Nexus cannot be asked to make it \| make it by hand: .*repodata depth 3`}, []string{"docker", "raw", "yum", "all"}},
		{"two depths", "3.90.0", []int{1, 3}, 7, []string{`failed repository yum: depth \| is not there, and none can be made: its RPMs lie 1 and 3 directories deep.* \| push with --rpm-layout raw`}, []string{"docker", "raw", "all"}},
		{"too deep", "3.90.0", []int{6}, 7, []string{`failed repository yum: depth \| .*6 directories deep, and a yum repository has its metadata at 5 at most`}, []string{"docker", "raw", "all"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, q := good(), question()
			f.Version, q.Wanted[2].Depths, q.Create, q.Ports = c.version, c.depths, true, map[string]int{"docker": 8083}
			q.Groups = []target.Group{{Name: "all", Format: "raw", Members: []string{"raw"}}}
			f.Stores.Value[0].Available = 1 << 50
			f.Repositories = map[string]preflight.Repository{"docker": absent, "raw": absent, "yum": absent, "all": absent}
			rep := preflight.Judge(f, q)
			got := lines(rep.Records())
			for _, want := range c.want {
				if !regexp.MustCompile(`(?m)^` + want).MatchString(got) {
					t.Errorf("no line /%s/:\n%s", want, got)
				}
			}
			var names []string
			for _, d := range preflight.Designs(f, q) {
				names = append(names, d.Name)
			}
			if diff := cmp.Diff(c.designs, names); diff != "" || rep.Code() != int(c.code) {
				t.Errorf("code %d, want %d\n%s", rep.Code(), c.code, diff)
			}
		})
	}
}

// What is there, or may be there, is never made.
func TestDesignsOnlyOfAbsent(t *testing.T) {
	f, q := good(), question()
	q.Create = true
	f.Repositories["raw"] = preflight.Repository{Absent: preflight.Answer[bool]{Err: errors.New("broken")}}
	f.Repositories["yum"] = preflight.Repository{Settings: preflight.Answer[preflight.Settings]{Err: forbidden}}
	if got := preflight.Designs(f, q); len(got) != 0 {
		t.Errorf("to be made: %+v", got)
	}
}

// Contract 2.2.
func TestGroups(t *testing.T) {
	group := target.Group{Name: "all", Format: "raw", Members: []string{"raw", "raw-2"}}
	shows := func(members ...string) preflight.Repository {
		return preflight.Repository{Format: "raw", Type: "group", Settings: preflight.Answer[preflight.Settings]{Value: preflight.Settings{Members: members}}}
	}
	for _, c := range []struct {
		name string
		r    preflight.Repository
		code report.Class
		want string
	}{
		{"whole", shows("x", "raw-2", "raw"), 0, `ok repository all:  \| group of raw, shows raw, raw-2`},
		{"lacks one", shows("raw"), 0, `warning repository all: members \| the group does not show raw-2`},
		{"absent", preflight.Repository{Absent: preflight.Answer[bool]{Value: true}}, 0, `warning repository all: no-repository`},
		{"hosted", preflight.Repository{Format: "raw", Type: "hosted"}, 7, `failed repository all: format \| is a hosted raw repository, a group of raw ones is wanted`},
		{"unknown", preflight.Repository{Format: "raw", Type: "group", Settings: preflight.Answer[preflight.Settings]{Err: forbidden}}, 0, `warning repository all: settings \| its members are not known: this login may not read it`},
	} {
		f, q := good(), question()
		f.Repositories["all"], q.Groups = c.r, []target.Group{group}
		rep := preflight.Judge(f, q)
		if got := lines(rep.Records()); rep.Code() != int(c.code) || !regexp.MustCompile(`(?m)^`+c.want).MatchString(got) {
			t.Errorf("%s: code %d, want %d and /%s/:\n%s", c.name, rep.Code(), c.code, c.want, got)
		}
	}
}

// A making has an error for each name, and nil for all others.
type making struct {
	errs  map[string]error
	asked []string
}

func (m *making) Make(_ context.Context, d preflight.Design) error {
	m.asked = append(m.asked, d.Name)
	return m.errs[d.Name]
}

// Contract 2.2, 2.3.
func TestCreate(t *testing.T) {
	designs := []preflight.Design{{Name: "a", Format: "yum", Type: "hosted", Depth: 1}, {Name: "b", Format: "raw", Type: "hosted"}, {Name: "c", Format: "raw", Type: "hosted"}}
	for _, c := range []struct {
		name  string
		err   error // of b
		asked int
		class report.Class
		want  string
	}{
		{"all well", nil, 3, 0, `sent repository b:  \| made: raw \(hosted\), name b`},
		{"no API", fmt.Errorf("x: %w", preflight.ErrNoAPI), 3, 7, `failed repository b: create \| this version of Nexus cannot be asked to make it \| make it by hand: .*raw \(hosted\), name b, online`},
		{"taken", preflight.ErrTaken, 3, 7, `failed repository b: create \| the name is in use \| let an administrator`},
		{"forbidden", forbidden, 3, 7, `failed .*\| the account needs the privilege nx-repository-admin-raw-b-add`},
		{"broken", &httpx.StatusError{Code: 502}, 3, 6, `failed repository b: create`},
		{"login refused", &httpx.StatusError{Code: 401}, 2, 7, `failed repository b: create`},
	} {
		m := &making{errs: map[string]error{"b": c.err}}
		got := preflight.Create(t.Context(), m, designs)
		if len(m.asked) != c.asked || len(got) != c.asked || got[1].Class != c.class || !regexp.MustCompile(`(?m)^`+c.want).MatchString(lines(got)) {
			t.Errorf("%s: asked for %v, class %d, want /%s/:\n%s", c.name, m.asked, got[1].Class, c.want, lines(got))
		}
	}
}
