package image

import (
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/fuzztest"
	"airbundle/manifest"
)

const (
	someDigest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
	someDesc   = `{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"` + someDigest + `","size":3}`
)

func TestDocumentMediaType(t *testing.T) {
	const (
		image = `"config":` + someDesc + `,"layers":[]`
		index = `"manifests":[]`
	)
	for _, tt := range []struct {
		name, raw, declared, want, err string
	}{
		{name: "body says it", raw: `{"schemaVersion":2,"mediaType":"` + manifest.MediaTypeDockerManifest + `",` + image + `}`, declared: "application/json", want: manifest.MediaTypeDockerManifest},
		{name: "server says it", raw: `{"schemaVersion":2,` + image + `}`, declared: manifest.MediaTypeDockerManifest + "; charset=utf-8", want: manifest.MediaTypeDockerManifest},
		{name: "nobody says it", raw: `{"schemaVersion":2,` + image + `}`, declared: "application/octet-stream", want: ocispec.MediaTypeImageManifest},
		{name: "nobody says it of an index", raw: `{"schemaVersion":2,` + index + `}`, want: ocispec.MediaTypeImageIndex},
		{name: "both agree", raw: `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `",` + index + `}`, declared: ocispec.MediaTypeImageIndex, want: ocispec.MediaTypeImageIndex},
		{name: "confusion", raw: `{"schemaVersion":2,"mediaType":"` + ocispec.MediaTypeImageIndex + `",` + index + `}`, declared: ocispec.MediaTypeImageManifest, err: "media type confusion"},
		{name: "both kinds at once", raw: `{"schemaVersion":2,` + image + `,` + index + `}`, err: "both"},
		{name: "type does not fit the fields", raw: `{"schemaVersion":2,` + image + `}`, declared: ocispec.MediaTypeImageIndex, err: "index without manifests"},
		{name: "foreign type", raw: `{"schemaVersion":2,"mediaType":"application/x",` + image + `}`, err: "neither"},
		{name: "schema 1", raw: `{"schemaVersion":1,"name":"a","fsLayers":[],"history":[]}`, declared: "application/vnd.docker.distribution.manifest.v1+prettyjws", err: "schema 1"},
		{name: "no version", raw: `{` + image + `}`, err: "no schemaVersion"},
		{name: "field twice", raw: `{"schemaVersion":2,"layers":[],` + image + `}`, err: "layers: is there twice"},
		{name: "field in other case", raw: `{"schemaVersion":2,"Layers":[],` + image + `}`, err: `Layers: differs from "layers"`},
		{name: "text behind", raw: `{"schemaVersion":2,` + image + `}{}`, err: "text follows"},
		{name: "cut", raw: `{"schemaVersion":2,` + image, err: "not JSON"},
		{name: "an array", raw: `[]`, err: "not a JSON object"},
		{name: "a web page", raw: `<html>log in</html>`, declared: "text/html", err: "not JSON"},
		{name: "empty", raw: ``, err: "not JSON"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := newDocument("here", []byte(tt.raw), "", tt.declared)
			if tt.err != "" {
				wantError(t, err, "here: ", tt.err)
				return
			}
			if err != nil || doc.desc.MediaType != tt.want {
				t.Errorf("media type %q, %v; want %q", doc.desc.MediaType, err, tt.want)
			}
		})
	}
}

func TestReadDocument(t *testing.T) {
	for _, tt := range []struct {
		length int
		size   int64
		err    string
	}{
		{length: 10, size: 10}, {length: 10, size: -1},
		{length: 11, size: -1, err: "more than the 10 bytes"},
		{length: 0, size: 11, err: "11 bytes are more than the 10"},
	} {
		raw, err := readDocument("here", strings.NewReader(strings.Repeat("x", tt.length)), tt.size, 10)
		if tt.err != "" {
			wantError(t, err, "here: ", tt.err)
		} else if err != nil || len(raw) != tt.length {
			t.Errorf("%d bytes, %v", len(raw), err)
		}
	}
}

func FuzzNewDocument(f *testing.F) {
	f.Add([]byte(`{"schemaVersion":2,"config":`+someDesc+`,"layers":[]}`), manifest.MediaTypeDockerManifest)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{}]}`), "")
	f.Add([]byte(`{"schemaVersion":1e0,"a":[[[[`), "text/html")
	fuzztest.Run(f, func(t *testing.T, raw []byte, declared string) {
		doc, err := newDocument("here", raw, "", declared)
		if err != nil {
			return
		}
		again, err := newDocument("here", raw, doc.desc.Digest, doc.desc.MediaType)
		if err != nil || again.desc.Digest != doc.desc.Digest || again.desc.MediaType != doc.desc.MediaType {
			t.Fatalf("%q: %v, then %v, %v", raw, doc.desc, again.desc, err)
		}
	})
}
