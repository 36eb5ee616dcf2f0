package helm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
	"airbundle/internal/helm"
)

func TestParseIndex(t *testing.T) {
	x, err := helm.ParseIndex([]byte(`apiVersion: v1
entries:
  nginx:
  - {apiVersion: v2, name: nginx, version: 1.2.3, urls: [a.tgz, https://h/b.tgz], digest: ` + strings.Repeat("ab", 32) + `, created: 2026-01-01T00:00:00Z}
  - {name: nginx, version: v1.2.2}
  - {name: other, version: 1.0.0}
  broken: {a: b}
  empty: []
`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := x.Find("nginx", "1.2.3")
	want := helm.Version{Name: "nginx", Version: "1.2.3", URLs: []string{"a.tgz", "https://h/b.tgz"}, Digest: strings.Repeat("ab", 32)}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if d, err := got.SHA256(); err != nil || d != digest.Digest("sha256:"+strings.Repeat("ab", 32)) {
		t.Errorf("digest %s, %v", d, err)
	}
	for _, c := range []struct{ name, version, text string }{
		{"nginx", "1.2.2", "but v1.2.2: write it so"},
		{"nginx", "v1.2.3", "but 1.2.3: write it so"},
		{"nginx", "1.0.0", `lists "other" under the name nginx`},
		{"nginx", "9.9.9", `no version 9.9.9 of nginx, but ["1.2.3" "v1.2.2" "1.0.0"]`},
		{"ngin", "1", `no chart ngin, but ["nginx"]`},
		{"mysql", "1", "no chart mysql"},
		{"broken", "1", `entry of "broken"`},
		{"empty", "1", "no version 1 of empty"},
	} {
		_, err := x.Find(c.name, c.version)
		if _, ok := errors.AsType[*helm.FormatError](err); !ok || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s %s: %v", c.name, c.version, err)
		}
	}
	if _, err := helm.ParseIndex(make([]byte, helm.MaxIndex+1)); err == nil {
		t.Error("an index above the bound was read")
	}
}

func TestWriteIndex(t *testing.T) {
	var buf bytes.Buffer
	d := digest.FromString("x")
	err := helm.WriteIndex(&buf, []helm.Carried{
		{Metadata: &helm.Metadata{APIVersion: "v2", Name: "b", Version: "1.0.0", AppVersion: "1.10", Annotations: map[string]string{"z": "1", "a": "true"}}, URL: "b-1.0.0.tgz", Digest: d},
		{Metadata: &helm.Metadata{Name: "a", Version: "2.0.0"}, URL: "a-2.0.0.tgz", Digest: d},
	})
	want := `apiVersion: v1
entries:
  a:
    - name: a
      version: 2.0.0
      created: "1970-01-01T00:00:00Z"
      digest: ` + d.Encoded() + `
      urls:
        - a-2.0.0.tgz
  b:
    - apiVersion: v2
      name: b
      version: 1.0.0
      appVersion: "1.10"
      annotations:
        a: "true"
        z: "1"
      created: "1970-01-01T00:00:00Z"
      digest: ` + d.Encoded() + `
      urls:
        - b-1.0.0.tgz
generated: "1970-01-01T00:00:00Z"
`
	if diff := cmp.Diff(want, buf.String()); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	x, err := helm.ParseIndex(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if v, err := x.Find("b", "1.0.0"); err != nil || v.URLs[0] != "b-1.0.0.tgz" {
		t.Errorf("%+v, %v", v, err)
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte("entries: {nginx: [{name: nginx, version: 1.2.3, urls: [a], digest: ab}]}"), "nginx", "1.2.3")
	f.Add([]byte("entries: {a: &a [*a]}"), "a", "1")
	f.Add([]byte("entries: {a: 1, 1: a}"), "1", "")
	fuzztest.Run(f, func(t *testing.T, b []byte, name, version string) {
		x, err := helm.ParseIndex(b)
		if err != nil {
			return
		}
		v, err := x.Find(name, version)
		if _, ok := errors.AsType[*helm.FormatError](err); err != nil && !ok {
			t.Fatalf("%T %v", err, err)
		}
		if err == nil && v.Version != version {
			t.Fatalf("asked for %q, got %+v", version, v)
		}
	})
}
