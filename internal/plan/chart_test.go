package plan_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/bundletest"
	"airbundle/internal/helmtest"
	"airbundle/internal/lockfile"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// A bundle may hold charts alone. What streams in is judged by its Chart.yaml.
func TestCharts(t *testing.T) {
	for name, c := range map[string]struct {
		archive []byte
		text    string // empty: the check is content
	}{
		"right":         {helmtest.Chart(t, "nginx", "1.2.3", nil), ""},
		"other version": {helmtest.Chart(t, "nginx", "1.2.4", nil), `"nginx" "1.2.4" by its Chart.yaml, not nginx 1.2.3`},
		"no chart":      {[]byte("<html>"), "not a chart"},
	} {
		f := bundletest.New(t)
		chart := lockfile.Chart{Name: "nginx", Version: "1.2.3", URLs: []string{"https://h/n.tgz"}, Size: int64(len(c.archive)), Digest: digest.FromBytes(c.archive), Groups: []string{"g"}}
		f.URLs[chart.URLs[0]] = c.archive
		lock := &lockfile.Lock{Name: "n", Arches: []string{"x86_64"}, Charts: []lockfile.Chart{chart}}
		p, err := plan.Make(t.Context(), lock, plan.Sources{Charts: f}, plan.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Bundle.Table.Charts; len(got) != 1 || got[0].File() != "nginx-1.2.3.tgz" || got[0].Digest != chart.Digest || got[0].Groups[0] != "g" {
			t.Errorf("%s: table %+v", name, got)
		}
		var blob plan.Blob
		for _, b := range p.Blobs {
			if b.Desc.Digest == chart.Digest {
				blob = b
			}
		}
		if blob.Desc.MediaType != manifest.MediaTypeChart || blob.Desc.Size != chart.Size || blob.Artifact != "chart nginx-1.2.3" || len(blob.Checks) != 1 {
			t.Fatalf("%s: blob %+v", name, blob)
		}
		err = blob.Checks[0](bytes.NewReader(c.archive))
		if (err == nil) != (c.text == "") || err != nil && (report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), c.text)) {
			t.Errorf("%s: class %d, %v", name, report.Classify(err), err)
		}
		rc, err := blob.Origins[0].Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rc.Close()
	}
}
