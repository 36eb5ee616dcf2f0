package hostile

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Media types, written out: the corpus does not share constants with the reader.
const (
	mtIndex    = "application/vnd.oci.image.index.v1+json"
	mtManifest = "application/vnd.oci.image.manifest.v1+json"
	mtConfig   = "application/vnd.oci.image.config.v1+json"
	mtLayer    = "application/vnd.oci.image.layer.v1.tar+gzip"
	mtEmpty    = "application/vnd.oci.empty.v1+json"
	mtDockerM  = "application/vnd.docker.distribution.manifest.v2+json"
	mtDockerL  = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// The places at which a case can change a text. Documents are files of the layout,
// descriptors stand in the document before the slash.
var (
	documents   = []string{"oci-layout", "index", "nested", "manifest", "config", "artifact", "referrer"}
	descriptors = []string{"index/nested", "nested/amd64", "manifest/config", "manifest/layer", "artifact/layer", "referrer/subject"}
)

type edit func(string) string

// edits say what happens to the text of a place.
type edits map[string]edit

// A layout is a small image of two platforms with a shared gzip layer, an artifact of two
// titled files, and a referrer with a subject, as JSON texts.
type layout struct {
	edits   edits
	used    map[string]bool
	blobs   []member
	entries map[string]string // place of a document, or of a blob, to the name of its entry
}

// compose makes a layout with edits applied on the way up, so that digests and sizes hold.
func compose(e edits) *layout {
	l := &layout{edits: e, used: map[string]bool{}, entries: map[string]string{"oci-layout": "oci-layout", "index": "index.json"}}
	shared, tool := gzipped("shared layer"), gzipped("layer of amd64")
	amd := l.image("", "amd64", shared, tool)
	arm := l.image("-arm64", "arm64", shared, gzipped("layer of arm64"))
	nested := l.doc("nested", `{"schemaVersion":2,"mediaType":"`+mtIndex+`","manifests":[`+
		l.desc("nested/amd64", mtManifest, amd, `"platform":`+l.text("platform", `{"architecture":"amd64","os":"linux"}`))+","+
		l.desc("nested/arm64", mtManifest, arm, `"platform":{"architecture":"arm64","os":"linux"}`)+`],"annotations":`+l.text("annotations", `{"org.example.note":"two platforms"}`)+`}`)
	empty := l.put("empty", []byte("{}"))
	one, two := l.put("file", []byte("first file\n")), l.put("file-2", []byte("second file\n"))
	artifact := l.doc("artifact", `{"schemaVersion":2,"mediaType":"`+mtManifest+`","artifactType":"application/vnd.example.files","config":`+
		l.desc("artifact/config", mtEmpty, empty, "")+`,"layers":[`+
		l.desc("artifact/layer", "application/octet-stream", one, `"annotations":`+l.text("title", `{"org.opencontainers.image.title":"bin/first"}`))+","+
		l.desc("artifact/layer-2", "application/octet-stream", two, `"annotations":{"org.opencontainers.image.title":"bin/second"}`)+`]}`)
	sbom := l.put("sbom", []byte(`{"bom":[]}`))
	referrer := l.doc("referrer", `{"schemaVersion":2,"mediaType":"`+mtManifest+`","artifactType":"application/vnd.example.sbom","config":`+
		l.desc("referrer/config", mtEmpty, empty, "")+`,"layers":[`+l.desc("referrer/layer", "application/vnd.example.sbom+json", sbom, "")+
		`],"subject":`+l.desc("referrer/subject", mtIndex, nested, "")+`}`)
	l.doc("index", `{"schemaVersion":2,"mediaType":"`+mtIndex+`","manifests":[`+
		l.desc("index/nested", mtIndex, nested, `"annotations":`+l.text("ref", `{"org.opencontainers.image.ref.name":"registry.example/app:1.0"}`))+","+
		l.desc("index/artifact", mtManifest, artifact, `"artifactType":"application/vnd.example.files","annotations":{"org.opencontainers.image.ref.name":"files"}`)+","+
		l.desc("index/referrer", mtManifest, referrer, `"artifactType":"application/vnd.example.sbom"`)+`]}`)
	l.doc("oci-layout", `{"imageLayoutVersion":"1.0.0"}`)
	for place := range e {
		if !l.used[place] {
			panic("no place " + place)
		}
	}
	return l
}

func (l *layout) image(suffix, arch string, layers ...[]byte) blob {
	diffs := ""
	for i := range layers {
		diffs += fmt.Sprintf(`,"sha256:%x"`, sha256.Sum256([]byte{byte(i)}))
	}
	config := l.doc("config"+suffix, `{"architecture":"`+arch+`","os":"linux","config":{"Env":["PATH=/bin"],"Cmd":["/bin/app"]},"rootfs":{"type":"layers","diff_ids":[`+diffs[1:]+`]}}`)
	list := ""
	for i, raw := range layers {
		place := "layer"
		if i > 0 {
			place = fmt.Sprintf("layer-%d", i+1)
		}
		list += "," + l.desc("manifest"+suffix+"/"+place, mtLayer, l.put(place+suffix, raw), "")
	}
	return l.doc("manifest"+suffix, `{"schemaVersion":2,"mediaType":"`+mtManifest+`","config":`+l.desc("manifest"+suffix+"/config", mtConfig, config, "")+`,"layers":[`+list[1:]+`]}`)
}

// A blob is what a descriptor names.
type blob struct {
	digest string
	size   int
}

func (l *layout) text(place, s string) string {
	l.used[place] = true
	if f := l.edits[place]; f != nil {
		return f(s)
	}
	return s
}

// doc adds a document.
func (l *layout) doc(place, s string) blob {
	raw := []byte(l.text(place, s))
	if name, ok := l.entries[place]; ok {
		l.blobs = append(l.blobs, member{name: name, data: raw})
		return blob{}
	}
	return l.add(place, raw)
}

// put adds the blob of a place.
func (l *layout) put(place string, raw []byte) blob {
	return l.add(place, []byte(l.text(place, string(raw))))
}

// add adds a blob once.
func (l *layout) add(place string, raw []byte) blob {
	sum := sha256.Sum256(raw)
	b := blob{"sha256:" + hex.EncodeToString(sum[:]), len(raw)}
	name := "blobs/sha256/" + hex.EncodeToString(sum[:])
	l.entries[place] = name
	if !slices.ContainsFunc(l.blobs, func(m member) bool { return m.name == name }) {
		l.blobs = append(l.blobs, member{name: name, data: raw})
	}
	return b
}

func (l *layout) desc(place, mediaType string, b blob, more string) string {
	if more != "" {
		more = "," + more
	}
	return l.text(place, fmt.Sprintf(`{"mediaType":"%s","digest":"%s","size":%d%s}`, mediaType, b.digest, b.size, more))
}

// members lists the entries as tools write them: oci-layout, index.json, blobs by name.
func (l *layout) members() []member {
	rank := map[string]int{"oci-layout": -2, "index.json": -1}
	return slices.SortedFunc(slices.Values(l.blobs), func(a, b member) int {
		if d := rank[a.name] - rank[b.name]; d != 0 {
			return d
		}
		return strings.Compare(a.name, b.name)
	})
}

// entry returns the position among members of the blob or document of a place.
func (l *layout) entry(place string) int {
	name, ok := l.entries[place]
	if !ok {
		panic("no entry of " + place)
	}
	return slices.IndexFunc(l.members(), func(m member) bool { return m.name == name })
}

// places lists all that has an entry, sorted.
func (l *layout) places() []string { return slices.Sorted(maps.Keys(l.entries)) }

func gzipped(s string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	fmt.Fprint(w, strings.Repeat(s+"\n", 40))
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func sha512hex(raw []byte) string { return fmt.Sprintf("%x", sha512.Sum512(raw)) }

// swap replaces text that must be there, once.
func swap(old, with string) edit {
	return func(s string) string {
		if !strings.Contains(s, old) {
			panic(fmt.Sprintf("%q is not in %q", old, s))
		}
		return strings.Replace(s, old, with, 1)
	}
}

// first puts members in front of those of an object, last behind them.
func first(text string) edit { return func(s string) string { return "{" + text + "," + s[1:] } }
func last(text string) edit {
	return func(s string) string { return s[:len(s)-1] + "," + text + "}" }
}
func before(text string) edit { return func(s string) string { return text + s } }
func behind(text string) edit { return func(s string) string { return s + text } }
func whole(text string) edit  { return func(string) string { return text } }

// value replaces the value of the first key of that name, a text without spaces, by a JSON text.
func value(key, json string) edit {
	return func(s string) string {
		at := strings.Index(s, `"`+key+`":`)
		if at < 0 {
			panic(fmt.Sprintf("no %s in %q", key, s))
		}
		at += len(key) + 3
		return s[:at] + json + s[at+span(s[at:]):]
	}
}

// without drops the first member of that key.
func without(key string) edit {
	return func(s string) string {
		at := strings.Index(s, `"`+key+`":`)
		if at < 0 {
			panic(fmt.Sprintf("no %s in %q", key, s))
		}
		end := at + len(key) + 3
		end += span(s[end:])
		if s[end] == ',' {
			return s[:at] + s[end+1:]
		}
		return strings.TrimSuffix(s[:at], ",") + s[end:]
	}
}

// span is the length of the JSON value at the beginning of s.
func span(s string) int {
	depth, quoted := 0, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
		case depth == 0 && (c == ',' || c == '}' || c == ']'):
			return i
		case c == '}', c == ']':
			depth--
		}
	}
	return len(s)
}
