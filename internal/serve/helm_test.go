package serve_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/helm"
	"airbundle/internal/helmtest"
	"airbundle/internal/serve"
	"airbundle/internal/target"
	"airbundle/manifest"
)

func TestChartIndex(t *testing.T) {
	f := newFixture(t)
	for _, version := range []string{"1.2.3", "1.2.4"} {
		raw := helmtest.Chart(t, "nginx", version, map[string]string{"Chart.yaml": "apiVersion: v2\nname: nginx\nversion: " + version + "\nappVersion: \"1.25\"\ndescription: A web server\n"})
		f.table.Charts = append(f.table.Charts, manifest.Chart{Name: "nginx", Version: version, Digest: f.blob(manifest.MediaTypeChart, raw).Digest})
	}
	ts := f.start(serve.Options{Target: target.Map{Helm: "applications"}})
	resp, body, err := do(t, ts, "GET", "/repository/applications/index.yaml")
	if err != nil || resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/yaml; charset=utf-8" {
		t.Fatalf("%v, %+v", err, resp)
	}
	const entry = `    - apiVersion: v2
      name: nginx
      version: VERSION
      appVersion: "1.25"
      description: A web server
      created: "1970-01-01T00:00:00Z"
      digest: DIGEST
      urls:
        - nginx-VERSION.tgz
`
	want := "apiVersion: v1\nentries:\n  nginx:\n"
	for _, c := range f.table.Charts {
		want += strings.NewReplacer("VERSION", c.Version, "DIGEST", c.Digest.Encoded()).Replace(entry)
	}
	want += "generated: \"1970-01-01T00:00:00Z\"\n"
	if diff := cmp.Diff(want, string(body)); diff != "" {
		t.Errorf("index (-want +got):\n%s", diff)
	}
	x, err := helm.ParseIndex([]byte(body))
	if err != nil {
		t.Fatal(err)
	}
	v, err := x.Find("nginx", "1.2.4")
	if err != nil {
		t.Fatal(err)
	}
	if resp, got, err := do(t, ts, "GET", "/repository/applications/"+v.URLs[0]); err != nil || resp.StatusCode != 200 || len(got) == 0 {
		t.Errorf("%v, %+v", err, resp)
	}
	if _, page, _ := do(t, ts, "GET", "/repository/applications/"); !strings.Contains(string(page), "index.yaml") {
		t.Error("the directory does not show the index")
	}
	if _, page, _ := do(t, ts, "GET", "/"); !strings.Contains(string(page), "helm repo add") {
		t.Error("the start page does not say how charts are got")
	}
}

// A chart that is not what the table says makes no index: clients would take one for the other.
func TestChartIndexRefuses(t *testing.T) {
	for name, raw := range map[string][]byte{"no chart": []byte("chart"), "1.2.4": helmtest.Chart(t, "nginx", "1.2.4", nil)} {
		f := newFixture(t)
		f.table.Charts = []manifest.Chart{{Name: "nginx", Version: "1.2.3", Digest: f.blob(manifest.MediaTypeChart, raw).Digest}}
		resp, body, err := do(t, f.start(serve.Options{}), "GET", "/repository/helm-hosted/index.yaml")
		if err != nil || resp.StatusCode != 500 || !strings.Contains(string(body), "nginx-1.2.3.tgz") {
			t.Errorf("%s: %v, %+v, %s", name, err, resp, body)
		}
	}
	f := newFixture(t)
	f.file("a", []byte("a"))
	if resp, _, err := do(t, f.start(serve.Options{}), "GET", "/repository/helm-hosted/index.yaml"); err != nil || resp.StatusCode != 404 {
		t.Errorf("without charts: %v, %+v", err, resp)
	}
}
