// Package helmtest makes chart archives for tests, good and bad ones.
package helmtest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"maps"
	"slices"
	"testing"
)

// Chart returns the .tgz of a chart with a Chart.yaml of that name and version, and other
// files by their path below the chart's directory; a Chart.yaml among them replaces the
// made one.
func Chart(t testing.TB, name, version string, files map[string]string) []byte {
	t.Helper()
	all := map[string]string{"Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)}
	maps.Copy(all, files)
	var entries []Entry
	for _, p := range slices.Sorted(maps.Keys(all)) {
		entries = append(entries, Entry{Name: name + "/" + p, Content: all[p]})
	}
	return Archive(t, entries...)
}

// An Entry is one entry of a tar.
type Entry struct {
	Name, Content string
	Type          byte // of the tar; 0: a regular file
	Link          string
}

// Archive returns a gzipped tar of entries as they are.
func Archive(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, e := range entries {
		h := &tar.Header{Name: e.Name, Mode: 0o644, Size: int64(len(e.Content)), Typeflag: e.Type, Linkname: e.Link}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(e.Content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}
