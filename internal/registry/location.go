package registry

import (
	"net/http"
	"net/url"
	"strings"

	"airbundle/internal/httpx"
)

// location is where an answer sends the upload: on this registry, or nowhere.
//
// Nexus leaves the prefix of its own path out, and behind a proxy, or with a base URL
// in its settings that is out of date, it names another host, port, scheme or context
// path. The path is this registry's own all the same, so it is asked for here; nothing
// is ever sent elsewhere.
func (u *upload) location(resp *http.Response) (*url.URL, error) {
	base := u.r.base
	raw := resp.Header.Get("Location")
	if raw == "" {
		return nil, refuse("the registry opened an upload but did not say where")
	}
	to, err := url.Parse(raw)
	if err != nil {
		return nil, refuse("the registry sends the upload to %s", httpx.Redact(raw))
	}
	to = resp.Request.URL.ResolveReference(to)
	own := httpx.SameOrigin(to, base) && to.User == nil
	if !own && !u.r.oneHost {
		return nil, refuse("the registry %s://%s sends the upload to %s: refused, another host, port or scheme; "+
			"if that is what a proxy in front of it makes of its name, let it hand on the one that was asked for (nginx: proxy_set_header Host $http_host and X-Forwarded-Proto $scheme)",
			base.Scheme, base.Host, httpx.RedactURL(to))
	}
	to.Fragment = ""
	if own && strings.HasPrefix(to.Path, base.Path+"/") {
		return to, nil
	}
	mark := "/v2/" + u.repo + "/blobs/uploads/" // with nothing in it that would be escaped
	_, session, ok := strings.Cut(to.EscapedPath(), mark)
	id, err := url.PathUnescape(session)
	if !ok || err != nil || strings.Contains(id, "/") || strings.Trim(id, ".") == "" {
		return nil, refuse("the registry %s sends the upload to %s: refused, that is no upload of %s",
			httpx.RedactURL(base), httpx.RedactURL(to), u.repo)
	}
	here := *base
	here.Path, here.RawPath, here.RawQuery = base.Path+mark+id, base.EscapedPath()+mark+session, to.RawQuery
	return &here, nil
}
