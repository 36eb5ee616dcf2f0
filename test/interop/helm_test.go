package interop

import (
	"bytes"
	"path/filepath"
	"testing"

	"airbundle/internal/rpmtest"
)

// helmPulls has helm itself find the chart by the index of a repository, and take it.
func helmPulls(t *testing.T, d *demo, repo string, login ...string) {
	t.Helper()
	program := rpmtest.Tool(t, "helm")
	dir := t.TempDir()
	args := append([]string{"pull", "app", "--repo", repo, "--version", "1.0.0", "--destination", dir}, login...)
	must(t, nil, program, args...)
	if got := readFile(t, filepath.Join(dir, "app-1.0.0.tgz")); !bytes.Equal(got, d.chart) {
		t.Errorf("helm pull wrote %d bytes that are not the chart's %d", len(got), len(d.chart))
	}
	t.Logf("helm pull from %s: %d bytes, as locked", repo, len(d.chart))
}
