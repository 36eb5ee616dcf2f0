package repodata

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"airbundle/internal/rpm/catalog"
)

// SliceModules returns the modules.yaml that belongs to the packages named: the documents of
// the streams that have one of them among their artifacts, of the streams that those
// require and of which nothing is carried otherwise, and the defaults and obsoletes of
// these modules, each as its repository has it. It is nil when there is none. NEVRAs are
// name-[epoch:]version-release.arch.
//
// A stream stays as it is, with packages in it that are not carried: what it lists is what
// hides packages of other repositories, and what clients compare.
func SliceModules(m []*catalog.Modules, nevras []string) []byte {
	s := newModuleSlice(m)
	carried := fullNEVRAs(nevras)
	for _, stream := range s.streams {
		if slices.ContainsFunc(stream.Artifacts, func(a string) bool { return carried[fullNEVRA(a)] }) {
			s.take(stream)
		}
	}
	for len(s.pending) > 0 {
		stream := s.pending[0]
		s.pending = s.pending[1:]
		s.takeRequired(stream)
	}
	var out bytes.Buffer
	for _, stream := range slices.SortedFunc(maps.Values(s.taken), compareStreams) {
		writeDocument(&out, stream.Raw)
	}
	names := slices.Sorted(maps.Keys(s.names))
	for _, name := range names {
		if d := newestDefaults(m, name); d != nil {
			writeDocument(&out, d.Raw)
		}
	}
	for _, raw := range s.obsoletes(m) {
		writeDocument(&out, []byte(raw))
	}
	return out.Bytes()
}

// A moduleSlice is the streams of several repositories, and those that were taken.
type moduleSlice struct {
	streams []*catalog.Module            // each once
	byName  map[string][]*catalog.Module // of streams
	taken   map[string]*catalog.Module   // by full name
	names   map[string]bool              // modules of which a stream was taken
	pending []*catalog.Module            // taken, requirements not looked at yet
}

func newModuleSlice(m []*catalog.Modules) *moduleSlice {
	s := &moduleSlice{byName: map[string][]*catalog.Module{}, taken: map[string]*catalog.Module{}, names: map[string]bool{}}
	seen := map[string]bool{}
	for _, modules := range m {
		for i := range modules.Streams {
			stream := &modules.Streams[i]
			if full := stream.NSVCA(); !seen[full] {
				seen[full] = true
				s.streams = append(s.streams, stream)
				s.byName[stream.Name] = append(s.byName[stream.Name], stream)
			}
		}
	}
	return s
}

func (s *moduleSlice) take(stream *catalog.Module) {
	full := stream.NSVCA()
	if s.taken[full] == nil {
		s.taken[full], s.names[stream.Name] = stream, true
		s.pending = append(s.pending, stream)
	}
}

// takeRequired takes what a stream requires, so that clients can enable it. What the
// platform is, they know themselves.
func (s *moduleSlice) takeRequired(stream *catalog.Module) {
	for _, alternative := range stream.Requires {
		for _, name := range slices.Sorted(maps.Keys(alternative)) {
			fits := func(m *catalog.Module) bool { return m.Arch == stream.Arch && streamFits(m.Stream, alternative[name]) }
			have := func(m *catalog.Module) bool { return s.taken[m.NSVCA()] != nil && fits(m) }
			if name == "platform" || slices.ContainsFunc(s.byName[name], have) {
				continue
			}
			for _, m := range s.byName[name] {
				if fits(m) {
					s.take(m)
				}
			}
		}
	}
}

// streamFits says whether a stream is among those required: any when none is named, and
// all others where they are named with a minus.
func streamFits(stream string, required []string) bool {
	if len(required) == 0 {
		return true
	}
	if strings.HasPrefix(required[0], "-") {
		return !slices.Contains(required, "-"+stream)
	}
	return slices.Contains(required, stream)
}

func compareStreams(a, b *catalog.Module) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Context, b.Context), cmp.Compare(a.Arch, b.Arch))
}

// newestDefaults finds the defaults of a module that were modified last, of equal ones
// the first: clients refuse two that differ.
func newestDefaults(m []*catalog.Modules, name string) (newest *catalog.ModuleDefaults) {
	for _, modules := range m {
		for i := range modules.Defaults {
			if d := &modules.Defaults[i]; d.Module == name && (newest == nil || d.Modified > newest.Modified) {
				newest = d
			}
		}
	}
	return newest
}

// obsoletes returns the documents of that kind about the streams taken, each once.
func (s *moduleSlice) obsoletes(m []*catalog.Modules) []string {
	streams := map[[2]string]bool{}
	for _, stream := range s.taken {
		streams[[2]string{stream.Name, stream.Stream}] = true
	}
	out := map[string]bool{}
	for _, modules := range m {
		for _, raw := range modules.Obsoletes {
			var doc struct {
				Data struct{ Module, Stream string } `yaml:"data"`
			}
			if yaml.Unmarshal(raw, &doc) == nil && streams[[2]string{doc.Data.Module, doc.Data.Stream}] {
				out[string(raw)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// writeDocument writes one YAML document between the marks that keep it apart from others,
// which it may have of its own.
func writeDocument(out *bytes.Buffer, raw []byte) {
	raw = bytes.TrimRight(raw, yamlBreaks)
	if !hasStart(raw) {
		out.WriteString("---\n")
	}
	out.Write(raw)
	var last []byte
	for line := range yamlLines(raw) {
		last = line
	}
	if string(bytes.TrimRight(last, " \t")) != "..." {
		out.WriteString("\n...")
	}
	out.WriteByte('\n')
}

// hasStart says whether a document has its mark, behind nothing but comments and
// directives.
func hasStart(raw []byte) bool {
	for line := range yamlLines(raw) {
		switch line = bytes.TrimSpace(line); {
		case len(line) == 0 || line[0] == '#' || line[0] == '%':
		default:
			return bytes.HasPrefix(line, []byte("---"))
		}
	}
	return false
}

func fullNEVRAs(nevras []string) map[string]bool {
	out := make(map[string]bool, len(nevras))
	for _, n := range nevras {
		out[fullNEVRA(n)] = true
	}
	return out
}

// fullNEVRA writes a NEVRA with its epoch, as modules do.
func fullNEVRA(s string) string {
	release := strings.LastIndexByte(s, '-')
	if release < 0 {
		return s
	}
	version := strings.LastIndexByte(s[:release], '-') + 1
	if version == 0 || strings.Contains(s[version:release], ":") {
		return s
	}
	return s[:version] + "0:" + s[version:]
}
