package createrepo_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// TestReadPrimaryReadsWhatWriteWrites: the readers of this program agree with it.
func TestReadPrimaryReadsWhatWriteWrites(t *testing.T) {
	entries := oddPackages(t).entries(t)
	set := mustWrite(t, entries)
	files := map[string][]byte{rpm.RepomdPath: set.Repomd}
	maps.Copy(files, set.Files)
	got, err := repodata.ReadPrimary(t.Context(), func(_ context.Context, path string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(files[path])), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]digest.Digest{}
	for _, e := range entries {
		want[e.Location] = e.Digest
	}
	digests := map[string]digest.Digest{}
	for location, c := range got {
		digests[location] = c.Digest()
	}
	if diff := cmp.Diff(want, digests); diff != "" {
		t.Errorf("(-written +read):\n%s", diff)
	}
}

func TestParsePrimaryReadsWhatWriteWrites(t *testing.T) {
	for name, entries := range map[string][]createrepo.Entry{"odd": oddPackages(t).entries(t), "many": manyEntries(t, 300)} {
		c, err := repodata.ParsePrimary(bytes.NewReader(rpmtest.Gunzip(t, packed(t, mustWrite(t, entries), "primary"))))
		if err != nil {
			t.Fatal(err)
		}
		if len(c.Packages) != len(entries) {
			t.Errorf("%s: %d packages, want %d", name, len(c.Packages), len(entries))
		}
		byLocation := map[string]createrepo.Entry{}
		for _, e := range entries {
			byLocation[e.Location] = e
		}
		for _, k := range c.Packages {
			e, ok := byLocation[k.Location]
			if !ok || k.Checksum != string(e.Digest) || k.Size != e.Size || c.NEVRA(&k) != e.Package.NEVRA() {
				t.Errorf("%s: %+v, which is %s, of %+v", name, k, c.NEVRA(&k), e)
			}
		}
	}
}
