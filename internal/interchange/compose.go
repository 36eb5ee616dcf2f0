package interchange

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/template"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
)

// Bounds of what is looked at for one field of a service, since aliases and merge keys
// make much of little text.
const (
	maxServices = 5000
	maxExtends  = 8
	maxAliases  = 16  // mappings
	maxFields   = 256 // of each
)

var composeFields = []string{"version", "name", "services", "networks", "volumes", "configs", "secrets", "include", "models"}

// readCompose reads a compose file (compose-spec/compose-spec, spec.md) for the
// images of its services, with ${VAR:-default} put in. Variables have no values
// but their defaults: an import must not depend on who runs it. Other files that
// it names (include, extends of a file, .env) are not opened. A service that is
// only built has no image that could be carried; a note says so.
func readCompose(r *reader, data []byte) {
	root := r.document(data)
	if root == nil {
		return
	}
	f := r.fields(root, "the file")
	for i := 0; root.Kind == yaml.MappingNode && i < len(root.Content); i += 2 {
		if key := root.Content[i]; !known(composeFields, key.Value) {
			r.bad(key.Line, "unknown field %q: no compose file has it", lockfile.Show(key.Value))
		}
	}
	for _, name := range []string{"include", "models"} {
		if n := f[name]; n != nil {
			r.note(n.Line, "%s is not followed: import what it names by itself", name)
		}
	}
	if f["services"] == nil {
		if len(r.errs.List) == 0 {
			r.bad(root.Line, "services is missing: this is no compose file")
		}
		return
	}
	services := mapping(f["services"])
	if services == nil {
		r.bad(f["services"].Line, "services is %s, want fields", describe(f["services"]))
		return
	}
	if n := len(services.Content) / 2; n > maxServices {
		r.bad(services.Line, "%d services, more than %d", n, maxServices)
		return
	}
	all := r.fields(services, "services")
	for i := 0; i+1 < len(services.Content); i += 2 {
		r.service(services.Content[i], services.Content[i+1], all)
	}
}

// known also takes extensions, x-….
func known(fields []string, name string) bool {
	return slices.Contains(fields, name) || strings.HasPrefix(name, "x-")
}

func (r *reader) service(key, n *yaml.Node, all map[string]*yaml.Node) {
	name := lockfile.Show(key.Value)
	s := mapping(n)
	if s == nil {
		r.bad(key.Line, "service %s is %s, want fields", name, describe(n))
		return
	}
	image, build := get(s, "image", maxAliases), get(s, "build", maxAliases)
	for depth := 0; image == nil && build == nil && depth < maxExtends; depth++ {
		base, elsewhere := extended(s)
		if elsewhere != "" {
			r.bad(key.Line, "service %s extends one of the file %s, which is not opened: write its image here", name, lockfile.Show(elsewhere))
			return
		}
		if base == "" || all[base] == nil {
			break
		}
		if s = mapping(all[base]); s == nil {
			break
		}
		image, build = get(s, "image", maxAliases), get(s, "build", maxAliases)
	}
	switch {
	case image != nil:
		r.serviceImage(key, image, build != nil)
	case build != nil:
		r.note(key.Line, "service %s is built, not pulled: build its image, push it, and name it in the request", name)
	case get(s, "provider", maxAliases) != nil:
		r.note(key.Line, "service %s comes from a provider, it has no image", name)
	default:
		r.bad(key.Line, "service %s has neither image nor build", name)
	}
}

func (r *reader) serviceImage(key, image *yaml.Node, built bool) {
	if image.Kind != yaml.ScalarNode || image.Value == "" {
		r.bad(image.Line, "image of service %s is %s, want text", lockfile.Show(key.Value), describe(image))
		return
	}
	missing := ""
	source, err := template.SubstituteWithOptions(image.Value, func(string) (string, bool) { return "", false }, template.WithoutLogging, template.WithReplacementFunction(func(match string, m template.Mapping, c *template.Config) (string, error) {
		value, applied, err := template.DefaultReplacementAppliedFunc(match, m, c)
		if err == nil && !applied && missing == "" {
			missing = match
		}
		return value, err
	}))
	switch {
	case err != nil:
		r.bad(image.Line, "image of service %s: %s", lockfile.Show(key.Value), lockfile.Show(err.Error()))
		return
	case missing != "":
		r.bad(image.Line, "image of service %s: %s has no default: write its value into the file", lockfile.Show(key.Value), lockfile.Show(missing))
		return
	}
	if built {
		r.note(key.Line, "service %s has build, too: its image is taken from the registry as it is there", lockfile.Show(key.Value))
	}
	r.image(lockfile.ImageWish{Source: source, Note: r.from(), Line: lockfile.Line(image.Line)}, "service "+key.Value)
}

// extended gives the service that another one extends, and its file if that is
// another one.
func extended(s *yaml.Node) (service, file string) {
	n := get(s, "extends", maxAliases)
	if n == nil {
		return "", ""
	}
	if n.Kind == yaml.ScalarNode {
		return n.Value, ""
	}
	if f := get(n, "file", maxAliases); f != nil {
		file = f.Value
	}
	if of := get(n, "service", maxAliases); of != nil {
		service = of.Value
	}
	return service, file
}

// mapping follows aliases to a mapping; nil when there is none.
func mapping(n *yaml.Node) *yaml.Node {
	for range maxAliases {
		switch {
		case n == nil:
			return nil
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case n.Kind == yaml.MappingNode:
			return n
		default:
			return nil
		}
	}
	return nil
}

// get gives a field of a mapping, or of what is merged into it; nil when there is
// none. It looks into so many mappings at most.
func get(n *yaml.Node, name string, mappings int) *yaml.Node {
	return search(n, name, &mappings)
}

func search(n *yaml.Node, name string, left *int) *yaml.Node {
	m := mapping(n)
	if m == nil || *left <= 0 {
		return nil
	}
	*left--
	var merged *yaml.Node
	for i := 0; i+1 < min(len(m.Content), 2*maxFields); i += 2 {
		key, val := m.Content[i], m.Content[i+1]
		if key.Value == name && key.Kind == yaml.ScalarNode {
			for range maxAliases {
				if val.Kind != yaml.AliasNode {
					break
				}
				val = val.Alias
			}
			return val
		}
		if key.Tag == "!!merge" {
			merged = val
		}
	}
	if merged == nil {
		return nil
	}
	if merged.Kind != yaml.SequenceNode {
		return search(merged, name, left)
	}
	for _, one := range merged.Content {
		if v := search(one, name, left); v != nil || *left <= 0 {
			return v
		}
	}
	return nil
}
