package receipt_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/fuzztest"
	"airbundle/internal/receipt"
)

func sum(s string) digest.Digest { return digest.FromString(s) }

// sample is a receipt with everything that one can have, not in order.
func sample() *receipt.Receipt {
	return &receipt.Receipt{
		Target: receipt.Target{Name: "http://nexus.example:8081", Version: "3.40.1-01", Edition: "OSS"},
		Roots:  []digest.Digest{sum("root")},
		Repositories: []receipt.Repository{
			{Name: "raw-hosted", Format: "raw", Listed: true, Entries: []receipt.Entry{
				{Name: "b/<&>é", SHA1: strings.Repeat("ab", 20), Size: -1, Proof: receipt.Listed},
				{Name: "a", Digest: sum("a"), Size: 0, Proof: receipt.SHA1},
			}},
			{Name: "docker-hosted", Format: "docker", Entries: []receipt.Entry{
				{Name: "team/app:1.0", Digest: sum("app"), Size: 3, Proof: receipt.Read},
			}, Blobs: []receipt.Blob{{Digest: sum("x"), Size: 1, Proof: receipt.Digest}, {Digest: sum("y"), Size: -1, Proof: receipt.Listed}}},
			{Name: "yum-hosted", Format: "yum", Entries: []receipt.Entry{{Name: "os/a.rpm", Digest: sum("rpm"), Size: 9, Proof: receipt.Metadata}}},
		},
	}
}

func encode(t testing.TB, r *receipt.Receipt) []byte {
	t.Helper()
	raw, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// The order in which things were found makes no difference, and what is read is what was
// written.
func TestEncode(t *testing.T) {
	a, b := sample(), sample()
	slices.Reverse(b.Repositories)
	for _, r := range b.Repositories {
		slices.Reverse(r.Entries)
		slices.Reverse(r.Blobs)
	}
	raw := encode(t, a)
	if diff := cmp.Diff(string(raw), string(encode(t, b))); diff != "" {
		t.Error(diff)
	}
	got, err := receipt.Decode(raw)
	if diff := cmp.Diff(a, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if !receipt.Is(raw) || receipt.Is([]byte(`{"root":{}}`)) || receipt.Is(nil) {
		t.Error("Is does not know a receipt")
	}
	want, err := os.ReadFile("testdata/receipt.json")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(raw)); diff != "" {
		t.Errorf("the format has changed:\n%s", diff)
	}
}

func TestEncodeRefuses(t *testing.T) {
	for label, change := range map[string]func(*receipt.Receipt){
		"no target":          func(r *receipt.Receipt) { r.Target.Name = "" },
		"no root":            func(r *receipt.Receipt) { r.Roots = nil },
		"target with escape": func(r *receipt.Receipt) { r.Target.Edition = "a\x1b[0m" },
		"short root":         func(r *receipt.Receipt) { r.Roots[0] = "sha256:abc" },
		"one root twice":     func(r *receipt.Receipt) { r.Roots = append(r.Roots, r.Roots[0]) },
		"format":             func(r *receipt.Receipt) { r.Repositories[0].Format = "npm" },
		"repository twice":   func(r *receipt.Receipt) { r.Repositories = append(r.Repositories, r.Repositories[0]) },
		"blobs of raw":       func(r *receipt.Receipt) { r.Repositories[1].Format = "raw" },
		"entry twice": func(r *receipt.Receipt) {
			r.Repositories[0].Entries = append(r.Repositories[0].Entries, r.Repositories[0].Entries[0])
		},
		"entry without name": func(r *receipt.Receipt) { r.Repositories[0].Entries[0].Name = "" },
		"line feed":          func(r *receipt.Receipt) { r.Repositories[0].Entries[0].Name = "a\nb" },
		"not UTF-8":          func(r *receipt.Receipt) { r.Repositories[0].Entries[0].Name = "a\xff" },
		"size":               func(r *receipt.Receipt) { r.Repositories[0].Entries[0].Size = -2 },
		"proof":              func(r *receipt.Receipt) { r.Repositories[0].Entries[0].Proof = "hearsay" },
		"proof of nothing":   func(r *receipt.Receipt) { r.Repositories[0].Entries[0].Proof = receipt.Named },
		"sha1":               func(r *receipt.Receipt) { r.Repositories[0].Entries[0].SHA1 = strings.Repeat("AB", 20) },
		"sha512": func(r *receipt.Receipt) {
			r.Repositories[0].Entries[1].Digest = digest.Digest("sha512:" + strings.Repeat("ab", 64))
		},
		"blob without": func(r *receipt.Receipt) { r.Repositories[1].Blobs[0].Digest = "" },
		"blob twice": func(r *receipt.Receipt) {
			r.Repositories[1].Blobs = append(r.Repositories[1].Blobs, r.Repositories[1].Blobs[0])
		},
	} {
		r := sample()
		change(r)
		if raw, err := r.Encode(); err == nil {
			t.Errorf("%s: was written:\n%s", label, raw)
		}
	}
}

// Whatever Encode does not write is refused: nothing has two forms.
func TestDecodeRefuses(t *testing.T) {
	raw := string(encode(t, sample()))
	for label, bad := range map[string]string{
		"empty":          "",
		"cut":            raw[:len(raw)/2],
		"more":           raw + "{}\n",
		"compact":        strings.ReplaceAll(raw, "\n", ""),
		"CRLF":           strings.ReplaceAll(raw, "\n", "\r\n"),
		"other version":  strings.Replace(raw, "receipt/v1", "receipt/v2", 1),
		"unknown member": strings.Replace(raw, `"target":`, `"time": 1, "target":`, 1),
		"doubled member": strings.Replace(raw, `"format": "raw",`, `"format": "yum", "format": "raw",`, 1),
		"other letters":  strings.Replace(raw, `"roots"`, `"Roots"`, 1),
		"escaped":        strings.Replace(raw, "<", `\u003c`, 1),
		"null":           "null\n",
		"list":           "[]\n",
		"sorted":         strings.Replace(raw, `"raw-hosted"`, `"zzz"`, 1),
		"bad proof":      strings.Replace(raw, `"read"`, `"sure"`, 1),
		"deep":           strings.Repeat("[", 100_000),
	} {
		r, err := receipt.Decode([]byte(bad))
		me, ok := errors.AsType[*receipt.MalformedError](err)
		if !ok || me.ExitCode() != 2 || r != nil {
			t.Errorf("%s: %v, %v", label, r, err)
		}
	}
	if _, err := receipt.Decode(make([]byte, receipt.MaxSize+1)); err == nil || !strings.Contains(err.Error(), "allowed") {
		t.Errorf("too long: %v", err)
	}
}

func TestMoreCertain(t *testing.T) {
	order := []receipt.Proof{receipt.Read, receipt.Digest, receipt.Metadata, receipt.Named, receipt.SHA1, receipt.Listed}
	for i, p := range order {
		for j, q := range order {
			if got := p.MoreCertain(q); got != (i < j) {
				t.Errorf("%s over %s: %v", p, q, got)
			}
		}
	}
}

// FuzzDecode: what is read is written again to the byte, and nothing panics.
func FuzzDecode(f *testing.F) {
	f.Add(encode(f, sample()))
	f.Add([]byte("{}"))
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		r, err := receipt.Decode(raw)
		if err != nil {
			return
		}
		if again := encode(t, r); !bytes.Equal(again, raw) {
			t.Errorf("%q became %q", raw, again)
		}
	})
}
