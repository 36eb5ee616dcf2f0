package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// An ImageNode is what an image manifest or index refers to.
type ImageNode struct {
	Config    *ocispec.Descriptor  // of an image manifest
	Layers    []ocispec.Descriptor // of an image manifest
	Manifests []ocispec.Descriptor // of an index
	Subject   *ocispec.Descriptor  // what an artifact or index is about; it need not be at hand

	ArtifactType string // empty when it says none
}

// Blobs returns config and layers.
func (n *ImageNode) Blobs() []ocispec.Descriptor {
	if n.Config == nil {
		return nil
	}
	return append([]ocispec.Descriptor{*n.Config}, n.Layers...)
}

// imageJSON has the members of manifests and indexes that decide what they are.
type imageJSON struct {
	SchemaVersion *int64               `json:"schemaVersion"`
	MediaType     *string              `json:"mediaType"`
	Config        *ocispec.Descriptor  `json:"config"`
	Layers        []ocispec.Descriptor `json:"layers"`
	Manifests     []ocispec.Descriptor `json:"manifests"`
	Subject       *ocispec.Descriptor  `json:"subject"`
	ArtifactType  string               `json:"artifactType"`
	FSLayers      json.RawMessage      `json:"fsLayers"`
}

// ParseImage reads an image manifest or index (OCI, or Docker schema 2) of the
// given media type. It refuses JSON that two decoders could read differently, Docker
// schema 1, a body that says another media type than its descriptor, a document that is
// both manifest and index, and descriptors without a media type or a sha256 digest, with a
// negative size, or with embedded data that is not what they describe. All problems are joined;
// when nothing but descriptors is wrong, the node comes with the error, without them.
func ParseImage(mediaType string, raw []byte) (*ImageNode, error) {
	if len(raw) > MaxImageJSON {
		return nil, fmt.Errorf("image JSON of %d bytes, more than the %d allowed", len(raw), MaxImageJSON)
	}
	if err := Unambiguous(raw); err != nil {
		return nil, fmt.Errorf("image JSON: %w", err)
	}
	var j imageJSON
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, fmt.Errorf("image JSON: %w", err)
	}
	if err := j.check(mediaType); err != nil {
		return nil, err
	}
	return j.node()
}

// node checks the descriptors and returns those that are good.
func (j *imageJSON) node() (*ImageNode, error) {
	var errs []error
	good := func(d ocispec.Descriptor) bool {
		err := checkDescriptor(d)
		if err != nil && len(errs) < maxJSONProblems {
			errs = append(errs, err)
		}
		return err == nil
	}
	one := func(d *ocispec.Descriptor) *ocispec.Descriptor {
		if d == nil || !good(*d) {
			return nil
		}
		return d
	}
	list := func(all []ocispec.Descriptor) []ocispec.Descriptor {
		return slices.DeleteFunc(all, func(d ocispec.Descriptor) bool { return !good(d) })
	}
	n := &ImageNode{Config: one(j.Config), Layers: list(j.Layers), Manifests: list(j.Manifests), Subject: one(j.Subject), ArtifactType: j.ArtifactType}
	return n, errors.Join(errs...)
}

// check says why a document is not what its media type says.
func (j *imageJSON) check(mediaType string) error {
	switch {
	case j.FSLayers != nil, j.SchemaVersion != nil && *j.SchemaVersion == 1:
		return errors.New("an image of schema version 1: only version 2 is carried; Docker schema 1 images must be pushed anew by their owner")
	case j.SchemaVersion == nil:
		return errors.New("no schemaVersion: it must be 2")
	case *j.SchemaVersion != 2:
		return fmt.Errorf("schemaVersion %d is not known, it must be 2", *j.SchemaVersion)
	case j.MediaType != nil && *j.MediaType != mediaType:
		return fmt.Errorf("the body says media type %q, its descriptor %q", *j.MediaType, mediaType)
	case j.Manifests != nil && (j.Config != nil || j.Layers != nil):
		return errors.New("the document is both an image manifest and an index")
	case IsIndex(mediaType):
		if j.Manifests == nil {
			return errors.New("an index without manifests")
		}
	case IsManifest(mediaType):
		if j.Config == nil {
			return errors.New("an image manifest without config")
		}
		if j.Layers == nil {
			return errors.New("an image manifest without layers")
		}
	default:
		return fmt.Errorf("media type %q is neither an image manifest nor an index", mediaType)
	}
	return nil
}

// checkDescriptor checks what a descriptor says of its content.
func checkDescriptor(d ocispec.Descriptor) error {
	if err := CheckDigest(d.Digest); err != nil {
		return fmt.Errorf("digest %q %w", d.Digest, err)
	}
	if err := CheckMediaType(d.MediaType); err != nil {
		return fmt.Errorf("descriptor %s: %q %w", d.Digest, d.MediaType, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("descriptor %s: size %d is negative", d.Digest, d.Size)
	}
	if d.Data != nil && (int64(len(d.Data)) != d.Size || digest.FromBytes(d.Data) != d.Digest) {
		return fmt.Errorf("descriptor %s: the data embedded in it is something else", d.Digest)
	}
	return nil
}

// LooksLikeImage says whether a document of an unknown media type has the members of
// a manifest or index, so that some reader may take it for one.
func LooksLikeImage(raw []byte) bool {
	var j struct {
		Config    json.RawMessage `json:"config"`
		Layers    json.RawMessage `json:"layers"`
		Manifests json.RawMessage `json:"manifests"`
		FSLayers  json.RawMessage `json:"fsLayers"`
	}
	if json.NewDecoder(bytes.NewReader(raw)).Decode(&j) != nil {
		return false
	}
	return j.Manifests != nil || j.FSLayers != nil || j.Config != nil && j.Layers != nil
}

// CheckLayoutFile says why raw is not the file oci-layout of a layout that can be read
// (OCI image-spec 1.1, image-layout.md).
func CheckLayoutFile(raw []byte) error {
	if err := checkJSON(raw, &layoutShape); err != nil {
		return err
	}
	var v ocispec.ImageLayout
	if err := json.Unmarshal(raw, &v); err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if v.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("layout version %q is not %s: a newer tool is needed", v.Version, ocispec.ImageLayoutVersion)
	}
	return nil
}

// PlatformOf returns os/architecture of a platform, with /variant behind it where there
// is one (linux/arm/v7); only arm64 is arm64 in any variant. The empty string means that
// there is none.
func PlatformOf(p *ocispec.Platform) string {
	if p == nil || p.OS == "" || p.Architecture == "" {
		return ""
	}
	s := p.OS + "/" + p.Architecture
	if p.Variant != "" && p.Architecture != "arm64" {
		s += "/" + p.Variant
	}
	return s
}

// ParsePlatform returns the platform of an image config as PlatformOf has it; the empty
// string when it says none. It refuses JSON that two decoders could read differently, as
// ParseImage does.
func ParsePlatform(config []byte) (string, error) {
	if err := checkJSON(config, &configShape); err != nil {
		return "", fmt.Errorf("image config: %w", err)
	}
	var p ocispec.Platform
	if err := json.Unmarshal(config, &p); err != nil {
		return "", fmt.Errorf("image config: %w", err)
	}
	return PlatformOf(&p), nil
}

// DeriveIndex returns an index of the same media type that holds only the entries
// whose digest keep names, in their order and unchanged, as canonical JSON:
// schemaVersion, mediaType, manifests. Annotations and subject of the original are
// not taken over. When every entry is kept, the original bytes are returned.
func DeriveIndex(mediaType string, raw []byte, keep map[digest.Digest]bool) ([]byte, error) {
	node, err := ParseImage(mediaType, raw)
	if err != nil {
		return nil, err
	}
	var j struct {
		Manifests []json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &j); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"schemaVersion":2,"mediaType":%q,"manifests":[`, mediaType)
	kept := 0
	for i, d := range node.Manifests {
		if !keep[d.Digest] {
			continue
		}
		if kept++; kept > 1 {
			out.WriteByte(',')
		}
		if err := json.Compact(&out, j.Manifests[i]); err != nil {
			return nil, err
		}
	}
	switch kept {
	case 0:
		return nil, errors.New("no platform of the index is left")
	case len(node.Manifests):
		return raw, nil
	}
	out.WriteString("]}")
	return out.Bytes(), nil
}
