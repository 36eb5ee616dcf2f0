package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/httpx"
)

const (
	listPage = 100      // names asked for at once; many servers refuse more than 1000
	maxList  = 32 << 20 // bytes of one answer: old servers give everything at once
)

// A Tag is a name that a registry lists.
type Tag struct {
	Repository, Tag string
	Page            int // how many answers it took so far
}

// Tags lists all tags of all repositories, as far as the registry lets this login list
// them: many do not. An error is the last that is yielded.
func (r *Registry) Tags(ctx context.Context) iter.Seq2[Tag, error] {
	return func(yield func(Tag, error) bool) {
		answers := 0
		for repo, err := range r.names(ctx, &answers, r.base.JoinPath("v2", "_catalog"), "repositories", "registry:catalog:*") {
			if err != nil {
				yield(Tag{}, fmt.Errorf("list the repositories of %s: %w", httpx.RedactURL(r.base), err))
				return
			}
			u, err := r.url(repo, "tags", "list")
			if err != nil {
				yield(Tag{}, err)
				return
			}
			for tag, err := range r.names(ctx, &answers, u, "tags", pull(repo)) {
				if err = r.tagless(repo, err); errors.Is(err, errdef.ErrNotFound) {
					break // a name without tags
				}
				if !yield(Tag{repo, tag, answers}, err) || err != nil {
					return
				}
			}
		}
	}
}

func (r *Registry) tagless(repo string, err error) error {
	if err == nil {
		return nil
	}
	return r.failed("list", repo, "tags", err)
}

// names reads a list page by page. The way to the next page is made from the last name: what
// Link headers lead to is wrong behind prefixes and proxies. Only that there is one counts.
func (r *Registry) names(ctx context.Context, answers *int, u *url.URL, member, scope string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		seed, seen, last, n := maphash.MakeSeed(), map[uint64]bool{}, "", listPage
		for {
			page, more, err := r.page(ctx, u, n, last, member, scope)
			if n > 0 && last == "" && httpx.StatusCode(err) == http.StatusBadRequest {
				n = 0 // more than this server wants to be asked for: as many as it likes
				continue
			}
			if err != nil {
				yield("", err)
				return
			}
			*answers++
			fresh := 0
			for _, name := range page {
				sum := maphash.String(seed, name)
				if seen[sum] {
					continue
				}
				seen[sum] = true
				if fresh++; !yield(name, nil) {
					return
				}
			}
			switch {
			case fresh > 0 && (more || len(page) >= listPage):
				last = page[len(page)-1]
			case more:
				yield("", refuse("%s: the list has no end: the server says that there is more, and gives nothing new", httpx.RedactURL(u)))
				return
			default:
				return
			}
		}
	}
}

// page reads n names after last, 0 for as many as the server gives, and whether it says that
// there are more.
func (r *Registry) page(ctx context.Context, u *url.URL, n int, last, member, scope string) (names []string, more bool, err error) {
	q := url.Values{}
	if n > 0 {
		q.Set("n", strconv.Itoa(n))
	}
	if last != "" {
		q.Set("last", last)
	}
	at := *u
	at.RawQuery = q.Encode()
	resp, err := r.do(ctx, http.MethodGet, &at, nil, scope)
	if err == nil {
		err = CheckStatus(resp, http.StatusOK)
	}
	if err != nil {
		return nil, false, err
	}
	for _, link := range resp.Header.Values("Link") {
		more = more || strings.Contains(link, `rel="next"`) || strings.Contains(link, "rel=next")
	}
	raw, err := ReadBody(resp, maxList)
	if err != nil {
		return nil, false, err
	}
	var body map[string]json.RawMessage
	if err = json.Unmarshal(raw, &body); err == nil {
		err = json.Unmarshal(body[member], &names) // a missing member is no JSON
	}
	if err != nil {
		return nil, false, refuse("read %s: not the expected JSON: %w", httpx.RedactURL(u), err)
	}
	return names, more, nil
}
