package manifest

import (
	"errors"
	"strings"

	"github.com/distribution/reference"
)

var errNotReference = errors.New("is no valid image reference")

// ImageName returns the name that the image of a registry has in a table: its reference as
// Docker normalises it, with registry and tag written out. A digest behind a tag is cut off;
// one without a tag stays.
func ImageName(source string) (string, error) {
	named, err := reference.ParseNormalizedNamed(source)
	if err != nil {
		return "", errNotReference // its errors hold the value
	}
	if ref, ok := named.(reference.Tagged); ok {
		return named.Name() + ":" + ref.Tag(), nil
	}
	return reference.TagNameOnly(named).String(), nil
}

// LocalSource splits the source of an image on disk: oci-layout:DIR[:REF],
// oci-archive:FILE[:REF] or docker-archive:FILE[:REF].
func LocalSource(source string) (path, ref string, ok bool) {
	kind, rest, _ := strings.Cut(source, ":")
	switch kind {
	case "oci-layout", "oci-archive", "docker-archive":
		path, ref, _ = strings.Cut(rest, ":")
		return path, ref, kind != source
	}
	return "", "", false
}

// SplitReference splits repository:tag, or registry/repository:tag, at the tag. A
// digest behind the tag is cut off.
func SplitReference(ref string) (repository, tag string) {
	ref, _, _ = strings.Cut(ref, "@")
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		return ref[:i], ref[i+1:]
	}
	return ref, ""
}
