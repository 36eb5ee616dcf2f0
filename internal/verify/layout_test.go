package verify_test

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/report"
	"airbundle/internal/verify"
	"airbundle/manifest"
)

// obj is a JSON object of a test.
type obj = map[string]any

// A sketch is a plain layout in the making: two platforms of one image, below an index.
type sketch struct {
	files map[string]string
	dirs  []string
}

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// put adds a blob and returns its descriptor.
func (s *sketch) put(mediaType string, v any) obj {
	raw := text(v)
	s.files["blobs/sha256/"+digest.FromString(raw).Encoded()] = raw
	return obj{"mediaType": mediaType, "digest": digest.FromString(raw).String(), "size": len(raw)}
}

func configOf(arch, layer string) obj {
	return obj{"architecture": arch, "os": "linux", "rootfs": obj{"type": "layers", "diff_ids": []any{digest.FromString(layer).String()}}}
}

// A bend changes one thing at one step; later steps take over what it did, so that all
// digests are right but those that it makes wrong.
type bend struct {
	config, manifest, nested, top func(o obj)
	entry                         func(o obj) // of amd64 in the index
	layout                        func(s *sketch)
}

func apply(f func(obj), o obj) obj {
	if f != nil {
		f(o)
	}
	return o
}

func sketched(b bend) *sketch {
	s := &sketch{files: map[string]string{"oci-layout": `{"imageLayoutVersion":"1.0.0"}`}}
	platform := func(arch string, b bend) obj {
		config := s.put(ocispec.MediaTypeImageConfig, apply(b.config, configOf(arch, "layer "+arch)))
		layer := s.put(ocispec.MediaTypeImageLayer, "layer "+arch)
		m := apply(b.manifest, obj{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "config": config, "layers": []any{layer}})
		d := s.put(ocispec.MediaTypeImageManifest, m)
		d["platform"] = obj{"os": "linux", "architecture": arch}
		return apply(b.entry, d)
	}
	nested := apply(b.nested, obj{"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageIndex, "manifests": []any{platform("amd64", b), platform("arm64", bend{})}})
	d := s.put(ocispec.MediaTypeImageIndex, nested)
	d["annotations"] = obj{ocispec.AnnotationRefName: "host/app:1"}
	s.files["index.json"] = text(apply(b.top, obj{"schemaVersion": 2, "manifests": []any{d}}))
	if b.layout != nil {
		b.layout(s)
	}
	return s
}

func (s *sketch) write(t *testing.T, order func(names []string)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "layout.tar")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	w := tar.NewWriter(out)
	for _, d := range s.dirs {
		if err := w.WriteHeader(&tar.Header{Name: d + "/", Typeflag: tar.TypeDir, Mode: 0o755}); err != nil {
			t.Fatal(err)
		}
	}
	names := slices.Sorted(maps.Keys(s.files))
	if order != nil {
		order(names)
	}
	for _, name := range names {
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(s.files[name]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(s.files[name])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func set(path string, v any) func(obj) {
	return func(o obj) {
		keys := strings.Split(path, "/")
		for _, k := range keys[:len(keys)-1] {
			if list, ok := o[k].([]any); ok {
				o = list[0].(obj)
			} else {
				o = o[k].(obj)
			}
		}
		if k := keys[len(keys)-1]; v == nil {
			delete(o, k)
		} else {
			o[k] = v
		}
	}
}

func again(key string) func(obj) {
	return func(o obj) { o[key] = append(o[key].([]any), o[key].([]any)[0]) }
}

func raw(path string, f func(string) string) bend {
	return bend{layout: func(s *sketch) { s.files[path] = f(s.files[path]) }}
}

func named(name any) bend {
	return bend{top: set("manifests/annotations", obj{ocispec.AnnotationRefName: name})}
}

func titled(title string) bend {
	return bend{manifest: set("layers/annotations", obj{ocispec.AnnotationTitle: title})}
}

var jsonNull = json.RawMessage("null")

// blobOf returns the name of the first blob whose content has the text.
func (s *sketch) blobOf(part string) string {
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		if strings.HasPrefix(name, "blobs/") && strings.Contains(s.files[name], part) {
			return name
		}
	}
	panic("no blob with " + part)
}

// Each row of the fault matrix that is about the content of a plain layout: refused, and
// told what is wrong.
func TestLayoutRows(t *testing.T) {
	stray := func(name string) bend { return bend{layout: func(s *sketch) { s.files[name] = "x" }} }
	sum := digest.FromString
	for name, c := range map[string]struct {
		bend bend
		want string
	}{
		"A01 layer": {bend{layout: func(s *sketch) { s.files[s.blobOf("layer amd64")] = "lbyer amd64" }}, "hashes to"},
		"A12 swapped": {bend{layout: func(s *sketch) {
			a, b := s.blobOf("layer amd64"), s.blobOf("layer arm64")
			s.files[a], s.files[b] = s.files[b], s.files[a]
		}}, "hashes to"},
		"A13 layer":                {bend{layout: func(s *sketch) { delete(s.files, s.blobOf("layer arm64")) }}, "missing: there is no entry"},
		"A13 foreign layer":        {bend{manifest: set("layers/urls", []string{"http://127.0.0.1:1/x"}), layout: func(s *sketch) { delete(s.files, s.blobOf("layer amd64")) }}, "never contacted"},
		"A17 directory for a blob": {bend{layout: func(s *sketch) { n := s.blobOf("layer amd64"); delete(s.files, n); s.dirs = []string{n} }}, "a directory among the blobs"},
		"A21 orphan":               {bend{layout: func(s *sketch) { s.put("", "orphan") }}, "no manifest refers"},
		"A21 stray":                {stray("readme.txt"), "no part of an OCI layout"},
		"A21 whiteout":             {stray(".wh.index.json"), "no part of an OCI layout"},
		"A21 wrong depth":          {stray("blobs/x"), "not named by a digest"},
		"A21 too deep":             {stray("blobs/sha256/x/" + sum("x").Encoded()), "not named by a digest"},
		"A21 docker elsewhere":     {stray("blobs/manifest.json"), "not named by a digest"},
		"A22 sha512":               {bend{entry: set("digest", "sha512:"+strings.Repeat("a", 128))}, "is not sha256"},
		"A22 sha512 blob":          {stray("blobs/sha512/" + strings.Repeat("a", 128)), "not named by a digest"},
		"A23 upper case":           {bend{entry: set("digest", "sha256:"+strings.Repeat("A", 64))}, "is not sha256"},
		"A23 md5":                  {bend{entry: set("digest", "md5:d41d8cd98f00b204e9800998ecf8427e")}, "is not sha256"},
		"A23 empty":                {bend{entry: set("digest", "")}, "is not sha256"},
		"A23 traversal":            {bend{entry: set("digest", "sha256:../../index.json")}, "is not sha256"},
		"A23 missing":              {bend{entry: set("digest", nil)}, `"digest" is missing`},
		"A24 one less":             {bend{entry: func(o obj) { o["size"] = o["size"].(int) - 1 }}, "bytes, not"},
		"A24 zero":                 {bend{manifest: set("layers/size", 0)}, "bytes, not 0"},
		"A24 negative":             {bend{manifest: set("layers/size", -1)}, "is negative"},
		"A24 huge":                 {bend{manifest: set("layers/size", json.Number("4611686018427387904"))}, "not an integer"},
		"A24 string":               {bend{manifest: set("layers/size", "11")}, "is a string"},
		"A24 missing":              {bend{manifest: set("layers/size", nil)}, `"size" is missing`},
		"A24 two sizes": {bend{manifest: func(o obj) {
			l := maps.Clone(o["layers"].([]any)[0].(obj))
			l["size"] = 1
			o["layers"] = append(o["layers"].([]any), l)
		}}, "said to have"},
		"A26 deep":                {bend{layout: deep}, "deeper than 4"},
		"A28 manifest of 5 MiB":   {bend{entry: set("size", 5<<20)}, "more than the 4194304"},
		"A29 config":              {bend{config: set("os", []string{"linux"})}, "os: is a list"},
		"A29 oci-layout":          {raw("oci-layout", func(string) string { return `{"imageLayoutVersion":"2","imageLayoutVersion":"1.0.0"}` }), "is there twice"},
		"A29 index twice":         {raw("index.json", func(s string) string { return s + s }), "text follows"},
		"A30 manifest and index":  {bend{manifest: set("manifests", []any{})}, "both an image manifest and an index"},
		"A30 index as manifest":   {bend{top: set("manifests/mediaType", ocispec.MediaTypeImageManifest)}, "the body says media type"},
		"A30 schema 1":            {bend{manifest: set("schemaVersion", 1)}, "schema version 1"},
		"A30 schema missing":      {bend{manifest: set("schemaVersion", nil)}, "no schemaVersion"},
		"A30 layers null":         {bend{manifest: set("layers", jsonNull)}, "layers: is null"},
		"A30 layers missing":      {bend{manifest: set("layers", nil)}, "without layers"},
		"A30 as octets":           {bend{entry: set("mediaType", "application/octet-stream")}, "type confusion"},
		"A30 as layer":            {bend{entry: set("mediaType", ocispec.MediaTypeImageLayer)}, "where a manifest or index belongs"},
		"A30 as artifact":         {bend{entry: set("mediaType", "application/vnd.oci.artifact.manifest.v1+json")}, "removed from the OCI"},
		"A30 layer as config":     {bend{manifest: set("layers/mediaType", ocispec.MediaTypeImageConfig)}, "where a layer belongs"},
		"A30 config as layer":     {bend{manifest: set("config/mediaType", ocispec.MediaTypeImageLayer)}, "where a config belongs"},
		"A30 no type":             {bend{manifest: set("layers/mediaType", "")}, "is no media type"},
		"A30 type with parameter": {bend{manifest: set("layers/mediaType", "a/b; c=d")}, "is no media type"},
		"A30 config and layer": {bend{manifest: func(o obj) {
			c := maps.Clone(o["config"].(obj))
			c["mediaType"] = "application/x"
			o["layers"] = append(o["layers"].([]any), c)
		}}, `said to be`},
		"A32 data":                {bend{manifest: func(o obj) { l := o["layers"].([]any)[0].(obj); l["data"] = "bGF5ZXIgYXJtNjQ=" }}, "embedded in it is something else"},
		"A33 newline":             {named("a\nb"), "bad name"},
		"A33 traversal":           {named("../../x"), "bad name"},
		"A33 empty":               {named(""), "bad name"},
		"A33 bidi":                {named("a\u202eb"), "bad name"},
		"A33 title traversal":     {titled("../x"), "bad name: title"},
		"A33 title absolute":      {titled("/etc/passwd"), "bad name: title"},
		"A33 title control":       {titled("a\x1b[2J"), "bad name: title"},
		"A33 artifact type":       {bend{manifest: set("artifactType", "a\x1b/b")}, "artifact type"},
		"A33 platform":            {bend{entry: set("platform/architecture", "amd64\x1b")}, "which is no name"},
		"A34 name":                {bend{top: again("manifests")}, "stands twice"},
		"A34 platform":            {bend{nested: again("manifests")}, "ambiguous: for platform linux/amd64"},
		"A34 title":               {bend{manifest: func(o obj) { titleTwice(o) }}, "ambiguous name: title"},
		"A35 index":               {bend{entry: set("platform/architecture", "s390x")}, "platform mismatch: listed for linux/s390x"},
		"A35 config":              {bend{config: set("architecture", "s390x")}, "platform mismatch"},
		"A35 config says none":    {bend{config: func(o obj) { delete(o, "os"); delete(o, "architecture") }}, "platform mismatch"},
		"A35 config says much":    {bend{config: set("architecture", strings.Repeat("x", 2000))}, "a platform of 2005 bytes"},
		"A35 spelling":            {bend{entry: set("platform/architecture", "x86_64")}, "platform mismatch"},
		"A36 layer dropped":       {bend{manifest: set("layers", []any{})}, "it has 0 layers, its config"},
		"A36 layer replaced":      {bend{config: set("rootfs/diff_ids", []string{string(sum("other"))})}, "its config"},
		"A37 empty":               {bend{top: set("manifests", []any{})}, "lists nothing"},
		"A37 empty below":         {bend{nested: set("manifests", []any{}), layout: dropUnlisted}, "the index lists nothing"},
		"A38 version":             {raw("oci-layout", func(string) string { return `{"imageLayoutVersion":"1.1.0"}` }), "a newer tool is needed"},
		"A38 missing":             {bend{layout: func(s *sketch) { delete(s.files, "oci-layout") }}, "a newer tool is needed"},
		"index.json missing":      {bend{layout: func(s *sketch) { delete(s.files, "index.json") }}, "not an OCI image layout"},
		"A28 index.json of 5 MiB": {raw("index.json", func(s string) string { return s + strings.Repeat(" ", 5<<20) }), "more than the 4194304"},
		"A15 Index.json beside":   {stray("Index.json"), "stands twice"},
		"config that is no JSON": {bend{manifest: func(o obj) {
			o["config"].(obj)["digest"] = o["layers"].([]any)[0].(obj)["digest"]
			o["config"].(obj)["size"] = len("layer amd64")
		}}, "not JSON"},
		"names the root of a bundle": {bend{top: set("manifests/artifactType", manifest.ArtifactTypeBundle)}, "packed anew"},
	} {
		t.Run(name, func(t *testing.T) {
			rep, _, err := verify.Run(t.Context(), sketched(c.bend).write(t, nil), verify.Options{})
			if err != nil {
				t.Fatal(err)
			}
			told := slices.ContainsFunc(rep.Findings(), func(r report.Record) bool { return strings.Contains(r.Reason, c.want) })
			if rep.Code() != int(report.ClassContent) || rep.Bundle != "" || !told {
				t.Errorf("code %d, want %q in %v", rep.Code(), c.want, rep.Findings())
			}
		})
	}
}

// titleTwice gives two layers one title.
func titleTwice(o obj) {
	l := o["layers"].([]any)[0].(obj)
	l["annotations"] = obj{ocispec.AnnotationTitle: "file"}
	c := maps.Clone(o["config"].(obj))
	c["annotations"] = l["annotations"]
	o["layers"] = []any{l, c}
}

// dropUnlisted keeps the index alone.
func dropUnlisted(s *sketch) {
	for name := range s.files {
		if strings.HasPrefix(name, "blobs/") && !strings.Contains(s.files[name], `"manifests":[]`) {
			delete(s.files, name)
		}
	}
}

// deep puts thousands of indexes into each other.
func deep(s *sketch) {
	var top obj
	if err := json.Unmarshal([]byte(s.files["index.json"]), &top); err != nil {
		panic(err)
	}
	d := top["manifests"].([]any)[0]
	for range 3000 {
		d = s.put(ocispec.MediaTypeImageIndex, obj{"schemaVersion": 2, "manifests": []any{d}})
	}
	s.files["index.json"] = text(obj{"schemaVersion": 2, "manifests": []any{d}})
}

// A39: what is unusual and valid, and what other tools write.
func TestUnusualLayouts(t *testing.T) {
	artifact := func(s *sketch) {
		maps.DeleteFunc(s.files, func(name, _ string) bool { return strings.HasPrefix(name, "blobs/") })
		empty := s.put(ocispec.MediaTypeEmptyJSON, "{}")
		m := s.put(ocispec.MediaTypeImageManifest, obj{
			"schemaVersion": 2, "artifactType": "application/vnd.example", "config": empty, "layers": []any{empty},
			"subject": obj{"mediaType": ocispec.MediaTypeImageManifest, "digest": digest.FromString("elsewhere").String(), "size": 9},
		})
		s.files["index.json"] = text(obj{"schemaVersion": 2, "manifests": []any{m}})
	}
	for name, c := range map[string]struct {
		bend  bend
		order func([]string)
	}{
		"as it is":          {},
		"backwards":         {order: slices.Reverse[[]string]},
		"directories":       {bend: bend{layout: func(s *sketch) { s.dirs = []string{".", "blobs", "blobs/sha256", "ingest"} }}},
		"dots":              {bend: bend{layout: dotted}},
		"no type in bodies": {bend: bend{manifest: set("mediaType", nil), nested: set("mediaType", nil)}},
		"unknown members":   {bend: bend{manifest: set("x", obj{"y": jsonNull}), nested: set("annotations", obj{"a": "b\nc"}), top: set("x", 1e9)}},
		"a layer twice": {bend: bend{manifest: again("layers"), config: func(o obj) {
			r := o["rootfs"].(obj)
			r["diff_ids"] = append(r["diff_ids"].([]any), r["diff_ids"].([]any)[0])
		}}},
		"nulls in the config": {bend: bend{config: set("config", obj{"Cmd": jsonNull, "Labels": jsonNull})}},
		"artifact":            {bend: bend{layout: artifact}},
		"no name":             {bend: bend{top: set("manifests/annotations", nil)}},
		"containerd's names":  {bend: bend{top: set("manifests/annotations", obj{"io.containerd.image.name": "host/app:1", ocispec.AnnotationRefName: "1"})}},
		"docker save": {bend: bend{layout: func(s *sketch) {
			s.files["manifest.json"], s.files["repositories"] = "[]", "{}"
			s.put("", `{"id":"`+strings.Repeat("a", 64)+`","created":"1970-01-01T00:00:00Z","container_config":{"Cmd":null},"os":"linux"}`)
		}}},
		"spaced layout": {bend: raw("oci-layout", func(s string) string { return " " + s + "\n" })},
	} {
		t.Run(name, func(t *testing.T) {
			rep, sum, err := verify.Run(t.Context(), sketched(c.bend).write(t, c.order), verify.Options{})
			if err != nil || rep.Code() != 0 || rep.Bundle != "" || sum.Artifacts != 1 {
				t.Errorf("code %d, %+v, %v, %v", rep.Code(), sum, err, rep.Findings())
			}
		})
	}
}

func dotted(s *sketch) {
	for name, data := range maps.Clone(s.files) {
		delete(s.files, name)
		s.files["./"+name] = data
	}
}

// All that is wrong is told in one run, and every image that shares a bad blob is named.
func TestLayoutTellsAll(t *testing.T) {
	s := sketched(bend{entry: set("platform/architecture", "s390x"), layout: func(s *sketch) {
		s.files["oci-layout"] = "{}"
		s.files["stray"] = "x"
		s.put("", "orphan")
		s.files[s.blobOf("layer arm64")] = "damaged"
	}})
	rep, _, err := verify.Run(t.Context(), s.write(t, nil), verify.Options{})
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprint(rep.Findings())
	for _, want := range []string{"imageLayoutVersion", "stray", "no manifest refers", "platform mismatch", "bytes, not", "host/app:1"} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not told: %s", want, all)
		}
	}
}

// Thousands of problems cost a bounded report.
func TestLayoutOfManyFindings(t *testing.T) {
	s := sketched(bend{layout: func(s *sketch) {
		for i := range 5000 {
			s.files[fmt.Sprintf("stray%d", i)] = ""
		}
	}})
	rep, _, err := verify.Run(t.Context(), s.write(t, nil), verify.Options{})
	if n := rep.Bad(); err != nil || n != 1000 || !strings.Contains(fmt.Sprint(rep.Findings()), "4001 more findings") {
		t.Errorf("%d findings, %v", n, err)
	}
}
