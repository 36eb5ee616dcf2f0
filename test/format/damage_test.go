package format

import (
	"archive/tar"
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/archive"
	"airbundle/manifest"
)

// refused checks that both readers refuse the archive, ours in Python for the reason given.
func refused(t *testing.T, raw []byte, reason string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "damaged.bundle.tar")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, ok := read(t, path); ok || !strings.Contains(out, reason) {
		t.Errorf("read.py says %q, want a refusal with %q", out, reason)
	}
	// An order of entries that another tool could have made is an OCI layout, and no bundle.
	if rep := verified(t, path); len(rep.Findings()) == 0 && rep.Bundle != "" {
		t.Error("seeder verify finds nothing")
	}
}

// whole returns the bytes of the sample's archive.
func whole(t *testing.T, s *sample) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.bundle.tar")
	s.write(t, path)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestReaderRefusesDamage flips, cuts and adds bytes.
func TestReaderRefusesDamage(t *testing.T) {
	s := newSample(t, 3)
	good := whole(t, s)
	slot := func(d digest.Digest) int {
		header := bytes.Index(good, []byte("blobs/sha256/"+d.Encoded()))
		if header < 0 {
			t.Fatalf("%s is not in the archive", d)
		}
		return header + 512
	}
	root, table := slot(s.bundle.Root.Digest), slot(s.bundle.TableDescriptor().Digest)
	rpm, image := slot(s.table.RPMs[0].Digest), slot(s.table.Images[0].Digest)
	end := len(good) - 1024
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 1; return b }
	}
	set := func(at int, with string) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], with); return b }
	}
	for name, c := range map[string]struct {
		damage func([]byte) []byte
		reason string
	}{
		"first header":           {flip(5), "not an airbundle"},
		"oci-layout":             {flip(512), "oci-layout has other content"},
		"padding of oci-layout":  {flip(600), "oci-layout has padding"},
		"index.json":             {flip(1536 + 20), "index.json is not"},
		"root":                   {flip(root + 3), "root has another form"},
		"table":                  {flip(table + 3), "table has another form"},
		"image manifest":         {flip(image + 3), "other content than its name"},
		"rpm":                    {flip(rpm + 3), "other content than its name"},
		"padding of an rpm":      {flip(rpm + 505), "has padding"},
		"name in a header":       {flip(rpm - 512 + 40), "header at byte"},
		"mode in a header":       {flip(rpm - 512 + 104), "header at byte"},
		"size in a header":       {flip(rpm - 512 + 134), "header at byte"},
		"time in a header":       {flip(rpm - 512 + 140), "header at byte"},
		"checksum in a header":   {flip(rpm - 512 + 150), "header at byte"},
		"user in a header":       {flip(rpm - 512 + 265), "header at byte"},
		"end of a header":        {flip(rpm - 1), "header at byte"},
		"base-256 in a header":   {set(rpm-512+124, "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00"), "header at byte"},
		"first zero block":       {flip(end + 7), "end of the archive"},
		"second zero block":      {flip(end + 700), "end of the archive"},
		"one byte short":         {func(b []byte) []byte { return b[:len(b)-1] }, "ends early"},
		"a zero block short":     {func(b []byte) []byte { return b[:len(b)-512] }, "ends early"},
		"half":                   {func(b []byte) []byte { return b[:len(b)/2] }, "ends early"},
		"empty":                  {func([]byte) []byte { return nil }, "ends early"},
		"a third zero block":     {func(b []byte) []byte { return append(b, make([]byte, 512)...) }, "end of the archive"},
		"a byte behind the end":  {func(b []byte) []byte { return append(b, 'x') }, "end of the archive"},
		"zeros in place of rest": {func(b []byte) []byte { clear(b[rpm-512:]); return b }, "header at byte"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, c.damage(bytes.Clone(good)), c.reason) })
	}
}

// A member is one entry of a tar written by hand.
type member struct {
	name string
	data []byte
}

// members lists the entries of the sample's archive.
func (s *sample) members() []member {
	all := []member{{"oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {"index.json", s.bundle.Index()}}
	for _, d := range s.bundle.Blobs() {
		all = append(all, member{"blobs/sha256/" + d.Digest.Encoded(), s.data[d.Digest]})
	}
	return all
}

// pack writes members in the form of our headers, which is archive/tar's ustar form.
func pack(t *testing.T, all []member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range all {
		h := &tar.Header{Name: m.name, Size: int64(len(m.data)), Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatUSTAR, ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(m.data); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestReaderRefusesOtherEntries moves, adds and takes away whole entries.
func TestReaderRefusesOtherEntries(t *testing.T) {
	s := newSample(t, 3)
	if got := whole(t, s); !bytes.Equal(got, pack(t, s.members())) {
		t.Fatal("pack writes another form than archive.Create")
	}
	n := len(s.members())
	stray := member{"blobs/sha256/" + digest.FromString("stray").Encoded(), []byte("stray")}
	for name, c := range map[string]struct {
		change func([]member) []member
		reason string
	}{
		"two swapped":      {func(m []member) []member { m[n-1], m[n-2] = m[n-2], m[n-1]; return m }, "header at byte"},
		"root not first":   {func(m []member) []member { m[2], m[3] = m[3], m[2]; return m }, "root has another form"},
		"one missing":      {func(m []member) []member { return m[:n-1] }, "header at byte"},
		"one twice":        {func(m []member) []member { return append(m, m[n-1]) }, "end of the archive"},
		"a stray blob":     {func(m []member) []member { return append(m, stray) }, "end of the archive"},
		"a stray file":     {func(m []member) []member { return append(m, member{"README", nil}) }, "end of the archive"},
		"only the layout":  {func(m []member) []member { return m[:2] }, "root has another form"},
		"another layout":   {func(m []member) []member { m[0].data = []byte(`{"imageLayoutVersion":"1.0.1"}`); return m }, "oci-layout has other content"},
		"a longer index":   {func(m []member) []member { m[1].data = append(bytes.Clone(m[1].data), '\n'); return m }, "index.json is not"},
		"index.json first": {func(m []member) []member { m[0], m[1] = m[1], m[0]; return m }, "not an airbundle"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, pack(t, c.change(s.members())), c.reason) })
	}
}

// reroot replaces the table by another, and root, index.json and the entries by what
// follows, so that every digest is right again.
func (s *sample) reroot(table, root []byte) []member {
	oldRoot, oldTable := s.bundle.Root, s.bundle.TableDescriptor()
	named := func(raw []byte, old ocispec.Descriptor, now []byte) []byte {
		was := fmt.Sprintf(`"digest":%q,"size":%d`, old.Digest, old.Size)
		return bytes.Replace(raw, []byte(was), fmt.Appendf(nil, `"digest":%q,"size":%d`, digest.FromBytes(now), len(now)), 1)
	}
	root = named(root, oldTable, table)
	all := []member{s.members()[0], {"index.json", named(s.bundle.Index(), oldRoot, root)}, blob(root)}
	json := []member{blob(table)}
	var rest []member
	for _, d := range s.bundle.Blobs()[1:] {
		switch m := blob(s.data[d.Digest]); {
		case d.Digest == oldTable.Digest:
		case manifest.IsJSON(d.MediaType, d.Size):
			json = append(json, m)
		default:
			rest = append(rest, m)
		}
	}
	slices.SortFunc(json, func(a, b member) int { return cmp.Compare(a.name, b.name) })
	return slices.Concat(all, json, rest)
}

func blob(data []byte) member {
	return member{"blobs/sha256/" + digest.FromBytes(data).Encoded(), data}
}

// TestReaderRefusesWrongTables changes root and table under right digests.
func TestReaderRefusesWrongTables(t *testing.T) {
	s := newSample(t, 3)
	good := whole(t, s)
	table, root := s.data[s.bundle.TableDescriptor().Digest], s.data[s.bundle.Root.Digest]
	if !bytes.Equal(good, pack(t, s.reroot(table, root))) {
		t.Fatal("reroot with nothing changed changes the archive")
	}
	for _, c := range []struct{ old, with, reason string }{
		{`{"name":"demo`, `{ "name":"demo`, "canonical"},
		{`"serial":7`, `"serial":0`, "is empty"},
		{`"serial":7`, `"serial":7,"serial":7`, "canonical"},
		{`"serial":7`, `"serial":7.0`, "has another type"},
		{`"serial":7`, `"serial":-7`, "is not a number"},
		{`"serial":7`, `"serial":9223372036854775808`, "is not a number"},
		{`"serial":7`, `"serial":7,"color":"red"`, "another form"},
		{`"serial":7`, `"Serial":7`, "another form"},
		{`a<b>&`, `a\u003cb\u003e\u0026`, "canonical"},
		{`\t`, `\u0009`, "canonical"},
		{`\t`, `\u2028`, "is not"},
		{`\t`, `\u001b`, "is not"},
		{`"id":"24c6a8a7f4a80eb5"`, `"id":"24C6A8A7F4A80EB5"`, "is not"},
		{`"expires":"2031-01-02T03:04:05Z"`, `"expires":"2031-01-02"`, "is not"},
		{`"groups":["a<b>&\"c\"","core"]`, `"groups":["core","a<b>&\"c\""]`, "groups"},
		{`"arch":"aarch64","why"`, `"arch":"arm64","why"`, "is not"},
		{`"why":"none upstream"`, `"why":"none\nupstream"`, "is not"},
		{`"why":"none upstream"`, `"why":"none\u202eupstream"`, "is not"},
		{`"arches":["aarch64","x86_64"]`, `"arches":["aarch64","s390x","x86_64"]`, "is not"},
		{`"basearch":"x86_64"`, `"basearch":"noarch"`, "is not"},
		{`"signer":"24c6a8a7f4a80eb5"`, `"signer":"nobody"`, "is not"},
		{`"publish":["whole:1",`, `"publish":["` + strings.Repeat("a", 256) + `:1",`, "is not"},
		{"\u00e9", `\u00e9`, "canonical"},
		{"\u00e9", "\xe9", "can't decode"},
		{`"name":"demo`, "\"name\":\"\u00addemo", "is not right"},
		{`"arches":["aarch64","x86_64"]`, `"arches":["x86_64","aarch64"]`, "arches"},
		{`"arches":["aarch64","x86_64"]`, `"arches":["aarch64"]`, "not carried"},
		{`"platform":"linux/arm64"`, `"platform":"linux/riscv64"`, "platform is not right"},
		{`"arches":["aarch64","x86_64"]`, `"arches":[]`, "arches"},
		{`"arches":["aarch64","x86_64"]`, `"arches":null`, "has another type"},
		{`"publish":["whole:1",`, `"publish":["Whole:1",`, "is not"},
		{`"groups":["core"]`, `"groups":[]`, "is empty"},
		{`"name":"registry.k8s.io/whole:1"`, `"name":"registry.k8s.io/whole 1"`, "not the name of an image"},
		{`"name":"registry.k8s.io/whole:1"`, `"name":"registry.k8s.io/../whole:1"`, "not the name of an image"},
		{`"name":"quay.io/x/y:1"`, `"name":"quay.io/x/y"`, "not the name of an image"},
		{`"name":"docker.io/library/one:latest"`, `"name":"docker.io/one:latest"`, "not the name of an image"},
		{`"name":"quay.io/x/y:1"`, `"name":"quay.io/x/y@sha256:` + strings.Repeat("0", 64) + `"`, "not the name of an image"},
		{`"evr":"1.7-2.el7"`, `"evr":"0:1.7-2.el7"`, "is not right"},
		{`"name":"socat"`, `"name":""`, "is not right"},
		{`"arch":"noarch"`, `"arch":""`, "is not right"},
		{`"version":"10.0.0"`, `"version":""`, "is not right"},
		{`PUBLIC KEY BLOCK`, `PRIVATE KEY BLOCK`, "is not right"},
		{`"name":"registry.k8s.io/whole:1"`, `"name":"aaa/whole:1"`, "images is not sorted"},
		{`"platform":"linux/amd64"`, `"platform":"linux-amd64"`, "platforms"},
		{`"path":"many/0"`, `"path":"many/../0"`, "not clean"},
		{`"path":"many/0"`, `"path":"/many/0"`, "not sorted"},
		{`"path":"a b/`, `"path":"a\\b/`, "not clean"},
		{`"evr":"1.7-2.el7"`, `"evr":"1.7-2/el7"`, "is not"},
		{`"unsigned":"built by us"`, `"unsigned":"built\u0007by us"`, "is not"},
		{`"path":"many/1"`, `"path":"many/0"`, "not sorted"},
		{`"version":"10.0.0"`, `"version":"3.0.0"`, "not sorted"},
		{`"evr":"1.7-2.el7"`, `"evr":"1.7-3.el7"`, "lacks the artifact manifest"},
		{`"mediaType":"application/x-rpm"`, `"mediaType":"application/x-r\n"`, "is not"},
	} {
		t.Run(c.with, func(t *testing.T) {
			changed := bytes.Replace(table, []byte(c.old), []byte(c.with), 1)
			if bytes.Equal(changed, table) {
				t.Fatalf("the table does not hold %s", c.old)
			}
			refused(t, pack(t, s.reroot(changed, root)), c.reason)
		})
	}
	for name, change := range map[string]func([]byte) []byte{
		"line feed":     func(b []byte) []byte { return append(bytes.Clone(b), '\n') },
		"other version": func(b []byte) []byte { return bytes.Replace(b, []byte("bundle.v1"), []byte("bundle.v2"), 1) },
		"annotations":   func(b []byte) []byte { return append(bytes.TrimSuffix(b, []byte("}")), `,"annotations":{"a":"b"}}`...) },
	} {
		t.Run("root "+name, func(t *testing.T) {
			raw := pack(t, s.reroot(table, change(bytes.Clone(root))))
			path := filepath.Join(t.TempDir(), "a.tar")
			if err := os.WriteFile(path, raw, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, ok := read(t, path); ok || !strings.Contains(out, "root has another form") {
				t.Errorf("read.py says %q", out)
			}
			if _, err := archive.Open(path); err == nil {
				t.Error("archive.Open takes it")
			}
		})
	}
}

// TestReaderRefusesWrongImages builds bundles whose images are not what the table says.
func TestReaderRefusesWrongImages(t *testing.T) {
	drop := func(s *sample, d digest.Digest) {
		s.table.Blobs = slices.DeleteFunc(s.table.Blobs, func(b manifest.Blob) bool { return b.Digest == d })
	}
	for name, c := range map[string]struct {
		change func(*testing.T, *sample)
		reason string
	}{
		"stray blob": {func(_ *testing.T, s *sample) { s.add("text/plain", []byte("stray")) }, "nothing needs"},
		"layer missing": {func(_ *testing.T, s *sample) {
			drop(s, digest.FromBytes(bytes.Repeat([]byte("shared layer "), 1000)))
		}, "needs other blobs"},
		"platforms exchanged": {func(_ *testing.T, s *sample) {
			p := slices.Clone(s.table.Images[0].Platforms)
			p[0].Digest, p[1].Digest = p[1].Digest, p[0].Digest
			s.table.Images[0].Platforms = p
		}, "is of another platform"},
		"platform left out": {func(_ *testing.T, s *sample) { s.table.Images[0].Platforms = s.table.Images[0].Platforms[:1] }, "lists others"},
		"platform too many": {func(_ *testing.T, s *sample) {
			s.table.Images[1].Platforms = s.table.Images[0].Platforms
		}, "lists others"},
		"single of another platform": {func(_ *testing.T, s *sample) { s.table.Images[2].Platforms[0].Platform = "linux/arm64" }, "config of another platform"},
		"single with two platforms": {func(_ *testing.T, s *sample) {
			s.table.Images[2].Platforms = append(s.table.Images[2].Platforms, manifest.Platform{Platform: "linux/arm64", Digest: s.table.Images[2].Digest})
		}, "lists others"},
		"not derived from the original": {func(_ *testing.T, s *sample) {
			one := s.table.Images[1]
			d := s.add(ocispec.MediaTypeImageIndex, append(bytes.Clone(s.data[one.Digest]), ' '))
			drop(s, one.Digest)
			s.table.Images[1].Digest = d.Digest
		}, "not derived"},
		"schema 1":      {document(`{"schemaVersion":1,"manifests":[]}`, ocispec.MediaTypeImageIndex), "another version"},
		"index of none": {document(`{"schemaVersion":2,"config":{}}`, ocispec.MediaTypeImageIndex), "members of another kind"},
		"both": {document(`{"schemaVersion":2,"manifests":[],"config":{"digest":"sha256:`+strings.Repeat("a", 64)+`","size":1}}`,
			ocispec.MediaTypeImageManifest), "members of another kind"},
		"other media type":                  {document(`{"schemaVersion":2,"mediaType":"`+manifest.MediaTypeDockerList+`","manifests":[]}`, ocispec.MediaTypeImageIndex), "another version or media type"},
		"bad digest":                        {document(`{"schemaVersion":2,"config":{"digest":"sha256:AB","size":1}}`, ocispec.MediaTypeImageManifest), "without media type, digest"},
		"no media type":                     {document(`{"schemaVersion":2,"config":{"mediaType":"","digest":"sha256:`+strings.Repeat("a", 64)+`","size":1},"layers":[]}`, ocispec.MediaTypeImageManifest), "without media type"},
		"layer as a manifest":               {retyped(ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageManifest), another},
		"layer as another":                  {retyped(ocispec.MediaTypeImageLayerGzip, ocispec.MediaTypeImageLayer), another},
		"config as text":                    {retyped(ocispec.MediaTypeImageConfig, "text/plain"), another},
		"rpm as an index":                   {retyped(manifest.MediaTypeRPM, ocispec.MediaTypeImageIndex), another},
		"chart as a file":                   {retyped(manifest.MediaTypeChart, manifest.MediaTypeFile), another},
		"metadata as JSON":                  {retyped(manifest.MediaTypeComps, "x/y+json"), another},
		"layer as the file that it is, too": {retyped("application/spdx+json", manifest.MediaTypeFile), another},
		"no image":                          {document(`{"schemaVersion":2}`, "application/json"), "otherwise in blobs"},
		"entry is another":                  {entry("size", 1), "otherwise in blobs"},
		"entry of other type":               {entry("mediaType", manifest.MediaTypeDockerManifest), "otherwise in blobs"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSample(t, 3)
			c.change(t, s)
			s.sayAbsent()
			refused(t, whole(t, s), c.reason)
		})
	}
}

// TestOneCauseOneFinding: what may belong to an image that could not be walked is not told as
// belonging to none.
func TestOneCauseOneFinding(t *testing.T) {
	s := newSample(t, 3)
	s.table.Images[2].Platforms[0].Platform = "linux/arm64"
	s.sayAbsent()
	path := filepath.Join(t.TempDir(), "a.tar")
	s.write(t, path)
	if found := verified(t, path).Findings(); len(found) != 1 || !strings.Contains(found[0].Reason, "is listed for linux/arm64") {
		t.Errorf("%+v", found)
	}
}

// sayAbsent says of each arch that an image lacks that it does.
func (s *sample) sayAbsent() {
	s.table.Absent = nil
	for _, m := range s.table.Images {
		for _, arch := range s.table.Arches {
			if !slices.ContainsFunc(m.Platforms, func(p manifest.Platform) bool { return manifest.ArchOf(p.Platform) == arch }) {
				s.table.Absent = append(s.table.Absent, manifest.Absent{Name: m.Name, Arch: arch, Why: "not made"})
			}
		}
	}
}

// another is what the reader says of a blob that the table lists as what it is not.
const another = "has another media type in blobs"

// retyped lists the first blob of a media type as another one.
func retyped(was, now string) func(*testing.T, *sample) {
	return func(_ *testing.T, s *sample) {
		d := s.table.Blobs[slices.IndexFunc(s.table.Blobs, func(b manifest.Blob) bool { return b.MediaType == was })].Digest
		for i := range s.table.Blobs {
			if s.table.Blobs[i].Digest == d {
				s.table.Blobs[i].MediaType = now
			}
		}
	}
}

// document makes one image a document of this text.
func document(raw, mediaType string) func(*testing.T, *sample) {
	return func(_ *testing.T, s *sample) {
		d := s.add(mediaType, []byte(raw)).Digest
		s.table.Images[2].Digest, s.table.Images[2].Platforms[0].Digest = d, d
	}
}

// entry changes one member of the entries of the first image's index.
func entry(member string, to any) func(*testing.T, *sample) {
	return func(t *testing.T, s *sample) {
		node, err := manifest.ParseImage(ocispec.MediaTypeImageIndex, s.data[s.table.Images[0].Digest])
		if err != nil {
			t.Fatal(err)
		}
		for i := range node.Manifests {
			switch v := to.(type) {
			case int:
				node.Manifests[i].Size = int64(v)
			case string:
				node.Manifests[i].MediaType = v
			default:
				t.Fatalf("no change of %s", member)
			}
		}
		s.table.Images[0].Digest = s.addJSON(t, ocispec.MediaTypeImageIndex, map[string]any{"schemaVersion": 2, "manifests": node.Manifests}).Digest
	}
}
