package plan_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"airbundle/internal/bundletest"
	"airbundle/internal/plan"
	"airbundle/internal/report"
	"airbundle/manifest"
)

// A slice of metadata is carried with its RPMs, from where the lock has it, and judged
// by its type.
func TestMetadata(t *testing.T) {
	f := bundletest.New(t)
	f.Metadata("os/x86_64", "modules", "some modules")
	f.Metadata("os/aarch64", "comps", "some groups")
	var judged []string
	bad := errors.New("not today")
	src := plan.Sources{Images: f, Files: f, Metadata: func(kind string, r io.Reader) error {
		raw, err := io.ReadAll(r)
		judged = append(judged, kind+" "+string(raw))
		if kind == "comps" {
			return bad
		}
		return err
	}}
	for _, tt := range []struct {
		arches []string
		want   []string
	}{
		{nil, []string{"os/aarch64/comps.xml", "os/x86_64/modules.yaml"}},
		{[]string{"x86_64"}, []string{"os/x86_64/modules.yaml"}},
	} {
		judged = nil
		p, err := plan.Make(t.Context(), f.Lock, src, plan.Options{Arches: tt.arches})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, m := range p.Bundle.Table.Metadata {
			got = append(got, m.Path())
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%v: carried %v, want %v", tt.arches, got, tt.want)
		}
		for _, b := range p.Blobs {
			path, ok := strings.CutPrefix(b.Artifact, "metadata ")
			if !ok {
				continue
			}
			rc, err := b.Origins[0].Open(t.Context())
			if err != nil || len(b.Origins) != 1 || len(b.Checks) != 1 {
				t.Fatalf("%s: %+v, %v", path, b, err)
			}
			switch err := b.Checks[0](rc); {
			case path == "os/x86_64/modules.yaml" && (err != nil || b.Desc.MediaType != manifest.MediaTypeModules):
				t.Errorf("%s: %s, %v", path, b.Desc.MediaType, err)
			case path == "os/aarch64/comps.xml" && (!errors.Is(err, bad) || report.Classify(err) != report.ClassContent):
				t.Errorf("%s: %v", path, err)
			}
		}
		if len(judged) != len(tt.want) || !slices.Contains(judged, "modules some modules") {
			t.Errorf("%v: judged %q", tt.arches, judged)
		}
	}
	p := f.Plan(t, plan.Options{}) // nobody judges
	for _, b := range p.Blobs {
		if strings.HasPrefix(b.Artifact, "metadata ") && b.Checks != nil {
			t.Errorf("%s has checks", b.Artifact)
		}
	}
}
