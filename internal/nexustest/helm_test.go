package nexustest_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"airbundle/internal/nexustest"
)

// makeChart packages a chart.
func makeChart(t *testing.T, name, version string) string {
	t.Helper()
	var buf bytes.Buffer
	zw := gzip.NewWriter(&buf)
	tw := tar.NewWriter(zw)
	body := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\ndescription: a chart\n", name, version)
	if err := tw.WriteHeader(&tar.Header{Name: name + "/Chart.yaml", Mode: 0o644, Size: int64(len(body))}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	tw.Close()
	zw.Close()
	return buf.String()
}

// chartVersions returns what index.yaml lists of a chart, by version.
func chartVersions(t *testing.T, base, name string) map[string][]string {
	t.Helper()
	var index struct {
		Entries map[string][]struct {
			Version, Digest string
			URLs            []string `yaml:"urls"`
		}
	}
	body := do(t, "GET", base+"/index.yaml", "").want(t, 200).body
	if err := yaml.Unmarshal([]byte(body), &index); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, e := range index.Entries[name] {
		out[e.Version] = append(e.URLs, e.Digest)
	}
	return out
}

func TestHelm(t *testing.T) {
	s := nexustest.Start(t, nexustest.Options{RebuildDelay: 400 * time.Millisecond, Repositories: []nexustest.Repository{
		{Name: "helm", Format: "helm", WritePolicy: "ALLOW_ONCE"},
		{Name: "all", Format: "helm", Type: "group", Members: []string{"helm"}}}})
	base := s.RepositoryURL("helm")
	if got := chartVersions(t, base, "web"); len(got) != 0 {
		t.Errorf("a new repository lists %v", got)
	}
	chart := makeChart(t, "web", "1.2.3")
	do(t, "PUT", base+"/web-1.2.3.tgz", chart, "Content-Type", "application/gzip").want(t, 200)
	if got := chartVersions(t, base, "web"); len(got) != 0 {
		t.Errorf("listed at once: %v", got)
	}
	for _, url := range []string{base, s.RepositoryURL("all")} {
		eventually(t, "the chart is listed", func() bool {
			return slices.Equal(chartVersions(t, url, "web")["1.2.3"], []string{"web-1.2.3.tgz", sha([]byte(chart))})
		})
		if got := do(t, "GET", url+"/web-1.2.3.tgz", "").want(t, 200); got.body != chart {
			t.Errorf("chart of %d bytes, want %d", len(got.body), len(chart))
		}
	}
	do(t, "PUT", base+"/web-1.2.3.tgz", chart).want(t, 400)
	for range 2 { // ALLOW_ONCE is for charts only
		do(t, "PUT", base+"/web-1.2.3.tgz.prov", "signature").want(t, 200)
	}
	do(t, "PUT", base+"/bad-1.tgz", "no chart").want(t, 400)
	do(t, "POST", base+"/api/charts", chart).want(t, 405)
	do(t, "PUT", s.RepositoryURL("all")+"/web-2.tgz", chart).want(t, 405)
	do(t, "GET", base+"/none.tgz", "").want(t, 404)
	do(t, "DELETE", base+"/web-1.2.3.tgz", "").want(t, 200)
	eventually(t, "the chart is gone", func() bool { return len(chartVersions(t, base, "web")) == 0 })
}
