package nexustest

import (
	"net/http"
	"slices"
	"strings"
)

// serveREST answers requests below /service/rest/.
func (x *exchange) serveREST() {
	rest, v1 := strings.CutPrefix(x.path, "v1/")
	beta := false
	if !v1 {
		rest, beta = strings.CutPrefix(x.path, "beta/")
	}
	if x.path == "swagger.json" {
		x.swagger()
		return
	}
	if !v1 && !beta {
		x.noSuchPage()
		return
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	route := x.restRoute(parts)
	if route == nil || !x.s.prof.since(route.since) || beta && !x.s.prof.hasBeta(route) {
		x.noSuchPage()
		return
	}
	if !slices.Contains(route.methods, x.r.Method) && x.r.Method != http.MethodHead {
		x.htmlError(http.StatusMethodNotAllowed, "HTTP method "+x.r.Method+" is not supported by this URL")
		return
	}
	if !route.open && !x.restLogin(route) {
		return
	}
	if x.isWrite() && !route.whileFrozen && x.isFrozen() {
		x.readOnlyError()
		return
	}
	route.serve(parts[1:])
}

// restRoute is one resource of the API.
type restRoute struct {
	methods     []string
	since       int             // the first version, 26 for 3.26; 0: all of them
	beta        int             // the first version that has it below /beta; 0: none
	open        bool            // for everybody
	whileFrozen bool            // may be written to on a frozen server
	list        bool            // shows what the caller may browse, and nothing to strangers
	guests      bool            // readable where anonymous access is on
	allowed     func(User) bool // beside administrators; nil for nobody
	serve       func(args []string)
}

// hasBeta says whether a resource can be had below /beta. The aliases are known
// to exist up to 3.77.
func (p profile) hasBeta(r *restRoute) bool { return r.beta > 0 && p.since(r.beta) && !p.since(78) }

// anybody is for callers with any rights at all; what they see is decided later.
func anybody(User) bool { return true }

// restRoute finds the resource of a path, nil when this server has none there.
func (x *exchange) restRoute(parts []string) *restRoute {
	get, del := []string{"GET"}, []string{"GET", "DELETE"}
	n := len(parts)
	switch parts[0] {
	case "status":
		return x.statusRoute(parts)
	case "repositories":
		return x.repositoriesRoute(parts)
	case "repositorySettings":
		return &restRoute{methods: get, since: 26, list: true, allowed: anybody, serve: x.listSettings}
	case "assets":
		return &restRoute{methods: del, guests: true, allowed: anybody, serve: x.serveAssets}
	case "components":
		if n == 1 {
			del = []string{"GET", "POST"}
		}
		return &restRoute{methods: del, guests: true, allowed: anybody, serve: x.serveComponents}
	case "search":
		return &restRoute{methods: get, guests: true, allowed: anybody, serve: x.serveSearch}
	case "formats":
		return &restRoute{methods: get, guests: true, allowed: anybody, serve: x.serveFormats}
	case "blobstores":
		return x.blobStoresRoute(parts)
	case "security":
		if r := x.securityRoute(parts); r != nil {
			r.since, r.beta = 20, 20
			if !strings.HasPrefix(x.path, "beta/") {
				r.since = 26
			}
			return r
		}
	case "tasks":
		return x.tasksRoute(n)
	case "read-only":
		return x.readOnlyRoute(parts)
	case "system":
		if x.s.prof.community && n == 2 && parts[1] == "eula" {
			return &restRoute{methods: []string{"GET", "POST"}, since: 81, whileFrozen: true, serve: x.serveEULA}
		}
	}
	return nil
}

// repositoriesRoute covers the resources below repositories. Provisioning came
// with 3.24 for raw; the formats that are not documented are taken to be no later.
func (x *exchange) repositoriesRoute(parts []string) *restRoute {
	administrators := func(repo string) func(User) bool {
		return func(u User) bool { return u.may(repo, administer) }
	}
	provisioning := 26
	if strings.HasPrefix(x.path, "beta/") {
		provisioning = 24
	}
	switch len(parts) {
	case 1:
		return &restRoute{methods: []string{"GET"}, list: true, guests: true, allowed: anybody, serve: x.listRepositories}
	case 2:
		r := &restRoute{methods: []string{"GET", "DELETE"}, beta: provisioning, guests: true, allowed: anybody, serve: x.serveRepositoryEntry}
		if x.isWrite() {
			r.since, r.allowed = provisioning, administrators(parts[1])
		}
		return r
	case 3:
		return x.repositoryRoute(parts, administrators, provisioning)
	case 4:
		r := &restRoute{methods: []string{"GET", "PUT"}, since: provisioning, beta: 24, allowed: administrators(parts[3]), serve: x.serveSettings}
		if !x.isWrite() {
			r.since = 28
		}
		if x.s.prof.hasRecipe(parts[1], parts[2]) {
			return r
		}
	}
	return nil
}

// repositoryRoute covers the actions on one repository and the creation of one.
func (x *exchange) repositoryRoute(parts []string, administrators func(string) func(User) bool, provisioning int) *restRoute {
	post := []string{"POST"}
	switch {
	case parts[2] == "browse" && x.s.prof.community:
		return &restRoute{methods: []string{"GET"}, since: 92, allowed: anybody, serve: x.browse}
	case parts[2] == "rebuild-index":
		return &restRoute{methods: post, since: provisioning, beta: 24, allowed: administrators(parts[1]), serve: x.rebuildIndex}
	case parts[2] == "invalidate-cache":
		return &restRoute{methods: post, since: provisioning, beta: 24, allowed: administrators(parts[1]), serve: x.invalidateCache}
	case x.s.prof.hasRecipe(parts[1], parts[2]):
		return &restRoute{methods: post, since: provisioning, beta: 24, allowed: administrators("*"), serve: x.createRepository}
	}
	return nil
}

// hasRecipe says whether the server can make repositories of that kind.
func (p profile) hasRecipe(format, kind string) bool {
	if format == "helm" && kind == "group" || format == "oci" && kind == "hosted" {
		return p.since(94)
	}
	return slices.Contains(served, format) && slices.Contains([]string{"hosted", "group", "proxy"}, kind)
}

// restLogin asks for credentials. Without any, old servers show empty lists of
// repositories and forbid the rest; the Community Edition wants a login.
func (x *exchange) restLogin(route *restRoute) bool {
	switch {
	case x.user != nil && (x.user.isAdmin() || route.allowed != nil && route.allowed(*x.user)):
		return true
	case x.user != nil:
		x.status(http.StatusForbidden)
	case route.guests && !x.isWrite() && x.s.access.open():
		return true
	case x.s.prof.community:
		x.unauthorized()
	case route.list:
		x.json(http.StatusOK, []string{})
	default:
		x.status(http.StatusForbidden)
	}
	return false
}

// mayBrowse says whether the caller sees a repository in lists.
func (x *exchange) mayBrowse(repo string) bool {
	if x.user == nil {
		return x.s.access.open()
	}
	return x.user.may(repo, "browse")
}

func (x *exchange) isFrozen() bool {
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	return x.s.frozen
}

// base is the URL that the client reached the server by.
func (x *exchange) base() string { return "http://" + x.r.Host + x.s.opts.ContextPath }
