package hostile

import (
	"bytes"
	"crypto/sha256"
	"fmt"
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
		return packed(row, name, "a second index.json", func(l *layout, m []member) []member {
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
		again("by hard link", func(m member) []member { return []member{{name: "index.json", kind: '1', link: "oci-layout"}} }),
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

// types: rows A17 and A18.
func types() []sample {
	var all []sample
	kinds := map[string]member{
		"hard link": {kind: '1', link: "oci-layout"}, "symlink": {kind: '2', link: "/etc/passwd"}, "symlink to a device": {kind: '2', link: "/dev/zero"}, "char device": {kind: '3'},
		"block device": {kind: '4'}, "directory": {kind: '5'}, "FIFO": {kind: '6'}, "GNU sparse": {kind: 'S'}, "GNU volume header": {kind: 'V'},
		"GNU multi-volume": {kind: 'M'}, "GNU dump directory": {kind: 'D'}, "Solaris ACL": {kind: 'A'}, "Solaris extended": {kind: 'X'}, "unknown type": {kind: 'z'}, "reserved type": {kind: '8'},
	}
	for name, m := range kinds {
		for _, place := range []string{"layer", "config", "index", "oci-layout"} {
			if place != "layer" && !slices.Contains([]string{"hard link", "symlink", "symlink to a device", "directory", "FIFO", "char device"}, name) {
				continue
			}
			all = append(all, packed("A17", name+" for "+place, "an entry of another type in place of a file", at(place, func(o *member) {
				o.kind, o.link, o.data = m.kind, m.link, nil
				o.edit = func(h *header) { h.octal(329, 8, 1); h.octal(337, 8, 5) } // /dev/zero
			})))
		}
		all = append(all, packed("A17", name+" beside", "an entry of another type beside the files", func(_ *layout, all []member) []member {
			m.name = "blobs/sha256/" + strings.Repeat("0", 64)
			return append(all, m)
		}))
	}
	all = append(all,
		packed("A17", "hard link to the same blob", "a hard link", func(l *layout, m []member) []member {
			return append(m, member{name: "blobs/sha256/copy", kind: '1', link: m[l.entry("layer")].name})
		}),
		packed("A17", "symlink with data", "a symlink that has content", at("layer", func(m *member) { m.kind, m.link = '2', "/etc/passwd" })),
		packed("A17", "directory with data", "a directory that has content", at("layer", func(m *member) { m.kind = '5' })),
		packed("A17", "blobs is a symlink", "blobs/sha256 leads out", func(_ *layout, m []member) []member {
			return slices.Insert(m, 2, member{name: "blobs/sha256", kind: '2', link: "/tmp"})
		}),
		packed("A17", "contiguous file", "a file of type 7", at("layer", func(m *member) { m.kind = '7' })).exits(either...),
	)
	sparse := func(name string, records ...string) sample {
		return packed("A18", name, "a sparse entry", func(l *layout, m []member) []member {
			return slices.Insert(m, l.entry("layer"), pax(records...))
		})
	}
	return append(all,
		packed("A18", "old GNU", "a sparse entry", at("layer", func(m *member) {
			n := len(m.data)
			m.kind = 'S'
			m.edit = func(h *header) {
				h.set(257, "ustar  \x00")
				h.octal(386, 12, 0)
				h.octal(398, 12, int64(n))
				h.octal(483, 12, int64(n))
			}
		})),
		packed("A18", "old GNU, 1 TiB", "a sparse entry that claims 1 TiB", at("layer", func(m *member) {
			m.kind = 'S'
			m.edit = func(h *header) { h.set(257, "ustar  \x00"); h.base256(483, 12, 1<<40) }
		})),
		sparse("pax 0.0", paxRecord("GNU.sparse.size", "100000"), paxRecord("GNU.sparse.numblocks", "1"), paxRecord("GNU.sparse.offset", "0"), paxRecord("GNU.sparse.numbytes", "64")),
		sparse("pax 0.1", paxRecord("GNU.sparse.size", "1099511627776"), paxRecord("GNU.sparse.numblocks", "1"), paxRecord("GNU.sparse.map", "0,64"), paxRecord("GNU.sparse.name", "x")),
		sparse("pax 1.0", paxRecord("GNU.sparse.major", "1"), paxRecord("GNU.sparse.minor", "0"), paxRecord("GNU.sparse.name", "x"), paxRecord("GNU.sparse.realsize", "1099511627776")),
		sparse("pax name only", paxRecord("GNU.sparse.name", "index.json")))
}

// header sizes: row A19.
func sizesInHeaders() []sample {
	claim := func(name string, n int64) sample {
		return packed("A19", name, "a header claims another size", at("layer", func(m *member) { m.edit = sized(n) }))
	}
	field := func(name, s string) sample {
		return packed("A19", name, "a size field that is no number", at("layer", func(m *member) { m.edit = func(h *header) { h.field(124, 12, s) } }))
	}
	all := []sample{
		claim("size 2^60", 1<<60), claim("size 2^62", 1<<62), claim("size 2^63-1", 1<<63-1), claim("size -1", -1), claim("size -2^40", -1<<40), claim("size -2^63", -1<<63), claim("size 2^33", 1<<33), claim("size 0", 0),
		claim("size 1 less", int64(len(gzipped("shared layer"))-1)), claim("size 1 more", int64(len(gzipped("shared layer"))+1)), claim("size 512 more", 1024),
		packed("A19", "size over 64 bits", "base-256 of 88 bits", at("layer", func(m *member) { m.edit = func(h *header) { h.field(124, 12, "\x80"+strings.Repeat("\xff", 11)) } })),
		field("size letters", "garbage"), field("size 8s", "00000000888"), field("size 0x", "0x000000100"), field("size negative text", "-0000000100"),
		packed("A19", "checksum signed", "a checksum that is wrong by one", at("layer", func(m *member) {
			m.late = func(h *header) { h[153] ^= 1 }
		})),
		packed("A19", "checksum garbage", "a checksum that is no number", at("layer", func(m *member) {
			m.late = func(h *header) { h.set(148, "checksum") }
		})),
		packed("A19", "index.json claims 2^40", "a header claims 1 TiB", at("index", func(m *member) { m.edit = sized(1 << 40) })),
		packed("A19", "oci-layout claims 2^62", "a header claims 2^62 bytes", at("oci-layout", func(m *member) { m.edit = sized(1 << 62) })),
		packed("A19", "no padding", "an entry without padding", at("layer", func(m *member) { m.slim = true })),
	}
	size := func(name string, records ...string) sample {
		return packed("A19", name, "pax and ustar disagree", func(l *layout, m []member) []member {
			return slices.Insert(m, l.entry("layer"), pax(records...))
		})
	}
	return append(all, size("pax size 0", paxRecord("size", "0")), size("pax size larger", paxRecord("size", "4096")), size("pax size 2^62", paxRecord("size", "4611686018427387904")),
		size("pax size 2^64", paxRecord("size", "18446744073709551616")), size("pax size negative", paxRecord("size", "-1")), size("pax size text", paxRecord("size", "many")),
		size("pax size twice", paxRecord("size", "1"), paxRecord("size", "2")),
		size("pax size hex", paxRecord("size", "0x10")), size("pax size fraction", paxRecord("size", "68.5")), size("pax size empty", paxRecord("size", "")),
		size("pax path twice", paxRecord("path", "a"), paxRecord("path", "b")),
		size("pax length 0", "0 path=x\n"), size("pax length long", "9999 path=x\n"), size("pax length text", "ab path=x\n"), size("pax length overflow", "99999999999999999999999 path=x\n"),
		size("pax no equals", "8 pathx\n"), size("pax no newline", "9 path=xy"), size("pax empty key", "5 =x\n"), size("pax negative length", "-9 path=x\n"), size("pax zero in path", paxRecord("path", "a\x00b")),
		size("pax hdrcharset", paxRecord("hdrcharset", "EBCDIC"), paxRecord("path", "x")))
}

// longHeaders: the other half of row A19.
func longHeaders() []sample {
	far := func(name string, kind byte, hole int64) sample {
		return packed("A19", name, "an extended header of great length", func(l *layout, m []member) []member {
			return slices.Insert(m, 1, member{name: "x", kind: kind, data: []byte("a"), hole: hole})
		})
	}
	claim := func(name string, kind byte, n int64) sample {
		return packed("A19", name, "an extended header that claims a great length", func(l *layout, m []member) []member {
			return slices.Insert(m, 1, member{name: "x", kind: kind, data: []byte("a"), edit: sized(n)})
		})
	}
	return []sample{
		far("1 GiB pax", 'x', 1<<30), far("1 GiB global pax", 'g', 1<<30), far("1 GiB long name", 'L', 1<<30), far("1 GiB long link", 'K', 1<<30), far("8 MiB pax", 'x', 8<<20),
		claim("pax of 2^60", 'x', 1<<60), claim("long name of 2^60", 'L', 1<<60), claim("negative pax", 'x', -1), claim("negative long name", 'L', -5), claim("long link of 2^63-1", 'K', 1<<63-1),
		packed("A19", "pax at the end", "an extended header without an entry", plus(pax(paxRecord("path", "x")))),
		packed("A19", "long name at the end", "a GNU header without an entry", plus(longName("x"))),
		packed("A19", "pax twice", "two extended headers for one entry", plus(pax(paxRecord("path", "x")), pax(paxRecord("path", "y")), member{name: "z"})),
		packed("A19", "100000 pax headers", "a chain of extended headers", func(_ *layout, m []member) []member {
			return slices.Insert(m, 1, slices.Repeat([]member{pax(paxRecord("comment", "x"))}, 100_000)...)
		}),
		packed("A19", "1 MiB name", "a name of 1 MiB", plus(longName(strings.Repeat("n", 1<<20)), member{name: "n"})),
		packed("A19", "long name without end", "a GNU name without its zero byte, and empty", plus(member{name: "././@LongLink", kind: 'L'}, member{name: "n"})),
	}
}

// trailing: row A20.
func trailing() []sample {
	evil := tarball{members: compose(edits{"ref": swap("app:1.0", "app:evil")}).members()}.bytes()
	return []sample{
		bytesOf("A20", "second archive", "a second layout behind the end", func(b []byte) []byte { return append(b, evil...) }),
		bytesOf("A20", "second archive in a record", "a second layout behind 10 KiB", func(b []byte) []byte { return append(append(b, make([]byte, 10240)...), evil...) }),
		bytesOf("A20", "text", "a text behind the end", func(b []byte) []byte { return append(b, "#!/bin/sh\nid\n"...) }),
		bytesOf("A20", "one byte", "one byte behind the end", func(b []byte) []byte { return append(b, 'x') }),
		bytesOf("A20", "single entry", "an entry behind the end", func(b []byte) []byte {
			return append(b, tarball{members: []member{{name: "late", data: []byte("late")}}}.bytes()...)
		}),
		bytesOf("A20", "noise behind zeros", "noise behind 1 MiB of zeros", func(b []byte) []byte { return append(append(b, make([]byte, 1<<20)...), evil[:700]...) }),
		bytesOf("A20", "entry behind one zero block", "one zero block between entries", func(b []byte) []byte { return append(b[:len(b)-512], evil...) }),
		{row: "A20", name: "1 GiB of zeros", wrong: "a hole of 1 GiB behind the end", want: either, write: func(f *os.File) error {
			return tarball{members: compose(nil).members()}.writeHole(f, 1<<30)
		}},
	}
}

// writeHole writes the tar and a hole behind it.
func (t tarball) writeHole(f *os.File, n int64) error {
	if err := t.write(f); err != nil {
		return err
	}
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return f.Truncate(st.Size() + n)
}

// smuggled: row A21.
func smuggled() []sample {
	body := []byte("smuggled")
	var all []sample
	for name, n := range map[string]string{
		"stray file": "README.md", "script": "run.sh", "in blobs": "blobs/x", "no hex": "blobs/sha256/readme", "short hex": "blobs/sha256/abcdef", "backup": "blobs/sha256/" + strings.Repeat("a", 64) + ".bak",
		"below a blob": "blobs/sha256/" + strings.Repeat("a", 64) + "/x", "whiteout": ".wh.index.json", "hidden": ".git/config", "other algorithm": "blobs/md5/d41d8cd98f00b204e9800998ecf8427e", "desktop": "autorun.inf",
	} {
		all = append(all, packed("A21", name, "an entry that nothing needs", plus(member{name: n, data: body})))
	}
	orphan := member{name: fmt.Sprintf("blobs/sha256/%x", sha256.Sum256(body)), data: body}
	return append(all,
		packed("A21", "orphan", "a blob that nothing names", plus(orphan)),
		packed("A21", "orphan first", "a blob that nothing names", func(_ *layout, m []member) []member { return append([]member{orphan}, m...) }),
		packed("A21", "wrong orphan", "a blob that nothing names, and that its name is not the digest of", plus(member{name: "blobs/sha256/" + strings.Repeat("b", 64), data: body})),
		packed("A21", "upper case", "a blob's name is in upper case", at("layer", func(m *member) { m.name = "blobs/sha256/" + strings.ToUpper(m.name[13:]) })),
		packed("A21", "upper algorithm", "a blob's algorithm is in upper case", at("layer", func(m *member) { m.name = "blobs/SHA256/" + m.name[13:] })),
		packed("A21", "not by digest", "a blob is named by another one's digest", at("layer", func(m *member) { m.name = "blobs/sha256/" + strings.Repeat("c", 64) })),
		packed("A21", "prefix directory", "the layout lies in a directory", func(_ *layout, m []member) []member {
			for i := range m {
				m[i].name = "layout/" + m[i].name
			}
			return m
		}),
		packed("A21", "without sha256", "blobs lie directly below blobs", at("layer", func(m *member) { m.name = "blobs/" + m.name[13:] })))
}
