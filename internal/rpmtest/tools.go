package rpmtest

import (
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
// the place.
func Testdata(tb testing.TB, name ...string) string {
	tb.Helper()
	root := os.Getenv("AIRBUNDLE_TESTDATA")
	if root == "" {
		tb.Skip("optional test data: AIRBUNDLE_TESTDATA names no place")
	}
	dir := filepath.Join(append([]string{root}, name...)...)
	if _, err := os.Stat(dir); err != nil {
		tb.Skipf("optional test data below AIRBUNDLE_TESTDATA: %v", err)
	}
	return dir
}
