package nexustest

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
)

// session is an upload under way.
type session struct {
	id   string
	repo string
	mu   sync.Mutex // one request at a time appends
	in   *intake
	over bool
}

var errDigest = errors.New("provided digest did not match uploaded content")

// serveUpload answers requests for upload sessions.
func (x *exchange) serveUpload() {
	if x.docker.ref == "" {
		if x.r.Method != http.MethodPost {
			x.methodNotAllowed("POST")
			return
		}
		x.beginUpload()
		return
	}
	x.s.mu.Lock()
	up := x.s.sessions[x.docker.ref]
	x.s.mu.Unlock()
	if up == nil || up.repo != x.repo {
		x.uploadUnknown()
		return
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if up.over {
		x.uploadUnknown()
		return
	}
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		x.uploadAnswer(up, http.StatusNoContent)
	case http.MethodPatch:
		if x.continues(up) && x.receive(up.in) {
			x.uploadAnswer(up, http.StatusAccepted)
		}
	case http.MethodPut:
		x.finishUpload(up)
	case http.MethodDelete:
		x.s.endSession(up)
		up.in.drop()
		x.status(http.StatusNoContent)
	default:
		x.methodNotAllowed("GET,PATCH,PUT,DELETE")
	}
}

func (x *exchange) uploadUnknown() {
	x.dockerError(orDefault(x.s.opts.Quirks.SessionStatus, http.StatusNotFound), "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry", x.docker.ref)
}

// beginUpload opens a session, or takes a whole blob at once.
func (x *exchange) beginUpload() {
	q, quirks := x.r.URL.Query(), x.s.opts.Quirks
	if x.repository().WritePolicy == "DENY" {
		x.refuseDocker(&refusal{orDefault(quirks.DenyStatus, http.StatusBadRequest), x.repo + " is read-only"})
		return
	}
	if digest := q.Get("digest"); digest != "" && !quirks.NoSinglePost {
		x.takeBlob(digest)
		return
	}
	if mount := q.Get("mount"); mount != "" && quirks.Mount && x.s.lookup(x.repo, blobPath(mount)) != nil {
		x.location(x.docker.image + "/blobs/" + mount)
		x.digestHeader(mount)
		x.status(http.StatusCreated)
		return
	}
	in, err := x.s.disk.newIntake(x.s.prof.computed("docker"))
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	up := &session{id: newUUID(), repo: x.repo, in: in}
	x.s.mu.Lock()
	x.s.sessions[up.id] = up
	x.s.mu.Unlock()
	x.uploadAnswer(up, http.StatusAccepted)
}

// continues says whether a PATCH takes up where the last one ended, as its
// Content-Range tells. Without one it does.
func (x *exchange) continues(up *session) bool {
	first, _, _ := strings.Cut(x.r.Header.Get("Content-Range"), "-")
	if !x.s.opts.Quirks.StrictRange || first == "" || first == strconv.FormatInt(up.in.size, 10) {
		return true
	}
	x.uploadAnswer(up, http.StatusRequestedRangeNotSatisfiable)
	return false
}

// digestInvalid answers that content is not what its digest says.
func (x *exchange) digestInvalid(digest string) {
	x.dockerError(http.StatusBadRequest, orText(x.s.opts.Quirks.DigestCode, "DIGEST_INVALID"), errDigest.Error(), digest)
}

// uploadAnswer tells where an upload stands. The range of an empty one is 0-0
// too, as in the registry specification.
func (x *exchange) uploadAnswer(up *session, status int) {
	x.location(x.docker.image + "/blobs/uploads/" + up.id)
	if !x.s.opts.Quirks.BareUploads {
		x.w.Header()["Docker-Upload-UUID"] = []string{up.id}
		x.w.Header().Set("Range", fmt.Sprintf("0-%d", max(up.in.size-1, 0)))
	}
	if status == http.StatusNoContent {
		x.w.WriteHeader(status)
		return
	}
	x.status(status)
}

// takeBlob is the single-request upload. It answers without a Location.
func (x *exchange) takeBlob(digest string) {
	in, err := x.s.disk.newIntake(x.s.prof.computed("docker"))
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	defer in.drop()
	if !x.receive(in) {
		return
	}
	if x.storeBlob(in, digest) {
		x.blobCreated(digest)
	}
}

// finishUpload appends the last part and stores the blob.
func (x *exchange) finishUpload(up *session) {
	if !x.receive(up.in) {
		return
	}
	x.s.endSession(up)
	defer up.in.drop()
	digest := x.r.URL.Query().Get("digest")
	if x.storeBlob(up.in, digest) {
		x.location(x.docker.image + "/blobs/" + digest)
		x.blobCreated(digest)
	}
}

func (x *exchange) blobCreated(digest string) {
	if !x.s.opts.Quirks.BareUploads {
		x.digestHeader(digest)
	}
	x.status(http.StatusCreated)
}

// endSession forgets an upload. The caller holds up.mu.
func (s *Server) endSession(up *session) {
	up.over = true
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, up.id)
}

// storeBlob checks the digest of what came and keeps it. It answers, and
// returns false, when it does not.
func (x *exchange) storeBlob(in *intake, digest string) bool {
	c, err := in.finish()
	if err == nil && digestOf(c) != digest {
		c.release()
		err = errDigest
	}
	if errors.Is(err, errDigest) {
		x.digestInvalid(digest)
		return false
	}
	if err == nil && c.size == 0 && x.s.opts.Quirks.RefuseEmptyBlobs {
		c.release()
		x.refuseDocker(&refusal{http.StatusBadRequest, "blob is empty"})
		return false
	}
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return false
	}
	x.s.mu.Lock()
	err = x.s.keepBlob(x.s.repos[x.repo], digest, c, x)
	x.s.mu.Unlock()
	if err != nil {
		c.release()
		x.refuseDocker(err)
		return false
	}
	return true
}

// keepBlob stores a blob, unless it is there and the write policy forbids a
// second one: two uploads of one digest that overlap end so. The caller holds s.mu.
func (s *Server) keepBlob(r *repository, digest string, c *content, x *exchange) error {
	if r == nil {
		return &refusal{http.StatusNotFound, "Repository not found"}
	}
	path := blobPath(digest)
	old := r.assets[path]
	if old != nil && !old.lost.Load() {
		s.log.duplicateBlob()
	}
	if err := s.writableDocker(r, path); err != nil {
		return err
	}
	contentType := "application/octet-stream"
	if old != nil {
		contentType = old.contentType
	}
	s.store(r, path, contentType, c, x)
	return nil
}

// writableDocker is writable with the texts of docker repositories. The caller
// holds s.mu.
func (s *Server) writableDocker(r *repository, path string) error {
	err := s.writable(r, path)
	refused, ok := errors.AsType[*refusal](err)
	if !ok || refused.reason != s.prof.redeployText(r.Name, path) {
		return err
	}
	out := &refusal{orDefault(s.opts.Quirks.RedeployStatus, http.StatusBadRequest), refused.reason}
	if s.prof.datastore || s.opts.Quirks.LaterWords {
		out.reason = r.Name + "/" + path + " cannot be updated"
	}
	return out
}
