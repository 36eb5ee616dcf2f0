package depsolve_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/depsolve"
	"airbundle/internal/rpmtest"
	"airbundle/test/agreement/localrepo"
	"airbundle/test/agreement/oracle"
)

var update = flag.Bool("update", false, "write dnf's answers into testdata/*.cases")

// TestCases: we choose as is recorded.
func TestCases(t *testing.T) {
	for _, s := range stories(t) {
		t.Run(s.name, func(t *testing.T) {
			var repos []depsolve.Repo
			for _, r := range s.repos {
				repo, err := localrepo.Open(writeRepo(t, r), r.id)
				if err != nil {
					t.Fatal(err)
				}
				repo.Priority, repo.Exclude = r.priority(t), r.exclude()
				repos = append(repos, repo)
			}
			for _, r := range s.requests {
				checkCase(t, repos, r)
			}
		})
	}
}

func checkCase(t *testing.T, repos []depsolve.Repo, r *storyRequest) {
	t.Helper()
	got, err := depsolve.Solve(t.Context(), depsolve.Request{
		Arch: r.arch, Repos: repos, Install: r.install, Exclude: r.exclude, Present: r.present,
		Modules: r.modules, Weak: r.weak, NotBest: r.notBest,
	})
	wrong := r.judge(got, err)
	switch {
	case wrong != "" && r.unlike == "":
		t.Errorf("%s:%d: %s: %s", r.file, r.line, r.text, wrong)
	case wrong == "" && r.unlike != "":
		t.Errorf("%s:%d: %s: our answer is dnf's now: take away the line that says why not", r.file, r.line, r.text)
	}
}

// judge says how our answer differs from dnf's; empty: it does not.
func (r *storyRequest) judge(got *depsolve.Solution, err error) string {
	var refused *depsolve.UnsolvableError
	switch {
	case err != nil && !errors.As(err, &refused):
		return err.Error()
	case r.want == nil && err == nil:
		return fmt.Sprintf("got %v, want it refused", names(got))
	case r.want == nil:
		for _, w := range r.words {
			if !strings.Contains(err.Error(), w) {
				return fmt.Sprintf("the refusal does not name %q:\n%v", w, err)
			}
		}
		return ""
	case err != nil:
		return fmt.Sprintf("refused, want %v:\n%v", r.want, err)
	}
	if diff := cmp.Diff(r.want, names(got)); diff != "" {
		return "(-dnf +Solve)\n" + diff
	}
	return ""
}

func names(s *depsolve.Solution) []string {
	out := make([]string, 0, len(s.Packages))
	for _, p := range s.Packages {
		out = append(out, p.NEVRA)
	}
	return out
}

// TestCasesAreDNFs: what is recorded is what dnf says.
func TestCasesAreDNFs(t *testing.T) {
	rpmtest.Tool(t, "dnf")
	all := stories(t)
	var jobs []oracle.Job
	var asked [][]*storyRequest
	for _, s := range all {
		some, requests := jobsOf(t, s)
		jobs, asked = append(jobs, some...), append(asked, requests...)
	}
	install(t, jobs, asked)
	answers, err := oracle.Ask(t.Context(), jobs...)
	if err != nil {
		t.Fatal(err)
	}
	lines, n := map[string]map[int]string{}, 0
	for i, requests := range asked {
		for k, r := range requests {
			n++
			got := record(answers[i].Results[k])
			if lines[r.file] == nil {
				lines[r.file] = map[int]string{}
			}
			lines[r.file][r.line] = got
			if want := r.recorded(); got != want && !*update {
				t.Errorf("%s:%d: %s\n   dnf %s\n  here %s\n%s", r.file, r.line, r.text, got, want, answers[i].Results[k].Error)
			}
		}
	}
	if *update {
		rewrite(t, lines)
	}
	t.Logf("%d requests in %d stories", n, len(all))
}

// jobsOf puts requests that have their hosts in common into one job.
func jobsOf(t *testing.T, s *story) (jobs []oracle.Job, asked [][]*storyRequest) {
	t.Helper()
	repos := dnfRepos(t, s)
	for _, r := range s.requests {
		question := oracle.Request{ID: r.text, Install: r.install, Exclude: r.exclude, Modules: r.modules, Weak: r.weak, NotBest: r.notBest}
		if last := len(jobs) - 1; last >= 0 && r.present == nil && jobs[last].Root == "" && jobs[last].Arch == r.arch {
			jobs[last].Requests = append(jobs[last].Requests, question)
			asked[last] = append(asked[last], r)
			continue
		}
		job := oracle.Job{Arch: r.arch, Repos: repos, Requests: []oracle.Request{question}}
		if r.present != nil {
			job.Root = t.TempDir() // filled later
		}
		jobs, asked = append(jobs, job), append(asked, []*storyRequest{r})
	}
	return jobs, asked
}

func dnfRepos(t testing.TB, s *story) []oracle.Repo {
	t.Helper()
	var repos []oracle.Repo
	for _, r := range s.repos {
		repos = append(repos, oracle.Repo{ID: r.id, URL: "file://" + writeRepo(t, r) + "/", Priority: r.priority(t), Exclude: r.exclude()})
	}
	return repos
}

// install fills the roots of jobs: with what their present needs, all asked for at once.
func install(t *testing.T, jobs []oracle.Job, asked [][]*storyRequest) {
	t.Helper()
	var wanted []oracle.Job
	var roots []string
	var of []*story
	for i, j := range jobs {
		if r := asked[i][0]; j.Root != "" {
			wanted = append(wanted, oracle.Job{Arch: j.Arch, Repos: j.Repos, Requests: []oracle.Request{{ID: r.text, Install: r.present}}})
			roots, of = append(roots, j.Root), append(of, r.story)
		}
	}
	answers, err := oracle.Ask(t.Context(), wanted...)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		have := a.Results[0]
		if have.Packages == nil {
			t.Fatalf("%s: present: %s %v", have.ID, have.Error, have.Missing)
		}
		fill(t, roots[i], of[i], have.Packages)
	}
}

// fill puts packages of a story into the rpmdb of a root.
func fill(t *testing.T, root string, s *story, nevras []string) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--root", root, "-i", "--justdb", "--nodeps", "--nosignature", "--ignorearch", "--noscripts"}
	for _, repo := range s.repos {
		for _, st := range repo.statements {
			if file := filepath.Join(dir, st.text+".rpm"); st.keyword == "pkg" && slices.Contains(nevras, st.text) && !slices.Contains(args, file) {
				if err := os.WriteFile(file, build(t, st), 0o644); err != nil {
					t.Fatal(err)
				}
				args = append(args, file)
			}
		}
	}
	if out, err := exec.CommandContext(t.Context(), rpmtest.Tool(t, "rpm"), args...).CombinedOutput(); err != nil {
		t.Fatalf("rpm: %v\n%s", err, out)
	}
}

func (r *storyRequest) recorded() string {
	if r.want != nil {
		return strings.Join(append([]string{"="}, r.want...), " ")
	}
	return "! " + strings.Join(r.words, " | ")
}

// record is a result as the files have it.
func record(r oracle.Result) string {
	switch {
	case r.Error != "":
		return "! " + strings.Join(reasons(r.Error), " | ")
	case r.Missing != nil:
		return "! " + strings.ReplaceAll(strings.Join(r.Missing, " | "), "@", "")
	}
	return strings.Join(append([]string{"="}, r.Packages...), " ")
}

// problems are the sentences of libsolv that end a chain of reasons.
var problems = []*regexp.Regexp{
	regexp.MustCompile(`nothing provides (.+) needed by (\S+)`),
	regexp.MustCompile(`package (\S+) conflicts with (.+) provided by (\S+)`),
	regexp.MustCompile(`package (\S+) obsoletes (.+) provided by (\S+)`),
	regexp.MustCompile(`cannot install both (\S+) and (\S+)`),
	regexp.MustCompile(`package (\S+) is filtered out by`),
	regexp.MustCompile(`package (\S+) does not have a compatible architecture`),
}

// reasons are the packages and capabilities that dnf's words end with.
func reasons(text string) []string {
	var out []string
	for line := range strings.SplitSeq(text, "\n") {
		for _, p := range problems {
			for _, w := range append([]string{}, tail(p.FindStringSubmatch(line))...) {
				if w != "<NULL>" && !slices.Contains(out, w) { // what libsolv says for a rich conflict
					out = append(out, w)
				}
			}
		}
	}
	return out
}

func tail(match []string) []string {
	if len(match) == 0 {
		return nil
	}
	return match[1:]
}

func rewrite(t testing.TB, answers map[string]map[int]string) {
	t.Helper()
	for file, lines := range answers {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for i, line := range strings.Split(string(data), "\n") {
			if answer, ok := lines[i+1]; ok {
				out = append(out, answer)
				if strings.HasPrefix(line, "=") || strings.HasPrefix(line, "!") {
					continue
				}
			}
			out = append(out, line)
		}
		if err := os.WriteFile(file, []byte(strings.Join(out, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(os.Stderr, "wrote", file)
	}
}
