package messages

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/bundletest"
	"airbundle/internal/nexustest"
)

// manyFaults is an archive with damage of several kinds, and a Nexus that lacks a repository,
// takes nothing in another, holds other content in a third, and cannot be read in places.
func manyFaults(t testing.TB) (p *process, bundle, url string) {
	t.Helper()
	p = newProcess(t, secretEnv()...)
	f := bundletest.New(t)
	f.AddChart(t, "nginx", "1.2.3")
	for i := range 40 {
		f.AddFile(fmt.Sprintf("many/%02d", i), fmt.Appendf(nil, "content number %02d", i))
	}
	raw := read(t, f.Build(t))
	raw = []byte(strings.Replace(strings.Replace(string(raw), "content number 07", "content mumber 07", 1), "content number 30", "cOntent number 30", 1))
	layer := largest(f)
	raw[strings.Index(string(raw), string(layer))+len(layer)/2] ^= 1
	bundle = p.write(t, "x.bundle.tar", raw)
	raw[len(raw)-600] ^= 1
	p.write(t, "end.bundle.tar", raw)
	s := site(t, nexustest.Options{Faults: []nexustest.Fault{
		{Name: "refused", On: nexustest.Match{Path: "/repository/raw-hosted/many/1."}, Do: nexustest.Status(403, "Forbidden")},
	}}, nexustest.Repository{Name: "helm-hosted"}, nexustest.Repository{Name: "yum-hosted", Format: "yum", WritePolicy: "DENY"})
	for i := range 9 {
		if err := s.Put("raw-hosted", fmt.Sprintf("many/%02d", 20+i), []byte("other")); err != nil {
			t.Fatal(err)
		}
		if err := s.Put("raw-hosted", fmt.Sprintf("foreign/%d", i), []byte("other")); err != nil {
			t.Fatal(err)
		}
	}
	return p, bundle, s.URL
}

// times are what a clock or the server made: durations, and numbers of faults and requests.
var times = regexp.MustCompile(`siesta-faultid[\\" :]+[0-9a-f-]+|[0-9.]+ s\b|"seconds": [0-9.e-]+|about [0-9]+ requests|"requests": [0-9]+|[0-9]+ requests`)

// TestSameOutput: the same input gives the same output to the byte but for times and counts
// of requests, in text and in JSON, whatever the number of jobs and processors, and each time.
func TestSameOutput(t *testing.T) {
	p, bundle, url := manyFaults(t)
	repeat := 2
	if full() {
		repeat = 20
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{4, []string{"verify", "end.bundle.tar"}},
		{7, []string{"plan", bundle, "--nexus", url}},
		{4, []string{"push", bundle, "--nexus", url, "--dry-run"}},
		{4, []string{"audit", bundle, "--nexus", url, "--wait", "0"}},
		{4, []string{"audit", bundle, "--nexus", url, "--wait", "0", "--exact", "--receipt", "site.json", "--verbose"}},
	} {
		for _, format := range []string{"text", "json"} {
			t.Run(strings.Join(c.args[:1], " ")+" "+fmt.Sprint(len(c.args))+" "+format, func(t *testing.T) {
				t.Parallel()
				first := ""
				for i := range repeat {
					for n, jobs := range []int{1, 2, 8, 32} {
						one := *p
						one.env = append([]string{fmt.Sprintf("GOMAXPROCS=%d", 1+(i+n)%4)}, p.env...)
						args := append([]string{}, c.args...)
						r := one.run(t, "seeder", append(args, "--output", format, "--jobs", fmt.Sprint(jobs), "--quiet")...)
						got := times.ReplaceAllString(r.out+r.err, "N")
						if r.code != c.code && (c.args[0] != "push" || r.code != 7) {
							t.Fatalf("exit %d, want %d: %s%s", r.code, c.code, r.out, r.err)
						}
						if first == "" {
							first = got
						}
						if diff := cmp.Diff(first, got); diff != "" {
							t.Fatalf("%d jobs, time %d: %s", jobs, i, diff)
						}
					}
				}
			})
		}
	}
}

// many is how many findings are too many.
func many() int {
	if full() {
		return 5000
	}
	return 1100
}

// TestCapOfEachCommand: more than 1,000 findings are 1,000 and a number, in text and in JSON,
// and the exit code is that of all, in each command that may find so many.
func TestCapOfEachCommand(t *testing.T) {
	const listed = 1000
	f := bundletest.New(t)
	for i := range many() {
		f.AddFile(fmt.Sprintf("many/%04d", i), fmt.Appendf(nil, "content number %04d", i))
	}
	p := newProcess(t, secretEnv()...)
	p.write(t, "x.bundle.tar", read(t, f.Build(t)))
	o, lock := mirror(t, f, p.dir)
	p.write(t, "gone.lock.yaml", regexp.MustCompile(`urls: \[[^]]*many[^]]*\]`).ReplaceAll(read(t, lock), []byte("urls: ["+o.URL+"/gone]")))
	var request strings.Builder
	request.WriteString("apiVersion: airbundle/v1\nkind: Request\nname: l\narches: [x86_64]\nfiles:\n")
	for i := range many() {
		fmt.Fprintf(&request, "  - {path: many/more-%d, url: %q}\n", i, o.URL+"/gone")
	}
	p.write(t, "many.yaml", []byte(request.String()))
	nx := site(t, nexustest.Options{})
	for _, c := range []struct {
		name, more string
		code       int
		json       bool
		args       []string
	}{
		{"audit", "more findings that are not listed", 3, true, []string{"seeder", "audit", "x.bundle.tar", "--nexus", nx.URL, "--wait", "0"}},
		{"build", "more that are not listed", 6, true, []string{"bundler", "build", "gone.lock.yaml", "-o", "y.bundle.tar", "--plain-http", o.Host}},
		{"lock", "more that are not listed", 6, false, []string{"bundler", "lock", "many.yaml", "-o", "new.lock.yaml"}},
		{"lint", "more findings that are not listed", 4, true, []string{"bundler", "lint", lock, "--request", "many.yaml"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := p.run(t, c.args[0], append(c.args[1:], "--quiet")...)
			found := regexp.MustCompile(`and (\d+) ` + c.more).FindStringSubmatch(r.out + r.err)
			lines := 0
			for line := range strings.Lines(r.out + r.err) {
				if strings.Contains(line, "many/") {
					lines++
				}
			}
			if r.code != c.code || found == nil || lines < listed-20 || lines > listed {
				t.Errorf("exit %d, %v, %d lines: %.2000s", r.code, found, lines, r.out+r.err)
			}
			if !c.json {
				return
			}
			r = p.run(t, c.args[0], append(c.args[1:], "--output", "json", "--quiet")...)
			d := decode(t, r.out)
			bad := 0
			for _, rec := range d.Records {
				if rec.State != "ok" && rec.State != "present" {
					bad++
				}
			}
			if r.code != c.code || d.ExitCode != c.code || bad != listed || found == nil || fmt.Sprint(d.Unlisted) != found[1] {
				t.Errorf("as JSON: exit %d, %d, %d findings, %d unlisted, as text %v", r.code, d.ExitCode, bad, d.Unlisted, found)
			}
		})
	}
}
