package nexustest

import (
	"net/http"
	"slices"
	"strings"
)

// serveREST answers requests below /service/rest/.
func (x *exchange) serveREST() {
	rest, v1 := strings.CutPrefix(x.path, "v1/")
	if !v1 {
		rest, v1 = strings.CutPrefix(x.path, "beta/")
	}
	if x.path == "swagger.json" {
		x.swagger()
		return
	}
	if !v1 {
		x.noSuchPage()
		return
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	route := x.restRoute(parts)
	if route == nil {
		x.noSuchPage()
		return
	}
	if !slices.Contains(route.methods, x.r.Method) && x.r.Method != http.MethodHead {
		x.htmlError(http.StatusMethodNotAllowed, "HTTP method "+x.r.Method+" is not supported by this URL")
		return
	}
	if !route.open && !x.restLogin(parts) {
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
	open        bool // for everybody
	whileFrozen bool // may be written to on a frozen server
	serve       func(args []string)
}

// restRoute finds the resource of a path, nil when this server has none there.
func (x *exchange) restRoute(parts []string) *restRoute {
	get, del := []string{"GET"}, []string{"GET", "DELETE"}
	n := len(parts)
	switch parts[0] {
	case "status":
		return &restRoute{methods: get, open: n == 1 || parts[1] == "writable", serve: x.serveStatus}
	case "repositories":
		return x.repositoriesRoute(parts)
	case "repositorySettings":
		return &restRoute{methods: get, serve: x.listSettings}
	case "assets":
		return &restRoute{methods: del, serve: x.serveAssets}
	case "components":
		return &restRoute{methods: del, serve: x.serveComponents}
	case "search":
		return &restRoute{methods: get, serve: x.serveSearch}
	case "blobstores":
		return &restRoute{methods: get, serve: x.serveBlobStores}
	case "tasks":
		return x.tasksRoute(n)
	case "system":
		if x.s.prof.community && n == 2 && parts[1] == "eula" {
			return &restRoute{methods: []string{"GET", "POST"}, whileFrozen: true, serve: x.serveEULA}
		}
	}
	return nil
}

// repositoriesRoute covers the resources below repositories.
func (x *exchange) repositoriesRoute(parts []string) *restRoute {
	switch len(parts) {
	case 1:
		return &restRoute{methods: []string{"GET"}, serve: x.listRepositories}
	case 2:
		return &restRoute{methods: []string{"GET", "DELETE"}, serve: x.serveRepositoryEntry}
	case 3:
		if parts[2] == "browse" && x.s.prof.community {
			return &restRoute{methods: []string{"GET"}, serve: x.browse}
		}
		if isRecipe(parts[1], parts[2]) {
			return &restRoute{methods: []string{"POST"}, serve: x.createRepository}
		}
	case 4:
		if isRecipe(parts[1], parts[2]) {
			return &restRoute{methods: []string{"GET", "PUT"}, serve: x.serveSettings}
		}
	}
	return nil
}

func isRecipe(format, kind string) bool {
	return slices.Contains([]string{"docker", "yum", "raw", "helm"}, format) && (kind == "hosted" || kind == "group")
}

// restLogin asks for credentials. Without any, old servers show empty lists of
// repositories and forbid the rest; the Community Edition wants a login.
func (x *exchange) restLogin(parts []string) bool {
	isList := len(parts) == 1 && (parts[0] == "repositories" || parts[0] == "repositorySettings")
	reading := !x.isWrite() && slices.Contains([]string{"repositories", "assets", "components", "search"}, parts[0])
	switch {
	case x.user != nil && (x.user.isAdmin() || reading || isList):
		return true
	case x.user != nil:
		x.status(http.StatusForbidden)
	case reading && x.s.opts.Anonymous && len(parts) <= 2:
		return true
	case x.s.prof.community:
		x.unauthorized()
	case isList:
		x.json(http.StatusOK, []string{})
	default:
		x.status(http.StatusForbidden)
	}
	return false
}

// mayBrowse says whether the caller sees a repository in lists.
func (x *exchange) mayBrowse(repo string) bool {
	if x.user == nil {
		return x.s.opts.Anonymous
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
