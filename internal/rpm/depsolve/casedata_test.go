package depsolve_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"airbundle/internal/rpmtest"
)

// nevra takes name-[epoch:]version-release.arch apart.
func nevra(text string) (name, epoch, version, release, arch string) {
	dot := strings.LastIndexByte(text, '.')
	rest, arch := text[:dot], text[dot+1:]
	dash := strings.LastIndexByte(rest, '-')
	rest, release = rest[:dash], rest[dash+1:]
	dash = strings.LastIndexByte(rest, '-')
	name, version = rest[:dash], rest[dash+1:]
	epoch = "0"
	if e, v, found := strings.Cut(version, ":"); found {
		epoch, version = e, v
	}
	return name, epoch, version, release, arch
}

var flags = map[string]string{"<": "LT", "<=": "LE", "=": "EQ", ">=": "GE", ">": "GT"}

// entry writes a dependency as primary.xml has it.
func entry(dep string) string {
	f := strings.Fields(dep)
	if strings.HasPrefix(dep, "(") || len(f) != 3 {
		return fmt.Sprintf(`<rpm:entry name="%s"/>`, escape(dep))
	}
	epoch, evr := "0", f[2]
	if e, rest, found := strings.Cut(evr, ":"); found {
		epoch, evr = e, rest
	}
	version, release, found := strings.Cut(evr, "-")
	rel := ""
	if found {
		rel = fmt.Sprintf(` rel="%s"`, release)
	}
	return fmt.Sprintf(`<rpm:entry name="%s" flags="%s" epoch="%s" ver="%s"%s/>`, escape(f[0]), flags[f[1]], epoch, version, rel)
}

func escape(s string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(s)) // a Buffer takes everything
	return b.String()
}

func isPrimary(path string) bool {
	return strings.HasPrefix(path, "/etc/") || strings.Contains(path, "bin/")
}

// writeRepo writes a repository and returns its directory.
func writeRepo(t testing.TB, r *storyRepo) string {
	t.Helper()
	var primary, filelists, modules, groups, environments strings.Builder
	count := 0
	for _, s := range r.statements {
		switch s.keyword {
		case "pkg":
			count++
			writePackage(&primary, &filelists, s)
		case "stream":
			writeStream(&modules, s)
		case "default":
			module, stream, _ := strings.Cut(s.text, ":")
			fmt.Fprintf(&modules, "---\ndocument: modulemd-defaults\nversion: 1\ndata:\n  module: %s\n", module)
			if stream != "" {
				fmt.Fprintf(&modules, "  stream: %q\n", stream)
			}
			fmt.Fprintf(&modules, "  profiles:\n    %q: [default]\n...\n", stream)
		case "group":
			writeGroup(&groups, s)
		case "environment":
			writeEnvironment(&environments, s)
		}
	}
	head := `<?xml version="1.0" encoding="UTF-8"?>` + "\n"
	files := map[string]string{
		"primary":   fmt.Sprintf(head+`<metadata xmlns="http://linux.duke.edu/metadata/common" xmlns:rpm="http://linux.duke.edu/metadata/rpm" packages="%d">%s</metadata>`, count, primary.String()),
		"filelists": fmt.Sprintf(head+`<filelists xmlns="http://linux.duke.edu/metadata/filelists" packages="%d">%s</filelists>`, count, filelists.String()),
	}
	if modules.Len() > 0 {
		files["modules"] = modules.String()
	}
	if groups.Len() > 0 {
		files["group"] = head + "<comps>" + groups.String() + environments.String() + "</comps>"
	}
	return writeFiles(t, files)
}

func writeFiles(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "repodata"), 0o755); err != nil {
		t.Fatal(err)
	}
	md := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<repomd xmlns="http://linux.duke.edu/metadata/repo"><revision>1</revision>`
	for _, kind := range []string{"primary", "filelists", "modules", "group"} {
		content, ok := files[kind]
		if !ok {
			continue
		}
		name := "repodata/" + kind + map[bool]string{true: ".yaml", false: ".xml"}[kind == "modules"]
		md += fmt.Sprintf(`<data type="%s"><checksum type="sha256">%s</checksum><location href="%s"/><timestamp>1</timestamp><size>%d</size></data>`, kind, sum(content), name, len(content))
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "repodata/repomd.xml"), []byte(md+"</repomd>"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

func sum(text string) string {
	s := sha256.Sum256([]byte(text))
	return hex.EncodeToString(s[:])
}

func writePackage(primary, filelists *strings.Builder, s statement) {
	name, epoch, version, release, arch := nevra(s.text)
	id := sum(s.text + strings.Join(s.below["build"], ""))
	evr := fmt.Sprintf(`<version epoch="%s" ver="%s" rel="%s"/>`, epoch, version, release)
	fmt.Fprintf(primary, `<package type="rpm"><name>%s</name><arch>%s</arch>%s<checksum type="sha256" pkgid="YES">%s</checksum>`, name, arch, evr, id)
	fmt.Fprintf(primary, `<summary>s</summary><description>d</description><packager/><url/><time file="1" build="1"/><size package="1" installed="1" archive="1"/><location href="%s.rpm"/>`, s.text)
	primary.WriteString(`<format><rpm:license>x</rpm:license><rpm:sourcerpm/><rpm:header-range start="1" end="2"/>`)
	for _, kind := range []string{"provides", "requires", "conflicts", "obsoletes", "suggests", "enhances", "recommends", "supplements"} {
		list := s.below[kind]
		if kind == "provides" {
			list = append(slices.Clone(list), fmt.Sprintf("%s = %s:%s-%s", name, epoch, version, release))
		}
		fmt.Fprintf(primary, "<rpm:%s>", kind)
		for _, d := range list {
			primary.WriteString(entry(d))
		}
		fmt.Fprintf(primary, "</rpm:%s>", kind)
	}
	fmt.Fprintf(filelists, `<package pkgid="%s" name="%s" arch="%s">%s`, id, name, arch, evr)
	for _, f := range s.below["files"] {
		if isPrimary(f) {
			fmt.Fprintf(primary, "<file>%s</file>", f)
		}
		fmt.Fprintf(filelists, "<file>%s</file>", f)
	}
	primary.WriteString("</format></package>\n")
	filelists.WriteString("</package>\n")
}

func writeStream(w *strings.Builder, s statement) {
	module, stream, _ := strings.Cut(s.text, ":")
	version, context := "1", "c0ffee"
	if v := s.below["version"]; v != nil {
		version = v[0]
	}
	if c := s.below["context"]; c != nil {
		context = c[0]
	}
	fmt.Fprintf(w, "---\ndocument: modulemd\nversion: 2\ndata:\n  name: %s\n  stream: %q\n  version: %s\n  context: %q\n  arch: x86_64\n  summary: s\n  description: d\n  license:\n    module: [MIT]\n", module, stream, version, context)
	if len(s.below["requires"]) > 0 {
		w.WriteString("  dependencies:\n  - requires:\n")
		for _, r := range s.below["requires"] {
			m, streams, _ := strings.Cut(r, ":")
			fmt.Fprintf(w, "      %s: [%s]\n", m, quoted(strings.Fields(streams)))
		}
	}
	fmt.Fprintf(w, "  profiles:\n    default:\n      rpms: [%s]\n", quoted(s.below["profile"]))
	fmt.Fprintf(w, "  artifacts:\n    rpms: [%s]\n...\n", quoted(s.below["artifacts"]))
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(out, ", ")
}

func writeGroup(w *strings.Builder, s statement) {
	fmt.Fprintf(w, "<group><id>%s</id><name>Group %s</name><description/><default>true</default><uservisible>true</uservisible><packagelist>", s.text, s.text)
	for _, kind := range []string{"mandatory", "default", "optional", "conditional"} {
		for _, p := range s.below[kind] {
			name, cond, found := strings.Cut(p, " if ")
			requires := ""
			if found {
				requires = fmt.Sprintf(` requires="%s"`, cond)
			}
			fmt.Fprintf(w, `<packagereq type="%s"%s>%s</packagereq>`, kind, requires, name)
		}
	}
	w.WriteString("</packagelist></group>\n")
}

func writeEnvironment(w *strings.Builder, s statement) {
	fmt.Fprintf(w, "<environment><id>%s</id><name>Environment %s</name><description/><display_order>1</display_order><grouplist>", s.text, s.text)
	for _, g := range s.below["groups"] {
		fmt.Fprintf(w, "<groupid>%s</groupid>", g)
	}
	w.WriteString("</grouplist><optionlist>")
	for _, g := range s.below["options"] {
		if g, found := strings.CutPrefix(g, "+"); found {
			fmt.Fprintf(w, `<groupid default="true">%s</groupid>`, g)
		} else {
			fmt.Fprintf(w, "<groupid>%s</groupid>", g)
		}
	}
	w.WriteString("</optionlist></environment>\n")
}

// build makes a real package of a statement, for a root that has it installed.
func build(t testing.TB, s statement) []byte {
	t.Helper()
	name, epoch, version, release, arch := nevra(s.text)
	spec := rpmtest.Spec{
		Name: name, Version: version, Release: release, Arch: arch, Provides: s.below["provides"],
		Requires: s.below["requires"], Conflicts: s.below["conflicts"], Obsoletes: s.below["obsoletes"], Recommends: s.below["recommends"],
	}
	if _, err := fmt.Sscan(epoch, &spec.Epoch); err != nil {
		t.Fatal(err)
	}
	for _, f := range s.below["files"] {
		spec.Files = append(spec.Files, rpmtest.File{Path: f, Body: "x"})
	}
	return rpmtest.Build(t, spec)
}
