package hostile

import (
	"fmt"
	"slices"
)

// anyOrder is a layout whose entries of index.json stand in one order and in the other: no
// verdict may depend on which of two references to a blob is met first.
func anyOrder(row, name, wrong string, list func(w *web) []string) []sample {
	made := func(turn func([]string)) func(w *web) tarball {
		return func(w *web) tarball {
			entries := list(w)
			turn(entries)
			return w.tar(index(entries...))
		}
	}
	return []sample{
		woven(row, name, wrong, made(func([]string) {})),
		woven(row, name+", backwards", wrong, made(slices.Reverse[[]string])),
	}
}

// artifact adds a manifest of one layer, with more behind it.
func (w *web) artifact(layer, more string) blob {
	return w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","artifactType":"application/vnd.example","config":` + descriptor(mtEmpty, w.empty(), "") + `,"layers":[` + layer + `]` + more + `}`)
}

// empty adds the empty JSON once.
func (w *web) empty() blob {
	b := w.put("{}")
	last := len(w.blobs) - 1
	if slices.ContainsFunc(w.blobs[:last], func(m member) bool { return m.name == w.blobs[last].name }) {
		w.blobs = w.blobs[:last]
	}
	return b
}

// entryOf is an entry of index.json for a manifest.
func entryOf(b blob) string { return descriptor(mtManifest, b, "") }

// chain are n indexes, of which each but the first holds the one before it, and the first
// holds an image.
func chain(n int) func(w *web) []string {
	return func(w *web) []string {
		last, all := entryOf(w.image()), []string(nil)
		for range n {
			last = descriptor(mtIndex, w.put(index(last)), "")
			all = append(all, last)
		}
		return all
	}
}

// orders: rows A24, A26 and A30 where a blob is referred to twice.
func orders() []sample {
	const index0 = `{"schemaVersion":2,"mediaType":"` + mtIndex + `","manifests":[]}`
	return slices.Concat(
		anyOrder("A26", "5, all of them entries", "indexes in indexes", chain(5)),
		anyOrder("A26", "3000, all of them entries", "indexes in indexes", chain(3000)),
		anyOrder("A30", "layer and entry", "an index that is a layer, and an entry of an unknown type", func(w *web) []string {
			d := descriptor("application/x-thing", w.put(index0), "")
			return []string{entryOf(w.artifact(d, "")), d}
		}),
		anyOrder("A30", "layer and config", "a file that is a layer, and a config that is no good JSON", func(w *web) []string {
			d := descriptor("application/x.config+json", w.put(`{"architecture":"amd64","architecture":"arm64","os":"linux"}`), "")
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + d + `,"layers":[` + descriptor(mtEmpty, w.empty(), "") + `]}`)
			return []string{entryOf(w.artifact(d, "")), entryOf(m)}
		}),
		anyOrder("A30", "config and entry", "an index that is a config, and an entry of an unknown type", func(w *web) []string {
			d := descriptor("application/x-thing", w.put(index0), "")
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + d + `,"layers":[]}`)
			return []string{entryOf(m), d}
		}),
		anyOrder("A30", "layer and subject", "an index that is a layer, and a subject of an unknown type", func(w *web) []string {
			d := descriptor("application/x-thing", w.put(index0), "")
			return []string{entryOf(w.artifact(d, "")), entryOf(w.artifact("", `,"subject":`+d))}
		}),
		anyOrder("A24", "subject of another size", "a subject that is there, of another size", func(w *web) []string {
			b := w.image()
			wrong := b
			wrong.size++
			return []string{entryOf(b), entryOf(w.artifact("", `,"subject":`+descriptor(mtManifest, wrong, "")))}
		}),
	)
}

// subjects are n artifacts, of which each but the first is about the one before it.
func subjects(n int) func(w *web) []string {
	return func(w *web) []string {
		last, all := entryOf(w.image()), []string(nil)
		for i := range n {
			all = append(all, last)
			last = entryOf(w.artifact(descriptor(mtEmpty, w.empty(), ""), fmt.Sprintf(`,"annotations":{"n":"%d"},"subject":%s`, i, last)))
		}
		return append(all, last)
	}
}

// referring are layouts in which artifacts are about artifacts, which is no nesting.
func referring() []sample {
	deepest := woven("A39", "subjects, the newest listed", "a chain of subjects of which one is an entry", func(w *web) tarball {
		all := subjects(2000)(w)
		return w.tar(index(all[len(all)-1]))
	})
	all := append(anyOrder("A39", "subjects of subjects", "a chain of subjects", subjects(2000)), deepest)
	for i := range all {
		all[i] = all[i].exits(0)
	}
	return all
}
