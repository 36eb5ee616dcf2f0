package manifest

import (
	"iter"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A set is one artifact manifest that lists RPMs, files or a chart.
type set struct {
	ref, artifactType string
	desc              ocispec.Descriptor
}

// A setMaker makes sets and numbers their parts.
type setMaker struct {
	size func(digest.Digest) int64
	take func(s set, raw []byte)
}

// sets makes the artifact manifests of the table's RPM repositories, files and charts.
func (t *Table) sets(size func(digest.Digest) int64) (all []set, err error) {
	m := setMaker{size, func(s set, _ []byte) { all = append(all, s) }}
	return all, m.sets(t)
}

// sets makes all sets. Metadata stands behind the RPMs of its repository.
func (m *setMaker) sets(t *Table) error {
	metadata := map[string][]Metadata{}
	for _, s := range t.Metadata {
		metadata[s.Repo] = append(metadata[s.Repo], s)
	}
	for rpms := range runs(t.RPMs, func(r RPM) string { return r.Repo }) {
		extra := metadata[rpms[0].Repo]
		err := m.add("rpms/"+rpms[0].Repo, ArtifactTypeRPMs, len(rpms)+len(extra), func(i int) ocispec.Descriptor {
			if i >= len(rpms) {
				s := extra[i-len(rpms)]
				return m.layer(s.MediaType(), s.Path(), s.Digest)
			}
			return m.layer(MediaTypeRPM, rpms[i].Path(), rpms[i].Digest)
		})
		if err != nil {
			return err
		}
	}
	if err := m.add("files", ArtifactTypeFiles, len(t.Files), func(i int) ocispec.Descriptor {
		return m.layer(MediaTypeFile, t.Files[i].Path, t.Files[i].Digest)
	}); err != nil {
		return err
	}
	for charts := range runs(t.Charts, func(c Chart) string { return c.Name }) {
		err := m.add("charts/"+charts[0].Name, ArtifactTypeChart, len(charts), func(i int) ocispec.Descriptor {
			return m.layer(MediaTypeChart, charts[i].File(), charts[i].Digest)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// runs yields the parts of a sorted list that agree in key.
func runs[T any](list []T, key func(T) string) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for len(list) > 0 {
			end := slices.IndexFunc(list, func(one T) bool { return key(one) != key(list[0]) })
			if end < 0 {
				end = len(list)
			}
			if !yield(list[:end]) {
				return
			}
			list = list[end:]
		}
	}
}

func (m *setMaker) layer(mediaType, title string, d digest.Digest) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: m.size(d), Annotations: map[string]string{ocispec.AnnotationTitle: title}}
}

// add cuts a list of n layers into parts. No layers make no set.
func (m *setMaker) add(ref, artifactType string, n int, layer func(i int) ocispec.Descriptor) error {
	for part, start := 1, 0; start < n; part, start = part+1, start+maxSetLayers {
		name := ref
		if part > 1 {
			name += "+" + strconv.Itoa(part)
		}
		layers := make([]ocispec.Descriptor, min(maxSetLayers, n-start))
		for i := range layers {
			layers[i] = layer(start + i)
		}
		raw, err := encode(ocispec.Manifest{
			Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
			ArtifactType: artifactType, Config: emptyDescriptor(), Layers: layers,
		})
		if err != nil {
			return err
		}
		desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
		m.take(set{name, artifactType, desc}, raw)
	}
	return nil
}
