package repodata_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// moduleDocuments are documents of all kinds, as a stream has them.
var moduleDocuments = []string{
	`# a comment before all
---
document: modulemd-defaults
version: 1
data:
  module: tool
  stream: 1.10
  modified: 202001010000
  profiles:
    1.10: [default, minimal]
    2: []
...
`, `--- # a comment behind the mark
document: modulemd
version: 2
data:
  name: tool
  stream: 1.10
  version: 920240126110506
  context: 00001234
  static_context: true
  arch: x86_64
  summary: >-
    A tool
    --- with dashes
  xmd: {mbs: {stream: no}}
  dependencies:
  - buildrequires: {platform: [el9]}
    requires: {platform: [el9], perl: [5.30, -5.26], "ruby": []}
  - buildrequires: {platform: [el8]}
  profiles:
    default: {description: text, rpms: [tool, 123]}
    empty: {}
  api: {rpms: [tool]}
  artifacts:
    rpms:
    - tool-0:1.10-1.el9.x86_64
    - tool-0:1.10-1.el9.src
  demodularized: {rpms: [oldtool]}
`, `---
document: modulemd-packager
version: 3
data: {name: tool}
`, `---
document: modulemd-translations
version: 1
data: {module: tool}
`, "---\r\ndocument: modulemd-obsoletes\r\nversion: 1\r\ndata:\r\n  module: tool\r\n", `---
document: modulemd
version: 1
data:
  name: old
  stream: f27
  version: 7
  dependencies:
    buildrequires: {platform: f27}
    requires: {platform: f27, perl: 5.26}
`, `---
document: modulemd
version: 99
data: [of another time]
`, "---\n", "---\n...\n", "# nothing\n",
}

func TestParseModules(t *testing.T) {
	got, err := repodata.ParseModules(strings.NewReader(strings.Join(moduleDocuments, "")))
	if err != nil {
		t.Fatal(err)
	}
	want := &catalog.Modules{
		Streams: []catalog.Module{{
			Name: "tool", Stream: "1.10", Version: "920240126110506", Context: "00001234", StaticContext: true, Arch: "x86_64",
			Requires:  []map[string][]string{{"platform": {"el9"}, "perl": {"5.30", "-5.26"}, "ruby": {}}, {}},
			Artifacts: []string{"tool-0:1.10-1.el9.x86_64", "tool-0:1.10-1.el9.src"}, Profiles: map[string][]string{"default": {"tool", "123"}, "empty": nil},
			Demodularized: []string{"oldtool"}, Raw: []byte(moduleDocuments[1]),
		}, {
			Name: "old", Stream: "f27", Version: "7", Requires: []map[string][]string{{"platform": {"f27"}, "perl": {"5.26"}}},
			Profiles: map[string][]string{}, Raw: []byte(moduleDocuments[5]),
		}},
		Defaults: []catalog.ModuleDefaults{{
			Module: "tool", Stream: "1.10", Modified: 202001010000,
			Profiles: map[string][]string{"1.10": {"default", "minimal"}, "2": {}}, Raw: []byte(moduleDocuments[0]),
		}},
		Obsoletes: [][]byte{[]byte(moduleDocuments[4])},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := got.Streams[0].NSVCA(); got != "tool:1.10:920240126110506:00001234:x86_64" {
		t.Error(got)
	}
	for name, data := range packed(t, moduleDocuments[1]) {
		if got, err := repodata.ParseModules(bytes.NewReader(data)); err != nil || len(got.Streams) != 1 {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "no mark": "document: modulemd-defaults\nversion: 1\ndata: {module: a}", "a directive": "%YAML 1.1\n---\ndocument: x\n"} {
		if _, err := repodata.ParseModules(strings.NewReader(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseModulesRefuses(t *testing.T) {
	module := func(data string) string { return "---\n# one\n---\ndocument: modulemd\nversion: 2\ndata: " + data }
	bomb := "---\na: &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'z'; c++ {
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+string(c-1)+", ", 9) + "]\n"
	}
	for _, tt := range []struct{ name, text, want string }{
		{"no name", module("{stream: 1, version: 1}"), "document in line 3: a module without name or stream"},
		{"no stream", module("{name: a, version: 1}"), "a module without name or stream"},
		{"no version", module("{name: a, stream: 1}"), `version "" of module a is not a number`},
		{"version of letters", module("{name: a, stream: 1, version: one}"), `version "one" of module a`},
		{"no data", "document: modulemd\nversion: 2\n", "without name or stream"},
		{"data of another kind", module("[a]"), "document in line 3: yaml: "},
		{"list for a map", module("{name: a, stream: 1, version: 1, profiles: [a]}"), "yaml: "},
		{"map for a text", module("{name: {a: b}, stream: 1, version: 1}"), "yaml: "},
		{"key twice", module("{name: a, name: b, stream: 1, version: 1}"), "already defined"},
		{"defaults without a module", "document: modulemd-defaults\nversion: 1\ndata: {stream: a}", "defaults without a module"},
		{"modified of letters", "document: modulemd-defaults\nversion: 1\ndata: {module: a, modified: now}", "yaml: "},
		{"a text", "hello", "yaml: "},
		{"XML", "<html><body>", "yaml: "},
		{"no kind", "a: b", "it does not say which kind"},
		{"cut", module("{name: a, stream"), "yaml: "},
		{"aliases", bomb, "an anchor or an alias"},
		{"alias of itself", "a: &a [*a]", ""},
		{"long", "---\na: " + strings.Repeat("b", 1<<20), "more than the 1048576 bytes"},
		{"many", strings.Repeat("---\na: b\ndocument: x\n", 20_001), "line 60001: more than the 20000 documents"},
		{"deep", "---\na: " + strings.Repeat("[", 500_000), "yaml: "},
		{"not UTF-8", "---\na: \xff\xfe\n", "yaml: "},
	} {
		got, err := repodata.ParseModules(strings.NewReader(tt.text))
		if m, ok := errors.AsType[*repodata.MalformedError](err); !ok || got != nil || m.Path != "modules" || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, %v; want %q", tt.name, got, err, tt.want)
		}
	}
}

// TestParseModulesSamples reads real documents, and finds all of the text in what it keeps.
func TestParseModulesSamples(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm")
	for pattern, want := range map[string][3]int{
		"cs9-appstream/repodata/*-modules.yaml.xz":                                               {31, 8, 0},
		"rpms/pulp-modular/modules.yaml":                                                         {11, 4, 6},
		"repodata-samples/createrepo_c/repo_03/repodata/*-modules.yaml.xz":                       {1, 1, 0},
		"repodata-samples/createrepo_c/repo_with_additional_metadata/repodata/*-modules.yaml.gz": {64, 17, 0},
	} {
		paths, err := filepath.Glob(filepath.Join(dir, filepath.FromSlash(pattern)))
		if err != nil || len(paths) != 1 {
			t.Fatalf("%s: %q, %v", pattern, paths, err)
		}
		data, err := os.ReadFile(paths[0])
		if err != nil {
			t.Fatal(err)
		}
		m, err := repodata.ParseModules(bytes.NewReader(data))
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		if got := [3]int{len(m.Streams), len(m.Defaults), len(m.Obsoletes)}; got != want {
			t.Errorf("%s: %v, want %v", pattern, got, want)
		}
		for _, s := range m.Streams {
			again, err := repodata.ParseModules(bytes.NewReader(s.Raw))
			if err != nil || !reflect.DeepEqual(again, &catalog.Modules{Streams: []catalog.Module{s}}) {
				t.Errorf("%s alone: %+v, %v", s.NSVCA(), again, err)
			}
			if s.Context == "" || s.Arch == "" || len(s.Requires) == 0 {
				t.Errorf("%s: %+v", s.NSVCA(), s)
			}
		}
	}
}
