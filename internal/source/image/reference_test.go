package image

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/report"
)

func TestParseReference(t *testing.T) {
	dgst := "sha256:" + strings.Repeat("ab", 32)
	for _, tt := range []struct {
		source, want, err string
	}{
		{source: "busybox", want: "docker.io/library/busybox:latest"},
		{source: "busybox:1.36", want: "docker.io/library/busybox:1.36"},
		{source: "docker.io/busybox", want: "docker.io/library/busybox:latest"},
		{source: "index.docker.io/library/busybox:1", want: "docker.io/library/busybox:1"},
		{source: "calico/node:v3.27.0", want: "docker.io/calico/node:v3.27.0"},
		{source: "registry.k8s.io/kube-apiserver:v1.20.12", want: "registry.k8s.io/kube-apiserver:v1.20.12"},
		{source: "localhost/a", want: "localhost/a:latest"},
		{source: "host:5000/a/b@" + dgst, want: "host:5000/a/b@" + dgst},
		{source: "host:5000/a/b:v1@" + dgst, want: "host:5000/a/b:v1@" + dgst},
		{source: "[::1]:5000/a", want: "[::1]:5000/a:latest"},
		{source: "", err: "invalid reference"},
		{source: "Busybox", err: "lowercase"},
		{source: "host/../../etc:v1", err: "invalid reference"},
		{source: "host:5000/a//b", err: "invalid reference"},
		{source: "host:5000/a:", err: "invalid reference"},
		{source: "host:5000/a@sha256:abcd", err: "invalid"},
		{source: "https://joe:secret@host/a:v1", err: "image https://host/a:v1: a reference has no scheme"},
		{source: "joe:secret@host/a:v1", err: "image host/a:v1: not a reference"},
		{source: "joe:Secret@host.io/a:v1?x=secret", err: "image host.io/a:v1?x=REDACTED: not a reference"},
		{source: "host.io/A?token=secret", err: "image host.io/A?token=REDACTED: not a reference"},
		{source: "host.io/a%zz?token=secret", err: "not a reference"},
		{source: "busybox@sha256:abcd", err: "image busybox@sha256:abcd: "},
	} {
		got, err := parseReference(tt.source)
		if tt.err != "" {
			wantError(t, err, tt.err)
			if c := report.Classify(err); c != report.ClassUsage {
				t.Errorf("%q: class %d, want %d", tt.source, c, report.ClassUsage)
			}
			if strings.Contains(strings.ToLower(err.Error()), "secret") {
				t.Errorf("error shows a password: %v", err)
			}
		} else if err != nil || got.String() != tt.want {
			t.Errorf("parseReference(%q) = %q, %v; want %q", tt.source, got, err, tt.want)
		}
	}
}

func TestCutLocal(t *testing.T) {
	for source, want := range map[string]bool{
		"oci-layout:d": true, "oci-archive:f.tar:v1": true, "docker-archive:f.tar": true,
		"busybox": false, "oci-archive": false, "host/oci-layout:v1": false, "oci:dir": false,
	} {
		if _, _, got := cutLocal(source); got != want {
			t.Errorf("cutLocal(%q) = %t", source, got)
		}
	}
}

func TestSplitPath(t *testing.T) {
	type parts struct{ Path, Ref string }
	for rest, want := range map[string]parts{
		"images":             {"/dir/images", ""},
		"a/b.tar:v1":         {"/dir/a/b.tar", "v1"},
		"/abs/b.tar:q.io/x:": {"/abs/b.tar", "q.io/x:"},
		"../b.tar:h:5000/x":  {"/b.tar", "h:5000/x"},
	} {
		path, ref, err := splitPath("/dir", rest)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, parts{filepath.ToSlash(path), ref}); diff != "" {
			t.Errorf("%q: %s", rest, diff)
		}
	}
	_, err := New(Options{}).Resolve(t.Context(), "oci-layout::v1")
	wantError(t, err, "oci-layout::v1", "names no path")
}
