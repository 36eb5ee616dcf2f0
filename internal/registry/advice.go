package registry

import (
	"errors"
	"net/http"

	"airbundle/internal/httpx"
)

// advice is what an operator may do about answers that do not say it themselves. The
// texts are those of Nexus.
var advice = []struct {
	code int    // 0: any
	says string // in lower case; empty: whatever it says
	todo string
}{
	{0, "payment required", "the usage caps of the Community Edition are reached: it serves what it has and takes nothing new until the administrator has deleted components or has a license; then push again"},
	{0, "license agreement", "the license agreement of the Community Edition is not accepted: its owner has to read and accept it in the user interface; the login is not the cause"},
	{0, "deploying to groups", "only Nexus Pro takes pushes to a group: name the hosted repository"},
	{0, "is not supported by this url", "nothing that takes images answers there: is it a hosted docker repository, and is the URL complete?"},
	{http.StatusInternalServerError, "no space left", "the disk of the server is full: make room in its blob store"},
	{http.StatusInsufficientStorage, "", "the disk of the server is full: make room in its blob store"},
	{http.StatusServiceUnavailable, "repository offline", "set the repository online"},
	{0, " is read-only", "the repository's deployment policy is read-only: set it to allow redeploy"},
	{http.StatusRequestEntityTooLarge, "", "a proxy in front of the server limits the size of requests: raise it (nginx: client_max_body_size 0) or go around it"},
	{http.StatusLengthRequired, "", "a proxy in front of the server wants the length of a body and drops the one that was sent: let it hand on requests as they come, or go around it"},
	{http.StatusExpectationFailed, "", "a proxy in front of the server refuses what it is asked to expect: let it hand on requests as they come, or go around it"},
	{http.StatusMisdirectedRequest, "", "the server, or a proxy in front of it, is not set up for the name in the URL: use the name that is in its settings and in its certificate"},
	{http.StatusUpgradeRequired, "", "the server, or a proxy in front of it, wants another protocol: use its https URL, and let the proxy take HTTP/1.1"},
	{http.StatusBadGateway, "", "a proxy in front of the server says so, which does not reach it: is it up?"},
	{http.StatusGatewayTimeout, "", "a proxy in front of the server does not wait for its answers, which may take minutes: let it (nginx: proxy_read_timeout) or go around it"},
}

// advise adds what to do to an answer of the server, where that is known.
func advise(err error) error {
	if todo := Advice(err); todo != "" {
		return &advised{err, todo}
	}
	return err
}

// advised is an error with what to do about it, for reports (report.Adviser).
type advised struct {
	error
	todo string
}

func (e *advised) Error() string  { return e.error.Error() + " (" + e.todo + ")" }
func (e *advised) Advice() string { return e.todo }
func (e *advised) Unwrap() error  { return e.error }

// Advice is what an operator may do about an answer that err is about, in words; empty
// where that is not known.
func Advice(err error) string {
	se, ok := errors.AsType[*httpx.StatusError](err)
	if !ok {
		return ""
	}
	for _, a := range advice {
		if (a.code == 0 || a.code == se.Code) && se.Says(a.says) {
			return a.todo
		}
	}
	return ""
}
