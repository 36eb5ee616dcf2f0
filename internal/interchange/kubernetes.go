package interchange

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
)

// readKubernetes reads Kubernetes manifests, YAML or JSON of any number of
// documents, and takes the image references in them, at any depth and in objects
// of any kind, lists included:
//
//   - image of containers, initContainers and ephemeralContainers, of whatever form;
//   - other fields named image or …Image that hold a reference with a tag, a digest or
//     a path, and image: {repository, tag} and {reference}, as custom resources have them;
//   - arguments --flag=REFERENCE, and --…image… REFERENCE, of args and command: the
//     operator of Prometheus names the images that it starts in this way;
//   - environment variables whose name holds IMAGE and whose value is a reference, which
//     is how OLM tells an operator its images.
//
// Text inside of text (the files of a ConfigMap, annotations) is not searched.
func readKubernetes(r *reader, data []byte) {
	for _, root := range r.documents(data) {
		if root.Kind != yaml.MappingNode {
			r.bad(root.Line, "the document is %s, want a Kubernetes object", describe(root))
			continue
		}
		f := r.fields(root, "the object")
		if r.must(f, root.Line, "apiVersion") == "" || r.must(f, root.Line, "kind") == "" {
			continue
		}
		w := &walk{reader: r, object: objectName(root)}
		w.mapping(root, nil)
	}
}

// objectName is kind/name of an object; empty when the node is none.
func objectName(n *yaml.Node) string {
	kind := get(n, "kind", 1)
	if kind == nil || kind.Kind != yaml.ScalarNode || get(n, "apiVersion", 1) == nil {
		return ""
	}
	if name := get(get(n, "metadata", 1), "name", 1); name != nil && name.Kind == yaml.ScalarNode {
		return lockfile.Show(kind.Value) + "/" + lockfile.Show(name.Value)
	}
	return lockfile.Show(kind.Value)
}

// A walk goes through one object. Aliases are not followed, except where they
// stand for the text that is looked for: what they name is found where it stands.
type walk struct {
	*reader
	object string
	depth  int
}

// maxDepth bounds how deep objects are nested; real ones are below 30.
const maxDepth = 100

func (w *walk) node(n *yaml.Node, path []string) {
	if w.depth++; w.depth > maxDepth {
		w.bad(n.Line, "nested deeper than %d levels", maxDepth)
		w.depth--
		return
	}
	defer func() { w.depth-- }()
	switch n.Kind {
	case yaml.MappingNode:
		w.mapping(n, path)
	case yaml.SequenceNode:
		w.sequence(n, path)
	}
}

func (w *walk) mapping(n *yaml.Node, path []string) {
	if len(path) > 0 {
		if name := objectName(n); name != "" && strings.Contains(name, "/") { // an item of a List
			defer func(before string) { w.object = before }(w.object)
			w.object = name
			path = nil
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		at := append(slices.Clip(path), key.Value)
		if val.Kind == yaml.AliasNode && val.Alias.Kind == yaml.ScalarNode {
			val = val.Alias
		}
		if key.Value == "image" || strings.HasSuffix(key.Value, "Image") {
			w.field(key, val, at)
		}
		w.node(val, at)
	}
	w.variable(n, path)
}

// field judges the value of a field that is named after images.
func (w *walk) field(key, val *yaml.Node, path []string) {
	if val.Kind == yaml.MappingNode {
		if ref := get(val, "reference", 1); ref != nil && ref.Kind == yaml.ScalarNode {
			w.maybe(ref.Value, key.Line, append(path, "reference"))
		}
		w.parts(val, key.Line, path)
		return
	}
	if val.Kind != yaml.ScalarNode || val.Tag != "!!str" || val.Value == "" {
		return // schemas, switches, and defaults that mean the program's own
	}
	if key.Value == "image" && len(path) > 2 && isContainers(path[len(path)-2]) {
		w.found(val.Value, key.Line, path)
		return
	}
	w.maybe(val.Value, key.Line, path)
}

// isContainers tells "containers[0]" and its kin.
func isContainers(segment string) bool {
	name, _, indexed := strings.Cut(segment, "[")
	return indexed && (name == "containers" || name == "initContainers" || name == "ephemeralContainers")
}

// parts takes an image that is written in parts, as charts and custom resources do.
func (w *walk) parts(n *yaml.Node, line int, path []string) {
	part := func(name string) string {
		if v := get(n, name, 1); v != nil && v.Kind == yaml.ScalarNode && v.Tag != "!!null" {
			return v.Value
		}
		return ""
	}
	ref := part("repository")
	if ref == "" || part("tag") == "" && part("digest") == "" {
		return
	}
	if registry := part("registry"); registry != "" {
		ref = registry + "/" + ref
	}
	if tag := part("tag"); tag != "" {
		ref += ":" + tag
	}
	if d := part("digest"); d != "" {
		ref += "@" + d
	}
	w.maybe(ref, line, path)
}

// maybe takes a reference that says more than a bare word, and notes what is none.
func (w *walk) maybe(ref string, line int, path []string) {
	if !plausible(ref) {
		w.note(line, "%s %s: %q is taken for no image", w.object, strings.Join(path, "."), lockfile.Show(ref))
		return
	}
	w.found(ref, line, path)
}

func (w *walk) found(ref string, line int, path []string) {
	w.image(lockfile.ImageWish{Source: ref, Note: w.from(), Line: lockfile.Line(line)}, strings.TrimSpace(w.object+" "+strings.Join(path, ".")))
}

// plausible tells a reference with a tag, a digest or a path from other words.
func plausible(s string) bool {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil {
		return false
	}
	_, tagged := named.(reference.Tagged)
	_, pinned := named.(reference.Digested)
	return tagged || pinned || strings.Contains(s, "/")
}

// exact tells a reference that names its registry, and a tag or digest: nothing
// else in a command line looks so.
func exact(s string) bool {
	named, err := reference.ParseNormalizedNamed(s)
	if err != nil || !namesRegistry(s) {
		return false
	}
	return !reference.IsNameOnly(named)
}

func (w *walk) sequence(n *yaml.Node, path []string) {
	last := ""
	if len(path) > 0 {
		last = path[len(path)-1]
	}
	for i, item := range n.Content {
		at := append(path[:max(len(path)-1, 0):max(len(path)-1, 0)], last+"["+strconv.Itoa(i)+"]")
		if item.Kind == yaml.ScalarNode && (last == "args" || last == "command") {
			before := ""
			if i > 0 && n.Content[i-1].Kind == yaml.ScalarNode {
				before = n.Content[i-1].Value
			}
			w.argument(item, before, at)
			continue
		}
		w.node(item, at)
	}
}

// argument judges one argument, and the flag before it.
func (w *walk) argument(n *yaml.Node, before string, path []string) {
	if !strings.HasPrefix(n.Value, "-") {
		if namesImage(before) && plausible(n.Value) {
			w.found(n.Value, n.Line, path)
		}
		return
	}
	flag, value, given := strings.Cut(n.Value, "=")
	if given && (exact(value) || namesImage(flag) && plausible(value)) {
		w.found(value, n.Line, path)
	}
}

// namesImage tells a flag that takes an image.
func namesImage(flag string) bool {
	return strings.HasPrefix(flag, "-") && !strings.ContainsAny(flag, "= ") &&
		strings.Contains(strings.ToLower(flag), "image") && !strings.Contains(strings.ToLower(flag), "policy")
}

// variable judges {name: RELATED_IMAGE_X, value: REFERENCE}.
func (w *walk) variable(n *yaml.Node, path []string) {
	if len(path) == 0 || !strings.HasPrefix(path[len(path)-1], "env[") {
		return
	}
	name, value := get(n, "name", 1), get(n, "value", 1)
	if name == nil || value == nil || value.Kind != yaml.ScalarNode || !strings.Contains(strings.ToUpper(name.Value), "IMAGE") {
		return
	}
	if named, err := reference.ParseNormalizedNamed(value.Value); err == nil && (!reference.IsNameOnly(named) || exact(value.Value)) {
		w.found(value.Value, value.Line, append(slices.Clip(path), fmt.Sprintf("value of %s", lockfile.Show(name.Value))))
	}
}
