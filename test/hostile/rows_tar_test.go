package hostile

import (
	"bytes"
	"os"
	"slices"
	"strings"
)

// at changes the member of a place.
func at(place string, change func(m *member)) func(*layout, []member) []member {
	return func(l *layout, all []member) []member {
		change(&all[l.entry(place)])
		return all
	}
}

// plus adds members behind the others.
func plus(more ...member) func(*layout, []member) []member {
	return func(_ *layout, all []member) []member { return append(all, more...) }
}

func flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}

// flips: rows A01 to A04.
func flips() []sample {
	var all []sample
	for _, place := range compose(nil).places() {
		if place == "oci-layout" || place == "index" {
			continue
		}
		hex := strings.TrimPrefix(compose(nil).entries[place], "blobs/sha256/")
		all = append(all, packed("A01", "bit in "+place, "one bit of a blob is flipped", at(place, func(m *member) {
			m.data = flipped(m.data, len(m.data)/2)
		})).saying(hex[:12]))
	}
	raw := tarball{members: compose(nil).members()}.bytes()
	index := bytes.Index(raw, []byte(`"digest":"sha256:`)) + len(`"digest":"sha256:`)
	all = append(all,
		bytesOf("A02", "digest in index.json", "a digit of a digest is another one", func(b []byte) []byte {
			b[index] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", b[index])+1)%16]
			return b
		}),
		bytesOf("A02", "brace in index.json", "a brace is flipped", func(b []byte) []byte { b[1536] ^= 1; return b }),
		bytesOf("A02", "key in index.json", "a letter of manifests is flipped", func(b []byte) []byte {
			b[bytes.Index(b, []byte(`"manifests"`))+3] ^= 1
			return b
		}),
		bytesOf("A02", "oci-layout", "a letter of imageLayoutVersion is flipped", func(b []byte) []byte { b[512+4] ^= 1; return b }))
	for name, offset := range map[string]int{"name": 3, "mode": 104, "uid": 110, "size": 134, "mtime": 140, "checksum": 150, "type": 156, "link": 160, "magic": 258, "version": 263, "user": 270, "prefix": 350, "end": 511} {
		all = append(all, bytesOf("A03", name+" of a header", "one bit of a tar header is flipped", func(b []byte) []byte {
			b[1024+offset] ^= 1
			return b
		}))
		all = append(all, bytesOf("A03", name+" of a blob's header", "one bit of a tar header is flipped", func(b []byte) []byte {
			b[bytes.Index(b, []byte("blobs/sha256/"))+offset] ^= 1
			return b
		}))
	}
	all = append(all,
		bytesOf("A04", "padding", "padding of index.json is not zero", func(b []byte) []byte { b[1024-1] = 1; return b }).exits(either...),
		bytesOf("A04", "first end block", "a bit of the first zero block is set", func(b []byte) []byte { b[len(b)-1024+9] = 1; return b }),
		bytesOf("A04", "second end block", "a bit of the second zero block is set", func(b []byte) []byte { b[len(b)-9] = 1; return b }),
		bytesOf("A04", "behind the end", "a bit of the record's padding is set", func(b []byte) []byte {
			b = append(b, make([]byte, 4096)...)
			b[len(b)-77] = 1
			return b
		}))
	return all
}

// cuts: rows A05, A06 and A13.
func cuts() []sample {
	raw := tarball{members: compose(nil).members()}.bytes()
	var all []sample
	for name, n := range map[string]int{
		"1 byte": 1, "511 bytes": 511, "first header": 512, "in oci-layout": 520, "behind oci-layout": 1024, "in the header of index.json": 1100,
		"in index.json": 1600, "a third": len(raw) / 3, "a half": len(raw) / 2, "in the last blob": len(raw) - 1024 - 600,
		"before the end": len(raw) - 1024, "in the first end block": len(raw) - 1000, "in the second end block": len(raw) - 3, "behind one end block": len(raw) - 512, "one byte short": len(raw) - 1,
	} {
		all = append(all, bytesOf("A05", name, "the file is cut", func(b []byte) []byte { return b[:n] }))
	}
	l := compose(nil)
	for _, place := range l.places() {
		row := "A13"
		if l.entry(place) == len(l.members())-1 {
			row = "A06"
		}
		says := "oci-layout|index.json"
		if hex, ok := strings.CutPrefix(l.entries[place], "blobs/sha256/"); ok {
			says = hex[:12]
		}
		if place == "sbom" || place == "referrer" {
			says = ""
		}
		all = append(all, packed(row, "no "+place, "an entry is missing", func(l *layout, m []member) []member {
			i := l.entry(place)
			return slices.Delete(m, i, i+1)
		}).saying(says))
	}
	return append(all,
		packed("A06", "half of the entries", "the file ends between entries", func(_ *layout, m []member) []member { return m[:len(m)/2] }),
		packed("A06", "only two entries", "all blobs are missing", func(_ *layout, m []member) []member { return m[:2] }),
		packed("A06", "no entries", "an empty tar", func(*layout, []member) []member { return nil }))
}

func plain(row, name, wrong string, data []byte) sample {
	return sample{row: row, name: name, wrong: wrong, write: func(f *os.File) error {
		_, err := f.Write(data)
		return err
	}}
}

// strangers: row A07.
func strangers() []sample {
	noise := make([]byte, 40000)
	for i, x := 0, byte(7); i < len(noise); i++ {
		x = x*37 + 11 + byte(i>>8)
		noise[i] = x
	}
	tarOf := func(names ...string) []byte {
		var m []member
		for _, n := range names {
			m = append(m, member{name: n, data: []byte("content of " + n)})
		}
		return tarball{members: m}.bytes()
	}
	return []sample{
		plain("A07", "empty file", "0 bytes", nil),
		plain("A07", "zeros", "zeros", make([]byte, 40960)),
		plain("A07", "one zero block", "zeros", make([]byte, 512)),
		plain("A07", "random", "noise", noise),
		plain("A07", "text", "a text", []byte(strings.Repeat("this is no archive\n", 100))),
		plain("A07", "json", "a JSON document", []byte(`{"schemaVersion":2,"manifests":[]}`)),
		plain("A07", "root file alike", "begins as a root file", []byte(`{"root":{"schemaVersion":2},"table":{}}`+"\n")),
		plain("A07", "yaml", "a lock", []byte("apiVersion: airbundle/v1\nkind: Lock\nname: x\narches: [x86_64]\n")),
		plain("A07", "elf", "a program", append([]byte("\x7fELF\x02\x01\x01"), noise[:2000]...)),
		plain("A07", "rpm", "a package", append([]byte("\xed\xab\xee\xdb\x03\x00"), noise[:2000]...)),
		plain("A07", "zip", "a zip", append([]byte("PK\x03\x04"), noise[:2000]...)),
		plain("A07", "other tar", "a tar of other things", tarOf("README", "src/main.c")),
		plain("A07", "docker archive", "what docker save wrote before version 25", tarOf("manifest.json", "repositories", "abc/layer.tar")),
		plain("A07", "cpio", "a cpio archive", []byte("070701"+strings.Repeat("0", 104)+strings.Repeat("TRAILER!!!", 50))),
		plain("A07", "header of noise", "a block of 0xff", bytes.Repeat([]byte{0xff}, 1536)),
	}
}

// volumes: rows A08 to A10. Volumes are reserved names, so that a file of a set is no bundle.
func volumes() []sample {
	return []sample{
		packed("A08", "volume header first", "a volume of a set that nobody reads yet", func(_ *layout, m []member) []member {
			return append([]member{{name: "airbundle-volume-0001", data: []byte(`{"set":"sha256:00","number":1,"count":2}`)}}, m...)
		}),
		packed("A08", "part of a blob", "a blob in parts", func(l *layout, m []member) []member {
			i := l.entry("layer")
			a, b := m[i], m[i]
			a.name, a.data = a.name+".part-001", a.data[:20]
			b.name, b.data = b.name+".part-002", b.data[20:]
			return slices.Replace(m, i, i+1, a, b)
		}),
	}
}

// exchanged: row A12.
func exchanged() []sample {
	var all []sample
	for _, p := range [][2]string{{"layer", "layer-2"}, {"layer", "config"}, {"manifest", "manifest-arm64"}, {"config", "config-arm64"}, {"file", "file-2"}, {"nested", "artifact"}} {
		l := compose(nil)
		a, b := strings.TrimPrefix(l.entries[p[0]], "blobs/sha256/")[:12], strings.TrimPrefix(l.entries[p[1]], "blobs/sha256/")[:12]
		all = append(all, packed("A12", p[0]+" and "+p[1], "two blobs have each other's content", func(l *layout, m []member) []member {
			i, j := l.entry(p[0]), l.entry(p[1])
			m[i].data, m[j].data = m[j].data, m[i].data
			return m
		}).saying("(?s)"+a+".*"+b+"|"+b+".*"+a))
	}
	return all
}

// duplicates: rows A14 and A15.
func duplicates() []sample {
	var all []sample
	for _, place := range []string{"oci-layout", "index", "nested", "manifest", "config", "layer", "file", "referrer"} {
		bad := func(m member) member {
			m.data = flipped(m.data, len(m.data)/2)
			return m
		}
		all = append(all,
			packed("A14", place+" good, bad", "an entry stands twice", func(l *layout, m []member) []member { return append(m, bad(m[l.entry(place)])) }),
			packed("A14", place+" bad, good", "an entry stands twice", func(l *layout, m []member) []member {
				return append([]member{bad(m[l.entry(place)])}, m...)
			}),
			packed("A14", place+" same", "an entry stands twice", func(l *layout, m []member) []member { return append(m, m[l.entry(place)]) }))
	}
	again := func(name string, how func(m member) []member) sample {
		row := "A15"
		return packed(row, name, "a second index.json", func(_ *layout, m []member) []member {
			second := m[1]
			second.data = []byte(`{"schemaVersion":2,"manifests":[]}`)
			return append(m, how(second)...)
		})
	}
	named := func(n string) func(member) []member {
		return func(m member) []member { m.name = n; return []member{m} }
	}
	return append(all,
		again("with dot", named("./index.json")),
		again("with two slashes", named(".//index.json")),
		again("with dots", named("blobs/../index.json")),
		again("upper case", named("INDEX.JSON")),
		again("one letter upper", named("Index.json")),
		again("slash behind", named("index.json/")),
		again("absolute", named("/index.json")),
		again("backslash", named(`.\index.json`)),
		again("by pax path", func(m member) []member { m.name = "other"; return []member{pax(paxRecord("path", "index.json")), m} }),
		again("by pax path with dot", func(m member) []member { m.name = "other"; return []member{pax(paxRecord("path", "./index.json")), m} }),
		again("by global pax path", func(m member) []member {
			g := pax(paxRecord("path", "index.json"))
			g.kind, m.name = 'g', "other"
			return []member{g, m}
		}),
		again("by GNU long name", func(m member) []member { m.name = "other"; return []member{longName("index.json"), m} }),
		again("behind a zero byte", func(m member) []member {
			m.edit = func(h *header) { h.field(0, 100, "index.json\x00.bak") }
			return []member{m}
		}),
		again("by hard link", func(member) []member { return []member{{name: "index.json", kind: '1', link: "oci-layout"}} }),
		again("by prefix", func(m member) []member {
			m.edit = func(h *header) { h.field(345, 155, ".") }
			return []member{m}
		}),
		packed("A15", "first one by pax path", "the first index.json is another entry", func(_ *layout, m []member) []member {
			evil := member{name: "zzz", data: []byte(`{"schemaVersion":2,"manifests":[]}`)}
			return slices.Insert(m, 1, pax(paxRecord("path", "index.json")), evil)
		}),
		packed("A15", "blob twice by long name", "a blob stands twice", func(l *layout, m []member) []member {
			b := m[l.entry("layer")]
			long := longName(b.name)
			b.name = "short"
			return append(m, long, b)
		}),
		packed("A15", "blob twice by dot", "a blob stands twice", func(l *layout, m []member) []member {
			b := m[l.entry("layer")]
			b.name = "./" + b.name
			return append(m, b)
		}))
}

// names: row A16.
func names() []sample {
	var all []sample
	body := []byte("written by an archive")
	for name, n := range map[string]string{
		"parent": "../hostile-canary", "parents": "../../../../../../../../tmp/hostile-canary", "absolute": "/tmp/hostile-canary", "inside": "blobs/../../hostile-canary",
		"behind dot": "./../hostile-canary", "backslash": `..\hostile-canary`, "drive": `C:\hostile-canary`, "share": `\\host\share`, "in blobs": "blobs/sha256/../../../hostile-canary",
		"only dots": "..", "empty segment": "blobs//hostile-canary", "escape": "\x1b[31mred\x1b]0;title\x07", "newline": "a\nok        everything is fine", "bad UTF-8": "\xff\xfe\xc0\xaf",
		"bidi": "\u202egnp.exe", "carriage return": "damaged\rok", "space": " ", "tilde": "~/.ssh/authorized_keys", "home": "~root/x",
	} {
		all = append(all,
			packed("A16", name, "an unsafe name", plus(member{name: n, data: body})),
			packed("A16", name+" by pax", "an unsafe name in a pax header", plus(pax(paxRecord("path", n)), member{name: "x", data: body})),
			packed("A16", name+" by long name", "an unsafe name in a GNU header", plus(longName(n), member{name: "x", data: body})))
	}
	return append(all,
		packed("A16", "empty", "no name", plus(member{name: "", data: body})),
		packed("A16", "empty by pax", "no name", plus(pax(paxRecord("path", "")), member{name: "x", data: body})).exits(4),
		packed("A16", "by prefix", "an unsafe name in prefix and name", plus(member{name: "hostile-canary", data: body, edit: func(h *header) { h.field(345, 155, "../..") }})),
		packed("A16", "directory above", "a directory above", plus(member{name: "../hostile-canary/", kind: '5'})),
		packed("A16", "blobs is elsewhere", "blobs has a name with dots", at("layer", func(m *member) { m.name = "x/../" + m.name })),
		packed("A16", "all entries absolute", "all names are absolute", func(_ *layout, m []member) []member {
			for i := range m {
				m[i].name = "/" + m[i].name
			}
			return m
		}),
		packed("A16", "all entries with backslashes", "all names have backslashes", func(_ *layout, m []member) []member {
			for i := range m {
				m[i].name = strings.ReplaceAll(m[i].name, "/", `\`)
			}
			return m
		}))
}
