package nexustest

import (
	"errors"
	"net/http"
)

// repositoryEntry is a repository in lists.
type repositoryEntry struct {
	Name       string         `json:"name"`
	Format     string         `json:"format"`
	Type       string         `json:"type"`
	URL        string         `json:"url"`
	Online     *bool          `json:"online,omitempty"`
	Size       *int64         `json:"size,omitempty"`
	Attributes map[string]any `json:"attributes"`
}

// entryOf prints a repository for lists.
func (x *exchange) entryOf(r *repository) repositoryEntry {
	e := repositoryEntry{Name: r.Name, Format: r.Format, Type: r.Type,
		URL: x.base() + "/repository/" + r.Name, Attributes: map[string]any{}}
	if r.Type == "proxy" {
		e.Attributes["proxy"] = map[string]string{"remoteUrl": r.RemoteURL}
	}
	if x.s.prof.community {
		online, size := !r.Offline, int64(0)
		for _, a := range r.assets {
			size += a.content.size
		}
		e.Online, e.Size = &online, &size
	}
	return e
}

func (x *exchange) listRepositories([]string) {
	entries := []repositoryEntry{}
	x.s.mu.Lock()
	for _, name := range sortedKeys(x.s.repos) {
		if x.mayBrowse(name) {
			entries = append(entries, x.entryOf(x.s.repos[name]))
		}
	}
	x.s.mu.Unlock()
	x.json(http.StatusOK, entries)
}

func (x *exchange) listSettings([]string) {
	all := []settings{}
	x.s.mu.Lock()
	for _, name := range sortedKeys(x.s.repos) {
		if x.user.isAdmin() || x.user.may(name, administer) {
			all = append(all, x.settingsOf(x.s.repos[name].Repository))
		}
	}
	x.s.mu.Unlock()
	x.json(http.StatusOK, all)
}

// serveRepositoryEntry answers or deletes one repository.
func (x *exchange) serveRepositoryEntry(args []string) {
	x.s.mu.Lock()
	r := x.s.repos[args[0]]
	var e repositoryEntry
	if r != nil {
		e = x.entryOf(r)
	}
	x.s.mu.Unlock()
	switch {
	case r == nil:
		x.notFound()
	case x.r.Method == http.MethodDelete:
		x.s.DeleteRepository(r.Name)
		x.w.WriteHeader(http.StatusNoContent)
	case !x.mayBrowse(r.Name):
		x.status(http.StatusForbidden)
	default:
		x.json(http.StatusOK, e)
	}
}

// serveSettings answers or changes the settings of one repository.
func (x *exchange) serveSettings(args []string) {
	x.s.mu.Lock()
	r := x.s.repos[args[2]]
	var now Repository
	if r != nil {
		now = r.Repository
	}
	x.s.mu.Unlock()
	if r == nil || now.Format != args[0] || now.Type != args[1] {
		x.notFound()
		return
	}
	if x.r.Method != http.MethodPut {
		x.json(http.StatusOK, x.settingsOf(now))
		return
	}
	want, ok := x.readSettings(args[0], args[1])
	if !ok {
		return
	}
	if want.Name != now.Name {
		x.invalid("PARAMETER name", "Renaming a repository is not supported")
		return
	}
	if want.BlobStore != now.BlobStore {
		x.invalid("PARAMETER storage.blobStoreName", "Blob store cannot be changed")
		return
	}
	if err := x.s.move(r, want.Port); err != nil {
		x.portTaken()
		return
	}
	x.s.mu.Lock()
	r.adopt(want)
	x.s.mu.Unlock()
	x.w.WriteHeader(http.StatusNoContent)
}

// move gives a docker repository another connector port, 0 for none.
func (s *Server) move(r *repository, port int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if port == r.Port {
		return nil
	}
	if err := s.portFree(r.Name, port); err != nil {
		return err
	}
	old, connector := r.Port, r.connector
	r.Port, r.connector = port, nil
	if err := s.openConnector(r); err != nil {
		r.Port, r.connector = old, connector
		return err
	}
	if connector != nil {
		connector.Close() // clients of the old port have to notice
	}
	return nil
}

// adopt takes over the settings that may change beside the port; name, format
// and type stay. The caller holds Server.mu.
func (r *repository) adopt(want Repository) {
	r.WritePolicy, r.Strict, r.Offline, r.Members = want.WritePolicy, want.Strict, want.Offline, want.Members
	r.Depth, r.DeployPolicy, r.Disposition = want.Depth, want.DeployPolicy, want.Disposition
	r.RemoteURL, r.Cleanup, r.HTTPSPort = want.RemoteURL, want.Cleanup, want.HTTPSPort
	r.BearerAuth, r.LatestPolicy, r.PathEnabled = want.BearerAuth, want.LatestPolicy, want.PathEnabled
}

// portTaken answers that two connectors want one port.
func (x *exchange) portTaken() {
	if status := x.s.opts.Quirks.PortClashStatus; status != 0 {
		x.textError(status, errPortTaken.Error())
		return
	}
	x.invalid("PARAMETER docker.httpPort", "Port is already in use")
}

// rebuildIndex rebuilds the search index, which says nothing about yum metadata.
func (x *exchange) rebuildIndex(args []string) {
	x.poke(args[0], "group", "A group has no search index")
}

// invalidateCache is for proxies and groups.
func (x *exchange) invalidateCache(args []string) {
	x.poke(args[0], "hosted", "A hosted repository has no cache")
}

// poke answers an action that one type of repositories has no sense for.
func (x *exchange) poke(repo, not, why string) {
	x.s.mu.Lock()
	r := x.s.repos[repo]
	x.s.mu.Unlock()
	switch {
	case r == nil:
		x.notFound()
	case r.Type == not:
		x.invalid("*", why)
	default:
		x.w.WriteHeader(http.StatusNoContent)
	}
}

func (x *exchange) createRepository(args []string) {
	r, ok := x.readSettings(args[0], args[1])
	if !ok {
		return
	}
	err := x.s.CreateRepository(r)
	switch {
	case errors.Is(err, errNameTaken):
		x.invalid("PARAMETER name", errNameTaken.Error())
	case errors.Is(err, errPortTaken):
		x.portTaken()
	case err != nil:
		x.invalid("*", err.Error())
	default:
		x.status(http.StatusCreated)
	}
}
