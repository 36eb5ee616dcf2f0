package chart

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
)

// join returns the URL that an index means by ref: an absolute one, or one relative to
// the repository, as helm resolves it: below the repository's path whether that ends in a
// slash or not, and with its query. An index from the network leads to no file, and one
// that came over TLS leads to plain HTTP only for what it pins by digest.
func join(repo, ref string, pinned bool) (string, error) {
	base, err := url.Parse(repo)
	if err != nil {
		return "", report.WithClass(report.ClassUsage, fmt.Errorf("%s is no URL", httpx.Redact(repo)))
	}
	u, err := url.Parse(ref)
	if err != nil || u.User != nil {
		return "", badContent("the index of %s has a URL that cannot be asked: %s", httpx.Redact(repo), httpx.Redact(ref))
	}
	if err := mayLead(base, u, pinned); err != nil {
		return "", badContent("the index of %s leads to %s: %w", httpx.Redact(repo), httpx.Redact(ref), err)
	}
	if u.Scheme != "" {
		return u.String(), nil
	}
	if base.Opaque != "" { // file:dir, which net/url does not join
		return "file:" + path.Join(base.Opaque, u.EscapedPath()), nil
	}
	at := *base
	at.Path, at.RawPath = strings.TrimRight(base.Path, "/")+"/", ""
	joined := at.ResolveReference(u)
	if joined.RawQuery == "" && joined.Host == base.Host {
		joined.RawQuery = base.RawQuery
	}
	return joined.String(), nil
}

// mayLead says whether an index at base may name u.
func mayLead(base, u *url.URL, pinned bool) error {
	local := base.Scheme == "file"
	switch u.Scheme {
	case "":
		if u.Host != "" && local || local && climbs(u.Path) {
			return errors.New("this is outside of the directory of the repository")
		}
	case "https":
	case "http":
		if base.Scheme == "https" && !pinned {
			return errors.New("from https to http without a digest that would tell what is right")
		}
	case "oci":
	case "file":
		if !local {
			return errors.New("a file of this machine is none of its charts")
		}
	default:
		return errors.New("neither http, https, oci nor relative")
	}
	return nil
}

// climbs says whether a relative path leaves the directory it starts in.
func climbs(p string) bool {
	return strings.HasPrefix(p, "/") || p != "" && strings.HasPrefix(path.Clean(p)+"/", "../")
}
