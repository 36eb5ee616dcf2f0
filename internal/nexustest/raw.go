package nexustest

import (
	"errors"
	"mime"
	"net/http"
	"strings"
)

// serveRaw answers requests for a raw repository.
func (x *exchange) serveRaw() {
	switch x.r.Method {
	case http.MethodGet, http.MethodHead:
		x.getRaw()
	case http.MethodPut:
		x.putRaw()
	case http.MethodDelete:
		x.deleteAsset(http.StatusNoContent)
	default:
		x.methodNotAllowed("GET,HEAD,PUT,DELETE")
	}
}

// methodNotAllowed answers 405.
func (x *exchange) methodNotAllowed(allow string) {
	x.w.Header()["Allow"] = []string{allow}
	x.htmlError(http.StatusMethodNotAllowed, x.r.Method)
}

// getRaw serves a file; a directory is its index.html.
func (x *exchange) getRaw() {
	path := x.path
	a := x.s.lookup(x.repo, path)
	if a == nil && (path == "" || strings.HasSuffix(path, "/")) {
		a = x.s.lookup(x.repo, path+"index.html")
	}
	if a == nil {
		x.htmlError(http.StatusNotFound, x.s.prof.apiPath(path))
		return
	}
	if x.r.Method == http.MethodGet {
		x.w.Header()["Content-Disposition"] = []string{strings.ToLower(x.repository().Disposition)}
	}
	x.serveAsset(a, x.s.prof.datastore)
}

// repository returns the settings of the exchange's repository.
func (x *exchange) repository() Repository {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	if r := x.s.repos[x.repo]; r != nil {
		return r.Repository
	}
	return Repository{}
}

// putRaw stores a file. Whatever refuses it does so after the whole body came.
func (x *exchange) putRaw() {
	if x.storeFile(nil) {
		x.status(http.StatusCreated)
	}
}

// storeFile takes an uploaded file of a raw, yum or helm repository, unless
// check refuses it. It answers, and returns false, when the file is not stored.
func (x *exchange) storeFile(check func(*content) error) bool {
	if x.isForm() {
		x.r.Body = http.NoBody // Jetty took the body for form parameters
	}
	c := x.accept()
	if c == nil {
		return false
	}
	kept := false
	defer func() {
		if !kept {
			c.release()
		}
	}()
	if err := x.vet(x.repository(), x.path, c, check); err != nil {
		return x.refuse(err)
	}
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	err := x.commit(r, c)
	kept = err == nil
	x.s.mu.Unlock()
	if err != nil {
		return x.refuse(err)
	}
	return true
}

// vet says what is wrong with the content of a file; check may be nil.
func (x *exchange) vet(r Repository, path string, c *content, check func(*content) error) error {
	if r.Strict {
		if err := checkContentType(path, c); err != nil {
			return err
		}
	}
	if check != nil {
		return check(c)
	}
	return nil
}

// commit stores c unless a precondition or the write policy is against it. The
// caller holds s.mu.
func (x *exchange) commit(r *repository, c *content) error {
	if r == nil {
		return &refusal{http.StatusNotFound, "Repository not found"}
	}
	if !x.preconditions(r.assets[x.path]) {
		return &refusal{http.StatusPreconditionFailed, "Precondition Failed"}
	}
	if err := x.s.writable(r, x.path); err != nil {
		return err
	}
	x.s.store(r, x.path, contentTypeOf(x.path, x.r.Header.Get("Content-Type")), c, x)
	return nil
}

// refuse answers with the refusal's code and text. It returns false, for its
// callers to return in turn.
func (x *exchange) refuse(err error) bool {
	code, text := http.StatusInternalServerError, err.Error()
	if r, ok := errors.AsType[*refusal](err); ok {
		code, text = r.code, r.reason
	}
	if text == paymentText {
		x.paymentRequired()
		return false
	}
	x.htmlError(code, text)
	return false
}

// isForm says whether the body is declared as a form.
func (x *exchange) isForm() bool { return x.mediaType() == "application/x-www-form-urlencoded" }

// mediaType is what the body is declared as, without parameters.
func (x *exchange) mediaType() string {
	ct, _, _ := mime.ParseMediaType(x.r.Header.Get("Content-Type"))
	return ct
}

// deleteAsset removes the asset of the path.
func (x *exchange) deleteAsset(success int) {
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	found := r != nil && r.assets[x.path] != nil
	ok := found && x.preconditions(r.assets[x.path])
	if ok {
		x.s.remove(r, x.path)
		x.s.changed(r)
	}
	x.s.mu.Unlock()
	switch {
	case !found:
		x.htmlError(http.StatusNotFound, x.s.prof.apiPath(x.path))
	case !ok:
		x.htmlError(http.StatusPreconditionFailed, "Precondition Failed")
	default:
		x.status(success)
	}
}

// paymentText begins the refusal of new components above the usage caps.
const paymentText = "PAYMENT REQUIRED: At current usage levels, Sonatype Nexus Repository Community Edition requires " +
	"a paid license to publish or cache new components."

func (x *exchange) paymentRequired() {
	code := orDefault(x.s.opts.Quirks.CapStatus, http.StatusForbidden)
	x.reason(code, paymentText)
	x.write(code, "text/plain", []byte(paymentText+"\nINSTANCE ID: 00000000-0000-0000-0000-000000000000"))
}
