package httpx

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// A forwardError is the word of the environment's proxy that it does not lead to a host.
// It is no StatusError: what such a proxy says is never an answer of the host.
type forwardError struct {
	proxy, target string // host:port
	setting       string // the variable that names the proxy
	code          int
	reason        string
}

func (e *forwardError) Error() string {
	s := fmt.Sprintf("the proxy %s does not lead to %s: %d %s", e.proxy, e.target, e.code, e.reason)
	if next := e.Advice(); next != "" {
		s += "; " + next
	}
	return s
}

// Advice says what to do, for reports.
func (e *forwardError) Advice() string {
	switch {
	case e.code == http.StatusProxyAuthRequired:
		return fmt.Sprintf("set the login that it wants in %s, http://USER:PASSWORD@%s, or name the host in NO_PROXY", e.setting, e.proxy)
	case e.final():
		return "ask those who run it, or name the host in NO_PROXY"
	}
	return ""
}

// final says that no repetition changes the proxy's mind.
func (e *forwardError) final() bool {
	return e.code/100 == 4 && !slices.Contains(transientStatus, e.code)
}

// ExitCode is that of report.ClassRefused or ClassUnavailable, a package above this one.
func (e *forwardError) ExitCode() int {
	if e.final() {
		return 7
	}
	return 6
}

func newForwardError(via *url.URL, target *url.URL, resp *http.Response, req *http.Request) *forwardError {
	reason := strings.TrimSpace(strings.TrimPrefix(resp.Status, fmt.Sprint(resp.StatusCode)))
	if reason == "" {
		reason = http.StatusText(resp.StatusCode)
	}
	e := forwardError{proxy: HostPort(via), code: resp.StatusCode, reason: Scrub(oneLine(reason), req)}
	return e.to(target)
}

// to is the same word about another host.
func (e *forwardError) to(target *url.URL) *forwardError {
	other := *e
	other.target, other.setting = HostPort(target), strings.ToUpper(target.Scheme)+"_PROXY"
	return &other
}

// connected judges a proxy's answer to CONNECT.
func connected(_ context.Context, via *url.URL, req *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	return newForwardError(via, &url.URL{Scheme: "https", Host: req.Host}, resp, req)
}

// A forward is what is known of the logins of proxies. Until one is known to be good one
// request at a time shows it, and none once it was refused: accounts are locked for less.
type forward struct {
	mu      sync.Mutex
	proven  map[string]bool // by URL, with the login
	refused map[string]*forwardError
	turns   map[string]chan struct{}
}

// via runs one exchange that may go through a proxy.
func (f *forward) via(req *http.Request, exchange func() (*http.Response, error)) (*http.Response, error) {
	u, err := proxy(req)
	if err != nil || u == nil {
		return exchange() // which meets the error itself
	}
	name, leave := u.String(), func() {}
	if turn, known := f.turn(u, name); !known {
		select {
		case turn <- struct{}{}:
			leave = func() { <-turn }
		case <-req.Context().Done():
			CloseRequest(req)
			return nil, context.Cause(req.Context())
		}
	}
	defer leave()
	f.mu.Lock()
	refused := f.refused[name]
	f.mu.Unlock()
	if refused != nil {
		CloseRequest(req)
		return nil, refused.to(req.URL)
	}
	resp, err := exchange()
	// Through a tunnel all answers are the host's; the proxy's own are judged by connected.
	if err == nil && resp.StatusCode == http.StatusProxyAuthRequired && req.URL.Scheme == "http" {
		_ = resp.Body.Close() // a page for people
		resp, err = nil, newForwardError(u, req.URL, resp, req)
	}
	f.note(name, err)
	return resp, err
}

// turn is where to wait with a login that is not known to be good.
func (f *forward) turn(u *url.URL, name string) (turn chan struct{}, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if u.User == nil || f.proven[name] {
		return nil, true
	}
	if f.turns == nil {
		f.turns, f.proven, f.refused = map[string]chan struct{}{}, map[string]bool{}, map[string]*forwardError{}
	}
	if f.turns[name] == nil {
		f.turns[name] = make(chan struct{}, 1)
	}
	return f.turns[name], false
}

func (f *forward) note(name string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.turns[name] == nil {
		return // no login
	}
	why, ok := errors.AsType[*forwardError](err)
	switch {
	case err == nil:
		f.proven[name] = true
	case ok && why.code == http.StatusProxyAuthRequired:
		f.refused[name] = why
	}
}
