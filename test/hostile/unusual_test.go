package hostile

import (
	"archive/tar"
	"encoding/base64"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// unusual are layouts that are as good as any, though no tool may write them so: row A39.
func unusual() []sample {
	ok := func(s sample) sample { s.row = "A39"; return s.exits(0) }
	texts := func(name, how string, e edits) sample { return ok(text("A39", name, how, e)) }
	tars := func(name, how string, change func(*layout, []member) []member) sample {
		return ok(packed("A39", name, how, change))
	}
	each := func(change func(m *member)) func(*layout, []member) []member {
		return func(_ *layout, all []member) []member {
			for i := range all {
				change(&all[i])
			}
			return all
		}
	}
	inFront := func(more func(m member) member) func(*layout, []member) []member {
		return func(_ *layout, all []member) []member {
			var out []member
			for _, m := range all {
				out = append(out, more(m), m)
			}
			return out
		}
	}
	first := compose(nil)
	return []sample{
		tars("as it is", "nothing", func(_ *layout, m []member) []member { return m }),
		tars("dots", "./ before names", each(func(m *member) { m.name = "./" + m.name })),
		tars("index last", "another order", func(_ *layout, m []member) []member { return append(m[2:], m[1], m[0]) }),
		tars("reversed", "another order", func(_ *layout, m []member) []member { slices.Reverse(m); return m }),
		tars("directories", "directories, too", func(_ *layout, m []member) []member {
			return append([]member{{name: "blobs/", kind: '5'}, {name: "blobs/sha256/", kind: '5'}}, m...)
		}),
		tars("directories with dots", "directories as GNU tar writes them", func(_ *layout, m []member) []member {
			for i := range m {
				m[i].name = "./" + m[i].name
			}
			return append([]member{{name: "./", kind: '5'}, {name: "./blobs/", kind: '5'}, {name: "./blobs/sha256/", kind: '5'}}, m...)
		}),
		tars("pax times", "pax headers with times", inFront(func(member) member {
			return pax(paxRecord("mtime", "1700000000.123456789"), paxRecord("atime", "1700000000.5"), paxRecord("ctime", "1700000000.5"))
		})),
		tars("pax paths", "pax headers with the name itself", inFront(func(m member) member { return pax(paxRecord("path", m.name)) })),
		tars("pax sizes", "pax headers with the size itself", inFront(func(m member) member { return pax(paxRecord("size", fmt.Sprint(len(m.data)))) })),
		tars("pax xattr", "pax headers with unknown keys", inFront(func(member) member {
			return pax(paxRecord("SCHILY.xattr.security.selinux", "x"), paxRecord("LIBARCHIVE.creationtime", "1700000000"))
		})),
		tars("global comment", "a global header with a comment, as git archive writes it", func(_ *layout, m []member) []member {
			g := pax(paxRecord("comment", "0123456789abcdef"))
			g.kind, g.name = 'g', "pax_global_header"
			return append([]member{g}, m...)
		}),
		tars("GNU long names", "GNU headers with the name itself", inFront(func(m member) member { return longName(m.name) })),
		tars("GNU magic", "GNU tar's own format", each(func(m *member) {
			m.edit = func(h *header) { h.set(257, "ustar  \x00"); h.field(265, 32, "root"); h.field(297, 32, "root") }
		})),
		tars("old tar", "tar of version 7", each(func(m *member) { m.edit = func(h *header) { h.field(257, 255, "") } })),
		tars("type zero", "files of type NUL", each(func(m *member) { m.edit = func(h *header) { h[156] = 0 } })),
		tars("base-256 sizes", "small sizes in base-256", each(func(m *member) { n := int64(len(m.data)); m.edit = func(h *header) { h.base256(124, 12, n) } })),
		tars("owners and modes", "owners, modes and times", each(func(m *member) {
			m.edit = func(h *header) {
				h.octal(100, 8, 0o755)
				h.octal(108, 8, 1000)
				h.octal(116, 8, 1000)
				h.octal(136, 12, 1700000000)
				h.field(265, 32, "user")
			}
		})),
		tars("large owners and old times", "numbers in base-256, as GNU tar writes what octal digits cannot say", each(func(m *member) {
			m.edit = func(h *header) {
				h.set(257, "ustar  \x00")
				h.base256(108, 8, 4_000_000_000)
				h.base256(116, 8, 4_000_000_000)
				h.base256(136, 12, -86400)
			}
		})),
		tars("empty numbers", "no mode, owner, time or device", each(func(m *member) {
			m.edit = func(h *header) { h.field(100, 24, ""); h.field(136, 12, ""); h.field(329, 16, "") }
		})),
		tars("octal with spaces", "sizes padded with spaces", each(func(m *member) {
			n := len(m.data)
			m.edit = func(h *header) { h.field(124, 12, fmt.Sprintf("%11o ", n)) }
		})),
		ok(bytesOf("A39", "record padding", "zeros up to a record of 10 KiB, as GNU tar writes them", func(b []byte) []byte { return append(b, make([]byte, 10240-len(b)%10240)...) })),
		texts("unknown annotations", "annotations of others", edits{"annotations": whole(`{"vnd.x/y":"1","":"2","ü":"3"}`)}),
		texts("unknown members", "members of a later version", edits{"index": last(`"x-later":{"a":[1,2.5,null,true]}`), "manifest": last(`"x-later":1e3`), "config": last(`"x-later":[[]]`), "oci-layout": last(`"x-later":0`), "manifest/layer": last(`"x-later":{}`)}),
		texts("no media types", "bodies without mediaType, which 1.0 has not", edits{"index": without("mediaType"), "nested": without("mediaType"), "manifest": without("mediaType")}),
		texts("white space", "documents with white space", edits{"index": func(s string) string { return " \n" + strings.ReplaceAll(s, `,"`, ",\r\n\t\"") + "\n\n" }, "manifest": behind("\n")}),
		texts("escapes", "needless escapes", edits{"ref": swap("registry", `\u0072egistry`), "manifest/layer": swap(`"digest"`, `"d\u0069gest"`), "config": last(`"author":"\u00fc \ud83d\ude00 \/"`)}),
		texts("order of members", "members in another order", edits{"manifest": func(s string) string { return last(`"schemaVersion":2`)(without("schemaVersion")(s)) }, "platform": whole(`{"os":"linux","architecture":"amd64"}`)}),
		texts("empty annotations", "empty annotations", edits{"annotations": whole(`{}`)}),
		texts("empty layer list", "an artifact without layers' content", edits{"referrer": last(`"annotations":{"org.opencontainers.image.created":"2024-01-01T00:00:00Z"}`)}),
		texts("right data", "data that is the content", edits{"artifact/config": last(`"data":"e30="`), "artifact/layer": last(`"data":"` + base64.StdEncoding.EncodeToString([]byte("first file\n")) + `"`)}),
		texts("urls", "a layer that names where else it lies", edits{"manifest/layer": last(`"urls":["https://example.com/layer"]`)}),
		texts("variant", "a variant that the config has, too", edits{"platform": last(`"variant":"v2"`), "config": last(`"variant":"v2"`)}),
		texts("variant of the descriptor only", "a variant that the config lacks", edits{"nested/arm64": swap(`"arm64",`, `"arm64","variant":"v8",`)}),
		texts("no platforms", "an index without platforms", edits{"nested/amd64": without("platform"), "nested/arm64": without("platform")}),
		texts("no reference", "a descriptor without a name", edits{"index/nested": without("annotations")}),
		texts("short reference", "a tag only", edits{"ref": swap("registry.example/app:1.0", "1.0")}),
		texts("reference with digest", "a reference with a digest", edits{"ref": swap("app:1.0", "app@"+fakeDigest(3))}),
		texts("subject elsewhere", "a subject that is not in the layout", edits{"referrer/subject": value("digest", `"`+fakeDigest(9)+`"`)}),
		texts("title with spaces", "a title with spaces and letters of others", edits{"title": swap("bin/first", "bin/first – größer")}),
		texts("file of no bytes", "an empty file", edits{"file": whole("")}),
		texts("one file twice", "two titles of one content", edits{"file-2": whole("first file\n")}),
		ok(woven("A39", "attestations", "two manifests of unknown platform, as BuildKit writes them", func(w *web) tarball {
			one := w.image()
			list := []string{descriptor(mtManifest, one, `,"platform":{"architecture":"amd64","os":"linux"}`)}
			for i := range 2 {
				config := w.put(fmt.Sprintf(`{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}`, fakeDigest(i)))
				layer := w.put(fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","n":%d}`, i))
				m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, config, "") + `,"layers":[` + descriptor("application/vnd.in-toto+json", layer, `,"annotations":{"in-toto.io/predicate-type":"https://slsa.dev/provenance/v0.2"}`) + `]}`)
				list = append(list, descriptor(mtManifest, m, `,"annotations":{"vnd.docker.reference.digest":"`+one.digest+`","vnd.docker.reference.type":"attestation-manifest"},"platform":{"architecture":"unknown","os":"unknown"}`))
			}
			return w.tar(index(descriptor(mtIndex, w.put(index(list...)), `,"annotations":{"io.containerd.image.name":"docker.io/library/a:1","org.opencontainers.image.ref.name":"1"}`)))
		})),
		ok(woven("A39", "Windows", "two builds of windows/amd64", func(w *web) tarball {
			var list []string
			for _, v := range []string{"10.0.17763.1", "10.0.20348.2"} {
				config := w.put(`{"architecture":"amd64","os":"windows","os.version":"` + v + `","rootfs":{"type":"layers","diff_ids":[]}}`)
				m := w.put(`{"schemaVersion":2,"mediaType":"` + mtManifest + `","config":` + descriptor(mtConfig, config, "") + `,"layers":[]}`)
				list = append(list, descriptor(mtManifest, m, `,"platform":{"architecture":"amd64","os":"windows","os.version":"`+v+`"}`))
			}
			return w.tar(index(descriptor(mtIndex, w.put(index(list...)), "")))
		})),
		ok(woven("A39", "docker types", "a Docker manifest list and manifest", func(w *web) tarball {
			config := w.put(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
			m := w.put(`{"schemaVersion":2,"mediaType":"` + mtDockerM + `","config":` + descriptor("application/vnd.docker.container.image.v1+json", config, "") + `,"layers":[` + descriptor("application/vnd.docker.image.rootfs.diff.tar.gzip", w.put("layer"), "") + `]}`)
			ls := w.put(`{"schemaVersion":2,"mediaType":"` + mtDockerL + `","manifests":[` + descriptor(mtDockerM, m, `,"platform":{"architecture":"amd64","os":"linux"}`) + `]}`)
			return w.tar(index(descriptor(mtDockerL, ls, `,"annotations":{"org.opencontainers.image.ref.name":"r.example/a:1"}`)))
		})),
		ok(woven("A39", "two names of one", "two names of one manifest", func(w *web) tarball {
			b := w.image()
			return w.tar(index(descriptor(mtManifest, b, `,"annotations":{"org.opencontainers.image.ref.name":"a:1"}`), descriptor(mtManifest, b, `,"annotations":{"org.opencontainers.image.ref.name":"a:2"}`)))
		})),
		ok(woven("A39", "index in index", "indexes three deep", func(w *web) tarball {
			b, mt := w.image(), mtManifest
			for range 2 {
				b, mt = w.put(index(descriptor(mt, b, ""))), mtIndex
			}
			return w.tar(index(descriptor(mt, b, "")))
		})),
		ok(sample{row: "A39", name: "Go's pax form", wrong: "what archive/tar writes with everything in it", write: func(f *os.File) error {
			w := tar.NewWriter(f)
			for _, m := range first.members() {
				h := &tar.Header{Name: m.name, Size: int64(len(m.data)), Mode: 0o600, Format: tar.FormatPAX, ModTime: time.Unix(1700000000, 5), AccessTime: time.Unix(1700000000, 7), Uname: strings.Repeat("u", 40), PAXRecords: map[string]string{"VENDOR.key": "value"}}
				if err := w.WriteHeader(h); err != nil {
					return err
				}
				if _, err := w.Write(m.data); err != nil {
					return err
				}
			}
			return w.Close()
		}}),
		// Docker since version 25 saves OCI layouts with the two files of its old form beside.
		{row: "A39", name: "docker save 25", wrong: "manifest.json and repositories beside a layout", want: either, write: func(f *os.File) error {
			m := compose(nil).members()
			return tarball{members: append(m, member{name: "manifest.json", data: []byte(`[]`)}, member{name: "repositories", data: []byte(`{}`)})}.write(f)
		}},
	}
}

// TestUnusual: what is valid passes, whoever may have written it, and is no bundle.
func TestUnusual(t *testing.T) {
	for _, s := range valid() {
		t.Run(s.String(), func(t *testing.T) {
			t.Parallel()
			path := s.file(t, t.TempDir())
			v := judge(t, path, s)
			if v.Bundle == nil || *v.Bundle {
				t.Error("calls it a bundle")
			}
			if v.Trust != "none" {
				t.Errorf("trust %q", v.Trust)
			}
			if t.Failed() {
				keep(t, s, path)
			}
		})
	}
}
