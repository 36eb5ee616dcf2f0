package format

import (
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/archive"
	"airbundle/internal/rpmtest"
	"airbundle/manifest"
)

// TestHeadersOfLargeEntries lets our strict reader judge headers that the document's reader
// makes, at both sides of the size that eleven octal digits can say.
func TestHeadersOfLargeEntries(t *testing.T) {
	s := &sample{data: map[digest.Digest][]byte{}, table: manifest.Table{Name: "large", Lock: digest.FromString("lock"), Arches: []string{"x86_64"}}}
	for _, size := range []int64{1<<33 - 1, 1 << 33, 1<<34 + 12345} {
		d := digest.FromString(fmt.Sprint(size))
		s.table.Files = append(s.table.Files, manifest.File{Path: fmt.Sprint(size), Digest: d})
		s.table.Blobs = append(s.table.Blobs, manifest.Blob{MediaType: manifest.MediaTypeFile, Digest: d, Size: size})
	}
	var err error
	if s.bundle, err = manifest.New(s.table); err != nil {
		t.Fatal(err)
	}
	s.data = s.bundle.Generated()
	path := filepath.Join(t.TempDir(), "large.bundle.tar")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := int64(0)
	put := func(name string, data []byte, size int64) {
		if _, err := f.WriteAt(append(pythonHeader(t, name, size), data...), at); err != nil {
			t.Fatal(err)
		}
		at += 512 + (size+511)/512*512
	}
	for _, m := range s.members()[:2] {
		put(m.name, m.data, int64(len(m.data)))
	}
	for _, d := range s.bundle.Blobs() {
		put("blobs/sha256/"+d.Digest.Encoded(), s.data[d.Digest], d.Size)
	}
	if err := f.Truncate(at + 1024); err != nil {
		t.Fatalf("a sparse file of %d bytes: %v", at, err)
	}
	a, err := archive.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
}

func pythonHeader(t *testing.T, name string, size int64) []byte {
	t.Helper()
	script := fmt.Sprintf("import read; print(read.header(%q, %d).hex())", name, size)
	out, err := exec.CommandContext(t.Context(), rpmtest.Tool(t, "python3"), "-B", "-c", script).Output()
	if err != nil {
		t.Fatal(err)
	}
	h, err := hex.DecodeString(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	return h
}
