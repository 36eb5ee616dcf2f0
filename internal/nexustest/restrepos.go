package nexustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
)

// repositoryEntry is a repository in lists.
type repositoryEntry struct {
	Name       string         `json:"name"`
	Format     string         `json:"format"`
	Type       string         `json:"type"`
	URL        string         `json:"url"`
	Online     *bool          `json:"online,omitempty"`
	Size       *int64         `json:"size,omitempty"`
	Attributes map[string]any `json:"attributes"`
}

// settings is a repository with all its settings.
type settings struct {
	Name    string           `json:"name"`
	Format  string           `json:"format"`
	Type    string           `json:"type"`
	URL     string           `json:"url"`
	Online  *bool            `json:"online"`
	Storage *storageSettings `json:"storage"`
	Group   *groupSettings   `json:"group,omitempty"`
	Cleanup *struct{}        `json:"cleanup"`
	Docker  *dockerSettings  `json:"docker,omitempty"`
	Yum     *yumSettings     `json:"yum,omitempty"`
	Raw     *rawSettings     `json:"raw,omitempty"`
}

type storageSettings struct {
	BlobStore    string `json:"blobStoreName"`
	Strict       bool   `json:"strictContentTypeValidation"`
	WritePolicy  string `json:"writePolicy,omitempty"`
	LatestPolicy *bool  `json:"latestPolicy,omitempty"`
}

type groupSettings struct {
	Members []string `json:"memberNames"`
}

type dockerSettings struct {
	V1Enabled      *bool   `json:"v1Enabled"`
	ForceBasicAuth *bool   `json:"forceBasicAuth"`
	HTTPPort       *int    `json:"httpPort"`
	HTTPSPort      *int    `json:"httpsPort"`
	Subdomain      *string `json:"subdomain"`
	PathEnabled    *bool   `json:"pathEnabled,omitempty"`
}

type yumSettings struct {
	Depth        *int   `json:"repodataDepth"`
	DeployPolicy string `json:"deployPolicy,omitempty"`
}

type rawSettings struct {
	Disposition *string `json:"contentDisposition"`
}

// settingsOf prints a repository's settings.
func (x *exchange) settingsOf(r Repository) settings {
	online, basic, no := !r.Offline, !r.BearerAuth, false
	out := settings{
		Name: r.Name, Format: r.Format, Type: r.Type, URL: x.base() + "/repository/" + r.Name, Online: &online,
		Storage: &storageSettings{BlobStore: "default", Strict: r.Strict},
	}
	if r.Type == "group" {
		out.Group = &groupSettings{Members: append([]string{}, r.Members...)}
	} else {
		out.Storage.WritePolicy = r.WritePolicy
	}
	switch r.Format {
	case "docker":
		out.Docker = &dockerSettings{V1Enabled: &no, ForceBasicAuth: &basic}
		if r.Port > 0 {
			out.Docker.HTTPPort = &r.Port
		}
		if x.s.prof.datastore && r.Type == "hosted" {
			out.Storage.LatestPolicy = &r.LatestPolicy
		}
		if x.s.prof.community {
			out.Docker.PathEnabled = &r.PathEnabled
		}
	case "yum":
		if r.Type == "hosted" {
			out.Yum = &yumSettings{Depth: &r.Depth, DeployPolicy: r.DeployPolicy}
		}
	case "raw":
		out.Raw = &rawSettings{Disposition: &r.Disposition}
	}
	return out
}

// entryOf prints a repository for lists.
func (x *exchange) entryOf(r *repository) repositoryEntry {
	e := repositoryEntry{Name: r.Name, Format: r.Format, Type: r.Type,
		URL: x.base() + "/repository/" + r.Name, Attributes: map[string]any{}}
	if x.s.prof.community {
		online, size := !r.Offline, int64(0)
		for _, a := range r.assets {
			size += a.content.size
		}
		e.Online, e.Size = &online, &size
	}
	return e
}

func (x *exchange) listRepositories([]string) {
	entries := []repositoryEntry{}
	x.s.mu.Lock()
	for _, name := range sortedKeys(x.s.repos) {
		if x.mayBrowse(name) {
			entries = append(entries, x.entryOf(x.s.repos[name]))
		}
	}
	x.s.mu.Unlock()
	x.json(http.StatusOK, entries)
}

func (x *exchange) listSettings([]string) {
	all := []settings{}
	x.s.mu.Lock()
	for _, name := range sortedKeys(x.s.repos) {
		if x.mayBrowse(name) {
			all = append(all, x.settingsOf(x.s.repos[name].Repository))
		}
	}
	x.s.mu.Unlock()
	x.json(http.StatusOK, all)
}

// serveRepositoryEntry answers or deletes one repository.
func (x *exchange) serveRepositoryEntry(args []string) {
	x.s.mu.Lock()
	r := x.s.repos[args[0]]
	var e repositoryEntry
	if r != nil {
		e = x.entryOf(r)
	}
	x.s.mu.Unlock()
	switch {
	case r == nil:
		x.notFound()
	case x.r.Method == http.MethodDelete:
		x.s.DeleteRepository(r.Name)
		x.w.WriteHeader(http.StatusNoContent)
	case !x.mayBrowse(r.Name):
		x.status(http.StatusForbidden)
	default:
		x.json(http.StatusOK, e)
	}
}

// serveSettings answers or changes the settings of one repository.
func (x *exchange) serveSettings(args []string) {
	x.s.mu.Lock()
	r := x.s.repos[args[2]]
	var now Repository
	if r != nil {
		now = r.Repository
	}
	x.s.mu.Unlock()
	if r == nil || now.Format != args[0] || now.Type != args[1] {
		x.notFound()
		return
	}
	if x.r.Method != http.MethodPut {
		x.json(http.StatusOK, x.settingsOf(now))
		return
	}
	want, ok := x.readSettings(args[0], args[1])
	if !ok {
		return
	}
	if want.Name != now.Name {
		x.invalid("PARAMETER name", "Renaming a repository is not supported")
		return
	}
	x.s.mu.Lock()
	r.adopt(want)
	x.s.mu.Unlock()
	x.w.WriteHeader(http.StatusNoContent)
}

// adopt takes over the settings that may change; name, format, type and port
// stay. The caller holds Server.mu.
func (r *repository) adopt(want Repository) {
	r.WritePolicy, r.Strict, r.Offline, r.Members = want.WritePolicy, want.Strict, want.Offline, want.Members
	r.Depth, r.DeployPolicy, r.Disposition = want.Depth, want.DeployPolicy, want.Disposition
	r.BearerAuth, r.LatestPolicy, r.PathEnabled = want.BearerAuth, want.LatestPolicy, want.PathEnabled
}

func (x *exchange) createRepository(args []string) {
	r, ok := x.readSettings(args[0], args[1])
	if !ok {
		return
	}
	err := x.s.CreateRepository(r)
	switch {
	case errors.Is(err, errNameTaken):
		x.invalid("PARAMETER name", errNameTaken.Error())
	case errors.Is(err, errPortTaken):
		x.invalid("PARAMETER docker.httpPort", "Port is already in use")
	case err != nil:
		x.invalid("*", err.Error())
	default:
		x.status(http.StatusCreated)
	}
}

// readSettings reads a repository from the request body. It answers, and
// returns false, when something is wrong with it.
func (x *exchange) readSettings(format, kind string) (Repository, bool) {
	if ct, _, err := mime.ParseMediaType(x.r.Header.Get("Content-Type")); err != nil || ct != "application/json" {
		x.textError(http.StatusUnsupportedMediaType, "HTTP 415 Unsupported Media Type")
		return Repository{}, false
	}
	var in settings
	if err := json.NewDecoder(x.r.Body).Decode(&in); err != nil {
		x.textError(http.StatusBadRequest, err.Error())
		return Repository{}, false
	}
	if in.Raw != nil && in.Raw.Disposition == nil {
		x.serverError(errors.New("java.lang.NullPointerException"))
		return Repository{}, false
	}
	if id, message := in.complain(format, kind, x.s.prof); id != "" {
		x.invalid(id, message)
		return Repository{}, false
	}
	r := in.repository(format, kind)
	r.setDefaults()
	if err := r.check(); err != nil {
		x.invalid("PARAMETER name", err.Error())
		return Repository{}, false
	}
	for _, member := range r.Members {
		x.s.mu.Lock()
		m := x.s.repos[member]
		x.s.mu.Unlock()
		if m == nil || m.Format != format {
			x.invalid("PARAMETER group.memberNames", "Member repository does not exist: "+member)
			return Repository{}, false
		}
	}
	return r, true
}

// complain returns what is missing or contradictory in the settings.
func (in *settings) complain(format, kind string, prof profile) (id, message string) {
	const null = "must not be null"
	hosted, d := kind == "hosted", in.Docker
	switch {
	case in.Online == nil:
		return "PARAMETER online", null
	case in.Storage == nil:
		return "PARAMETER storage", null
	case in.Storage.BlobStore != "default":
		return "PARAMETER storage.blobStoreName", fmt.Sprintf("Blob store %q does not exist", in.Storage.BlobStore)
	case hosted && in.Storage.WritePolicy == "":
		return "PARAMETER storage.writePolicy", null
	case !hosted && (in.Group == nil || slices.Contains(in.Group.Members, in.Name)):
		return "PARAMETER group", "Group members are missing or contain the group"
	case format == "docker" && (d == nil || d.V1Enabled == nil || d.ForceBasicAuth == nil):
		return "PARAMETER docker", null
	case format == "docker" && prof.community && d.PathEnabled != nil && *d.PathEnabled && d.HTTPPort != nil:
		return "PARAMETER docker.pathEnabled", "Path based routing excludes a connector port"
	case format == "yum" && hosted && (in.Yum == nil || in.Yum.Depth == nil):
		return "PARAMETER yum.repodataDepth", null
	}
	return "", ""
}

// repository is what the settings describe, once complain is content.
func (in *settings) repository(format, kind string) Repository {
	r := Repository{Name: in.Name, Format: format, Type: kind, Offline: !*in.Online,
		Strict: in.Storage.Strict, WritePolicy: in.Storage.WritePolicy}
	if in.Group != nil {
		r.Members = in.Group.Members
	}
	if in.Storage.LatestPolicy != nil {
		r.LatestPolicy = *in.Storage.LatestPolicy
	}
	if in.Docker != nil {
		r.BearerAuth = !*in.Docker.ForceBasicAuth
		if in.Docker.HTTPPort != nil {
			r.Port = *in.Docker.HTTPPort
		}
		r.PathEnabled = in.Docker.PathEnabled != nil && *in.Docker.PathEnabled
	}
	if in.Yum != nil && in.Yum.Depth != nil {
		r.Depth, r.DeployPolicy = *in.Yum.Depth, in.Yum.DeployPolicy
	}
	if in.Raw != nil {
		r.Disposition = *in.Raw.Disposition
	}
	return r
}
