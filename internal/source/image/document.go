package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/manifest"
)

// acceptTypes are the media types that are asked for, and the only ones that come through.
var acceptTypes = []string{
	ocispec.MediaTypeImageIndex, manifest.MediaTypeDockerList,
	ocispec.MediaTypeImageManifest, manifest.MediaTypeDockerManifest,
}

// A document is a manifest or an index, verified.
type document struct {
	desc ocispec.Descriptor // media type, digest and size, nothing else
	raw  []byte
	node *manifest.ImageNode
}

// newDocument checks raw against the digest want (empty: none is known yet) and
// finds its media type; declared is what the index or the server said.
func newDocument(place string, raw []byte, want digest.Digest, declared string) (document, error) {
	alg := digest.Canonical
	if want != "" {
		alg = want.Algorithm()
	}
	desc := ocispec.Descriptor{Digest: alg.FromBytes(raw), Size: int64(len(raw))}
	if want != "" && desc.Digest != want {
		wanted := ocispec.Descriptor{MediaType: declared, Digest: want, Size: desc.Size}
		return document{}, fmt.Errorf("%s: %w", place, &digestio.MismatchError{Want: wanted, Got: desc.Digest, GotBytes: desc.Size})
	}
	var err error
	if desc.MediaType, err = mediaTypeOf(raw, declared); err != nil {
		return document{}, &ContentError{Place: place, Err: err}
	}
	node, err := manifest.ParseImage(desc.MediaType, raw)
	if err != nil {
		return document{}, &ContentError{Place: place, Err: err}
	}
	return document{desc: desc, raw: raw, node: node}, nil
}

// mediaTypeOf returns the media type of a manifest or index. The body's own
// word is under the digest and comes first; what it leaves open is taken from
// declared, else from its form.
func mediaTypeOf(raw []byte, declared string) (string, error) {
	if t, _, err := mime.ParseMediaType(declared); err == nil {
		declared = t
	}
	if err := manifest.Unambiguous(raw); err != nil {
		return "", err
	}
	var body struct {
		MediaType string          `json:"mediaType"`
		Manifests json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &body); err != nil {
		return "", err
	}
	known := slices.Contains(acceptTypes, declared)
	switch {
	case body.MediaType != "" && known && body.MediaType != declared:
		return "", fmt.Errorf("media type confusion: announced as %s, says itself that it is %s", declared, body.MediaType)
	case body.MediaType != "":
		return body.MediaType, nil
	case known:
		return declared, nil
	case body.Manifests != nil:
		return ocispec.MediaTypeImageIndex, nil
	}
	return ocispec.MediaTypeImageManifest, nil
}

// readDocument is digestio.ReadCapped with errors that name the place.
func readDocument(place string, r io.Reader, size, limit int64) ([]byte, error) {
	raw, err := digestio.ReadCapped(r, size, limit)
	if _, long := errors.AsType[*digestio.LimitError](err); long {
		return nil, &ContentError{Place: place, Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", place, err)
	}
	return raw, nil
}

// checkSize refuses a blob whose known length is not the promised one.
func checkSize(place string, desc ocispec.Descriptor, got int64) error {
	if got == desc.Size {
		return nil
	}
	return fmt.Errorf("%s: %w", place, &digestio.MismatchError{Want: desc, GotBytes: got})
}
