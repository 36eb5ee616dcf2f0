package serve

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"airbundle/manifest"
)

// serveRegistry answers the pull side of the OCI distribution specification 1.1.
// prefix is what stands before /v2, rest what stands behind it.
func (s *Server) serveRegistry(w http.ResponseWriter, r *http.Request, images *catalog, prefix, rest string) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if !isRead(r) {
		w.Header().Set("Allow", allowed)
		registryError(w, r, http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry is read-only", r.Method)
		return
	}
	rest = strings.TrimPrefix(rest, "/")
	switch rest {
	case "":
		writeJSON(w, r, http.StatusOK, "application/json", struct{}{})
		return
	case "_catalog":
		if page, ok := paginate(w, r, prefix+"/v2/_catalog", images.names); ok {
			writeJSON(w, r, http.StatusOK, "application/json", map[string][]string{"repositories": page})
		}
		return
	}
	name, kind, ref := splitEndpoint(rest)
	repo := images.find(name, r.URL.Query().Get("ns"))
	switch {
	case repo == nil:
		registryError(w, r, http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry", map[string]string{"name": name})
	case kind == "manifests":
		s.serveManifest(w, r, repo, ref)
	case kind == "blobs":
		s.serveImageBlob(w, r, repo, ref)
	case kind == "referrers":
		serveReferrers(w, r, ref)
	default: // tags
		tags := slices.Sorted(maps.Keys(repo.tags))
		if page, ok := paginate(w, r, prefix+"/v2/"+name+"/tags/list", tags); ok {
			writeJSON(w, r, http.StatusOK, "application/json", struct {
				Name string   `json:"name"`
				Tags []string `json:"tags"`
			}{name, page})
		}
	}
}

// splitEndpoint takes <name>/<kind>/<ref> apart, from the end, because a name may
// have a part that is called manifests. The name is empty when it is no endpoint.
func splitEndpoint(p string) (name, kind, ref string) {
	parts := strings.Split(p, "/")
	if len(parts) < 3 {
		return "", "", ""
	}
	kind, ref = parts[len(parts)-2], parts[len(parts)-1]
	known := kind == "manifests" || kind == "blobs" || kind == "referrers" || kind == "tags" && ref == "list"
	if !known {
		return "", "", ""
	}
	return strings.Join(parts[:len(parts)-2], "/"), kind, ref
}

func (s *Server) serveManifest(w http.ResponseWriter, r *http.Request, repo *repository, ref string) {
	desc, ok := repo.tags[ref]
	if !ok {
		desc, ok = repo.manifests[digest.Digest(ref)]
	}
	if !ok {
		registryError(w, r, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry", map[string]string{"reference": ref})
		return
	}
	w.Header().Set("Docker-Content-Digest", string(desc.Digest))
	s.serveBlob(w, r, desc, desc.MediaType)
}

func (s *Server) serveImageBlob(w http.ResponseWriter, r *http.Request, repo *repository, ref string) {
	desc, ok := repo.blobs[digest.Digest(ref)]
	if !ok {
		registryError(w, r, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry", map[string]string{"digest": ref})
		return
	}
	w.Header().Set("Docker-Content-Digest", ref)
	s.serveBlob(w, r, desc, manifest.MediaTypeFile)
}

// serveReferrers says that nothing refers to a digest. The specification wants that
// answer also for a digest that is not there, and 400 for one that is malformed.
func serveReferrers(w http.ResponseWriter, r *http.Request, ref string) {
	if err := digest.Digest(ref).Validate(); err != nil {
		registryError(w, r, http.StatusBadRequest, "DIGEST_INVALID", err.Error(), ref)
		return
	}
	writeJSON(w, r, http.StatusOK, ocispec.MediaTypeImageIndex, ocispec.Index{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{},
	})
}

// paginate cuts one page out of a sorted list by the parameters n and last, and sets
// Link when more follows. It answers itself, and returns false, when n is no number.
func paginate(w http.ResponseWriter, r *http.Request, self string, all []string) ([]string, bool) {
	q := r.URL.Query()
	if last := q.Get("last"); last != "" {
		at, found := slices.BinarySearch(all, last)
		if found {
			at++
		}
		all = all[at:]
	}
	if !q.Has("n") {
		return nonNil(all), true
	}
	n, err := strconv.Atoi(q.Get("n"))
	if err != nil || n < 0 {
		registryError(w, r, http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n is not a count", q.Get("n"))
		return nil, false
	}
	if n < len(all) {
		all = all[:n]
		if n > 0 {
			next := url.URL{Path: self, RawQuery: url.Values{"n": {q.Get("n")}, "last": {all[n-1]}}.Encode()}
			w.Header().Set("Link", "<"+next.String()+`>; rel="next"`)
		}
	}
	return nonNil(all), true
}

// nonNil makes nil an empty list: JSON would write null.
func nonNil(list []string) []string {
	return append([]string{}, list...)
}

// registryError answers in the error form of the specification.
func registryError(w http.ResponseWriter, r *http.Request, status int, code, message string, detail any) {
	type one struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Detail  any    `json:"detail,omitempty"`
	}
	writeJSON(w, r, status, "application/json", map[string][]one{"errors": {{code, message, detail}}})
}

func writeJSON(w http.ResponseWriter, r *http.Request, status int, mediaType string, v any) {
	raw, err := json.Marshal(v)
	if err != nil {
		http.Error(w, fmt.Sprintf("encode answer: %v", err), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", mediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(raw)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(raw)
	}
}
