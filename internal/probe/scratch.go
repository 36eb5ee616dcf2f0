package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"airbundle/internal/httpx"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// Formats that questions need.
const (
	formatDocker = "docker"
	formatOCI    = "oci"
	formatYum    = "yum"
	formatRaw    = "raw"
)

// mark begins the name of everything that a run uploads.
const mark = "airbundle-probe"

// repository is one of the server's list.
type repository struct {
	Name   string `json:"name"`
	Format string `json:"format"`
	Type   string `json:"type"`
	URL    string `json:"url"`
}

// settings is the part of a repository's settings that questions depend on.
type settings struct {
	Online  *bool `json:"online"`
	Storage struct {
		WritePolicy string `json:"writePolicy"`
		Strict      bool   `json:"strictContentTypeValidation"`
	} `json:"storage"`
	Yum *struct {
		Depth        *int   `json:"repodataDepth"`
		DeployPolicy string `json:"deployPolicy"`
	} `json:"yum"`
}

// ask reads a REST resource; any status but 200 is a *httpx.StatusError.
func (w *wire) ask(ctx context.Context, path string, v any) error {
	a, err := w.send(ctx, call{method: http.MethodGet, path: w.rest(path)})
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return &httpx.StatusError{Method: http.MethodGet, URL: shown(w.rest(path)), Code: a.status,
			Reason: strings.TrimSpace(strings.TrimPrefix(a.exchange.Answer, fmt.Sprint(a.status)))}
	}
	if err := json.Unmarshal(a.body, v); err != nil {
		return refused("GET %s: not the expected JSON: %w (is it a Nexus, and is the context path complete?)", shown(w.rest(path)), err)
	}
	return nil
}

func refused(format string, args ...any) error {
	return report.WithClass(report.ClassRefused, fmt.Errorf(format, args...))
}

// meet asks the server what it is and whether it may be written to. It returns the
// repositories that the login may browse.
func (w *wire) meet(ctx context.Context) (Server, []repository, error) {
	s := Server{URL: httpx.RedactURL(w.base)}
	status, err := w.send(ctx, call{method: http.MethodGet, path: w.rest("v1/status")})
	if err != nil {
		return s, nil, err
	}
	if status.status != http.StatusOK {
		return s, nil, refused("GET %s answers %s (is it a Nexus, and is the context path complete?)", w.rest("v1/status"), status.says())
	}
	s.Header, s.Date = oneLine(status.header.Get("Server")), oneLine(status.header.Get("Date"))
	s.Version, s.Edition = versionOf(s.Header)
	if s.Version == "" {
		var doc struct{ Info struct{ Version string } }
		if err := w.ask(ctx, "swagger.json", &doc); err == nil {
			s.Version = oneLine(doc.Info.Version)
		}
	}
	writable, err := w.send(ctx, call{method: http.MethodGet, path: w.rest("v1/status/writable")})
	if err != nil {
		return s, nil, err
	}
	if writable.status == http.StatusServiceUnavailable {
		return s, nil, refused("the server is read-only (%s): nothing was written", writable.says())
	}
	var list []repository
	if err := w.ask(ctx, "v1/repositories", &list); err != nil {
		return s, nil, fmt.Errorf("list the repositories: %w", err)
	}
	return s, list, nil
}

// versionOf reads "Nexus/3.40.1-01 (OSS)".
func versionOf(header string) (version, edition string) {
	rest, ok := strings.CutPrefix(header, "Nexus/")
	if !ok {
		return "", ""
	}
	version, edition, _ = strings.Cut(rest, " ")
	return version, strings.Trim(edition, "()")
}

// scratches checks that all the named repositories may be dirtied. It writes nothing, and
// tells of all that may not.
func (w *wire) scratches(ctx context.Context, names []string, list []repository, force bool) ([]Scratch, error) {
	var all []Scratch
	var errs []error
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		s, err := w.scratch(ctx, name, list, force)
		if w.stopped != nil || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			next := ""
			if httpx.StatusCode(err) == 0 {
				next = "name hosted repositories whose content may be lost"
			}
			errs = append(errs, report.Advise(fmt.Errorf("--scratch %s: %w", name, err), next))
		}
		all = append(all, s)
	}
	return all, errors.Join(errs...)
}

func (w *wire) scratch(ctx context.Context, name string, list []repository, force bool) (Scratch, error) {
	s := Scratch{Name: name, Depth: -1}
	i := slices.IndexFunc(list, func(r repository) bool { return r.Name == name })
	if i < 0 {
		return s, refused("this login sees no such repository: there is none, or the privilege browse is missing")
	}
	s.Format = list[i].Format
	switch {
	case list[i].Type != "hosted":
		return s, refused("it is a %s repository, a hosted one is needed", list[i].Type)
	case !slices.Contains([]string{formatDocker, formatOCI, formatYum, formatRaw}, s.Format):
		return s, refused("no question needs a %s repository: name docker, yum, raw or oci ones", s.Format)
	}
	if err := w.settings(ctx, &s); err != nil {
		return s, err
	}
	if force {
		return s, nil
	}
	return s, w.empty(ctx, name)
}

// settings reads what the server tells of the repository's settings. That it tells
// nothing is no error: versions before 3.28 do not, nor does any without the privilege.
func (w *wire) settings(ctx context.Context, s *Scratch) error {
	var set settings
	err := w.ask(ctx, "v1/repositories/"+s.Format+"/hosted/"+url.PathEscape(s.Name), &set)
	if code := httpx.StatusCode(err); code == http.StatusNotFound || code == http.StatusForbidden {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read its settings: %w", err)
	}
	s.WritePolicy, s.Strict = strings.ToUpper(set.Storage.WritePolicy), set.Storage.Strict
	if set.Yum != nil {
		s.DeployPolicy = strings.ToUpper(set.Yum.DeployPolicy)
		if set.Yum.Depth != nil {
			s.Depth = *set.Yum.Depth
		}
	}
	switch {
	case set.Online != nil && !*set.Online:
		return refused("it is offline")
	case s.WritePolicy == "DENY":
		return refused("its deployment policy is read-only")
	case s.Depth > target.MaxRepodataDepth:
		return refused("its repodata depth is %d, which Nexus does not have", s.Depth)
	}
	return nil
}

// maxPages bounds how far a list of components is followed.
const maxPages = 100

// empty says nothing when the repository has no component but those that earlier runs
// left: a guard against a mistyped name.
func (w *wire) empty(ctx context.Context, name string) error {
	token := ""
	for range maxPages {
		var page struct {
			Items []struct{ Group, Name, Version string }
			Token string `json:"continuationToken"`
		}
		query := url.Values{"repository": {name}}
		if token != "" {
			query.Set("continuationToken", token)
		}
		if err := w.ask(ctx, "v1/components?"+query.Encode(), &page); err != nil {
			return fmt.Errorf("is it empty? %w", err)
		}
		for _, c := range page.Items {
			if !ours(c.Group) && !ours(c.Name) {
				return refused("it is not empty, it has %s %s, and --force is not given", oneLine(c.Name), oneLine(c.Version))
			}
		}
		if token = page.Token; token == "" {
			return nil
		}
	}
	return refused("it is not empty: it has more than %d pages of components of earlier runs, and --force is not given", maxPages)
}

// ours tells names that a run gave.
func ours(name string) bool { return strings.HasPrefix(strings.TrimPrefix(name, "/"), mark) }
