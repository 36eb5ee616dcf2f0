package rpmtest

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Tool returns the path of a program that an interop test needs. Where the program
// is missing, the test is skipped, except on CI (the variable CI is set), where
// no interop test may go missing unseen.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") != "" {
		tb.Fatalf("interop test needs %s: %v", name, err)
	}
	tb.Skipf("interop test needs %s: %v", name, err)
	return ""
}

// Testdata returns a folder of real packages and metadata that is not part of this repository,
// for licence and size, or skips the test. The variable AIRBUNDLE_TESTDATA names
// the place; else it is looked for beside the working tree.
func Testdata(tb testing.TB, name ...string) string {
	tb.Helper()
	root := cmp.Or(os.Getenv("AIRBUNDLE_TESTDATA"), filepath.Join(moduleRoot(tb), "..", "shared", "fixtures"))
	dir := filepath.Join(append([]string{root}, name...)...)
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("optional test data: %v (AIRBUNDLE_TESTDATA names its place)", err)
	}
	return dir
}

// moduleRoot is the nearest folder above the test's that has a go.mod.
func moduleRoot(tb testing.TB) string {
	tb.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, statErr := os.Stat(filepath.Join(dir, "go.mod")); statErr == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	tb.Skipf("the test does not run inside the module: %v", err)
	return ""
}
