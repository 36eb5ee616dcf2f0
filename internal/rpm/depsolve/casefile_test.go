package depsolve_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A story is a few tiny repositories and what requests to them give. It is written in
// testdata/*.cases, a statement a line, what belongs to it indented below:
//
//	== name of the story
//	# why it is there
//	repo ID                    (else all is in one repository, "r")
//	  priority 10
//	  exclude foo*, bar
//	pkg app-1:2.0-1.noarch     (provides itself)
//	  requires lib >= 2, (a or b)
//	  files /usr/bin/app, /usr/share/app
//	stream nodejs:18
//	  requires platform:el9
//	  artifacts nodejs-0:18-1.x86_64
//	default nodejs:18
//	group core
//	  mandatory bash, sed
//	  conditional vim-x if x
//	environment ws
//	  groups core
//	> app, lib >= 2; weak; exclude foo; present bash; modules nodejs:18; arch aarch64; nobest
//	= app-1:2.0-1.noarch lib-2-1.noarch
//	> nosuch
//	! nosuch | other word of the reason
//	~ why we answer otherwise, if we do
type story struct {
	name     string
	repos    []*storyRepo
	requests []*storyRequest
}

type storyRepo struct {
	id         string
	statements []statement
}

type statement struct {
	keyword, text string
	below         map[string][]string
}

type storyRequest struct {
	story                              *story
	file                               string
	line                               int // of the answer, counted from 1
	text                               string
	install, exclude, modules, present []string
	weak, notBest                      bool
	arch                               string
	want                               []string // NEVRAs; nil: the request is refused
	words                              []string // of the refusal
	unlike                             string   // why our answer is another one; empty: it is not
}

// stories reads all of testdata.
func stories(t testing.TB) []*story {
	t.Helper()
	files, err := filepath.Glob("testdata/*.cases")
	if err != nil || len(files) == 0 {
		t.Fatalf("testdata/*.cases: %d files, %v", len(files), err)
	}
	var all []*story
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		some, err := parseStories(f, string(data))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func parseStories(file, text string) (all []*story, err error) {
	var s *story
	for i, line := range strings.Split(text, "\n") {
		bad := func(why string) error { return fmt.Errorf("%s:%d: %s: %q", file, i+1, why, line) }
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(strings.TrimSpace(line), "#"):
		case strings.HasPrefix(line, "== "):
			s = &story{name: line[3:]}
			all = append(all, s)
		case s == nil:
			return nil, bad("outside a story")
		case strings.HasPrefix(line, "> "):
			r, err := parseRequest(line[2:])
			if err != nil {
				return nil, bad(err.Error())
			}
			r.story, r.file, r.line = s, file, i+2
			s.requests = append(s.requests, r)
		case strings.HasPrefix(line, "=") || strings.HasPrefix(line, "!"):
			if len(s.requests) == 0 || s.requests[len(s.requests)-1].line != i+1 {
				return nil, bad("an answer stands below its request")
			}
			s.requests[len(s.requests)-1].expect(line)
		case strings.HasPrefix(line, "~ ") && len(s.requests) > 0:
			s.requests[len(s.requests)-1].unlike = line[2:]
		case !s.state(line):
			return nil, bad("unheard of")
		}
	}
	return all, nil
}

func (r *storyRequest) expect(line string) {
	if line[0] == '=' {
		r.want = append([]string{}, strings.Fields(line[1:])...)
		return
	}
	r.words = split(line[1:], "|")
}

func (s *story) state(line string) bool {
	keyword, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if line[0] != ' ' && keyword == "repo" {
		s.repos = append(s.repos, &storyRepo{id: rest, statements: []statement{{keyword: "repo", below: map[string][]string{}}}})
		return true
	}
	if len(s.repos) == 0 {
		s.repos = append(s.repos, &storyRepo{id: "r", statements: []statement{{keyword: "repo", below: map[string][]string{}}}})
	}
	r := s.repos[len(s.repos)-1]
	if line[0] == ' ' {
		below := r.statements[len(r.statements)-1].below
		below[keyword] = append(below[keyword], split(rest, ",")...)
		return true
	}
	r.statements = append(r.statements, statement{keyword, rest, map[string][]string{}})
	return keyword == "pkg" || keyword == "stream" || keyword == "default" || keyword == "group" || keyword == "environment"
}

func parseRequest(text string) (*storyRequest, error) {
	parts := split(text, ";")
	r := &storyRequest{text: text, install: split(parts[0], ","), arch: "x86_64"}
	for _, p := range parts[1:] {
		option, rest, _ := strings.Cut(p, " ")
		switch option {
		case "weak":
			r.weak = true
		case "nobest":
			r.notBest = true
		case "arch":
			r.arch = rest
		case "exclude":
			r.exclude = split(rest, ",")
		case "modules":
			r.modules = split(rest, ",")
		case "present":
			r.present = split(rest, ",")
		default:
			return nil, fmt.Errorf("unheard of: option %s", option)
		}
	}
	return r, nil
}

func split(text, by string) []string {
	var out []string
	for p := range strings.SplitSeq(text, by) {
		if p = strings.TrimSpace(p); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// priority is that of the repository, 0 when it has none of its own.
func (r *storyRepo) priority(t testing.TB) int {
	t.Helper()
	p := r.statements[0].below["priority"]
	if p == nil {
		return 0
	}
	n, err := strconv.Atoi(p[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (r *storyRepo) exclude() []string { return r.statements[0].below["exclude"] }
