package repodata_test

import (
	"bytes"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
	"airbundle/manifest"
)

// A slice that we make passes the check of slices, which takes nothing of any size or depth
// and panics over nothing; slices of modules are stable when they are made again.
func FuzzSlices(f *testing.F) {
	f.Add(byte(0), []byte(strings.Join(moduleDocuments, "")))
	f.Add(byte(1), []byte(compsHead+compsGroup+compsEnvironment+"</comps>"))
	f.Add(byte(2), []byte(rpmtest.Updateinfo))
	f.Add(byte(3), []byte("<updates/>"))
	kinds := []string{manifest.MetadataModules, manifest.MetadataComps, manifest.MetadataUpdateinfo, "other"}
	fuzztest.Run(f, func(t *testing.T, kind byte, data []byte) {
		name := kinds[int(kind)%len(kinds)]
		err := repodata.CheckSlice(name, bytes.NewReader(data))
		if err == nil && name == "other" {
			t.Error("an unknown kind is taken")
		}
		switch name {
		case manifest.MetadataModules:
			checkModules(t, data)
		case manifest.MetadataComps:
			c, err := repodata.ParseComps(bytes.NewReader(data))
			if err != nil || bytes.Contains(data, []byte("xmlns")) || bytes.Contains(data, []byte("<!")) {
				return
			}
			var names []string
			for _, g := range c.Groups {
				for _, p := range g.Packages {
					names = append(names, p.Name)
				}
			}
			out := repodata.SliceComps([]*catalog.Comps{c}, names)
			if out != nil {
				if err := repodata.CheckSlice(name, bytes.NewReader(out)); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			}
		}
	})
}

func checkModules(t *testing.T, data []byte) {
	t.Helper()
	m, err := repodata.ParseModules(bytes.NewReader(data))
	if err != nil {
		return
	}
	var nevras []string
	for _, s := range m.Streams {
		nevras = append(nevras, s.Artifacts...)
	}
	out := repodata.SliceModules([]*catalog.Modules{m}, nevras)
	if len(out) == 0 {
		return
	}
	if err := repodata.CheckSlice(manifest.MetadataModules, bytes.NewReader(out)); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	again, err := repodata.ParseModules(bytes.NewReader(out))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if twice := repodata.SliceModules([]*catalog.Modules{again}, nevras); !bytes.Equal(twice, out) {
		t.Errorf("a slice of the slice:\n%s\n%s", out, twice)
	}
}
