package lockfile

import (
	"regexp"
	"slices"
	"strings"

	"airbundle/manifest"
)

// A Target is a target map: which repositories of a target take what, and under which
// path. docs/format.md describes the file.
type Target struct {
	Name         string           `yaml:"name"`
	Repositories []TargetRule     `yaml:"repositories"`
	Groups       []TargetGroup    `yaml:"groups"`
	HTTPPorts    map[string]int64 `yaml:"httpPorts"` // of docker connectors, by repository or group
	Note         string           `yaml:"note"`
}

// A TargetRule sends what lies below a prefix to a repository.
type TargetRule struct {
	Kind       string  `yaml:"kind"`   // image, rpm, file, chart
	Prefix     string  `yaml:"prefix"` // whole segments; empty: all of the kind
	Repository string  `yaml:"repository"`
	Path       *string `yaml:"path"`   // replaces the prefix; nil: the prefix stays
	Layout     string  `yaml:"layout"` // of rpm: yum, raw, or empty for what the command says
	Note       string  `yaml:"note"`
	Line       Line    `yaml:"-"`
}

// A TargetGroup is a repository that shows its members as one.
type TargetGroup struct {
	Name    string   `yaml:"name"`
	Format  string   `yaml:"format"` // docker, yum, raw
	Members []string `yaml:"members"`
	Note    string   `yaml:"note"`
	Line    Line     `yaml:"-"`
}

// DecodeTarget reads a target map. The name is that of the file and only used in
// errors, which are an *Errors with every problem of the file.
func DecodeTarget(name string, data []byte) (*Target, error) {
	d := newDecoder(name)
	t := new(Target)
	if d.document(data, "Target", t) {
		k := &targetChecker{d.checker(), t, map[string]Line{}, map[string]string{}}
		k.check()
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// repositoryGrammar is that of the names of a Nexus' repositories (validation of its REST
// API: letters, digits, underscores, hyphens and dots, no underscore or dot in front).
var repositoryGrammar = regexp.MustCompile(`^[A-Za-z0-9-][A-Za-z0-9_.-]{0,199}$`)

var (
	checkRepository = matches(repositoryGrammar, "the name of a repository, of letters, digits and . _ -")
	checkImageName  = shown(manifest.CheckRepository)
)

type targetChecker struct {
	*checker
	t       *Target
	rules   map[string]Line   // lines, by kind and prefix
	formats map[string]string // of the repositories that rules and groups name; empty: yum or raw
}

func (k *targetChecker) check() {
	k.enter(nil, 1, "", "")
	k.want(&k.t.Name, "name", checkName)
	k.may(&k.t.Note, "note", checkNote)
	if len(k.t.Repositories) == 0 {
		k.errorf(&k.t.Repositories, "repositories is missing or empty")
	}
	for i := range k.t.Repositories {
		k.rule(&k.t.Repositories[i])
	}
	for i := range k.t.Groups {
		k.group(&k.t.Groups[i])
	}
	k.enter(nil, 1, "", "")
	k.ports()
}

// ruleFormats are the formats of repositories that take a kind; RPMs say it themselves.
var ruleFormats = map[string]string{"image": "docker", "rpm": "", "file": "raw", "chart": "helm"}

func (k *targetChecker) rule(r *TargetRule) {
	if !k.enter(r, r.Line, "rule of", strings.TrimSpace(r.Kind+" "+r.Prefix)) {
		return
	}
	format, known := ruleFormats[r.Kind]
	if r.Kind == "" || !known {
		k.errorf(&r.Kind, "kind %q is none of image, rpm, file, chart", show(r.Kind))
	}
	k.may(&r.Note, "note", checkNote)
	k.paths(r)
	switch {
	case r.Layout == "":
	case r.Kind != "rpm":
		k.errorf(&r.Layout, "layout is for rpm only")
	case r.Layout != "yum" && r.Layout != "raw":
		k.errorf(&r.Layout, "layout %q is neither yum nor raw", show(r.Layout))
	default:
		format = r.Layout
	}
	key := r.Kind + " " + r.Prefix
	if first, dup := k.rules[key]; dup {
		k.errorf(r, "prefix %q of this kind has a rule at line %d", show(r.Prefix), first)
	} else {
		k.rules[key] = r.Line
	}
	if k.want(&r.Repository, "repository", checkRepository) && known {
		k.claimFormat(&r.Repository, r.Repository, format)
	}
}

// paths checks prefix and path by the grammar of the kind's names.
func (k *targetChecker) paths(r *TargetRule) {
	grammar := map[string]func(string) error{"image": checkImageName, "chart": checkChart}[r.Kind]
	if grammar == nil {
		grammar = checkPath
	}
	k.may(&r.Prefix, "prefix", grammar)
	switch {
	case r.Path == nil:
	case r.Kind == "chart":
		k.errorf(&r.Path, "path is not for charts: a helm repository has no directories")
	case *r.Path != "":
		k.wantAt(&r.Path, "path", *r.Path, grammar)
	}
}

// claimFormat notes what format a repository has, which is one.
func (k *targetChecker) claimFormat(field any, name, format string) {
	have, ok := k.formats[name]
	switch {
	case !ok || have == "" && (format == "yum" || format == "raw"):
		k.formats[name] = format
	case format == have || format == "" && (have == "yum" || have == "raw"):
	default:
		k.errorf(field, "repository %s cannot be both %s and %s", name, orRPM(have), orRPM(format))
	}
}

func orRPM(format string) string {
	if format == "" {
		return "yum or raw"
	}
	return format
}

func (k *targetChecker) group(g *TargetGroup) {
	if !k.enter(g, g.Line, "group", g.Name) {
		return
	}
	k.may(&g.Note, "note", checkNote)
	formats := []string{"docker", "yum", "raw"}
	if !slices.Contains(formats, g.Format) {
		k.errorf(&g.Format, "format %q is none of %s", show(g.Format), strings.Join(formats, ", "))
	}
	if k.want(&g.Name, "name", checkRepository) {
		if _, taken := k.formats[g.Name]; taken {
			k.errorf(&g.Name, "name: rules or a group before use %s already, and nothing can be written to a group", g.Name)
		} else {
			k.formats[g.Name] = g.Format
		}
	}
	k.some(&g.Members, "members", checkRepository)
	for i, m := range g.Members {
		have, named := k.formats[m]
		switch {
		case m == g.Name:
			k.errorf(&g.Members[i], "a group is no member of itself")
		case named && have != g.Format && (have != "" || g.Format == "docker"):
			k.errorf(&g.Members[i], "member %s is a %s repository, the group is %s", m, orRPM(have), g.Format)
		}
	}
}

// ports checks the connectors: each of a docker repository that the map names, or of the one
// for an arch that --split-arch makes of it, and no port twice.
func (k *targetChecker) ports() {
	byPort := map[int64]string{}
	names := make([]string, 0, len(k.t.HTTPPorts))
	for name := range k.t.HTTPPorts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		field := itemKey{&k.t.HTTPPorts, name}
		port := k.t.HTTPPorts[name]
		whole := name
		for _, arch := range manifest.Arches() {
			whole = strings.TrimSuffix(whole, "-"+manifest.GoArch(arch))
		}
		switch first, dup := byPort[port]; {
		case k.formats[name] != "docker" && k.formats[whole] != "docker":
			k.errorf(field, "httpPorts: %s is no docker repository or group of this map", show(name))
		case port < 1 || port > 65535:
			k.errorf(field, "httpPorts: %s: %d is no port", name, port)
		case dup:
			k.errorf(field, "httpPorts: %s: port %d is that of %s", name, port, first)
		}
		byPort[port] = name
	}
}
