package archive

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2/content/oci"
)

func fake(name string, size int64) ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: "application/octet-stream", Digest: digest.FromString(name), Size: size}
}

func TestLayoutSlots(t *testing.T) {
	a, b, c := fake("a", 1000), fake("b", 0), fake("c", 512)
	l, err := NewLayout([]byte("{}"), []ocispec.Descriptor{a, b, c})
	if err != nil {
		t.Fatal(err)
	}
	type slot struct {
		offset, size int64
		ok           bool
	}
	for d, want := range map[digest.Digest]slot{
		a.Digest:                    {5 * 512, 1000, true}, // header, oci-layout, header, index.json, header
		b.Digest:                    {8 * 512, 0, true},
		c.Digest:                    {9 * 512, 512, true},
		digest.FromString("nobody"): {},
	} {
		offset, size, ok := l.slot(d)
		if got := (slot{offset, size, ok}); got != want {
			t.Errorf("%s: %v, want %v", d, got, want)
		}
	}
	if got, want := l.Size(), int64(12*512); got != want {
		t.Errorf("size %d, want %d", got, want)
	}
	if diff := cmp.Diff([]ocispec.Descriptor{a, b, c}, l.Blobs()); diff != "" {
		t.Errorf("blobs (-want +got):\n%s", diff)
	}
}

func TestNewLayoutRefuses(t *testing.T) {
	a := fake("a", 1)
	for name, blobs := range map[string][]ocispec.Descriptor{
		"nothing":       {},
		"twice":         {a, a},
		"twice, sizes":  {a, fake("a", 2)},
		"negative":      {fake("a", -1)},
		"huge":          {fake("a", math.MaxInt64)},
		"huge together": {fake("a", math.MaxInt64/2), fake("b", math.MaxInt64/2)},
		"sha512":        {{Digest: digest.SHA512.FromString("a"), Size: 1}},
		"no digest":     {{Size: 1}},
		"upper case":    {{Digest: digest.Digest(strings.ToUpper(string(a.Digest))), Size: 1}},
		"traversal":     {{Digest: "sha256:../../../../etc/passwd", Size: 1}},
		"short":         {{Digest: "sha256:00", Size: 1}},
		"many":          make([]ocispec.Descriptor, maxEntries),
	} {
		if _, err := NewLayout(nil, blobs); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// sparse writes the frame of a layout whose blobs are far larger than the disk.
func sparse(t *testing.T, blobs []ocispec.Descriptor) (path string, l *Layout) {
	t.Helper()
	index := fmt.Sprintf(`{"schemaVersion":2,"manifests":[{"mediaType":"application/octet-stream","digest":"%s","size":%d}]}`, blobs[0].Digest, blobs[0].Size)
	l, err := NewLayout([]byte(index), blobs)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "a.tar")
	w, err := Create(t.Context(), path, l, CreateOptions{disk: roomy()})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path + partSuffix, l
}

// Archives above 8 GiB, and single blobs above 8 GiB, are read by others.
func TestLargeArchives(t *testing.T) {
	const gib = 1 << 30
	for name, blobs := range map[string][]ocispec.Descriptor{
		"archive":   {fake("a", 10), fake("b", 3*gib), fake("c", 3*gib+1), fake("d", 3*gib+512), fake("e", 7)},
		"blob":      {fake("a", 10), fake("b", 9*gib+5), fake("c", 7)},
		"at border": {fake("a", 10), fake("b", maxOctal-1), fake("c", maxOctal), fake("d", 7)},
	} {
		t.Run(name, func(t *testing.T) {
			path, l := sparse(t, blobs)
			want := map[string]int64{}
			for i, e := range l.entries {
				want[l.name(i)] = e.size
			}
			if st, err := os.Stat(path); err != nil || st.Size() != l.Size() {
				t.Errorf("size %d, want %d", st.Size(), l.Size())
			}
			if diff := cmp.Diff(want, gnuTarSizes(t, path)); diff != "" {
				t.Errorf("GNU tar (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(want, goTarSizes(t, path)); diff != "" {
				t.Errorf("archive/tar (-want +got):\n%s", diff)
			}
			o, _, err := OpenLayout(path)
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			store, err := oci.NewFromTar(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range blobs {
				if size, ok := o.Size(blobPrefix + d.Digest.Encoded()); !ok || size != d.Size {
					t.Errorf("OpenLayout: %s: %d bytes, want %d", d.Digest, size, d.Size)
				}
				// A blob of zeros has another digest, but the sizes are looked at first.
				if got, err := store.Resolve(t.Context(), d.Digest.String()); err != nil || got.Size != d.Size {
					t.Errorf("oras: %s: %d bytes, %v, want %d", d.Digest, got.Size, err, d.Size)
				}
			}
		})
	}
}

func gnuTarSizes(t *testing.T, path string) map[string]int64 {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "tar", "--numeric-owner", "-tvf", path).CombinedOutput()
	if err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	sizes := map[string]int64{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line) // -rw-r--r-- 0/0 30 1970-01-01 00:00 oci-layout
		if len(words) != 6 || words[0] != "-rw-r--r--" || words[1] != "0/0" {
			t.Fatalf("tar -tv: %q", line)
		}
		if sizes[words[5]], err = strconv.ParseInt(words[2], 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	return sizes
}

func goTarSizes(t *testing.T, path string) map[string]int64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sizes := map[string]int64{}
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return sizes
		}
		if err != nil {
			t.Fatal(err)
		}
		sizes[h.Name] = h.Size
	}
}

// GNU tar unpacks an archive to the contents that went in, and oras-go fetches them.
func TestOthersReadIt(t *testing.T) {
	s := mixed(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "a.tar")
	s.write(t, path)
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", dir, "-xf", path).CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	store, err := oci.NewFromTar(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range s.layout.Blobs() {
		if got := readFile(t, filepath.Join(dir, "blobs", "sha256", d.Digest.Encoded())); digest.FromBytes(got) != d.Digest {
			t.Errorf("%s: unpacked to other content", d.Digest)
		}
		if err := drain(t.Context(), store, d); err != nil {
			t.Errorf("oras: %v", err)
		}
	}
	got, err := store.Resolve(t.Context(), "files")
	if err != nil {
		t.Fatalf("oras does not find the files by name: %v", err)
	}
	if _, ok := s.bundle.Generated()[got.Digest]; !ok {
		t.Errorf("oras resolves files to %s", got.Digest)
	}
}

// drain fetches a blob and hashes it.
func drain(ctx context.Context, from interface {
	Fetch(context.Context, ocispec.Descriptor) (io.ReadCloser, error)
}, d ocispec.Descriptor) error {
	r, err := from.Fetch(ctx, d)
	if err != nil {
		return err
	}
	defer r.Close()
	got, err := digest.FromReader(r)
	if err != nil {
		return err
	}
	if got != d.Digest {
		return fmt.Errorf("%s: content hashes to %s", d.Digest, got)
	}
	return nil
}
