package messages

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// A fault is a way to make a command tell of something, from outside.
type fault struct {
	name string
	code int
	// told are the findings that there must be at least: "state class", and behind a slash
	// what kind of finding where the report names one.
	told []string
	// digest says that each finding is about content that has a digest.
	digest bool
	// make prepares the fault. It is called once for each form of the report, because some
	// commands change what they meet; at is the address that differs between the two.
	make func(t testing.TB) (p *process, args []string, at string)
}

// finding is one of the JSON form.
type finding struct {
	Kind, Name, Digest, Place, State, Finding, Reason, Next string
	Class                                                   int
}

func (f finding) what() string {
	if f.Finding != "" {
		return fmt.Sprintf("%s %d/%s", f.State, f.Class, f.Finding)
	}
	return fmt.Sprintf("%s %d", f.State, f.Class)
}

// TestEveryFinding provokes findings of all kinds in all commands that write a report. Each
// has kind, artifact, place, cause and next step, and a digest where there is one; the text
// says the same as the JSON. A state, class or kind of finding that the programs know and no
// fault here leads to fails, so that nobody can add one without.
func TestEveryFinding(t *testing.T) {
	faults := slices.Concat(archiveFaults(), buildFaults(), targetFaults(), planFaults(), lintFaults())
	seen := make([][]string, len(faults))
	t.Run("faults", func(t *testing.T) {
		for i, f := range faults {
			t.Run(f.name, func(t *testing.T) {
				t.Parallel()
				seen[i] = f.check(t)
			})
		}
	})
	if t.Failed() || slices.ContainsFunc(seen, func(s []string) bool { return s == nil }) {
		return // or only some were asked for
	}
	all := map[string]bool{}
	for _, what := range slices.Concat(seen...) {
		all[what] = true
	}
	complete(t, slices.Sorted(maps.Keys(all)))
}

// harmless are the states of records that are no findings.
var harmless = []string{"ok", "sent", "present", "planned", "wanted", "warning", "foreign", "superseded"}

// check runs the command and returns what kinds of findings it told of.
func (f fault) check(t *testing.T) (seen []string) {
	p, args, at := f.make(t)
	r := p.run(t, args[0], append(slices.Clone(args[1:]), "--output", "json")...)
	var d struct {
		ExitCode int
		Records  []finding
	}
	decodeInto(t, strings.ReplaceAll(r.out, p.dir, "DIR"), &d)
	if r.code != f.code || d.ExitCode != f.code {
		t.Errorf("exit %d, in JSON %d, want %d\n%s%s", r.code, d.ExitCode, f.code, r.out, r.err)
	}
	var findings []finding
	for _, rec := range d.Records {
		if rec.Class == 0 {
			if !slices.Contains(harmless, rec.State) {
				t.Errorf("a bad state without a class: %+v", rec)
			}
			continue
		}
		findings = append(findings, rec)
		seen = append(seen, rec.what())
		if rec.Kind == "" || rec.Name == "" || rec.Place == "" || rec.Reason == "" || rec.Next == "" || f.digest && rec.Digest == "" {
			t.Errorf("artifact, digest, place, cause or next step is missing: %+v", rec)
		}
	}
	if len(seen) == 0 {
		t.Errorf("no finding at all\n%s", r.out)
	}
	for _, want := range f.told {
		if !slices.Contains(seen, want) {
			t.Errorf("no finding %q, but %q\n%s", want, seen, r.out)
		}
	}
	f.text(t, findings, at)
	return seen
}

// text runs the command again, as a person would.
func (f fault) text(t *testing.T, findings []finding, at string) {
	p, args, now := f.make(t)
	r := p.run(t, args[0], args[1:]...)
	if r.code != f.code {
		t.Errorf("as text: exit %d, want %d: %s%s", r.code, f.code, r.out, r.err)
	}
	said := strings.ReplaceAll(r.out+r.err, p.dir, "DIR")
	if at != now {
		said = strings.ReplaceAll(said, now, at)
	}
	for _, rec := range findings {
		if at != now && rec.Kind == "metadata" {
			rec.Digest = "" // of what holds the address
		}
		found := false
		for line := range strings.Lines(said) {
			inReport := strings.HasPrefix(line, rec.State+" ") && strings.Contains(line, rec.Name) && strings.Contains(line, rec.Digest) && strings.Contains(line, rec.Place)
			inTalk := strings.HasPrefix(line, "seeder: ") || strings.HasPrefix(line, "bundler: ")
			found = found || (inReport || inTalk) && strings.Contains(masked(line), masked(rec.Reason))
		}
		if !found || !strings.Contains(said, rec.Next) {
			t.Errorf("the text does not say %+v\n%s", rec, said)
		}
	}
}

// masked is a text without digests: keys, and what holds an address, are made anew each time.
func masked(s string) string { return digests.ReplaceAllString(s, "DIGEST") }

var digests = regexp.MustCompile(`sha256:[0-9a-f]{64}`)
