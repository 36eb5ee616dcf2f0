package chart

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/digestio"
	"airbundle/internal/helm"
	"airbundle/internal/lockfile"
	"airbundle/internal/report"
	"airbundle/manifest"
)

const (
	ociScheme = "oci://"
	// configType marks a manifest as that of a chart (https://helm.sh/docs/topics/registries/).
	configType = "application/vnd.cncf.helm.config.v1+json"
)

// fromRegistry reads the chart that a reference HOST/PATH/NAME:TAG names now, and returns
// the URL of its manifest.
func (s *Source) fromRegistry(ctx context.Context, source string) (url string, archive []byte, err error) {
	name, err := nameOf(source)
	if err != nil {
		return "", nil, err
	}
	desc, err := s.o.Registry.Resolve(ctx, source)
	if err != nil {
		return "", nil, err
	}
	pinned := name + "@" + desc.Digest.String()
	layer, err := s.layer(ctx, pinned, desc.Digest)
	if err != nil {
		return "", nil, err
	}
	rc, err := s.o.Registry.Blob(ctx, pinned, layer)
	if err != nil {
		return "", nil, err
	}
	defer rc.Close()
	archive, err = digestio.ReadAll(rc, layer, helm.MaxArchive)
	if err != nil {
		return "", nil, fmt.Errorf("chart %s: %w", pinned, err)
	}
	return ociScheme + pinned, archive, nil
}

// nameOf is HOST/PATH/NAME of a reference. Docker would complete a name without a
// host to one of its hub; here that is a mistake.
func nameOf(source string) (string, error) {
	ref, err := reference.ParseNormalizedNamed(source)
	if err != nil || !strings.HasPrefix(source, ref.Name()) {
		return "", report.WithClass(report.ClassUsage, fmt.Errorf("oci://%.200q names no chart, want oci://HOST/PATH/NAME; names in a registry are lower case", source))
	}
	return ref.Name(), nil
}

// layer returns the descriptor of the archive in a chart's manifest.
func (s *Source) layer(ctx context.Context, source string, d digest.Digest) (ocispec.Descriptor, error) {
	raw, mediaType, err := s.o.Registry.Manifest(ctx, source, d)
	if err != nil {
		return ocispec.Descriptor{}, err
	}
	node, err := manifest.ParseImage(mediaType, raw)
	if err != nil {
		return ocispec.Descriptor{}, badContent("chart %s: %w", source, err)
	}
	if node.Config == nil || node.Config.MediaType != configType {
		return ocispec.Descriptor{}, badContent("%s is no chart: its manifest has no config of type %s", source, configType)
	}
	var found []ocispec.Descriptor
	for _, l := range node.Layers { // a provenance file may be there as well
		if l.MediaType == manifest.MediaTypeChart {
			found = append(found, l)
		}
	}
	if len(found) != 1 {
		return ocispec.Descriptor{}, badContent("chart %s has %d layers of type %s, want one", source, len(found), manifest.MediaTypeChart)
	}
	return found[0], nil
}

// openPinned opens the archive in the manifest HOST/PATH/NAME@DIGEST.
func (s *Source) openPinned(ctx context.Context, source string, want ocispec.Descriptor) (io.ReadCloser, error) {
	_, d, _ := strings.Cut(source, "@")
	layer, err := s.layer(ctx, source, digest.Digest(d))
	if err != nil {
		return nil, err
	}
	if layer.Digest != want.Digest || layer.Size != want.Size {
		return nil, badContent("the manifest %s holds the chart %s (%d bytes), the lock says %s (%d bytes)", source, layer.Digest, layer.Size, want.Digest, want.Size)
	}
	return s.o.Registry.Blob(ctx, source, layer)
}

// checkChart says whether an archive is the chart that is wanted.
func checkChart(archive []byte, w lockfile.ChartWish) error {
	return helm.Check(bytes.NewReader(archive), w.Name, w.Version)
}
