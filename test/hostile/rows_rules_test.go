package hostile

import (
	"fmt"
	"slices"
	"strings"
)

// imageOf adds an image with this config and one layer of a file system.
func (w *web) imageOf(config string) blob { return w.imageWith(config, w.put("layer")) }

func (w *web) imageWith(config string, content blob) blob {
	layer := descriptor(mtLayer, content, "")
	return w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, w.put(config), "") + `,"layers":[` + layer + `]}`)
}

const oneLayer = `{"type":"layers","diff_ids":["sha256:0000000000000000000000000000000000000000000000000000000000000001"]}`

// titled adds an artifact of files with these titles, each with members behind them.
func (w *web) titled(titles ...string) blob {
	var layers []string
	for _, t := range titles {
		layers = append(layers, descriptor("text/plain", w.put("file "+t), `,"annotations":{"org.opencontainers.image.title":`+t+`}`))
	}
	return w.artifact(strings.Join(layers, ","), "")
}

// specified: rows A30, A34, A35 and A37 where the OCI specification has a rule that readers
// seldom check.
func specified() []sample {
	one := func(row, name, wrong, re string, add func(w *web) string) sample {
		return woven(row, name, wrong, func(w *web) tarball { return w.tar(index(add(w))) }).saying(re)
	}
	config := func(name, text, re string) sample {
		return one("A30", "config "+name, "an image config that lacks what it must have", re, func(w *web) string { return entryOf(w.imageOf(text)) })
	}
	titles := func(name string, titles ...string) sample {
		return one("A34", "titles: "+name, "two files that no directory can hold", "ambiguous name: title", func(w *web) string { return entryOf(w.titled(titles...)) })
	}
	const unpack = `"d","io.deis.oras.content.unpack":"true"`
	return []sample{
		config("of nothing", `{}`, "no architecture"), config("without architecture", `{"os":"linux","rootfs":`+oneLayer+`}`, "no architecture"),
		config("without os", `{"architecture":"amd64","rootfs":`+oneLayer+`}`, "no os"), config("without rootfs", `{"architecture":"amd64","os":"linux"}`, "no rootfs"),
		config("without type of rootfs", `{"architecture":"amd64","os":"linux","rootfs":{}}`, "no rootfs.type"),
		config("of another rootfs", `{"architecture":"amd64","os":"linux","rootfs":`+swap("layers", "zz")(oneLayer)+`}`, "unknown type"),
		one("A30", "empty config without artifact type", "an artifact of no type", "no artifact type", func(w *web) string {
			return entryOf(w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtEmpty, w.empty(), "") + `,"layers":[` + descriptor("text/plain", w.put("x"), "") + `]}`))
		}),
		text("A30", "layer says manifest in upper case", "a manifest among layers", edits{"manifest/layer": value("mediaType", `"`+strings.ToUpper(mtManifest)+`"`)}).saying("in another case"),
		text("A30", "layer in upper case", "a type that readers compare with and without case", edits{"manifest/layer": value("mediaType", `"`+strings.ToUpper(mtLayer)+`"`)}).saying("in another case"),
		text("A30", "config in upper case", "a type that readers compare with and without case", edits{"manifest/config": value("mediaType", `"`+strings.Replace(mtConfig, "oci", "OCI", 1)+`"`)}).saying("in another case"),
		text("A30", "manifest in upper case", "a type that readers compare with and without case", edits{"nested/amd64": value("mediaType", `"`+strings.Replace(mtManifest, "json", "JSON", 1)+`"`)}).saying("in another case"),
		titles("dot", `"a"`, `"./a"`), titles("slash", `"a"`, `"a/"`), titles("below", `"a"`, `"a/b"`), titles("far below", `"a/b/c/d"`, `"a-"`, `"a/b"`), titles("below a file beside a directory", unpack, `"d/e"`, `"d/e/f"`),
		one("A35", "of a nested index", "an entry for arm64 that leads to amd64", "platform mismatch", func(w *web) string {
			below := w.put(index(descriptor(mtManifest, w.image(), `,"platform":{"architecture":"amd64","os":"linux"}`)))
			return descriptor(mtIndex, w.put(index(descriptor(mtIndex, below, `,"platform":{"architecture":"arm64","os":"linux"}`))), "")
		}),
		one("A35", "of an index in index.json", "an entry for arm64 that leads to amd64", "platform mismatch", func(w *web) string {
			return descriptor(mtIndex, w.put(index(entryOf(w.image()))), `,"platform":{"architecture":"arm64","os":"linux"}`)
		}),
		one("A35", "version of the system", "another version of Windows", "platform mismatch", func(w *web) string {
			m := w.imageOf(`{"architecture":"amd64","os":"windows","os.version":"10.0.17763.1","rootfs":` + oneLayer + `}`)
			return descriptor(mtManifest, m, `,"platform":{"architecture":"amd64","os":"windows","os.version":"10.0.20348.2"}`)
		}),
		woven("A37", "index of nothing beside an image", "a name that leads to nothing", func(w *web) tarball {
			return w.tar(index(entryOf(w.image()), descriptor(mtIndex, w.put(index()), "")))
		}).saying("lists nothing"),
		one("A34", "titles: a file, a directory, and what is below", "two files that no directory can hold", "ambiguous name: title", twice),
		woven("A37", "index of nothing below an index", "an entry that leads to nothing", func(w *web) tarball {
			return w.tar(index(descriptor(mtIndex, w.put(index(entryOf(w.image()), descriptor(mtIndex, w.put(index()), ""))), "")))
		}).saying("lists nothing"),
	}
}

// twice is an artifact with a file under a title that is also that of a directory, and one below.
func twice(w *web) string {
	same, below := w.put("same"), w.put("below")
	title := func(b blob, more string) string {
		return descriptor("text/plain", b, `,"annotations":{"org.opencontainers.image.title":`+more+`}`)
	}
	return entryOf(w.artifact(strings.Join([]string{title(same, `"a"`), title(same, `"a","io.deis.oras.content.unpack":"true"`), title(below, `"a/b"`)}, ","), ""))
}

// crowd is an index of images for more platforms than are remembered, and an entry for the last.
func crowd(w *web) string {
	var below []string
	layer, last := w.put("layer"), ""
	for i := range 65 {
		last = fmt.Sprintf("arch%d", i)
		below = append(below, entryOf(w.imageWith(`{"architecture":"`+last+`","os":"linux","rootfs":`+oneLayer+`}`, layer)))
	}
	return descriptor(mtIndex, w.put(index(below...)), `,"platform":{"architecture":"`+last+`","os":"linux"}`)
}

// made are the forms of artifacts and images that tools are known to write.
func made() []sample {
	one := func(name, how string, add func(w *web) string) sample {
		return woven("A39", name, how, func(w *web) tarball { return w.tar(index(add(w))) }).exits(0)
	}
	typed := func(config, content, layer string, more string) func(w *web) string {
		return func(w *web) string {
			return entryOf(w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(config, w.put(content), "") + `,"layers":[` + descriptor(layer, w.put("content"), "") + `]` + more + `}`))
		}
	}
	return []sample{
		one("cosign", "a signature, with an image config of no platform", typed(mtConfig, `{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"created":"0001-01-01T00:00:00Z"}],"os":"","rootfs":`+oneLayer+`,"config":{}}`, "application/vnd.dev.cosign.simplesigning.v1+json", "")),
		one("helm", "a chart", typed("application/vnd.cncf.helm.config.v1+json", `{"name":"a","version":"1.0.0","apiVersion":"v2"}`, "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "")),
		one("wasm", "a module of wasm-to-oci", typed("application/vnd.wasm.config.v1+json", `{}`, "application/vnd.wasm.content.layer.v1+wasm", "")),
		one("wasm with a platform", "a module of the wasm artifact layout", typed("application/vnd.wasm.config.v0+json", `{"created":"2024-01-01T00:00:00Z","architecture":"wasm","os":"wasip2","layerDigests":["`+fakeDigest(1)+`"]}`, "application/wasm", "")),
		one("oras 1.0", "files with the unknown config", typed("application/vnd.unknown.config.v1+json", `{}`, "application/vnd.oci.image.layer.v1.tar", "")),
		one("oras, image config of nothing", "files under the type of an image config", typed(mtConfig, `{}`, "text/plain", "")),
		one("apptainer", "an image in a file", typed("application/vnd.sylabs.sif.config.v1+json", `{}`, "application/vnd.sylabs.sif.layer.v1.sif", "")),
		one("empty config with artifact type", "an artifact of OCI 1.1", typed(mtEmpty, `{}`, "text/plain", `,"artifactType":"application/vnd.example"`)),
		one("directory and file", "a directory in a tar, and a file below it", func(w *web) string {
			return entryOf(w.titled(`"d","io.deis.oras.content.unpack":"true"`, `"d/e"`, `"d-e"`, `"./f/"`))
		}),
		one("platforms of nested indexes", "entries for platforms that lead to indexes", func(w *web) string {
			below := w.put(index(descriptor(mtManifest, w.image(), `,"platform":{"architecture":"amd64","os":"linux"}`)))
			return descriptor(mtIndex, w.put(index(descriptor(mtIndex, below, `,"platform":{"architecture":"amd64","os":"linux"}`))), "")
		}),
		one("many platforms in a nested index", "an entry for the last of them", crowd),
		one("two platforms in a nested index", "an entry for one of the platforms below", func(w *web) string {
			arm := w.imageOf(`{"architecture":"arm64","os":"linux","rootfs":` + oneLayer + `}`)
			below := w.put(index(entryOf(w.image()), entryOf(arm)))
			return descriptor(mtIndex, below, `,"platform":{"architecture":"arm64","os":"linux"}`)
		}),
	}
}

// valid is all that must pass.
func valid() []sample { return slices.Concat(unusual(), referring(), made(), inflating()) }
