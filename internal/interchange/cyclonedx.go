package interchange

import (
	"bytes"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/distribution/reference"
	"github.com/google/uuid"
	"github.com/opencontainers/go-digest"

	"airbundle/internal/lockfile"
	"airbundle/manifest"
)

// exportCycloneDX writes a bill of materials (cyclonedx.org), in the newest version
// of the specification that the library has. Its serial number is a UUID of version 5
// of the lock's digest, and it holds no time: equal locks have equal bills. Package
// URLs are those of the purl specification (package-url/purl-spec): rpm, oci, helm, and
// generic for files, each with its checksum.
func exportCycloneDX(l *lockfile.Lock) ([]byte, error) {
	bom := cdx.NewBOM()
	id := l.Digest()
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, []byte("urn:airbundle:lock:"+id)).URN()
	bom.Metadata = &cdx.Metadata{
		Tools:     &cdx.ToolsChoice{Components: &[]cdx.Component{{Type: cdx.ComponentTypeApplication, Name: "airbundle"}}},
		Component: &cdx.Component{BOMRef: "lock", Type: cdx.ComponentTypeApplication, Name: l.Name, Version: string(id)},
	}
	all := components(l)
	slices.SortStableFunc(all, func(a, b cdx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	bom.Components = &all
	refs := make([]string, 0, len(all))
	for _, c := range all {
		refs = append(refs, c.BOMRef)
	}
	bom.Dependencies = &[]cdx.Dependency{{Ref: "lock", Dependencies: &refs}}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).SetEscapeHTML(false).Encode(bom); err != nil {
		return nil, fmt.Errorf("CycloneDX: %w", err)
	}
	return b.Bytes(), nil
}

func components(l *lockfile.Lock) []cdx.Component {
	var all []cdx.Component
	for _, i := range l.Images {
		all = append(all, imageComponent(i))
	}
	for _, p := range l.RPMs {
		_, versionRelease, hasEpoch := strings.Cut(p.EVR, ":")
		q := qualifiers{"arch": p.Arch, "checksum": string(p.Digest)}
		if hasEpoch {
			q["epoch"], _, _ = strings.Cut(p.EVR, ":")
		} else {
			versionRelease = p.EVR
		}
		all = append(all, cdx.Component{
			BOMRef: "rpm:" + p.Path(), Type: cdx.ComponentTypeLibrary, Name: p.Name, Version: p.EVR, Hashes: hashes(p.Digest),
			PackageURL: purl("rpm", "", p.Name, versionRelease, q), ExternalReferences: downloads(p.URLs), Properties: properties("repository", p.Repo, "size", size(p.Size)),
		})
	}
	for _, f := range l.Files {
		dir, name := path.Split(f.Path)
		all = append(all, cdx.Component{
			BOMRef: "file:" + f.Path, Type: cdx.ComponentTypeFile, Name: f.Path, Hashes: hashes(f.Digest),
			PackageURL:         purl("generic", strings.Trim(dir, "/"), name, "", qualifiers{"checksum": string(f.Digest), "download_url": first(f.URLs)}),
			ExternalReferences: downloads(f.URLs), Properties: properties("arch", f.Arch, "size", size(f.Size)),
		})
	}
	for _, c := range l.Charts {
		all = append(all, cdx.Component{
			BOMRef: "chart:" + c.File(), Type: cdx.ComponentTypeApplication, Name: c.Name, Version: c.Version, Hashes: hashes(c.Digest),
			PackageURL: purl("helm", "", c.Name, c.Version, qualifiers{"checksum": string(c.Digest)}), ExternalReferences: downloads(c.URLs), Properties: properties("size", size(c.Size)),
		})
	}
	return all
}

// imageComponent is an image with its platforms. The hash is that of its manifest or
// index, which is also its version.
func imageComponent(i lockfile.Image) cdx.Component {
	c := cdx.Component{BOMRef: "image:" + i.Source, Type: cdx.ComponentTypeContainer, Name: i.Source, Version: string(i.Digest), Hashes: hashes(i.Digest)}
	repository, tag := "", ""
	name := i.Source
	if named, err := reference.ParseNormalizedNamed(i.Source); err == nil && !i.Local() {
		repository, name = named.Name(), named.Name()
		if t, ok := reference.TagNameOnly(named).(reference.Tagged); ok {
			tag = t.Tag()
		}
		c.Name = named.Name()
	} else if len(i.Publish) > 0 {
		name, tag = manifest.SplitReference(i.Publish[0])
	}
	image := func(d digest.Digest, arch string) string {
		return purl("oci", "", strings.ToLower(path.Base(name)), string(d), qualifiers{"repository_url": repository, "tag": tag, "arch": arch})
	}
	c.PackageURL = image(i.Digest, "")
	var platforms []cdx.Component
	for _, p := range slices.Sorted(maps.Keys(i.Platforms)) {
		d := i.Platforms[p]
		platforms = append(platforms, cdx.Component{
			BOMRef: c.BOMRef + " " + p, Type: cdx.ComponentTypeContainer, Name: c.Name, Version: string(d), Hashes: hashes(d),
			PackageURL: image(d, manifest.GoArch(manifest.ArchOf(p))), Properties: properties("platform", p),
		})
	}
	c.Components = &platforms
	c.Properties = properties("publish", strings.Join(i.Publish, " "))
	return c
}

func hashes(d digest.Digest) *[]cdx.Hash {
	return &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: d.Encoded()}}
}

func size(n int64) string { return fmt.Sprint(n) }

// properties gives names and values in pairs, without those that have no value.
func properties(pairs ...string) *[]cdx.Property {
	var out []cdx.Property
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, cdx.Property{Name: "airbundle:" + pairs[i], Value: pairs[i+1]})
		}
	}
	if out == nil {
		return nil
	}
	return &out
}

// public tells the URLs that a bill may show: those of servers, without a query, which
// may hold a secret.
func public(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https" || u.Scheme == "oci") && u.RawQuery == "" && u.User == nil
}

func first(urls []string) string {
	if i := slices.IndexFunc(urls, public); i >= 0 {
		return urls[i]
	}
	return ""
}

func downloads(urls []string) *[]cdx.ExternalReference {
	var out []cdx.ExternalReference
	for _, u := range urls {
		if public(u) {
			out = append(out, cdx.ExternalReference{Type: cdx.ERTypeDistribution, URL: u})
		}
	}
	if out == nil {
		return nil
	}
	return &out
}

// qualifiers of a package URL; those without value are left out.
type qualifiers map[string]string

// purl writes a package URL in its canonical form. The namespace may have several
// segments.
func purl(kind, namespace, name, version string, q qualifiers) string {
	var b strings.Builder
	b.WriteString("pkg:" + kind + "/")
	if namespace != "" {
		for segment := range strings.SplitSeq(namespace, "/") {
			b.WriteString(escape(segment, "") + "/")
		}
	}
	b.WriteString(escape(name, ""))
	if version != "" {
		b.WriteString("@" + escape(version, ":"))
	}
	sign := "?"
	for _, key := range slices.Sorted(maps.Keys(q)) {
		if q[key] != "" {
			b.WriteString(sign + key + "=" + escape(q[key], ":/"))
			sign = "&"
		}
	}
	return b.String()
}

// escape percent-encodes all but letters, digits, -._~ and what is in keep.
func escape(s, keep string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~"+keep, c) >= 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
