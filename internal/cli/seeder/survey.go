package seeder

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"oras.land/oras-go/v2/errdef"

	"airbundle/internal/httpx"
	"airbundle/internal/nexus"
	"airbundle/internal/preflight"
	"airbundle/internal/report"
	"airbundle/internal/target"
)

// fits asks what the repositories are that are wanted. What no push can get over is an
// error; what its user should know are notes. With q.Create absent are those to be made.
func (c *connection) fits(ctx context.Context, q preflight.Question) (absent []preflight.Design, notes []string, err error) {
	if !q.Read && c.info.ReadOnly {
		return nil, nil, report.WithClass(report.ClassRefused, report.Advise(fmt.Errorf("nexus %s is read-only: no write was tried", c.name),
			"its administrator has frozen it, or its disk is nearly full: make it writable, then push again"))
	}
	facts := preflight.Facts{Version: c.info.Version, Edition: c.info.Edition}
	ctx = httpx.WithAttempts(ctx, 2) // what is not known is no obstacle here
	if facts.Repositories, err = c.repositories(ctx, q); err != nil {
		return nil, nil, err
	}
	var errs []error
	for _, rec := range preflight.Repositories(facts, q) {
		switch {
		case rec.State == report.Failed:
			errs = append(errs, report.WithClass(rec.Class, &recordError{rec}))
		case rec.State == report.Planned, rec.State == report.OK:
		case rec.Finding == preflight.FindingCreate: // is tried
		case rec.Finding != preflight.FindingSettings: // which an account for uploads need not read
			notes = append(notes, sentence(rec))
		}
	}
	if q.Create {
		absent = preflight.Designs(facts, q)
	}
	return absent, notes, errors.Join(errs...)
}

// depths asks how deep the yum repositories that RPMs go to have their metadata. One that
// does not tell, or is not there yet, is not among them.
func (c *connection) depths(ctx context.Context, items []target.Item) (map[string]int, error) {
	known := map[string]int{}
	if c.nexus == nil {
		return known, nil
	}
	asked := map[string]bool{}
	for _, dir := range target.RPMDirs(items) {
		if dir.Raw || asked[dir.Repository] {
			continue
		}
		asked[dir.Repository] = true
		depth, told, err := c.nexus.RepodataDepth(ctx, dir.Repository)
		if err != nil {
			return nil, err
		}
		if told {
			known[dir.Repository] = depth
		}
	}
	return known, nil
}

// homes leaves the keys and .repo files out that have no raw repository to go to, and that
// nothing else goes to: whoever pushes RPMs alone need not have one. A note says so.
func (c *connection) homes(ctx context.Context, items []target.Item) (kept []target.Item, note string, err error) {
	if c.nexus == nil {
		return items, "", nil
	}
	needed := map[string]bool{}
	for _, it := range items {
		needed[it.Place.Repository] = needed[it.Place.Repository] || it.Made == nil
	}
	var gone []string
	for _, name := range slices.Sorted(maps.Keys(needed)) {
		if needed[name] || slices.ContainsFunc(c.info.Repositories, func(l nexus.Repository) bool { return l.Name == name }) {
			continue
		}
		there, err := c.nexus.Has(ctx, name)
		if end := final(ctx, err); end != nil {
			return nil, "", end
		}
		if err == nil && !there {
			gone = append(gone, name)
		}
	}
	if len(gone) == 0 {
		return items, "", nil
	}
	kept = slices.DeleteFunc(slices.Clone(items), func(it target.Item) bool { return slices.Contains(gone, it.Place.Repository) })
	return kept, fmt.Sprintf("public keys and .repo files are left out: there is no raw repository %s; make it, or name another with --raw-repo", strings.Join(gone, ", ")), nil
}

// A recordError is a record of a repository that ends the command.
type recordError struct{ report.Record }

func (e *recordError) Error() string { return sentence(e.Record) }

// Advice implements report.Adviser.
func (e *recordError) Advice() string { return e.Next }

// Subject returns what a record of the error is about.
func (e *recordError) Subject() report.Record { return e.Record }

// sentence says a record of a repository in a message.
func sentence(rec report.Record) string {
	s := fmt.Sprintf("repository %s %s", rec.Name, rec.Reason)
	if rec.Finding != preflight.FindingFormat {
		s = fmt.Sprintf("repository %s: %s", rec.Name, rec.Reason)
	}
	if rec.Next != "" {
		s += ": " + rec.Next
	}
	return s
}

// facts asks a Nexus what it says of itself, and what the repositories are that are wanted.
func (c *connection) facts(ctx context.Context, q preflight.Question) (f preflight.Facts, err error) {
	f = preflight.Facts{Version: c.info.Version, Edition: c.info.Edition, ReadOnly: c.info.ReadOnly, User: c.user}
	if c.user != "" {
		f.Roles.Value, f.Roles.Err = c.nexus.Roles(ctx, c.user)
	}
	f.EULA.Value, f.EULA.Err = c.nexus.EULA(ctx)
	f.Anonymous.Value, f.Anonymous.Err = c.nexus.Anonymous(ctx)
	f.Realms.Value, f.Realms.Err = c.nexus.Realms(ctx)
	stores, err := c.nexus.BlobStores(ctx)
	f.Stores.Err = err
	for _, s := range stores {
		store := preflight.Store{Name: s.Name, Type: s.Type, Unavailable: s.Unavailable, Blobs: s.Blobs, Available: s.Available}
		store.Quota.Value, store.Message, store.Quota.Err = c.nexus.Quota(ctx, s.Name)
		f.Stores.Value = append(f.Stores.Value, store)
	}
	for _, err := range []error{f.Roles.Err, f.EULA.Err, f.Anonymous.Err, f.Realms.Err, f.Stores.Err} {
		if err := final(ctx, err); err != nil {
			return f, err
		}
	}
	f.Repositories, err = c.repositories(ctx, q)
	return f, err
}

// final returns the error after which nothing more is to be asked: the login was refused, or
// the run ends.
func final(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if code := httpx.StatusCode(err); code == http.StatusUnauthorized || code == http.StatusTooManyRequests {
		return err
	}
	return nil
}

// repositories asks what is known of each repository and group that is wanted.
func (c *connection) repositories(ctx context.Context, q preflight.Question) (map[string]preflight.Repository, error) {
	all := map[string]preflight.Repository{}
	ask := func(name, format, kind string) error {
		if r, asked := all[name]; asked && r.Settings.Err == nil {
			return nil // wanted in two formats, of which it has one
		}
		r, err := c.repository(ctx, name, format, kind, q.Read)
		all[name] = r
		return err
	}
	for _, w := range q.Wanted {
		if err := ask(w.Repository, w.Format, "hosted"); err != nil {
			return nil, err
		}
	}
	for _, g := range q.Groups {
		if err := ask(g.Name, g.Format, "group"); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// errNotAsked is why settings are not known that would be of no use.
var errNotAsked = errors.New("they were not asked for")

// repository asks what is known of one name. A repository that is not in the list, which
// holds what the login may browse, may be there all the same. The error is for what
// ends the run.
func (c *connection) repository(ctx context.Context, name, format, kind string, listOnly bool) (r preflight.Repository, err error) {
	r.Settings.Err = errNotAsked
	if i := slices.IndexFunc(c.info.Repositories, func(l nexus.Repository) bool { return l.Name == name }); i >= 0 {
		r.Format, r.Type = c.info.Repositories[i].Format, c.info.Repositories[i].Type
		if listOnly || r.Format != format || r.Type != kind {
			return r, nil
		}
	} else {
		there, err := c.nexus.Has(ctx, name)
		if end := final(ctx, err); end != nil {
			return r, end
		}
		r.Absent = preflight.Answer[bool]{Value: err == nil && !there, Err: err}
		if !there || listOnly {
			return r, nil
		}
	}
	s, err := c.nexus.Settings(ctx, format, kind, name)
	if end := final(ctx, err); end != nil {
		return r, end
	}
	switch {
	case errors.Is(err, nexus.ErrNoAPI):
		err = preflight.ErrNoAPI
	case errors.Is(err, errdef.ErrNotFound):
		err = preflight.ErrOther
	}
	r.Settings = preflight.Answer[preflight.Settings]{Err: err, Value: preflight.Settings{
		Online: s.Online, BlobStore: s.Storage.BlobStore, Strict: s.Storage.Strict, WritePolicy: s.Storage.WritePolicy,
		Depth: s.Yum.Depth, HTTPPort: s.Docker.HTTPPort, HTTPSPort: s.Docker.HTTPSPort, ForceBasicAuth: s.Docker.ForceBasicAuth,
		Members: s.Group.Members,
	}}
	return r, nil
}
