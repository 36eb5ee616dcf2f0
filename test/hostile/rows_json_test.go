package hostile

import (
	"encoding/base64"
	"fmt"
	"os"
	"strings"
	"unicode/utf16"
)

// keys: the first half of row A29.
func keys() []sample {
	var all []sample
	twice := func(place, key, v string) {
		name := fmt.Sprintf("%s in %s", key, place)
		all = append(all,
			text("A29", name+" twice, first", "a key stands twice", edits{place: first(`"` + key + `":` + v)}),
			text("A29", name+" twice, last", "a key stands twice", edits{place: last(`"` + key + `":` + v)}))
	}
	fold := func(place, key, with, v string) {
		all = append(all, text("A29", fmt.Sprintf("%s as %s in %s", key, with, place), "a key stands twice but for case", edits{place: last(`"` + with + `":` + v)}))
	}
	other := `"sha256:` + strings.Repeat("ab", 32) + `"`
	twice("oci-layout", "imageLayoutVersion", `"1.0.0"`)
	fold("oci-layout", "imageLayoutVersion", "ImageLayoutVersion", `"1.0.0"`)
	for _, place := range []string{"index", "nested"} {
		twice(place, "manifests", "[]")
		twice(place, "schemaVersion", "2")
		twice(place, "mediaType", `"`+mtIndex+`"`)
		fold(place, "manifests", "Manifests", "[]")
		fold(place, "manifests", "MANIFESTS", "[]")
		fold(place, "manifests", `manife\u017fts`, "[]")
		fold(place, "mediaType", "mediatype", `"`+mtManifest+`"`)
		fold(place, "schemaVersion", "SchemaVersion", "1")
	}
	for _, place := range []string{"manifest", "artifact", "referrer"} {
		twice(place, "layers", "[]")
		twice(place, "config", "{}")
		fold(place, "layers", "Layers", "[]")
		fold(place, "config", "CONFIG", "{}")
	}
	twice("referrer", "subject", "null")
	twice("artifact", "artifactType", `"x/y"`)
	fold("artifact", "artifactType", "artifacttype", `"x/y"`)
	for _, key := range []string{"architecture", "os", "rootfs"} {
		v := `"arm64"`
		if key == "rootfs" {
			v = "{}"
		}
		twice("config", key, v)
		fold("config", key, strings.ToUpper(key), v)
	}
	for _, place := range descriptors {
		twice(place, "digest", other)
		twice(place, "size", "1")
		fold(place, "digest", "Digest", other)
		fold(place, "size", `\u017fize`, "1")
		twice(place, "mediaType", `"x/y"`)
	}
	twice("platform", "architecture", `"arm64"`)
	twice("platform", "os", `"windows"`)
	fold("platform", "architecture", "Architecture", `"arm64"`)
	twice("annotations", "org.example.note", `"another"`)
	twice("ref", "org.opencontainers.image.ref.name", `"registry.example/app:2.0"`)
	twice("title", "org.opencontainers.image.title", `"bin/other"`)
	return append(all,
		text("A29", "escaped key", "a key stands twice, once in escapes", edits{"manifest/layer": last(`"\u0064igest":` + other)}),
		text("A29", "escaped key in the config", "a key stands twice, once in escapes", edits{"config": last(`"\u006fs":"windows"`)}),
		text("A29", "unknown key twice", "an unknown key stands twice", edits{"manifest": last(`"org.example":1,"org.example":2`)}),
		text("A29", "twice far below", "a key stands twice deep in an unknown value", edits{"manifest": last(`"x":{"y":[{"z":1,"z":2}]}`)}),
		text("A29", "twice in config.config", "a key stands twice in the configuration", edits{"config": swap(`"Cmd":`, `"Cmd":["/bin/evil"],"Cmd":`)}),
		text("A29", "twice in rootfs", "a key stands twice in rootfs", edits{"config": swap(`"rootfs":{`, `"rootfs":{"diff_ids":[],`)}))
}

// encodings: the second half of row A29.
func encodings() []sample {
	wide := func(big bool) edit {
		return func(s string) string {
			var b strings.Builder
			for _, u := range utf16.Encode([]rune("\ufeff" + s)) {
				if big {
					b.WriteByte(byte(u >> 8))
				}
				b.WriteByte(byte(u))
				if !big {
					b.WriteByte(byte(u >> 8))
				}
			}
			return b.String()
		}
	}
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	object := strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000)
	changes := map[string]edit{
		"trailing document": behind("{}"), "trailing document on a line": behind("\n{}"), "trailing comma": behind(","), "trailing text": behind("x"), "trailing zero byte": behind("\x00"), "trailing bracket": behind("}"),
		"BOM": before("\ufeff"), "UTF-16 little": wide(false), "UTF-16 big": wide(true), "zero byte first": before("\x00"), "comment": before("/* x */"), "line comment": behind("// x"), "form feed": before("\f"), "no-break space": before("\u00a0"),
		"invalid UTF-8": last("\"x\":\"\xff\""), "invalid UTF-8 key": last("\"\xc0\x80\":1"), "surrogate bytes": last("\"x\":\"\xed\xa0\x80\""), "lone surrogate": last(`"x":"\ud800"`), "noncharacter": last(`"x":"\uffff"`), "noncharacter in a key": last("\"\ufdd0\":1"), "raw control": last("\"x\":\"\x01\""), "raw newline": last("\"x\":\"a\nb\""), "bad escape": last(`"x":"\q"`), "short escape": last(`"x":"\u12"`),
		"depth 1e5": last(`"x":` + deep), "objects 1e5 deep": last(`"x":` + object), "unclosed 1e5": last(`"x":` + strings.Repeat("[", 100_000)), "NaN": last(`"x":NaN`), "huge number": last(`"x":1e400`), "leading zero": last(`"x":01`), "bare word": last(`"x":yes`), "single quotes": last(`'x':1`), "key without quotes": last(`x:1`), "double comma": last(`,"x":1`),
		"empty": whole(""), "white space": whole("  \n"), "list": whole("[]"), "null": whole("null"), "true": whole("true"), "number": whole("2"), "string": whole(`"text"`), "wrapped in a list": func(s string) string { return "[" + s + "]" }, "cut": func(s string) string { return s[:len(s)-1] }, "cut in a string": func(s string) string { return s[:10] }, "empty object": whole("{}"),
	}
	var all []sample
	for name, e := range changes {
		for _, place := range documents {
			s := text("A29", name+" in "+place, "not the JSON it should be", edits{place: e})
			if name == "huge number" && place != "oci-layout" || name == "lone surrogate" {
				s = s.exits(either...) // JSON's grammar allows it
			}
			all = append(all, s)
		}
	}
	return all
}

// values: nulls and types where others belong; also row A29.
func values() []sample {
	var all []sample
	set := func(place, key string, vs ...string) {
		for _, v := range vs {
			all = append(all, text("A29", fmt.Sprintf("%s of %s is %s", key, place, v), "a value of another type", edits{place: value(key, v)}))
		}
	}
	set("index", "manifests", "null", "{}", `"x"`, "1", "[null]", "[[]]", `["x"]`, "[{}]", "[1]")
	set("nested", "manifests", "null", "{}", "[null]", "[{}]", `["x"]`, "[[]]")
	set("manifest", "layers", "null", "{}", "[null]", "[{}]", `["x"]`, "[1]")
	set("manifest", "config", "null", "[]", `"x"`, "{}", "1")
	set("artifact", "layers", "[null]", "[{}]")
	set("referrer", "subject", "[]", `"x"`, "{}", "1")
	set("nested/amd64", "platform", "[]", `"linux/amd64"`, "1")
	set("platform", "architecture", "1", "[]", "{}")
	set("platform", "os", "1", "[]")
	set("config", "architecture", "1", "[]", "{}", "null")
	set("config", "os", "1", "{}")
	set("config", "rootfs", "1", `"x"`, "[]")
	set("manifest/layer", "mediaType", "1", "[]", "null", `""`)
	set("index/nested", "mediaType", "1", "{}", "null", `""`)
	set("manifest", "schemaVersion", `"2"`, "null", "2.5", "[2]")
	set("index", "schemaVersion", `"2"`, "null", "2.5")
	set("nested", "annotations", "[]", `"x"`, "1", `{"a":1}`, `{"a":null}`, `{"a":[]}`)
	set("index/nested", "annotations", "[]", `"x"`, `{"org.opencontainers.image.ref.name":1}`, `{"org.opencontainers.image.ref.name":["a"]}`)
	set("artifact/layer", "annotations", `{"org.opencontainers.image.title":1}`, `{"org.opencontainers.image.title":null}`, "[1]")
	set("index/artifact", "artifactType", "1", "[]")
	return all
}

// confusions: row A30.
func confusions() []sample {
	fake := blob{fakeDigest(1), 5}
	list := []sample{
		text("A30", "manifest with manifests", "a manifest that is an index, too", edits{"manifest": last(`"manifests":[` + descriptor(mtManifest, fake, "") + `]`)}),
		text("A30", "manifest with empty manifests", "a manifest that is an index, too", edits{"manifest": last(`"manifests":[]`)}),
		text("A30", "index with layers", "an index that is a manifest, too", edits{"nested": last(`"layers":[],"config":` + descriptor(mtConfig, fake, ""))}),
		text("A30", "index with config", "an index that is a manifest, too", edits{"nested": last(`"config":` + descriptor(mtConfig, fake, ""))}),
		text("A30", "index.json with layers", "index.json is a manifest, too", edits{"index": last(`"layers":[],"config":` + descriptor(mtConfig, fake, ""))}),
		text("A30", "manifest with fsLayers", "a manifest of schema 1, too", edits{"manifest": last(`"fsLayers":[{"blobSum":"` + fakeDigest(2) + `"}]`)}),
		text("A30", "descriptor says index", "the descriptor says index, the body is a manifest", edits{"nested/amd64": value("mediaType", `"`+mtIndex+`"`)}),
		text("A30", "descriptor says manifest", "the descriptor says manifest, the body is an index", edits{"index/nested": value("mediaType", `"`+mtManifest+`"`)}),
		text("A30", "descriptor says index, body without type", "the body has no type and is a manifest", edits{"nested/amd64": value("mediaType", `"`+mtIndex+`"`), "manifest": without("mediaType")}),
		text("A30", "descriptor says manifest, body without type", "the body has no type and is an index", edits{"index/nested": value("mediaType", `"`+mtManifest+`"`), "nested": without("mediaType")}),
		text("A30", "descriptor says docker manifest", "descriptor and body are of two families", edits{"nested/amd64": value("mediaType", `"`+mtDockerM+`"`)}),
		text("A30", "body says docker list", "descriptor and body are of two families", edits{"nested": value("mediaType", `"`+mtDockerL+`"`)}),
		text("A30", "body says index", "the body of a manifest says index", edits{"manifest": value("mediaType", `"`+mtIndex+`"`)}),
		text("A30", "body says manifest", "the body of an index says manifest", edits{"nested": value("mediaType", `"`+mtManifest+`"`)}),
		text("A30", "body says text", "the body says text/plain", edits{"manifest": value("mediaType", `"text/plain"`)}),
		text("A30", "body's type in upper case", "the type in upper case", edits{"manifest": value("mediaType", `"`+strings.ToUpper(mtManifest)+`"`)}),
		text("A30", "descriptor's type with parameter", "the type has a parameter", edits{"nested/amd64": value("mediaType", `"`+mtManifest+`; charset=utf-8"`)}),
		text("A30", "descriptor says layer", "a manifest that its index calls a layer", edits{"nested/amd64": value("mediaType", `"`+mtLayer+`"`)}),
		text("A30", "descriptor says config", "a manifest that index.json calls a config", edits{"index/artifact": value("mediaType", `"`+mtConfig+`"`)}),
		text("A30", "descriptor without type", "no media type", edits{"nested/amd64": without("mediaType")}),
		text("A30", "layer without type", "no media type", edits{"manifest/layer": without("mediaType")}),
		text("A30", "config without type", "no media type", edits{"manifest/config": without("mediaType")}),
		text("A30", "subject without type", "no media type", edits{"referrer/subject": without("mediaType")}),
		text("A30", "config is a layer", "the config's type is a layer's", edits{"manifest/config": value("mediaType", `"`+mtLayer+`"`)}).exits(either...),
		text("A30", "index.json says manifest", "index.json says that it is a manifest", edits{"index": value("mediaType", `"`+mtManifest+`"`)}),
		text("A30", "index.json says docker list", "index.json says that it is a docker list", edits{"index": value("mediaType", `"`+mtDockerL+`"`)}),
		text("A30", "index.json is a manifest", "index.json is a manifest", edits{"index": whole(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, fake, "") + `,"layers":[]}`)}),
		text("A30", "manifest without config", "no config", edits{"manifest": without("config")}),
		text("A30", "manifest without layers", "no layers", edits{"manifest": without("layers")}),
		text("A30", "nested without manifests", "no manifests", edits{"nested": without("manifests")}),
		text("A30", "config is no JSON", "the config is a text", edits{"config": whole("FROM scratch")}),
		text("A30", "config is a manifest", "the config is a manifest", edits{"config": whole(`{"schemaVersion":2,"config":{},"layers":[]}`)}),
		text("A30", "schema 1", "a manifest of schema 1", edits{"manifest": whole(`{"schemaVersion":1,"name":"a","tag":"b","architecture":"amd64","fsLayers":[],"history":[]}`)}),
		text("A30", "schema 1 by type", "a manifest of schema 1", edits{"nested/amd64": value("mediaType", `"application/vnd.docker.distribution.manifest.v1+prettyjws"`), "manifest": value("schemaVersion", "1")}),
		woven("A30", "one blob as both", "one blob is named as manifest and as index", func(w *web) tarball {
			b := w.image()
			return w.tar(index(descriptor(mtManifest, b, ""), descriptor(mtIndex, b, "")))
		}),
		woven("A30", "manifest and index in one", "a document that can be read as either", func(w *web) tarball {
			inner := w.image()
			b := w.put(`{"schemaVersion":2,"manifests":[` + descriptor(mtManifest, inner, "") + `],"config":` + descriptor(mtEmpty, w.put("{}"), "") + `,"layers":[]}`)
			return w.tar(index(descriptor(mtIndex, b, "")))
		}),
	}
	for _, v := range []string{"0", "1", "3", "-2", "20", "9223372036854775808"} {
		for _, place := range []string{"manifest", "nested", "index"} {
			list = append(list, text("A30", "schemaVersion "+v+" in "+place, "another schema version", edits{place: value("schemaVersion", v)}))
		}
	}
	for _, place := range []string{"manifest", "nested", "index"} {
		list = append(list, text("A30", "no schemaVersion in "+place, "no schema version", edits{place: without("schemaVersion")}))
	}
	return list
}

// embedded: row A32.
func embedded() []sample {
	l := compose(nil)
	content := func(place string) []byte { return l.members()[l.entry(place)].data }
	var all []sample
	for desc, place := range map[string]string{"manifest/config": "config", "manifest/layer": "layer", "nested/amd64": "manifest", "index/nested": "nested", "artifact/layer": "file", "artifact/config": "empty", "referrer/subject": "nested"} {
		good := content(place)
		data := func(name, wrong, v string) {
			all = append(all, text("A32", name+" in "+desc, wrong, edits{desc: last(`"data":` + v)}))
		}
		b64 := func(b []byte) string { return `"` + base64.StdEncoding.EncodeToString(b) + `"` }
		data("other content", "data is not the content", b64(flipped(good, 1)))
		data("shorter", "data is cut", b64(good[:len(good)-1]))
		data("longer", "data is longer", b64(append(append([]byte{}, good...), 'x')))
		if desc == "manifest/config" || desc == "artifact/layer" {
			data("not base64", "data is no base64", `"!!!"`)
			data("without padding", "data lacks its padding", `"`+strings.TrimRight(base64.StdEncoding.EncodeToString([]byte("four")), "=")+`"`)
			data("number", "data is a number", "7")
			data("list", "data is a list", "[1,2]")
			data("empty", "data is empty", `""`)
		}
	}
	missing := packed("A32", "data and no blob", "data is right, the blob is missing", nil)
	missing.write = func(f *os.File) error {
		l := compose(edits{"artifact/layer": last(`"data":"` + base64.StdEncoding.EncodeToString([]byte("first file\n")) + `"`)})
		m, i := l.members(), l.entry("file")
		return tarball{members: append(m[:i], m[i+1:]...)}.write(f)
	}
	return append(all, missing)
}
