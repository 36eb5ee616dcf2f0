package nexustest

import (
	"context"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Route says which part of the server a request is for.
type Route string

// The routes that faults and the log tell apart.
const (
	RouteREST     Route = "rest"
	RouteRaw      Route = "raw"
	RouteYum      Route = "yum"
	RouteHelm     Route = "helm"
	RouteDocker   Route = "docker"   // ping, token, catalog, tags, referrers
	RouteBlob     Route = "blob"     // docker blobs
	RouteUpload   Route = "upload"   // docker upload sessions
	RouteManifest Route = "manifest" // docker manifests
	RouteOther    Route = "other"    // what no repository and no API answers
)

// An exchange is one request on its way through the server.
type exchange struct {
	s         *Server
	w         http.ResponseWriter
	r         *http.Request
	rec       *recorder
	route     Route
	connector string       // docker repository of the connector port, "" on the main port
	prefix    string       // of docker URLs that the client used, "" on a connector
	repo      string       // repository that the path names
	format    string       // its format, "" when there is no such repository
	path      string       // decoded path below the repository, or of the API
	docker    dockerTarget // for docker routes
	user      *User        // nil without credentials
	guest     bool         // came with the anonymous docker token
	stored    *asset       // what the request has uploaded, for faults
}

type exchangeKey struct{}

// serve answers one request: it classifies, logs, lets a fault act, and
// dispatches.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, connector string) {
	if !s.enter() {
		panic(http.ErrAbortHandler)
	}
	defer s.requests.Done()
	rec := &recorder{ResponseWriter: w}
	x := &exchange{s: s, rec: rec, connector: connector}
	x.classify(r)
	ctx, cancel := context.WithCancel(context.WithValue(r.Context(), exchangeKey{}, x))
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	body := &countingBody{ReadCloser: r.Body}
	r = r.WithContext(ctx)
	r.Body = body
	setReason(r, 0, "")
	x.setHeaders(rec.Header())
	entry := s.log.begin(x, r)
	start := time.Now()
	defer func() {
		done := s.log.end(entry, rec, body.n.Load(), time.Since(start))
		if s.opts.Logged != nil {
			s.opts.Logged(done)
		}
	}()

	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x.w, x.r = w, r
		x.dispatch()
	})
	if f := s.faults.fire(r, x.route); f != nil {
		entry.fault(f.Name)
		h = f.Do(h)
	}
	h.ServeHTTP(rec, r)
}

// enter counts a request in, unless the server is being closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.requests.Add(1)
	s.today.add(s.opts.Now())
	return true
}

// exchangeOf returns the exchange that r belongs to, aimed at w and r.
func exchangeOf(w http.ResponseWriter, r *http.Request) *exchange {
	x, ok := r.Context().Value(exchangeKey{}).(*exchange)
	if !ok {
		panic("nexustest: fault action outside of a server")
	}
	x.w, x.r = w, r
	return x
}

// classify finds out what the request is for.
func (x *exchange) classify(r *http.Request) {
	x.route = RouteOther
	path := r.URL.EscapedPath()
	if x.connector != "" {
		if rest, ok := cutV2(path); ok {
			x.toRepository(x.connector, "v2"+rest)
		}
		return
	}
	path, ok := strings.CutPrefix(path, x.s.opts.ContextPath)
	if !ok {
		return
	}
	if rest, ok := strings.CutPrefix(path, "/service/rest/"); ok {
		x.route, x.path = RouteREST, decodePath(rest)
		return
	}
	if rest, ok := strings.CutPrefix(path, "/repository/"); ok {
		repo, rest, _ := strings.Cut(rest, "/")
		name, _ := url.PathUnescape(repo)
		x.prefix = x.s.opts.ContextPath + "/repository/" + repo
		x.toRepository(name, rest)
		return
	}
	if rest, ok := cutV2(path); ok {
		x.toPathRouted(rest)
	}
}

// toPathRouted handles /v2/<repository>/…, which needs pathEnabled, and the
// token service of the main port.
func (x *exchange) toPathRouted(rest string) {
	if rest == "/token" {
		x.route, x.docker = RouteDocker, dockerTarget{kind: dockerToken}
		return
	}
	repo, rest, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	routed := false // some repository is reached by its path
	x.s.mu.Lock()
	for _, r := range x.s.repos {
		routed = routed || r.PathEnabled && x.s.prof.since(84)
	}
	found := x.s.repos[repo]
	enabled := routed && found != nil && found.PathEnabled
	x.s.mu.Unlock()
	if repo == "" && routed { // clients ping here before they name a repository
		x.route, x.docker = RouteDocker, dockerTarget{kind: dockerPing}
		return
	}
	if enabled && rest != "_catalog" {
		x.toRepository(repo, "v2/"+rest)
	}
}

// toRepository aims the exchange at a path of a repository.
func (x *exchange) toRepository(name, escaped string) {
	x.repo, x.path = name, decodePath(escaped)
	x.s.mu.Lock()
	if r := x.s.repos[name]; r != nil {
		x.format = r.Format
	}
	x.s.mu.Unlock()
	switch x.format {
	case "docker":
		x.docker = parseDocker(x.path)
		x.route = x.docker.route()
	case "raw", "yum", "helm":
		x.route = Route(x.format)
	}
}

// cutV2 returns what follows /v2 when path is /v2 or below it.
func cutV2(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "/v2")
	return rest, ok && (rest == "" || rest[0] == '/')
}

// decodePath undoes percent-encoding as Jetty does: what follows a raw
// semicolon in a segment is cut, and an encoded backslash becomes a slash.
func decodePath(escaped string) string {
	segments := strings.Split(escaped, "/")
	for i, seg := range segments {
		seg, _, _ = strings.Cut(seg, ";")
		if plain, err := url.PathUnescape(seg); err == nil {
			seg = plain
		}
		segments[i] = strings.ReplaceAll(seg, `\`, "/")
	}
	return strings.Join(segments, "/")
}

// setHeaders sets what every answer carries. Names are written as Nexus spells
// them, not in Go's canonical form.
func (x *exchange) setHeaders(h http.Header) {
	h["Server"] = []string{x.s.prof.server()}
	h["X-Content-Type-Options"] = []string{"nosniff"}
	if x.route == RouteREST {
		return
	}
	h["Content-Security-Policy"] = []string{
		"sandbox allow-forms allow-modals allow-popups allow-presentation allow-scripts allow-top-navigation"}
	h["X-XSS-Protection"] = []string{x.s.prof.xss}
	if x.isDocker() {
		h["Docker-Distribution-Api-Version"] = []string{"registry/2.0"}
	}
}

func (x *exchange) isDocker() bool {
	switch x.route {
	case RouteDocker, RouteBlob, RouteUpload, RouteManifest:
		return true
	}
	return false
}

// isWrite tells methods that change something.
func (x *exchange) isWrite() bool {
	return x.r.Method != http.MethodGet && x.r.Method != http.MethodHead
}

// dispatch answers the request.
func (x *exchange) dispatch() {
	if x.s.opts.Quirks.LengthRequired && x.r.ContentLength < 0 {
		x.htmlError(http.StatusLengthRequired, "Length Required")
		return
	}
	if limit := x.s.opts.MaxBodyBytes; limit > 0 {
		if x.r.ContentLength > limit {
			x.proxyError(http.StatusRequestEntityTooLarge, "Request Entity Too Large")
			return
		}
		x.r.Body = http.MaxBytesReader(nil, x.r.Body, limit)
	}
	if x.hasSession() {
		x.unauthorized()
		return
	}
	if !x.login() {
		return
	}
	switch {
	case x.route == RouteREST:
		x.serveREST()
	case x.docker.kind == dockerToken:
		x.serveToken()
	case x.docker.kind == dockerPing && x.repo == "":
		x.pingAll()
	case x.repo != "":
		x.serveRepository()
	default:
		x.noSuchPage()
	}
}

// serveRepository answers requests for content.
func (x *exchange) serveRepository() {
	x.s.mu.Lock()
	r, frozen := x.s.repos[x.repo], x.s.frozen
	offline := r != nil && r.Offline
	x.s.mu.Unlock()
	switch {
	case r == nil:
		x.htmlError(http.StatusNotFound, "Repository not found")
	case hasRelativeToken(x.path):
		x.htmlError(http.StatusBadRequest, "Repository path must not contain a relative token")
	case !x.authorize(x.repo, actionsOf(x.r.Method)):
	case offline:
		x.htmlError(http.StatusServiceUnavailable, "Repository offline")
	case frozen && x.isWrite():
		x.htmlError(http.StatusServiceUnavailable, "Nexus Repository Manager is in read-only mode")
	case x.isWrite() && x.eulaBlocks():
		x.htmlError(http.StatusForbidden, "The End User License Agreement has not been accepted")
	case r.Format == "docker":
		x.serveDocker()
	case x.isWrite() && r.Type != "hosted":
		x.methodNotAllowed("GET,HEAD")
	case r.Format == "yum":
		x.serveYum()
	case r.Format == "helm":
		x.serveHelm()
	case r.Format == "raw":
		x.serveRaw()
	case x.isWrite():
		x.methodNotAllowed("GET,HEAD") // of PUT, apt says so too
	default:
		x.htmlError(http.StatusNotFound, x.s.prof.apiPath(x.path))
	}
}

func hasRelativeToken(path string) bool {
	for seg := range strings.SplitSeq(path, "/") {
		if seg == "." || seg == ".." {
			return true
		}
	}
	return false
}

// reason words the status line of an answer with that code.
func (x *exchange) reason(code int, text string) {
	if x.s.opts.Quirks.PlainReasons {
		return
	}
	x.rec.reason = text
	setReason(x.r, code, text)
}

// status answers without a body.
func (x *exchange) status(code int) {
	x.w.Header().Set("Content-Length", "0")
	x.w.WriteHeader(code)
}

// htmlError answers with Jetty's error page; the text is in the status line too.
func (x *exchange) htmlError(code int, text string) {
	page := fmt.Sprintf("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n  <title>%d - %s - Sonatype Nexus Repository</title>\n</head>\n"+
		"<body>\n<h1>%d</h1>\n<p>%s</p>\n</body>\n</html>\n", code, html.EscapeString(text), code, html.EscapeString(text))
	x.reason(code, text)
	x.write(code, "text/html;charset=utf-8", []byte(page))
}

// textError answers in plain text.
func (x *exchange) textError(code int, text string) { x.write(code, "text/plain", []byte(text)) }

// proxyError answers as an nginx in front of Nexus does.
func (x *exchange) proxyError(code int, text string) {
	for name := range x.w.Header() {
		delete(x.w.Header(), name)
	}
	x.w.Header()["Server"] = []string{"nginx/1.24.0"}
	page := fmt.Sprintf("<html>\r\n<head><title>%[1]d %[2]s</title></head>\r\n<body>\r\n<center><h1>%[1]d %[2]s</h1></center>\r\n"+
		"<hr><center>nginx/1.24.0</center>\r\n</body>\r\n</html>\r\n", code, text)
	x.reason(code, text)
	x.write(code, "text/html", []byte(page))
}

// noSuchPage answers for paths that nothing is behind.
func (x *exchange) noSuchPage() {
	if x.isWrite() {
		x.htmlError(http.StatusMethodNotAllowed, "HTTP method "+x.r.Method+" is not supported by this URL")
		return
	}
	x.htmlError(http.StatusNotFound, "Not Found")
}

// write answers with a body of known length.
func (x *exchange) write(code int, contentType string, body []byte) {
	h := x.w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", fmt.Sprint(len(body)))
	x.w.WriteHeader(code)
	if x.r.Method != http.MethodHead {
		x.w.Write(body) // the client went away
	}
}
