package hostile

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
)

// algorithms: row A22. Taking sha512 is as good as refusing it; skipping it is not.
func algorithms() []sample {
	as512 := func(row, name, wrong, place, desc string, change func(m *member)) sample {
		raw := compose(nil)
		data := raw.members()[raw.entry(place)].data
		old := "sha256:" + strings.TrimPrefix(raw.entries[place], "blobs/sha256/")
		return sample{row: row, name: name, wrong: wrong, write: func(f *os.File) error {
			l := compose(edits{desc: swap(old, "sha512:"+sha512hex(data))})
			m := l.members()
			i := l.entry(place)
			m[i].name = "blobs/sha512/" + sha512hex(data)
			change(&m[i])
			return tarball{members: m}.write(f)
		}}
	}
	keep := func(*member) {}
	var all []sample
	for place, desc := range map[string]string{"layer-2": "manifest/layer-2", "config": "manifest/config", "manifest": "nested/amd64", "file": "artifact/layer", "artifact": "index/artifact"} {
		all = append(all,
			as512("A22", "right sha512 of "+place, "a sha512 digest that holds", place, desc, keep).exits(either...),
			as512("A22", "wrong content of "+place, "a sha512 digest that does not hold", place, desc, func(m *member) { m.data = flipped(m.data, 3) }),
			as512("A22", "missing "+place, "a sha512 digest without a blob", place, desc, func(m *member) { m.name = "blobs/sha512/" + strings.Repeat("0", 128) }),
			as512("A22", "below sha256 "+place, "a sha512 digest below sha256", place, desc, func(m *member) { m.name = strings.Replace(m.name, "sha512", "sha256", 1) }),
		)
	}
	all = append(all, text("A22", "sha512 of 64 digits", "a sha512 digest of the length of sha256", edits{"manifest/layer-2": swap("sha256:", "sha512:")}),
		text("A22", "sha384", "a sha384 digest without a blob", edits{"manifest/layer-2": value("digest", `"sha384:`+strings.Repeat("1", 96)+`"`)}))
	return all
}

// digests: row A23.
func digests() []sample {
	hex := strings.Repeat("ab", 32)
	all := []sample{}
	for name, d := range map[string]string{
		"md5": `"md5:d41d8cd98f00b204e9800998ecf8427e"`, "sha1": `"sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"`, "crc": `"crc32:00000000"`, "unknown algorithm": `"blake9:` + hex + `"`, "components": `"sha256+b64u:` + hex + `"`,
		"short": `"sha256:` + hex[:63] + `"`, "long": `"sha256:` + hex + `0"`, "empty": `""`, "no hex": `"sha256:"`, "no algorithm": `":` + hex + `"`, "hex only": `"` + hex + `"`, "algorithm only": `"sha256"`,
		"letters": `"sha256:` + strings.Repeat("zz", 32) + `"`, "traversal": `"sha256:../../../../../../etc/passwd"`, "traversal in algorithm": `"../../etc:` + hex + `"`, "absolute": `"/etc/passwd"`,
		"slash behind": `"sha256:` + hex + `/x"`, "space": `" sha256:` + hex + `"`, "newline": `"sha256:` + hex + `\n"`, "zero": `"sha256:` + hex + `\u0000"`, "two": `"sha256:` + hex + `sha256:` + hex + `"`,
		"number": `12`, "null": `null`, "list": `["sha256:` + hex + `"]`, "object": `{"sha256":"` + hex + `"}`, "true": `true`, "control": `"sha256:\u001b[31m` + hex[:55] + `"`, "64 KiB": `"sha256:` + strings.Repeat("a", 65536) + `"`,
	} {
		all = append(all, text("A23", name+" in manifest/layer", "a digest that is none", edits{"manifest/layer": value("digest", d)}))
		if strings.Contains("md5 empty traversal null number short", name) {
			for _, place := range descriptors {
				if place != "manifest/layer" {
					all = append(all, text("A23", name+" in "+place, "a digest that is none", edits{place: value("digest", d)}))
				}
			}
		}
	}
	upper := func(s string) string {
		i := strings.Index(s, "sha256:") + 7
		return s[:i] + strings.ToUpper(s[i:i+64]) + s[i+64:]
	}
	for _, place := range descriptors {
		all = append(all,
			text("A23", "upper case in "+place, "a digest in upper case", edits{place: upper}),
			text("A23", "upper algorithm in "+place, "an algorithm in upper case", edits{place: swap("sha256:", "SHA256:")}),
			text("A23", "missing in "+place, "no digest", edits{place: without("digest")}))
	}
	return all
}

// sizes: row A24.
func sizes() []sample {
	var all []sample
	for name, n := range map[string]string{
		"-1": "-1", "-2^63": "-9223372036854775808", "2^62": "4611686018427387904", "2^63-1": "9223372036854775807", "2^63": "9223372036854775808", "2^64": "18446744073709551616", "1e400": "1e400", "exponent": "1e2",
		"fraction": "68.5", "point zero": "68.0", "string": `"68"`, "null": "null", "true": "true", "list": "[68]", "object": `{}`, "NaN": "NaN", "Infinity": "Infinity", "hex": "0x44", "leading zero": "068", "plus": "+68", "minus zero": "-0", "empty": `""`, "digits": strings.Repeat("9", 10000),
	} {
		all = append(all, text("A24", name+" in manifest/layer", "a size that is none", edits{"manifest/layer": value("size", n)}))
		if strings.Contains("-1 2^62 string fraction null", name) {
			for _, place := range descriptors {
				if place != "manifest/layer" {
					all = append(all, text("A24", name+" in "+place, "a size that is none", edits{place: value("size", n)}))
				}
			}
		}
	}
	for _, place := range append([]string{"artifact/config", "nested/arm64", "index/artifact", "index/referrer", "referrer/layer"}, descriptors...) {
		by := func(d int) edit {
			return func(s string) string {
				at := strings.Index(s, `"size":`) + 7
				n := 0
				_, _ = fmt.Sscan(s[at:at+span(s[at:])], &n)
				return value("size", fmt.Sprint(n+d))(s)
			}
		}
		all = append(all, text("A24", "1 more in "+place, "a size that is not the blob's", edits{place: by(1)}), text("A24", "1 less in "+place, "a size that is not the blob's", edits{place: by(-1)}),
			text("A24", "0 in "+place, "a size that is not the blob's", edits{place: value("size", "0")}), text("A24", "missing in "+place, "no size", edits{place: without("size")}))
	}
	return all
}

// A web is a layout of index.json and blobs that are made one by one.
type web struct{ blobs []member }

func (w *web) put(raw string) blob {
	b := blob{fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(raw))), len(raw)}
	w.blobs = append(w.blobs, member{name: "blobs/sha256/" + b.digest[7:], data: []byte(raw)})
	return b
}

// image adds a manifest with an empty config.
func (w *web) image() blob {
	config := w.put(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	return w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, config, "") + `,"layers":[]}`)
}

func descriptor(mediaType string, b blob, more string) string {
	return fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d%s}`, mediaType, b.digest, b.size, more)
}

func index(list ...string) string {
	return `{"schemaVersion":2,"mediaType":"` + mtIndex + `","manifests":[` + strings.Join(list, ",") + `]}`
}

// tar is the layout with this index.json.
func (w *web) tar(index string) tarball {
	return tarball{members: append([]member{{name: "oci-layout", data: []byte(`{"imageLayoutVersion":"1.0.0"}`)}, {name: "index.json", data: []byte(index)}}, w.blobs...)}
}

func woven(row, name, wrong string, make func(w *web) tarball) sample {
	return sample{row: row, name: name, wrong: wrong, woven: true, write: func(f *os.File) error { return make(&web{}).write(f) }}
}

func fakeDigest(i int) string { return fmt.Sprintf("sha256:%064x", i) }

// cycles: row A25. A cycle of true digests cannot be made, so these blobs lie about theirs;
// a reader that follows before it hashes does not end.
func cycles() []sample {
	ring := func(n int) func(w *web) tarball {
		return func(w *web) tarball {
			size := len(index(descriptor(mtIndex, blob{fakeDigest(0), 999}, "")))
			for i := range n {
				raw := index(descriptor(mtIndex, blob{fakeDigest((i + 1) % n), size}, ""))
				w.blobs = append(w.blobs, member{name: "blobs/sha256/" + fakeDigest(i)[7:], data: []byte(raw)})
			}
			return w.tar(index(descriptor(mtIndex, blob{fakeDigest(0), size}, "")))
		}
	}
	return []sample{
		woven("A25", "of one", "an index that names itself", ring(1)),
		woven("A25", "of two", "two indexes that name each other", ring(2)),
		woven("A25", "of fifty", "fifty indexes in a ring", ring(50)),
		text("A25", "subject is its own index", "a manifest whose subject it cannot know", edits{"referrer/subject": value("digest", `"`+fakeDigest(7)+`"`)}).exits(either...),
		woven("A25", "two paths to one", "each of four indexes names the next one 300 times", func(w *web) tarball {
			b, mt := w.image(), mtManifest
			for range 4 {
				var list []string
				for i := range 300 {
					list = append(list, descriptor(mt, b, fmt.Sprintf(`,"platform":{"architecture":"a%d","os":"linux"}`, i)))
				}
				b, mt = w.put(index(list...)), mtIndex
			}
			return w.tar(index(descriptor(mtIndex, b, "")))
		}),
		woven("A25", "doubling", "30 indexes, each names the next one twice", func(w *web) tarball {
			b, mt := w.image(), mtManifest
			for range 30 {
				d := descriptor(mt, b, "")
				b, mt = w.put(index(d, d)), mtIndex
			}
			return w.tar(index(descriptor(mtIndex, b, "")))
		}),
	}
}

// depths: row A26.
func depths() []sample {
	var all []sample
	for _, n := range []int{6, 10, 100, 3000} {
		all = append(all, woven("A26", fmt.Sprint(n), "indexes in indexes", func(w *web) tarball {
			b, mt := w.image(), mtManifest
			for range n {
				b, mt = w.put(index(descriptor(mt, b, ""))), mtIndex
			}
			return w.tar(index(descriptor(mt, b, "")))
		}))
	}
	return all
}

// crowds: row A27.
func crowds() []sample {
	missing := func(n int) func(w *web) tarball {
		return func(w *web) tarball {
			list := make([]string, n)
			for i := range list {
				list[i] = descriptor(mtManifest, blob{fakeDigest(i), 500}, "")
			}
			return w.tar(index(list...))
		}
	}
	return []sample{
		woven("A27", "50000 names of one manifest", "50,000 descriptors", func(w *web) tarball {
			b := w.image()
			list := make([]string, 50_000)
			for i := range list {
				list[i] = descriptor(mtManifest, b, fmt.Sprintf(`,"annotations":{"org.opencontainers.image.ref.name":"r.example/a:%d"}`, i))
			}
			return w.tar(index(list...))
		}).exits(either...),
		woven("A27", "50000 missing manifests", "50,000 blobs are missing", missing(50_000)),
		woven("A27", "400000 missing manifests", "400,000 blobs are missing", missing(400_000)).onlyFull(),
		woven("A27", "1000000 missing manifests", "a million descriptors", missing(1_000_000)),
		woven("A27", "20000 layers", "20,000 layers that are missing", func(w *web) tarball {
			list := make([]string, 20_000)
			for i := range list {
				list[i] = descriptor(mtLayer, blob{fakeDigest(i), 500}, "")
			}
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtEmpty, w.put("{}"), "") + `,"layers":[` + strings.Join(list, ",") + `]}`)
			return w.tar(index(descriptor(mtManifest, m, "")))
		}),
		woven("A27", "indexes of thousands", "20 indexes of 10,000 descriptors, all missing", func(w *web) tarball {
			var top []string
			for i := range 20 {
				list := make([]string, 10_000)
				for j := range list {
					list[j] = descriptor(mtManifest, blob{fakeDigest(i*10_000 + j), 500}, "")
				}
				top = append(top, descriptor(mtIndex, w.put(index(list...)), ""))
			}
			return w.tar(index(top...))
		}).onlyFull(),
		woven("A27", "one manifest through many indexes", "2,000 indexes that name one manifest of 1,000 layers", func(w *web) tarball {
			layer := w.put("layer")
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtEmpty, w.put("{}"), "") + `,"layers":[` + strings.Repeat(descriptor(mtLayer, layer, "")+",", 999) + descriptor(mtLayer, layer, "") + `]}`)
			var top []string
			for i := range 2000 {
				top = append(top, descriptor(mtIndex, w.put(index(descriptor(mtManifest, m, fmt.Sprintf(`,"annotations":{"n":"%d"}`, i)))), ""))
			}
			return w.tar(index(top...))
		}).exits(either...),
		packed("A27", "100000 directories", "100,000 entries of no content", func(_ *layout, m []member) []member {
			for i := range 100_000 {
				m = append(m, member{name: fmt.Sprintf("d%d/", i), kind: '5'})
			}
			return m
		}).exits(either...),
		packed("A27", "30000 stray files", "30,000 entries that nothing needs", func(_ *layout, m []member) []member {
			for i := range 30_000 {
				m = append(m, member{name: fmt.Sprintf("blobs/sha256/%064x", i)})
			}
			return m
		}),
		packed("A27", "1200000 entries", "1.2 million entries", func(_ *layout, m []member) []member {
			for i := range 1_200_000 {
				m = append(m, member{name: fmt.Sprintf("blobs/sha256/%064x", i)})
			}
			return m
		}).onlyFull(),
	}
}

// giants: row A28.
func giants() []sample {
	padded := func(row, name, place string, n int) sample {
		return text(row, name, "a JSON document that is large", edits{place: func(s string) string { return strings.Repeat(" ", n) + s }})
	}
	hole := func(name, place string, n int64) sample {
		return packed("A28", name, "a JSON document that claims to be large, and is zeros", at(place, func(m *member) { m.hole = n }))
	}
	lied := func(name, place, desc string, n int64) sample {
		return sample{row: "A28", name: name, wrong: "a large JSON document whose descriptor is true to its size", write: func(f *os.File) error {
			l := compose(edits{desc: value("size", fmt.Sprint(n))})
			m := l.members()
			i := l.entry(place)
			m[i].hole = n - int64(len(m[i].data))
			return tarball{members: m}.write(f)
		}}
	}
	// Each document is small enough; together they are more than may be kept of them.
	texts := func(name string, add func(w *web, long string) string) sample {
		return woven("A28", "50 "+name+" of 4 MiB", "texts that nobody needs, in many documents", func(w *web) tarball {
			var list []string
			for i := range 50 {
				list = append(list, add(w, fmt.Sprint(i, strings.Repeat("x", 4<<20-1000))))
			}
			return w.tar(index(list...))
		}).onlyFull()
	}
	return []sample{
		texts("platforms", func(w *web, long string) string {
			config := w.put(`{"architecture":"` + long + `","os":"linux"}`)
			return entryOf(w.put(`{"schemaVersion":2,"config":` + descriptor(mtConfig, config, "") + `,"layers":[]}`))
		}),
		texts("media types", func(w *web, long string) string {
			return entryOf(w.artifact(descriptor("x/"+long, w.put(long[:9]), ""), ""))
		}),
		texts("subjects", func(w *web, long string) string {
			return entryOf(w.artifact("", `,"subject":`+descriptor("x/"+long, w.put(long[:9]), "")))
		}),
		padded("A28", "64 MiB index.json", "index", 64<<20), padded("A28", "5 MiB manifest", "manifest", 5<<20), padded("A28", "5 MiB nested index", "nested", 5<<20), padded("A28", "64 MiB manifest", "manifest", 64<<20),
		padded("A28", "5 MiB config", "config", 5<<20).exits(either...), padded("A28", "5 MiB oci-layout", "oci-layout", 5<<20),
		hole("10 GB index.json", "index", 10e9), hole("10 GB oci-layout", "oci-layout", 10e9), hole("10 GB manifest", "manifest", 10e9),
		lied("10 GB manifest, size true", "manifest", "nested/amd64", 10e9), lied("10 GB nested index, size true", "nested", "index/nested", 10e9), lied("10 GB config, size true", "config", "manifest/config", 10e9),
		text("A28", "3 MiB annotation, bad digest", "large documents that are wrong", edits{"manifest": func(s string) string { return last(`"annotations":{"a":"` + strings.Repeat("x", 3<<20) + `"}`)(s) }, "manifest/layer": value("digest", `"x"`)}),
	}
}
