package repodata_test

import (
	"bytes"
	"compress/gzip"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"airbundle/internal/fuzztest"
	"airbundle/internal/rpm/catalog"
	"airbundle/internal/rpm/repodata"
	"airbundle/internal/rpmtest"
)

func parseComps(t testing.TB, text string) *catalog.Comps {
	t.Helper()
	c, err := repodata.ParseComps(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func group(id string, packages ...string) string {
	out := "<group>\n    <id>" + id + "</id>\n    <name>" + id + " &amp; more</name>\n    <name xml:lang=\"de\">Gruppe</name>\n    <packagelist>\n"
	for _, p := range packages {
		out += "      " + req(p) + "\n"
	}
	return out + "    </packagelist>\n  </group>"
}

func req(p string) string {
	name, attrs, _ := strings.Cut(p, " ")
	return strings.TrimSuffix("<packagereq "+attrs, " ") + ">" + name + "</packagereq>"
}

func environment(id string, groups, options []string) string {
	list := func(name string, ids []string) string {
		out := "    <" + name + ">\n"
		for _, g := range ids {
			out += "      <groupid>" + g + "</groupid>\n"
		}
		return out + "    </" + name + ">\n"
	}
	return "<environment>\n    <id>" + id + "</id>\n" + list("grouplist", groups) + list("optionlist", options) + "  </environment>"
}

func compsOf(elements ...string) string {
	out := "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<comps>\n"
	for _, e := range elements {
		out += "  " + e + "\n"
	}
	return out + "</comps>\n"
}

func TestSliceComps(t *testing.T) {
	const cond = `c type="conditional" requires="x"`
	one := parseComps(t, compsOf(
		group("core", `a type="mandatory"`, "b", cond), group("none", "z"), group("tools", "b"),
		"<category><id>x</id><grouplist><groupid>core</groupid></grouplist></category>",
		environment("server", []string{"core", "none"}, []string{"tools"}), environment("empty", []string{"none"}, nil)))
	two := parseComps(t, compsOf(group("core", "b", "d", "e"), group("new", "a"), environment("server", []string{"core", "new"}, nil)))
	for _, tt := range []struct {
		name  string
		comps []*catalog.Comps
		names []string
		want  string
	}{
		{"all", []*catalog.Comps{one}, []string{"a", "b", "c", "z"}, compsOf(
			group("core", `a type="mandatory"`, "b", cond), group("none", "z"), group("tools", "b"),
			environment("server", []string{"core", "none"}, []string{"tools"}), environment("empty", []string{"none"}, nil))},
		{"some", []*catalog.Comps{one}, []string{"c"}, compsOf(
			group("core", cond), environment("server", []string{"core"}, nil))},
		{"a group that is an option", []*catalog.Comps{parseComps(t, compsOf(group("tools", "b"), environment("e", []string{"no"}, []string{"tools", "nor"})))}, []string{"b"},
			compsOf(group("tools", "b"), environment("e", nil, []string{"tools"}))},
		{"two repositories", []*catalog.Comps{one, two}, []string{"a", "b", "d"}, compsOf(
			strings.Replace(group("core", `a type="mandatory"`, "b"), "\n    </packagelist>", "\n    "+req("d")+"\n</packagelist>", 1), group("tools", "b"), group("new", "a"),
			strings.Replace(environment("server", []string{"core"}, []string{"tools"}), "\n    </grouplist>", "\n    <groupid>new</groupid>\n</grouplist>", 1))},
		{"the first has nothing", []*catalog.Comps{one, two}, []string{"e"}, compsOf(group("core", "e"), environment("server", []string{"core"}, nil))},
		{"nothing", []*catalog.Comps{one, two}, []string{"q"}, ""},
		{"no repository", nil, []string{"a"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := repodata.SliceComps(tt.comps, tt.names)
			if diff := cmp.Diff(tt.want, string(out)); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			if tt.want == "" {
				if out != nil {
					t.Errorf("%d bytes of nothing", len(out))
				}
				return
			}
			if err := repodata.CheckSlice("comps", bytes.NewReader(out)); err != nil {
				t.Error(err)
			}
			again := parseComps(t, string(out))
			if !bytes.Equal(out, repodata.SliceComps([]*catalog.Comps{again}, tt.names)) {
				t.Error("a slice of the slice is another one")
			}
		})
	}
}

func update(id string, collections ...string) string {
	return "<update type=\"security\">\n    <id>" + id + "</id>\n    <description>a &lt; b <!-- no --> <![CDATA[<package>]]></description>\n    <pkglist>\n" +
		strings.Join(collections, "") + "    </pkglist>\n  </update>"
}

func collection(packages ...string) string {
	out := "      <collection short=\"c\">\n        <name>c</name>\n        <module name=\"m\" stream=\"1\"/>\n"
	for _, p := range packages {
		out += "        " + p + "\n"
	}
	return out + "      </collection>\n"
}

func updatesOf(updates ...string) string {
	return strings.ReplaceAll(compsOf(updates...), "comps>", "updates>")
}

const (
	pkgA      = `<package name="a" version="1" release="2" epoch="0" arch="x86_64" src="a-1-2.src.rpm"><filename>a-1-2.x86_64.rpm</filename></package>`
	pkgANone  = `<package name="a" version="1" release="3" arch="x86_64"/>`
	pkgBEpoch = `<package name="b" version="1" release="2" epoch="7" arch="noarch"><filename>b-1-2.noarch.rpm</filename></package>`
)

func TestSliceUpdateinfo(t *testing.T) {
	all := updatesOf(update("ONE", collection(pkgA, pkgBEpoch), collection(pkgANone)), update("TWO", collection(pkgBEpoch)), update("NONE"), "<other/>")
	for _, tt := range []struct {
		name   string
		docs   []string
		nevras []string
		want   string
	}{
		{"all", []string{all}, []string{"a-1-2.x86_64", "a-0:1-3.x86_64", "b-7:1-2.noarch"},
			updatesOf(update("ONE", collection(pkgA, pkgBEpoch), collection(pkgANone)), update("TWO", collection(pkgBEpoch)))},
		{"epoch 0", []string{all}, []string{"a-0:1-2.x86_64", "b-1-2.noarch"}, updatesOf(update("ONE", collection(pkgA)))},
		{"no epoch", []string{all}, []string{"a-1-3.x86_64"}, updatesOf(update("ONE", collection(pkgANone)))},
		{"two documents", []string{all, updatesOf(update("THREE", collection(pkgBEpoch)), update("TWO", collection(pkgBEpoch)))}, []string{"b-7:1-2.noarch"},
			updatesOf(update("ONE", collection(pkgBEpoch)), update("TWO", collection(pkgBEpoch)), update("THREE", collection(pkgBEpoch)))},
		{"another arch", []string{all}, []string{"a-1-2.aarch64"}, ""},
		{"nothing", []string{updatesOf(), updatesOf()}, []string{"a-1-2.x86_64"}, ""},
		{"no document", nil, []string{"a-1-2.x86_64"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, wrap := range []func(io.Reader) io.Reader{gzipped, iotest.OneByteReader, iotest.DataErrReader} {
				var docs []io.Reader
				for _, d := range tt.docs {
					docs = append(docs, wrap(strings.NewReader(d)))
				}
				out, err := repodata.SliceUpdateinfo(docs, tt.nevras)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(strings.ReplaceAll(tt.want, "    <pkglist>", "    <pkglist>"), string(out)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if out == nil {
					continue
				}
				if err := repodata.CheckSlice("updateinfo", bytes.NewReader(out)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// gzipped is content as repositories serve it.
func gzipped(r io.Reader) io.Reader {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = io.Copy(w, r)
	_ = w.Close()
	return &out
}

func TestSliceUpdateinfoRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"empty":           {"", `no whole element "updates"`},
		"another root":    {"<comps/>", `root element "comps"`},
		"cut":             {"<updates><update>", "unexpected EOF"},
		"cut between":     {"<updates><update/>", "unexpected EOF"},
		"crossed":         {"<updates><update></updates></update>", "line 1"},
		"two roots":       {"<updates/><updates/>", "root element"},
		"deep":            {"<updates><update>" + strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100) + "</update></updates>", "in one another"},
		"deep, not asked": {"<updates>" + strings.Repeat("<a>", 1<<20), "in one another"},
		"many":            {"<updates><update>" + strings.Repeat("<a/>", 200_000) + "</update></updates>", "elements in one"},
		"long":            {"<updates><update>" + strings.Repeat("a", 9<<20) + "</update></updates>", "an element of more than"},
		"long, not asked": {"<updates><x a='" + strings.Repeat("a", 9<<20) + "'/></updates>", "an element of more than"},
		"entities":        {`<!DOCTYPE updates [<!ENTITY a "aaaa">]><updates><update>&a;</update></updates>`, "declares entities"},
		"unknown entity":  {`<updates><update>&a;</update></updates>`, "line 1"},
		"no UTF-8":        {"<updates><update>\xff</update></updates>", "line 1"},
	} {
		out, err := repodata.SliceUpdateinfo([]io.Reader{strings.NewReader(updatesOf()), strings.NewReader(tt.text)}, []string{"a-1-2.x86_64"})
		if _, ok := errors.AsType[*repodata.MalformedError](err); !ok || out != nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "document 2 of 2") {
			t.Errorf("%s: %.300v; want %q", name, err, tt.want)
		}
	}
	broken := errors.New("the line went dead")
	_, err := repodata.SliceUpdateinfo([]io.Reader{io.MultiReader(strings.NewReader("<updates>"), iotest.ErrReader(broken))}, nil)
	if _, malformed := errors.AsType[*repodata.MalformedError](err); malformed || !errors.Is(err, broken) {
		t.Errorf("a source that breaks: %v", err)
	}
}

// TestSliceRealUpdateinfo slices those of other projects by each package that they name.
func TestSliceRealUpdateinfo(t *testing.T) {
	for name, want := range map[string]int{
		"opensuse-11.0-update/repodata/updateinfo.xml.gz":           20,
		"createrepo_c/updateinfo_files/updateinfo_03.xml":           1,
		"createrepo_c/updateinfo_files/updateinfo_01.xml":           1,
		"createrepo_c/modified_repo_files/updateinfo_ampersand.xml": 0,
	} {
		path := rpmtest.Testdata(t, "rpm", "repodata-samples", filepath.FromSlash(name))
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		text := raw
		if strings.HasSuffix(name, ".gz") {
			text = rpmtest.Gunzip(t, raw)
		}
		doc := rpmtest.ParseXML(t, text)
		var nevras []string
		doc.Each("package", func(e rpmtest.Element) {
			nevras = append(nevras, e.Attr("name")+"-"+strings.TrimPrefix(e.Attr("epoch")+":", ":")+e.Attr("version")+"-"+e.Attr("release")+"."+e.Attr("arch"))
		})
		out, err := repodata.SliceUpdateinfo([]io.Reader{bytes.NewReader(raw)}, nevras)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if out == nil {
			if want > 0 {
				t.Errorf("%s: nothing", name)
			}
			continue
		}
		kept := 0
		rpmtest.ParseXML(t, out).Each("package", func(rpmtest.Element) { kept++ })
		if kept != len(nevras) || kept < want {
			t.Errorf("%s: %d of %d packages", name, kept, len(nevras))
		}
	}
}

func TestCheckSlice(t *testing.T) {
	modules := rpmtest.Module("web", "1", "x86_64", "web-0:1-1.x86_64")
	for _, tt := range []struct{ kind, text, want string }{
		{"modules", modules, ""},
		{"comps", rpmtest.Comps, ""},
		{"comps", `<!DOCTYPE comps PUBLIC "-//Red Hat, Inc.//DTD Comps info//EN" "comps.dtd"><comps/>`, ""},
		{"updateinfo", rpmtest.Updateinfo, ""},
		{"modules", rpmtest.Comps, "document in line 1"},
		{"modules", "a: [", "document in line 1"},
		{"modules", "", "no document about a module"},
		{"modules", "document: module\nversion: 1\n", "no document about a module"},
		{"comps", modules, "text outside of the root element"},
		{"comps", " \n", `no whole element "comps"`},
		{"comps", "\uFEFF" + rpmtest.Comps, ""},
		{"comps", "<comps/>x", "text outside of the root element"},
		{"comps", "x<comps/>", "text outside of the root element"},
		{"comps", "\u00a0<comps/>", "text outside of the root element"},
		{"comps", `<?xml version="1.0"?><?xml version="1.0"?><comps/>`, "XML declaration that is not at the beginning"},
		{"comps", `<comps><group a="1" a="2"/></comps>`, `element "group" has the attribute "a" twice`},
		{"comps", `<comps><group/><!DOCTYPE comps></comps>`, "a declaration that does not belong there"},
		{"comps", `<!DOCTYPE comps><!DOCTYPE comps><comps/>`, "a declaration that does not belong there"},
		{"comps", `<!ELEMENT comps ANY><comps/>`, "a declaration that does not belong there"},
		{"comps", rpmtest.Updateinfo, `root element "updates"`},
		{"updateinfo", rpmtest.Comps, `root element "comps"`},
		{"updateinfo", rpmtest.Updateinfo[:200], "EOF"},
		{"primary", rpmtest.Comps, `"primary" is no type`},
		{"modules", string(mustPack(modules)), "document in line 1"},
		{"comps", string(mustPack(rpmtest.Comps)), "illegal character"},
	} {
		err := repodata.CheckSlice(tt.kind, strings.NewReader(tt.text))
		_, malformed := errors.AsType[*repodata.MalformedError](err)
		if (err == nil) != (tt.want == "") || err != nil && (!malformed || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s %.20q: %v, want %q", tt.kind, tt.text, err, tt.want)
		}
	}
	// Attributes cost time by their number.
	var many strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&many, " a%d=''", i)
	}
	start := time.Now()
	if err := repodata.CheckSlice("comps", strings.NewReader("<comps><group"+many.String()+"/></comps>")); err != nil || time.Since(start) > 5*time.Second {
		t.Errorf("many attributes: %v after %v", err, time.Since(start))
	}
	broken := errors.New("the line went dead")
	for _, kind := range []string{"modules", "comps", "updateinfo"} {
		err := repodata.CheckSlice(kind, iotest.ErrReader(broken))
		if _, malformed := errors.AsType[*repodata.MalformedError](err); malformed || !errors.Is(err, broken) {
			t.Errorf("%s: a source that breaks: %v", kind, err)
		}
	}
}

func mustPack(text string) []byte {
	raw, err := io.ReadAll(gzipped(strings.NewReader(text)))
	if err != nil {
		panic(err) // a buffer
	}
	return raw
}

// FuzzSliceUpdateinfo: whatever comes in, a slice is XML, a slice of it is itself, and it has
// no package that is not carried.
func FuzzSliceUpdateinfo(f *testing.F) {
	f.Add([]byte(rpmtest.Updateinfo))
	f.Add([]byte(updatesOf(update("ONE", collection(pkgA, pkgBEpoch), collection(pkgANone)), update("TWO", collection(pkgBEpoch)))))
	f.Add([]byte("<updates><update><pkglist><collection><package name='a' version='1' release='2' arch='x86_64'/><package/></collection></pkglist></update></updates>"))
	f.Add(mustPack(updatesOf(update("ONE", collection(pkgA)))))
	nevras := []string{"a-1-2.x86_64", "app-1.0-1.x86_64"}
	fuzztest.Run(f, func(t *testing.T, doc []byte) {
		out, err := repodata.SliceUpdateinfo([]io.Reader{bytes.NewReader(doc)}, nevras)
		if err != nil || out == nil {
			return
		}
		var e rpmtest.Element
		if err := xml.Unmarshal(out, &e); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		e.Each("package", func(e rpmtest.Element) {
			if n := e.Attr("name"); n != "a" && n != "app" {
				t.Errorf("package %q is carried", n)
			}
		})
		again, err := repodata.SliceUpdateinfo([]io.Reader{bytes.NewReader(out)}, nevras)
		if err != nil || !bytes.Equal(again, out) {
			t.Errorf("a slice of the slice: %v\n%s\n%s", err, out, again)
		}
	})
}
