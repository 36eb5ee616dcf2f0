package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/internal/fuzztest"
)

// entry is a descriptor with more members behind it.
func entry(more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1%s}`, ocispec.MediaTypeImageManifest, sum("x"), more)
}

func indexOf(entries ...string) string {
	return `{"schemaVersion":2,"manifests":[` + strings.Join(entries, ",") + `]}`
}

// What only strict reading finds (rows A23, A24, A29, A30, A32 of the fault matrix), at
// every level where the structure is known.
func TestUnambiguous(t *testing.T) {
	sized := func(size string) string {
		return indexOf(strings.Replace(entry(""), `"size":1`, `"size":`+size, 1))
	}
	for _, c := range []struct{ raw, want string }{
		{indexOf(), ""},
		{" \t\r\n" + indexOf(entry(`,"annotations":{"a":"b","A":"c"},"x":{"y":[null,true,false,1e2,-0.5]}`)) + "\n", ""},
		{indexOf(entry(`,"platform":{"architecture":"arm","os":"linux","variant":"v7","os.version":"1","os.features":["a"],"unknown":null}`)), ""},
		{`{"a":1,"A":2}`, ""}, // neither is known
		{`{"a":"\u00e4\ud83d\ude00\/\b\\"}`, ""},
		{`{"a":[0,-1,10,1.5E+3]}`, ""},
		{`{"config":` + entry("") + `,"config":` + entry("") + `}`, "config: is there twice"},
		{`{"schemaVersion":2,"schemaVersi\u006fn":2}`, "schemaVersion: is there twice"},
		{`{"Config":1}`, `Config: differs from "config" only by case`},
		{`{"LAYERS":1}`, `LAYERS: differs from "layers" only by case`},
		{`{"fſLayers":1}`, `fſLayers: differs from "fsLayers" only by case`}, // U+017F folds to s
		{indexOf(entry(`,"digest":"x"`)), "manifests[0].digest: is there twice"},
		{indexOf(entry(""), entry(`,"Digest":"x"`)), `manifests[1].Digest: differs from "digest" only by case`},
		{indexOf(entry(`,"platform":{"os":"linux","architecture":"amd64","Architecture":"arm64"}`)), `manifests[0].platform.Architecture: differs from "architecture" only by case`},
		{indexOf(entry(`,"platform":{"os":"linux","architecture":"amd64","os":"windows"}`)), "manifests[0].platform.os: is there twice"},
		{indexOf(entry(`,"platform":{"os":"linux"}`)), `manifests[0].platform: the member "architecture" is missing`},
		{indexOf(entry(`,"platform":null`)), "manifests[0].platform: is null, not an object"},
		{indexOf(entry(`,"annotations":{"a":"b","a":"c"}`)), "manifests[0].annotations.a: is there twice"},
		{indexOf(entry(`,"annotations":{"a":1}`)), "manifests[0].annotations.a: is a number, not a string"},
		{indexOf(entry(`,"annotations":["a"]`)), "manifests[0].annotations: is a list, not an object"},
		{indexOf(entry(`,"x":{"y":1,"y":2}`)), "manifests[0].x.y: is there twice"},
		{indexOf(entry(`,"urls":"http://x"`)), "manifests[0].urls: is a string, not a list"},
		{indexOf(entry(`,"urls":[null]`)), "manifests[0].urls[0]: is null, not a string"},
		{indexOf(entry(`,"data":"e30"`)), "manifests[0].data: is not base64"},
		{indexOf(entry(`,"data":"e3\n0="`)), "manifests[0].data: is not base64"},
		{indexOf(entry(`,"data":"e31="`)), "manifests[0].data: is not base64"}, // bits that say nothing
		{indexOf("null"), "manifests[0]: is null, not an object"},
		{indexOf(`{"mediaType":"x/y","size":1}`), `manifests[0]: the member "digest" is missing`},
		{indexOf(`{"digest":"x","size":1}`), `manifests[0]: the member "mediaType" is missing`},
		{`{"schemaVersion":2,"manifests":null}`, "manifests: is null, not a list"},
		{`{"schemaVersion":2,"manifests":{}}`, "manifests: is an object, not a list"},
		{`{"schemaVersion":2,"layers":null}`, "layers: is null, not a list"},
		{`{"schemaVersion":2,"config":null}`, "config: is null, not an object"},
		{`{"schemaVersion":2,"config":[]}`, "config: is a list, not an object"},
		{`{"schemaVersion":"2"}`, "schemaVersion: is a string, not a number"},
		{`{"schemaVersion":2.0}`, "schemaVersion: the number 2.0 is not an integer"},
		{`{"schemaVersion":true}`, "schemaVersion: is true or false, not a number"},
		{`{"mediaType":{}}`, "mediaType: is an object, not a string"},
		{sized(`"1"`), "manifests[0].size: is a string, not a number"},
		{sized(`1.5`), "manifests[0].size: the number 1.5 is not an integer"},
		{sized(`1e3`), "manifests[0].size: the number 1e3 is not an integer"},
		{sized(`-0`), "manifests[0].size: the number -0 is not an integer"},
		{sized(`4611686018427387904`), "is not an integer that every reader"},
		{sized(`9223372036854775808`), "is not an integer that every reader"},
		{sized(strings.Repeat("9", 5000)), "is not an integer that every reader"},
		{sized(`NaN`), "not JSON: "},
		{sized(`+1`), "not JSON: "},
		{sized(`01`), "not JSON: a malformed number"},
		{sized(`-`), "not JSON: a malformed number"},
		{sized(`1.`), "not JSON: a malformed number"},
		{sized(`1e`), "not JSON: a malformed number"},
		{sized(`0x10`), "not JSON: "},
		{`{"x":1e999}`, "x: the number 1e999 is out of range"},
		{`{"x":` + strings.Repeat("1", 500) + `}`, "x: a number of 500 characters"},
		{`[]`, "not a JSON object"},
		{`"x"`, "not a JSON object"},
		{``, "not JSON: it ends too early"},
		{`  `, "not JSON: it ends too early"},
		{`{"a":`, "not JSON: it ends too early"},
		{`{"a":1`, "not JSON: it ends too early"},
		{`{"a"`, "not JSON: no colon"},
		{`{"a`, "not JSON: it ends in a string"},
		{`{"a\`, "not JSON: an unknown escape"},
		{`{a:1}`, "not JSON: no member name"},
		{`{"a":1,}`, "not JSON: no member name"},
		{`{"a":[1,]}`, "not JSON: "},
		{`{"a":[1 2]}`, "not JSON: "},
		{`{"a":1 "b":2}`, "not JSON: "},
		{`{"a":nul}`, "not JSON: "},
		{`{"a":'x'}`, "not JSON: "},
		{`{"a":1}//x`, "text follows the JSON object"},
		{`{/**/"a":1}`, "not JSON: no member name"},
		{`{} {}`, "text follows the JSON object"},
		{`{}x`, "text follows the JSON object"},
		{"{}\x00", "text follows the JSON object"},
		{"\xef\xbb\xbf{}", "not JSON: it begins with a byte order mark"},
		{"\xff\xfe{\x00}\x00", "not JSON: it is in UTF-16"},
		{"\x00{\x00}", "not JSON: it is in UTF-16"},
		{"{\"a\":\"\xff\"}", "not JSON: it is not UTF-8"},
		{"{\"a\":\"\xed\xa0\x80\"}", "not JSON: it is not UTF-8"}, // a surrogate in UTF-8
		{`{"a":"\ud800"}`, "not JSON: half of a surrogate pair"},
		{`{"a":"\udc00"}`, "not JSON: half of a surrogate pair"},
		{`{"a":"\ud800\ud800"}`, "not JSON: half of a surrogate pair"},
		{`{"a":"\ud800x"}`, "not JSON: half of a surrogate pair"},
		{`{"\ud800":1}`, "not JSON: half of a surrogate pair"},
		{`{"a":"\ufffd\ufdcf\ufdf0\ufffc"}`, ""},
		{`{"a":"\uffff"}`, "a: holds a code point that is no character"},
		{"{\"a\":[\"\ufdd0\"]}", "a[0]: holds a code point that is no character"},
		{"{\"a\":\"\ufdef\"}", "a: holds a code point that is no character"},
		{"{\"a\":\"\U0001fffe\"}", "a: holds a code point that is no character"},
		{`{"a":"\udbff\udfff"}`, "a: holds a code point that is no character"},
		{`{"x\ufffe":1}`, "the name holds a code point that is no character"},
		{"{\"\U0010ffff\":1}", "the name holds a code point that is no character"},
		{indexOf(entry(`,"annotations":{"a":"\uffff"}`)), "manifests[0].annotations.a: holds a code point"},
		{`{"":1,"":2}`, `"": is there twice`},
		{`{"a":{"":1,"":2}}`, `a."": is there twice`},
		{`{"a":"\u12"}`, "not JSON: a malformed \\u escape"},
		{`{"a":"\u+123"}`, "not JSON: a malformed \\u escape"},
		{`{"a":"\x"}`, "not JSON: an unknown escape"},
		{"{\"a\":\"\n\"}", "not JSON: a control character"},
		{`{"a":` + strings.Repeat("[", 100_000), "not JSON: nested deeper than 64"},
		{`{"a":` + strings.Repeat(`{"a":`, 100_000), "not JSON: nested deeper than 64"},
	} {
		err := Unambiguous([]byte(c.raw))
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s: got %v, want %s", c.raw, err, c.want)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%.200s: an error of %d bytes", c.raw, len(err.Error()))
		}
	}
}

// An error says in what it stands, before the first member as well.
func TestUnambiguousPlaces(t *testing.T) {
	for raw, want := range map[string]string{
		`{x`:               "not JSON: no member name, at byte 1",
		`{"a":{x`:          "not JSON: no member name, at byte 6 in a",
		`{"a":[{x`:         "not JSON: no member name, at byte 7 in a[0]",
		`{"a":[1,{"b":2,x`: "not JSON: no member name, at byte 15 in a[1].b",
	} {
		if err := Unambiguous([]byte(raw)); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", raw, err, want)
		}
	}
}

// One run tells everything that is wrong with a document, and never more than can be read.
func TestUnambiguousTellsAll(t *testing.T) {
	err := Unambiguous([]byte(`{"schemaVersion":"2","Layers":[],"manifests":[null,{"mediaType":1,"digest":"x","size":-0}]}`))
	want := []string{"schemaVersion: is a string", "Layers: differs", "manifests[0]: is null", "manifests[1].mediaType: is a number", "manifests[1].size: the number -0"}
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("%q is not told: %v", w, err)
		}
	}
	if n := strings.Count(err.Error(), "\n") + 1; n != len(want) {
		t.Errorf("%d problems, want %d: %v", n, len(want), err)
	}
	err = Unambiguous([]byte(indexOf(slices.Repeat([]string{"null"}, 5000)...)))
	if n := strings.Count(err.Error(), "\n") + 1; n != maxJSONProblems+1 {
		t.Errorf("%d lines for 5000 problems", n)
	}
}

// Names of members come into errors, and must not drive a terminal or fill it.
func TestPlaceIsShown(t *testing.T) {
	for key, want := range map[string]string{
		`\u001b[2J`:              `"\x1b[2J": is there twice`,
		`a.b`:                    `"a.b": is there twice`,
		strings.Repeat("x", 500): `"` + strings.Repeat("x", 60) + `...": is there twice`,
	} {
		err := Unambiguous([]byte(`{"` + key + `":1,"` + key + `":2}`))
		if err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestParsePlatform(t *testing.T) {
	for _, c := range []struct{ raw, want, err string }{
		{`{"architecture":"amd64","os":"linux","config":{"Cmd":null,"Entrypoint":["a"],"Labels":null},"rootfs":{"type":"layers","diff_ids":["x"]},"history":[{"created_by":"x","empty_layer":true}]}`, "linux/amd64", ""},
		{`{"architecture":"arm64","os":"linux","variant":"v8","created":null,"history":null}`, "linux/arm64", ""},
		{`{"name":"chart","version":"1","Annotations":{"a":1}}`, "", ""},
		{`{}`, "", ""},
		{`{"architecture":"amd64","os":"linux","os":"windows"}`, "", "os: is there twice"},
		{`{"architecture":"amd64","Architecture":"arm64","os":"linux"}`, "", "only by case"},
		{`{"architecture":"amd64","os":"linux","config":{"Cmd":["a"],"cmd":["b"]}}`, "", `config.cmd: differs from "Cmd" only by case`},
		{`{"architecture":"amd64","os":"linux","rootfs":{"Diff_IDs":[]}}`, "", "only by case"},
		{`{"architecture":"amd64","os":"linux","history":[{"Created_by":""}]}`, "", "only by case"},
		{`{"architecture":null,"os":"linux"}`, "", "architecture: is null"},
		{`{"architecture":["amd64"],"os":"linux"}`, "", "architecture: is a list"},
		{`{"os.features":7}`, "", "image config"},
		{`[]`, "", "not a JSON object"},
		{`{} x`, "", "text follows"},
		{"\x1f\x8b", "", "not UTF-8"},
	} {
		got, err := ParsePlatform([]byte(c.raw))
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %q, %v; want %q, %q", c.raw, got, err, c.want, c.err)
		}
	}
}

func TestCheckLayoutFile(t *testing.T) {
	for raw, want := range map[string]string{
		`{"imageLayoutVersion":"1.0.0"}`:                               "",
		` {"imageLayoutVersion": "1.0.0", "x": 1}` + "\n":              "",
		`{"imageLayoutVersion":"1.1.0"}`:                               "a newer tool is needed",
		`{"imageLayoutVersion":""}`:                                    "a newer tool is needed",
		`{"imageLayoutVersion":1}`:                                     "imageLayoutVersion: is a number",
		`{"imageLayoutVersion":null}`:                                  "imageLayoutVersion: is null",
		`{"imagelayoutversion":"1.0.0"}`:                               "only by case",
		`{"imageLayoutVersion":"2","imageLayoutVersion":"1.0.0"}`:      "is there twice",
		`{"imageLayoutVersion":"1.0.0"}{"imageLayoutVersion":"1.0.0"}`: "text follows",
		`{}`: `"imageLayoutVersion" is missing`, `[]`: "not a JSON object", ``: "ends too early", `1.0.0`: "not a JSON object",
	} {
		err := CheckLayoutFile([]byte(raw))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", raw, err, want)
		}
	}
}

func TestLooksLikeImage(t *testing.T) {
	for raw, want := range map[string]bool{
		indexOf(): true, `{"config":{},"layers":[]}`: true, `{"fsLayers":[]}`: true, `{"Manifests":[]}`: true, `{"manifests":[]} x`: true,
		`{"config":{}}`: false, `{"layers":[]}`: false, `{}`: false, `<xml/>`: false, ``: false,
	} {
		if got := LooksLikeImage([]byte(raw)); got != want {
			t.Errorf("%s: %v", raw, got)
		}
	}
}

func TestEmbeddedData(t *testing.T) {
	with := func(size int, data string) string {
		return indexOf(fmt.Sprintf(`{"mediaType":"a/m","digest":%q,"size":%d,"data":%q}`, sum("{}"), size, base64.StdEncoding.EncodeToString([]byte(data))))
	}
	for raw, ok := range map[string]bool{with(2, "{}"): true, with(2, "[]"): false, with(3, "{}"): false, with(2, ""): false, with(2, "{} "): false} {
		if _, err := ParseImage(ocispec.MediaTypeImageIndex, []byte(raw)); (err == nil) != ok {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

// Descriptors that are wrong do not hide the others, and all are told.
func TestParseImageTellsAll(t *testing.T) {
	bad := func(d string) string { return strings.Replace(entry(""), string(sum("x")), d, 1) }
	raw := indexOf(entry(""), bad("sha256:A"), bad("md5:d41d8cd98f00b204e9800998ecf8427e"), bad(""), bad("sha256:../../x"), strings.Replace(entry(""), ":1", ":-1", 1))
	n, err := ParseImage(ocispec.MediaTypeImageIndex, []byte(raw))
	if err == nil || strings.Count(err.Error(), "\n") != 4 || n == nil || len(n.Manifests) != 1 || n.Manifests[0].Digest != sum("x") {
		t.Errorf("%+v, %v", n, err)
	}
}

// hostileJSON are documents of 4 MiB that take time or memory.
func hostileJSON() map[string]string {
	fill := func(head, part, tail string) string {
		return head + strings.Repeat(part, (MaxImageJSON-len(head)-len(tail))/len(part)) + tail
	}
	names := make([]string, 0, 1<<19)
	for i := range cap(names) {
		names = append(names, fmt.Sprintf(`"%x":0`, i))
	}
	return map[string]string{
		"descriptors":   fill(`{"schemaVersion":2,"manifests":[`, entry("")+",", entry("")+"]}"),
		"null entries":  fill(`{"schemaVersion":2,"manifests":[`, "null,", "null]}"),
		"empty lists":   fill(`{"x":[`, "[],", "[]]}"),
		"members":       "{" + strings.Join(names, ",")[:MaxImageJSON-100] + "}",
		"twice":         fill(`{"x":{`, `"a":0,`, `"a":0}}`),
		"other case":    fill(`{"x":0`, `,"MANIFESTS":0`, "}"),
		"long name":     fill(`{"`, "k", `":0}`),
		"long text":     fill(`{"x":"`, "k", `"}`),
		"escapes":       fill(`{"x":"`, `\u0041`, `"}`),
		"escaped names": fill(`{"`, `\u0041`, `":0}`),
		"long number":   fill(`{"x":`, "9", "}"),
		"long size":     fill(`{"manifests":[{"size":`, "9", "}]}"),
		"spaces":        fill("{", " ", "}"),
		"deep":          fill(`{"x":`, "[", ""),
		"data":          fill(`{"config":{"data":"`, "AAAA", `"}}`),
	}
}

// patience is for what takes a fraction of it.
var patience = 4 * time.Second

// A document costs time and memory by its length, whatever is in it.
func TestHostileJSON(t *testing.T) {
	for name, raw := range hostileJSON() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		start := time.Now()
		_, err := ParseImage(ocispec.MediaTypeImageIndex, []byte(raw))
		if err != nil && len(err.Error()) > 64<<10 {
			t.Errorf("%s: an error of %d bytes", name, len(err.Error()))
		}
		_, _ = ParsePlatform([]byte(raw))
		runtime.ReadMemStats(&after)
		if took := time.Since(start); took > patience {
			t.Errorf("%s: took %v", name, took)
		}
		if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 100 {
			t.Errorf("%s: %d MiB", name, mib)
		}
	}
}

// What we take, encoding/json takes for the same; what it refuses, we refuse.
func FuzzUnambiguous(f *testing.F) {
	for _, seed := range []string{indexOf(entry(`,"platform":{"os":"a","architecture":"b"},"data":"e30=","annotations":{"a":"\ud83d\ude00"}`)), `{"a":[1,-2.5e3,true,null,{}],"b":"\u0041"}`, `{"config":{}}`, `{"A":"\ud800"}`, `{"size":1e400}`, "{\"\xff\":1}", `{"a":1}{}`} {
		f.Add([]byte(seed))
	}
	fuzztest.Run(f, func(t *testing.T, raw []byte) {
		err := Unambiguous(raw)
		_, _ = ParsePlatform(raw)
		_ = CheckLayoutFile(raw)
		LooksLikeImage(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatal("taken, and not JSON")
		}
		var members map[string]json.RawMessage
		var j imageJSON
		if json.Unmarshal(raw, &members) != nil || json.Unmarshal(raw, &j) != nil {
			t.Fatal("taken, and not of its shape")
		}
		for _, name := range slices.Collect(maps.Keys(imageShape.members)) {
			for key := range members {
				if key != name && strings.EqualFold(key, name) {
					t.Fatalf("%q beside %q", key, name)
				}
			}
		}
		var again bytes.Buffer
		if json.Compact(&again, raw) != nil || Unambiguous(again.Bytes()) != nil {
			t.Fatal("not taken without white space")
		}
	})
}

func BenchmarkUnambiguous(b *testing.B) {
	for _, name := range []string{"descriptors", "escapes", "members", "empty lists"} {
		raw := []byte(hostileJSON()[name])
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				_ = Unambiguous(raw)
			}
		})
	}
}
