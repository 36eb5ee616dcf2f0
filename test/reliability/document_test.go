package reliability

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const root = "../.."

// groups are the rows that the document must have: each group is numbered from 1.
var groups = []struct {
	name string
	rows int
}{{"N", 29}, {"P", 19}, {"A", 41}, {"M", 7}, {"T", 17}, {"S", 18}, {"V", 8}, {"H", 5}}

var (
	rowLine = regexp.MustCompile(`^\| ([A-Z][0-9]{2}) \|`)
	quoted  = regexp.MustCompile("`([^`]+)`")
	link    = regexp.MustCompile(`\[([^\]]+)\]\(operations\.md#what-is-not-covered\)`)
	suite   = regexp.MustCompile("(?m)^\\| `(test/[a-z]+)` \\|")
)

// TestRows holds every row of the document to what there is: no row is missing, each names
// tests that exist or leads to a sentence that exists, and says what came out.
func TestRows(t *testing.T) {
	rows := map[string]int{}
	reasons := notCovered(t)
	led := map[string]bool{}
	src := &sources{packages: map[string]*tests{}}
	for n, line := range strings.Split(read(t, "docs/reliability.md"), "\n") {
		m := rowLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		rows[m[1]]++
		cells := strings.Split(strings.TrimSuffix(strings.TrimPrefix(line, "|"), "|"), "|")
		if len(cells) != 5 {
			t.Errorf("line %d: row %s has %d cells, want 5", n+1, m[1], len(cells))
			continue
		}
		links := link.FindAllStringSubmatch(line, -1)
		for _, l := range links {
			reason := strings.ToLower(l[1])
			led[reason] = true
			if !slices.Contains(reasons, reason) {
				t.Errorf("line %d: row %s leads to %q, which is none of %q in docs/operations.md", n+1, m[1], l[1], reasons)
			}
		}
		named := quoted.FindAllStringSubmatch(cells[3], -1)
		if len(named) == 0 && len(links) == 0 {
			t.Errorf("line %d: row %s has neither a test nor a reason", n+1, m[1])
		}
		if len(named) > 0 && strings.TrimSpace(cells[4]) == "" {
			t.Errorf("line %d: row %s does not say what came out", n+1, m[1])
		}
		for _, name := range named {
			if err := src.find(name[1]); err != nil {
				t.Errorf("line %d: row %s: %v", n+1, m[1], err)
			}
		}
	}
	for _, g := range groups {
		for i := range g.rows {
			id := fmt.Sprintf("%s%02d", g.name, i+1)
			if rows[id] != 1 {
				t.Errorf("row %s is there %d times", id, rows[id])
			}
			delete(rows, id)
		}
	}
	if len(rows) > 0 {
		t.Errorf("unknown rows: %v", rows)
	}
	for _, reason := range reasons {
		if !led[reason] {
			t.Errorf("no row leads to %q in docs/operations.md", reason)
		}
	}
}

// TestSuites: the document has a line for each suite that make faults runs, and no other.
func TestSuites(t *testing.T) {
	line := regexp.MustCompile(`(?m)^SUITES +:= (.*)$`).FindStringSubmatch(read(t, "Makefile"))
	if line == nil {
		t.Fatal("the Makefile has no SUITES")
	}
	var got []string
	for _, m := range suite.FindAllStringSubmatch(read(t, "docs/reliability.md"), -1) {
		got = append(got, m[1])
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Error(err)
		}
	}
	want := strings.Fields(line[1])
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("docs/reliability.md has %q, make faults runs %q", got, want)
	}
}

// notCovered returns what the operators' section says is not covered, in lower case.
func notCovered(t *testing.T) []string {
	t.Helper()
	_, section, ok := strings.Cut(read(t, "docs/operations.md"), "\n## What is not covered\n")
	if !ok {
		t.Fatal("docs/operations.md has no section What is not covered")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var out []string
	for _, m := range regexp.MustCompile(`(?m)^- \*\*([^*]+)\.\*\*`).FindAllStringSubmatch(section, -1) {
		out = append(out, strings.ToLower(m[1]))
	}
	return out
}

// sources finds tests in the module's source, each package read once.
type sources struct{ packages map[string]*tests }

// tests are the tests of a package and the texts in them: cases are named by a text.
type tests struct {
	functions map[string]bool
	texts     map[string]bool
}

// find looks for a test by its name in the document: the directory of its package, a dot,
// the function, and a slash and the case where one is meant, with _ for spaces. A case of
// TestScripts is a script.
func (s *sources) find(name string) error {
	test, sub, _ := strings.Cut(name, ".Test")
	prefix := "Test"
	if sub == "" {
		test, sub, _ = strings.Cut(name, ".Fuzz")
		prefix = "Fuzz"
	}
	function, one, _ := strings.Cut(prefix+sub, "/")
	p, err := s.load(test)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if !p.functions[function] {
		return fmt.Errorf("%s does not exist: no func %s in the tests of %s", name, function, test)
	}
	switch {
	case one == "":
		return nil
	case function == "TestScripts":
		_, err = os.Stat(filepath.Join(root, test, "testdata", one+".txtar"))
	case !p.texts[one] && !p.texts[strings.ReplaceAll(one, "_", " ")]:
		err = fmt.Errorf("no case %q in the tests of %s", one, test)
	}
	if err != nil {
		return fmt.Errorf("%s does not exist: %w", name, err)
	}
	return nil
}

func (s *sources) load(dir string) (*tests, error) {
	if p := s.packages[dir]; p != nil {
		return p, nil
	}
	files, err := filepath.Glob(filepath.Join(root, dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no tests in %s: %w", dir, err)
	}
	p := &tests{functions: map[string]bool{}, texts: map[string]bool{}}
	for _, file := range files {
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range tree.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				p.functions[f.Name.Name] = true
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				if text, err := strconv.Unquote(lit.Value); err == nil {
					p.texts[text] = true
				}
			}
			return true
		})
	}
	s.packages[dir] = p
	return p, nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
