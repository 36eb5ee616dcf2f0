package lockfile

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Each line of a canonical lock says something: without it the file is no lock, or
// another one. So no two files that differ in meaning share a digest.
func TestEveryLineCounts(t *testing.T) {
	l := everything(t)
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	lines := slices.Collect(bytes.Lines(data))
	for i, line := range lines {
		without := bytes.Join(slices.Concat(lines[:i], lines[i+1:]), nil)
		if got, err := DecodeLock("f", without); err == nil && got.Digest() == l.Digest() {
			t.Errorf("without line %d nothing changes: %s", i+1, line)
		}
		twice := bytes.Join(slices.Concat(lines[:i], [][]byte{line}, lines[i:]), nil)
		got, err := DecodeLock("f", twice)
		if err == nil && got.Digest() == l.Digest() {
			t.Errorf("line %d twice changes nothing: %s", i+1, line)
		}
	}
}

// Each character of a canonical lock says something, but for the few that YAML lets
// one write in several ways.
func TestEveryCharacterCounts(t *testing.T) {
	l := everything(t)
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(data); i += 7 { // a sample is enough: hexadecimal digits abound
		bad := bytes.Clone(data)
		if bad[i] ^= 1; bad[i] == '\n' || data[i] == '\n' || data[i] == ' ' || data[i] == '"' {
			continue // white space and quotes: form, not content
		}
		got, err := DecodeLock("f", bad)
		if err != nil {
			continue
		}
		if got.Digest() == l.Digest() && bad[i] != '#' {
			t.Errorf("byte %d, %q for %q: the same lock near %q", i, bad[i], data[i], data[max(0, i-20):min(len(data), i+20)])
		}
		again, err := got.Encode()
		if err != nil {
			t.Fatalf("byte %d: what was decoded cannot be encoded: %v", i, err)
		}
		back, err := DecodeLock("f", again)
		if err != nil || !cmp.Equal(got, back) {
			t.Fatalf("byte %d: another lock comes back: %v", i, err)
		}
	}
}

// Comments, white space and the order of entries are form.
func TestFormDoesNotCount(t *testing.T) {
	l := everything(t)
	data, err := l.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(string) string{
		"comment":       func(s string) string { return "# made by hand\n" + s },
		"empty lines":   func(s string) string { return strings.ReplaceAll(s, "\nimages:", "\n\n\nimages:") },
		"quotes":        func(s string) string { return strings.ReplaceAll(s, "arch: x86_64", `arch: "x86_64"`) },
		"single quotes": func(s string) string { return strings.ReplaceAll(s, "arch: x86_64", `arch: 'x86_64'`) },
		"marker":        func(s string) string { return "---\n" + s + "...\n" },
		"flow":          func(s string) string { return strings.Replace(s, "[x86_64, aarch64]", "\n- aarch64\n- x86_64", 1) },
		"date": func(s string) string {
			return strings.Replace(s, "2030-12-31T00:00:00Z", "2030-12-31T02:00:00+02:00", 1)
		},
	} {
		changed := change(string(data))
		if changed == string(data) {
			t.Errorf("%s: the edit changes nothing", name)
		}
		got, err := DecodeLock("f", []byte(changed))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if diff := cmp.Diff(l, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		again := *l
		again.Images, again.RPMs, again.Files = slices.Clone(l.Images), slices.Clone(l.RPMs), slices.Clone(l.Files)
		random.Shuffle(len(again.Images), func(i, j int) { again.Images[i], again.Images[j] = again.Images[j], again.Images[i] })
		random.Shuffle(len(again.RPMs), func(i, j int) { again.RPMs[i], again.RPMs[j] = again.RPMs[j], again.RPMs[i] })
		random.Shuffle(len(again.Files), func(i, j int) { again.Files[i], again.Files[j] = again.Files[j], again.Files[i] })
		if got, err := again.Encode(); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("another order gives other bytes: %v", err)
		}
	}
}

// The digest of a lock is part of every root made of it: the encoding never changes.
func TestDigestIsStable(t *testing.T) {
	const want = "sha256:d08c1a1e6521da34a42163031f66a7db3c4a39fc6813404c392bd6b163a805f2"
	if got := everything(t).Digest(); got != want {
		t.Errorf("digest %s, want %s", got, want)
	}
}

// Selecting twice is selecting once, and each part holds what it is asked for only.
func TestSelectCombinations(t *testing.T) {
	l := everything(t)
	groups := append([]string{""}, l.Groups()...)
	for _, arch := range []string{"", "x86_64", "aarch64"} {
		for _, group := range groups {
			ask := func(s string) []string { return slices.DeleteFunc([]string{s}, func(s string) bool { return s == "" }) }
			once, err := l.Select(ask(arch), ask(group))
			if err != nil {
				t.Fatal(err)
			}
			for _, step := range []struct{ arches, groups []string }{{ask(arch), nil}, {nil, nil}} {
				again, err := once.Select(step.arches, step.groups)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(once, again); diff != "" {
					t.Errorf("%s, %s selected again (-once +twice):\n%s", arch, group, diff)
				}
			}
			for _, r := range once.RPMs {
				if arch != "" && r.BaseArch != arch || group != "" && !slices.Contains(r.Groups, group) {
					t.Errorf("%s, %s: holds %s", arch, group, r.Path())
				}
			}
			for _, f := range once.Files {
				if arch != "" && f.Arch != "" && f.Arch != arch || group != "" && !slices.Contains(f.Groups, group) {
					t.Errorf("%s, %s: holds %s", arch, group, f.Path)
				}
			}
			if data, err := once.Encode(); err != nil {
				t.Errorf("%s, %s: what is selected is no lock: %v", arch, group, err)
			} else if back, err := DecodeLock("f", data); err != nil || !cmp.Equal(once, back) {
				t.Errorf("%s, %s: what is selected does not come back: %v", arch, group, err)
			}
		}
	}
}

func TestRequestErrors(t *testing.T) {
	const head = "apiVersion: airbundle/v1\nkind: Request\nname: a\narches: [x86_64]\n"
	for _, c := range []struct{ name, data, want string }{
		{"a lock", "apiVersion: airbundle/v1\nkind: Lock\n", `f:2: kind is "Lock", want Request`},
		{"newer version", "apiVersion: airbundle/v2\nkind: Request\n", `f:1: apiVersion is "airbundle/v2", want airbundle/v1`},
		{"a list", "- a\n", "f:1: the file is a list, want fields beginning with apiVersion: airbundle/v1"},
		{"images as text", head + "images: busybox\n", `f:5: images is "busybox", want a list`},
		{"image as text", head + "images: [busybox]\n", `f:5: an entry of images is "busybox", want a mapping`},
		{"number for text", head + "images:\n  - source: 7\n", "f:6: source is the number 7, want text: put it in quotes, \"7\""},
		{"platform name", "apiVersion: airbundle/v1\nkind: Request\nname: a\narches: [amd64]\n", `f:4: an entry of arches "amd64" is what images call it, write x86_64`},
		{"digest in a request", head + "files:\n  - {path: a, url: 'file:a', digest: x}\n", "f:6: unknown field \"digest\", known here: path, url, checksums, arches, groups, note"},
		{"path not printable", head + "files:\n  - {path: \"a\\u3000b\", url: 'file:a'}\n", "f:6: file a\u3000b: path \"a\\u3000b\" holds the character U+3000, which is not printable"},
		{"no absence without a reason", head + "absent:\n  - {path: a, arch: x86_64, why: \"\"}\n", "f:6: absent a: why is missing"},
	} {
		_, err := DecodeRequest("f", []byte(c.data))
		if err == nil || err.Error() != c.want {
			t.Errorf("%s:\ngot  %v\nwant %s", c.name, err, c.want)
		}
	}
}
