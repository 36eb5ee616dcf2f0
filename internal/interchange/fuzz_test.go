package interchange

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// fuzzImport checks that an importer never panics, that what it gives is what a
// request may hold, and that it is the same each time.
func fuzzImport(f *testing.F, format string) {
	f.Helper()
	seeds, err := filepath.Glob(filepath.Join("testdata", format, "*"))
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds for %s: %v", format, err)
	}
	for _, name := range seeds {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		got, err := Import(format, "in", data)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "in:") {
				t.Errorf("an error that names no file: %v", err)
			}
			return
		}
		again, err := Import(format, "in", data)
		if err != nil || strings.Join(asks(got), "\n") != strings.Join(asks(again), "\n") || strings.Join(got.Notes, "\n") != strings.Join(again.Notes, "\n") {
			t.Errorf("not the same again: %v", err)
		}
		r := &lockfile.Request{Name: "r", Arches: manifest.Arches()}
		if err := got.Into(r); err == nil {
			if _, err := r.Encode(); err != nil {
				t.Errorf("the request cannot be written: %v", err)
			}
		}
	})
}

func FuzzImages(f *testing.F)      { fuzzImport(f, "images") }
func FuzzImagesLock(f *testing.F)  { fuzzImport(f, "imageslock") }
func FuzzHauler(f *testing.F)      { fuzzImport(f, "hauler") }
func FuzzCompose(f *testing.F)     { fuzzImport(f, "compose") }
func FuzzKubernetes(f *testing.F)  { fuzzImport(f, "kubernetes") }
func FuzzRPMLockfile(f *testing.F) { fuzzImport(f, "rpm-lockfile") }
