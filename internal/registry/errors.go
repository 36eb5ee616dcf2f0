package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/digestio"
	"airbundle/internal/httpx"
)

// maxErrorBody bounds what is read of an error's JSON, which may name each
// missing blob of a manifest.
const maxErrorBody = 64 << 10

// refusedCode is the exit code of what a remote refuses: that of report.ClassRefused,
// a package of the same layer.
const refusedCode = 7

// ErrReadOnly says that the server takes no writes now, whoever asks.
var ErrReadOnly error = readOnlyError{}

type readOnlyError struct{}

func (readOnlyError) Error() string { return "the server is read-only" }
func (readOnlyError) ExitCode() int { return refusedCode }

// A NotFoundError is a 404: errors.Is(err, errdef.ErrNotFound) holds for it.
type NotFoundError struct{ Err error }

func (e *NotFoundError) Error() string { return "not found: " + e.Err.Error() }

// Is makes the error one of errdef.ErrNotFound.
func (e *NotFoundError) Is(target error) bool { return target == errdef.ErrNotFound }

// Unwrap returns the server's answer.
func (e *NotFoundError) Unwrap() error { return e.Err }

// An UnknownBlobError says that a manifest was refused because the registry does
// not have what it refers to. Digests is empty when the registry does not tell.
type UnknownBlobError struct {
	Digests []digest.Digest
	Err     error
}

func (e *UnknownBlobError) Error() string {
	return fmt.Sprintf("the registry does not know %d of the blobs %v: %v", len(e.Digests), e.Digests, e.Err)
}

// Unwrap returns the registry's answer.
func (e *UnknownBlobError) Unwrap() error { return e.Err }

// UnknownBlobs returns the digests that the registry misses.
func (e *UnknownBlobError) UnknownBlobs() []digest.Digest { return e.Digests }

// A ConflictError says that a registry which does not allow overwriting holds
// another manifest under the name.
type ConflictError struct {
	Repository, Reference string
	Want, Got             digest.Digest
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("%s:%s is %s and may not be overwritten with %s", e.Repository, e.Reference, e.Got, e.Want)
}

// ExitCode says that the remote refused.
func (e *ConflictError) ExitCode() int { return refusedCode }

// A refusedError is our own refusal to do what a server asks for.
type refusedError struct{ err error }

func (e *refusedError) Error() string { return e.err.Error() }
func (e *refusedError) Unwrap() error { return e.err }

// ExitCode says that the remote was not given what it asked for.
func (e *refusedError) ExitCode() int { return refusedCode }

// A noRepositoryError is what a Nexus says of a repository of its own that it does not have.
type noRepositoryError struct{ err error }

func (e *noRepositoryError) Error() string {
	return fmt.Sprintf("the server has no such repository: %v; %s", e.err, e.Advice())
}

func (e *noRepositoryError) Unwrap() error { return e.err }

// Advice says what to do, for reports.
func (*noRepositoryError) Advice() string { return "create it or name another one" }

// A tornError says that the registry took an upload and keeps the damaged copy that it had.
type tornError struct{ err error }

func (e *tornError) Error() string {
	return fmt.Sprintf("the registry took the upload but keeps its damaged copy: %v; %s", e.err, e.Advice())
}

func (e *tornError) Unwrap() error { return e.err }

// Advice says what to do, for reports.
func (*tornError) Advice() string { return "delete that copy there, then push again" }

func refuse(format string, args ...any) error {
	return &refusedError{fmt.Errorf(format, args...)}
}

// An answer is a refusal with the registry's own codes.
type answer struct {
	*httpx.StatusError
	Codes []apiError
}

func (a *answer) Unwrap() error { return a.StatusError }

type apiError struct {
	Code    string
	Message string
	Detail  json.RawMessage
}

// CheckStatus returns nil when the status of resp is one of want. Otherwise it
// closes the body; the error wraps a *httpx.StatusError, and ErrReadOnly where the
// server says that it is frozen.
func CheckStatus(resp *http.Response, want ...int) error {
	if slices.Contains(want, resp.StatusCode) {
		return nil
	}
	raw, broke := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // a broken error page is still an error
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(raw))
	err := httpx.CheckStatus(resp, want...)
	se, ok := errors.AsType[*httpx.StatusError](err)
	if !ok {
		return err
	}
	var body struct{ Errors []apiError }
	if json.Unmarshal(raw, &body) != nil {
		body.Errors = nil
	}
	if se.Code == http.StatusNotFound && se.Says("repository not found") {
		return &refusedError{&noRepositoryError{se}}
	}
	a := &answer{se, body.Errors}
	switch {
	case a.Code == http.StatusBadRequest && broke != nil:
		return &garbledError{fmt.Errorf("%w, and the rest of the answer is lost: %s", a, broke.Error())}
	case a.Code == http.StatusBadRequest && resp.Close && len(a.Codes) == 0 && unread.MatchString(a.Reason+"\n"+a.Body):
		return &garbledError{a}
	}
	return classify(a)
}

// absent says that what was asked for is not there. A missing repository is something else:
// there is no place where it could be.
func absent(err error) bool {
	return httpx.StatusCode(err) == http.StatusNotFound && !as[*refusedError](err)
}

// ReadBody reads and closes the body of an answer, which may have at most limit bytes;
// a longer one is refused.
func ReadBody(resp *http.Response, limit int64) ([]byte, error) {
	defer resp.Body.Close()
	url := httpx.RedactURL(resp.Request.URL)
	data, err := digestio.ReadCapped(resp.Body, resp.ContentLength, limit)
	switch {
	case as[*digestio.LimitError](err):
		return nil, refuse("read %s: %w", url, err)
	case as[*httpx.UnavailableError](err) || as[*httpx.StatusError](err):
		return nil, err // which name the URL
	case err != nil:
		return nil, fmt.Errorf("read %s: %w", url, err)
	}
	return data, nil
}

// classify marks the answers that are more than their status.
func classify(a *answer) error {
	switch {
	case a.ReadOnly():
		return fmt.Errorf("%w: %w", ErrReadOnly, a)
	case a.Offline():
		return &refusedError{a}
	case a.has("DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_UNKNOWN"), a.has("BLOB_UPLOAD_INVALID") && a.Says("digest"):
		return &damagedError{a}
	}
	return a
}

// unread are the words of HTTP servers that could not read a request at all, and close the
// connection therefore: none, those of Go (distribution), nginx, Jetty (Nexus), HAProxy,
// Apache. A registry that has read it, and Nexus, say more, in JSON or in the reason, and
// keep the connection.
var unread = regexp.MustCompile(`(?is)^(bad request|bad message)?\n(` +
	`|(400 )?bad request(: [^{]*)?` +
	`|400 bad request( [\w-]+(/[0-9.]+)?){1,2}` +
	`|bad message 400( reason: .*)?` +
	`|400 bad request your browser sent an invalid request\.?` +
	`|bad request your browser sent a request that this server could not understand\..*)$`)

func (a *answer) has(codes ...string) bool {
	return slices.ContainsFunc(a.Codes, func(e apiError) bool { return slices.Contains(codes, e.Code) })
}

// digests collects what the details of unknown blobs name: a digest as a string,
// or an object that holds one.
func (a *answer) digests() []digest.Digest {
	var all []digest.Digest
	for _, e := range a.Codes {
		if !strings.HasSuffix(e.Code, "BLOB_UNKNOWN") {
			continue
		}
		var text string
		var object struct{ Digest string }
		if json.Unmarshal(e.Detail, &text) != nil && json.Unmarshal(e.Detail, &object) == nil {
			text = object.Digest
		}
		if d, err := digest.Parse(text); err == nil && !slices.Contains(all, d) {
			all = append(all, d)
		}
	}
	return all
}

// WriteOnce recognises the refusal to write something a second time. Nexus gives
// it for equal content too, so it says that something is there, not what. A 409 says so
// without words, which proxies drop; of the other statuses the words count.
func WriteOnce(err error) bool {
	e, ok := errors.AsType[*httpx.StatusError](err)
	switch {
	case !ok || e.Code/100 != 4 || e.PaymentRequired():
		return false
	case e.Code == http.StatusConflict:
		return true
	}
	return e.Says("cannot be updated") || e.Says("does not allow updating")
}
