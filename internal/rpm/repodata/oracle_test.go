package repodata_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/rpm"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/createrepo"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

// The oracle reads primary lists by encoding/xml. Elements are lists, of which the last one
// counts where one is meant.
type oracleList struct {
	XMLName  xml.Name        `xml:"metadata"`
	Packages []oraclePackage `xml:"package"`
}

type oraclePackage struct {
	Name     []string        `xml:"name"`
	Arch     []string        `xml:"arch"`
	Version  []oracleElement `xml:"version"`
	Checksum []oracleElement `xml:"checksum"`
	Location []oracleElement `xml:"location"`
	Size     []oracleElement `xml:"size"`
	Format   []struct {
		SourceRPM   []string         `xml:"sourcerpm"`
		HeaderRange []oracleElement  `xml:"header-range"`
		Provides    []oracleRelation `xml:"provides"`
		Requires    []oracleRelation `xml:"requires"`
		Conflicts   []oracleRelation `xml:"conflicts"`
		Obsoletes   []oracleRelation `xml:"obsoletes"`
		Recommends  []oracleRelation `xml:"recommends"`
		Suggests    []oracleRelation `xml:"suggests"`
		Supplements []oracleRelation `xml:"supplements"`
		Enhances    []oracleRelation `xml:"enhances"`
		Files       []string         `xml:"file"`
	} `xml:"format"`
}

type oracleRelation struct {
	Entries []oracleElement `xml:"entry"`
}

type oracleElement struct {
	Attrs []xml.Attr `xml:",any,attr"`
	Text  string     `xml:",chardata"`
}

const xmlNamespace = "http://www.w3.org/XML/1998/namespace"

func (e oracleElement) get(space, name string) string {
	for _, a := range e.Attrs {
		if a.Name.Space == space && a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func last[T any](list []T) (out T) {
	if len(list) > 0 {
		out = list[len(list)-1]
	}
	return out
}

// A flat package is what both readers have to agree on.
type flat struct {
	NEVRA, Location, Base, Checksum, SourceRPM string
	Size, HeaderStart, HeaderEnd               int64
	Deps                                       [8][]string
	Files                                      []string
}

// decodeOracle reads a whole document, and refuses another one behind it.
func decodeOracle(r io.Reader) (*oracleList, error) {
	d := xml.NewDecoder(r)
	var list oracleList
	if err := d.Decode(&list); err != nil {
		return nil, err
	}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return &list, nil
		}
		if err != nil {
			return nil, err
		}
		if _, ok := token.(xml.StartElement); ok {
			return nil, errors.New("an element behind the end")
		}
	}
}

func (l *oracleList) flat() []flat {
	var out []flat
	for _, p := range l.Packages {
		v, sum, where := last(p.Version), last(p.Checksum), last(p.Location)
		kind := sum.get("", "type")
		if kind == "sha" {
			kind = "sha1"
		}
		f := flat{
			NEVRA: strings.TrimSpace(last(p.Name)) + "-" +
				catalog.EVR(v.get("", "epoch"), v.get("", "ver"), v.get("", "rel")) + "." + strings.TrimSpace(last(p.Arch)),
			Location: where.get("", "href"), Base: where.get(xmlNamespace, "base"),
			Checksum: kind + ":" + strings.ToLower(strings.TrimSpace(sum.Text)),
		}
		f.Size, _ = strconv.ParseInt(last(p.Size).get("", "package"), 10, 64)
		for _, o := range p.Format {
			if len(o.SourceRPM) > 0 {
				f.SourceRPM = strings.TrimSpace(last(o.SourceRPM))
			}
			if len(o.HeaderRange) > 0 {
				r := last(o.HeaderRange)
				from, err1 := strconv.ParseUint(r.get("", "start"), 10, 63)
				to, err2 := strconv.ParseUint(r.get("", "end"), 10, 63)
				if f.HeaderStart, f.HeaderEnd = int64(from), int64(to); err1 != nil || err2 != nil || to < from {
					f.HeaderStart, f.HeaderEnd = 0, 0
				}
			}
			for i, list := range [][]oracleRelation{o.Provides, o.Requires, o.Conflicts, o.Obsoletes, o.Recommends, o.Suggests, o.Supplements, o.Enhances} {
				for _, r := range list {
					for _, e := range r.Entries {
						f.Deps[i] = append(f.Deps[i], e.dependency())
					}
				}
			}
			for _, path := range o.Files {
				if path != "" {
					f.Files = append(f.Files, path)
				}
			}
		}
		out = append(out, f)
	}
	return out
}

func (e oracleElement) dependency() string {
	name := e.get("", "name")
	if kind := e.get("", "kind"); kind != "" && kind != "package" {
		name = kind + ":" + name
	}
	evr := catalog.EVR(e.get("", "epoch"), e.get("", "ver"), e.get("", "rel"))
	sign := map[string]string{"LT": "<", "LE": "<=", "EQ": "=", "GE": ">=", "GT": ">", "NE": "<>"}[e.get("", "flags")]
	if sign == "" || evr == "" {
		return name
	}
	return name + " " + sign + " " + evr
}

func flatten(c *catalog.Catalog) []flat {
	var out []flat
	for i := range c.Packages {
		p := &c.Packages[i]
		f := flat{
			NEVRA: c.NEVRA(p), Location: p.Location, Base: c.Text(p.Base), Checksum: p.Checksum, SourceRPM: c.Text(p.SourceRPM),
			Size: p.Size, HeaderStart: p.HeaderStart, HeaderEnd: p.HeaderEnd,
		}
		for at, s := range []catalog.Span{p.Provides, p.Requires, p.Conflicts, p.Obsoletes, p.Recommends, p.Suggests, p.Supplements, p.Enhances} {
			for _, d := range c.List(s) {
				f.Deps[at] = append(f.Deps[at], c.String(c.Deps[d]))
			}
		}
		for _, file := range c.Files[p.Files.Start:p.Files.End] {
			f.Files = append(f.Files, c.Path(file))
		}
		out = append(out, f)
	}
	return out
}

// compare returns where the two readers differ.
func compare(want, got []flat) string {
	if len(want) != len(got) {
		return fmt.Sprintf("%d packages, want %d", len(got), len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(want[i], got[i]) {
			return fmt.Sprintf("package %d (-want +got):\n%s", i, gocmp.Diff(want[i], got[i]))
		}
	}
	return ""
}

// unzipped returns a file of the test data as it is in the packing.
func unzipped(tb testing.TB, path string) []byte {
	tb.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	if !bytes.HasPrefix(data, []byte{0x1f, 0x8b}) {
		return data
	}
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		tb.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		tb.Fatal(err)
	}
	return plain
}

// realPrimaries are the primary lists of the test data.
func realPrimaries(tb testing.TB) []string {
	tb.Helper()
	var paths []string
	err := filepath.WalkDir(rpmtest.Testdata(tb, "rpm"), func(path string, d fs.DirEntry, err error) error {
		if name := d.Name(); err == nil && (strings.HasSuffix(name, "primary.xml.gz") || strings.HasSuffix(name, "primary.xml")) {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return paths
}

// TestParsePrimaryAgainstOracle: every real primary list, read by both readers. Those in which
// something that a catalog needs is missing are refused by one only.
func TestParsePrimaryAgainstOracle(t *testing.T) {
	all := 0
	for _, path := range realPrimaries(t) {
		data := unzipped(t, path)
		list, err := decodeOracle(bytes.NewReader(data))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		want := list.flat()
		c, err := repodata.ParsePrimary(bytes.NewReader(data))
		if broken := strings.Contains(path, "error_00"); broken != (err != nil) {
			t.Errorf("%s: %v", path, err)
		} else if diff := ""; !broken {
			if diff = compare(want, flatten(c)); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
			all += len(want)
		}
	}
	if all < 20_000 {
		t.Errorf("%d packages compared, want those of two distributions", all)
	}
}

// TestParsePrimaryOfWrite: the same over what createrepo writes.
func TestParsePrimaryOfWrite(t *testing.T) {
	data := writtenPrimary(t, 300)
	list, err := decodeOracle(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c, err := repodata.ParsePrimary(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if diff := compare(list.flat(), flatten(c)); diff != "" || len(c.Packages) != 300 {
		t.Errorf("%d packages, %s", len(c.Packages), diff)
	}
}

// written is a repository of n packages with dependencies of all kinds, as createrepo
// writes it.
func written(tb testing.TB, n int) site {
	tb.Helper()
	spec := rpmtest.Spec{
		Name: "full", Epoch: 7, Version: "2.02.187", Arch: "aarch64", Summary: `Quotes "and" <angles> & 'more'`, Description: "One,\ntwo,\n\tthree\r\nfour.",
		Provides:  []string{"virtual = 1:2.0-3", "unversioned", "range >= 4"},
		Requires:  []string{"a", "b >= 1:2.0-3", "(c or d)", "e < 5", "f > 6-1"},
		Conflicts: []string{"g < 1", "h"}, Obsoletes: []string{"i <= 2"}, Recommends: []string{"j", "k = 1"}, Suggests: []string{"l > 3"},
	}
	for i := range 20 {
		spec.Files = append(spec.Files, rpmtest.File{Path: fmt.Sprintf("/usr/bin/full-%d", i)})
	}
	raw := rpmtest.Build(tb, spec)
	one, err := rpm.Read(bytes.NewReader(raw))
	if err != nil {
		tb.Fatal(err)
	}
	entries := make([]createrepo.Entry, n)
	for i := range entries {
		p := *one
		p.Name = fmt.Sprintf("package-%05d", i)
		entries[i] = createrepo.Entry{Package: &p, Location: "Packages/" + p.FileName(), Digest: digest.FromString(p.Name), Size: int64(len(raw))}
	}
	set, err := createrepo.Write(entries, createrepo.Slices{})
	if err != nil {
		tb.Fatal(err)
	}
	s := site{rpm.RepomdPath: set.Repomd}
	maps.Copy(s, set.Files)
	return s
}

// writtenPrimary is the primary list of written, unpacked.
func writtenPrimary(tb testing.TB, n int) []byte {
	tb.Helper()
	for path, data := range written(tb, n) {
		if strings.HasSuffix(path, "primary.xml.gz") {
			return rpmtest.Gunzip(tb, data)
		}
	}
	tb.Fatal("no primary list")
	return nil
}

// BenchmarkPrimary measures ParsePrimary beside encoding/xml, which here does less: its packages
// stay as they are, while ParsePrimary's become a catalog.
func BenchmarkPrimary(b *testing.B) {
	lists := map[string]func(*testing.B) []byte{
		"generated": func(b *testing.B) []byte { return writtenPrimary(b, 2000) },
		"cs9-appstream": func(b *testing.B) []byte {
			paths, _ := filepath.Glob(filepath.Join(rpmtest.Testdata(b, "rpm", "cs9-appstream"), "repodata", "*primary.xml.gz"))
			return unzipped(b, paths[0])
		},
	}
	for name, load := range lists {
		b.Run(name, func(b *testing.B) {
			data := load(b)
			b.Run("xmlscan", func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := repodata.ParsePrimary(bytes.NewReader(data)); err != nil {
						b.Fatal(err)
					}
				}
			})
			b.Run("encoding-xml", func(b *testing.B) {
				b.SetBytes(int64(len(data)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := decodeOracle(bytes.NewReader(data)); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
