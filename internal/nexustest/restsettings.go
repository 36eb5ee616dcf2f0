package nexustest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// settings is a repository with all its settings. Members that only some
// versions print are raw, so that null can be told from nothing.
type settings struct {
	Name      string           `json:"name"`
	Format    string           `json:"format"`
	Type      string           `json:"type"`
	URL       string           `json:"url"`
	Online    *bool            `json:"online"`
	Storage   *storageSettings `json:"storage"`
	Group     *groupSettings   `json:"group,omitempty"`
	Proxy     *proxySettings   `json:"proxy,omitempty"`
	Cleanup   *cleanupSettings `json:"cleanup"`
	Component json.RawMessage  `json:"component,omitempty"`
	Docker    *dockerSettings  `json:"docker,omitempty"`
	Yum       *yumSettings     `json:"yum,omitempty"`
	Raw       *rawSettings     `json:"raw,omitempty"`
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

type proxySettings struct {
	RemoteURL string `json:"remoteUrl"`
}

type cleanupSettings struct {
	Policies []string `json:"policyNames"`
}

type dockerSettings struct {
	V1Enabled      *bool           `json:"v1Enabled"`
	ForceBasicAuth *bool           `json:"forceBasicAuth"`
	HTTPPort       *int            `json:"httpPort"`
	HTTPSPort      *int            `json:"httpsPort"`
	Subdomain      *string         `json:"subdomain"`
	PathEnabled    json.RawMessage `json:"pathEnabled,omitempty"`
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
	online := !r.Offline
	out := settings{
		Name: r.Name, Format: r.Format, Type: r.Type, URL: x.base() + "/repository/" + r.Name, Online: &online,
		Storage: &storageSettings{BlobStore: r.BlobStore, Strict: r.Strict},
	}
	if len(r.Cleanup) > 0 {
		out.Cleanup = &cleanupSettings{r.Cleanup}
	}
	switch r.Type {
	case "group":
		out.Group = &groupSettings{Members: append([]string{}, r.Members...)}
	case "proxy":
		out.Proxy = &proxySettings{r.RemoteURL}
	default:
		out.Storage.WritePolicy = r.WritePolicy
		if x.s.prof.since(30) {
			out.Component = json.RawMessage(`{"proprietaryComponents":false}`)
		}
	}
	switch {
	case r.Format == "docker":
		x.dockerSettings(r, &out)
	case r.Format == "yum" && r.Type == "hosted":
		out.Yum = &yumSettings{Depth: &r.Depth, DeployPolicy: r.DeployPolicy}
	case r.Format == "raw":
		out.Raw = &rawSettings{Disposition: &r.Disposition}
	}
	return out
}

// dockerSettings adds what only docker repositories have.
func (x *exchange) dockerSettings(r Repository, out *settings) {
	basic, no := !r.BearerAuth, false
	out.Docker = &dockerSettings{V1Enabled: &no, ForceBasicAuth: &basic}
	if r.Port > 0 {
		out.Docker.HTTPPort = &r.Port
	}
	if r.HTTPSPort > 0 {
		out.Docker.HTTPSPort = &r.HTTPSPort
	}
	if x.s.prof.since(41) && r.Type == "hosted" {
		out.Storage.LatestPolicy = &r.LatestPolicy
	}
	if x.s.prof.since(84) {
		out.Docker.PathEnabled = json.RawMessage("null")
		if r.PathEnabled {
			out.Docker.PathEnabled = json.RawMessage("true")
		}
	}
}

// readSettings reads a repository from the request body. It answers, and
// returns false, when something is wrong with it.
func (x *exchange) readSettings(format, kind string) (Repository, bool) {
	var in settings
	if !x.readJSON(&in) {
		return Repository{}, false
	}
	if in.Raw != nil && in.Raw.Disposition == nil {
		x.serverError(errors.New("java.lang.NullPointerException"))
		return Repository{}, false
	}
	if id, message := x.complain(&in, format, kind); id != "" {
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
func (x *exchange) complain(in *settings, format, kind string) (id, message string) {
	const null = "must not be null"
	if in.Storage != nil {
		if _, ok := x.s.blobStore(in.Storage.BlobStore); !ok {
			return "PARAMETER storage.blobStoreName", fmt.Sprintf("Blob store %q does not exist", in.Storage.BlobStore)
		}
	}
	switch {
	case in.Online == nil:
		return "PARAMETER online", null
	case in.Storage == nil:
		return "PARAMETER storage", null
	case format == "oci" && in.Name != strings.ToLower(in.Name):
		return "PARAMETER name", "OCI repository names must be lower case"
	case kind == "hosted" && in.Storage.WritePolicy == "":
		return "PARAMETER storage.writePolicy", null
	case kind == "group" && (in.Group == nil || slices.Contains(in.Group.Members, in.Name)):
		return "PARAMETER group", "Group members are missing or contain the group"
	case kind == "proxy" && (in.Proxy == nil || in.Proxy.RemoteURL == ""):
		return "PARAMETER proxy.remoteUrl", null
	case format == "docker":
		return x.complainDocker(in)
	case format == "yum" && kind == "hosted" && (in.Yum == nil || in.Yum.Depth == nil):
		return "PARAMETER yum.repodataDepth", null
	case format == "yum" && kind == "hosted" && in.Yum.DeployPolicy == "" && x.s.opts.Quirks.DeployPolicyRequired:
		return "PARAMETER yum.deployPolicy", null
	}
	return "", ""
}

// complainDocker is complain for what only docker repositories have.
func (x *exchange) complainDocker(in *settings) (id, message string) {
	d := in.Docker
	switch {
	case d == nil || d.V1Enabled == nil || d.ForceBasicAuth == nil:
		return "PARAMETER docker", "must not be null"
	case d.Subdomain != nil && x.s.prof.edition != "PRO":
		return "PARAMETER docker.subdomain", "Docker subdomain routing is a PRO feature"
	case x.s.prof.since(84) && d.pathEnabled() && (d.HTTPPort != nil || d.HTTPSPort != nil || d.Subdomain != nil):
		return "PARAMETER docker.pathEnabled", "Path based routing excludes a connector port"
	case x.s.prof.since(84) && in.Name != strings.ToLower(in.Name):
		return "PARAMETER name", "Docker repository names must be lower case"
	}
	return "", ""
}

// pathEnabled says whether path routing is wanted.
func (d *dockerSettings) pathEnabled() bool { return string(d.PathEnabled) == "true" }

// repository is what the settings describe, once complain is content. What the
// version does not know is ignored.
func (in *settings) repository(format, kind string) Repository {
	r := Repository{Name: in.Name, Format: format, Type: kind, Offline: !*in.Online, BlobStore: in.Storage.BlobStore,
		Strict: in.Storage.Strict, WritePolicy: in.Storage.WritePolicy}
	if in.Group != nil {
		r.Members = in.Group.Members
	}
	if in.Proxy != nil {
		r.RemoteURL = in.Proxy.RemoteURL
	}
	if in.Cleanup != nil {
		r.Cleanup = in.Cleanup.Policies
	}
	if in.Storage.LatestPolicy != nil {
		r.LatestPolicy = *in.Storage.LatestPolicy
	}
	if d := in.Docker; d != nil {
		r.BearerAuth, r.PathEnabled = !*d.ForceBasicAuth, d.pathEnabled()
		if d.HTTPPort != nil {
			r.Port = *d.HTTPPort
		}
		if d.HTTPSPort != nil {
			r.HTTPSPort = *d.HTTPSPort
		}
	}
	if in.Yum != nil && in.Yum.Depth != nil {
		r.Depth, r.DeployPolicy = *in.Yum.Depth, in.Yum.DeployPolicy
	}
	if in.Raw != nil {
		r.Disposition = *in.Raw.Disposition
	}
	return r
}
