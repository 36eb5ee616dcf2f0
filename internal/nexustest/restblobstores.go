package nexustest

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A BlobStore is where a server keeps what is uploaded. A quota is soft: it never
// refuses anything.
type BlobStore struct {
	Name        string
	FreeBytes   int64  // default that of Options
	QuotaType   string // "" for none, spaceRemainingQuota or spaceUsedQuota
	QuotaMB     int64
	Unavailable bool
}

const defaultBlobStore = "default"

// softQuota is a quota as the API prints and reads it; the limit is in MB.
type softQuota struct {
	Type  string `json:"type"`
	Limit int64  `json:"limit"`
}

// blobStoresRoute covers the list, one store, its quota, and creation. The API
// was in beta from 3.20 to 3.23.
func (x *exchange) blobStoresRoute(parts []string) *restRoute {
	r := &restRoute{since: 20, beta: 20, methods: []string{"GET"}}
	if !strings.HasPrefix(x.path, "beta/") {
		r.since = 24
	}
	n := len(parts)
	switch {
	case n == 1:
		r.serve = x.listBlobStores
	case n == 3 && parts[2] == "quota-status":
		r.serve = x.quotaStatus
	case n == 2 && parts[1] == "file":
		r.methods, r.serve = []string{"POST"}, x.createBlobStore
	case n == 3 && parts[1] == "file":
		r.serve = x.fileBlobStore
	default:
		return nil
	}
	return r
}

// usage is what a blob store holds: files and bytes.
func (s *Server) usage(store string) (count int, total int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.repos {
		if r.BlobStore != store {
			continue
		}
		for _, a := range r.assets {
			count++
			total += a.content.size
		}
	}
	return count, total
}

// blobStores returns the blob stores in order of their names.
func (s *Server) blobStores() []BlobStore {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []BlobStore
	for _, name := range sortedKeys(s.stores) {
		out = append(out, s.stores[name])
	}
	return out
}

func (s *Server) blobStore(name string) (BlobStore, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.stores[name]
	return b, ok
}

func (b BlobStore) quota() *softQuota {
	if b.QuotaType == "" {
		return nil
	}
	return &softQuota{b.QuotaType, b.QuotaMB}
}

// violated says whether a blob store that holds total bytes breaks its quota.
func (b BlobStore) violated(total int64) bool {
	switch b.QuotaType {
	case "spaceRemainingQuota":
		return b.FreeBytes < b.QuotaMB<<20
	case "spaceUsedQuota":
		return total > b.QuotaMB<<20
	}
	return false
}

func (x *exchange) listBlobStores([]string) {
	type entry struct {
		Quota       *softQuota `json:"softQuota"`
		Name        string     `json:"name"`
		Type        string     `json:"type"`
		Unavailable bool       `json:"unavailable"`
		Count       int        `json:"blobCount"`
		Total       int64      `json:"totalSizeInBytes"`
		Available   int64      `json:"availableSpaceInBytes"`
	}
	out := []entry{}
	for _, b := range x.s.blobStores() {
		count, total := x.s.usage(b.Name)
		out = append(out, entry{b.quota(), b.Name, "File", b.Unavailable, count, total, b.FreeBytes})
	}
	x.json(http.StatusOK, out)
}

func (x *exchange) quotaStatus(args []string) {
	b, ok := x.s.blobStore(args[0])
	if !ok {
		x.notFound()
		return
	}
	_, total := x.s.usage(b.Name)
	message := fmt.Sprintf("Blob store %s has no quota", b.Name)
	if b.QuotaType != "" {
		message = fmt.Sprintf("Blob store %s uses %d bytes, %d are left, %s %d MB", b.Name, total, b.FreeBytes, b.QuotaType, b.QuotaMB)
	}
	x.json(http.StatusOK, struct {
		Violated bool   `json:"isViolation"`
		Message  string `json:"message"`
		Store    string `json:"blobStoreName"`
	}{b.violated(total), message, b.Name})
}

// fileXO is a file blob store as the API reads and prints it.
type fileXO struct {
	Quota *softQuota `json:"softQuota"`
	Name  string     `json:"name,omitempty"` // in requests only
	Path  string     `json:"path"`
}

func (x *exchange) fileBlobStore(args []string) {
	b, ok := x.s.blobStore(args[1])
	if !ok {
		x.notFound()
		return
	}
	x.json(http.StatusOK, fileXO{Quota: b.quota(), Path: b.Name})
}

func (x *exchange) createBlobStore([]string) {
	var in fileXO
	if !x.readJSON(&in) {
		return
	}
	b := BlobStore{Name: in.Name, FreeBytes: x.s.opts.FreeBytes}
	if in.Quota != nil {
		b.QuotaType, b.QuotaMB = in.Quota.Type, in.Quota.Limit
	}
	_, taken := x.s.blobStore(in.Name)
	switch {
	case in.Name == "" || in.Path == "":
		x.invalid("PARAMETER name", "name and path must not be empty")
	case taken:
		x.invalid("PARAMETER name", "A blob store with that name already exists.")
	case b.QuotaType != "" && !slices.Contains([]string{"spaceRemainingQuota", "spaceUsedQuota"}, b.QuotaType):
		x.invalid("PARAMETER softQuota.type", "Unknown quota type "+b.QuotaType)
	default:
		x.s.mu.Lock()
		x.s.stores[b.Name] = b
		x.s.mu.Unlock()
		x.w.WriteHeader(http.StatusNoContent)
	}
}
