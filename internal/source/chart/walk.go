package chart

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/distribution/reference"
)

// walk looks for images in values, or in a manifest (final), where nothing is added to
// what is written. Known are
//
//   - a text under a key that ends in "image", with the tag in it or beside it
//     (tag, imageTag, digest, sha), and perhaps the registry beside it (registry);
//   - a mapping with repository (or name, under a key that ends in "image") and tag or
//     digest, and perhaps registry;
//   - any other text that is a whole reference: host.domain/path:tag, also behind the "="
//     of an option, with a tag or a digest.
func (e *examiner) walk(v any, file string, keys []string, final bool) {
	switch v := v.(type) {
	case map[string]any:
		e.mapping(v, file, keys, final)
	case map[any]any: // YAML has keys that are no text
		text := make(map[string]any, len(v))
		for k, val := range v {
			text[fmt.Sprint(k)] = val
		}
		e.mapping(text, file, keys, final)
	case []any:
		for i, val := range v {
			e.walk(val, file, append(slices.Clip(keys), strconv.Itoa(i)), final)
		}
	case string:
		_, behind, _ := strings.Cut(v, "=")
		for _, s := range []string{v, behind} {
			if whole(s) {
				e.image(s, place(file, keys, final))
			}
		}
	}
}

func (e *examiner) mapping(m map[string]any, file string, keys []string, final bool) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		at := append(slices.Clip(keys), key)
		s, isText := m[key].(string)
		switch {
		case isText && isImage(key) && final:
			if s != "" && !e.image(s, place(file, at, final)) {
				e.finding("%s: %s is %.100q, which is no image reference", file, strings.Join(at, "."), s)
			}
		case isText && isImage(key):
			e.parts(m, s, file, at)
		default:
			e.walk(m[key], file, at, final)
		}
	}
	if final {
		return
	}
	parent := ""
	if len(keys) > 0 {
		parent = keys[len(keys)-1]
	}
	repository := scalar(m["repository"])
	if repository == "" && isImage(parent) {
		repository = scalar(m["name"])
	}
	if repository == "" || whole(repository) { // which was found as a text
		return
	}
	_, tag := m["tag"]
	_, sum := m["digest"]
	if tag || sum || isImage(parent) {
		e.parts(m, repository, file, keys)
	}
}

// parts puts an image together from a mapping of values.
func (e *examiner) parts(m map[string]any, repository, file string, keys []string) {
	at := place(file, keys, false)
	if repository == "" {
		return
	}
	ref := repository
	if registry := first(m, "registry", "imageRegistry"); registry != "" && !hasHost(repository) {
		ref = strings.TrimRight(registry, "/") + "/" + repository
	}
	tag, sum := first(m, "tag", "imageTag"), first(m, "digest", "sha", "sha256")
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return // a template's text, a URL: what comes of it shows when it is rendered
	}
	if reference.IsNameOnly(named) {
		switch {
		case tag != "":
			ref += ":" + tag
		case sum == "":
			e.open = append(e.open, at)
			return
		}
		if sum != "" {
			ref += "@sha256:" + strings.TrimPrefix(sum, "sha256:")
		}
	}
	e.image(ref, at)
}

// image tells of an image, completed as docker does; false: it is none.
func (e *examiner) image(ref, at string) bool {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return false
	}
	e.write(answer{Ref: reference.TagNameOnly(named).String(), At: at})
	return true
}

// place says where something was found: in a manifest the file is enough, and its keys
// would differ for each object.
func place(file string, keys []string, final bool) string {
	if final || len(keys) == 0 {
		return file
	}
	return file + ": " + strings.Join(keys, ".")
}

func isImage(key string) bool { return strings.HasSuffix(strings.ToLower(key), "image") }

// whole says whether a text is a reference that leaves nothing open.
func whole(s string) bool {
	if !hasHost(s) || !strings.Contains(s, "/") {
		return false
	}
	named, err := reference.ParseNamed(s)
	return err == nil && !reference.IsNameOnly(named)
}

// hasHost says whether a name begins with a host that has a domain.
func hasHost(s string) bool {
	host, _, ok := strings.Cut(s, "/")
	return ok && strings.Contains(host, ".")
}

// first is the first of these fields that is set.
func first(m map[string]any, keys ...string) string {
	for _, k := range keys {
		if s := scalar(m[k]); s != "" {
			return s
		}
	}
	return ""
}

// scalar is a text or a number as it stands in a reference. A number in YAML has lost
// its zeros, here as in helm.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case int, int64:
		return fmt.Sprint(v)
	}
	return ""
}
