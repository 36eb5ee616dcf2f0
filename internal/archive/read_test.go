package archive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/manifest"
)

var _ manifest.ReadFunc = (*Archive)(nil).Read

// offsetOf returns where a blob stands in an archive of the sample.
func (s *sample) offsetOf(tb testing.TB, d digest.Digest) int64 {
	tb.Helper()
	at, _, ok := s.layout.slot(d)
	if !ok {
		tb.Fatalf("%s has no slot", d)
	}
	return at
}

func TestRead(t *testing.T) {
	s := newSample(t, "read", 0, 600, manifest.MaxImageJSON, manifest.MaxImageJSON+1)
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, d := range s.layout.Blobs() {
		got, err := a.Read(t.Context(), d)
		if d.Size > manifest.MaxImageJSON {
			if limit, ok := errors.AsType[*digestio.LimitError](err); !ok || limit.Limit != manifest.MaxImageJSON {
				t.Errorf("%d bytes: %v, want a *digestio.LimitError", d.Size, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(got, s.data[d.Digest]) {
			t.Errorf("%d bytes: read %d, %v", d.Size, len(got), err)
		}
	}
	if _, err := a.Read(t.Context(), fake("stranger", 1)); !errors.Is(err, errdef.ErrNotFound) {
		t.Errorf("a stranger: %v", err)
	}
	other := s.file(2)
	other.Size++
	if _, err := a.Read(t.Context(), other); err == nil {
		t.Error("read by a wrong size")
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := a.Read(ctx, s.file(2)); !errors.Is(err, cause) {
		t.Errorf("canceled: %v", err)
	}
}

// Root and table may be larger than what is read of any other blob.
func TestReadLargeTable(t *testing.T) {
	data := []byte("one content of many names")
	d := digest.FromBytes(data)
	table := manifest.Table{Name: "large", Lock: d, Arches: []string{"x86_64"}}
	for i := range 20_000 {
		table.Files = append(table.Files, manifest.File{Path: fmt.Sprintf("a/long/way/down/to/a/file/in/a/deep/directory/of/many/others/%0150d", i), Digest: d})
	}
	table.Blobs = []manifest.Blob{{MediaType: manifest.MediaTypeFile, Digest: d, Size: int64(len(data))}}
	b, err := manifest.New(table)
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLayout(b.Index(), b.Blobs())
	if err != nil {
		t.Fatal(err)
	}
	s := &sample{bundle: b, layout: l, data: b.Generated()}
	s.data[d] = data
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	a, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	for _, d := range []ocispec.Descriptor{a.Bundle().Root, a.Bundle().TableDescriptor()} {
		if got, err := a.Read(t.Context(), d); err != nil || !bytes.Equal(got, s.data[d.Digest]) {
			t.Errorf("%d bytes: read %d, %v", d.Size, len(got), err)
		}
	}
	if size := a.Bundle().TableDescriptor().Size; size <= manifest.MaxImageJSON {
		t.Errorf("the table has only %d bytes", size)
	}
}

// Damaged content is never returned, not even in part.
func TestReadDamaged(t *testing.T) {
	s := newSample(t, "damaged", 600)
	d := s.layout.Blobs()[len(s.layout.Blobs())-1] // the file: JSON comes first
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	at := s.offsetOf(t, d.Digest)
	for _, off := range []int64{0, 300, d.Size - 1} {
		overwrite(t, path, at+off)
		a, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Read(t.Context(), d)
		if mm, ok := errors.AsType[*digestio.MismatchError](err); !ok || mm.Want.Digest != d.Digest || got != nil {
			t.Errorf("byte %d: %d bytes, %v", off, len(got), err)
		}
		a.Close()
		overwrite(t, path, at+off)
	}
}
