package nexustest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// tagsOf returns the tags of an image, sorted. The caller holds Server.mu.
func (r *repository) tagsOf(image string) []string {
	var tags []string
	for p := range r.assets {
		if t := parseDocker(p); t.kind == dockerManifest && t.image == image && !isDigest(t.ref) {
			tags = append(tags, t.ref)
		}
	}
	slices.Sort(tags)
	return tags
}

// images returns the image names of a repository and its members, sorted. The
// caller holds s.mu.
func (s *Server) images(r *repository) []string {
	var names []string
	for p := range r.assets {
		if t := parseDocker(p); t.kind == dockerManifest {
			names = append(names, t.image)
		}
	}
	for _, member := range r.Members {
		if m := s.repos[member]; m != nil {
			names = append(names, s.images(m)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// tags is tagsOf with the members of a group. The caller holds s.mu.
func (s *Server) tags(r *repository, image string) []string {
	tags := r.tagsOf(image)
	for _, member := range r.Members {
		if m := s.repos[member]; m != nil {
			tags = append(tags, s.tags(m, image)...)
		}
	}
	slices.Sort(tags)
	return slices.Compact(tags)
}

func (x *exchange) listCatalog() {
	x.s.mu.Lock()
	names := x.s.images(x.s.repos[x.repo])
	x.s.mu.Unlock()
	x.writeList(map[string]any{}, "repositories", "_catalog", names)
}

func (x *exchange) listTags() {
	image := x.docker.image
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	known := slices.Contains(x.s.images(r), image)
	tags := x.s.tags(r, image)
	x.s.mu.Unlock()
	if !known {
		x.absent("NAME_UNKNOWN", "repository name not known to registry", map[string]string{"name": image})
		return
	}
	x.writeList(map[string]any{"name": image}, "tags", image+"/tags/list", tags)
}

// writeList answers with one page of a list. Old servers and groups know no
// pages and answer with all of it.
func (x *exchange) writeList(envelope map[string]any, member, path string, items []string) {
	q := x.r.URL.Query()
	n, _ := strconv.Atoi(q.Get("n"))
	if x.s.prof.link != linkNone && x.repository().Type != "group" {
		if last := q.Get("last"); last != "" {
			i, found := slices.BinarySearch(items, last)
			if found {
				i++
			}
			items = items[i:]
		}
		if n > 0 && n < len(items) {
			items = items[:n]
			next := url.Values{"n": {strconv.Itoa(n)}, "last": {items[n-1]}}
			x.w.Header()["Link"] = []string{"<" + x.linkBase() + path + "?" + next.Encode() + `>; rel="next"`}
		}
	}
	if items == nil {
		items = []string{}
	}
	envelope[member] = items
	body, err := json.Marshal(envelope)
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	x.write(http.StatusOK, "application/json", body)
}

// linkBase is what Link targets begin with, which is wrong in one place or
// another: no prefix on the main port, or the prefix on connector ports too.
func (x *exchange) linkBase() string {
	if x.s.prof.link == linkPrefix {
		return x.s.opts.ContextPath + "/repository/" + x.repo + "/v2/"
	}
	return "/v2/"
}

// listReferrers lists the manifests whose subject is a digest, on servers that
// have such lists at all.
func (x *exchange) listReferrers() {
	if !x.s.opts.Quirks.Referrers {
		x.htmlError(http.StatusNotFound, "Not Found")
		return
	}
	type descriptor struct {
		MediaType    string `json:"mediaType"`
		Digest       string `json:"digest"`
		Size         int64  `json:"size"`
		ArtifactType string `json:"artifactType,omitempty"`
	}
	found := []descriptor{}
	x.s.mu.Lock()
	r := x.s.repos[x.repo]
	for _, p := range sortedKeys(r.assets) {
		t := parseDocker(p)
		if t.kind != dockerManifest || t.image != x.docker.image || !isDigest(t.ref) {
			continue
		}
		var m manifest
		a := r.assets[p]
		raw, err := a.content.bytes()
		if err == nil && json.Unmarshal(raw, &m) == nil && m.Subject != nil && m.Subject.Digest == x.docker.ref {
			found = append(found, descriptor{a.contentType, t.ref, a.content.size, m.ArtifactType})
		}
	}
	x.s.mu.Unlock()
	const indexType = "application/vnd.oci.image.index.v1+json"
	body, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": indexType, "manifests": found})
	if err != nil {
		x.htmlError(http.StatusInternalServerError, err.Error())
		return
	}
	x.write(http.StatusOK, indexType, body)
}
