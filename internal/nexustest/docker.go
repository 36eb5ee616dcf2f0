package nexustest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
)

// dockerKind says what a registry path is about.
type dockerKind int

const (
	dockerNothing dockerKind = iota
	dockerPing
	dockerToken
	dockerCatalog
	dockerTags
	dockerReferrers
	dockerBlob
	dockerUpload
	dockerManifest
)

// dockerTarget is a parsed registry path.
type dockerTarget struct {
	kind  dockerKind
	image string
	ref   string // tag, digest or upload session
}

func (t dockerTarget) route() Route {
	switch t.kind {
	case dockerNothing:
		return RouteOther
	case dockerBlob:
		return RouteBlob
	case dockerUpload:
		return RouteUpload
	case dockerManifest:
		return RouteManifest
	}
	return RouteDocker
}

// parseDocker reads a path below a docker repository, such as
// v2/team/app/manifests/1.0.
func parseDocker(path string) dockerTarget {
	rest, ok := strings.CutPrefix(path, "v2")
	if !ok || rest != "" && rest[0] != '/' {
		return dockerTarget{}
	}
	switch rest {
	case "", "/":
		return dockerTarget{kind: dockerPing}
	case "/token":
		return dockerTarget{kind: dockerToken}
	case "/_catalog":
		return dockerTarget{kind: dockerCatalog}
	}
	rest = rest[1:]
	if image, ok := strings.CutSuffix(rest, "/blobs/uploads"); ok {
		return dockerTarget{kind: dockerUpload, image: image}
	}
	for _, p := range []struct {
		mark string
		kind dockerKind
	}{
		{"/blobs/uploads/", dockerUpload}, {"/blobs/", dockerBlob}, {"/manifests/", dockerManifest},
		{"/referrers/", dockerReferrers}, {"/tags/list", dockerTags},
	} {
		if i := strings.LastIndex(rest, p.mark); i > 0 {
			return dockerTarget{kind: p.kind, image: rest[:i], ref: rest[i+len(p.mark):]}
		}
	}
	return dockerTarget{}
}

// Asset paths of a docker repository.
func blobPath(digest string) string         { return "v2/-/blobs/" + digest }
func manifestPath(image, ref string) string { return "v2/" + image + "/manifests/" + ref }
func (t dockerTarget) manifestPath() string { return manifestPath(t.image, t.ref) }

func isDigest(ref string) bool              { return strings.HasPrefix(ref, "sha256:") }
func digestOf(c *content) string            { return "sha256:" + c.sums["sha256"] }
func (x *exchange) digestHeader(sum string) { x.w.Header().Set("Docker-Content-Digest", sum) }
func (x *exchange) location(below string)   { x.w.Header().Set("Location", x.locationBase()+below) }

// locationBase is what Location headers begin with: the prefix of the main port
// is missing, as in Nexus, unless the repository is reached by path routing.
func (x *exchange) locationBase() string {
	if x.connector == "" && x.prefix == "" {
		if x.s.opts.Quirks.PathLocation {
			return x.s.opts.ContextPath + "/v2/"
		}
		return x.s.opts.ContextPath + "/v2/" + x.repo + "/"
	}
	if x.s.opts.Quirks.LocationPrefix {
		return x.prefix + "/v2/"
	}
	return "/v2/"
}

// serveDocker answers requests for a docker repository.
func (x *exchange) serveDocker() {
	kind := x.repository().Type
	switch {
	case x.docker.kind == dockerNothing:
		x.noSuchPage()
	case x.isWrite() && kind == "proxy":
		x.dockerError(http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.", nil)
	case x.isWrite() && kind == "group":
		x.dockerError(orDefault(x.s.opts.Quirks.GroupStatus, http.StatusForbidden), "DENIED",
			"Deploying to groups is a PRO-licensed feature. See https://links.sonatype.com/product-nexus-repository", nil)
	case x.docker.kind == dockerUpload:
		x.serveUpload()
	case x.docker.kind == dockerBlob:
		x.serveBlob()
	case x.docker.kind == dockerManifest:
		x.serveManifest()
	case x.isWrite():
		x.methodNotAllowed("GET,HEAD")
	case x.docker.kind == dockerPing:
		x.ping()
	case x.docker.kind == dockerCatalog:
		x.listCatalog()
	case x.docker.kind == dockerTags:
		x.listTags()
	default:
		x.listReferrers()
	}
}

func (x *exchange) ping() {
	body := "{}"
	if x.s.opts.Quirks.EmptyPing {
		body = ""
	}
	x.write(http.StatusOK, "application/json", []byte(body))
}

// pingAll is the ping of path routing, which is for no repository yet.
func (x *exchange) pingAll() {
	switch {
	case x.isWrite():
		x.methodNotAllowed("GET,HEAD")
	case x.user == nil && !x.guest:
		x.unauthorized()
	default:
		x.ping()
	}
}

// absent answers 404 with a registry error.
func (x *exchange) absent(code, message string, detail any) {
	if x.s.opts.Quirks.BareNotFound {
		x.htmlError(http.StatusNotFound, "Not Found")
		return
	}
	x.dockerError(http.StatusNotFound, code, message, detail)
}

// serveBlob answers requests for a blob, which every image name finds.
func (x *exchange) serveBlob() {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodDelete:
		x.deleteBlob()
		return
	default:
		x.methodNotAllowed("GET,HEAD,DELETE")
		return
	}
	a := x.s.lookup(x.repo, blobPath(x.docker.ref))
	if a == nil {
		x.absent("BLOB_UNKNOWN", "blob unknown to registry", x.docker.ref)
		return
	}
	x.digestHeader(x.docker.ref)
	x.w.Header().Set("Accept-Ranges", "bytes")
	x.serveAsset(a, x.s.prof.datastore)
}

func (x *exchange) deleteBlob() {
	if !x.s.opts.Quirks.DeleteBlobs {
		x.dockerError(http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.", nil)
		return
	}
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	ok := r != nil && x.s.remove(r, blobPath(x.docker.ref))
	x.s.mu.Unlock()
	if !ok {
		x.absent("BLOB_UNKNOWN", "blob unknown to registry", x.docker.ref)
		return
	}
	x.status(http.StatusAccepted)
}

// dockerFault is one error of a registry answer.
type dockerFault struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Detail  any    `json:"detail"`
}

// dockerError answers with one registry error.
func (x *exchange) dockerError(status int, code, message string, detail any) {
	x.dockerErrors(status, []dockerFault{{code, message, detail}})
}

func (x *exchange) dockerErrors(status int, faults []dockerFault) {
	body, err := json.Marshal(map[string]any{"errors": faults})
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	if x.r.Method == http.MethodHead {
		body = nil
	}
	x.write(status, "application/json", body)
}

// refuseDocker answers with a write policy's refusal.
func (x *exchange) refuseDocker(err error) {
	code, text := http.StatusBadRequest, err.Error()
	if r, ok := errors.AsType[*refusal](err); ok {
		code = r.code
		if text = r.reason; text == paymentText {
			x.paymentRequired()
			return
		}
	}
	x.dockerError(code, "BLOB_UPLOAD_INVALID", "blob upload invalid", text)
}
