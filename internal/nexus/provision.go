package nexus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"airbundle/internal/httpx"
	"airbundle/internal/registry"
	"airbundle/internal/report"
)

// A NameTakenError says that a repository cannot be made because there is one of that name,
// in whatever case, which the account may not even see.
type NameTakenError struct {
	Name string
	Err  error
}

func (e *NameTakenError) Error() string {
	return fmt.Sprintf("there is a repository %s already, or one that differs in case only: %v", e.Name, e.Err)
}

// Unwrap returns the server's answer.
func (e *NameTakenError) Unwrap() error { return e.Err }

// ExitCode is that of a refusal by the server.
func (e *NameTakenError) ExitCode() int { return int(report.ClassRefused) }

// Create makes a repository and nothing else: 3.26 and later by REST v1, before that by the
// beta API, which 3.20 to 3.25 have for some formats. The error is ErrNoAPI where the
// version has neither, and a *NameTakenError where the name is in use.
//
// The request is sent once. When its answer is lost, the repository may be there.
func (n *Nexus) Create(ctx context.Context, s Settings) error {
	if !repositoryName.MatchString(s.Name) {
		return fmt.Errorf("%q is no repository name", s.Name)
	}
	raw, err := json.Marshal(body(s))
	if err != nil {
		return err
	}
	for _, api := range []string{"v1", "beta"} {
		err = n.post(ctx, raw, api, "repositories", s.Format, s.Type)
		if code := httpx.StatusCode(err); code != http.StatusNotFound && code != http.StatusMethodNotAllowed {
			return created(s, err)
		}
	}
	return fmt.Errorf("make the %s %s repository %s: %w", s.Type, s.Format, s.Name, ErrNoAPI)
}

// created says what an answer to a POST means.
func created(s Settings, err error) error {
	if err == nil {
		return nil
	}
	se, ok := errors.AsType[*httpx.StatusError](err)
	if ok && se.Code == http.StatusBadRequest && se.Says("already used") {
		err = &NameTakenError{s.Name, se}
	}
	return fmt.Errorf("make the %s %s repository %s: %w", s.Type, s.Format, s.Name, err)
}

func (n *Nexus) post(ctx context.Context, raw []byte, elem ...string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.rest(nil, elem...).String(), bytes.NewReader(raw))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := n.login.Do(n.client, req)
	if err != nil {
		return err
	}
	if err := registry.CheckStatus(resp, http.StatusCreated); err != nil {
		return err
	}
	return resp.Body.Close()
}

// body returns the request that makes a repository: every member that its format needs in
// some version, and none that a version takes amiss. An empty raw object makes 3.30 to 3.77
// answer 500; writePolicy belongs to hosted repositories only.
func body(s Settings) map[string]any {
	storage := map[string]any{"blobStoreName": s.Storage.BlobStore, "strictContentTypeValidation": s.Storage.Strict}
	b := map[string]any{"name": s.Name, "online": s.Online, "storage": storage}
	hosted := s.Type == "hosted"
	if hosted {
		storage["writePolicy"] = s.Storage.WritePolicy
	} else {
		b["group"] = map[string]any{"memberNames": s.Group.Members}
	}
	switch s.Format {
	case "docker":
		d := map[string]any{"v1Enabled": false, "forceBasicAuth": s.Docker.ForceBasicAuth}
		if s.Docker.HTTPPort > 0 {
			d["httpPort"] = s.Docker.HTTPPort
		}
		b["docker"] = d
	case "yum":
		if hosted {
			b["yum"] = map[string]any{"repodataDepth": s.Yum.Depth, "deployPolicy": s.Yum.DeployPolicy}
		}
	case "raw":
		b["raw"] = map[string]any{"contentDisposition": "ATTACHMENT"}
	}
	return b
}
