package hostile

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// unsafe are texts that must not become a name.
var unsafeTexts = map[string]string{
	"escape": `\u001b[31mred\u001b[0m`, "title": `\u001b]0;owned\u0007`, "newline": `a\nok  everything`, "return": `a\rok`, "zero": `a\u0000b`, "tab": `a\tb`, "bidi": `a\u202egnp.exe`, "C1": `a\u009b31m`, "zero width": `a\u200bb`, "delete": `a\u007f`, "line separator": `a\u2028b`,
	"parent": `../../etc/passwd`, "dots": `..`, "inside": `a/../../b`, "absolute": `/etc/cron.d/x`, "backslash": `..\\..\\x`, "drive": `C:\\x`,
}

// refNames: the first half of row A33.
func refNames() []sample {
	var all []sample
	for name, s := range unsafeTexts {
		all = append(all, text("A33", "reference: "+name, "a reference that is no name", edits{"ref": value("org.opencontainers.image.ref.name", `"`+s+`"`)}))
	}
	return append(all,
		text("A33", "reference: empty", "an empty reference", edits{"ref": value("org.opencontainers.image.ref.name", `""`)}),
		text("A33", "reference: 1 MiB", "a reference of 1 MiB", edits{"ref": value("org.opencontainers.image.ref.name", `"`+strings.Repeat("a", 1<<20)+`"`)}),
		text("A33", "reference: space", "a reference with a space", edits{"ref": value("org.opencontainers.image.ref.name", `"a b"`)}).exits(either...),
		text("A33", "media type: escape", "a media type with control characters", edits{"manifest/layer": value("mediaType", `"\u001b[31m"`)}),
		text("A33", "platform: escape", "a platform with control characters", edits{"platform": value("architecture", `"\u001b[31mamd64"`)}),
		text("A33", "artifact type: escape", "an artifact type with control characters", edits{"index/artifact": value("artifactType", `"\u001b[31m"`)}),
		text("A33", "annotation: escape", "an annotation with control characters", edits{"annotations": value("org.example.note", `"\u001b[31m\n"`)}).exits(either...),
		text("A33", "config: escape", "a config with control characters", edits{"config": value("architecture", `"\u001b[31m"`)}),
		text("A33", "version: escape", "a layout version with control characters", edits{"oci-layout": value("imageLayoutVersion", `"\u001b[31m"`)}),
		text("A33", "key: escape", "a key with control characters, twice", edits{"manifest": last(`"\u001b[31m":1,"\u001b[31m":2`)}))
}

// titles: the second half of row A33.
func titles() []sample {
	var all []sample
	for name, s := range unsafeTexts {
		all = append(all, text("A33", "title: "+name, "a title that is no path", edits{"title": value("org.opencontainers.image.title", `"`+s+`"`)}))
	}
	return append(all, text("A33", "title: empty", "an empty title", edits{"title": value("org.opencontainers.image.title", `""`)}),
		text("A33", "title: double slash", "a title with an empty segment", edits{"title": value("org.opencontainers.image.title", `"a//b"`)}).exits(either...))
}

// ambiguous: row A34.
func ambiguous() []sample {
	ref := func(s string) string { return `,"annotations":{"org.opencontainers.image.ref.name":"` + s + `"}` }
	other := func(w *web) blob {
		return w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtEmpty, w.put("{}"), "") + `,"layers":[],"artifactType":"x/y"}`)
	}
	same := func(name, a, b string) sample {
		return woven("A34", name, "one name for two", func(w *web) tarball {
			return w.tar(index(descriptor(mtManifest, w.image(), ref(a)), descriptor(mtManifest, other(w), ref(b))))
		})
	}
	pair := func(name, a, b string) sample {
		return woven("A34", name, "two platforms alike", func(w *web) tarball {
			one := w.image()
			config := w.put(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]},"author":"b"}`)
			two := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, config, "") + `,"layers":[]}`)
			ix := w.put(index(descriptor(mtManifest, one, `,"platform":`+a), descriptor(mtManifest, two, `,"platform":`+b)))
			return w.tar(index(descriptor(mtIndex, ix, ref("r.example/a:1"))))
		})
	}
	amd := `{"architecture":"amd64","os":"linux"}`
	return []sample{
		same("one name", "registry.example/app:1.0", "registry.example/app:1.0"),
		same("one short name", "latest", "latest"),
		same("one name, written out", "busybox", "docker.io/library/busybox:latest").exits(either...),
		woven("A34", "one name, one digest, twice", "one descriptor stands twice", func(w *web) tarball {
			d := descriptor(mtManifest, w.image(), ref("r.example/a:1"))
			return w.tar(index(d, d))
		}),
		pair("two of amd64", amd, amd), pair("order of keys", amd, `{"os":"linux","architecture":"amd64"}`),
		pair("variant twice", `{"architecture":"amd64","os":"linux","variant":"v2"}`, `{"architecture":"amd64","os":"linux","variant":"v2"}`),
		pair("escaped", amd, `{"architecture":"\u0061md64","os":"linux"}`),
		pair("empty variant", amd, `{"architecture":"amd64","os":"linux","variant":""}`),
		woven("A34", "one manifest twice", "one descriptor stands twice in an index", func(w *web) tarball {
			d := descriptor(mtManifest, w.image(), `,"platform":`+amd)
			return w.tar(index(descriptor(mtIndex, w.put(index(d, d)), ref("r.example/a:1"))))
		}),
		woven("A34", "one title twice", "two files of one title", func(w *web) tarball {
			t := `,"annotations":{"org.opencontainers.image.title":"bin/tool"}`
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","artifactType":"x/y","config":` + descriptor(mtEmpty, w.put("{}"), "") + `,"layers":[` + descriptor("x/y", w.put("one"), t) + "," + descriptor("x/y", w.put("two"), t) + `]}`)
			return w.tar(index(descriptor(mtManifest, m, ref("files"))))
		}),
		woven("A34", "two types for one digest", "one digest with two sizes", func(w *web) tarball {
			b := w.image()
			wrong := b
			wrong.size++
			return w.tar(index(descriptor(mtManifest, b, ref("r.example/a:1")), descriptor(mtManifest, wrong, ref("r.example/a:2"))))
		}),
	}
}

// platforms: row A35.
func platforms() []sample {
	says := func(name string, e edits) sample { return text("A35", name, "descriptor and config disagree", e) }
	return []sample{
		says("arm64 and amd64", edits{"platform": value("architecture", `"arm64v"`)}),
		says("config arm64", edits{"config": value("architecture", `"arm64"`)}),
		says("config windows", edits{"config": value("os", `"windows"`)}),
		says("descriptor windows", edits{"platform": value("os", `"windows"`)}),
		says("upper case", edits{"config": value("architecture", `"AMD64"`)}),
		says("x86_64", edits{"config": value("architecture", `"x86_64"`)}),
		says("arm variants", edits{"platform": whole(`{"architecture":"arm","os":"linux","variant":"v7"}`), "config": func(s string) string {
			return last(`"variant":"v6"`)(value("architecture", `"arm"`)(s))
		}}),
		says("config without architecture", edits{"config": without("architecture")}),
		says("config without os", edits{"config": without("os")}),
		says("empty architecture", edits{"platform": value("architecture", `""`)}),
		says("no os", edits{"platform": without("os")}),
		says("no architecture", edits{"platform": without("architecture")}),
		woven("A35", "exchanged", "amd64 and arm64 are exchanged", func(w *web) tarball {
			var list []string
			for _, p := range [][2]string{{"amd64", "arm64"}, {"arm64", "amd64"}} {
				config := w.put(`{"architecture":"` + p[0] + `","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
				m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, config, "") + `,"layers":[]}`)
				list = append(list, descriptor(mtManifest, m, `,"platform":{"architecture":"`+p[1]+`","os":"linux"}`))
			}
			return w.tar(index(descriptor(mtIndex, w.put(index(list...)), "")))
		}),
		woven("A35", "in index.json", "index.json says arm64, config says amd64", func(w *web) tarball {
			return w.tar(index(descriptor(mtManifest, w.image(), `,"platform":{"architecture":"arm64","os":"linux"}`)))
		}),
	}
}

// empties: row A37.
func empties() []sample {
	return []sample{
		woven("A37", "empty index.json", "nothing is in it", func(w *web) tarball { return w.tar(index()) }),
		woven("A37", "no manifests", "no list of manifests", func(w *web) tarball { return w.tar(`{"schemaVersion":2}`) }),
		woven("A37", "empty index with blobs", "blobs, and nothing that names them", func(w *web) tarball { w.image(); return w.tar(index()) }),
		woven("A37", "only an empty index", "index.json names an index of nothing", func(w *web) tarball {
			return w.tar(index(descriptor(mtIndex, w.put(index()), "")))
		}),
	}
}

// versions: row A38. A missing oci-layout is among the cuts.
func versions() []sample {
	var all []sample
	for _, v := range []string{`"2.0.0"`, `"1.1.0"`, `"1.0.1"`, `"1.0"`, `"v1.0.0"`, `""`, `"99"`, `1`, `null`, `["1.0.0"]`, `" 1.0.0"`, `"1.0.0\u0000"`} {
		all = append(all, text("A38", "version "+v, "an unknown layout version", edits{"oci-layout": value("imageLayoutVersion", v)}).saying("oci-layout|imageLayoutVersion"))
	}
	return append(all,
		text("A38", "no version", "no layout version", edits{"oci-layout": whole(`{}`)}),
		text("A38", "other key", "another key", edits{"oci-layout": whole(`{"imagelayoutversion":"1.0.0"}`)}),
		packed("A38", "oci-layout in blobs", "oci-layout lies elsewhere", at("oci-layout", func(m *member) { m.name = "blobs/oci-layout" })),
		packed("A38", "index.json elsewhere", "index.json lies elsewhere", at("index", func(m *member) { m.name = "blobs/index.json" })))
}

// compressed: row A41.
func compressed() []sample {
	raw := tarball{members: compose(nil).members()}.bytes()
	gz := func(b []byte) []byte {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<16))
	if err != nil {
		panic(err)
	}
	zs := enc.EncodeAll(raw, nil)
	zeros := gz(make([]byte, 8<<20))
	return []sample{
		plain("A41", "gzip", "a compressed layout", gz(raw)),
		plain("A41", "gzip, cut", "a cut stream", gz(raw)[:500]),
		plain("A41", "gzip, trailing frame", "two streams", append(gz(raw), gz([]byte("more"))...)),
		plain("A41", "gzip, bomb", "zeros, gzipped", zeros),
		plain("A41", "zstd", "a compressed layout", zs),
		plain("A41", "zstd, bad frame", "a damaged frame", flipped(zs, len(zs)/2)),
		plain("A41", "zstd, trailing frame", "two frames", append(bytes.Clone(zs), zs...)),
		plain("A41", "zstd, window of 2 TiB", "a frame that asks for a large window", []byte("\x28\xb5\x2f\xfd\x00\xf8\x01\x00\x00")),
		plain("A41", "zstd, dictionary", "a frame that asks for a dictionary", []byte("\x28\xb5\x2f\xfd\x23\xff\xff\xff\xff\x00\x01\x00\x00")),
		plain("A41", "zstd, skippable first", "a skippable frame that claims 4 GiB", append([]byte("\x50\x2a\x4d\x18\xff\xff\xff\xff"), zs...)),
		plain("A41", "xz", "begins as xz", append([]byte("\xfd7zXZ\x00\x00\x04"), raw[:2000]...)),
		plain("A41", "bzip2", "begins as bzip2", append([]byte("BZh91AY&SY"), raw[:2000]...)),
		plain("A41", "lz4", "begins as lz4", append([]byte("\x04\x22\x4d\x18"), raw[:2000]...)),
	}
}

// inflating are layouts whose layers unpack to far more than they are: row A31. They are
// whole, and nobody may unpack them.
func inflating() []sample {
	bomb := func(name string, raw func() []byte, mediaType string) sample {
		return sample{row: "A31", name: name, wrong: "a layer that inflates", want: []int{0}, write: func(f *os.File) error {
			w := &web{}
			config := w.put(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["` + fakeDigest(1) + `"]}}`)
			layer := w.put(string(raw()))
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, config, "") + `,"layers":[` + descriptor(mediaType, layer, "") + `]}`)
			return w.tar(index(descriptor(mtManifest, m, ""))).write(f)
		}}
	}
	gz := func(n int, inner []byte) []byte {
		var out bytes.Buffer
		w, _ := gzip.NewWriterLevel(&out, gzip.BestSpeed)
		for range n {
			_, _ = w.Write(inner)
		}
		_ = w.Close()
		return out.Bytes()
	}
	return []sample{
		bomb("gzip of 1 GiB", func() []byte { return bytes.Repeat(gz(16, make([]byte, 1<<20)), 64) }, mtLayer),
		bomb("gzip in gzip", func() []byte { return gz(1, gz(1024, gz(64, make([]byte, 1<<20)))) }, mtLayer),
		bomb("zstd of 1 PB", func() []byte {
			// RLE blocks of 128 KiB of zeros each, in a frame without content size.
			return append([]byte("\x28\xb5\x2f\xfd\x00\x38"), bytes.Repeat([]byte("\x02\x00\x10\x00"), 1<<20)...)
		}, strings.Replace(mtLayer, "gzip", "zstd", 1)),
		bomb("not gzip at all", func() []byte { return []byte("no gzip") }, mtLayer),
		bomb("gzip header, then noise", func() []byte { return fmt.Append(nil, "\x1f\x8b\x08", strings.Repeat("\xff", 5000)) }, mtLayer),
	}
}
