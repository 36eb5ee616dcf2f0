package manifest

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// setTitles returns the layers of the artifact manifest that index.json has under a name.
func setTitles(t *testing.T, b *Bundle, ref string) (out []string) {
	t.Helper()
	var ix ocispec.Index
	if err := json.Unmarshal(b.Index(), &ix); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(ix.Manifests, func(d ocispec.Descriptor) bool { return d.Annotations[ocispec.AnnotationRefName] == ref })
	if i < 0 {
		t.Fatalf("index.json has no %s", ref)
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(b.Generated()[ix.Manifests[i].Digest], &m); err != nil {
		t.Fatal(err)
	}
	for _, l := range m.Layers {
		out = append(out, l.MediaType+" "+l.Annotations[ocispec.AnnotationTitle])
		if desc, ok := b.Blob(l.Digest); !ok || desc.Size != l.Size {
			t.Errorf("layer %+v: the blob has %d bytes", l, desc.Size)
		}
	}
	return out
}

func TestMetadataStandsBesideItsRPMs(t *testing.T) {
	b := mustNew(t, withMetadata())
	for ref, want := range map[string][]string{
		"rpms/os/x86_64": {
			MediaTypeRPM + " os/x86_64/socat-1.7-2.el7.x86_64.rpm", MediaTypeComps + " os/x86_64/comps.xml",
			MediaTypeModules + " os/x86_64/modules.yaml", MediaTypeUpdateinfo + " os/x86_64/updateinfo.xml",
		},
		"rpms/os/aarch64": {MediaTypeRPM + " os/aarch64/lvm2-2.02-6.el7.aarch64.rpm", MediaTypeModules + " os/aarch64/modules.yaml"},
	} {
		if diff := cmp.Diff(want, setTitles(t, b, ref)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", ref, diff)
		}
	}
	again, err := openRaw(b.raw())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.Table, again.Table); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
	shuffled := withMetadata()
	slices.Reverse(shuffled.Metadata)
	if got := mustNew(t, shuffled).Root.Digest; got != b.Root.Digest {
		t.Errorf("another order gives another root: %s, %s", got, b.Root.Digest)
	}
	var got []string
	for _, a := range b.Table.Artifacts() {
		if a.Kind == KindMetadata {
			got = append(got, a.Name)
		}
	}
	want := []string{"os/aarch64/modules.yaml", "os/x86_64/comps.xml", "os/x86_64/modules.yaml", "os/x86_64/updateinfo.xml"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("artifacts (-want +got):\n%s", diff)
	}
}

func TestMetadataChecks(t *testing.T) {
	for _, c := range []struct {
		spoil func(*Table)
		want  string
	}{
		{func(t *Table) { t.Metadata[0].Type = "primary" }, `metadata os/x86_64/primary.xml: type "primary" is none of`},
		{func(t *Table) { t.Metadata[0].Type = "" }, `type "" is none of`},
		{func(t *Table) { t.Metadata[0].Type = "a\x1b" }, `"os/x86_64/a\x1b.xml" holds the control`},
		{func(t *Table) { t.Metadata[0].Repo = "os" }, "metadata os/updateinfo.xml: there is no RPM of this repository"},
		{func(t *Table) { t.Metadata[0].Repo = "../os" }, `metadata: "../os/updateinfo.xml" holds`},
		{func(t *Table) { t.Metadata[0].Digest = sum("none") }, "updateinfo.xml: its blob"},
		{func(t *Table) { t.Metadata[0] = t.Metadata[1] }, "metadata: entry 3 is out of order or stands twice"},
		{func(t *Table) { t.Blobs[len(t.Blobs)-1].Size = MaxMetadata + 1 }, "updateinfo.xml: 33554433 bytes, more than the 33554432 allowed"},
	} {
		table := withMetadata()
		c.spoil(&table)
		if _, err := New(table); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
