package archive

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"airbundle/manifest"
)

func TestOpenRoot(t *testing.T) {
	b, err := manifest.New(manifest.Table{Name: "demo", Lock: "sha256:" + hex64, Arches: []string{"x86_64"}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "root.json")
	good := b.EncodeRootFile()
	write := func(raw []byte) {
		t.Helper()
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(good)
	if got, err := OpenRoot(path); err != nil || got.Root.Digest != b.Root.Digest {
		t.Fatalf("%v", err)
	}
	for name, raw := range map[string][]byte{
		"cut":         good[:len(good)-10],
		"edited":      bytes.Replace(good, []byte("demo"), []byte("d3mo"), 1),
		"other JSON":  []byte(`{"a":1}`),
		"trailing":    append(bytes.Clone(good), good...),
		"not a tar":   []byte("hello"),
		"empty":       {},
		"many spaces": append([]byte("{"), bytes.Repeat([]byte(" "), 1<<20)...),
	} {
		write(raw)
		if _, err := OpenRoot(path); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	write([]byte("{"))
	if err := os.Truncate(path, maxRootFile+1); err != nil {
		t.Fatal(err)
	}
	_, err = OpenRoot(path)
	if _, ok := errors.AsType[*FormatError](err); !ok {
		t.Errorf("a root file that is too large: %v", err)
	}
}

const hex64 = "00000000000000000000000000000000000000000000000000000000000000aa"
