package manifest

import (
	"bytes"
	_ "crypto/sha256" // go-digest computes only what is linked
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// A Bundle is a root with its table, checked, and what follows from them.
// It must not be changed.
type Bundle struct {
	Root  ocispec.Descriptor // of the root manifest; its digest is the bundle's identity
	Table *Table

	tableDesc ocispec.Descriptor
	rootRaw   []byte
	tableRaw  string
	index     []byte
	listed    blobList
	sets      []set
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
	size := make(map[digest.Digest]int64, len(t.Blobs))
	for _, b := range t.Blobs {
		size[b.Digest] = b.Size
	}
	sets, err := t.sets(func(d digest.Digest) int64 { return size[d] })
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
	raw, err := encode(t)
	if err != nil {
		return nil, err
	}
	if len(raw) > MaxTable {
		return nil, tooLarge("table", len(raw))
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return assemble(&t, string(raw), rootOf(raw), sets)
}

// Open reads a bundle from the bytes of its root and table. Both must be in
// canonical form and agree with each other; anything else is an error. The table is
// kept, as the strings of what is read are parts of it.
func Open(rootRaw []byte, tableRaw string) (*Bundle, error) {
	root, err := DecodeRoot(rootRaw)
	if err != nil {
		return nil, err
	}
	if got := tableDescriptor(tableRaw).Digest; got != root.Config.Digest {
		return nil, fmt.Errorf("table: content hashes to %s, the root wants %s", got, root.Config.Digest)
	}
	t, err := DecodeTable(tableRaw)
	if err != nil {
		return nil, err
	}
	if err := t.check(); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	sets, err := t.sets(t.listed().size)
	if err != nil {
		return nil, err
	}
	return assemble(t, tableRaw, rootRaw, sets)
}

// assemble computes everything that follows from root and table, which was checked.
func assemble(t *Table, tableRaw string, rootRaw []byte, sets []set) (*Bundle, error) {
	b := &Bundle{
		Root:      ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: digest.FromBytes(rootRaw), Size: int64(len(rootRaw)), ArtifactType: ArtifactTypeBundle},
		Table:     t,
		tableDesc: tableDescriptor(tableRaw),
		rootRaw:   rootRaw,
		tableRaw:  tableRaw,
		listed:    t.listed(),
		sets:      sets,
	}
	if err := b.lists(emptyDescriptor()); err != nil {
		return nil, fmt.Errorf("table: the empty JSON: %w", err)
	}
	for _, s := range sets {
		if err := b.lists(s.desc); err != nil {
			return nil, fmt.Errorf("table: the artifact manifest of %s: %w", s.ref, err)
		}
	}
	if err := b.makeIndex(); err != nil {
		return nil, err
	}
	return b, nil
}

// lists says why a blob that follows from the table is not listed as New would: as itself,
// or as what else the same bytes are.
func (b *Bundle) lists(d ocispec.Descriptor) error {
	e, ok := b.listed.find(d.Digest)
	switch {
	case !ok:
		return fmt.Errorf("blob %s is not listed", d.Digest)
	case e.Size != d.Size || compareTypes(d.MediaType, e.MediaType) < 0:
		return fmt.Errorf("blob %s is listed as %d bytes of %s, it is %d bytes of %s", d.Digest, e.Size, e.MediaType, d.Size, d.MediaType)
	}
	return nil
}

// makeIndex writes index.json, entry by entry: there may be many.
func (b *Bundle) makeIndex() error {
	var out bytes.Buffer
	fmt.Fprintf(&out, `{"schemaVersion":2,"mediaType":%q,"manifests":[`, ocispec.MediaTypeImageIndex)
	names := make(map[string]bool, len(b.Table.Images))
	add := func(d ocispec.Descriptor, artifactType, name string) error {
		if d.ArtifactType = artifactType; name != "" {
			d.Annotations = map[string]string{ocispec.AnnotationRefName: name}
			out.WriteByte(',')
		}
		raw, err := encode(d)
		out.Write(raw)
		return err
	}
	if err := add(b.Root, ArtifactTypeBundle, ""); err != nil {
		return err
	}
	for _, m := range b.Table.Images {
		names[m.Name] = true
		d, _ := b.Blob(m.Digest)
		if err := add(d, "", m.Name); err != nil {
			return err
		}
	}
	for _, s := range b.sets {
		if names[s.ref] {
			return fmt.Errorf("table: index.json would have the name %s twice", s.ref)
		}
		names[s.ref] = true
		if err := add(s.desc, s.artifactType, s.ref); err != nil {
			return err
		}
	}
	out.WriteString("]}")
	if b.index = out.Bytes(); len(b.index) > MaxTable {
		return tooLarge("index.json", len(b.index))
	}
	return nil
}

// Index returns the bytes of the archive's index.json.
func (b *Bundle) Index() []byte { return b.index }

// Blobs lists every blob of the archive in archive order: the root, the other JSON
// blobs by digest (the table among them), the remaining blobs by digest.
func (b *Bundle) Blobs() []ocispec.Descriptor { return slices.Collect(b.EachBlob()) }

// NumBlobs returns how many blobs the archive has.
func (b *Bundle) NumBlobs() int { return len(b.Table.Blobs) + 2 }

// EachBlob yields every blob in the order of Blobs.
func (b *Bundle) EachBlob() iter.Seq[ocispec.Descriptor] {
	return func(yield func(ocispec.Descriptor) bool) {
		if d, _ := b.Blob(b.Root.Digest); !yield(d) {
			return
		}
		table, told := blobOf(b.tableDesc), false
		for _, e := range b.Table.Blobs {
			if !told && compareBlobs(table, e) < 0 {
				if told = true; !yield(b.tableDesc) {
					return
				}
			}
			if !yield(e.Descriptor()) {
				return
			}
		}
		if !told {
			yield(b.tableDesc)
		}
	}
}

// Blob returns the descriptor of a carried blob.
func (b *Bundle) Blob(d digest.Digest) (ocispec.Descriptor, bool) {
	switch d {
	case b.Root.Digest:
		root := b.Root
		root.ArtifactType = ""
		return root, true
	case b.tableDesc.Digest:
		return b.tableDesc, true
	}
	e, ok := b.listed.find(d)
	if !ok {
		return ocispec.Descriptor{}, false
	}
	return e.Descriptor(), true
}

// Generated returns the blobs that follow from the table alone, by digest: the root,
// the table, the empty config and the artifact manifests of RPM sets, files and charts.
// They are made anew by each call.
func (b *Bundle) Generated() map[digest.Digest][]byte {
	all := map[digest.Digest][]byte{
		b.Root.Digest: b.rootRaw, b.tableDesc.Digest: []byte(b.tableRaw), emptyDescriptor().Digest: emptyJSON,
	}
	m := setMaker{size: b.listed.size, take: func(s set, raw []byte) { all[s.desc.Digest] = raw }}
	if err := m.sets(b.Table); err != nil {
		panic(err) // they were made once
	}
	return all
}

// Ours lists the digests of what Generated returns.
func (b *Bundle) Ours() map[digest.Digest]bool {
	all := map[digest.Digest]bool{b.Root.Digest: true, b.tableDesc.Digest: true, emptyDescriptor().Digest: true}
	for _, s := range b.sets {
		all[s.desc.Digest] = true
	}
	return all
}

// TableDescriptor returns the descriptor of the table.
func (b *Bundle) TableDescriptor() ocispec.Descriptor { return b.tableDesc }

func tableDescriptor(raw string) ocispec.Descriptor {
	d := digest.Canonical.Digester()
	_, _ = io.Copy(d.Hash(), io.LimitReader(strings.NewReader(raw), int64(len(raw)))) // in parts: a copy would be large
	return ocispec.Descriptor{MediaType: MediaTypeTable, Digest: d.Digest(), Size: int64(len(raw))}
}
