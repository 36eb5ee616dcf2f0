package manifest

import (
	"cmp"
	_ "crypto/sha256" // go-digest computes only what is linked
	"fmt"
	"iter"
	"slices"
	"strconv"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Bundle is a root with its table, checked, and what follows from them.
// It must not be changed.
type Bundle struct {
	Root  ocispec.Descriptor // of the root manifest; its digest is the bundle's identity
	Table *Table

	tableDesc ocispec.Descriptor
	index     []byte
	generated map[digest.Digest][]byte
	blobs     []ocispec.Descriptor
	byDigest  map[digest.Digest]ocispec.Descriptor
}

// emptyJSON is the config of artifact manifests that need none
// (OCI image-spec 1.1, manifest.md, "Guidance for an Empty Descriptor").
var emptyJSON = []byte("{}")

func emptyDescriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: ocispec.MediaTypeEmptyJSON, Digest: digest.FromBytes(emptyJSON), Size: int64(len(emptyJSON))}
}

// New makes the bundle of a table that lists the artifacts and, in Blobs, what they
// consist of, in any order. The artifact manifests of RPM sets, files and charts are
// added to Blobs, lists are sorted, and everything is checked. The table is not
// shared with the caller's slices that had to be sorted.
func New(t Table) (*Bundle, error) {
	t.sort()
	sets, err := t.sets()
	if err != nil {
		return nil, err
	}
	add := []Blob{blobOf(emptyDescriptor())}
	for _, s := range sets {
		add = append(add, blobOf(s.desc))
	}
	t.Blobs = append(slices.Clone(t.Blobs), add...)
	if err := t.sortBlobs(); err != nil {
		return nil, err
	}
	tableRaw, err := encode(t)
	if err != nil {
		return nil, err
	}
	return assemble(&t, tableRaw, rootOf(tableRaw), sets)
}

// Open reads a bundle from the bytes of its root and table. Both must be in
// canonical form and agree with each other; anything else is an error.
func Open(rootRaw, tableRaw []byte) (*Bundle, error) {
	root, err := DecodeRoot(rootRaw)
	if err != nil {
		return nil, err
	}
	if got := digest.FromBytes(tableRaw); got != root.Config.Digest {
		return nil, fmt.Errorf("table: content hashes to %s, the root wants %s", got, root.Config.Digest)
	}
	t, err := DecodeTable(tableRaw)
	if err != nil {
		return nil, err
	}
	sets, err := t.sets()
	if err != nil {
		return nil, err
	}
	return assemble(t, tableRaw, rootRaw, sets)
}

// assemble computes everything that follows from root and table.
func assemble(t *Table, tableRaw, rootRaw []byte, sets []set) (*Bundle, error) {
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	b := &Bundle{
		Root:      ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(rootRaw), Size: int64(len(rootRaw)), ArtifactType: ArtifactTypeBundle},
		Table:     t,
		tableDesc: tableDescriptor(tableRaw),
		byDigest:  make(map[digest.Digest]ocispec.Descriptor, len(t.Blobs)+2),
		generated: map[digest.Digest][]byte{},
	}
	b.generated[b.Root.Digest] = rootRaw
	b.generated[b.tableDesc.Digest] = tableRaw
	b.generated[emptyDescriptor().Digest] = emptyJSON
	for _, s := range sets {
		b.generated[s.desc.Digest] = s.raw
	}
	for _, e := range t.Blobs {
		b.byDigest[e.Digest] = e.Descriptor()
	}
	want := []ocispec.Descriptor{emptyDescriptor()}
	for _, s := range sets {
		want = append(want, s.desc)
	}
	for _, d := range want {
		// New would list it so: as itself, or as what else the same bytes are.
		e, ok := b.byDigest[d.Digest]
		switch {
		case !ok:
			return nil, fmt.Errorf("table: blob %s is not listed", d.Digest)
		case e.Size != d.Size || compareTypes(d.MediaType, e.MediaType) < 0:
			return nil, fmt.Errorf("table: blob %s is listed as %d bytes of %s, it is %d bytes of %s", d.Digest, e.Size, e.MediaType, d.Size, d.MediaType)
		}
	}
	b.orderBlobs()
	if err := b.makeIndex(sets); err != nil {
		return nil, err
	}
	return b, nil
}

// orderBlobs puts the root first, then JSON blobs with the table among them, then the rest.
func (b *Bundle) orderBlobs() {
	rootBlob := b.Root
	rootBlob.ArtifactType = ""
	b.byDigest[b.Root.Digest], b.byDigest[b.tableDesc.Digest] = rootBlob, b.tableDesc
	all := append(slices.Clone(b.Table.Blobs), blobOf(b.tableDesc))
	slices.SortFunc(all, compareBlobs)
	b.blobs = []ocispec.Descriptor{rootBlob}
	for _, e := range all {
		b.blobs = append(b.blobs, e.Descriptor())
	}
}

func (b *Bundle) makeIndex(sets []set) error {
	ix := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	ix.Manifests = append(ix.Manifests, b.Root)
	names := map[string]bool{}
	for _, m := range b.Table.Images {
		names[m.Name] = true
		d := b.byDigest[m.Digest]
		d.Annotations = map[string]string{ocispec.AnnotationRefName: m.Name}
		ix.Manifests = append(ix.Manifests, d)
	}
	for _, s := range sets {
		if names[s.ref] {
			return fmt.Errorf("table: index.json would have the name %s twice", s.ref)
		}
		names[s.ref] = true
		d := s.desc
		d.ArtifactType = s.artifactType
		d.Annotations = map[string]string{ocispec.AnnotationRefName: s.ref}
		ix.Manifests = append(ix.Manifests, d)
	}
	var err error
	b.index, err = encode(ix)
	return err
}

// Index returns the bytes of the archive's index.json.
func (b *Bundle) Index() []byte { return b.index }

// Blobs lists every blob of the archive in archive order: the root, the other JSON
// blobs by digest (the table among them), the remaining blobs by digest.
func (b *Bundle) Blobs() []ocispec.Descriptor { return b.blobs }

// Blob returns the descriptor of a carried blob.
func (b *Bundle) Blob(d digest.Digest) (ocispec.Descriptor, bool) {
	desc, ok := b.byDigest[d]
	return desc, ok
}

// Generated returns the blobs that follow from the table alone, by digest: the root,
// the table, the empty config and the artifact manifests of RPM sets, files and charts.
func (b *Bundle) Generated() map[digest.Digest][]byte { return b.generated }

// TableDescriptor returns the descriptor of the table.
func (b *Bundle) TableDescriptor() ocispec.Descriptor { return b.tableDesc }

// A set is one artifact manifest that lists RPMs, files or a chart.
type set struct {
	ref, artifactType string
	desc              ocispec.Descriptor
	raw               []byte
}

// A setMaker makes sets and numbers their parts.
type setMaker struct {
	size map[digest.Digest]int64
	all  []set
}

// sets makes the artifact manifests of the table's RPM repositories, files and charts.
// Metadata stands behind the RPMs of its repository.
func (t *Table) sets() ([]set, error) {
	m := setMaker{size: make(map[digest.Digest]int64, len(t.Blobs))}
	for _, b := range t.Blobs {
		m.size[b.Digest] = b.Size
	}
	metadata := map[string][]Metadata{}
	for _, s := range t.Metadata {
		metadata[s.Repo] = append(metadata[s.Repo], s)
	}
	for rpms := range runs(t.RPMs, func(r RPM) string { return r.Repo }) {
		var layers []ocispec.Descriptor
		for _, r := range rpms {
			layers = append(layers, m.layer(MediaTypeRPM, r.Path(), r.Digest))
		}
		for _, s := range metadata[rpms[0].Repo] {
			layers = append(layers, m.layer(s.MediaType(), s.Path(), s.Digest))
		}
		if err := m.add("rpms/"+rpms[0].Repo, ArtifactTypeRPMs, layers); err != nil {
			return nil, err
		}
	}
	var layers []ocispec.Descriptor
	for _, f := range t.Files {
		layers = append(layers, m.layer(MediaTypeFile, f.Path, f.Digest))
	}
	if err := m.add("files", ArtifactTypeFiles, layers); err != nil {
		return nil, err
	}
	for charts := range runs(t.Charts, func(c Chart) string { return c.Name }) {
		var layers []ocispec.Descriptor
		for _, c := range charts {
			layers = append(layers, m.layer(MediaTypeChart, c.File(), c.Digest))
		}
		if err := m.add("charts/"+charts[0].Name, ArtifactTypeChart, layers); err != nil {
			return nil, err
		}
	}
	return m.all, nil
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
	return ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: m.size[d], Annotations: map[string]string{ocispec.AnnotationTitle: title}}
}

// add cuts a list into parts. No layers make no set.
func (m *setMaker) add(ref, artifactType string, layers []ocispec.Descriptor) error {
	part := 0
	for chunk := range slices.Chunk(layers, maxSetLayers) {
		name := ref
		if part++; part > 1 {
			name += "+" + strconv.Itoa(part)
		}
		s, err := newSet(name, artifactType, chunk)
		if err != nil {
			return err
		}
		m.all = append(m.all, s)
	}
	return nil
}

func newSet(ref, artifactType string, layers []ocispec.Descriptor) (set, error) {
	raw, err := encode(ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: artifactType, Config: emptyDescriptor(), Layers: layers,
	})
	if err != nil {
		return set{}, err
	}
	desc := ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return set{ref, artifactType, desc, raw}, nil
}

func tableDescriptor(raw []byte) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: MediaTypeTable, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
}

func blobOf(d ocispec.Descriptor) Blob { return Blob{d.MediaType, d.Digest, d.Size} }

// compareBlobs is the archive order of all blobs but the root.
func compareBlobs(a, b Blob) int {
	if ja, jb := IsJSON(a.MediaType, a.Size), IsJSON(b.MediaType, b.Size); ja != jb {
		if ja {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.Digest, b.Digest)
}
