package repodata

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"

	"airbundle/internal/rpm/catalog"
)

// Bounds of module documents. The largest of distributions have 100 kB, and their lists 5 MB and
// some thousand documents. What the YAML parser makes of a document can take a hundred
// times its size.
const (
	maxModules   = 64 << 20
	maxDocument  = 1 << 20
	maxDocuments = 20_000
)

// ParseModules reads a list of module documents (modules.yaml), packed in any of the ways of
// ParsePrimary. It takes what fedora-modularity/libmodulemd specifies as modulemd versions 1
// and 2 and modulemd-defaults version 1, in the order of the file, keeps modulemd-obsoletes as they
// are, and passes over other kinds and versions, as libmodulemd does. Texts such as
// names of streams are what is written, 1.10 no less than "1.10". Anchors and aliases, which
// nobody writes here, are refused. The error is a *MalformedError that names the line
// in which the document begins, or that of r.
func ParseModules(r io.Reader) (*catalog.Modules, error) {
	m := &catalog.Modules{}
	err := readWhole("modules", r, maxModules, func(text []byte) error { return addModules(m, text) })
	if err != nil {
		return nil, err
	}
	return m, nil
}

// addModules reads a list of documents.
func addModules(m *catalog.Modules, text []byte) error {
	found := 0
	for d := range documents(text) {
		if found++; found > maxDocuments {
			return fmt.Errorf("line %d: more than the %d documents allowed", d.line, maxDocuments)
		}
		if err := addModule(m, d.text); err != nil {
			return fmt.Errorf("document in line %d: %w", d.line, err)
		}
	}
	return nil
}

// readWhole reads a file of the metadata that is small enough to be held.
func readWhole(name string, r io.Reader, limit int64, parse func([]byte) error) error {
	s := &source{r: r}
	text, err := unpackWhole(&capped{r: s, left: maxPacked, limit: maxPacked}, limit)
	if err == nil {
		err = parse(text)
	}
	return s.outcome(name, err)
}

// A document is one document of a YAML stream.
type document struct {
	text []byte
	line int // in which it begins, from 1
}

// documents yields the documents of a stream as they are, with what stands before and
// behind each: directives, comments, the marks of its begin and its end. Marks stand at
// the begin of a line, where nothing else can (YAML 1.2.2, section 9.1).
func documents(stream []byte) func(yield func(document) bool) {
	return func(yield func(document) bool) {
		d := document{line: 1}
		begun := false // something in d is more than blank lines, comments and directives
		size := 0
		line := 0
		for text := range yamlLines(stream) {
			line++
			if isMark(text, "---") && begun {
				if d.text = stream[:size]; !yield(d) {
					return
				}
				stream, size, d.line = stream[size:], 0, line
			}
			size += len(text)
			ends := isMark(text, "...")
			begun = begun || !ends && isContent(text)
			if ends && begun {
				if d.text = stream[:size]; !yield(d) {
					return
				}
				stream, size, d.line, begun = stream[size:], 0, line+1, false
			}
		}
		if begun {
			d.text = stream[:size]
			yield(d)
		}
	}
}

// yamlBreaks are the characters that end lines.
const yamlBreaks = "\r\n\u0085\u2028\u2029"

// yamlLines yields the lines of a text with their breaks.
func yamlLines(text []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(text) > 0 {
			n := lineEnd(text)
			if !yield(text[:n]) {
				return
			}
			text = text[n:]
		}
	}
}

// lineEnd returns where the first line of a text ends, behind its break: those of YAML 1.1,
// section 5.4, which parsers of modules know.
func lineEnd(text []byte) int {
	for i, c := range text {
		switch rest := text[i:]; {
		case c == '\n':
			return i + 1
		case c == '\r' && !bytes.HasPrefix(rest, []byte("\r\n")):
			return i + 1
		case c == 0xC2 && bytes.HasPrefix(rest, []byte("\u0085")):
			return i + len("\u0085")
		case c == 0xE2 && (bytes.HasPrefix(rest, []byte("\u2028")) || bytes.HasPrefix(rest, []byte("\u2029"))):
			return i + len("\u2028")
		}
	}
	return len(text)
}

// isMark tells a line that is a mark, perhaps with more behind it.
func isMark(line []byte, mark string) bool {
	rest, ok := bytes.CutPrefix(line, []byte(mark))
	return ok && (len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || len(bytes.Trim(rest, yamlBreaks)) == 0)
}

// isContent tells lines that make a document.
func isContent(line []byte) bool {
	line = bytes.Trim(line, " \t\ufeff"+yamlBreaks)
	return len(line) > 0 && line[0] != '#' && line[0] != '%'
}

// head is what all kinds of documents have.
type head struct {
	Document string    `yaml:"document"`
	Version  string    `yaml:"version"`
	Data     yaml.Node `yaml:"data"`
}

// addModule reads one document.
func addModule(m *catalog.Modules, raw []byte) error {
	if len(raw) > maxDocument {
		return fmt.Errorf("more than the %d bytes allowed", maxDocument)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(raw, &root); err != nil {
		return err
	}
	if hasAlias(&root) {
		return errors.New("it has an anchor or an alias")
	}
	if root.Kind == 0 || len(root.Content) == 1 && root.Content[0].Tag == "!!null" {
		return nil // "---" and nothing
	}
	var h head
	if err := root.Decode(&h); err != nil {
		return err
	}
	switch h.Document + " " + h.Version {
	case "modulemd 1", "modulemd 2":
		return addStream(m, h.Data, raw)
	case "modulemd-defaults 1":
		return addDefaults(m, h.Data, raw)
	case "modulemd-obsoletes 1":
		m.Obsoletes = append(m.Obsoletes, raw)
	case " ":
		return errors.New("it does not say which kind of document it is")
	}
	return nil
}

// hasAlias tells nodes that stand for others, or that others could stand for. Decoding those takes
// more time and memory than reading them.
func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || n.Anchor != "" || slices.ContainsFunc(n.Content, hasAlias)
}

// A stream is the data of a document of kind modulemd.
type stream struct {
	Name         string    `yaml:"name"`
	Stream       string    `yaml:"stream"`
	Version      string    `yaml:"version"`
	Context      string    `yaml:"context"`
	Static       bool      `yaml:"static_context"`
	Arch         string    `yaml:"arch"`
	Dependencies dependsOn `yaml:"dependencies"`
	Artifacts    rpms      `yaml:"artifacts"`
	Profiles     profiles  `yaml:"profiles"`
	Demodular    rpms      `yaml:"demodularized"`
}

type (
	rpms struct {
		RPMs []string `yaml:"rpms"`
	}
	profiles map[string]rpms
)

// dependsOn are alternatives.
type dependsOn []struct {
	Requires map[string]streams `yaml:"requires"`
}

// UnmarshalYAML takes what version 1 has, too: one alternative, not in a list.
func (d *dependsOn) UnmarshalYAML(n *yaml.Node) error {
	type plain dependsOn
	if n.Kind == yaml.MappingNode {
		*d = make(dependsOn, 1)
		return n.Decode(&(*d)[0])
	}
	return n.Decode((*plain)(d))
}

// streams are those of one module that a dependency accepts.
type streams []string

// UnmarshalYAML takes what version 1 has, too: one stream, not in a list.
func (s *streams) UnmarshalYAML(n *yaml.Node) error {
	type plain streams
	if n.Kind == yaml.ScalarNode && n.Tag != "!!null" {
		*s = streams{n.Value}
		return nil
	}
	return n.Decode((*plain)(s))
}

// addStream reads a modulemd.
func addStream(m *catalog.Modules, data yaml.Node, raw []byte) error {
	var s stream
	if err := data.Decode(&s); err != nil {
		return err
	}
	if s.Name == "" || s.Stream == "" {
		return errors.New("a module without name or stream")
	}
	if _, err := strconv.ParseUint(s.Version, 10, 64); err != nil {
		return fmt.Errorf("version %q of module %s is not a number", s.Version, s.Name)
	}
	out := catalog.Module{
		Name: s.Name, Stream: s.Stream, Version: s.Version, Context: s.Context, StaticContext: s.Static, Arch: s.Arch,
		Artifacts: s.Artifacts.RPMs, Demodularized: s.Demodular.RPMs, Profiles: map[string][]string{}, Raw: raw,
	}
	for name, p := range s.Profiles {
		out.Profiles[name] = p.RPMs
	}
	for _, d := range s.Dependencies {
		needs := map[string][]string{}
		for name, accepted := range d.Requires {
			needs[name] = accepted
		}
		out.Requires = append(out.Requires, needs)
	}
	m.Streams = append(m.Streams, out)
	return nil
}

// addDefaults reads modulemd-defaults.
func addDefaults(m *catalog.Modules, data yaml.Node, raw []byte) error {
	var d struct {
		Module   string             `yaml:"module"`
		Stream   string             `yaml:"stream"`
		Modified uint64             `yaml:"modified"`
		Profiles map[string]streams `yaml:"profiles"`
	}
	if err := data.Decode(&d); err != nil {
		return err
	}
	if d.Module == "" {
		return errors.New("defaults without a module")
	}
	out := catalog.ModuleDefaults{Module: d.Module, Stream: d.Stream, Modified: d.Modified, Profiles: map[string][]string{}, Raw: raw}
	for name, p := range d.Profiles {
		out.Profiles[name] = p
	}
	m.Defaults = append(m.Defaults, out)
	return nil
}
