package repodata_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

func parseModules(t testing.TB, text string) *catalog.Modules {
	t.Helper()
	m, err := repodata.ParseModules(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// summary names the documents of a modules.yaml.
func summary(t testing.TB, text []byte) (out []string) {
	t.Helper()
	m := parseModules(t, string(text))
	for _, s := range m.Streams {
		out = append(out, s.NSVCA())
	}
	for _, d := range m.Defaults {
		out = append(out, "default "+d.Module+":"+d.Stream)
	}
	for _, o := range m.Obsoletes {
		out = append(out, "obsoletes "+strings.Join(strings.Fields(string(o)), " "))
	}
	return out
}

func obsoletesOf(name, stream string) string {
	return "---\ndocument: modulemd-obsoletes\nversion: 1\ndata: {module: " + name + ", stream: " + stream + ", message: old, modified: 2020-01-01T00:00Z}\n...\n"
}

func TestSliceModules(t *testing.T) {
	requires := func(doc, what string) string {
		return strings.Replace(doc, "requires: {}", "requires: {platform: [el9], "+what+"}", 1)
	}
	base := parseModules(t, strings.Join([]string{
		rpmtest.Module("web", "2", "x86_64", "web-1:2.0-1.x86_64", "web-doc-1:2.0-1.noarch"),
		rpmtest.Module("web", "1", "x86_64", "web-0:1.0-1.x86_64"),
		requires(rpmtest.Module("app", "1.10", "x86_64", "app-0:1.10-1.x86_64", "app-0:1.10-1.src"), "lang: [a, b]"),
		rpmtest.Module("lang", "a", "x86_64", "lang-0:1-1.x86_64"), rpmtest.Module("lang", "b", "x86_64", "lang-0:2-1.x86_64"),
		rpmtest.Module("lang", "b", "aarch64", "lang-0:2-1.aarch64"),
		requires(rpmtest.Module("lang", "c", "x86_64", "lang-0:3-1.x86_64"), "web: []"),
		requires(rpmtest.Module("any", "1", "x86_64", "any-0:1-1.x86_64"), "lang: [-a, -b]"),
		rpmtest.ModuleDefaults("web", "1"), rpmtest.ModuleDefaults("lang", "a"), rpmtest.ModuleDefaults("other", "1"),
		obsoletesOf("web", "2"), obsoletesOf("web", "3"),
	}, ""))
	newer := parseModules(t, rpmtest.Module("web", "2", "x86_64", "web-1:2.0-1.x86_64")+
		strings.Replace(rpmtest.ModuleDefaults("web", "2"), "data:\n", "data:\n  modified: 7\n", 1)+obsoletesOf("web", "2"))
	for _, tt := range []struct {
		name    string
		modules []*catalog.Modules
		nevras  []string
		want    []string
	}{
		{"epoch", []*catalog.Modules{base}, []string{"web-1:2.0-1.x86_64"},
			[]string{"web:2:1:c0ffee:x86_64", "default web:1", "obsoletes --- document: modulemd-obsoletes version: 1 data: {module: web, stream: 2, message: old, modified: 2020-01-01T00:00Z} ..."}},
		{"no epoch means 0", []*catalog.Modules{base}, []string{"web-1.0-1.x86_64"}, []string{"web:1:1:c0ffee:x86_64", "default web:1"}},
		{"another epoch", []*catalog.Modules{base}, []string{"web-2.0-1.x86_64", "web-2:2.0-1.x86_64"}, nil},
		{"another arch", []*catalog.Modules{base}, []string{"web-1.0-1.aarch64"}, nil},
		{"what a stream requires", []*catalog.Modules{base}, []string{"app-1.10-1.x86_64"},
			[]string{"app:1.10:1:c0ffee:x86_64", "lang:a:1:c0ffee:x86_64", "lang:b:1:c0ffee:x86_64", "default lang:a"}},
		{"required and carried", []*catalog.Modules{base}, []string{"app-0:1.10-1.x86_64", "lang-2-1.x86_64"},
			[]string{"app:1.10:1:c0ffee:x86_64", "lang:b:1:c0ffee:x86_64", "default lang:a"}},
		{"all but some, and on", []*catalog.Modules{base}, []string{"any-1-1.x86_64", "web-1:2.0-1.x86_64"},
			[]string{"any:1:1:c0ffee:x86_64", "lang:c:1:c0ffee:x86_64", "web:2:1:c0ffee:x86_64", "default lang:a", "default web:1",
				"obsoletes --- document: modulemd-obsoletes version: 1 data: {module: web, stream: 2, message: old, modified: 2020-01-01T00:00Z} ..."}},
		{"two repositories", []*catalog.Modules{base, newer}, []string{"web-1:2.0-1.x86_64"},
			[]string{"web:2:1:c0ffee:x86_64", "default web:2", "obsoletes --- document: modulemd-obsoletes version: 1 data: {module: web, stream: 2, message: old, modified: 2020-01-01T00:00Z} ..."}},
		{"the other arch", []*catalog.Modules{base}, []string{"lang-2-1.aarch64"}, []string{"lang:b:1:c0ffee:aarch64", "default lang:a"}},
		{"no module", []*catalog.Modules{base}, []string{"bash-5-1.x86_64", "nonsense", "-", "a-b", ""}, nil},
		{"nothing", nil, []string{"web-1.0-1.x86_64"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := repodata.SliceModules(tt.modules, tt.nevras)
			if diff := cmp.Diff(tt.want, summary(t, out)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if (out == nil) != (tt.want == nil) {
				t.Errorf("%d bytes of nothing", len(out))
			}
			again := slices.Clone(tt.nevras)
			slices.Reverse(again)
			if !bytes.Equal(out, repodata.SliceModules(tt.modules, again)) {
				t.Error("another order of packages gives another slice")
			}
			if err := repodata.CheckSlice("modules", bytes.NewReader(out)); (err == nil) != (out != nil) {
				t.Error(err)
			}
		})
	}
}

// TestSliceModulesKeepsDocuments: each is as it was, whatever stands before and behind it.
func TestSliceModulesKeepsDocuments(t *testing.T) {
	doc := strings.TrimSuffix(strings.TrimPrefix(rpmtest.Module("web", "1", "x86_64", "web-0:1.0-1.x86_64"), "---\n"), "...\n")
	for in, want := range map[string]string{
		doc:                               "---\n" + doc + "...\n",
		"---\n" + doc:                     "---\n" + doc + "...\n",
		doc + "...":                       "---\n" + doc + "...\n",
		"# hi\n---\n" + doc + "... \n":    "# hi\n---\n" + doc + "... \n",
		"%YAML 1.1\n---\n" + doc + "\n\n": "%YAML 1.1\n---\n" + doc + "...\n",
	} {
		got := repodata.SliceModules([]*catalog.Modules{parseModules(t, in)}, []string{"web-1.0-1.x86_64"})
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%.30q (-want +got):\n%s", in, diff)
		}
	}
}

// TestSliceRealModules slices the modules of a distribution.
func TestSliceRealModules(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "cs9-appstream", "repodata")
	names, err := filepath.Glob(filepath.Join(dir, "*modules.yaml.xz"))
	if err != nil || len(names) != 1 {
		t.Fatal(names, err)
	}
	f, err := os.Open(names[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := repodata.ParseModules(f)
	if err != nil {
		t.Fatal(err)
	}
	var nevras []string
	for i, s := range m.Streams {
		if s.Name == "nodejs" {
			nevras = append(nevras, s.Artifacts[0])
		}
		one := repodata.SliceModules([]*catalog.Modules{m}, m.Streams[i].Artifacts[:1])
		if got := summary(t, one); !slices.Contains(got, s.NSVCA()) {
			t.Errorf("the slice for %s has %q", s.Artifacts[0], got)
		}
	}
	out := repodata.SliceModules([]*catalog.Modules{m}, nevras)
	for _, line := range summary(t, out) {
		if !strings.HasPrefix(line, "nodejs:") && !strings.Contains(line, " nodejs") {
			t.Errorf("nodejs alone gives %s", line)
		}
	}
	if err := repodata.CheckSlice("modules", bytes.NewReader(out)); err != nil || len(nevras) == 0 {
		t.Errorf("%d packages: %v", len(nevras), err)
	}
}
