package verify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
	"airbundle/internal/verify"
)

// sharing are so many manifests of one large config that it is not read for each of them.
func sharing(s *sketch) {
	dropBlobs(s)
	config := s.put(ocispec.MediaTypeImageConfig, `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`+strings.Repeat(" ", 4<<20-100))
	var all []any
	for i := range 12 {
		all = append(all, s.put(ocispec.MediaTypeImageManifest, obj{"schemaVersion": 2, "config": config, "layers": []any{}, "annotations": obj{"n": fmt.Sprint(i)}}))
	}
	s.files["index.json"] = text(obj{"schemaVersion": 2, "manifests": all})
}

// A layout of another tool has no root that could be compared, no lock and no build: what is
// wrong with it is told as of a layout, though its tar has the form of a bundle's.
func TestLayoutAdvice(t *testing.T) {
	for name, c := range map[string]struct {
		bend bend
		want string
	}{
		"lists nothing":  {bend{top: set("manifests", []any{}), layout: dropBlobs}, "it lists nothing"},
		"blobs damaged":  {bend{layout: damageBlobs}, "bytes, not"},
		"blobs missing":  {bend{layout: dropBlobs}, "missing: there is no entry"},
		"shared configs": {bend{layout: sharing}, "configs that images share would be read again"},
		"stray":          {bend{layout: func(s *sketch) { s.files["x"] = "" }}, "no part of an OCI layout"},
	} {
		t.Run(name, func(t *testing.T) {
			path := sketched(c.bend).write(t, slices.Reverse[[]string]) // oci-layout, index.json, blobs
			rep, _, err := verify.Run(t.Context(), path, verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			found := rep.Findings()
			if !slices.ContainsFunc(found, func(r report.Record) bool { return strings.Contains(r.Reason, c.want) }) {
				t.Errorf("%q is not told: %v", c.want, found)
			}
			for _, r := range found {
				if said := r.Reason + r.Next; strings.Contains(said, "root") || strings.Contains(said, "publish") || !strings.Contains(r.Next, "copy it again") {
					t.Errorf("advice for a bundle, or none: %s; %s", r.Reason, r.Next)
				}
			}
		})
	}
}

func dropBlobs(s *sketch) {
	for name := range s.files {
		if strings.HasPrefix(name, "blobs/") {
			delete(s.files, name)
		}
	}
}

func damageBlobs(s *sketch) {
	for name := range s.files {
		if strings.HasPrefix(name, "blobs/") {
			s.files[name] += "x"
		}
	}
}
