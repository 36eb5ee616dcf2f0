// Package layers holds the architecture as a test: every package has a layer, imports
// point to strictly lower layers, use cases do not know adapters, and doubles are
// imported by tests only.
package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// layer says where each package stands; CONTRIBUTING.md has the picture. A package that
// is not here fails the test.
var layer = map[string]int{
	"manifest": 0, "targets": 0, "internal/credential": 0, "internal/digestio": 0, "internal/progress": 0, "internal/atomicfile": 0, "internal/httpx": 0, "internal/regular": 0, "internal/workers": 0,

	"internal/lockfile": 1, "internal/helm": 1, "internal/fetch": 1, "internal/rpm": 1, "internal/rpm/catalog": 1, "internal/rpm/xmlscan": 1, "internal/archive": 1, "internal/report": 1, "internal/registry": 1, "internal/target": 1, "internal/receipt": 1, "internal/signature": 1, "internal/rollback": 1,

	"internal/plan": 2, "internal/rpm/repodata": 2, "internal/rpm/createrepo": 2, "internal/rpm/yumconf": 2, "internal/rpm/depsolve": 2, "internal/nexus": 2,
	"internal/source/image": 2, "internal/source/web": 2, "internal/source/yum": 2, "internal/source/chart": 2,
	"internal/interchange": 2,

	"internal/lock": 3, "internal/build": 3, "internal/lint": 3,
	"internal/preflight": 3, "internal/verify": 3, "internal/push": 3, "internal/audit": 3, "internal/serve": 3, "internal/probe": 3,

	"internal/cli":         4,
	"internal/cli/bundler": 5, "internal/cli/seeder": 5,
	"cmd/bundler": 6, "cmd/seeder": 6,
}

// useCases must not import adapters, whatever the layers allow.
var (
	useCases = []string{"internal/lock", "internal/build", "internal/lint", "internal/preflight", "internal/verify", "internal/push", "internal/audit", "internal/serve", "internal/probe"}
	adapters = []string{"internal/source/image", "internal/source/web", "internal/source/yum", "internal/source/chart", "internal/registry", "internal/nexus"}
)

// forTests are doubles, fixtures and programs beside the product: what they import is
// free, and nothing of the product may import them.
var forTests = []string{"internal/nexustest", "internal/registrytest", "internal/rpmtest", "internal/helmtest", "internal/bundletest", "internal/fuzztest", "test/", "examples/"}

type pkg struct {
	ImportPath, Doc, Name string
	Imports               []string
}

const module = "airbundle/"

func list(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Doc,Name,Imports", "airbundle/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		p.ImportPath = strings.TrimPrefix(p.ImportPath, module)
		all = append(all, p)
	}
}

func beside(path string) bool {
	return slices.ContainsFunc(forTests, func(prefix string) bool { return path == prefix || strings.HasPrefix(path, prefix) })
}

// judge returns what is wrong with one import.
func judge(from, to string) error {
	lf, okf := layer[from]
	lt, okt := layer[to]
	switch {
	case beside(from):
		return nil
	case beside(to):
		return fmt.Errorf("%s imports %s, which is for tests", from, to)
	case !okf || !okt:
		return fmt.Errorf("%s or %s has no layer", from, to)
	case lf <= lt:
		return fmt.Errorf("%s (layer %d) imports %s (layer %d)", from, lf, to, lt)
	case slices.Contains(useCases, from) && slices.Contains(adapters, to):
		return fmt.Errorf("the use case %s imports the adapter %s", from, to)
	}
	return nil
}

func TestImportsPointDown(t *testing.T) {
	seen := 0
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			to, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			seen++
			if err := judge(p.ImportPath, to); err != nil {
				t.Error(err)
			}
		}
	}
	if seen < len(layer) {
		t.Errorf("only %d imports seen: go list did not show the module", seen)
	}
}

func TestEveryPackageHasLayerAndDoc(t *testing.T) {
	for _, p := range list(t) {
		if _, ok := layer[p.ImportPath]; !ok && !beside(p.ImportPath) {
			t.Errorf("%s has no layer", p.ImportPath)
		}
		if p.Doc == "" && !strings.HasPrefix(p.ImportPath, "test/layers") {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// The table of CONTRIBUTING.md shows the same layers.
func TestPictureIsTrue(t *testing.T) {
	text, err := os.ReadFile("../../CONTRIBUTING.md")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]int{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([0-9]) \| (`+"`"+`[^|]*) \|`).FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[2], -1) {
			path := name[1]
			if top, _, _ := strings.Cut(path, "/"); !slices.Contains([]string{"manifest", "targets", "cmd"}, top) {
				path = "internal/" + path
			}
			shown[path] = int(row[1][0] - '0')
		}
	}
	if !maps.Equal(shown, layer) {
		for path := range layer {
			if n, ok := shown[path]; !ok || n != layer[path] {
				t.Errorf("CONTRIBUTING.md does not show %s in layer %d", path, layer[path])
			}
			delete(shown, path)
		}
		t.Errorf("CONTRIBUTING.md shows beside them %v", shown)
	}
}

// TestBorders keeps libraries where they belong.
func TestBorders(t *testing.T) {
	only := map[string][]string{
		"github.com/google/go-containerregistry": {"internal/source/image"},
		"helm.sh/helm":                           {"internal/source/chart"},
		"github.com/spf13/cobra":                 {"internal/cli", "internal/cli/bundler", "internal/cli/seeder"},
		"github.com/schollz/progressbar":         {"internal/cli"},
		"github.com/sassoftware/go-rpmutils":     {"internal/rpm"},
		"github.com/google/rpmpack":              {"internal/probe"},
		"github.com/compose-spec/compose-go":     {"internal/interchange"},
		"github.com/CycloneDX/cyclonedx-go":      {"internal/interchange"},
	}
	for _, p := range list(t) {
		for _, imp := range p.Imports {
			for lib, homes := range only {
				if strings.HasPrefix(imp, lib) && !slices.Contains(homes, p.ImportPath) && !beside(p.ImportPath) {
					t.Errorf("%s imports %s; only %s may", p.ImportPath, imp, strings.Join(homes, ", "))
				}
			}
		}
	}
}

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		from, to string
		ok       bool
	}{
		{"internal/build", "internal/plan", true},
		{"internal/plan", "internal/build", false},
		{"internal/push", "internal/registry", false},
		{"internal/verify", "internal/push", false},
		{"internal/archive", "internal/nexustest", false},
		{"internal/archive", "internal/unheard", false},
		{"examples/quickstart", "internal/rpmtest", true},
	} {
		if err := judge(c.from, c.to); (err == nil) != c.ok {
			t.Errorf("judge(%s, %s) = %v", c.from, c.to, err)
		}
	}
}
