package format

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestReaderIsSmall holds the reader to what docs/format.md promises of it: that the
// document is enough for so little code.
func TestReaderIsSmall(t *testing.T) {
	text, err := os.ReadFile("read.py")
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n >= 200 {
		t.Errorf("read.py has %d lines, want fewer than 200", n)
	}
	standard := map[string]bool{"hashlib": true, "itertools": true, "json": true, "os": true, "re": true, "sys": true, "unicodedata": true}
	for number, line := range strings.Split(string(text), "\n") {
		if len(line) > 140 {
			t.Errorf("read.py:%d has %d bytes, want at most 140", number+1, len(line))
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\s*(?:import|from)\s+(.*)|__import__|importlib`).FindAllSubmatch(text, -1) {
		for name := range strings.SplitSeq(string(m[1]), ", ") {
			if !standard[name] {
				t.Errorf("read.py imports %q", name)
			}
		}
	}
}

// TestReadersAgreeOnFlippedBytes flips one byte at places spread over the whole archive:
// both readers refuse each copy.
func TestReadersAgreeOnFlippedBytes(t *testing.T) {
	good := whole(t, newSample(t, 3))
	path := filepath.Join(t.TempDir(), "flipped.bundle.tar")
	agree := func(at int) {
		raw := bytes.Clone(good)
		if at >= 0 {
			raw[at] ^= 1 << (at % 8)
		}
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		out, ok := read(t, path)
		rep := verified(t, path)
		if want := at < 0; ok != want || (rep.Bundle != "" && len(rep.Findings()) == 0) != want {
			t.Errorf("byte %d: read.py says %q, seeder verify %v; want both good: %v", at, out, rep.Findings(), want)
		}
	}
	agree(-1)
	const places = 210
	for i := range places {
		agree(i * (len(good) - 1) / (places - 1))
	}
}
