// Package manifest describes the root of a bundle: what an airbundle archive
// contains, and how every byte of the archive follows from one digest.
//
// A bundle has a root, an OCI artifact manifest, whose config is the [Table]: a
// JSON document that lists every artifact (images, RPMs, files, charts) and every
// blob with media type and size. The root's digest is the bundle's identity.
// From root and table follow, by pure functions, the archive's index.json
// ([Bundle.Index]), the artifact manifests that let other tools take RPMs and
// files out by name ([Bundle.Generated]), and the order of all blobs
// ([Bundle.Blobs]).
//
// Use [New] to make a bundle from a table, [Open] to read one from the bytes of
// its root and table. The package is pure: it reads no file and opens no socket.
// The format is specified in docs/format.md.
package manifest

import (
	"iter"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Media types and artifact types of the format, version 1.
const (
	MediaTypeTable = "application/vnd.airbundle.table.v1+json"
	MediaTypeRPM   = "application/x-rpm"
	MediaTypeFile  = "application/octet-stream"
	MediaTypeChart = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"

	MediaTypeModules    = "application/vnd.airbundle.modules.v1+yaml"
	MediaTypeComps      = "application/vnd.airbundle.comps.v1+xml"
	MediaTypeUpdateinfo = "application/vnd.airbundle.updateinfo.v1+xml"

	ArtifactTypeBundle = "application/vnd.airbundle.bundle.v1"
	ArtifactTypeRPMs   = "application/vnd.airbundle.rpms.v1"
	ArtifactTypeFiles  = "application/vnd.airbundle.files.v1"
	ArtifactTypeChart  = "application/vnd.airbundle.chart.v1"
)

// Bounds of reading, in bytes.
const (
	MaxImageJSON    = 4 << 20  // an image manifest, index or config
	MaxRootManifest = 64 << 10 // the root, which holds two descriptors
	MaxTable        = 16 << 20 // table and index.json, each
	MaxMetadata     = 32 << 20 // a slice of repository metadata
)

// maxSetLayers is how many RPMs or files one artifact manifest lists at most.
const maxSetLayers = 2000

// A Table is the bundle's table of contents. Lists are sorted bytewise: images by
// name, RPMs by repo, name, EVR and arch, files by path, charts by name and
// version, metadata by repo and type, absences by name, arch and reason, keys by ID,
// blobs in archive order. It holds no URL and no local path.
type Table struct {
	Name    string        `json:"name"`
	Serial  int64         `json:"serial,omitempty"`  // rises with each release of the name
	Expires string        `json:"expires,omitempty"` // RFC 3339, in UTC and whole seconds
	Lock    digest.Digest `json:"lock"`              // of the lock's canonical encoding
	Arches  []string      `json:"arches"`            // x86_64, aarch64: what was selected
	Groups  []string      `json:"groups,omitempty"`  // selection; empty means all
	Images  []Image       `json:"images,omitempty"`
	RPMs    []RPM         `json:"rpms,omitempty"`
	Files   []File        `json:"files,omitempty"`
	Charts  []Chart       `json:"charts,omitempty"`

	Metadata []Metadata `json:"metadata,omitempty"`
	Absent   []Absent   `json:"absent,omitempty"`
	Keys     []Key      `json:"keys,omitempty"`
	Blobs    []Blob     `json:"blobs"`
}

// An Image is one container image, of one or several platforms.
type Image struct {
	Name      string        `json:"name"`               // full reference: registry.k8s.io/pause:3.2
	Digest    digest.Digest `json:"digest"`             // of the carried manifest or index
	Original  digest.Digest `json:"original,omitempty"` // of the source's index, where platforms were dropped
	Platforms []Platform    `json:"platforms"`
	Publish   []string      `json:"publish,omitempty"` // names at the target, repository:tag
	Groups    []string      `json:"groups,omitempty"`
}

// fromDisk says whether the image has no name but the first one at the target.
func (m Image) fromDisk() bool { return len(m.Publish) > 0 && m.Publish[0] == m.Name }

// A Platform is one carried platform of an image.
type Platform struct {
	Platform string        `json:"platform"` // linux/amd64
	Digest   digest.Digest `json:"digest"`   // of its image manifest
}

// An RPM is one package in one repository of the target.
type RPM struct {
	Name     string        `json:"name"`
	EVR      string        `json:"evr"`      // [epoch:]version-release
	Arch     string        `json:"arch"`     // of the package; may be noarch or i686
	BaseArch string        `json:"basearch"` // of the set it belongs to
	Repo     string        `json:"repo"`     // repository path at the target
	Digest   digest.Digest `json:"digest"`
	Signer   string        `json:"signer,omitempty"`   // key id or fingerprint
	Unsigned string        `json:"unsigned,omitempty"` // why an unsigned package was accepted
	Groups   []string      `json:"groups,omitempty"`
}

// File returns the package's file name.
func (r RPM) File() string { return RPMFile(r.Name, r.EVR, r.Arch) }

// RPMFile returns the file name of a package, <name>-<version>-<release>.<arch>.rpm.
// The epoch of its EVR is not part of it.
func RPMFile(name, evr, arch string) string {
	if _, versionRelease, ok := strings.Cut(evr, ":"); ok {
		evr = versionRelease
	}
	return name + "-" + evr + "." + arch + ".rpm"
}

// Path returns the package's path at the target, below the yum repository.
func (r RPM) Path() string { return r.Repo + "/" + r.File() }

// NEVRA returns the package's full name.
func (r RPM) NEVRA() string { return NEVRA(r.Name, r.EVR, r.Arch) }

// NEVRA returns the full name of a package, <name>-[epoch:]<version>-<release>.<arch>.
func NEVRA(name, evr, arch string) string { return name + "-" + evr + "." + arch }

// A File is one plain file.
type File struct {
	Path   string        `json:"path"` // below the raw repository
	Digest digest.Digest `json:"digest"`
	Arch   string        `json:"arch,omitempty"`
	Groups []string      `json:"groups,omitempty"`
}

// A Chart is one Helm chart.
type Chart struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Digest  digest.Digest `json:"digest"`
	Groups  []string      `json:"groups,omitempty"`
}

// File returns the chart's file name.
func (c Chart) File() string { return ChartFile(c.Name, c.Version) }

// ChartFile returns the file name of a chart, <name>-<version>.tgz.
func ChartFile(name, version string) string { return name + "-" + version + ".tgz" }

// A Metadata is a slice of repository metadata that belongs to the RPMs of one repository
// of the target: what its clients need to know beside the packages.
type Metadata struct {
	Repo   string        `json:"repo"` // as that of the RPMs
	Type   string        `json:"type"` // modules, comps or updateinfo
	Digest digest.Digest `json:"digest"`
}

// The types of metadata, as repomd.xml calls them but for comps, which is "group" there.
const (
	MetadataModules    = "modules"
	MetadataComps      = "comps"
	MetadataUpdateinfo = "updateinfo"
)

// Path returns the name under which a slice is carried beside its repository's RPMs:
// <repo>/modules.yaml, <repo>/comps.xml or <repo>/updateinfo.xml. No RPM has such a name.
func (m Metadata) Path() string {
	if m.Type == MetadataModules {
		return m.Repo + "/" + m.Type + ".yaml"
	}
	return m.Repo + "/" + m.Type + ".xml"
}

// MediaType returns the media type of a slice, empty for a type that is none.
func (m Metadata) MediaType() string {
	switch m.Type {
	case MetadataModules:
		return MediaTypeModules
	case MetadataComps:
		return MediaTypeComps
	case MetadataUpdateinfo:
		return MediaTypeUpdateinfo
	}
	return ""
}

// An Absent says that an artifact does not exist for an arch, and why.
type Absent struct {
	Name string `json:"name"`
	Arch string `json:"arch"`
	Why  string `json:"why"`
}

// A Key is a public key that RPM signatures were checked against.
type Key struct {
	ID    string `json:"id"`
	Armor string `json:"armor"`
}

// A Blob is one entry below blobs/ of the archive.
type Blob struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// Descriptor returns the blob's OCI descriptor.
func (b Blob) Descriptor() ocispec.Descriptor {
	return ocispec.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}
}

// Kind is the kind of an artifact.
type Kind string

// The kinds of artifacts.
const (
	KindImage Kind = "image"
	KindRPM   Kind = "rpm"
	KindFile  Kind = "file"
	KindChart Kind = "chart"

	KindMetadata Kind = "metadata"
)

// An Artifact is what all kinds have in common: one line of a report. The rest of it
// is in the table, where Index points.
type Artifact struct {
	Kind   Kind
	Name   string // reference, path of the RPM, file or metadata, or name-version of the chart
	Arch   string // x86_64, aarch64; empty for images, which have platforms, charts, metadata, and files for every arch
	Digest digest.Digest
	Groups []string
	Index  int // in the table's list of its kind
}

// Artifacts lists all artifacts in the table's order: images, RPMs, files, charts, metadata.
func (t *Table) Artifacts() []Artifact { return slices.Collect(t.EachArtifact()) }

// EachArtifact yields all artifacts in the order of Artifacts.
func (t *Table) EachArtifact() iter.Seq[Artifact] {
	return func(yield func(Artifact) bool) {
		_ = each(t.Images, yield, func(m *Image, i int) Artifact { return Artifact{KindImage, m.Name, "", m.Digest, m.Groups, i} }) &&
			each(t.RPMs, yield, func(r *RPM, i int) Artifact { return Artifact{KindRPM, r.Path(), r.BaseArch, r.Digest, r.Groups, i} }) &&
			each(t.Files, yield, func(f *File, i int) Artifact { return Artifact{KindFile, f.Path, f.Arch, f.Digest, f.Groups, i} }) &&
			each(t.Charts, yield, func(c *Chart, i int) Artifact {
				return Artifact{KindChart, c.Name + "-" + c.Version, "", c.Digest, c.Groups, i}
			}) &&
			each(t.Metadata, yield, func(m *Metadata, i int) Artifact { return Artifact{KindMetadata, m.Path(), "", m.Digest, nil, i} })
	}
}

// each yields what artifact makes of each one of a list; false when it was stopped.
func each[T any](list []T, yield func(Artifact) bool, artifact func(one *T, i int) Artifact) bool {
	for i := range list {
		if !yield(artifact(&list[i], i)) {
			return false
		}
	}
	return true
}

// IsJSON says whether a blob stands among the archive's JSON entries, before the
// large ones: its media type ends in +json and it is small enough to be image JSON,
// or it is a table.
func IsJSON(mediaType string, size int64) bool {
	return mediaType == MediaTypeTable || strings.HasSuffix(mediaType, "+json") && size <= MaxImageJSON
}

// IsIndex says whether a media type is that of an image index or a Docker manifest list.
func IsIndex(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageIndex || mediaType == MediaTypeDockerList
}

// IsManifest says whether a media type is that of an image manifest, OCI or Docker schema 2.
func IsManifest(mediaType string) bool {
	return mediaType == ocispec.MediaTypeImageManifest || mediaType == MediaTypeDockerManifest
}

// Media types of Docker's image format, schema 2
// (distribution/distribution, docs/content/spec/manifest-v2-2.md).
const (
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
)
