package nexustest

import (
	"slices"
	"strings"
	"sync"
)

// access is who may do what. Its lock may be taken while Server.mu is held.
type access struct {
	mu         sync.Mutex
	users      map[string]*account
	roles      map[string]role
	privileges map[string]privilege
	realms     []string // ids of the active ones, in order
	anonymous  bool     // requests without credentials may read
}

// account is a user with what the security API knows of it.
type account struct {
	User
	Roles    []string // nil for the users of Options, whose rights are in User
	Disabled bool
}

// A role holds privileges by their names, of its own and through other roles.
type role struct{ privileges, roles []string }

// A privilege is a right to do actions in a repository; "*" is any.
type privilege struct {
	repository string
	actions    []string
}

const tokenRealm = "DockerToken"

// realmNames are the realms that can be active, by id.
var realmNames = map[string]string{
	"NexusAuthenticatingRealm": "Local Authenticating Realm",
	"NexusAuthorizingRealm":    "Local Authorizing Realm",
	"LdapRealm":                "LDAP Realm",
	tokenRealm:                 "Docker Bearer Token Realm",
}

func (a *access) init(o Options) {
	a.users = map[string]*account{Username: {User: *administrator}}
	for _, u := range o.Users {
		a.users[u.Name] = &account{User: u}
	}
	a.roles = map[string]role{"nx-admin": {privileges: []string{"nx-all"}}, "nx-anonymous": {privileges: []string{
		"nx-repository-view-*-*-browse", "nx-repository-view-*-*-read"}}}
	a.privileges = map[string]privilege{}
	a.anonymous, a.realms = o.Anonymous, []string{"NexusAuthenticatingRealm", "NexusAuthorizingRealm"}
	if o.TokenRealm {
		a.realms = append(a.realms, tokenRealm)
	}
}

// login returns the user with that name and password and the rights that it has
// at this moment, nil when there is none.
func (a *access) login(name, password string) *User {
	a.mu.Lock()
	defer a.mu.Unlock()
	found := a.users[name]
	if found == nil || found.Password != password || found.Disabled {
		return nil
	}
	u := found.User
	if found.Roles != nil {
		u.granted = a.grants(found.Roles, 8)
		u.limited = !slices.ContainsFunc(u.granted, func(p privilege) bool { return p.repository == "" })
	}
	return &u
}

// grants returns the privileges of roles, and of their roles to some depth. The
// caller holds a.mu.
func (a *access) grants(roles []string, depth int) []privilege {
	var out []privilege
	if depth == 0 {
		return nil
	}
	for _, id := range roles {
		for _, name := range a.roles[id].privileges {
			if p, ok := a.privilege(name); ok {
				out = append(out, p)
			}
		}
		out = append(out, a.grants(a.roles[id].roles, depth-1)...)
	}
	return out
}

// privilege finds a privilege by name. Those that every server has are read off
// their names, such as nx-repository-view-raw-raw-hosted-edit, where the format
// is taken for granted; nx-all is one without a repository. The caller holds a.mu.
func (a *access) privilege(name string) (privilege, bool) {
	if name == "nx-all" {
		return privilege{}, true
	}
	if p, ok := a.privileges[name]; ok {
		return p, true
	}
	for kind, admin := range map[string]bool{"nx-repository-view-": false, "nx-repository-admin-": true} {
		rest, ok := strings.CutPrefix(name, kind)
		_, rest, parted := strings.Cut(rest, "-") // the format
		last := strings.LastIndex(rest, "-")
		if !ok || !parted || last < 0 {
			continue
		}
		p := privilege{repository: rest[:last], actions: []string{rest[last+1:]}}
		if admin {
			p.actions = []string{administer}
		}
		return p, true
	}
	return privilege{}, false
}

// allows says whether the privilege is for action in repo.
func (p privilege) allows(repo, action string) bool {
	return (p.repository == "*" || p.repository == repo) &&
		(slices.Contains(p.actions, action) || slices.Contains(p.actions, "*") && action != administer)
}

// open says whether requests without credentials may read.
func (a *access) open() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.anonymous
}

// tokens says whether the server hands out and takes docker tokens.
func (a *access) tokens() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Contains(a.realms, tokenRealm)
}
