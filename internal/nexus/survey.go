package nexus

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"airbundle/internal/httpx"
)

// The questions of this file need rights that an account for uploads may lack: the error
// is then a 403. Where a version does not know the question it is a 404 or 405, which
// the error holds as *httpx.StatusError.

const maxSurvey = 4 << 20

// A BlobStore is where the content of repositories lies.
type BlobStore struct {
	Name        string `json:"name"`
	Type        string `json:"type"` // File, S3, Azure, Group ...
	Unavailable bool   `json:"unavailable"`
	Blobs       int64  `json:"blobCount"`
	Used        int64  `json:"totalSizeInBytes"`
	Available   int64  `json:"availableSpaceInBytes"` // of no meaning where space is not limited
}

// BlobStores lists the blob stores (3.24 and later).
func (n *Nexus) BlobStores(ctx context.Context) ([]BlobStore, error) {
	var stores []BlobStore
	return stores, n.survey(ctx, "the blob stores", &stores, nil, "blobstores")
}

// Quota says whether a blob store is beyond its soft quota, in the server's words. Such
// a quota raises an alert and blocks nothing.
func (n *Nexus) Quota(ctx context.Context, store string) (violated bool, message string, err error) {
	var q struct {
		Violated bool   `json:"isViolation"`
		Message  string `json:"message"`
	}
	err = n.survey(ctx, "the quota of blob store "+store, &q, nil, "blobstores", store, "quota-status")
	return q.Violated, q.Message, err
}

// EULA says whether the license agreement of the Community Edition is accepted. Versions
// that have none answer 404.
func (n *Nexus) EULA(ctx context.Context) (accepted bool, err error) {
	var e struct{ Accepted *bool }
	if err = n.survey(ctx, "the license agreement", &e, nil, "system", "eula"); err != nil {
		return false, err
	}
	if e.Accepted == nil {
		return false, fmt.Errorf("ask for the license agreement: the answer does not say whether it is accepted")
	}
	return *e.Accepted, nil
}

// Anonymous says whether requests without a login may read (3.26 and later).
func (n *Nexus) Anonymous(ctx context.Context) (bool, error) {
	var a struct{ Enabled bool }
	return a.Enabled, n.survey(ctx, "anonymous access", &a, nil, "security", "anonymous")
}

// Realms lists the ids of the active realms (3.26 and later).
func (n *Nexus) Realms(ctx context.Context) ([]string, error) {
	var ids []string
	return ids, n.survey(ctx, "the active realms", &ids, nil, "security", "realms", "active")
}

// Roles lists the roles of an account (3.26 and later).
func (n *Nexus) Roles(ctx context.Context, user string) ([]string, error) {
	var users []struct {
		ID       string   `json:"userId"`
		Roles    []string `json:"roles"`
		External []string `json:"externalRoles"`
	}
	// The server takes the id for the beginning of one.
	if err := n.survey(ctx, "the roles of the account", &users, url.Values{"userId": {user}}, "security", "users"); err != nil {
		return nil, err
	}
	for _, u := range users {
		if u.ID == user {
			return append(u.Roles, u.External...), nil
		}
	}
	return nil, errors.New("ask for the roles of the account: the server does not list it")
}

// survey reads one resource below /service/rest/v1.
func (n *Nexus) survey(ctx context.Context, what string, v any, query url.Values, elem ...string) error {
	if err := n.getJSON(ctx, n.rest(query, append([]string{"v1"}, elem...)...), maxSurvey, v); err != nil {
		return fmt.Errorf("ask for %s: %w", what, err)
	}
	return nil
}

// Has says whether the server has a repository of that name, of any format and whoever may
// see it. All versions say so of the content below it, before they look at rights.
func (n *Nexus) Has(ctx context.Context, repo string) (bool, error) {
	if !repositoryName.MatchString(repo) {
		return false, fmt.Errorf("%q is no repository name", repo)
	}
	u := n.base.JoinPath("repository", repo)
	u.Path += "/"
	resp, err := n.do(httpx.FinalStatus(ctx, http.StatusServiceUnavailable), http.MethodGet, u)
	if err == nil {
		return true, resp.Body.Close()
	}
	se, ok := errors.AsType[*httpx.StatusError](err)
	switch {
	case !ok, se.Code == http.StatusUnauthorized, se.Code == http.StatusTooManyRequests:
		return false, fmt.Errorf("ask whether there is a repository %s: %w", repo, err)
	case se.Code == http.StatusNotFound && se.Says("repository not found"):
		return false, nil
	case se.Code == http.StatusServiceUnavailable && se.Says("repository offline"), se.Code < http.StatusInternalServerError:
		return true, nil // no page there, no right to read it, offline
	}
	return false, fmt.Errorf("ask whether there is a repository %s: %w", repo, err)
}
