package messages

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// unprovoked are the kinds of findings that no fault of TestEveryFinding leads to, and why.
var unprovoked = map[string]string{
	"state ok": good, "state sent": good, "state present": good, "state planned": good, "state wanted": good, "state warning": good, "state superseded": good,
	"class 0": good,
	"class 1": "a fault in the program: internal/report.TestEachFindingHasANextStep",
	"class 8": "takes two processes: test/scripts.TestScripts/build_locked",

	"kind members": "a warning, not a finding: internal/preflight.TestGroups",
	"kind differs": "a warning, not a finding",
	"kind rpmlib":  online, "kind config-digest": online, "kind platform-digest": online, "kind wrong-header": online,
}

const (
	good   = "no finding"
	online = "takes lint --online: internal/lint.TestAskImages, TestAskRPMs"
)

// constants are the values of the constants of a package whose name or type fits.
func constants(t *testing.T, dir string, fits func(name, typ string) bool) (values []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range parsed.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != gotoken.CONST {
				continue
			}
			for _, spec := range group.Specs {
				values = append(values, valuesOf(spec.(*ast.ValueSpec), fits)...)
			}
		}
	}
	return values
}

func valuesOf(spec *ast.ValueSpec, fits func(name, typ string) bool) (values []string) {
	typ := ""
	if id, ok := spec.Type.(*ast.Ident); ok {
		typ = id.Name
	}
	for i, name := range spec.Names {
		if !fits(name.Name, typ) || i >= len(spec.Values) {
			continue
		}
		if lit, ok := spec.Values[i].(*ast.BasicLit); ok {
			value := lit.Value
			if s, err := strconv.Unquote(value); err == nil {
				value = s
			}
			values = append(values, value)
		}
	}
	return values
}

// complete holds what was seen against what the source can say.
func complete(t *testing.T, seen []string) {
	t.Helper()
	var all []string
	for _, v := range constants(t, "internal/report", func(_, typ string) bool { return typ == "State" }) {
		all = append(all, "state "+v)
	}
	for _, v := range constants(t, "internal/report", func(name, typ string) bool { return typ == "Class" && ast.IsExported(name) }) {
		all = append(all, "class "+v)
	}
	for _, v := range constants(t, "internal/preflight", func(name, _ string) bool { return strings.HasPrefix(name, "Finding") }) {
		all = append(all, "kind "+v)
	}
	for _, v := range constants(t, "internal/lint", func(name, typ string) bool { return typ == "" && ast.IsExported(name) && name != "EL7" }) {
		all = append(all, "kind "+v)
	}
	if len(all) < 14+10+10+19 {
		t.Errorf("only %d kinds of findings in the source: %q", len(all), all)
	}
	var told []string
	for _, what := range seen {
		of, kind, _ := strings.Cut(what, "/")
		state, class, _ := strings.Cut(of, " ")
		told = append(told, "state "+state, "class "+class, "kind "+kind)
	}
	for _, kind := range all {
		switch _, excused := unprovoked[kind]; {
		case !excused && !slices.Contains(told, kind):
			t.Errorf("no fault leads to a finding of %s: add one, or say in unprovoked why there is none", kind)
		case excused && slices.Contains(told, kind):
			t.Errorf("%s is provoked, and excused all the same", kind)
		}
	}
	for kind := range unprovoked {
		if !slices.Contains(all, kind) {
			t.Errorf("%s is excused, and nothing in the source", kind)
		}
	}
	t.Log(fmt.Sprint(len(all), " kinds; told: "), strings.Join(seen, ", "))
}
