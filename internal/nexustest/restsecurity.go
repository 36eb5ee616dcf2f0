package nexustest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// securityRoute covers what lies below security: realms, anonymous access,
// users, roles and privileges, as far as setting up a server for seeding needs.
func (x *exchange) securityRoute(parts []string) *restRoute {
	read, both := []string{"GET"}, []string{"GET", "PUT"}
	switch strings.Join(parts[1:], "/") {
	case "user-sources":
		return &restRoute{methods: read, serve: x.listUserSources}
	case "realms/active":
		return &restRoute{methods: both, serve: x.serveRealms}
	case "realms/available":
		return &restRoute{methods: read, serve: x.listRealms}
	case "anonymous":
		return &restRoute{methods: both, serve: x.serveAnonymous}
	case "users":
		return &restRoute{methods: []string{"GET", "POST"}, serve: x.serveUsers}
	case "roles":
		return &restRoute{methods: []string{"GET", "POST"}, serve: x.serveRoles}
	case "privileges/repository-view":
		return &restRoute{methods: []string{"POST"}, serve: x.createPrivilege}
	}
	if len(parts) == 4 && parts[1] == "users" && parts[3] == "change-password" {
		return &restRoute{methods: []string{"PUT"}, serve: x.changePassword}
	}
	return nil
}

// readJSON reads the request body. It answers, and returns false, when that is
// no JSON or not declared as such.
func (x *exchange) readJSON(into any) bool {
	if x.mediaType() != "application/json" {
		x.textError(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return false
	}
	if err := json.NewDecoder(io.LimitReader(x.r.Body, maxManifest)).Decode(into); err != nil {
		x.textError(http.StatusBadRequest, err.Error())
		return false
	}
	return true
}

// listUserSources is also what KubeOperator's upload script tries a login with.
func (x *exchange) listUserSources([]string) {
	x.json(http.StatusOK, []map[string]string{{"id": "default", "name": "Local"}})
}

func (x *exchange) serveRealms([]string) {
	a := &x.s.access
	if x.r.Method != http.MethodPut {
		a.mu.Lock()
		active := slices.Clone(a.realms)
		a.mu.Unlock()
		x.json(http.StatusOK, active)
		return
	}
	var want []string
	if !x.readJSON(&want) {
		return
	}
	for _, id := range want {
		if realmNames[id] == "" {
			x.invalid("*", fmt.Sprintf("Unknown realmIds: [%s]", id))
			return
		}
	}
	a.mu.Lock()
	a.realms = want
	a.mu.Unlock()
	x.w.WriteHeader(http.StatusNoContent)
}

func (x *exchange) listRealms([]string) {
	out := []map[string]string{}
	for _, id := range sortedKeys(realmNames) {
		out = append(out, map[string]string{"id": id, "name": realmNames[id]})
	}
	x.json(http.StatusOK, out)
}

func (x *exchange) serveAnonymous([]string) {
	type setting struct {
		Enabled *bool  `json:"enabled"`
		UserID  string `json:"userId"`
		Realm   string `json:"realmName"`
	}
	a := &x.s.access
	if x.r.Method == http.MethodPut {
		var want setting
		if !x.readJSON(&want) {
			return
		}
		if want.Enabled == nil {
			x.invalid("PARAMETER enabled", "must not be null")
			return
		}
		a.mu.Lock()
		a.anonymous = *want.Enabled
		a.mu.Unlock()
	}
	on := a.open()
	x.json(http.StatusOK, setting{&on, "anonymous", "NexusAuthorizingRealm"})
}

// userXO is a user as the API prints and reads it.
type userXO struct {
	UserID        string   `json:"userId"`
	FirstName     string   `json:"firstName"`
	LastName      string   `json:"lastName"`
	EmailAddress  string   `json:"emailAddress"`
	Password      string   `json:"password,omitempty"`
	Source        string   `json:"source"`
	Status        string   `json:"status"`
	ReadOnly      bool     `json:"readOnly"`
	Roles         []string `json:"roles"`
	ExternalRoles []string `json:"externalRoles"`
}

func userOf(a *account) userXO {
	out := userXO{UserID: a.Name, FirstName: a.Name, LastName: a.Name, EmailAddress: a.Name + "@example.org", Source: "default",
		Status: "active", Roles: append([]string{}, a.Roles...), ExternalRoles: []string{}}
	if a.Disabled {
		out.Status = "disabled"
	}
	if a.Roles == nil && a.isAdmin() {
		out.Roles = []string{"nx-admin"}
	}
	return out
}

func (x *exchange) serveUsers([]string) {
	a := &x.s.access
	if x.r.Method == http.MethodPost {
		x.createUser()
		return
	}
	id := x.r.URL.Query().Get("userId")
	out := []userXO{}
	a.mu.Lock()
	for _, name := range sortedKeys(a.users) {
		if strings.HasPrefix(name, id) { // the real parameter searches likewise
			out = append(out, userOf(a.users[name]))
		}
	}
	a.mu.Unlock()
	x.json(http.StatusOK, out)
}

func (x *exchange) createUser() {
	var in userXO
	if !x.readJSON(&in) {
		return
	}
	a := &x.s.access
	a.mu.Lock()
	id, message := "", ""
	switch {
	case in.UserID == "" || in.Password == "" || in.Status == "":
		id, message = "PARAMETER userId", "userId, password and status must not be empty"
	case a.users[in.UserID] != nil:
		id, message = "*", fmt.Sprintf("User %s already exists", in.UserID)
	case len(in.Roles) == 0:
		id, message = "PARAMETER roles", "must not be empty"
	case slices.ContainsFunc(in.Roles, func(r string) bool { _, known := a.roles[r]; return !known }):
		id, message = "roles", fmt.Sprintf("Unable to locate roles: %v", in.Roles)
	default:
		a.users[in.UserID] = &account{User: User{Name: in.UserID, Password: in.Password}, Roles: in.Roles, Disabled: in.Status != "active"}
	}
	a.mu.Unlock()
	if id != "" {
		x.invalid(id, message)
		return
	}
	in.Password, in.Source, in.ExternalRoles = "", "default", []string{}
	x.json(http.StatusOK, in)
}

// changePassword takes the new password as plain text.
func (x *exchange) changePassword(args []string) {
	if x.mediaType() != "text/plain" {
		x.textError(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return
	}
	password, err := io.ReadAll(io.LimitReader(x.r.Body, 1<<10))
	if err != nil || len(password) == 0 {
		x.invalid("PARAMETER password", "Password must be supplied.")
		return
	}
	a := &x.s.access
	a.mu.Lock()
	u := a.users[args[1]]
	if u != nil {
		u.Password = string(password)
	}
	a.mu.Unlock()
	if u == nil {
		x.notFound()
		return
	}
	x.w.WriteHeader(http.StatusNoContent)
}

// roleXO is a role as the API prints and reads it.
type roleXO struct {
	ID          string   `json:"id"`
	Source      string   `json:"source"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Privileges  []string `json:"privileges"`
	Roles       []string `json:"roles"`
}

func (x *exchange) serveRoles([]string) {
	a := &x.s.access
	if x.r.Method != http.MethodPost {
		out := []roleXO{}
		a.mu.Lock()
		for _, id := range slices.Sorted(maps.Keys(a.roles)) {
			r := a.roles[id]
			out = append(out, roleXO{ID: id, Source: "default", Name: id, Privileges: append([]string{}, r.privileges...),
				Roles: append([]string{}, r.roles...)})
		}
		a.mu.Unlock()
		x.json(http.StatusOK, out)
		return
	}
	var in roleXO
	if !x.readJSON(&in) {
		return
	}
	a.mu.Lock()
	_, taken := a.roles[in.ID]
	unknown := slices.ContainsFunc(in.Privileges, func(name string) bool { _, ok := a.privilege(name); return !ok })
	ok := in.ID != "" && in.Name != "" && !taken && !unknown
	if ok {
		a.roles[in.ID] = role{privileges: in.Privileges, roles: in.Roles}
	}
	a.mu.Unlock()
	if !ok {
		x.invalid("PARAMETER id", "id and name are needed, the id must be free and its privileges known")
		return
	}
	in.Source = "default"
	x.json(http.StatusOK, in)
}

func (x *exchange) createPrivilege([]string) {
	var in struct {
		Name, Description, Format, Repository string
		Actions                               []string
	}
	if !x.readJSON(&in) {
		return
	}
	a := &x.s.access
	a.mu.Lock()
	_, taken := a.privileges[in.Name]
	ok := in.Name != "" && in.Format != "" && in.Repository != "" && len(in.Actions) > 0 && !taken
	if ok {
		p := privilege{repository: in.Repository}
		for _, action := range in.Actions {
			p.actions = append(p.actions, strings.ToLower(action))
		}
		a.privileges[in.Name] = p
	}
	a.mu.Unlock()
	if !ok {
		x.invalid("PARAMETER name", "name, format, repository and actions are needed, and the name must be free")
		return
	}
	x.status(http.StatusCreated)
}
