package messages

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"airbundle/internal/bundletest"
	"airbundle/internal/nexustest"
)

// told is all of a finding that must not depend on the order of events.
type told struct {
	Kind, Name, Arch, Digest, Place, State, Reason, Next string
	Class                                                int
}

// damagedBundle is the demo bundle with one byte of one layer changed.
func damagedBundle(t testing.TB) string {
	t.Helper()
	bundle, f := demo(t)
	raw, err := os.ReadFile(bundle)
	if err != nil {
		t.Fatal(err)
	}
	layer := largest(f)
	at := bytes.Index(raw, layer)
	if at < 0 {
		t.Fatal("the layer is not in the archive")
	}
	raw[at+len(layer)/2] ^= 1
	path := filepath.Join(t.TempDir(), "demo.bundle.tar")
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// largest is the largest blob of an image; of several, the first in the order of bytes.
func largest(f *bundletest.Fixture) (layer []byte) {
	for _, raw := range f.Blobs {
		if len(raw) > len(layer) || len(raw) == len(layer) && bytes.Compare(raw, layer) < 0 {
			layer = raw
		}
	}
	return layer
}

// troubled is a server without a helm repository, with a yum repository that takes nothing,
// with other content under the name of a file, and slow in odd places when delayed.
func troubled(t testing.TB, delayed bool) *nexustest.Server {
	t.Helper()
	o := nexustest.Options{Profile: nexustest.H2371, Users: []nexustest.User{{Name: user, Password: password}}, Repositories: []nexustest.Repository{
		{Name: "docker-hosted", Format: "docker"}, {Name: "yum-hosted", Format: "yum", WritePolicy: "DENY"}, {Name: "raw-hosted", Format: "raw"},
	}}
	if delayed {
		o.Faults = []nexustest.Fault{{Name: "slow", On: nexustest.Match{Probability: 0.4}, Do: nexustest.Delay(40 * time.Millisecond)}}
	}
	nx := nexustest.Start(t, o)
	if err := nx.Put("raw-hosted", "etcd/amd64/etcd.tar.gz", []byte("other")); err != nil {
		t.Fatal(err)
	}
	return nx
}

// TestPushAndAuditTellAll: faults of four kinds in one push, and in the audit after it, are
// all told, each with artifact, digest, place and cause, and what to do where the operator can
// mend it, the same whatever the number of jobs and the order of the server's answers.
func TestPushAndAuditTellAll(t *testing.T) {
	bundle := damagedBundle(t)
	var first map[string][]told
	for i, jobs := range []int{8, 1, 2, 8} {
		nx := troubled(t, i == 3)
		p := newProcess(t, secretEnv()...)
		all := map[string][]told{}
		for _, command := range []string{"push", "audit"} {
			args := []string{command, bundle, "--nexus", nx.URL, "--output", "json", "--quiet", "--jobs", fmt.Sprint(jobs)}
			if command == "audit" {
				args = append(args, "--wait", "0")
			}
			r := p.run(t, "seeder", args...)
			all[command] = tellings(t, r, nx.URL)
			p.noLeak(t, r)
		}
		if i == 0 {
			first = all
			holds(t, all["push"])
		}
		if diff := cmp.Diff(first, all, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("with %d jobs, delayed %v: %s", jobs, i == 3, diff)
		}
	}
}

// tellings are the findings of a report, with the server's address taken out.
func tellings(t testing.TB, r result, at string) (out []told) {
	t.Helper()
	var d struct {
		ExitCode int
		Records  []told
	}
	decodeInto(t, strings.ReplaceAll(strings.ReplaceAll(r.out, at, "NEXUS"), strings.TrimPrefix(at, "http://"), "NEXUS"), &d)
	if r.code != d.ExitCode || r.code == 0 {
		t.Errorf("exit %d, in JSON %d: %s", r.code, d.ExitCode, r.err)
	}
	for _, rec := range d.Records {
		if rec.Class != 0 {
			out = append(out, rec)
		}
	}
	return append(out, told{Kind: "exit", Class: r.code})
}

// holds checks that a push told of each of its faults.
func holds(t testing.TB, got []told) {
	t.Helper()
	seen := map[string]int{}
	words := map[string]string{"image": "content hashes to", "rpm": "set it to allow redeploy", "file": "to replace it, use --overwrite", "chart": "create it or name another one"}
	for _, rec := range got[:len(got)-1] {
		seen[rec.Kind]++
		if rec.Name == "" || rec.Digest == "" || !strings.Contains(rec.Place, "-hosted/") || rec.Next == "" || !strings.Contains(rec.Reason+"; "+rec.Next, words[rec.Kind]) {
			t.Errorf("artifact, digest, place, cause or next step is not told: %+v", rec)
		}
	}
	if seen["image"] != 1 || seen["rpm"] != 2 || seen["file"] != 1 || seen["chart"] != 1 {
		t.Errorf("findings by kind: %v\n%+v", seen, got)
	}
	if code := got[len(got)-1].Class; code != 4 {
		t.Errorf("exit %d", code)
	}
}
