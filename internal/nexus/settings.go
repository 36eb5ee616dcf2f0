package nexus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// Settings are what an administrator has set for one repository.
type Settings struct {
	Name    string  `json:"name"`
	Format  string  `json:"format"`
	Type    string  `json:"type"`
	Online  bool    `json:"online"`
	Storage Storage `json:"storage"`
	Group   struct {
		Members []string `json:"memberNames"`
	} `json:"group"`
	Docker DockerSettings `json:"docker"`
	Yum    struct {
		Depth        int    `json:"repodataDepth"`
		DeployPolicy string `json:"deployPolicy"` // STRICT or PERMISSIVE
	} `json:"yum"`
}

// Storage is where and how a repository keeps its content.
type Storage struct {
	BlobStore    string `json:"blobStoreName"`
	Strict       bool   `json:"strictContentTypeValidation"`
	WritePolicy  string `json:"writePolicy"`  // ALLOW, ALLOW_ONCE or DENY; empty for groups
	LatestPolicy bool   `json:"latestPolicy"` // from 3.41: ALLOW_ONCE spares the tag latest
}

// DockerSettings are what only docker repositories have.
type DockerSettings struct {
	HTTPPort       int  `json:"httpPort"`  // of the connector; 0: none
	HTTPSPort      int  `json:"httpsPort"` // of the connector; 0: none
	ForceBasicAuth bool `json:"forceBasicAuth"`
	PathEnabled    bool `json:"pathEnabled"` // from 3.84: reachable below <base>/v2/<name>/
}

// Settings reads the settings of a repository, from 3.28 on by its name, before that from the
// list of all. The account needs the privilege to read them; without it the error is a
// 403 (401 on some versions). The error is errdef.ErrNotFound when the server has no
// repository of that name, format and type; of a version that cannot be asked at
// all it is ErrNoAPI.
func (n *Nexus) Settings(ctx context.Context, format, kind, name string) (Settings, error) {
	if !repositoryName.MatchString(name) {
		return Settings{}, fmt.Errorf("%q is no repository name", name)
	}
	var s Settings
	u := n.rest(nil, "v1", "repositories", format, kind, name)
	err := n.getJSON(ctx, u, maxRepositories, &s)
	if err == nil && s.Name != name {
		err = isItNexus(fmt.Errorf("read %s: the answer is about %.100q", httpx.RedactURL(u), s.Name))
	}
	if err == nil {
		return s, nil
	}
	if httpx.StatusCode(err) != http.StatusNotFound && httpx.StatusCode(err) != http.StatusMethodNotAllowed {
		return Settings{}, fmt.Errorf("read the settings of %s: %w", name, err)
	}
	all, listErr := n.settings(ctx)
	switch httpx.StatusCode(listErr) {
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		return Settings{}, fmt.Errorf("read the settings of %s: %w", name, ErrNoAPI)
	}
	if listErr != nil {
		return Settings{}, fmt.Errorf("read the settings of %s: %w", name, listErr)
	}
	for _, s := range all {
		if s.Name == name && s.Format == format && s.Type == kind {
			return s, nil
		}
	}
	return Settings{}, fmt.Errorf("read the settings of %s: %w", name, &registry.NotFoundError{Err: err})
}

// ErrNoAPI says that the version of the server does not tell settings (before 3.26).
var ErrNoAPI = report.WithClass(report.ClassRefused, errors.New("this version of Nexus has no REST API for the settings of repositories"))

// settings reads the list of all settings (3.26 and later). One entry that cannot be read,
// of a format that is not ours, spoils nothing.
func (n *Nexus) settings(ctx context.Context) ([]Settings, error) {
	var raw []json.RawMessage
	if err := n.getJSON(ctx, n.rest(nil, "v1", "repositorySettings"), maxRepositories, &raw); err != nil {
		return nil, err
	}
	var all []Settings
	for _, r := range raw {
		var s Settings
		if json.Unmarshal(r, &s) == nil {
			all = append(all, s)
		}
	}
	return all, nil
}
