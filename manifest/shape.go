package manifest

import "strings"

// A jsonKind is a set of kinds of JSON values.
type jsonKind uint8

const (
	isObject jsonKind = 1 << iota
	isList
	isText
	isNumber
	isBoolean
	isNull
)

func (k jsonKind) String() string {
	var words []string
	for i, w := range []string{"an object", "a list", "a string", "a number", "true or false", "null"} {
		if k&(1<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, " or ")
}

// A shape is what is known of a JSON value. Members that are not known are allowed, for
// the OCI specification wants them ignored (image-spec 1.1, considerations.md,
// "Extensibility"); what differs from a known one by case alone is not.
type shape struct {
	kinds    jsonKind          // 0: any
	members  map[string]*shape // of an object; nil values: any
	values   *shape            // of the other members of an object
	items    *shape            // of a list
	required []string          // members
	integer  bool              // a number is one
	base64   bool              // a string is
}

func (s *shape) itemShape() *shape {
	if s == nil {
		return nil
	}
	return s.items
}

// The shapes of the OCI image specification 1.1 (descriptor.md, manifest.md,
// image-index.md, image-layout.md, config.md); Docker's schema 2 has the same.
var (
	anyText     = shape{kinds: isText}
	anyInteger  = shape{kinds: isNumber, integer: true}
	texts       = shape{kinds: isList, items: &anyText}
	annotations = shape{kinds: isObject, values: &anyText}

	platformShape = shape{kinds: isObject, required: []string{"architecture", "os"}, members: map[string]*shape{
		"architecture": &anyText, "os": &anyText, "os.version": &anyText, "os.features": &texts, "variant": &anyText, "features": &texts,
	}}
	descriptorShape = shape{kinds: isObject, required: []string{"mediaType", "digest", "size"}, members: map[string]*shape{
		"mediaType": &anyText, "digest": &anyText, "size": &anyInteger, "urls": &texts, "annotations": &annotations,
		"data": {kinds: isText, base64: true}, "platform": &platformShape, "artifactType": &anyText,
	}}
	descriptors = shape{kinds: isList, items: &descriptorShape}

	// imageShape is that of manifests and indexes together: which of them a document is
	// must not depend on who reads it.
	imageShape = shape{kinds: isObject, members: map[string]*shape{
		"schemaVersion": &anyInteger, "mediaType": &anyText, "artifactType": &anyText, "config": &descriptorShape, "layers": &descriptors,
		"manifests": &descriptors, "subject": &descriptorShape, "annotations": &annotations, "fsLayers": nil, "blobs": nil,
	}}

	layoutShape = shape{kinds: isObject, required: []string{"imageLayoutVersion"}, members: map[string]*shape{"imageLayoutVersion": &anyText}}
)

// configShape is that of an image config. What says for which platform an image is has a
// type; of everything else, which programs write with null or in old forms, the names
// are known alone. The configs of other artifacts pass, too.
var configShape = func() shape {
	names := func(list string) map[string]*shape {
		all := map[string]*shape{}
		for n := range strings.FieldsSeq(list) {
			all[n] = nil
		}
		return all
	}
	run := &shape{members: names(`User ExposedPorts Env Entrypoint Cmd Volumes WorkingDir Labels StopSignal ArgsEscaped Memory MemorySwap
		CpuShares Healthcheck Shell OnBuild Hostname Domainname Image`)}
	platformText := &shape{kinds: isText}
	s := shape{kinds: isObject, members: names(`created author os.features config rootfs history container_config docker_version`)}
	for _, n := range []string{"architecture", "os", "os.version", "variant"} {
		s.members[n] = platformText
	}
	s.members["config"], s.members["container_config"] = run, run
	s.members["rootfs"] = &shape{members: names("type diff_ids")}
	s.members["history"] = &shape{items: &shape{members: names("created created_by author comment empty_layer")}}
	return s
}()
