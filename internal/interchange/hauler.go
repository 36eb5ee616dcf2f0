package interchange

import (
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"go.yaml.in/yaml/v3"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// The field names of Hauler's content kinds (hauler-dev/hauler,
// pkg/apis/hauler.cattle.io/v1 and v1alpha1).
var (
	haulerImageFields = []string{"name", "platform", "rewrite", "key", "use-tlog-verify", "exclude-extras",
		"certificate-identity", "certificate-identity-regexp", "certificate-oidc-issuer", "certificate-oidc-issuer-regexp",
		"certificate-github-workflow-repository"}
	haulerChartFields = []string{"name", "repoURL", "version", "rewrite", "valuesFiles", "platform", "add-images",
		"add-dependencies", "exclude-extras", "verify", "keyring", "usernameEnv", "passwordEnv", "passCredentialsAll",
		"certFile", "keyFile", "caFile", "insecureSkipTLSVerify", "plainHTTP"}
	haulerFileFields = []string{"name", "path"}
)

// readHauler reads manifests of Hauler (docs.hauler.dev, "Hauler Manifests"):
// documents of apiVersion content.hauler.cattle.io/v1 or v1alpha1 and kind
// Images, Files or Charts. The annotation hauler.dev/registry fills in the
// registry of images that name none, as Hauler does.
func readHauler(r *reader, data []byte) {
	for _, root := range r.documents(data) {
		r.haulerDocument(root)
	}
}

func (r *reader) haulerDocument(root *yaml.Node) {
	f := r.fields(root, "the document", "apiVersion", "kind", "metadata", "spec")
	if !r.is(root, f, "apiVersion", "content.hauler.cattle.io/v1", "content.hauler.cattle.io/v1alpha1") ||
		!r.is(root, f, "kind", "Images", "Files", "Charts") {
		return
	}
	if f["spec"] == nil {
		r.bad(root.Line, "spec is missing")
		return
	}
	switch kind := f["kind"].Value; kind {
	case "Images":
		global := r.haulerAnnotations(f["metadata"])
		for _, n := range r.list(r.fields(f["spec"], "spec", "images"), "images") {
			r.haulerImage(n, global)
		}
	case "Files":
		for _, n := range r.list(r.fields(f["spec"], "spec", "files"), "files") {
			r.haulerFile(n)
		}
	case "Charts":
		for _, n := range r.list(r.fields(f["spec"], "spec", "charts"), "charts") {
			r.haulerChart(n)
		}
	}
}

// haulerAnnotations gives the annotations that hold for all images of a document,
// by their field names.
func (r *reader) haulerAnnotations(metadata *yaml.Node) map[string]*yaml.Node {
	out := map[string]*yaml.Node{}
	if metadata == nil {
		return out
	}
	a := r.fields(metadata, "metadata")["annotations"]
	if a == nil || a.Kind == yaml.ScalarNode && a.Tag == "!!null" {
		return out
	}
	for name, n := range r.fields(a, "annotations") {
		if short, ours := strings.CutPrefix(name, "hauler.dev/"); ours {
			out[short] = n
		}
	}
	return out
}

func (r *reader) haulerImage(n *yaml.Node, global map[string]*yaml.Node) {
	f := r.fields(n, "an entry of images", haulerImageFields...)
	source := r.must(f, n.Line, "name")
	if source == "" {
		return
	}
	if registry := r.text(global, "registry"); registry != "" && !namesRegistry(source) {
		source = registry + "/" + source
	}
	w := lockfile.ImageWish{Source: source, Note: r.from(), Line: lockfile.Line(n.Line)}
	given := func(name string) string {
		if s := r.text(f, name); s != "" {
			return s
		}
		return r.text(global, name)
	}
	if rewrite := r.text(f, "rewrite"); rewrite != "" {
		if name := rewritten(rewrite, source); name != "" {
			w.Publish = []string{name}
		} else {
			r.note(n.Line, "rewrite %q of image %s is no name that it can be published under", lockfile.Show(rewrite), lockfile.Show(source))
		}
	} else if r.text(global, "rewrite") != "" {
		r.note(n.Line, "rewrite of all images does not go over: give publish names to %s", lockfile.Show(source))
	}
	if p := given("platform"); p != "" {
		r.note(n.Line, "platform %s of image %s does not go over: a request carries the arches that it names", lockfile.Show(p), lockfile.Show(source))
	}
	for _, name := range haulerImageFields[3:] {
		if given(name) != "" && name != "exclude-extras" {
			r.note(n.Line, "%s of image %s does not go over: signatures of images are not checked, digests are", name, lockfile.Show(source))
			break
		}
	}
	r.image(w, "")
}

// rewritten is the published name that a rewrite means: without its registry, and
// with the tag of the source when it has none.
func rewritten(rewrite, source string) string {
	named, err := reference.ParseNormalizedNamed(strings.TrimPrefix(rewrite, "/"))
	if err != nil {
		return ""
	}
	name := strings.TrimPrefix(rewrite, "/")
	if namesRegistry(name) {
		name = name[strings.IndexByte(name, '/')+1:]
	}
	if _, tagged := named.(reference.Tagged); !tagged {
		from, err := reference.ParseNormalizedNamed(source)
		if err != nil {
			return ""
		}
		if t, ok := reference.TagNameOnly(from).(reference.Tagged); ok {
			name += ":" + t.Tag()
		}
	}
	if manifest.CheckPublish(name) != nil {
		return ""
	}
	return name
}

// namesRegistry reports whether a reference begins with a host, by docker's rule.
func namesRegistry(ref string) bool {
	host, _, found := strings.Cut(ref, "/")
	return found && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// haulerFile takes files that are at a URL or at an absolute path. Below which
// directory a relative one is, the manifest does not say.
func (r *reader) haulerFile(n *yaml.Node) {
	f := r.fields(n, "an entry of files", haulerFileFields...)
	from, name := r.must(f, n.Line, "path"), r.text(f, "name")
	if from == "" {
		return
	}
	w := lockfile.FileWish{Path: name, URL: from, Note: r.from(), Line: lockfile.Line(n.Line)}
	u, err := url.Parse(from)
	switch {
	case err == nil && slices.Contains([]string{"http", "https", "file"}, u.Scheme):
		if w.Path == "" {
			w.Path = path.Base(u.Path)
		}
	case path.IsAbs(from):
		w.URL = (&url.URL{Scheme: "file", Path: from}).String()
		if w.Path == "" {
			w.Path = path.Base(from)
		}
	default:
		r.bad(n.Line, "file %q is a relative path, and nothing says of what: write a URL or an absolute path", lockfile.Show(from))
		return
	}
	if w.Path == "" || w.Path == "/" || w.Path == "." {
		r.bad(n.Line, "file has no name: write name: below path:")
		return
	}
	r.addFile(w)
}

func (r *reader) haulerChart(n *yaml.Node) {
	f := r.fields(n, "an entry of charts", haulerChartFields...)
	name, repo, version := r.must(f, n.Line, "name"), r.text(f, "repoURL"), r.text(f, "version")
	if name == "" {
		return
	}
	switch {
	case repo == "":
		r.bad(n.Line, "chart %s has no repoURL: a chart on disk goes under files", lockfile.Show(name))
		return
	case version == "":
		r.bad(n.Line, "chart %s has no version: name the one that is wanted", lockfile.Show(name))
		return
	}
	for _, field := range haulerChartFields[3:] {
		if v := f[field]; v != nil && (v.Kind != yaml.ScalarNode || v.Value != "false" && v.Value != "") {
			r.note(v.Line, "%s of chart %s does not go over", field, lockfile.Show(name))
		}
	}
	r.addChart(lockfile.ChartWish{Name: name, Version: version, Repo: repo, Note: r.from(), Line: lockfile.Line(n.Line)})
}
