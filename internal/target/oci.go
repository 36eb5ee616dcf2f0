package target

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/manifest"
)

// An OCI says how far a target takes manifests of the OCI image specification. The zero
// value is OCIOfficial.
type OCI int

// How far OCI manifests are taken.
const (
	// OCIOfficial takes all of them: registries, and Nexus from 3.71 on.
	OCIOfficial OCI = iota
	// OCIUnofficial is Nexus before 3.71: plain images and indexes of them work in
	// practice, but its garbage collection may remove them, and what is no plain image
	// (attestations, build caches, artifacts) breaks indexes and tasks.
	OCIUnofficial
)

// imageConfigs are the media types of configs that make a manifest an image.
var imageConfigs = []string{ocispec.MediaTypeImageConfig, "application/vnd.docker.container.image.v1+json"}

// JudgeOCI judges one image, as it is to be put, for a target: whether it has anything in
// OCI form that the target takes, but not officially, and what in it the target does not
// take at all, each in words for people. It looks at every manifest, and converts
// nothing: the digest is what everybody knows the image by.
func JudgeOCI(tree *manifest.ImageTree, takes OCI) (oci bool, odd []string) {
	if takes == OCIOfficial {
		return false, nil
	}
	all := append([]manifest.ImageManifest{tree.Top}, tree.Children...)
	for _, m := range all {
		oci = oci || strings.HasPrefix(m.Desc.MediaType, "application/vnd.oci.")
		for _, what := range oddities(m) {
			odd = append(odd, fmt.Sprintf("%s: %s", m.Desc.Digest, what))
		}
	}
	return oci, odd
}

// oddities are what makes a manifest something else than a plain image or an index of
// plain images.
func oddities(m manifest.ImageManifest) []string {
	var odd []string
	var j struct {
		ArtifactType string              `json:"artifactType"`
		Subject      *ocispec.Descriptor `json:"subject"`
	}
	if json.Unmarshal(m.Raw, &j) == nil {
		if j.ArtifactType != "" {
			odd = append(odd, fmt.Sprintf("it is an artifact of type %q", j.ArtifactType))
		}
		if j.Subject != nil {
			odd = append(odd, "it refers to a subject, "+string(j.Subject.Digest))
		}
	}
	if m.Node.Config != nil && !slices.Contains(imageConfigs, m.Node.Config.MediaType) {
		odd = append(odd, fmt.Sprintf("its config is a %q and no image config", m.Node.Config.MediaType))
	}
	for _, d := range m.Node.Layers {
		if !isLayer(d.MediaType) {
			odd = append(odd, fmt.Sprintf("its layer %s is a %q", d.Digest, d.MediaType))
		}
	}
	for _, d := range m.Node.Manifests {
		if kind := d.Annotations["vnd.docker.reference.type"]; kind != "" {
			odd = append(odd, fmt.Sprintf("its entry %s is an %s", d.Digest, kind))
		} else if !manifest.IsManifest(d.MediaType) {
			odd = append(odd, fmt.Sprintf("its entry %s is a %q", d.Digest, d.MediaType))
		}
	}
	return odd
}

// isLayer tells layers of file systems, of either specification.
func isLayer(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.")
}
