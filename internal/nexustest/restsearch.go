package nexustest

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// searchPage is how many hits a page of search results has.
const searchPage = 50

// serveSearch answers search, search/assets and search/assets/download. What
// was uploaded is found some time later only.
func (x *exchange) serveSearch(args []string) {
	kind := strings.Join(args, "/")
	if kind != "" && kind != "assets" && kind != "assets/download" {
		x.noSuchPage()
		return
	}
	q := x.r.URL.Query()
	if x.s.prof.since(88) && tooWide(q) {
		x.invalid("*", "Wildcard searches need at least 3 characters before the asterisk")
		return
	}
	hits := x.search(q)
	switch kind {
	case "":
		hits = slices.DeleteFunc(hits, func(l listed) bool { return !isComponent(l.format, l.path) })
		answerPage(x, hits, searchPage, func(l listed) componentXO {
			c := x.componentOf(l)
			x.fromIndex(&c.Assets[0])
			return c
		})
	case "assets":
		answerPage(x, hits, searchPage, func(l listed) assetXO {
			a := x.assetOf(l)
			x.fromIndex(&a)
			return a
		})
	default:
		x.download(hits, q.Has("sort"))
	}
}

// tooWide says whether a wildcard has too little before it.
func tooWide(q url.Values) bool {
	for _, values := range q {
		for _, v := range values {
			if before, wild := strings.CutSuffix(v, "*"); wild && len(before) < 3 {
				return true
			}
		}
	}
	return false
}

// fromIndex blanks what the search index of the Orient generation does not know.
func (x *exchange) fromIndex(a *assetXO) {
	if !x.s.prof.datastore && a.asset340 != nil {
		a.FileSize = 0
	}
}

// download redirects to the only hit.
func (x *exchange) download(hits []listed, sorted bool) {
	switch {
	case len(hits) == 0:
		x.notFound()
	case len(hits) > 1 && !sorted:
		x.textError(http.StatusBadRequest, "Search returned multiple assets, please refine search criteria to find a single asset")
	default:
		x.w.Header().Set("Location", x.assetOf(hits[0]).DownloadURL)
		x.status(http.StatusFound)
	}
}

// search returns the indexed assets that fit all parameters.
func (x *exchange) search(q url.Values) []listed {
	cutoff := x.s.opts.Now().Add(-x.s.opts.SearchDelay)
	var hits []listed
	x.s.mu.Lock()
	for _, name := range sortedKeys(x.s.repos) {
		r := x.s.repos[name]
		if r.Type == "group" && q.Get("repository") != name || !x.mayBrowse(name) || q.Has("repository") && q.Get("repository") != name {
			continue
		}
		hits = append(hits, x.s.contents(r)...)
	}
	x.s.mu.Unlock()
	hits = slices.DeleteFunc(hits, func(l listed) bool {
		return l.generated || l.updated.After(cutoff) || !x.fits(l, q)
	})
	x.order(hits, q.Get("sort"), q.Get("direction") == "desc")
	return hits
}

// order sorts hits by a fact of their components, or by age.
func (x *exchange) order(hits []listed, by string, down bool) {
	fact := func(l listed) string {
		c := x.componentOf(l)
		switch {
		case by == "name":
			return c.Name
		case by == "repository":
			return c.Repository
		case by == "group" && c.Group != nil:
			return *c.Group
		case by == "version" && c.Version != nil:
			return *c.Version
		}
		return ""
	}
	slices.SortFunc(hits, func(a, b listed) int {
		order := cmp.Or(strings.Compare(fact(a), fact(b)), cmp.Compare(a.seq, b.seq))
		if down {
			return -order
		}
		return order
	})
}

// fits says whether an asset has what every parameter asks for.
func (x *exchange) fits(l listed, q url.Values) bool {
	c := x.componentOf(l)
	facts := map[string]string{
		"format": l.format, "name": c.Name, "sha1": c.Assets[0].Checksum["sha1"], "sha256": c.Assets[0].Checksum["sha256"],
		"md5": c.Assets[0].Checksum["md5"],
	}
	if c.Group != nil {
		facts["group"] = *c.Group
	}
	if c.Version != nil {
		facts["version"] = *c.Version
	}
	switch l.format {
	case "docker":
		facts["docker.imageName"], facts["docker.imageTag"] = c.Name, facts["version"]
		facts["docker.contentDigest"] = digestOf(l.content)
	case "yum":
		if pkg, err := l.rpm(x.s.opts.Quirks); err == nil {
			facts["yum.name"], facts["yum.architecture"] = pkg.name, pkg.arch
		}
	}
	for key, values := range q {
		switch key {
		case "repository", "sort", "direction", "continuationToken":
			continue
		}
		if !matchesFact(facts[key], values[0]) {
			return false
		}
	}
	return true
}

// matchesFact compares, with a trailing asterisk as a wildcard.
func matchesFact(have, want string) bool {
	if prefix, wild := strings.CutSuffix(want, "*"); wild {
		return strings.HasPrefix(have, prefix)
	}
	return have == want
}

// browse answers one level of a repository's tree.
func (x *exchange) browse(args []string) {
	type node struct {
		Path string `json:"path"`
		Name string `json:"displayName"`
		Leaf bool   `json:"leaf"`
	}
	x.s.mu.Lock()
	r := x.s.repos[args[0]]
	nodes := map[string]node{}
	if r != nil {
		dir := strings.Trim(x.r.URL.Query().Get("path"), "/")
		for p := range r.assets {
			rest, below := p, true
			if dir != "" {
				rest, below = strings.CutPrefix(p, dir+"/")
			}
			if !below {
				continue
			}
			name, _, deeper := strings.Cut(rest, "/")
			full := "/" + path.Join(dir, name)
			old, seen := nodes[full]
			nodes[full] = node{full, name, !deeper && (!seen || old.Leaf)}
		}
	}
	x.s.mu.Unlock()
	if r == nil {
		x.notFound()
		return
	}
	out := []node{}
	for _, p := range sortedKeys(nodes) {
		out = append(out, nodes[p])
	}
	x.json(http.StatusOK, out)
}
