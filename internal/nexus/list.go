package nexus

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/opencontainers/go-digest"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

const (
	maxPage  = 32 << 20 // bytes of one page, which has 100 items at most
	maxPages = 1 << 20
)

// A Listed is one thing that a repository holds, as the REST API lists it.
type Listed struct {
	// Path has no slash before it, whatever the generation. Of a tag it is image:tag, of
	// a blob its digest.
	Path  string
	Asset     // Size is -1 also where the server says 0, which it does when it does not know
	Page  int // of the list, from 1
}

// Files lists the files of a repository, those that the server makes among them; in a
// docker repository the manifests and blobs. The list is of the present, unlike search.
// It costs one request for 10 files up to 3.73, for 100 from 3.74 on. A list that had to be
// begun again yields things twice. An error is the last that is yielded; it is a
// *NoRepositoryError when there is no such repository.
func (n *Nexus) Files(ctx context.Context, repo string) iter.Seq2[Listed, error] {
	return listed(list[record](ctx, n, "assets", repo), func(r record) (string, record) { return r.Path, r })
}

// Tags lists the tags of a docker repository, as Files does. Where the server names a
// SHA-256, it is the digest of the manifest.
func (n *Nexus) Tags(ctx context.Context, repo string) iter.Seq2[Listed, error] {
	all := listed(list[component](ctx, n, "components", repo), component.tag)
	return func(yield func(Listed, error) bool) {
		for tag, err := range all {
			if err == nil && strings.Contains(tag.Path, ":sha256:") {
				continue // a manifest by its digest, which is no name
			}
			if !yield(tag, err) {
				return
			}
		}
	}
}

// Blobs lists the blobs of a docker repository, as Files does: it is kept once for all
// images.
func (n *Nexus) Blobs(ctx context.Context, repo string) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		for f, err := range n.Files(ctx, repo) {
			name, isBlob := strings.CutPrefix(f.Path, "v2/-/blobs/")
			if err == nil && (!isBlob || digest.Digest(name).Validate() != nil) {
				continue
			}
			if f.Path = name; !yield(f, err) {
				return
			}
		}
	}
}

// Head describes a file by one request, which opens what is stored: its size and, from 3.71
// on, its SHA-1. The error is errdef.ErrNotFound only on 404.
func (n *Nexus) Head(ctx context.Context, repo, path string) (Asset, error) {
	a, err := n.head(ctx, repo, path)
	if err != nil {
		return Asset{}, n.failed("look for", repo, path, err)
	}
	return a, nil
}

// A component is what the REST API lists by name and version.
type component struct {
	Name    string   `json:"name"`
	Version string   `json:"version"`
	Assets  []record `json:"assets"`
}

// tag returns image:tag, and the record of the manifest where there is one.
func (c component) tag() (string, record) {
	if c.Name == "" || c.Version == "" {
		return "", record{}
	}
	for _, r := range c.Assets {
		if strings.HasSuffix(r.Path, c.Name+"/manifests/"+c.Version) {
			return c.Name + ":" + c.Version, r
		}
	}
	return c.Name + ":" + c.Version, record{}
}

// A paged is an item with the page that it stood on.
type paged[T any] struct {
	item T
	page int
}

// listed makes what is yielded of what the API lists; name is empty for what makes no sense.
func listed[T any](items iter.Seq2[paged[T], error], name func(T) (string, record)) iter.Seq2[Listed, error] {
	return func(yield func(Listed, error) bool) {
		for it, err := range items {
			if err != nil {
				yield(Listed{}, err)
				return
			}
			path, r := name(it.item)
			path = strings.TrimPrefix(path, "/")
			if path == "" {
				yield(Listed{}, isItNexus(errors.New("the list has an item without a name")))
				return
			}
			if !yield(Listed{path, r.asset(), it.page}, nil) {
				return
			}
		}
	}
}

// asset returns what a record says; a checksum that is none it does not say.
func (r record) asset() Asset {
	a := Asset{Size: r.FileSize, Checksums: map[string]string{}}
	if a.Size <= 0 {
		a.Size = -1
	}
	for name, bytes := range map[string]int{"sha1": 20, "sha256": 32} {
		sum := strings.ToLower(r.Checksum[name])
		if raw, err := hex.DecodeString(sum); err == nil && len(raw) == bytes {
			a.Checksums[name] = sum
		}
	}
	a.Modified, _ = parseTime(r.LastModified) // zero: not told
	return a
}

// list reads a list page by page. A token that the server does not know any more begins it
// anew, once; one that it has given before ends it.
func list[T any](ctx context.Context, n *Nexus, resource, repo string) iter.Seq2[paged[T], error] {
	return func(yield func(paged[T], error) bool) {
		fail := func(err error) { yield(paged[T]{}, n.unlisted(repo, err)) }
		seed, seen, token, again := maphash.MakeSeed(), map[uint64]bool{}, "", false
		for page := 1; ; page++ {
			items, next, err := getPage[T](ctx, n, resource, repo, token)
			if token != "" && !again && httpx.StatusCode(err) == http.StatusNotAcceptable {
				token, again = "", true
				clear(seen)
				continue
			}
			if err != nil {
				fail(err)
				return
			}
			for _, it := range items {
				if !yield(paged[T]{it, page}, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			sum := maphash.String(seed, next)
			if seen[sum] || page >= maxPages {
				fail(report.WithClass(report.ClassUnavailable, fmt.Errorf("the list has no end: after %d pages the server leads back to one of them, or on", page)))
				return
			}
			seen[sum], token = true, next
		}
	}
}

func getPage[T any](ctx context.Context, n *Nexus, resource, repo, token string) (items []T, next string, err error) {
	if !repositoryName.MatchString(repo) {
		return nil, "", fmt.Errorf("%q is no repository name", repo)
	}
	q := url.Values{"repository": {repo}}
	if token != "" {
		q.Set("continuationToken", token)
	}
	var p struct {
		Items *[]T   `json:"items"`
		Token string `json:"continuationToken"`
	}
	u := n.rest(q, "v1", resource)
	if err := n.getJSON(ctx, u, maxPage, &p); err != nil {
		return nil, "", err
	}
	if p.Items == nil {
		return nil, "", isItNexus(fmt.Errorf("read %s: the answer has no items", httpx.RedactURL(u)))
	}
	return *p.Items, p.Token, nil
}

// unlisted says of which repository the list could not be had, and what may help.
func (n *Nexus) unlisted(repo string, err error) error {
	hint := ""
	switch httpx.StatusCode(err) {
	case http.StatusForbidden:
		hint = fmt.Sprintf(" (the account needs the privilege browse on %s)", repo)
	case http.StatusNotFound:
		err = &NoRepositoryError{repo, err}
	}
	return fmt.Errorf("list %s: %w%s", repo, err, hint)
}
