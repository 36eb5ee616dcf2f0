package repodata_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
)

// spaced makes the white space of attributes one: references to it stay what they are for
// the one reader, and become spaces for the other.
var spaced = strings.NewReplacer("\n", " ", "\t", " ", "\r", " ")

// normal is what can be compared of packages with odd white space in them.
func normal(list []flat) []flat {
	for i := range list {
		f := &list[i]
		for _, s := range []*string{&f.NEVRA, &f.Location, &f.Base, &f.SourceRPM} {
			*s = spaced.Replace(*s)
		}
		for _, deps := range f.Deps {
			for k := range deps {
				deps[k] = spaced.Replace(deps[k])
			}
		}
	}
	return list
}

var ourNamespace = regexp.MustCompile(`xmlns(:[a-z]+)?="http://linux\.duke\.edu/metadata/`)

// oursOnly tells documents without other namespaces, which only one of the readers minds.
func oursOnly(data []byte) bool {
	return bytes.Count(data, []byte("xmlns")) == len(ourNamespace.FindAll(data, -1))
}

// FuzzParsePrimary compares with encoding/xml where both accept a document, and sees to it that the
// catalog survives being encoded.
func FuzzParsePrimary(f *testing.F) {
	for _, text := range []string{rich, smallPrimary, primaryOf(minimal("<format><file>/etc/a</file></format>"), minimal(""))} {
		f.Add([]byte(text))
	}
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		c, err := repodata.ParsePrimary(bytes.NewReader(data))
		if (c == nil) == (err == nil) {
			t.Fatalf("ParsePrimary() = %v, %v", c, err)
		}
		if err != nil {
			return
		}
		got := flatten(c)
		var encoded bytes.Buffer
		if err := c.Encode(&encoded); err != nil {
			t.Fatal(err)
		}
		again, err := catalog.Decode(&encoded)
		if err != nil {
			t.Fatal(err)
		}
		if diff := compare(got, flatten(again)); diff != "" {
			t.Errorf("encoded and decoded: %s", diff)
		}
		list, err := decodeOracle(bytes.NewReader(data))
		if err != nil || !oursOnly(data) {
			return
		}
		if diff := compare(normal(list.flat()), normal(got)); diff != "" {
			t.Errorf("against encoding/xml: %s", diff)
		}
	})
}

func FuzzParseRepomd(f *testing.F) {
	f.Add([]byte(wholeRepomd))
	f.Add(repomdOf("sha256", sha256Zero, "repodata/p.xml"))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		m, err := repodata.ParseRepomd(bytes.NewReader(data))
		if (m == nil) == (err == nil) {
			t.Fatalf("ParseRepomd() = %v, %v", m, err)
		}
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, d := range m.Data {
			if d.Type == "" || seen[d.Type] || !fs.ValidPath(d.Location) || d.Checksum.Digest().Validate() != nil && d.Checksum.Type[:3] == "sha" && len(d.Checksum.Value) >= 64 && d.Checksum.Type != "sha224" || d.Size < 0 || d.OpenSize < 0 || d.Timestamp < 0 {
				t.Errorf("%+v", d)
			}
			seen[d.Type] = true
		}
		if m.Age() < 0 {
			t.Errorf("Age() = %d", m.Age())
		}
	})
}

func FuzzParseFilelists(f *testing.F) {
	f.Add([]byte(smallFilelists))
	wanted := map[string]bool{"/usr/share/a": true, "/usr/bin/a&b": true}
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		owners, err := repodata.ParseFilelists(bytes.NewReader(data), wanted)
		if (owners == nil) == (err == nil) {
			t.Fatalf("ParseFilelists() = %v, %v", owners, err)
		}
		for path, ids := range owners {
			if !wanted[path] || len(ids) == 0 {
				t.Errorf("%q: %q", path, ids)
			}
		}
	})
}

func FuzzParseModules(f *testing.F) {
	f.Add([]byte(strings.Join(moduleDocuments, "")))
	for _, d := range moduleDocuments {
		f.Add([]byte(d))
	}
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		m, err := repodata.ParseModules(bytes.NewReader(data))
		if (m == nil) == (err == nil) {
			t.Fatalf("ParseModules() = %v, %v", m, err)
		}
		if err != nil {
			return
		}
		for _, s := range m.Streams {
			again, err := repodata.ParseModules(bytes.NewReader(s.Raw))
			if s.Name == "" || s.Stream == "" || !bytes.Contains(data, s.Raw) || err != nil || !reflect.DeepEqual(again.Streams, []catalog.Module{s}) {
				t.Errorf("%q alone: %+v, %v; want %+v", s.Raw, again, err, s)
			}
		}
	})
}

func FuzzParseComps(f *testing.F) {
	f.Add([]byte(compsHead + compsGroup + compsEnvironment + "</comps>"))
	fuzztest.Run(f, func(t *testing.T, data []byte) {
		c, err := repodata.ParseComps(bytes.NewReader(data))
		if (c == nil) == (err == nil) {
			t.Fatalf("ParseComps() = %v, %v", c, err)
		}
		if err != nil || bytes.Contains(data, []byte("xmlns")) || bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
			return
		}
		for _, g := range c.Groups {
			again, err := repodata.ParseComps(strings.NewReader("<comps>" + string(g.Raw) + "</comps>"))
			if err != nil || g.ID == "" || fmt.Sprint(again.Groups) != fmt.Sprint([]catalog.Group{g}) {
				t.Errorf("%q alone: %+v, %v", g.Raw, again, err)
			}
		}
	})
}
