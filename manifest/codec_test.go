package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestDecodeRootRefuses(t *testing.T) {
	root, _ := mustNew(t, sample()).raw()
	for _, c := range []struct{ name, old, with, want string }{
		{"other artifact", ArtifactTypeBundle, "application/x", `artifact type "application/x": not the root of an airbundle`},
		{"other table", MediaTypeTable, "application/vnd.airbundle.table.v2+json", "a newer airbundle may have written it"},
		{"bad digest", `"digest":"sha256:`, `"digest":"sha257:`, "is not sha256: and 64"},
		{"no layers", `"layers":[`, `"layers":[],"x":[`, "unknown field"},
		{"annotations", `"layers":[`, `"annotations":{"a":"b"},"layers":[`, "not in canonical form"},
		{"white space", `{"schemaVersion"`, `{ "schemaVersion"`, "not in canonical form, first difference at byte 1"},
		{"version 2", `bundle.v1"`, `bundle.v2"`, `bundle.v2": a newer airbundle made this bundle; use an airbundle as new as`},
		{"not JSON", `{"schemaVersion"`, `<"schemaVersion"`, "root: invalid character"},
	} {
		changed := bytes.Replace(root, []byte(c.old), []byte(c.with), 1)
		if bytes.Equal(changed, root) {
			t.Errorf("%s: the edit changes nothing", c.name)
		}
		if _, err := DecodeRoot(changed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := DecodeRoot([]byte(`{"schemaVersion":2}`)); !errors.Is(err, ErrNotRoot) {
		t.Errorf("another manifest: %v", err)
	}
	for size, want := range map[string]string{"0": "is not between", "16777217": "is not between", "-1": "is not between"} {
		var m ocispec.Manifest
		if err := json.Unmarshal(root, &m); err != nil {
			t.Fatal(err)
		}
		config, err := encode(m.Config)
		if err != nil {
			t.Fatal(err)
		}
		i := bytes.LastIndexByte(config, ':')
		changed := bytes.Replace(root, config, append(config[:i+1:i+1], size+"}"...), 1)
		if _, err := DecodeRoot(changed); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("table of %s bytes: %v", size, err)
		}
	}
}

func TestTooLargeIsNotParsed(t *testing.T) {
	if _, err := DecodeTable(strings.Repeat(" ", MaxTable+1)); err == nil || !strings.HasPrefix(err.Error(), "table: 16777217 bytes, more than") {
		t.Errorf("got %v", err)
	}
}

func TestArtifacts(t *testing.T) {
	got := mustNew(t, sample()).Table.Artifacts()
	want := []Artifact{
		{KindImage, "quay.io/a/a:1", "", sum("ix"), nil, 0},
		{KindImage, "quay.io/z/z:1", "", sum("z"), nil, 1},
		{KindRPM, "os/aarch64/lvm2-2.02-6.el7.aarch64.rpm", "aarch64", sum("rpm2"), nil, 0},
		{KindRPM, "os/x86_64/socat-1.7-2.el7.x86_64.rpm", "x86_64", sum("rpm1"), nil, 1},
		{KindFile, "a", "x86_64", sum("f1"), nil, 0},
		{KindFile, "b/c d", "", sum("f2"), nil, 1},
		{KindChart, "prometheus-15.0.1", "", sum("chart"), nil, 0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The place of a blob depends on its media type and size at the bound alone.
func TestIsJSON(t *testing.T) {
	for _, c := range []struct {
		mediaType string
		size      int64
		want      bool
	}{
		{ocispec.MediaTypeImageManifest, MaxImageJSON, true},
		{ocispec.MediaTypeImageManifest, MaxImageJSON + 1, false},
		{MediaTypeTable, MaxTable, true},
		{"application/x+json", 0, true},
		{"application/json", 5, false},
		{MediaTypeRPM, 5, false},
	} {
		if got := IsJSON(c.mediaType, c.size); got != c.want {
			t.Errorf("IsJSON(%s, %d) = %v", c.mediaType, c.size, got)
		}
	}
}

// A table of nothing but empty entries must not take twenty times its length.
func TestHollowTables(t *testing.T) {
	for _, raw := range []string{
		`{"name":"x","blobs":[` + strings.Repeat("{},", 1<<20) + `{}]}`,
		`{"name":"x","arches":[` + strings.Repeat(`"",`, 1<<20) + `""]}`,
	} {
		if _, err := DecodeTable(raw); err == nil || !strings.Contains(err.Error(), "more entries than its length can fill") {
			t.Errorf("%.40s: %v", raw, err)
		}
	}
	if hollow(`{"a":[{},{},{}]}`) {
		t.Error("a small document is refused")
	}
}
