package lock_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/helm"
	"airbundle/internal/httpx"
	"airbundle/internal/lock"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
)

// charts answers for charts by name.
type charts map[string]helm.Images

func (c charts) Resolve(_ context.Context, w lockfile.ChartWish) (lockfile.Chart, error) {
	if _, ok := c[w.Name]; !ok {
		return lockfile.Chart{}, &httpx.StatusError{Method: "GET", URL: w.Repo, Code: 404}
	}
	return lockfile.Chart{Name: w.Name, Version: w.Version, Note: w.Note}, nil
}

func (c charts) Images(_ context.Context, h lockfile.Chart) (helm.Images, error) {
	if h.Note == "bad" {
		return helm.Images{}, report.WithClass(report.ClassContent, errors.New("damaged"))
	}
	return c[h.Name], nil
}

func TestCharts(t *testing.T) {
	req := request("x86_64")
	req.Charts = []lockfile.ChartWish{{Name: "b", Version: "1"}, {Name: "a", Version: "2", Note: "n"}}
	res, err := lock.Resolve(t.Context(), req, lock.Sources{Charts: charts{"a": {}, "b": {}}}, lock.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]lockfile.Chart{{Name: "b", Version: "1"}, {Name: "a", Version: "2", Note: "n"}}, res.Lock.Charts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	req.Charts[0].Line = 7
	_, err = lock.Resolve(t.Context(), req, lock.Sources{Charts: charts{"a": {}}}, lock.Options{File: "demo.yaml"})
	if report.Classify(err) != report.ClassUnavailable || !strings.HasPrefix(err.Error(), "demo.yaml:7: chart b 1: ") {
		t.Errorf("class %d, %v", report.Classify(err), err)
	}
}

func TestShowCharts(t *testing.T) {
	req := request("x86_64")
	const hex = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	req.Images = []lockfile.ImageWish{{Source: "busybox"}, {Source: "quay.io/a/b:1" + hex}, {Source: "oci-archive:c.tar"}}
	refs := func(names ...string) (all helm.Images) {
		for _, n := range names {
			all.Refs = append(all.Refs, helm.ImageRef{Reference: n, Found: []string{"values.yaml"}})
		}
		return all
	}
	source := charts{"a": refs("docker.io/library/busybox:latest", "docker.io/library/busybox:1", "quay.io/a/b:1", "quay.io/a/c:1"), "b": {Findings: []string{"it does not render"}}}
	l := &lockfile.Lock{Charts: []lockfile.Chart{{Name: "a", Version: "1"}, {Name: "b", Version: "2"}}}
	got, err := lock.ShowCharts(t.Context(), req, l, source)
	var listed []bool
	for _, i := range got[0].Images {
		listed = append(listed, i.Listed)
	}
	if diff := cmp.Diff([]bool{true, false, true, false}, listed); err != nil || diff != "" || len(got) != 2 || got[1].Findings[0] != "it does not render" {
		t.Errorf("%v, %+v (-want +got):\n%s", err, got, diff)
	}
	l.Charts[0].Note = "bad"
	got, err = lock.ShowCharts(t.Context(), req, l, source)
	if report.Classify(err) != report.ClassContent || !strings.Contains(err.Error(), "images of chart a 1: damaged") || len(got) != 1 {
		t.Errorf("%v, %+v", err, got)
	}
}
