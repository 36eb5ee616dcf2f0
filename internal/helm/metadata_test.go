package helm_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/helm"
	"airbundle/internal/helmtest"
)

func TestReadMetadata(t *testing.T) {
	archive := helmtest.Chart(t, "nginx", "1.2.3", map[string]string{
		"Chart.yaml": `apiVersion: v2
name: nginx
version: 1.2.3
appVersion: 1.25
kubeVersion: ">=1.20"
description: A web server
type: application
keywords: [web]
home: https://h
sources: [https://s]
dependencies: [{name: common, version: 2.x, repository: "oci://r/c", condition: a.b, tags: [t], alias: c}]
maintainers: [{name: N, email: n@h, url: https://n}]
icon: https://i
deprecated: true
annotations: {category: Web, n: "1"}
unknown: field
`,
		"charts/common/Chart.yaml": "name: common\nversion: 2.0.0\n",
		"templates/a.yaml":         "{{ .Values.x }}",
	})
	want := &helm.Metadata{
		APIVersion: "v2", Name: "nginx", Version: "1.2.3", AppVersion: "1.25", KubeVersion: ">=1.20", Description: "A web server", Type: "application",
		Keywords: []string{"web"}, Home: "https://h", Sources: []string{"https://s"}, Icon: "https://i", Deprecated: true,
		Dependencies: []helm.Dependency{{Name: "common", Version: "2.x", Repository: "oci://r/c", Condition: "a.b", Tags: []string{"t"}, Alias: "c"}},
		Maintainers:  []helm.Maintainer{{Name: "N", Email: "n@h", URL: "https://n"}}, Annotations: map[string]string{"category": "Web", "n": "1"},
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"whole": func(r io.Reader) io.Reader { return r }, "bytes": iotest.OneByteReader, "eof": iotest.DataErrReader,
	} {
		got, err := helm.ReadMetadata(wrap(bytes.NewReader(archive)))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
	broken := errors.New("line cut")
	for n := range len(archive) {
		_, err := helm.ReadMetadata(io.MultiReader(bytes.NewReader(archive[:n]), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) {
			t.Fatalf("broken after %d bytes: %v", n, err)
		}
		_, err = helm.ReadMetadata(bytes.NewReader(archive[:n]))
		if _, ok := errors.AsType[*helm.FormatError](err); !ok || errors.Is(err, io.EOF) {
			t.Fatalf("cut after %d bytes: %v", n, err)
		}
	}
}

const chartYAML = "name: n\nversion: 1.0.0\n"

func TestArchiveRefusals(t *testing.T) {
	big := strings.Repeat("0", helm.MaxFile+1)
	full := make([]helmtest.Entry, 0, 22)
	for i := range 21 {
		full = append(full, helmtest.Entry{Name: "n/f" + strings.Repeat("x", i), Content: big[:helm.MaxFile]})
	}
	many := make([]helmtest.Entry, 20_001)
	for i := range many {
		many[i] = helmtest.Entry{Name: "n/d/", Type: tar.TypeDir}
	}
	for name, c := range map[string]struct {
		entries []helmtest.Entry
		text    string
	}{
		"no Chart.yaml":     {[]helmtest.Entry{{Name: "n/values.yaml"}}, "no Chart.yaml"},
		"below a subchart":  {[]helmtest.Entry{{Name: "n/charts/a/Chart.yaml", Content: chartYAML}}, "no Chart.yaml"},
		"in no directory":   {[]helmtest.Entry{{Name: "Chart.yaml", Content: chartYAML}}, "lies in no directory"},
		"two":               {[]helmtest.Entry{{Name: "n/Chart.yaml", Content: chartYAML}, {Name: "m/Chart.yaml", Content: chartYAML}}, "two Chart.yaml"},
		"up":                {[]helmtest.Entry{{Name: "../n/Chart.yaml", Content: chartYAML}}, "does not stay inside"},
		"up from inside":    {[]helmtest.Entry{{Name: "n/../../Chart.yaml", Content: chartYAML}}, "does not stay inside"},
		"rooted":            {[]helmtest.Entry{{Name: "/n/Chart.yaml", Content: chartYAML}}, "does not stay inside"},
		"backslash":         {[]helmtest.Entry{{Name: `n\..\Chart.yaml`, Content: chartYAML}}, "does not stay inside"},
		"symlink":           {[]helmtest.Entry{{Name: "n/values.yaml", Type: tar.TypeSymlink, Link: "/etc/passwd"}}, "a link"},
		"hard link":         {[]helmtest.Entry{{Name: "n/values.yaml", Type: tar.TypeLink, Link: "n/Chart.yaml"}}, "a link"},
		"device":            {[]helmtest.Entry{{Name: "n/null", Type: tar.TypeChar}}, "special file"},
		"large file":        {[]helmtest.Entry{{Name: "n/f", Content: big}}, "more than the 5242880"},
		"large chart":       {full, "unpacks to more than"},
		"many entries":      {many, "more than 20000 entries"},
		"no version":        {[]helmtest.Entry{{Name: "n/Chart.yaml", Content: "name: n"}}, "no name or no version"},
		"no YAML":           {[]helmtest.Entry{{Name: "n/Chart.yaml", Content: "{"}}, "Chart.yaml: yaml"},
		"of another form":   {[]helmtest.Entry{{Name: "n/Chart.yaml", Content: "[a]"}}, "Chart.yaml: yaml"},
		"YAML that unfolds": {[]helmtest.Entry{{Name: "n/Chart.yaml", Content: bomb()}}, "Chart.yaml: yaml"},
	} {
		_, err := helm.ReadMetadata(bytes.NewReader(helmtest.Archive(t, c.entries...)))
		fe, ok := errors.AsType[*helm.FormatError](err)
		if !ok || fe.ExitCode() != 4 || !strings.Contains(err.Error(), c.text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := helm.ReadMetadata(strings.NewReader("<html>")); err == nil || !strings.Contains(err.Error(), "no gzipped tar") {
		t.Errorf("a web page: %v", err)
	}
}

// bomb is YAML whose aliases stand for 10^9 words.
func bomb() string {
	s := "a: &a [x,x,x,x,x,x,x,x,x,x]\n"
	for c := 'b'; c < 'j'; c++ {
		s += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+",", 10) + "]\n"
	}
	return s + "name: n\nversion: *i\nkeywords: *i\n"
}

// A tar that goes on behind its end must not be read forever.
func TestEndlessTail(t *testing.T) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	plain, err := gzip.NewReader(bytes.NewReader(helmtest.Chart(t, "n", "1.0.0", nil)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(z, plain); err != nil {
		t.Fatal(err)
	}
	zero := make([]byte, 1<<20)
	for range 101 {
		z.Write(zero)
	}
	z.Close()
	if _, err := helm.ReadMetadata(&buf); err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("%v", err)
	}
}

func TestCheck(t *testing.T) {
	archive := helmtest.Chart(t, "nginx", "1.2.3", nil)
	for _, c := range []struct {
		name, version string
		ok            bool
	}{{"nginx", "1.2.3", true}, {"nginx", "v1.2.3", false}, {"nginx", "1.2.4", false}, {"Nginx", "1.2.3", false}} {
		if err := helm.Check(bytes.NewReader(archive), c.name, c.version); (err == nil) != c.ok {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if got := helm.Tag("1.2.3+a.b"); got != "1.2.3_a.b" {
		t.Errorf("tag %s", got)
	}
}

func FuzzReadMetadata(f *testing.F) {
	f.Add(helmtest.Chart(f, "nginx", "1.2.3", map[string]string{"values.yaml": "a: 1"}))
	f.Add(helmtest.Archive(f, helmtest.Entry{Name: "n/l", Type: tar.TypeSymlink, Link: "x"}))
	f.Add([]byte("\x1f\x8b"))
	fuzztest.Run(f, func(t *testing.T, b []byte) {
		m, err := helm.ReadMetadata(bytes.NewReader(b))
		if _, ok := errors.AsType[*helm.FormatError](err); err != nil && !ok {
			t.Fatalf("%T %v", err, err)
		}
		if err == nil && (m.Name == "" || m.Version == "") {
			t.Fatalf("%+v", m)
		}
	})
}
