package target_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/target"
	"airbundle/manifest"
)

const (
	dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	dockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	dockerConfig   = "application/vnd.docker.container.image.v1+json"
	dockerLayer    = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	dockerForeign  = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
)

// parsed makes a manifest or an index of JSON members.
func parsed(t *testing.T, mediaType string, members map[string]any) manifest.ImageManifest {
	t.Helper()
	members["schemaVersion"], members["mediaType"] = 2, mediaType
	raw, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		t.Fatal(err)
	}
	return manifest.ImageManifest{Desc: ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(raw), Size: int64(len(raw))}, Raw: raw, Node: node}
}

func desc(mediaType string) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: digest.FromString(mediaType), Size: 5}
}

func TestJudgeOCI(t *testing.T) {
	image := func(mediaType, config string, layers ...string) manifest.ImageManifest {
		list := []ocispec.Descriptor{}
		for _, l := range layers {
			list = append(list, desc(l))
		}
		return parsed(t, mediaType, map[string]any{"config": desc(config), "layers": list})
	}
	index := func(mediaType string, entries ...ocispec.Descriptor) manifest.ImageManifest {
		return parsed(t, mediaType, map[string]any{"manifests": entries})
	}
	attestation := desc(ocispec.MediaTypeImageManifest)
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	ociImage := image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayerZstd)
	dockerImage := image(dockerManifest, dockerConfig, dockerLayer, dockerForeign)
	for _, tt := range []struct {
		label string
		tree  manifest.ImageTree
		oci   bool
		odd   string // part of each, separated by |
	}{
		{"docker image", manifest.ImageTree{Top: dockerImage}, false, ""},
		{"docker list", manifest.ImageTree{Top: index(dockerList, desc(dockerManifest)), Children: []manifest.ImageManifest{dockerImage}}, false, ""},
		{"OCI image", manifest.ImageTree{Top: ociImage}, true, ""},
		{"OCI index", manifest.ImageTree{Top: index(ocispec.MediaTypeImageIndex, desc(ocispec.MediaTypeImageManifest)), Children: []manifest.ImageManifest{ociImage}}, true, ""},
		{"OCI index of docker images", manifest.ImageTree{Top: index(ocispec.MediaTypeImageIndex, desc(dockerManifest)), Children: []manifest.ImageManifest{dockerImage}}, true, ""},
		{"OCI child in a list", manifest.ImageTree{Top: index(dockerList, desc(ocispec.MediaTypeImageManifest)), Children: []manifest.ImageManifest{ociImage}}, true, ""},
		{"attestation", manifest.ImageTree{Top: index(ocispec.MediaTypeImageIndex, desc(dockerManifest), attestation), Children: []manifest.ImageManifest{dockerImage}}, true, "is an attestation-manifest"},
		{"build cache", manifest.ImageTree{Top: index(ocispec.MediaTypeImageIndex, desc("application/vnd.buildkit.cacheconfig.v0"))}, true, `is a "application/vnd.buildkit.cacheconfig.v0"`},
		{"nested index", manifest.ImageTree{Top: index(ocispec.MediaTypeImageIndex, desc(ocispec.MediaTypeImageIndex))}, true, `is a "application/vnd.oci.image.index.v1+json"`},
		{"helm chart", manifest.ImageTree{Top: image(ocispec.MediaTypeImageManifest, "application/vnd.cncf.helm.config.v1+json", "application/vnd.cncf.helm.chart.content.v1.tar+gzip")}, true, "no image config|its layer "},
		{"in-toto child", manifest.ImageTree{Top: index(ocispec.MediaTypeImageIndex, desc(ocispec.MediaTypeImageManifest)), Children: []manifest.ImageManifest{image(ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageConfig, "application/vnd.in-toto+json")}}, true, `is a "application/vnd.in-toto+json"`},
		{"artifact", manifest.ImageTree{Top: parsed(t, ocispec.MediaTypeImageManifest, map[string]any{"artifactType": "application/x", "config": desc(ocispec.MediaTypeImageConfig), "layers": []int{}, "subject": desc("a/b")})}, true, `artifact of type "application/x"|refers to a subject`},
	} {
		oci, odd := target.JudgeOCI(&tt.tree, target.OCIUnofficial)
		want := slices.DeleteFunc(strings.Split(tt.odd, "|"), func(s string) bool { return s == "" })
		if oci != tt.oci || len(odd) != len(want) {
			t.Errorf("%s: %v, %q", tt.label, oci, odd)
			continue
		}
		for i := range want {
			if !strings.Contains(odd[i], want[i]) || !strings.HasPrefix(odd[i], "sha256:") {
				t.Errorf("%s: %q, want %q", tt.label, odd[i], want[i])
			}
		}
		if oci, odd := target.JudgeOCI(&tt.tree, target.OCIOfficial); oci || odd != nil {
			t.Errorf("%s, officially: %v, %q", tt.label, oci, odd)
		}
	}
}
