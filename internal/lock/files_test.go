package lock_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
)

// helmFile is a file with a list of checksums.
func helmFile(w *world) *lockfile.Request {
	w.files["https://h/helm.tgz"] = "helm"
	w.sizes["https://h/helm.tgz"] = 4
	w.sums["https://h/SUMS"] = map[string]digest.Digest{"helm.tgz": digest.FromString("helm")}
	req := request("x86_64")
	req.Files = []lockfile.FileWish{{Path: "helm.tgz", URL: "https://h/helm.tgz", Checksums: "https://h/SUMS"}}
	return req
}

// TestTrustedChecksums: the list's word is enough when the user says so, and it is told.
func TestTrustedChecksums(t *testing.T) {
	w := newWorld(t)
	req := helmFile(w)
	got, err := w.resolveWith(t, req, lock.Options{TrustChecksums: true})
	if err != nil || len(w.pinned) != 0 {
		t.Fatalf("%v, downloads %v", err, w.pinned)
	}
	want := []lockfile.File{{Path: "helm.tgz", URLs: []string{"https://h/helm.tgz"}, Size: 4, Digest: digest.FromString("helm")}}
	if diff := cmp.Diff(want, got.Lock.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(got.Notes, func(n string) bool { return strings.Contains(n, "helm.tgz: pinned by the word") }) {
		t.Errorf("notes: %q", got.Notes)
	}
}

// TestLockedAgain: what the old lock pins by the same digest is not downloaded again, but
// what it pins otherwise is.
func TestLockedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		change    func(w *world, old *lockfile.Lock)
		downloads int
	}{
		"same":        {func(*world, *lockfile.Lock) {}, 0},
		"other size":  {func(w *world, _ *lockfile.Lock) { w.sizes["https://h/helm.tgz"] = 5 }, 1},
		"size unsaid": {func(w *world, _ *lockfile.Lock) { delete(w.sizes, "https://h/helm.tgz") }, 1},
		"other URL":   {func(_ *world, old *lockfile.Lock) { old.Files[0].URLs = []string{"https://i/helm.tgz"} }, 1},
		"other sum":   {func(_ *world, old *lockfile.Lock) { old.Files[0].Digest = digest.FromString("x") }, 1},
	} {
		w := newWorld(t)
		req := helmFile(w)
		old, err := w.resolve(t, req)
		if err != nil {
			t.Fatal(err)
		}
		w.pinned = nil
		c.change(w, old)
		got, err := w.resolveWith(t, req, lock.Options{Old: old})
		if err != nil || len(w.pinned) != c.downloads || got.Lock.Files[0].Digest != digest.FromString("helm") || got.Lock.Files[0].Size != 4 {
			t.Errorf("%s: %v, downloads %v, %+v", name, err, w.pinned, got)
		}
	}
}
