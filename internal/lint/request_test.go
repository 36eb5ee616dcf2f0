package lint

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/report"
)

const wanted = `apiVersion: airbundle/v1
kind: Request
name: r
arches: [x86_64]
images:
  - {source: a/b}
  - {source: "docker.io/c/d:1"}
  - {source: "e:1@sha256:eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"}
  - {source: "missing:1"}
files:
  - {path: "f-{goarch}", url: "https://h/f"}
  - {path: g, url: "https://h/g"}
  - {path: "gone-{arch}", url: "https://h/g"}
charts:
  - {name: c, version: 1.0.0, repo: "https://h"}
  - {name: c, version: 2.0.0, repo: "https://h"}
repos:
  - {id: base, baseurl: "https://h/base"}
packages:
  - {into: os, install: [socat, s.x86_64, "@core", other]}
  - {into: nothing, install: [x]}
`

func TestRequest(t *testing.T) {
	lock := one + "images:\n" + image("docker.io/a/b:latest", dig("a"), on("amd64", dig("a"))) + image("c/d:1@"+dig("c"), dig("c"), on("amd64", dig("c"))) + image("e:1", dig("e"), on("amd64", dig("e"))) +
		"rpms:\n" + pkg("socat", "1-1", "x86_64", "os/x86_64", dig("1")) + pkg("s", "1-1", "x86_64", "os/x86_64", dig("2")) +
		"files:\n" + file("f-amd64", ", arch: x86_64") +
		"charts:\n  - {name: c, version: 1.0.0, urls: [\"https://h/c.tgz\"], size: 1, digest: " + dig("c") + "}\n" +
		"absent:\n  - {path: gone-x86_64, arch: x86_64, why: none}\n"
	gaps := []string{
		"req:9 unpinned image missing:1", "req:12 unpinned file g", "req:16 unpinned chart c 2.0.0",
		"req:20 unpinned rpm other", "req:21 unpinned rpm x",
	}
	slices.Sort(gaps)
	req := &File{"req", []byte(wanted)}
	rep, sum, err := Run(t.Context(), []File{{"l.yaml", []byte(lock)}}, req, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(gaps, findings(rep)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if rep.Code() != 4 || sum.Wishes != 14 || sum.Unpinned != 5 || sum.Findings != 5 {
		t.Errorf("exit code %d, %+v", rep.Code(), *sum)
	}

	accepting := &File{"req", []byte(wanted + "accept:\n  - {finding: unpinned, artifact: other, why: another provides it}\n")}
	rep, sum, err = Run(t.Context(), []File{{"l.yaml", []byte(lock)}}, accepting, Options{})
	if err != nil || len(findings(rep)) != 4 || sum.Accepted != 1 {
		t.Errorf("accepted: %v, %q, %+v", err, findings(rep), *sum)
	}
}

// A request alone is all wishes, which is no finding.
func TestRequestAlone(t *testing.T) {
	rep, sum, err := Run(t.Context(), nil, &File{"req", []byte(wanted)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	states := rep.Counts()
	if rep.Code() != 0 || sum.Unpinned != 14 || states[report.Wanted] != 14 {
		t.Errorf("exit code %d, %+v, %v", rep.Code(), *sum, states)
	}
	rep, _, err = Run(t.Context(), nil, &File{"req", []byte(wanted + "unknown: 1\n")}, Options{})
	if err != nil || rep.Code() != 2 {
		t.Errorf("a malformed request: exit code %d, %v", rep.Code(), err)
	}
}

func TestIsRequest(t *testing.T) {
	for text, want := range map[string]bool{wanted: true, one: false, "kind: \"Request\" # x\r\n": true, " kind: Request": false, "kind: Requests\n": false} {
		if got := IsRequest([]byte(text)); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
