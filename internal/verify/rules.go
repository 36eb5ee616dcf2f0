package verify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/manifest"
)

// Annotations that give names, beside those of the OCI specification.
const containerdName = "io.containerd.image.name" // containerd, images/archive

// refusedTypes are manifests of forms that nobody can be held to.
var refusedTypes = map[string]string{
	"application/vnd.oci.artifact.manifest.v1+json":             "artifact manifests were removed from the OCI specification",
	"application/vnd.docker.distribution.manifest.v1+json":      "Docker schema 1",
	"application/vnd.docker.distribution.manifest.v1+prettyjws": "Docker schema 1",
}

func isConfig(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageConfig || mediaType == "application/vnd.docker.container.image.v1+json"
}

func isLayer(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.") || strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.")
}

// known says whether the rules depend on a media type. Case does not count in them (RFC 6838,
// section 4.2), and yet most readers compare bytes.
func known(t string) bool {
	return strict(t) || isLayer(t) || refusedTypes[t] != "" || t == ocispec.MediaTypeEmptyJSON
}

// rules holds a descriptor against its place.
func (w *layoutWalk) rules(d ocispec.Descriptor, as role) {
	t := d.MediaType
	switch isNode := manifest.IsIndex(t) || manifest.IsManifest(t); {
	case known(strings.ToLower(t)) && !known(t):
		w.finding("descriptor", d.Digest, "media type %q is %q in another case, and readers differ on whether that is the same", t, strings.ToLower(t))
	case refusedTypes[t] != "":
		w.finding("descriptor", d.Digest, "media type %q: %s", t, refusedTypes[t])
	case (as == asEntry || as == asSubject) && (isConfig(t) || isLayer(t)):
		w.finding("descriptor", d.Digest, "media type %q, where a manifest or index belongs", t)
	case as == asConfig && (isNode || isLayer(t)), as == asLayer && (isNode || isConfig(t)):
		w.finding("descriptor", d.Digest, "media type %q, where a %s belongs", t, map[role]string{asConfig: "config", asLayer: "layer"}[as])
	}
	if a := d.ArtifactType; a != "" && manifest.CheckMediaType(a) != nil {
		w.finding("descriptor", d.Digest, "artifact type %q is no media type", a)
	}
	if title, ok := d.Annotations[ocispec.AnnotationTitle]; ok && as != asConfig && as != asSubject {
		if err := checkTitle(title); err != nil {
			w.finding("descriptor", d.Digest, "bad name: title %q %v", title, err)
		}
	}
	for _, u := range d.URLs {
		if manifest.CheckText(u) != nil || strings.ContainsAny(u, " \"<>\\") || u == "" {
			w.finding("descriptor", d.Digest, "%q is no URL", u)
		}
	}
}

// checkName says why s is not a name of an image: OCI image-spec 1.1, annotations.md,
// has letters, digits, slashes and a few signs.
func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("is empty")
	case len(s) > 1024:
		return fmt.Errorf("has %d characters", len(s))
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f }):
		return errors.New("holds characters that are not printable ASCII")
	}
	return manifest.CheckPath(s)
}

// name returns the name of an entry of index.json, which no other may have.
func (w *layoutWalk) name(d ocispec.Descriptor, names map[string]digest.Digest) string {
	ref, named := d.Annotations[ocispec.AnnotationRefName]
	full, fully := d.Annotations[containerdName]
	for _, n := range []struct {
		value string
		there bool
	}{{ref, named}, {full, fully}} {
		if err := checkName(n.value); n.there && err != nil {
			w.finding(ocispec.ImageIndexFile, d.Digest, "bad name: %q %v", n.value, err)
		}
	}
	name := ref
	if fully {
		name = full // ref.name is no more than the tag then
	}
	if name == "" {
		return string(d.Digest)
	}
	if have, ok := names[name]; ok {
		w.finding(name, d.Digest, "ambiguous name: it stands twice, also for %s", have)
	}
	names[name] = d.Digest
	return name
}

// alike finds a second entry of an index for one platform. Entries of index.json may
// have names that tell them apart.
func (w *layoutWalk) alike(at string, d ocispec.Descriptor, name string, platforms map[string]digest.Digest) {
	p := d.Platform
	if p == nil {
		return
	}
	if p.OS == "" || p.Architecture == "" {
		w.finding(at, d.Digest, "its platform has no os or no architecture")
	}
	for _, s := range append([]string{p.OS, p.Architecture, p.Variant, p.OSVersion}, p.OSFeatures...) {
		if s != "" && checkName(s) != nil {
			w.finding(at, d.Digest, "its platform holds %q, which is no name", s)
		}
	}
	if attests(p) {
		return
	}
	q := normal(p)
	key := strings.Join(append([]string{q.OS, q.Architecture, q.Variant, q.OSVersion}, q.OSFeatures...), "\x00")
	if name != string(d.Digest) {
		key += "\x00\x00" + name
	}
	if have, ok := platforms[key]; ok {
		w.finding(at, d.Digest, "ambiguous: for platform %s as %s is", manifest.PlatformOf(p), have)
	}
	platforms[key] = d.Digest
}

// normal returns a platform as runtimes compare it (containerd/platforms, database.go).
func normal(p *ocispec.Platform) ocispec.Platform {
	q := *p
	q.OS, q.Architecture, q.Variant = strings.ToLower(q.OS), strings.ToLower(q.Architecture), strings.ToLower(q.Variant)
	switch q.Architecture {
	case "x86_64", "x86-64":
		q.Architecture = "amd64"
	case "aarch64":
		q.Architecture = "arm64"
	}
	if q.Architecture == "arm64" && (q.Variant == "8" || q.Variant == "v8") {
		q.Variant = ""
	}
	return q
}

// platformOf compares the platform that an index says with that of the config, or with those
// of the images to which the entry leads.
func (w *layoutWalk) platformOf(at string, d ocispec.Descriptor, n *node) {
	if d.Platform == nil {
		return
	}
	says := manifest.PlatformOf(d.Platform)
	if below := n.platforms; len(below) > 0 && !attests(d.Platform) && !slices.Contains(below, osArch(d.Platform)) {
		w.finding(at, d.Digest, "platform mismatch: listed for %s, it leads to images for %s", says, strings.Join(below, ", "))
	}
	if n.platform == nil || !differ(*d.Platform, *n.platform, n.isImage) {
		return
	}
	is := manifest.PlatformOf(n.platform)
	if says == is {
		says, is = says+" "+d.Platform.OSVersion, is+" "+n.platform.OSVersion
	}
	w.finding(at, d.Digest, "platform mismatch: listed for %s, its config is for %q", says, is)
}

// differ says whether a config is for another platform than its descriptor says.
func differ(says, is ocispec.Platform, isImage bool) bool {
	if says.Architecture == "arm64" {
		says.Variant, is.Variant = "", "" // as PlatformOf has it
	}
	other := func(a, b string) bool { return a != b && a != "" && b != "" }
	switch {
	case is.OS == "" && is.Architecture == "" && !isImage, says.OS == "unknown" && is.OS == "":
		return false // an artifact
	case says.OS != is.OS || says.Architecture != is.Architecture:
		return true
	}
	return other(says.Variant, is.Variant) || other(says.OSVersion, is.OSVersion)
}

// attests says whether a platform is that of attestations, one for each platform (BuildKit,
// docs/attestations/attestation-storage.md).
func attests(p *ocispec.Platform) bool { return p.OS == "unknown" && p.Architecture == "unknown" }

func osArch(p *ocispec.Platform) string { return p.OS + "/" + p.Architecture }

// maxPlatforms bounds how many platforms below one index are known; of one with more nothing
// is said.
const maxPlatforms = 64

// leads notes for which platforms the images are to which an index leads.
func (n *node) leads(c *node) {
	below := c.platforms
	if p := c.platform; p != nil && p.OS != "" && p.Architecture != "" && !attests(p) {
		below = []string{osArch(p)}
	}
	for _, p := range below {
		if !slices.Contains(n.platforms, p) {
			n.platforms = append(n.platforms, p)
		}
	}
	if n.many = n.many || c.many || len(n.platforms) > maxPlatforms; n.many {
		n.platforms = nil
	}
}

// config reads a config. That of an image must be one; others need not be JSON.
func (w *layoutWalk) config(ctx context.Context, d ocispec.Descriptor, n *node) error {
	n.isImage = n.form == formImageConfig
	raw, err := w.readJSON(ctx, d)
	if err != nil {
		return err
	}
	if !n.isImage && !bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{")) {
		if n.form == formJSONConfig {
			return errors.New("config: not a JSON object, as its media type says")
		}
		return nil
	}
	if _, err := manifest.ParsePlatform(raw); err != nil {
		return err
	}
	var p ocispec.Platform
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("image config: %w", err)
	}
	if n := len(p.OS) + len(p.Architecture) + len(p.Variant) + len(p.OSVersion); n > maxText {
		return fmt.Errorf("image config: a platform of %d bytes", n)
	}
	n.platform = &ocispec.Platform{OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion}
	return nil
}

// opaque verifies an entry of an index that is of no known type. One that somebody could
// take for a manifest all the same is refused.
func (w *layoutWalk) opaque(ctx context.Context, d ocispec.Descriptor) error {
	raw, err := w.readJSON(ctx, d)
	if err != nil {
		return err
	}
	if manifest.LooksLikeImage(raw) {
		w.partial = true
		return fmt.Errorf("type confusion: media type %q, but the content is a manifest or index", d.MediaType)
	}
	return nil
}
