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

// decodeRoot reads what encode wrote and nothing else: the value is encoded again and
// must give the same bytes, which refuses duplicate and case-folded keys, unknown
// members, white space, other number forms and trailing data in one stroke.
func decodeRoot(raw []byte, m *ocispec.Manifest) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("root: data follows the JSON value")
	}
	again, err := encode(m)
	if err != nil {
		return fmt.Errorf("root: %w", err)
	}
	if !bytes.Equal(raw, again) {
		return fmt.Errorf("root: not in canonical form, first difference at byte %d", firstDifference(raw, again))
	}
	return nil
}

// hollow says whether a document holds so many empty objects or strings that decoding it
// would take many times its length in memory. Nearly every object of a table has a digest.
func hollow(raw string) bool {
	room := len(raw) + 64<<10
	return strings.Count(raw, "{")*64 > room || strings.Count(raw, ",")*8 > room
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
	raw, err := encode(rootManifest(tableDescriptor(string(tableRaw))))
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

// A VersionError says that a bundle is of a version that is not known here.
type VersionError struct{ ArtifactType string }

func (e *VersionError) Error() string {
	return fmt.Sprintf("artifact type %q: a newer airbundle made this bundle; %s", e.ArtifactType, e.Advice())
}

// Advice says what to do, for reports.
func (*VersionError) Advice() string { return "use an airbundle as new as the one that built it" }

// anyVersion begins the artifact type of roots of any version.
var anyVersion = strings.TrimSuffix(ArtifactTypeBundle, "1")

// DecodeRoot reads a root manifest; its Config is the descriptor of the table. The
// error is ErrNotRoot when raw is some other JSON document, and a *VersionError when it is
// the root of another version.
func DecodeRoot(raw []byte) (*ocispec.Manifest, error) {
	if len(raw) > MaxRootManifest {
		return nil, fmt.Errorf("root: %d bytes, more than the %d allowed", len(raw), MaxRootManifest)
	}
	var probe struct {
		ArtifactType string `json:"artifactType"`
	}
	if err := json.Unmarshal(raw, &probe); err != nil {
		return nil, fmt.Errorf("root: %w", err)
	}
	if t := probe.ArtifactType; t != ArtifactTypeBundle && strings.HasPrefix(t, anyVersion) {
		return nil, &VersionError{t}
	}
	if probe.ArtifactType != ArtifactTypeBundle {
		return nil, fmt.Errorf("artifact type %q: %w", probe.ArtifactType, ErrNotRoot)
	}
	var m ocispec.Manifest
	if err := decodeRoot(raw, &m); err != nil {
		return nil, err
	}
	if err := CheckDigest(m.Config.Digest); err != nil {
		return nil, fmt.Errorf("root: config: digest %q %w", m.Config.Digest, err)
	}
	if m.Config.Size <= 0 || m.Config.Size > MaxTable {
		return nil, fmt.Errorf("root: the table's size %d is not between 1 and %d", m.Config.Size, MaxTable)
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
// can tell; use Open for that. The strings of the table are parts of raw.
func DecodeTable(raw string) (*Table, error) {
	if len(raw) > MaxTable {
		return nil, tooLarge("table", len(raw))
	}
	if hollow(raw) {
		return nil, errors.New("table: not in canonical form: more entries than its length can fill")
	}
	t := new(Table)
	if err := decodeCanonical(raw, t); err != nil {
		return nil, fmt.Errorf("table: %w", err)
	}
	return t, nil
}

// A SizeError says that a bundle has more artifacts than one root can list.
type SizeError struct {
	What  string // table or index.json
	Bytes int
}

func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: %d bytes, more than the %d allowed: %s", e.What, e.Bytes, MaxTable, e.Advice())
}

// Advice says what to do, for reports.
func (*SizeError) Advice() string { return "split the lock, or build in parts by arch or group" }

func tooLarge(what string, size int) error { return &SizeError{what, size} }

// A root file is root and table in one JSON document.
const rootFileStart, rootFileMiddle, rootFileEnd = `{"root":`, `,"table":`, "}\n"

// EncodeRootFile returns root and table as one JSON document: all that an audit
// needs when the archive itself has left.
func (b *Bundle) EncodeRootFile() []byte {
	return []byte(rootFileStart + string(b.rootRaw) + rootFileMiddle + b.tableRaw + rootFileEnd)
}

// OpenRootFile reads what EncodeRootFile wrote.
func OpenRootFile(raw []byte) (*Bundle, error) {
	inner, ok := strings.CutPrefix(string(raw), rootFileStart)
	inner, end := strings.CutSuffix(inner, rootFileEnd)
	root, table, both := strings.Cut(inner, rootFileMiddle) // no root has such a member
	if !ok || !end || !both {
		return nil, errors.New("root file: not in canonical form")
	}
	b, err := Open([]byte(root), table)
	if err != nil {
		return nil, fmt.Errorf("root file: %w", err)
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
