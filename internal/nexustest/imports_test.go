package nexustest_test

import (
	"go/parser"
	"go/token"
	"os"
	"strings"
	"testing"
)

// TestIndependence keeps the double free of the project's own packages: what it
// shares with the client it could not find wrong.
func TestIndependence(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if strings.HasPrefix(path, "airbundle/") && path != "airbundle/internal/nexustest" {
				t.Errorf("%s imports %s", file.Name(), path)
			}
		}
	}
}
