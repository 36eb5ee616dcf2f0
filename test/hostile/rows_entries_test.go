package hostile

import (
	"crypto/sha256"
	"fmt"
	"os"
	"slices"
	"strings"
)

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

// disputed: rows A14 and A19 where readers differ on the header of an entry.
func disputed() []sample {
	says := func(name, wrong, re string, edit func(h *header)) sample {
		return packed("A19", name, wrong, at("layer", func(m *member) { m.edit = edit })).saying(re)
	}
	junk := func(name string, start, n int, s string) sample {
		return says(name+" of letters", "a field that is no number", "blobs/sha256/[0-9a-f]{64}.*: "+name+": ", func(h *header) { h.field(start, n, s) })
	}
	prefix := func(name, magic string) sample {
		return says("prefix and "+name, "a prefix in a header that has none", "prefix: ", func(h *header) { h.field(257, 8, magic); h.field(345, 155, "elsewhere") })
	}
	time := func(key, value string) sample {
		return packed("A19", "pax "+key+" "+value, "a pax record that is no number", func(l *layout, m []member) []member {
			return slices.Insert(m, l.entry("layer"), pax(paxRecord(key, value)))
		}).saying(key)
	}
	return []sample{
		junk("mode", 100, 8, "zzzzzzz"), junk("uid", 108, 8, "9999999"), junk("gid", 116, 8, "root"), junk("mtime", 136, 12, "abcdefghijk"), junk("devmajor", 329, 8, "-1"), junk("devminor", 337, 8, "0x1"),
		prefix("GNU magic", "ustar  \x00"), prefix("no magic", ""), prefix("another magic", "qstar\x0000"), prefix("another version", "ustar\x0099"),
		time("mtime", "zz"), time("mtime", ""), time("atime", "1e9"), time("ctime", "now"), time("uid", "root"), time("gid", "1.5"),
		packed("A14", "directory", "a directory stands twice", func(_ *layout, m []member) []member {
			return append([]member{{name: "blobs/", kind: '5'}, {name: "./blobs", kind: '5'}}, m...)
		}),
		packed("A14", "directory in other case", "a directory stands twice", func(_ *layout, m []member) []member {
			return append([]member{{name: "blobs/", kind: '5'}, {name: "Blobs/", kind: '5'}}, m...)
		}),
	}
}

// longHeaders: the other half of row A19.
func longHeaders() []sample {
	far := func(name string, kind byte, hole int64) sample {
		return packed("A19", name, "an extended header of great length", func(_ *layout, m []member) []member {
			return slices.Insert(m, 1, member{name: "x", kind: kind, data: []byte("a"), hole: hole})
		})
	}
	claim := func(name string, kind byte, n int64) sample {
		return packed("A19", name, "an extended header that claims a great length", func(_ *layout, m []member) []member {
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
