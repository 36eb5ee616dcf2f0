package messages

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/bundletest"
	"airbundle/test/origin"
)

// A record is one of the JSON form of a report.
type record struct{ Kind, Name, Digest, State, Reason string }

type document struct {
	Command  string
	Root     string
	ExitCode int
	Unlisted int
	Records  []record
}

func decode(t testing.TB, out string) document {
	t.Helper()
	var d document
	decodeInto(t, out, &d)
	return d
}

func decodeInto(t testing.TB, out string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), v); err != nil {
		t.Fatalf("%v: %q", err, out)
	}
}

// TestBuildTellsAll: a build of four artifacts, bad in different ways, names each of them
// with digest, place and cause, the same in text and in JSON, whatever the number of jobs
// and processors.
func TestBuildTellsAll(t *testing.T) {
	f := bundletest.New(t)
	f.AddChart(t, "nginx", "1.2.3")
	spoil := func(url string, how func([]byte) []byte) { f.URLs[url] = how(f.URLs[url]) }
	flip := func(b []byte) []byte { b[len(b)/2] ^= 1; return b }
	spoil(f.Lock.RPMs[0].URLs[0], flip)
	spoil(f.Lock.RPMs[1].URLs[0], func(b []byte) []byte { return b[:len(b)-1] })
	spoil(f.Lock.Files[0].URLs[0], func(b []byte) []byte { return append(b, 0) })
	want := map[string]string{ // part of the name: part of the cause
		filepath.Base(f.Lock.RPMs[0].Path()): "content hashes to", filepath.Base(f.Lock.RPMs[1].Path()): "", f.Lock.Files[0].Path: "", f.Lock.Files[1].Path: "404",
	}
	o := origin.Start(t, f, origin.Options{})
	for i := range o.Lock.Files {
		if o.Lock.Files[i].Path == f.Lock.Files[1].Path {
			o.Lock.Files[i].URLs = []string{o.URL + "/gone"}
		}
	}
	raw, err := o.Lock.Encode()
	if err != nil {
		t.Fatal(err)
	}
	lock := filepath.Join(t.TempDir(), "demo.lock.yaml")
	if err := os.WriteFile(lock, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	kinds := map[string]bool{"image": true, "rpm": true, "file": true, "chart": true}
	var first document
	for i, jobs := range []int{1, 2, 8, 16, 8, 16} {
		p := newProcess(t, fmt.Sprintf("GOMAXPROCS=%d", 1+i%2))
		r := p.run(t, "bundler", "build", lock, "-o", "x.bundle.tar", "--plain-http", o.Host, "--output", "json", "--quiet", "--jobs", fmt.Sprint(jobs))
		got := decode(t, r.out)
		if r.code != 4 || got.ExitCode != 4 || got.Command != "build" || len(got.Records) != len(want) {
			t.Fatalf("%d jobs: exit %d, %s%s", jobs, r.code, r.out, r.err)
		}
		for _, rec := range got.Records {
			if !kinds[rec.Kind] || rec.Name == "" || rec.State != "failed" || !strings.HasPrefix(rec.Digest, "sha256:") || !strings.Contains(rec.Reason, o.URL) {
				t.Errorf("digest or place is not told: %+v", rec)
			}
			if !strings.Contains(r.err, "bundler: "+rec.Reason+"\n") {
				t.Errorf("text and JSON differ: %q is not in %s", rec.Reason, r.err)
			}
		}
		for name, cause := range want {
			if !strings.Contains(r.err, name) || !strings.Contains(r.err, cause) {
				t.Errorf("%s: %s is not told: %s", name, cause, r.err)
			}
		}
		if i == 0 {
			first = got
		}
		if diff := cmp.Diff(first, got); diff != "" {
			t.Errorf("with %d jobs: %s", jobs, diff)
		}
	}
}
