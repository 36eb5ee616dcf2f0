package archive

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Without root or table nothing can be said; what they are hidden behind is named.
func TestScanNeedsRootAndTable(t *testing.T) {
	s := newSample(t, "lost", 3, 600)
	table, _ := s.layout.blob(s.bundle.TableDescriptor().Digest)
	damage := func(at int64) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	index := s.layout.entries[1]
	for name, test := range map[string]struct {
		edit func([]byte) []byte
		msg  string
	}{
		"empty":             {func([]byte) []byte { return nil }, "the file is empty"},
		"zeros":             {func(b []byte) []byte { clear(b); return b }, "not a tar archive"},
		"text":              {func([]byte) []byte { return []byte("hello") }, "not a tar archive"},
		"two headers gone":  {func(b []byte) []byte { clear(b[:1536]); return b }, "not a tar archive"},
		"root content":      {damage(s.layout.entries[2].offset), "the root of the bundle cannot be read: content hashes to"},
		"table content":     {damage(s.layout.entries[table].offset), "the table of the bundle is damaged: content hashes to"},
		"before the root":   {func(b []byte) []byte { return b[:s.layout.entries[2].offset-blockSize] }, "before the root"},
		"before the table":  {func(b []byte) []byte { return b[:s.layout.entries[table].offset-blockSize] }, "before the table of the bundle"},
		"one entry":         {func(b []byte) []byte { return b[:511] }, "the file ends after 511 bytes, before its second"},
		"root and index":    {func(b []byte) []byte { clear(b[index.offset:s.layout.entries[2].offset]); return b }, "index.json does not name the root"},
		"nothing but index": {func(b []byte) []byte { b[1024] ^= 1; return b[:index.offset] }, "no other entry follows"},
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "a.tar", test.edit(s.reference(t)))
			_, _, err := Scan(path)
			got, ok := errors.AsType[*FormatError](err)
			if !ok || !strings.Contains(got.Msg, test.msg) || got.Path != path {
				t.Errorf("error %v, want a *FormatError with %q", err, test.msg)
			}
		})
	}
}

// index.json stands in for a damaged header of the root, but is not trusted more.
func TestHostileIndexBesideDamagedRoot(t *testing.T) {
	s := newSample(t, "hostile", 3)
	good := s.bundle.Root
	for name, d := range map[string]ocispec.Descriptor{
		"no digest":     {Size: good.Size},
		"no algorithm":  {Digest: "abc", Size: good.Size},
		"traversal":     {Digest: "sha256:../../x", Size: good.Size},
		"negative size": {Digest: good.Digest, Size: -1},
		"huge size":     {Digest: good.Digest, Size: 1<<63 - 1},
		"other size":    {Digest: good.Digest, Size: good.Size + 1},
		"other digest":  {Digest: digest.FromString("other"), Size: good.Size},
	} {
		index := fmt.Sprintf(`{"manifests":[{"artifactType":%q,"digest":%q,"size":%d}]}`, good.ArtifactType, d.Digest, d.Size)
		parts := s.parts(t)
		parts[1] = entryOf("index.json", []byte(index))
		parts[2] = append(make([]byte, blockSize), parts[2][blockSize:]...)
		_, err := Open(writeFile(t, t.TempDir(), "a.tar", bytes.Join(parts, nil)))
		if _, ok := errors.AsType[*FormatError](err); !ok {
			t.Errorf("%s: error %v, want a *FormatError", name, err)
		}
	}
}

// Tars of others are told apart from damaged ones of ours.
func TestNotBundle(t *testing.T) {
	s := newSample(t, "other", 3)
	layout := entryOf("oci-layout", []byte(ociLayout))
	index := entryOf("index.json", s.bundle.Index())
	config := entryOf(blobPrefix+digest.FromString("{}").Encoded(), []byte("{}"))
	layer := entryOf(blobPrefix+digest.FromString("layer").Encoded(), []byte("layer"))
	nothing := entryOf("index.json", []byte(`{"schemaVersion":2,"manifests":[]}`))
	other := entryOf("index.json", []byte(`{"manifests":[{"mediaType":"x/y","digest":"sha256:","size":1}]}`))
	spoilt := bytes.Clone(layer)
	spoilt[blockSize] ^= 1
	huge := encodeHeader(blobPrefix+digest.FromString("huge").Encoded(), 1<<30)
	end := make([]byte, tailSize)
	gnu := block(layout[:blockSize])
	copy(gnu[257:], "ustar  \x00")
	fixChecksum(&gnu)
	for name, parts := range map[string][][]byte{
		"GNU format":              {gnu[:], layout[blockSize:], bytes.Clone(layer), end},
		"no oci-layout":           {layer, index, end},
		"layout only":             {layout, layer, end},
		"index.json last":         {layout, config, index, end},
		"another file":            {layout, index, entryOf("README", []byte("hello")), end},
		"first blob is JSON":      {layout, index, config, end},
		"first blob is a layer":   {layout, index, layer, end},
		"first blob is a huge":    {layout, index, huge[:], end},
		"lists nothing":           {layout, nothing, end},
		"cut behind index.json":   {layout, other},
		"other blob damaged":      {layout, other, spoilt, end},
		"other header damaged":    {layout, other, spoilt[1:blockSize], end},
		"root of the bundle lost": append([][]byte{layout, index}, s.parts(t)[3:]...),
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, t.TempDir(), "a.tar", bytes.Join(parts, nil))
			if _, err := Open(path); !errors.Is(err, ErrNotBundle) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want ErrNotBundle and the path", err)
			}
		})
	}
}

func entryOf(name string, data []byte) []byte {
	h := encodeHeader(name, int64(len(data)))
	return slices.Concat(h[:], data, make([]byte, padding(int64(len(data)))))
}

// A root of ours that is not in the form of this version is neither damaged nor foreign.
func TestNewerRoot(t *testing.T) {
	s := newSample(t, "newer", 3)
	raw := bytes.Replace(s.data[s.bundle.Root.Digest], []byte(`"schemaVersion":2`), []byte(`"schemaVersion":3`), 1)
	parts := s.parts(t)
	parts[2] = entryOf(blobPrefix+digest.FromBytes(raw).Encoded(), raw)
	_, err := Open(writeFile(t, t.TempDir(), "a.tar", bytes.Join(parts, nil)))
	if _, ok := errors.AsType[*FormatError](err); !ok || errors.Is(err, ErrNotBundle) {
		t.Errorf("error %v, want a *FormatError", err)
	}
}

// A table that is whole but wrong in itself is refused with its reason.
func TestWrongTable(t *testing.T) {
	s := newSample(t, "wrong", 3)
	raw := bytes.Replace(s.data[s.bundle.TableDescriptor().Digest], []byte(`"name":"wrong"`), []byte(`"name":""`), 1)
	root := bytes.ReplaceAll(s.data[s.bundle.Root.Digest], []byte(s.bundle.TableDescriptor().Digest), []byte(digest.FromBytes(raw)))
	root = bytes.Replace(root, fmt.Appendf(nil, `"size":%d`, s.bundle.TableDescriptor().Size), fmt.Appendf(nil, `"size":%d`, len(raw)), 1)
	file := slices.Concat(entryOf("oci-layout", []byte(ociLayout)), entryOf("index.json", []byte("{}")),
		entryOf(blobPrefix+digest.FromBytes(root).Encoded(), root), entryOf(blobPrefix+digest.FromBytes(raw).Encoded(), raw))
	_, err := Open(writeFile(t, t.TempDir(), "a.tar", file))
	if got, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(got.Msg, "name") {
		t.Errorf("error %v, want a *FormatError about the name", err)
	}
}
