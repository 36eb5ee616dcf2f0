package repodata_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// TestReadPrimarySamples reads the metadata of other tools.
func TestReadPrimarySamples(t *testing.T) {
	for sample, want := range map[string]int{
		"createrepo_c/repo_00": 0, "createrepo_c/repo_02": 2, "createrepo_c/repo_03": 0, "createrepo_c/repo_04": 2,
		"createrepo_c/repo_koji_01": 2, "createrepo_c/repo_koji_02": 1,
		"createrepo_c/repo_with_duplicate_packages": 2, "createrepo_c/repo_with_additional_metadata": 1,
		"librepo/repo_yum_01": 1, "librepo/repo_yum_02": 1, "librepo/repo_yum_03": 21,
		"opensuse-11.0-update": 2430,
	} {
		t.Run(sample, func(t *testing.T) {
			dir := rpmtest.Testdata(t, "rpm", "repodata-samples", filepath.FromSlash(sample))
			got, err := repodata.ReadPrimary(t.Context(), openIn(dir))
			if err != nil || len(got) != want {
				t.Errorf("%d packages, want %d: %v", len(got), want, err)
			}
		})
	}
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "createrepo_c", "repo_01") // its list was edited
	if _, err := repodata.ReadPrimary(t.Context(), openIn(dir)); !errors.Is(err, repodata.ErrMismatch) {
		t.Errorf("repo_01: %v, want a mismatch", err)
	}
}

// TestReadPrimaryModified reads lists that createrepo_c's own tests take for broken, or for
// odd but readable.
func TestReadPrimaryModified(t *testing.T) {
	dir := rpmtest.Testdata(t, "rpm", "repodata-samples", "createrepo_c", "modified_repo_files")
	for name, want := range map[string]string{
		"error_00-primary.xml": "line 32, column 11: a package without", "multiple_warnings_00-primary.xml": "", "unknown_element_00-primary.xml": "",
		"unknown_element_01-primary.xml": "", "unknown_element_02-primary.xml": "", "repo_01_ampersand-primary.xml": "", "long_primary.xml": "",
	} {
		primary, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		got, err := repodata.ReadPrimary(t.Context(), siteOf(primary).open)
		if want == "" && (err != nil || len(got) == 0) || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %d packages, %v", name, len(got), err)
		}
	}
}

// TestReadPrimaryDistribution reads real distribution metadata.
func TestReadPrimaryDistribution(t *testing.T) {
	got, err := repodata.ReadPrimary(t.Context(), openIn(rpmtest.Testdata(t, "rpm", "cs9-baseos")))
	if want := 1_125; err != nil || len(got) != want {
		t.Errorf("%d packages, want %d: %v", len(got), want, err)
	}
}

func openIn(dir string) func(context.Context, string) (io.ReadCloser, error) {
	return func(_ context.Context, path string) (io.ReadCloser, error) {
		return os.Open(filepath.Join(dir, filepath.FromSlash(path)))
	}
}
