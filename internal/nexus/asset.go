package nexus

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"airbundle/internal/httpx"
)

const maxSearch = 4 << 20

// An Asset is a file as the server describes it.
type Asset struct {
	Size int64 // -1: not told
	// Checksums that the server keeps of the present content, in hex by name: sha1,
	// md5, sha256, sha512. Which ones depends on its version and on how the file came.
	Checksums map[string]string
	// Modified is when the content was written, to the second.
	Modified time.Time
}

// Stat describes a file. The error is errdef.ErrNotFound only on 404.
//
// HEAD tells the size and, from 3.71 on, the SHA-1. The SHA-256 is in the search
// API only, which lags behind; its word counts when it is about the content that
// HEAD has seen. For an RPM in a yum repository it is not asked: the metadata tells.
func (n *Nexus) Stat(ctx context.Context, repo, path string) (Asset, error) {
	a, err := n.head(ctx, repo, path)
	if err != nil {
		return Asset{}, n.failed("look for", repo, path, err)
	}
	if a.Checksums["sha1"] == "" || n.format(repo) == "yum" && strings.HasSuffix(path, ".rpm") {
		return a, nil // nothing keeps a SHA-256 of it, or something better does
	}
	sums, err := n.search(ctx, repo, path, "name", "/"+path, a)
	if err != nil {
		return Asset{}, n.failed("look for", repo, path, err)
	}
	if sums != nil {
		a.Checksums = sums
	}
	return a, nil
}

// format is that of a repository; empty when Check has not seen it.
func (n *Nexus) format(repo string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.formats[repo]
}

var etagSHA1 = regexp.MustCompile(`^"([0-9a-f]{40})"$`)

func (n *Nexus) head(ctx context.Context, repo, path string) (Asset, error) {
	u, err := n.content(repo, path)
	if err != nil {
		return Asset{}, err
	}
	resp, err := n.do(ctx, http.MethodHead, u)
	if err != nil {
		return Asset{}, nowhere(repo, err)
	}
	_ = resp.Body.Close()
	a := Asset{Size: resp.ContentLength, Checksums: map[string]string{}}
	if m := etagSHA1.FindStringSubmatch(resp.Header.Get("ETag")); m != nil {
		a.Checksums["sha1"] = m[1]
	}
	a.Modified, _ = http.ParseTime(resp.Header.Get("Last-Modified")) // zero: not told
	return a, nil
}

// A record is an asset in an answer of the REST API.
type record struct {
	Path         string            `json:"path"`
	Repository   string            `json:"repository"`
	Checksum     map[string]string `json:"checksum"`
	LastModified string            `json:"lastModified"`
	FileSize     int64             `json:"fileSize"` // 0 also for "not in the index"
}

// search returns the checksums that the search API has for a file, or nil when it
// knows none or speaks of other content than seen. It is a shortcut: when it does
// not work it is not used again.
func (n *Nexus) search(ctx context.Context, repo, path, key, value string, seen Asset) (map[string]string, error) {
	if n.noSearch.Load() {
		return nil, nil
	}
	var found struct{ Items []record }
	u := n.rest(url.Values{"repository": {repo}, key: {value}}, "v1", "search", "assets")
	if err := n.getJSON(ctx, u, maxSearch, &found); err != nil {
		if ctx.Err() != nil || httpx.StatusCode(err) == http.StatusUnauthorized {
			return nil, err
		}
		n.noSearch.Store(true)
		return nil, nil
	}
	for _, r := range found.Items {
		// Orient writes "a/b", later generations "/a/b".
		if r.Repository == repo && strings.TrimPrefix(r.Path, "/") == path && r.describes(seen) {
			return r.Checksum, nil
		}
	}
	return nil, nil
}

// describes says whether a record of the index, which may be old, is about the
// content that a HEAD request has just seen: by its SHA-1, else by the time of
// its writing.
func (r record) describes(seen Asset) bool {
	if r.FileSize > 0 && seen.Size >= 0 && r.FileSize != seen.Size {
		return false
	}
	if sum := seen.Checksums["sha1"]; sum != "" {
		return r.Checksum["sha1"] == sum
	}
	written, err := parseTime(r.LastModified)
	return err == nil && !seen.Modified.IsZero() && written.Truncate(time.Second).Equal(seen.Modified)
}

// parseTime reads the two forms of time in the REST API: with and without a colon
// in the zone.
func parseTime(s string) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	return time.Parse("2006-01-02T15:04:05.999-0700", s)
}
