package nexustest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
)

// maxManifest bounds what is read as a manifest.
const maxManifest = 32 << 20

// manifest is the part of manifests and indexes that the server looks at.
type manifest struct {
	SchemaVersion int         `json:"schemaVersion"`
	MediaType     string      `json:"mediaType"`
	ArtifactType  string      `json:"artifactType"`
	Config        *reference  `json:"config"`
	Layers        []reference `json:"layers"`
	Manifests     []reference `json:"manifests"`
	Subject       *reference  `json:"subject"`
}

type reference struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
}

// plainManifests are the media types that the oldest profile knows as children
// of an index.
var plainManifests = []string{
	"application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"}

// imageConfigs are the media types of the configs of images.
var imageConfigs = []string{"application/vnd.docker.container.image.v1+json", "application/vnd.oci.image.config.v1+json"}

// blobs returns what must be in the repository, without foreign layers.
func (m *manifest) blobs() []reference {
	var out []reference
	if m.Config != nil {
		out = append(out, *m.Config)
	}
	for _, l := range m.Layers {
		if !strings.Contains(l.MediaType, "foreign") && !strings.Contains(l.MediaType, "nondistributable") {
			out = append(out, l)
		}
	}
	return out
}

// serveManifest answers requests for a manifest or an index.
func (x *exchange) serveManifest() {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		a := x.s.lookup(x.repo, x.docker.manifestPath())
		if a == nil {
			x.manifestUnknown()
			return
		}
		x.digestHeader(digestOf(a.content))
		x.serveAsset(a, x.s.prof.datastore)
	case http.MethodPut:
		x.putManifest()
	case http.MethodDelete:
		x.deleteManifest()
	default:
		x.methodNotAllowed("GET,HEAD,PUT,DELETE")
	}
}

func (x *exchange) manifestUnknown() {
	x.absent("MANIFEST_UNKNOWN", "manifest unknown",
		map[string]string{"name": x.docker.image, "reference": x.docker.ref})
}

func (x *exchange) manifestInvalid(detail string) {
	x.dockerError(http.StatusBadRequest, "MANIFEST_INVALID", "manifest invalid", detail)
}

// putManifest stores a manifest whose parts are all there, under its digest
// and, if so asked, under a tag.
func (x *exchange) putManifest() {
	raw, m, ok := x.readManifest()
	if !ok {
		return
	}
	digest := "sha256:" + hexSHA256(raw)
	mediaType := orText(m.MediaType, x.r.Header.Get("Content-Type"))
	if !x.acceptable(m, mediaType, digest) {
		return
	}
	c, err := x.s.disk.save(raw, x.s.prof.computed("docker"))
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	x.s.mu.Lock()
	missing, err := x.s.keepManifest(x, m, c, mediaType)
	if missing != nil || err != nil {
		c.release()
	}
	x.s.mu.Unlock()
	switch {
	case missing != nil:
		if x.s.opts.Quirks.BlobUnknownBare {
			missing = []dockerFault{{"BLOB_UNKNOWN", "blob unknown to registry", nil}}
		}
		x.dockerErrors(orDefault(x.s.opts.Quirks.BlobUnknownStatus, http.StatusBadRequest), missing)
	case err != nil:
		x.refuseDocker(err)
	default:
		x.location(x.docker.image + "/manifests/" + digest)
		x.digestHeader(digest)
		x.status(http.StatusCreated)
	}
}

// readManifest reads the request body. It answers, and returns false, when that
// is no manifest.
func (x *exchange) readManifest() (raw []byte, m *manifest, ok bool) {
	raw, err := io.ReadAll(io.LimitReader(x.r.Body, maxManifest))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		x.proxyError(http.StatusRequestEntityTooLarge, http.StatusText(http.StatusRequestEntityTooLarge))
		return nil, nil, false
	}
	m = &manifest{}
	if err != nil || json.Unmarshal(raw, m) != nil || m.SchemaVersion != 2 {
		x.manifestInvalid("manifest is not valid")
		return nil, nil, false
	}
	return raw, m, true
}

// acceptable answers, and returns false, when the manifest is not what it is
// called or of a kind that the server cannot take.
func (x *exchange) acceptable(m *manifest, mediaType, digest string) bool {
	quirks := x.s.opts.Quirks
	strange := func(r reference) bool { return !slices.Contains(plainManifests, r.MediaType) }
	switch {
	case isDigest(x.docker.ref) && x.docker.ref != digest:
		x.digestInvalid(x.docker.ref)
	case quirks.RefuseOCI && strings.HasPrefix(mediaType, "application/vnd.oci."):
		x.manifestInvalid("unsupported media type " + mediaType)
	case quirks.RefuseArtifacts && m.Config != nil && !slices.Contains(imageConfigs, m.Config.MediaType):
		x.manifestInvalid("unsupported config type " + m.Config.MediaType)
	case quirks.IndexNPE && slices.ContainsFunc(m.Manifests, strange):
		x.htmlError(http.StatusInternalServerError, "Cannot get property 'digest' on null object")
	default:
		return true
	}
	return false
}

// keepManifest checks parts and write policy and stores the manifest. The
// caller holds s.mu.
func (s *Server) keepManifest(x *exchange, m *manifest, c *content, mediaType string) ([]dockerFault, error) {
	r := s.repos[x.repo]
	if r == nil {
		return nil, &refusal{http.StatusNotFound, "Repository not found"}
	}
	if missing := missingParts(r, x.docker.image, m); missing != nil {
		return missing, nil
	}
	byDigest, byRef := manifestPath(x.docker.image, digestOf(c)), x.docker.manifestPath()
	if err := s.tagWritable(r, byDigest, byRef, x.docker.ref); err != nil {
		return nil, err
	}
	for _, part := range m.blobs() {
		if p := blobPath(part.Digest); isImageType(part.MediaType) {
			r.assets[p] = r.assets[p].withType(part.MediaType)
		}
	}
	if old := r.assets[byDigest]; old == nil || byRef == byDigest || old.lost.Load() {
		s.store(r, byDigest, mediaType, c, x)
	}
	if byRef != byDigest {
		s.store(r, byRef, mediaType, c, x)
	}
	return nil, nil
}

// isImageType tells the layer types that are served under their own name.
func isImageType(t string) bool {
	return strings.HasPrefix(t, "application/vnd.docker.") || strings.HasPrefix(t, "application/vnd.oci.image.")
}

// missingParts lists the blobs, and the children under the same image name,
// that the manifest needs and the repository lacks.
func missingParts(r *repository, image string, m *manifest) []dockerFault {
	var out []dockerFault
	need := func(path, digest string) {
		if a := r.assets[path]; a == nil || a.lost.Load() {
			out = append(out, dockerFault{"BLOB_UNKNOWN", "blob unknown to registry", digest})
		}
	}
	for _, b := range m.blobs() {
		need(blobPath(b.Digest), b.Digest)
	}
	for _, child := range m.Manifests {
		need(manifestPath(image, child.Digest), child.Digest)
	}
	return out
}

// tagWritable applies the write policy. OrientDB servers count the manifest's
// digest as an asset that a second tag updates. The caller holds s.mu.
func (s *Server) tagWritable(r *repository, byDigest, byRef, ref string) error {
	if ref == "latest" && r.LatestPolicy && s.prof.datastore && r.WritePolicy == "ALLOW_ONCE" {
		return nil
	}
	if !s.prof.datastore {
		if err := s.writableDocker(r, byDigest); err != nil {
			return err
		}
	}
	return s.writableDocker(r, byRef)
}

// deleteManifest removes a tag, or a digest with every tag of it.
func (x *exchange) deleteManifest() {
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	a := x.s.find(r, x.docker.manifestPath())
	if a != nil && isDigest(x.docker.ref) {
		for _, tag := range r.tagsOf(x.docker.image) {
			if p := manifestPath(x.docker.image, tag); digestOf(r.assets[p].content) == x.docker.ref {
				x.s.remove(r, p)
			}
		}
	}
	ok := a != nil && x.s.remove(r, x.docker.manifestPath())
	x.s.mu.Unlock()
	if !ok {
		x.manifestUnknown()
		return
	}
	x.status(http.StatusAccepted)
}
