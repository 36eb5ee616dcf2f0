package manifest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// encode is the one JSON form of the format: struct order, no white space, no
// HTML escapes, map keys sorted, no trailing newline.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// decode reads what encode wrote and nothing else: the value is encoded again and
// must give the same bytes, which refuses duplicate and case-folded keys, unknown
// members, white space, other number forms and trailing data in one stroke.
func decode(what string, raw []byte, v any) error {
	if len(raw) > MaxRoot {
		return fmt.Errorf("%s: %d bytes, more than the %d allowed", what, len(raw), MaxRoot)
	}
	if hollow(raw) {
		return fmt.Errorf("%s: not in canonical form: more entries than its length can fill", what)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: data follows the JSON value", what)
	}
	again, err := encode(v)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if !bytes.Equal(raw, again) {
		return fmt.Errorf("%s: not in canonical form, first difference at byte %d", what, firstDifference(raw, again))
	}
	return nil
}

// hollow says whether a document holds so many empty objects or strings that decoding it
// would take many times its length in memory. Nearly every object of a table has a digest.
func hollow(raw []byte) bool {
	room := len(raw) + 64<<10
	return bytes.Count(raw, []byte("{"))*64 > room || bytes.Count(raw, []byte(","))*8 > room
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// rootOf returns the bytes of the root manifest over a table.
func rootOf(tableRaw []byte) []byte {
	raw, err := encode(rootManifest(tableDescriptor(tableRaw)))
	if err != nil {
		panic(err) // strings and integers only: cannot fail
	}
	return raw
}

func rootManifest(table ocispec.Descriptor) ocispec.Manifest {
	return ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		ArtifactType: ArtifactTypeBundle, Config: table, Layers: []ocispec.Descriptor{emptyDescriptor()},
	}
}

// ErrNotRoot says that a manifest is well-formed but is not the root of a bundle.
var ErrNotRoot = errors.New("not the root of an airbundle")

// DecodeRoot reads a root manifest; its Config is the descriptor of the table. The
// error is ErrNotRoot when raw is some other JSON document.
func DecodeRoot(raw []byte) (*ocispec.Manifest, error) {
	var probe struct {
		ArtifactType string `json:"artifactType"`
	}
	if err := json.Unmarshal(raw, &probe); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if probe.ArtifactType != ArtifactTypeBundle {
		return nil, fmt.Errorf("artifact type %q: %w", probe.ArtifactType, ErrNotRoot)
	}
	var m ocispec.Manifest
	if err := decode("root", raw, &m); err != nil {
		return nil, err
	}
	if err := CheckDigest(m.Config.Digest); err != nil {
		return nil, fmt.Errorf("root: config: digest %q %w", m.Config.Digest, err)
	}
	if m.Config.Size <= 0 || m.Config.Size > MaxRoot {
		return nil, fmt.Errorf("root: the table's size %d is not between 1 and %d", m.Config.Size, MaxRoot)
	}
	want, err := encode(rootManifest(ocispec.Descriptor{MediaType: MediaTypeTable, Digest: m.Config.Digest, Size: m.Config.Size}))
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(want, raw) {
		return nil, fmt.Errorf("root: not the form of version 1, first difference at byte %d; a newer airbundle may have written it", firstDifference(raw, want))
	}
	return &m, nil
}

// DecodeTable reads a table strictly. It does not check what only the whole bundle
// can tell; use Open for that.
func DecodeTable(raw []byte) (*Table, error) {
	t := new(Table)
	if err := decode("table", raw, t); err != nil {
		return nil, err
	}
	return t, nil
}

// rootFile is the form of a root written to a file of its own.
type rootFile struct {
	Root  json.RawMessage `json:"root"`
	Table json.RawMessage `json:"table"`
}

// EncodeRootFile returns root and table as one JSON document: all that an audit
// needs when the archive itself has left.
func (b *Bundle) EncodeRootFile() []byte {
	var out bytes.Buffer
	out.WriteString(`{"root":`)
	out.Write(b.generated[b.Root.Digest])
	out.WriteString(`,"table":`)
	out.Write(b.generated[b.tableDesc.Digest])
	out.WriteString("}\n")
	return out.Bytes()
}

// OpenRootFile reads what EncodeRootFile wrote.
func OpenRootFile(raw []byte) (*Bundle, error) {
	var f rootFile
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("root file: %w", err)
	}
	b, err := Open(f.Root, f.Table)
	if err != nil {
		return nil, fmt.Errorf("root file: %w", err)
	}
	if !bytes.Equal(raw, b.EncodeRootFile()) {
		return nil, errors.New("root file: not in canonical form")
	}
	return b, nil
}

// sort puts every list but the blobs into the table's order, on fresh slices. A group or
// absence that was said twice is kept once.
func (t *Table) sort() {
	t.Arches = slices.Sorted(slices.Values(t.Arches))
	t.Groups = slices.Compact(slices.Sorted(slices.Values(t.Groups)))
	t.Images = slices.SortedFunc(slices.Values(t.Images), compareImages)
	for i := range t.Images {
		m := &t.Images[i]
		m.Platforms = slices.SortedFunc(slices.Values(m.Platforms), func(a, b Platform) int { return cmp.Compare(a.Platform, b.Platform) })
	}
	t.RPMs = slices.SortedFunc(slices.Values(t.RPMs), compareRPMs)
	t.Files = slices.SortedFunc(slices.Values(t.Files), compareFiles)
	t.Charts = slices.SortedFunc(slices.Values(t.Charts), compareCharts)
	t.Metadata = slices.SortedFunc(slices.Values(t.Metadata), compareMetadata)
	t.Absent = slices.Compact(slices.SortedFunc(slices.Values(t.Absent), compareAbsent))
	t.Keys = slices.SortedFunc(slices.Values(t.Keys), compareKeys)
}

func compareImages(a, b Image) int { return cmp.Compare(a.Name, b.Name) }
func compareFiles(a, b File) int   { return cmp.Compare(a.Path, b.Path) }
func compareKeys(a, b Key) int     { return cmp.Compare(a.ID, b.ID) }
func compareCharts(a, b Chart) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
}

func compareMetadata(a, b Metadata) int {
	return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Type, b.Type))
}

func compareAbsent(a, b Absent) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Why, b.Why))
}

func compareRPMs(a, b RPM) int {
	return cmp.Or(cmp.Compare(a.Repo, b.Repo), cmp.Compare(a.Name, b.Name), cmp.Compare(a.EVR, b.EVR), cmp.Compare(a.Arch, b.Arch))
}

// sortBlobs sorts the blobs into archive order and merges equal ones. Of several media
// types of one digest the one that says most is kept, and among equals the bytewise
// first; two sizes are an error.
func (t *Table) sortBlobs() error {
	byDigest := make(map[digest.Digest]Blob, len(t.Blobs))
	for _, b := range t.Blobs {
		have, ok := byDigest[b.Digest]
		if ok && have.Size != b.Size {
			return fmt.Errorf("blob %s is said to have %d bytes and %d bytes", b.Digest, have.Size, b.Size)
		}
		if !ok || compareTypes(b.MediaType, have.MediaType) < 0 {
			byDigest[b.Digest] = b
		}
	}
	t.Blobs = t.Blobs[:0]
	for _, b := range byDigest {
		t.Blobs = append(t.Blobs, b)
	}
	slices.SortFunc(t.Blobs, compareBlobs)
	return nil
}

// compareTypes is negative when of two media types of one digest the first is kept.
func compareTypes(a, b string) int {
	return cmp.Or(cmp.Compare(vague(a), vague(b)), cmp.Compare(a, b))
}

// vague ranks media types: a manifest that is carried as a plain file, too, must stay a
// manifest, and JSON must stay JSON.
func vague(mediaType string) int {
	switch {
	case IsManifest(mediaType) || IsIndex(mediaType):
		return 0
	case strings.HasSuffix(mediaType, "+json"):
		return 1
	}
	return 2
}
